"""The list of backups, and each of them."""

from django.contrib import admin

from backups.admin.read_only import ReadOnlyAdmin
from backups.models import BackupHistory


@admin.register(BackupHistory)
class BackupHistoryAdmin(ReadOnlyAdmin):
    """Backups."""

    tab = "backups"
    list_display = (
        "filename",
        "status",
        "backup_type",
        "environment",
        "database",
        "size_bytes",
        "duration_seconds",
        "created_at",
    )
    list_filter = ("status", "backup_type", "environment", "database")
    search_fields = ("filename", "description")
    date_hierarchy = "created_at"
