"""The list of backups, and what can be done with those that are selected."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.auth import get_user_model
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from backups import access
from backups.access import Action
from backups.admin.bulk import NEEDS, BulkActions
from backups.admin.history_filters import FACETS
from backups.admin.history_list import HistoryList, Totals
from backups.admin.page import forbidden
from backups.admin.read_only import ReadOnlyAdmin
from backups.admin.unknown_filters import left_out
from backups.models import BackupHistory

_USERNAME = f"triggered_by__{get_user_model().USERNAME_FIELD}"
# What a line shows. The rest, tables and migrations of each backup among it, can be megabytes a page.
_COLUMNS = (
    *("id", "filename", "description", "backup_type", "environment", "database", "status", "error_message"),
    *("created_at", "started_at", "finished_at", "duration_seconds", "size_bytes", "database_size_bytes"),
    *("s3_key", "local_path", "stored_at", "readable_at", "verified_at", "bad_at", "missing_at", "pin_reason", "deleted_at"),
    *("progress", "triggered_by", _USERNAME),
)


@admin.register(BackupHistory)
class BackupHistoryAdmin(BulkActions, ReadOnlyAdmin):
    """Backups: to read, and to choose from. Each has its own page in the panel."""

    tab = "backups"
    change_list_template = "backups/history.html"
    list_display = ("backup", "state", "proof", "stored", "whole", "took", "age", "by")
    list_display_links = None
    list_filter = FACETS
    list_per_page = 30
    list_max_show_all = 0
    list_select_related = ("triggered_by",)
    search_fields = ("description", "filename", _USERNAME)
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    paginator = Totals
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    # For their order alone: the template knows what to show.

    @admin.display(ordering="description")
    def backup(self, row: BackupHistory) -> str:
        """Its name."""
        return row.description

    @admin.display(ordering="status")
    def state(self, row: BackupHistory) -> str:
        """What became of it."""
        return row.status

    @admin.display(ordering="verified_at")
    def proof(self, row: BackupHistory) -> str:
        """When it was proven."""
        return str(row.verified_at)

    @admin.display(ordering="size_bytes")
    def stored(self, row: BackupHistory) -> str:
        """Bytes of the dump."""
        return str(row.size_bytes)

    @admin.display(ordering="database_size_bytes")
    def whole(self, row: BackupHistory) -> str:
        """Bytes of the database."""
        return str(row.database_size_bytes)

    @admin.display(ordering="duration_seconds")
    def took(self, row: BackupHistory) -> str:
        """Seconds."""
        return str(row.duration_seconds)

    @admin.display(ordering="created_at")
    def age(self, row: BackupHistory) -> str:
        """When it was asked for."""
        return str(row.created_at)

    @admin.display(ordering=_USERNAME)
    def by(self, row: BackupHistory) -> str:
        """Who wanted it."""
        return str(row.triggered_by)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Every row, without what is large and not shown."""
        return super().get_queryset(request).select_related("triggered_by").only(*_COLUMNS)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[HistoryList]:
        """The panel's."""
        return HistoryList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list; 403 for who may not see it, or not do what was asked for, which the audit notes."""
        wanted = request.POST.get("action", "") if request.method == "POST" else ""
        needed = NEEDS.get(wanted, Action.VIEW)
        for action, name in ((Action.VIEW, "list"), (needed, wanted)):
            if not access.may(request, action):
                return forbidden(request, name or "list", tab=self.tab, needed=action)
        selected = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
        _require_ids(selected)
        if wanted in NEEDS and not selected:
            messages.warning(
                request, _("No backup was ticked, so nothing was done. Tick the box before each that is meant, then press again.")
            )
            return HttpResponseRedirect(request.get_full_path())
        told, query = left_out(request, self)
        if told and request.method != "POST" and "%00" not in request.GET.urlencode():
            for text in told:
                messages.warning(request, text)
            return HttpResponseRedirect(f"{request.path}?{query}" if query else request.path)
        return super().changelist_view(request, extra_context)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """The panel's page of that backup."""
        if request.method not in ("GET", "HEAD") or not access.may(request, Action.VIEW):
            return super().change_view(request, object_id, form_url, extra_context)
        try:
            return HttpResponseRedirect(reverse("backups_panel:backup", args=[UUID(object_id)]))
        except ValueError as error:
            raise Http404 from error


def _require_ids(selected: list[str]) -> None:
    try:
        for id in selected:
            UUID(id)
    except ValueError as error:
        raise BadRequest("What was selected are no backups.") from error
