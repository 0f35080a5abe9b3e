"""What a list of backups is made of."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from backups.exceptions import BackupsError
from backups.models import BackupHistory, Status
from backups.storage import keys
from backups.types import Manifest


class Mark(StrEnum):
    """What is odd about an entry."""

    NONE = ""
    NOT_IN_HISTORY = "not in history"
    BEHIND = "whole, whatever the history says"
    UNASKED = "not looked for: its store can't be asked"
    ONLY_LOCAL = "gone from the bucket; the local copy is left"
    MISSING = "missing in the store"
    ELSEWHERE = "in a bucket or folder that is not configured now"
    NO_MANIFEST = "no manifest: not a backup"
    NO_DUMP = "manifest without its dump"
    REFUSED = "manifest refused"
    CHANGED = "size differs from the manifest"
    ONE_CHANGED = "one copy's size differs from the manifest; another is whole"

    @property
    def is_alarming(self) -> bool:
        """Whether somebody should look."""
        return self not in (Mark.NONE, Mark.NOT_IN_HISTORY, Mark.BEHIND, Mark.UNASKED)


_WHOLE = frozenset({Mark.NONE, Mark.NOT_IN_HISTORY, Mark.BEHIND, Mark.ONLY_LOCAL, Mark.ONE_CHANGED})


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One backup, or something that looks like one. Sizes in bytes, times in UTC; None is "not known"."""

    filename: str
    environment: str
    key: str
    status: str
    mark: Mark = Mark.NONE
    id: UUID | None = None
    description: str = ""
    backup_type: str = ""
    database: str = ""
    system_identifier: str = ""
    started_at: datetime
    duration_seconds: float | None = None
    size_bytes: int | None = None
    database_size_bytes: int | None = None
    rows: int | None = None
    tables: int | None = None
    checksum: str = ""
    postgres_version: str = ""
    error_message: str = ""
    where: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    verified_at: datetime | None = None  # when a verification last restored and compared it
    bad_at: datetime | None = None  # when one, or a restore, last found it bad
    pin_reason: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it can be restored, for all that a listing shows."""
        return self.status == Status.SUCCEEDED and self.mark in _WHOLE


@dataclass(frozen=True)
class Listing:
    """Entries newest first, and what could not be asked."""

    entries: list[Entry]
    problems: list[BackupsError] = field(default_factory=list)


def from_row(key: str, row: BackupHistory) -> Entry:
    """The entry of a run as its row tells it; the row comes with `totals`."""
    return Entry(
        filename=row.filename,
        environment=row.environment,
        key=key,
        status=row.status,
        id=row.id,
        description=row.description,
        backup_type=row.backup_type,
        database=row.database,
        system_identifier=row.system_identifier,
        started_at=row.started_at or row.created_at,
        duration_seconds=row.duration_seconds,
        size_bytes=row.size_bytes,
        database_size_bytes=row.database_size_bytes,
        rows=getattr(row, "total_rows", None),
        tables=getattr(row, "total_tables", None),
        checksum=row.checksum,
        postgres_version=row.postgres_version,
        error_message=row.error_message,
        warnings=tuple(map(str, row.warnings)),
        verified_at=row.verified_at,
        bad_at=row.bad_at,
        pin_reason=row.pin_reason,
    )


def from_name(key: str, *, modified_at: datetime, size_bytes: int | None) -> Entry:
    """The entry of something that only lies in a store."""
    filename = keys.filename_of(key)
    return Entry(
        filename=filename,
        environment=key.partition("/")[0],
        key=key,
        status="unknown",
        started_at=keys.started_at(filename) or modified_at,
        size_bytes=size_bytes,
    )


def describe(entry: Entry, manifest: Manifest, *, mark: Mark) -> Entry:
    """The entry of a backup as its manifest tells it."""
    return replace(
        entry,
        mark=mark,
        status=Status.SUCCEEDED,
        id=manifest.id,
        description=manifest.description,
        backup_type=manifest.backup_type,
        database=manifest.database,
        system_identifier=manifest.snapshot.system_identifier,
        started_at=manifest.started_at,
        duration_seconds=manifest.duration_seconds,
        size_bytes=manifest.size_bytes,
        database_size_bytes=manifest.snapshot.database_size_bytes,
        rows=manifest.snapshot.rows,
        tables=len(manifest.snapshot.tables),
        checksum=manifest.checksum,
        postgres_version=manifest.snapshot.server_version,
        error_message="",
        warnings=manifest.warnings,
    )
