"""The history in Django's admin, to read."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from backups.models import AuditEntry, BackupHistory, BackupRestore

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Model]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """History is written by runs, never by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


@admin.register(BackupHistory)
class BackupHistoryAdmin(ReadOnlyAdmin):
    """Backups."""

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


@admin.register(BackupRestore)
class BackupRestoreAdmin(ReadOnlyAdmin):
    """Restores."""

    list_display = ("source_key", "target_database", "target_host", "mode", "status", "purpose", "duration_seconds", "created_at")
    list_filter = ("status", "purpose", "mode")
    date_hierarchy = "created_at"


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """The audit."""

    list_display = ("at", "actor", "token_name", "address", "channel", "action", "object", "target", "outcome")
    list_filter = ("outcome", "action", "channel")
    search_fields = ("actor", "token_name", "address", "object", "target")
    fields = ("at", "actor", "token_name", "address", "channel", "action", "object", "target", "outcome", "detail")
    date_hierarchy = "at"
