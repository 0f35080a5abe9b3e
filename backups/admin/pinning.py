"""Pins, from the page of a backup and from the list: the reason is asked for, then what is pinned retention keeps."""

from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import messages
from django.contrib.admin import helpers
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils.translation import gettext as _

from backups import catalog
from backups.access import Action
from backups.admin import obstacles
from backups.admin.acting import Acting, address_of, rows
from backups.admin.page import found
from backups.models import BackupHistory
from backups.prune import is_reason, pin, unpin


class Pin(Acting):
    """Keeps a backup, whatever the retention policy says."""

    needs_to_post: ClassVar[Action | None] = Action.PRUNE

    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """For the `reason` that is given; without one that can be kept the form is there again, with what was typed."""
        row = found(rows(), id)
        obstacles.require_usable(row)
        reason = reason_of(request)
        if not is_reason(reason):
            self.note_refusal("No reason was given that can be kept.")
            form = form_for(request, [row], address=request.path, back=address_of(row), is_wrong=True)
            return self.show("backups/pin.html", status=400, **form)
        pinned = pin(catalog.key_of(row), reason=reason)
        self.note(object=row.filename, detail=pinned.reason)
        return self.done(_("It is pinned: retention keeps it until it is unpinned."), to=address_of(row))


class Unpin(Acting):
    """Lets the retention policy judge a backup again."""

    needs_to_post: ClassVar[Action | None] = Action.PRUNE

    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """Where it was not pinned that is said, and harmless."""
        row = found(rows(), id)
        obstacles.require_usable(row)
        unpinned = unpin(catalog.key_of(row))
        if not unpinned.was_pinned:
            messages.warning(request, _("It was not pinned. Nothing was changed."))
            return HttpResponseRedirect(address_of(row))
        self.note(object=row.filename, detail=unpinned.before)
        return self.done(_("The pin is removed: the retention policy judges it again."), to=address_of(row))


def reason_of(request: HttpRequest) -> str:
    """What was typed, in one line."""
    return " ".join(request.POST.get("reason", "").split())


def form_for(request: HttpRequest, chosen: Iterable[BackupHistory], *, address: str, back: str, is_wrong: bool) -> dict[str, Any]:
    """What the page that asks for the reason needs: it sends to `address`, and "Not now" leads `back`."""
    return {
        "rows": list(chosen),
        "selected": helpers.ACTION_CHECKBOX_NAME,
        "longest": catalog.LONGEST_REASON,
        "reason": request.POST.get("reason", ""),
        "is_wrong": is_wrong,
        "address": address,
        "back": back,
    }


urlpatterns = [
    path("<uuid:id>/pin/", Pin.as_page(), name="pin"),
    path("<uuid:id>/unpin/", Unpin.as_page(), name="unpin"),
]
