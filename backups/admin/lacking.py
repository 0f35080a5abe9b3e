"""What somebody lacks who was refused: the permission in words and by its name, and the groups that have it."""

from dataclasses import dataclass

from django.contrib.auth.models import Group
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from backups import access
from backups.access import Action

_TEXTS: dict[Action, "str | Promise"] = {
    Action.VIEW: _("Your account lacks the permission to see backups."),
    Action.RUN: _("Your account lacks the permission to make backups."),
    Action.VERIFY: _("Your account lacks the permission to verify backups."),
    Action.DOWNLOAD: _("Your account lacks the permission to download backups."),
    Action.RESTORE: _("Your account lacks the permission to restore backups, and to undo restores."),
    Action.PRUNE: _("Your account lacks the permission to pin and delete backups."),
    Action.SEE_AUDIT: _("Your account lacks the permission to see the audit log."),
}


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """The sentence, the permission as Django names it, and the groups that have it now, by their names."""

    text: "str | Promise"
    permission: str
    groups: list[str]


def lacking(action: Action) -> Lacking:
    """What that action needs. Raises what Django's database does."""
    permission = access.permission_of(action)
    app, _dot, codename = permission.partition(".")
    holders = Group.objects.filter(permissions__codename=codename, permissions__content_type__app_label=app)
    names = holders.order_by("name").values_list("name", flat=True).distinct()
    return Lacking(text=_TEXTS[action], permission=permission, groups=list(names))
