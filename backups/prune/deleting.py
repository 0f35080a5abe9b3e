"""Takes one backup away, so that a crash at any point is made good by the next prune, and half a backup never passes for a whole.

The order: (1) the row gets its `deleted_at`, (2) every store loses the manifest, (3) then whatever else belongs to it, (4) the
dump last. The manifest is what makes a backup, so it ends with it, as it began with it.

- Dead after 1: the backup is whole. The next prune judges it anew, as pins, proofs and failures may have changed meanwhile, and
  takes the mark back where it is kept. Until then a list shows it as what it is: whole, and not in the history.
- Dead after 2 or 3: what is left has no manifest, so nothing takes it for a backup; that its row says "deleted" tells it from a
  dump whose manifest was stolen. The next prune removes it without asking the policy again.

The other way round, manifest before row, a death in between would look like that theft.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db import Error as DatabaseError
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from backups import history, stores
from backups.carry_over import row_of
from backups.catalog.proof import read_manifest
from backups.exceptions import HistoryError, ManifestError, StorageError
from backups.models import BackupHistory, Status
from backups.prune.shelf import Leftover, Lying, Standing
from backups.sentences import sentence as _
from backups.storage import keys
from backups.types import Manifest

NOT_PRUNED = "Not pruned: "  # how the message on a row begins


def claim(one: Standing) -> str:
    """Marks the row as deleted, if it may be at this very moment; returns why not, else "".

    One conditional UPDATE: a pin that came first wins, and a newer backup must be verified as the history knows it now, whatever
    was decided minutes ago. Raises HistoryError, and ManifestError or StorageError where no row knows the backup.
    """
    row = one.row or row_from(_manifest_of(one))
    if row is None:
        return "the history knows another backup of this name"
    rows = BackupHistory.objects.filter(id=row.id)
    try:
        if rows.filter(newer_is_verified(), pin_reason="").update(deleted_at=timezone.now()):
            return ""
        pin = rows.values_list("pin_reason", flat=True).first()
    except DatabaseError as error:
        raise history.unreachable(error) from error
    return f"pinned meanwhile: {pin}" if pin else "no newer one is verified any more"


def newer_is_verified() -> Q:
    """Of a row: that a newer backup of the same database is verified, as the history knows it now; of one that is in a bucket, a
    newer one that is in a bucket, too.
    """
    newer = BackupHistory.objects.succeeded().filter(
        environment=OuterRef("environment"),
        database=OuterRef("database"),
        system_identifier=OuterRef("system_identifier"),
        finished_at__gt=OuterRef("finished_at"),
        verified_at__isnull=False,
        bad_at__isnull=True,
        missing_at__isnull=True,
    )
    return Exists(newer) & (Q(s3_key="") | Exists(newer.exclude(s3_key="")))


def take_away(one: Standing) -> str:
    """Claims and deletes it; returns why it must stay, "" where it is gone.

    Raises StorageError and ManifestError where it, or a part of it, could not be deleted: its row says so, and has no mark
    where the backup is still whole. And HistoryError.
    """
    try:
        if refused := claim(one):
            return refused
        delete(one.lying)
    except (StorageError, ManifestError) as error:
        error.scrub(stores.secrets())
        if is_still_whole(one):
            take_back(one.candidate.id)
        note(one.candidate.id, str(error))
        raise
    return ""


def _manifest_of(one: Standing) -> Manifest:
    """Read again: of ten thousand, not one need be kept in memory."""
    return next(read_manifest(lying.store, one.key) for lying in one.lying if lying.manifest is not None)


def row_from(manifest: Manifest) -> BackupHistory | None:
    """A row for a backup that the history does not know; None where its name is another's. Raises HistoryError."""
    row = BackupHistory(**row_of(manifest))
    return row if history.add(row) else BackupHistory.objects.filter(id=manifest.id).first()


def delete(lying: Sequence[Lying]) -> None:
    """Manifests first, dumps last. Raises StorageError; then what is left is there for the next time."""
    for one in lying:
        if one.manifest is not None:
            one.store.delete(one.manifest)
    for one in lying:
        for key in one.others:
            one.store.delete(key)


def is_still_whole(one: Standing) -> bool:
    """After a failure: whether some store has the dump and its manifest. Where it can't be asked, nobody knows, and the mark
    stays for the next prune. Raises nothing.
    """
    try:
        return any(
            lying.store.head(one.key) is not None and lying.store.head(keys.manifest_key(one.key)) is not None
            for lying in one.lying
        )
    except StorageError:
        return False


def take_back(id: UUID) -> None:
    """It is not deleted after all. Raises HistoryError."""
    try:
        BackupHistory.objects.filter(id=id).update(deleted_at=None)
    except DatabaseError as error:
        raise history.unreachable(error) from error


def note(id: UUID, why: str) -> None:
    """Tells the row why its backup, or what is left of it, is still there. Raises HistoryError."""
    try:
        BackupHistory.objects.filter(id=id, status=Status.SUCCEEDED).update(error_message=f"{NOT_PRUNED}{why}")
    except DatabaseError as error:
        raise history.unreachable(error) from error


def forget_notes(environment: str) -> None:
    """What earlier prunes have noted: this one looks again. Raises HistoryError."""
    noted = BackupHistory.objects.of_environment(environment).filter(error_message__startswith=NOT_PRUNED)
    try:
        noted.update(error_message="")
    except DatabaseError as error:
        why = history.unreachable(error)
        raise HistoryError(
            _("The history can't be written, so nothing is pruned."), detail=f"{why.message}\n{why.detail}", hint=why.hint
        ) from error


def is_of(leftover: Leftover) -> bool:
    """Whether what is left was made by the run of that row, as far as it can be told. Raises StorageError."""
    for lying in leftover.lying:
        stored = lying.store.head(leftover.key)
        made_by = dict(stored.metadata).get("backup-id") if stored is not None else None
        if made_by not in (None, str(leftover.row.id)):
            return False
    return True
