"""Questions to the history, by name."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

if TYPE_CHECKING:
    from backups.models import BackupHistory, BackupRestore  # noqa: F401 - ruff does not see it in the base class


class BackupHistoryQuerySet(models.QuerySet["BackupHistory"]):
    """Backups, filtered."""

    def of_environment(self, environment: str) -> "BackupHistoryQuerySet":
        """Those made in one environment."""
        return self.filter(environment=environment)

    def running(self) -> "BackupHistoryQuerySet":
        """Those that say they are running."""
        return self.filter(status="running")

    def checking(self) -> "BackupHistoryQuerySet":
        """Those that have begun, and check whether they can be made."""
        return self.filter(status="pending", started_at__isnull=False)

    def queued(self) -> "BackupHistoryQuerySet":
        """Those that nobody has begun yet."""
        return self.filter(status="pending", started_at__isnull=True)

    def succeeded(self) -> "BackupHistoryQuerySet":
        """Whole backups that were not deleted."""
        return self.filter(status="succeeded", deleted_at__isnull=True)

    def totals(self) -> "BackupHistoryQuerySet":
        """With `total_rows` and `total_tables` of the table snapshot, without reading the snapshot whole."""
        annotated: BackupHistoryQuerySet = self.annotate(
            total_rows=Cast(KT("table_snapshot__total__rows"), models.BigIntegerField()),
            total_tables=Cast(KT("table_snapshot__total__tables"), models.IntegerField()),
        )
        return annotated

    def newest_first(self) -> "BackupHistoryQuerySet":
        """By the time of their making."""
        return self.order_by("-created_at")


class BackupRestoreQuerySet(models.QuerySet["BackupRestore"]):
    """Restores and verifications, filtered."""

    def queued(self) -> "BackupRestoreQuerySet":
        """Those that nobody has begun yet."""
        return self.filter(status="pending", started_at__isnull=True)

    def begun(self) -> "BackupRestoreQuerySet":
        """Those that have begun, and have no end yet."""
        unended: BackupRestoreQuerySet = self.filter(status__in=("pending", "running"))
        return unended.exclude(status="pending", started_at__isnull=True)
