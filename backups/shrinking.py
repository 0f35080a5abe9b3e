"""What a backup says about the one before it: tables that are gone, or have lost many of their rows."""

import logging
from collections.abc import Sequence

from django.db import router, transaction
from django.db.utils import InterfaceError, OperationalError

from backups import conf, history, words
from backups.changes import Kind, TableChange, alarming, compare_tables
from backups.models import BackupHistory
from backups.types import Snapshot, TableRows

LEAST_ROWS = 10  # fewer come and go by themselves
MOST_WARNINGS = 20
_GONE, _LOST = " is gone since ", "% of its rows since "

logger = logging.getLogger(__name__)


def warnings_of(row: BackupHistory, seen: Snapshot) -> list[str]:
    """In words, what has become of the tables since the last backup of this database of this cluster, in this
    environment.

    Raises nothing: that it can't be told is no reason to lose a backup.
    """
    try:
        before = previous(row)
        if before is None:
            return []
        found = alarming(
            compare_tables(_tables_of(before), seen.tables),
            percent=conf.current().shrink_warning_percent,
            least_rows=LEAST_ROWS,
        )
        return _told(found, since=before.filename)
    except Exception:
        logger.warning("The backup %s could not be compared with the one before it.", row.filename, exc_info=True)
        return []


def among(warnings: Sequence[str]) -> list[str]:
    """Those of a backup's warnings that are about tables which have shrunk; the rest is odd in another way."""
    return [warning for warning in warnings if _GONE in warning or _LOST in warning]


def previous(row: BackupHistory) -> BackupHistory | None:
    """The backup that a backup is compared with: the newest before it. Raises what Django's database does."""
    try:
        return _newest_before(row)
    except (OperationalError, InterfaceError):  # the dump took hours, and somebody between us ended the idle connection
        if transaction.get_connection(router.db_for_write(BackupHistory)).in_atomic_block:
            raise
        history.reconnect()
        return _newest_before(row)


def _newest_before(row: BackupHistory) -> BackupHistory | None:
    rows = BackupHistory.objects.succeeded().of_environment(row.environment)
    same = rows.filter(database=row.database, system_identifier=row.system_identifier)
    with transaction.atomic():
        return same.filter(created_at__lte=row.created_at).exclude(pk=row.pk).newest_first().first()


def _tables_of(row: BackupHistory) -> list[TableRows]:
    return [TableRows(**table) for table in row.table_snapshot["tables"]]


def _told(found: Sequence[TableChange], *, since: str) -> list[str]:
    texts = [_words(change, since=since) for change in found[:MOST_WARNINGS]]
    more = len(found) - MOST_WARNINGS
    return [*texts, f"and {words.things(more, 'more table')} like these"] if more > 0 else texts


def _words(change: TableChange, *, since: str) -> str:
    assert change.before is not None
    if change.kind is Kind.GONE:
        return f"{change.name}{_GONE}{since}; it had {words.things(change.before.rows, 'row')}"
    left = change.after.rows if change.after else 0
    lost = -change.rows * 100 // change.before.rows  # 99 where one of a thousand rows is left
    return f"{change.name} has lost {lost}{_LOST}{since}: {words.count(change.before.rows)} → {words.count(left)}"
