"""What somebody lacks who was refused: the permission in words and by its name, and the groups that have it."""

from dataclasses import dataclass, field

from django.contrib.auth.models import Group
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from backups import access
from backups.access import Action

CHANGE_SCHEDULES = "django_celery_beat.change_periodictask"
_TEXTS: dict[str, "str | Promise"] = {
    Action.VIEW: _("Your account lacks the permission to see backups."),
    Action.RUN: _("Your account lacks the permission to make backups."),
    Action.VERIFY: _("Your account lacks the permission to verify backups."),
    Action.DOWNLOAD: _("Your account lacks the permission to download backups."),
    Action.RESTORE: _("Your account lacks the permission to restore backups, and to undo restores."),
    Action.PRUNE: _("Your account lacks the permission to pin and delete backups."),
    Action.SEE_AUDIT: _("Your account lacks the permission to see the audit log."),
    CHANGE_SCHEDULES: _("Your account lacks the permission to change schedules."),
}


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """The sentence, the permission as Django names it ("" for what is nobody's), and the groups that have it now."""

    text: "str | Promise"
    permission: str = ""
    groups: list[str] = field(default_factory=list)


def lacking(needed: Action | str | None) -> Lacking:
    """What that action needs, or the permission of that name; None is what nobody may. Raises what Django's database does."""
    if needed is None:
        return Lacking(text=_("Nobody writes the history by hand: it tells what backups and restores have done."))
    permission = access.permission_of(needed) if isinstance(needed, Action) else needed
    app, _dot, codename = permission.partition(".")
    holders = Group.objects.filter(permissions__codename=codename, permissions__content_type__app_label=app)
    names = holders.order_by("name").values_list("name", flat=True).distinct()
    return Lacking(text=_TEXTS[needed], permission=permission, groups=list(names))
