"""Writes the history: every run gets its row before it begins, and a final state however it ends."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections, router, transaction
from django.db.utils import IntegrityError, InterfaceError, OperationalError, ProgrammingError
from django.utils import timezone
from psycopg.errors import ConnectionTimeout

from backups import conf
from backups.exceptions import BackupsError, HistoryError
from backups.models import BackupHistory, BackupRestore, Status
from backups.sentences import Sentence
from backups.sentences import sentence as _
from backups.types import Manifest, Server

Run = BackupHistory | BackupRestore
_UNUSED = _("The history could not be read or written.")
_HINT = _("The history is in the site's own database: is it running, and is DATABASE_URL right (host, user, password, name)?")
_HINT_IF_SILENT = _(
    "The history is in the site's own database: is its server up, is DATABASE_URL right (host, port), and does a firewall let"
    " this site reach it?"
)


def add(run: Run) -> bool:
    """Writes a new row. False when its filename is taken.

    Raises HistoryError when there is no history to write to.
    """
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError:
        return False
    except DatabaseError as error:
        raise unreachable(error) from error
    return True


def update(run: Run, **values: Any) -> None:
    """Writes some of a row's fields. Raises HistoryError; then `run` is as it was, too."""
    close_old_connections()  # a run takes hours; the connection of its first minute may be gone
    before = {name: getattr(run, name) for name in values}
    _set(run, values)
    try:
        try:
            run.save(update_fields=list(values))
        except (OperationalError, InterfaceError):  # the connection was ended, as a restore in place does with all of them
            if transaction.get_connection(router.db_for_write(type(run))).in_atomic_block:
                raise
            reconnect()
            run.save(update_fields=list(values))
    except DatabaseError as error:
        _set(run, before)
        raise unreachable(error) from error


def _set(run: Run, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(run, name, value)


def claim(run: Run, **values: Any) -> bool:
    """Takes a queued run for this process, and writes these fields; False where another one has it, or it has ended.

    Raises HistoryError.
    """
    now = timezone.now()
    queued = type(run)._default_manager.filter(pk=run.pk, status=Status.PENDING, started_at=None)
    try:
        taken = bool(queued.update(started_at=now, **values))
    except DatabaseError as error:
        raise unreachable(error) from error
    if taken:
        _set(run, {"started_at": now, **values})
    return taken


def has_slot(run: BackupHistory) -> bool:
    """Whether another backup of that database was made or asked for, for the same moment of a schedule. Raises HistoryError."""
    same = BackupHistory.objects.filter(environment=run.environment, database=run.database, slot=run.slot)
    try:
        return same.exclude(id=run.id).exists()
    except DatabaseError as error:
        raise unreachable(error) from error


def start(run: Run, **values: Any) -> None:
    """The run begins now."""
    update(run, status=Status.RUNNING, started_at=timezone.now(), **values)


def succeed(run: Run, *, finished_at: datetime, **values: Any) -> None:
    """The run has done all of its work."""
    update(run, status=Status.SUCCEEDED, error_message="", **_ended(run, finished_at), **values)


def fail(run: Run, error: BackupsError, *, cancelled: bool = False) -> None:
    """The run has ended without its work done; the row tells why."""
    status = Status.CANCELLED if cancelled else Status.FAILED
    extra = {"upload_id": run.upload_id} if isinstance(run, BackupHistory) else {}
    update(run, status=status, error_message=str(error), **_ended(run, timezone.now()), **extra)


def proven(backup: BackupHistory, *, level: str, at: datetime) -> None:
    """A verification of that level has passed. After a restore, what was thought bad before is good. Raises HistoryError."""
    field = {"stored": "stored_at", "readable": "readable_at", "restored": "verified_at"}[str(level)]
    update(backup, **{field: at}, **({"bad_at": None} if field == "verified_at" else {}))


def restored(backup: BackupHistory, *, at: datetime) -> None:
    """It was loaded whole, apart from all else, and is what was backed up: each level is proven. Where its row is gone nothing is
    written. Raises HistoryError.
    """
    try:
        with transaction.atomic():
            rows = BackupHistory.objects.filter(pk=backup.pk)
            rows.update(stored_at=at, readable_at=at, verified_at=at, bad_at=None)
    except DatabaseError as error:
        raise unreachable(error) from error


def expected_size(run: BackupHistory, *, table_bytes: int) -> int:
    """Bytes that a dump may have: as the newest backup of this database compressed, and a fifth more; else uncompressed."""
    newest = (
        BackupHistory.objects.succeeded()
        .of_environment(run.environment)
        .filter(database=run.database, size_bytes__gt=0)
        .newest_first()
        .first()
    )
    dumped = newest.table_snapshot.get("total", {}).get("bytes", 0) if newest else 0
    if newest is None or not newest.size_bytes or not dumped:
        return table_bytes
    return min(table_bytes, int(table_bytes * newest.size_bytes / dumped * 1.2))


def fields_of(manifest: Manifest) -> dict[str, Any]:
    """What a manifest tells of its run's row, but for its name and times."""
    snapshot = manifest.snapshot
    tables = [table.fields() for table in snapshot.tables]
    return {
        "size_bytes": manifest.size_bytes,
        "checksum": manifest.checksum,
        "pg_dump_version": manifest.pg_dump_version,
        "compression": manifest.compression,
        "application_version": manifest.application_version,
        "database_size_bytes": snapshot.database_size_bytes,
        "postgres_version": snapshot.server_version,
        "table_snapshot": {
            "tables": tables,
            "total": {"tables": len(tables), "rows": snapshot.rows, "bytes": snapshot.table_bytes},
        },
        "applied_migrations": list(snapshot.migrations),
        "extensions": dict(snapshot.extensions),
        "warnings": list(manifest.warnings),
        "guards": list(manifest.guards),
    }


def unreachable(error: Exception, *, to_anybody: bool = False) -> HistoryError:
    """The error to raise where the table of the history can't be used; `to_anybody` without where it is, and what was said."""
    if 'relation "' in str(error) and "does not exist" in str(error):
        message, hint = _("The history has no table yet."), _("Make it with: ./icb manage migrate")
    elif isinstance(error.__cause__, ConnectionTimeout):
        message, hint = _UNUSED if to_anybody else _silent(), _HINT_IF_SILENT
    else:
        message, hint = _UNUSED, _HINT
    return HistoryError(message, detail="" if to_anybody else str(error).strip(), hint=hint)


def _silent() -> Sentence:
    """Who did not answer, and how long that was waited for: what psycopg says tells neither."""
    try:
        there = server()
    except BackupsError:  # settings that Django can use and a backup can't
        return _UNUSED
    address, seconds = replace(there, user="").address, dict(there.options).get("connect_timeout")
    if seconds is None:  # PGCONNECT_TIMEOUT, or psycopg's own
        return _("The history could not be read or written: {address} did not answer in time.", address=address)
    return _(
        "The history could not be read or written: {address} did not answer within {seconds} s.", address=address, seconds=seconds
    )


def _ended(run: Run, finished_at: datetime) -> dict[str, Any]:
    started = run.started_at or run.created_at
    return {"finished_at": finished_at, "duration_seconds": max(0.0, (finished_at - started).total_seconds())}


def server() -> Server:
    """The server and database that hold the history."""
    return conf.server(router.db_for_write(BackupHistory))


def forget_kept(databases: Collection[str], *, ids: Collection[str]) -> None:
    """Those restores have no kept database any more. Where the history is away it is not told: the server tells what is kept."""
    with suppress(DatabaseError, ValidationError), transaction.atomic():
        BackupRestore.objects.filter(id__in=ids, kept_database__in=databases).update(kept_database="")


def note_kept(restore_id: str, *, since: datetime) -> None:
    """Since when that restore keeps what it has replaced (UTC). Not told where a history that was just restored is older than the
    column: then `finished_at` stands for it. Raises HistoryError, and ValidationError for what is no id of ours.
    """
    try:
        with transaction.atomic():
            BackupRestore.objects.filter(id=restore_id).update(kept_at=since)
    except ProgrammingError:
        return
    except DatabaseError as error:
        raise unreachable(error) from error


def reconnect() -> None:
    """Lets go of the connection to the history: after a swap, another database bears its name."""
    connections[router.db_for_write(BackupHistory)].close()


def filenames() -> frozenset[str]:
    """Of every backup that the history knows; none where it can't be read."""
    try:
        with transaction.atomic():
            return frozenset(BackupHistory.objects.values_list("filename", flat=True))
    except DatabaseError:
        return frozenset()


def local_paths(*, below: str) -> list[str] | None:
    """Where the history says that local copies are, the newest first; None where it can't be read."""
    rows = BackupHistory.objects.succeeded().filter(local_path__startswith=below).newest_first()
    try:
        with transaction.atomic():
            return list(rows.values_list("local_path", flat=True))
    except DatabaseError:
        return None
