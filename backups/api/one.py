"""What every operation on one backup begins with: finding it."""

from typing import Any
from uuid import UUID

from django.db.models import Prefetch
from rest_framework.exceptions import NotFound

from backups.api.base import Operations
from backups.api.rows import BackupSerializer
from backups.models import BackupHistory, BackupRestore


class OfBackups(Operations):
    """Operations on backups."""

    def found(self, id: UUID) -> BackupHistory:
        """Raises NotFound, also where one may not see it."""
        self.require_visible()
        restores = Prefetch("restores", BackupRestore.objects.select_related("restored_by"))
        row = BackupHistory.objects.select_related("triggered_by").prefetch_related(restores).filter(id=id).first()
        if row is None:
            raise NotFound(f"There is no backup {id}.")
        return row

    def told(self, row: BackupHistory) -> Any:
        """As JSON."""
        return BackupSerializer(row, context={"request": self.request}).data
