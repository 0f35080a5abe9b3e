"""Carries out what was asked for by a row: whoever takes it first, once, however often its message comes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db import Error as DatabaseError
from django.utils import timezone

from backups import conf, history, notifications, words
from backups.backup import DatabaseBackup
from backups.exceptions import BackupsError, BegunError, HistoryError, RefusedError
from backups.models import BackupHistory, BackupRestore, Level, RestorePurpose, Status
from backups.plan import Choices
from backups.restore import DatabaseRestore
from backups.verify import BackupVerification

PATIENCE = timedelta(minutes=2)  # with a message that may still be on its way
LONGEST_WAIT = timedelta(minutes=15)  # of a restore for a worker

logger = logging.getLogger(__name__)


def make_backup(id: UUID) -> BackupHistory | None:
    """Makes the backup that a queued row asks for; returns its row. None where it is not there to be made: it was begun by
    another process, has ended, or its row is gone.

    Raises as `DatabaseBackup.run` does; the row tells the same.
    """
    row = BackupHistory.objects.queued().filter(id=id).first()
    if row is None:
        logger.info("The backup %s is not waiting to be made: it was begun already, has ended, or its row is gone.", id)
        return None
    try:
        story = DatabaseBackup.of_row(row)
    except BackupsError as error:
        if history.claim(row):  # nothing of it can be begun, and it must not wait for ever
            history.fail(row, error)
        raise
    try:
        with _pinging(row):
            story.run()
    except BegunError as error:
        logger.info("%s", error)
        return None
    logger.info("Backup %s: %s in %s.", row.filename, words.size(row.size_bytes), words.duration(row.duration_seconds))
    return row


@contextmanager
def _pinging(row: BackupHistory) -> Iterator[None]:
    """A dead-man's switch hears of a scheduled backup: that it begins, and how it ends."""
    if not row.slot:
        yield
        return
    notifications.ping_started()
    try:
        yield
    except BegunError:
        raise
    except BackupsError as error:
        notifications.ping_failed(f"{row.filename}\n{error}")
        raise
    notifications.ping_succeeded(f"{row.filename}: {words.size(row.size_bytes)} in {words.duration(row.duration_seconds)}")


def request_restore(
    *,
    target: str,
    filename: str = "latest",
    new_database: str = "",
    database: str = "default",
    environment: str = "",
    confirm: str = "",
    neutralize: bool | None = None,
    user: Any = None,
    backup: BackupHistory | None = None,
) -> BackupRestore:
    """The row of a restore that a worker makes, onto the database of the alias `target`, or onto `new_database` on its server.
    `backup` is the row of the backup, where it is known already.

    The rest is as DatabaseRestore takes it. Raises as its constructor does, and HistoryError.
    """
    request = {
        "target": target,
        "filename": filename,
        "new_database": new_database,
        "database": database,
        "environment": environment,
        "confirm": confirm,
        "neutralize": neutralize,
    }
    row = _restore(request, user=user).row
    row.request, row.source_key, row.backup = request, filename, backup
    history.add(row)
    return row


def request_verification(
    *,
    filename: str = "latest",
    database: str = "default",
    environment: str = "",
    level: str = Level.RESTORED,
    user: Any = None,
    backup: BackupHistory | None = None,
) -> BackupRestore:
    """The row of a verification that a worker carries out; `backup` as `request_restore` takes it.

    Raises as BackupVerification's constructor does, and HistoryError.
    """
    request = {"filename": filename, "database": database, "environment": environment, "level": str(level)}
    row = _verification(request, user=user).row
    row.request, row.backup = request, backup
    history.add(row)
    return row


def make_restore(id: UUID) -> BackupRestore | None:
    """Carries out the restore or verification that a queued row asks for; as `make_backup` does a backup."""
    row = BackupRestore.objects.queued().filter(id=id).first()
    if row is None:
        logger.info("The restore %s is not waiting to be made: it was begun already, has ended, or its row is gone.", id)
        return None
    if not _is_fresh(row):
        return None
    try:
        made = _restore if row.purpose == RestorePurpose.RESTORE else _verification
        made(row.request, row=row).run()
    except BegunError as error:
        logger.info("%s", error)
        return None
    except BackupsError as error:
        _end(row, error)
        raise
    logger.info("The %s %s is done.", row.purpose, row.id)
    return row


def _end(row: BackupRestore, error: BackupsError) -> None:
    """Of one that could not even begin, and that no other process has. Raises nothing."""
    try:
        if row.started_at is not None or history.claim(row):
            row.refresh_from_db(fields=["status"])
            if row.status == Status.PENDING:
                history.fail(row, error)
    except (DatabaseError, ObjectDoesNotExist, HistoryError):
        logger.warning("The history does not know yet that the %s %s failed.", row.purpose, row.id, exc_info=True)


def _restore(request: dict[str, Any], *, row: BackupRestore | None = None, user: Any = None) -> DatabaseRestore:
    target = conf.server(request["target"])
    return DatabaseRestore(
        target=replace(target, database=request["new_database"]) if request["new_database"] else target,
        filename=request["filename"],
        database=request["database"],
        environment=request["environment"],
        choices=Choices(neutralize=request["neutralize"]),
        confirm=request["confirm"],
        user=user,
        row=row,
    )


def _verification(request: dict[str, Any], *, row: BackupRestore | None = None, user: Any = None) -> BackupVerification:
    return BackupVerification(**request, row=row, user=user)


def waiting_backups() -> list[BackupHistory]:
    """Rows that nobody has taken for so long that their message may be lost: sent once more, they still run once."""
    rows = BackupHistory.objects.of_environment(conf.current().environment).queued()
    return list(rows.filter(created_at__lt=timezone.now() - PATIENCE).order_by("created_at"))


def waiting_restores() -> list[BackupRestore]:
    """The same of restores, once those that have waited too long are failed."""
    rows = BackupRestore.objects.queued().filter(target_environment=conf.current().environment)
    for row in rows.filter(created_at__lt=timezone.now() - LONGEST_WAIT):
        _is_fresh(row)
    return list(rows.filter(created_at__lt=timezone.now() - PATIENCE).order_by("created_at"))


def _is_fresh(row: BackupRestore) -> bool:
    """What a restore would replace may be another by now than when its name was typed. Fails one that has waited too long."""
    if row.purpose != RestorePurpose.RESTORE or row.created_at >= timezone.now() - LONGEST_WAIT:
        return True
    error = RefusedError(
        f"No worker took this restore within {LONGEST_WAIT.seconds // 60} minutes, so it was given up. Nothing was touched.",
        hint="See whether a worker is alive: icb db health. Then ask for it again.",
    )
    if history.claim(row):
        history.fail(row, error)
    return False
