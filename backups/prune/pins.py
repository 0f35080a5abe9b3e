"""Pins: a backup that retention must keep, and why.

The row has the reason, and so has a small object beside the dump, since a pin must outlive the history. Either keeps the backup.
"""

from dataclasses import dataclass

from django.db import Error as DatabaseError

from backups import catalog, conf, history
from backups.catalog.proof import in_order
from backups.exceptions import RefusedError, StorageError, UsageError
from backups.models import BackupHistory
from backups.prune.deleting import row_from
from backups.sentences import sentence as _
from backups.storage import keys
from backups.stores import configured


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """A backup with the reason for which it is kept, "" for none; the one that it had before, and whether it was pinned: the
    bucket may have a pin that the history lacks.
    """

    filename: str
    reason: str
    before: str
    was_pinned: bool


def is_reason(text: str) -> bool:
    """Whether a pin can keep it: a text of one line that can be printed. A NUL, PostgreSQL could not keep."""
    return 0 < len(text) <= catalog.LONGEST_REASON and text.isprintable()


def pin(filename: str, *, reason: str) -> Pinned:
    """Keeps a backup until it is unpinned. `filename` is taken as a restore takes it; a new reason takes the place of an old one.

    Raises UsageError for a reason that can't be kept, RefusedError where the backup is pruned meanwhile, HistoryError and
    StorageError, and what `catalog.find` raises.
    """
    reason = " ".join(reason.split())
    if not is_reason(reason):
        raise UsageError(
            _("A pin needs a reason, of at most {most} printable characters.", most=catalog.LONGEST_REASON),
            detail=_("Somebody will ask what it was for."),
            hint=_('For example: icb db pin {filename} --reason "before the audit"', filename=filename),
        )
    return _write(filename, reason)


def unpin(filename: str) -> Pinned:
    """Lets retention judge it again. Raises as `pin` does."""
    return _write(filename, "")


def _write(filename: str, reason: str) -> Pinned:
    """A pin comes into the history first, where it is in the way of a prune at once, and leaves it last."""
    environment = conf.current().environment
    server = conf.server("default")
    found = catalog.find(filename, environment=environment, database=server.database, server=server)
    if found.manifest.environment != environment:
        raise RefusedError(
            _(
                "{filename} is a backup of the environment {environment}, and this process is of {ours}.",
                filename=found.manifest.filename,
                environment=found.manifest.environment,
                ours=environment,
            ),
            hint=_("Its own environment prunes it; pin it there."),
        )
    removed = _remove_beside(found) if not reason else False
    before = _write_row(found, reason)
    if reason:
        _put_beside(found, reason)
    return Pinned(filename=found.manifest.filename, reason=reason, before=before, was_pinned=removed or bool(before))


def _write_row(found: catalog.Found, reason: str) -> str:
    """Returns the reason of before."""
    name = found.manifest.filename
    try:
        row = BackupHistory.objects.filter(id=found.manifest.id).first() or row_from(found.manifest)
        if row is None:
            raise RefusedError(
                _("The history knows another backup of the name {name}.", name=name), hint=_("Choose another one: icb db list")
            )
        # Of this and the mark of a prune, whichever comes first is the only one that finds the row as it wants it.
        if not BackupHistory.objects.filter(id=row.id, deleted_at=None).update(pin_reason=reason):
            raise RefusedError(_("{name} is being pruned.", name=name), hint=_("Choose another one: icb db list"))
    except DatabaseError as error:
        raise history.unreachable(error) from error
    return row.pin_reason


def _put_beside(found: catalog.Found, reason: str) -> None:
    try:
        found.store.delete(keys.pin_key(found.key))
        found.store.put_new(keys.pin_key(found.key), f"{reason}\n".encode())
    except StorageError as error:
        error.detail = _(
            "The history has the pin, so retention keeps the backup; if the history is lost, so is the pin.\n{detail}",
            detail=error.detail,
        )
        raise


def _remove_beside(found: catalog.Found) -> bool:
    """Whether there was one."""
    removed = False
    for store in in_order(configured()):
        if store.head(keys.pin_key(found.key)) is not None:
            store.delete(keys.pin_key(found.key))
            removed = True
    return removed
