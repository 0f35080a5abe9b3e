"""The story: somebody wants one backup gone, whatever the policy's rules say. What protects it from a prune protects it here."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from django.utils import timezone

from backups import conf, history, stores, words
from backups.exceptions import ObjectMissingError, RefusedError
from backups.models import BackupHistory, Status
from backups.postgres import named_lock
from backups.prune import deleting
from backups.prune.locks import lock_on, locked
from backups.prune.restoring import in_use
from backups.prune.rules import policy
from backups.prune.shelf import Leftover, Shelf, Standing, look
from backups.retention import protecting
from backups.sentences import joined
from backups.sentences import sentence as _
from backups.storage.object_lock import may_lock

CHOOSE = _("Choose another one: icb db list")


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """What is gone: bytes of the dump, and how many stores had a copy."""

    filename: str
    size_bytes: int
    copies: int


def delete_one(row: BackupHistory) -> Deleted:
    """Deletes one backup from every store, its local copy included; the row stays, with its `deleted_at`.

    It must be of this environment, not pinned, not locked, not being restored, and older than the newest verified one; and the
    newest runs must not all have failed. A prune asks the same. What an earlier deletion has left of it is removed. On a page the
    stores are looked at with a page's patience; from the mark on the row to the last object each is given all its time.

    Raises RefusedError, RunningError while a prune runs, ObjectMissingError where no store has it, HistoryError, PostgresError;
    StorageError and ManifestError where it or a part of it is left: to be tried again, or the next prune removes it.
    """
    environment, configured = conf.current().environment, stores.configured()
    _require_ours(row, environment)
    lock = f"prune:{environment}"
    taken = _("A prune of the environment {environment} is running.", environment=environment)
    with named_lock.named_lock(history.server(), lock, taken=taken) as session:
        found = _found(row, look(configured, environment=environment), configured)
        named_lock.require_held(session, lock)
        found = replace(found, lying=tuple(replace(one, store=stores.patient(one.store)) for one in found.lying))
        if isinstance(found, Standing):
            if refused := deleting.take_away(found):
                raise _refused(row, [refused])
        else:
            deleting.delete(found.lying)
    return Deleted(filename=row.filename, size_bytes=row.size_bytes or 0, copies=len(found.lying))


def _require_ours(row: BackupHistory, environment: str) -> None:
    if row.environment != environment:
        raise RefusedError(
            _(
                "{filename} is a backup of the environment {environment}, and this process is of {ours}.",
                filename=row.filename,
                environment=row.environment,
                ours=environment,
            ),
            hint=_("Delete it from its own environment."),
        )
    if row.status != Status.SUCCEEDED:
        raise RefusedError(
            _(
                "{filename} is not a whole backup: it is {status}. Nothing of it is stored.",
                filename=row.filename,
                status=words.status(row.status),
            ),
            hint=_("Its row is history, and stays."),
        )


def _found(row: BackupHistory, shelf: Shelf, configured: stores.Stores) -> Standing | Leftover:
    """It on the shelf, if it may go. Raises RefusedError, ObjectMissingError, and as `in_use` and `lock_on` do."""
    if (left := next((one for one in shelf.leftovers if one.row.id == row.id), None)) is not None:
        if not deleting.is_of(left):
            raise _refused(row, [_("another run has made what lies there under its name")])
        return left
    one = next((one for one in shelf.standing if one.candidate.id == row.id), None)
    if one is None:
        if distrusted := [text for text in shelf.left_alone if text.startswith(f"{row.filename}: ")]:
            raise RefusedError(
                _("{filename} is not deleted: what lies there can't be trusted, or is not whole.", filename=row.filename),
                detail="\n".join(distrusted),
                hint=_("Look at it: icb db sync --dry-run"),
            )
        if row.deleted_at:
            raise ObjectMissingError(_("{filename} was deleted already.", filename=row.filename), hint=CHOOSE)
        raise ObjectMissingError(_("{filename} is in no store that is configured.", filename=row.filename), hint=CHOOSE)
    candidate = one.candidate
    candidate = replace(candidate, is_in_use=in_use().has(id=candidate.id, filename=candidate.filename))
    if configured.s3 is not None and may_lock(configured.s3):
        candidate = locked(candidate, lock_on(one, configured.s3))
    everything = [other.candidate for other in shelf.standing]
    if reasons := protecting(candidate, everything, shelf.runs, policy(), now=timezone.now()):
        raise _refused(row, reasons)
    return one


def _refused(row: BackupHistory, reasons: Iterable[str]) -> RefusedError:
    return RefusedError(_("{filename} must stay: {reasons}.", filename=row.filename, reasons=joined("; ", reasons)), hint=CHOOSE)
