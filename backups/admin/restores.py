"""The list of restores and verifications, and each of them."""

from django.contrib import admin

from backups.admin.read_only import ReadOnlyAdmin
from backups.models import BackupRestore


@admin.register(BackupRestore)
class BackupRestoreAdmin(ReadOnlyAdmin):
    """Restores."""

    tab = "restores"
    list_display = ("source_key", "target_database", "target_host", "mode", "status", "purpose", "duration_seconds", "created_at")
    list_filter = ("status", "purpose", "mode")
    date_hierarchy = "created_at"
