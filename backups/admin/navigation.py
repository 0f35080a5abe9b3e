"""The panel's own row of links."""

from dataclasses import dataclass

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from backups import access
from backups.access import Action


@dataclass(frozen=True, kw_only=True)
class Tab:
    """One of them. `permission` is Django's name of it."""

    name: str
    label: "str | Promise"
    route: str
    permission: str

    @property
    def address(self) -> str:
        """Where it leads."""
        return reverse(self.route)


_VIEW = access.permission_of(Action.VIEW)
_TABS = (
    Tab(name="overview", label=_("Overview"), route="backups_panel:overview", permission=_VIEW),
    Tab(name="backups", label=_("Backups"), route="admin:backups_backuphistory_changelist", permission=_VIEW),
    Tab(name="storage", label=_("Storage"), route="backups_panel:storage", permission=_VIEW),
    Tab(name="restores", label=_("Restores"), route="admin:backups_backuprestore_changelist", permission=_VIEW),
    Tab(name="schedules", label=_("Schedules"), route="backups_panel:schedules", permission=_VIEW),
    Tab(
        name="audit",
        label=_("Audit log"),
        route="admin:backups_auditentry_changelist",
        permission=access.permission_of(Action.SEE_AUDIT),
    ),
)


def tabs(request: HttpRequest) -> list[Tab]:
    """Those that the viewer may follow."""
    user = request.user
    if not admin.site.has_permission(request):
        return []
    return [tab for tab in _TABS if user.has_perm(tab.permission)]
