"""The history in Django's admin: to read, in the panel's look and the viewer's time zone."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model
from django.http import HttpRequest
from django.utils.decorators import method_decorator

from backups.admin.page import common, forbidden
from backups.admin.zone import in_viewers_zone

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Model]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnlyList(ChangeList):
    """Django's, where one page is the first, whatever was asked for: Django looks at that only where there are several."""

    def __init__(self, request: HttpRequest, *given: Any, **named: Any) -> None:
        super().__init__(request, *given, **named)
        if not self.multi_page:
            self.page_num = 1


class ReadOnlyAdmin(ModelAdmin):
    """History is written by runs, never by hand. `tab` is the panel's link that its pages belong to."""

    tab = ""

    def get_changelist(self, request: HttpRequest, **given: Any) -> type[ChangeList]:
        """Of its rows."""
        return ReadOnlyList

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    @method_decorator(in_viewers_zone)
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list; 403 for who may not see it, which the audit notes."""
        if not self.has_view_permission(request):
            return forbidden(request, "list", tab=self.tab)
        return super().changelist_view(request, common(request, tab=self.tab) | (extra_context or {}))

    @method_decorator(in_viewers_zone)
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """One row; 403 for who may not see it, which the audit notes."""
        if not self.has_view_permission(request):
            return forbidden(request, "retrieve", tab=self.tab)
        return super().changeform_view(request, object_id, form_url, common(request, tab=self.tab) | (extra_context or {}))
