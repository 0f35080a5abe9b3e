"""What is done with one backup from its page: prove it, stop it."""

from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from backups import asking
from backups.access import Action
from backups.admin.page import Page, found
from backups.cancelling import cancel
from backups.exceptions import UsageError
from backups.models import BackupHistory, Level
from backups.sentences import sentence


class Acting(Page):
    """Something that a form on the backup's page asks for. Whoever comes without the form, as after signing in anew, is shown
    that page.
    """

    tab = "backups"

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """To the backup."""
        return HttpResponseRedirect(address_of(found(BackupHistory.objects.only("id"), id)))


class Verify(Acting):
    """Queues a verification."""

    needs_to_post: ClassVar[Action | None] = Action.VERIFY

    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """As far as `level` says; without one, until it is restored."""
        row = found(rows(), id)
        level = request.POST.get("level", str(Level.RESTORED))
        if level not in Level.values:
            raise UsageError(
                sentence(gettext_noop("There is no level {level}."), level=f"{level[:20]!r}"),
                hint=sentence(gettext_noop("There are {levels}."), levels=", ".join(Level.values)),
            )
        made = asking.for_verification(row, level=level, user=request.user)
        self.note(object=row.filename, target=str(made.id), detail=level, queued=True)
        return self.done(_("The verification is queued."), to=reverse("backups_panel:restore", args=[made.id]))


class Cancel(Acting):
    """Asks a backup to stop."""

    needs_to_post: ClassVar[Action | None] = Action.RUN

    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """One that is queued never begins; one at work hears it within seconds."""
        row = found(rows(), id)
        cancelled = cancel(str(row.id))
        self.note(object=row.filename)
        if cancelled.was_queued:
            return self.done(_("It was cancelled before it began."), to=address_of(row))
        return self.done(_("It was asked to stop, and does within seconds."), to=address_of(row))


def address_of(row: BackupHistory) -> str:
    """Of a backup's page."""
    return reverse("backups_panel:backup", args=[row.pk])


def rows() -> Any:
    """Without what is long and not needed here."""
    return BackupHistory.objects.defer("table_snapshot", "applied_migrations", "extensions", "warnings", "guards")


urlpatterns = [
    path("<uuid:id>/verify/", Verify.as_page(), name="verify"),
    path("<uuid:id>/cancel/", Cancel.as_page(), name="cancel"),
]
