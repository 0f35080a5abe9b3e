"""The list of restores and verifications; each has a page of its own in the panel."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from backups import access
from backups.access import Action
from backups.admin.read_only import ReadOnlyAdmin
from backups.models import BackupRestore


@admin.register(BackupRestore)
class BackupRestoreAdmin(ReadOnlyAdmin):
    """Restores."""

    tab = "restores"
    change_list_template = "backups/restores.html"
    list_display = ("source_key", "purpose", "status", "target_database", "mode", "duration_seconds", "created_at")
    list_filter = ("purpose", "status", "mode", "level", "verdict")
    search_fields = ("source_key", "target_database", "target_host")
    date_hierarchy = "created_at"
    list_per_page = 50
    show_full_result_count = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As `access` says: whoever may see backups, and nobody by Django's own permission for this table."""
        return access.may(request, Action.VIEW)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without what a list does not show."""
        rows: QuerySet[Any] = super().get_queryset(request).select_related("restored_by", "backup")
        heavy = ("comparison_report", "progress", "request", "backup__table_snapshot", "backup__applied_migrations")
        return rows.defer(*heavy, "backup__extensions", "backup__warnings", "backup__progress")

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """The panel's page of it, for whoever may see it."""
        is_read = request.method in ("GET", "HEAD")
        if not is_read or not self.has_view_permission(request) or (row := self.get_object(request, object_id)) is None:
            return super().change_view(request, object_id, form_url, extra_context)
        return HttpResponseRedirect(reverse("backups_panel:restore", args=[row.pk]))  # an id may be written in several ways
