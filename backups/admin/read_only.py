"""The history in Django's admin: to read, in the panel's look and the viewer's time zone."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ERROR_FLAG, ORDER_VAR, ChangeList
from django.db.models import Model
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _

from backups.access import Action
from backups.admin.page import common, forbidden
from backups.admin.zone import in_viewers_zone

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Model]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnlyList(ChangeList):
    """Django's, where one page is the first, whatever was asked for: Django looks at that only where there are several. And where
    an order by what is no column is none: Django would sort by the key, which is by chance.
    """

    def __init__(self, request: HttpRequest, *given: Any, **named: Any) -> None:
        super().__init__(request, *given, **named)
        if not self.multi_page:
            self.page_num = 1

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        """As asked for, or as the list is by itself."""
        found = list(super().get_ordering(request, queryset))
        asked = self.params.pop(ORDER_VAR, None)
        if asked is None:
            return found
        usual = list(dict.fromkeys(super().get_ordering(request, queryset)))
        if found in (usual, ["-pk"]):
            return usual
        self.params[ORDER_VAR] = asked
        return found


class ReadOnlyAdmin(ModelAdmin):
    """History is written by runs, never by hand. `tab` is the panel's link that its pages belong to."""

    tab = ""
    needed = Action.VIEW  # what who is refused is told that it takes

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

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        """Nobody adds one; the audit notes who tried."""
        return forbidden(request, "add", tab=self.tab, needed=None)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """Nobody deletes one here; the audit notes who tried."""
        return forbidden(request, "delete", tab=self.tab, needed=None)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """What Django's admin has changed, so nothing; 403 for who may not see the row, which the audit notes."""
        if not self.has_view_permission(request):
            return forbidden(request, "retrieve", tab=self.tab, needed=self.needed)
        return super().history_view(request, object_id, extra_context)

    @method_decorator(in_viewers_zone)
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list; 403 for who may not see it, which the audit notes."""
        if not self.has_view_permission(request):
            return forbidden(request, "list", tab=self.tab, needed=self.needed)
        if _is_no_query(request):
            messages.warning(request, _("What was asked for is no filter of this list, so all of it is shown."))
            return HttpResponseRedirect(request.path)
        return super().changelist_view(request, common(request, tab=self.tab) | (extra_context or {}))

    @method_decorator(in_viewers_zone)
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """One row; 403 for who may not see it, or wants to change it, which the audit notes."""
        if request.method not in ("GET", "HEAD"):
            return forbidden(request, "change", tab=self.tab, needed=None)
        if not self.has_view_permission(request):
            return forbidden(request, "retrieve", tab=self.tab, needed=self.needed)
        return super().changeform_view(request, object_id, form_url, common(request, tab=self.tab) | (extra_context or {}))


def _is_no_query(request: HttpRequest) -> bool:
    """Whether Django has found a filter that there is none of, or PostgreSQL could not take what is looked for."""
    return request.method == "GET" and (ERROR_FLAG in request.GET or "%00" in request.GET.urlencode())
