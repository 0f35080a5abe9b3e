"""Carries out what was asked for by a row: whoever takes it first, once, however often its message comes."""

import logging
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from backups import conf, history
from backups.backup import DatabaseBackup
from backups.exceptions import BackupsError, BegunError
from backups.models import BackupHistory

PATIENCE = timedelta(minutes=2)  # with a message that may still be on its way

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
        return story.run()
    except BegunError as error:
        logger.info("%s", error)
        return None


def waiting() -> list[BackupHistory]:
    """Rows that nobody has taken for so long that their message may be lost: sent once more, they still run once."""
    rows = BackupHistory.objects.of_environment(conf.current().environment).queued()
    return list(rows.filter(created_at__lt=timezone.now() - PATIENCE).order_by("created_at"))
