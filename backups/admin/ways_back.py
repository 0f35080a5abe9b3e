"""What stands beside a target after a restore, and how it comes back: its server is asked, for the page of the restore."""

from dataclasses import dataclass
from datetime import datetime

from backups import next_command, stores, targets
from backups.exceptions import BackupsError
from backups.kept import kept_until
from backups.models import BackupRestore
from backups.sentences import joined


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """How this site would undo a restore: the command, or `problem`, which says why it can't."""

    command: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class PutAside:
    """What an undone restore had brought: the database's name, its size in bytes (None where our role may not see it), until when
    it is kept (UTC; None: until somebody drops it), and the commands that put it in place again and that drop it.
    """

    name: str
    size_bytes: int | None
    until: datetime | None
    again: str
    discard: str


def way_back(row: BackupRestore) -> WayBack:
    """Of a restore whose target still keeps what it has replaced, if it is the server that was restored onto."""
    try:
        target = targets.of_restore(row)
    except BackupsError as error:
        error.scrub(stores.secrets())
        return WayBack(problem=joined("\n", filter(None, (error.message, error.detail, error.hint))))
    return WayBack(command=next_command.undo(target, kept=row.kept_database))


def put_aside(row: BackupRestore) -> PutAside | None:
    """Of a restore that was undone. None where nothing is kept of it, and where the server can't be asked: then `icb db list`
    tells why.
    """
    try:
        brought = targets.brought_by(row)
    except BackupsError:
        return None
    if brought is None:
        return None
    target, kept = brought
    return PutAside(
        name=kept.database,
        size_bytes=kept.size_bytes,
        until=kept_until(kept),
        again=next_command.undo(target, kept=kept.database),
        discard=next_command.discard(target),
    )
