"""A restore or a verification: the page of its steps while it is at work, then of what it found, and the way back."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from backups import access, asking, audit, health
from backups.access import Action
from backups.admin import figures
from backups.admin.page import Page, forbidden, found
from backups.admin.restore_report import Report
from backups.admin.restoring_now import Restoring
from backups.admin.ways_back import put_aside, way_back
from backups.cancelling import cancel
from backups.exceptions import BackupsError, RefusedError, UsageError
from backups.heartbeats import BACKUPS
from backups.models import UNENDED, AuditEntry, BackupRestore, RestorePurpose
from backups.sentences import sentence
from backups.types import State


class Restore(Page):
    """The page of one."""

    tab = "restores"
    action = "retrieve"  # as the API's operation, where one may not

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """Its steps, or what came of it."""
        return self.told(_row(id))

    def told(self, row: BackupRestore, *, wrong: BackupsError | None = None, status: int = 200) -> HttpResponse:
        """The page; with what was wrong in what somebody has typed."""
        if row.status in UNENDED:
            command = f"icb db cancel {str(row.id)[:8]}"
            return self.show("backups/restore_running.html", status=status, cancel_command=command, **_running(row))
        report = Report(row)
        may_undo = report.is_kept and access.may(self.request, Action.RESTORE)
        back = way_back(row) if may_undo else None
        aside = put_aside(row) if row.undone_at and access.may(self.request, Action.RESTORE) else None
        return self.show("backups/restore.html", status=status, row=row, report=report, back=back, aside=aside, wrong=wrong)


class Live(Page):
    """What is fetched each second. One that has ended has a page to show instead."""

    tab = "restores"
    action = "retrieve"

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """The part; `said` is at what something was last said aloud."""
        row = _row(id)
        if "HX-Request" not in request.headers:
            return HttpResponseRedirect(reverse("backups_panel:restore", args=[row.pk]))
        if row.status not in UNENDED:
            return HttpResponse(headers={"HX-Refresh": "true"})  # https://htmx.org/reference/#response_headers
        return self.show("backups/parts/restore_live.html", is_part=True, said=request.GET.get("said", ""), **_running(row))


class StopRestore(Page):
    """Asks it to stop. A restore needs the permission for restores, a verification that for verifications."""

    tab = "restores"
    action = "cancel"

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """To its page: so somebody comes here who had to sign in anew."""
        return HttpResponseRedirect(reverse("backups_panel:restore", args=[id]))

    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """And leads back to its page."""
        row = _row(id)
        needed = Action.RESTORE if row.purpose == RestorePurpose.RESTORE else Action.VERIFY
        if not access.may(request, needed):
            return forbidden(request, self.action, tab=self.tab, needed=needed)
        cancel(str(row.id))
        self.note(object=str(row.id), target=row.target_database)
        return self.done(_("It was asked to stop."), to=reverse("backups_panel:restore", args=[row.pk]))


class Undo(Restore):
    """Swaps back what was replaced."""

    action = "undo"
    needs_to_post: ClassVar[Action | None] = Action.RESTORE

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """Is asked for on the page of the restore."""
        return HttpResponseRedirect(reverse("backups_panel:restore", args=[id]))

    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """Within a second, where the right name was typed."""
        row = _row(id)
        if row.undone_at is not None:
            late = _undone_already(row, row.undone_at)
            self.note_refusal(str(late))
            return self.told(row, wrong=late, status=409)
        try:
            undone = asking.undo(row, confirm=request.POST.get("confirm", ""))
        except UsageError as error:
            self.note_refusal(str(error))
            return self.told(row, wrong=error, status=400)
        self.note(object=str(row.id), target=undone.target.address, detail="\n".join((row.kept_database, *undone.problems)))
        for problem in undone.problems:
            messages.warning(request, problem)
        message = _("%(database)s is what it was before. What was there until now stays beside it as %(kept)s.") % {
            "database": undone.target.database,
            "kept": undone.swapped.kept or "–",
        }
        return self.done(message, to=reverse("backups_panel:restore", args=[row.pk]))


def _undone_already(row: BackupRestore, at: datetime) -> RefusedError:
    """Whoever undoes it from a second window is told of the first."""
    undone = AuditEntry.objects.filter(action=Undo.action, object=str(row.id), outcome=audit.Outcome.DONE).first()
    if undone is None:
        return RefusedError(
            sentence(gettext_noop("Nothing was done now. It was undone already: {at}."), at=figures.Moment.of(at))
        )
    said = sentence(
        gettext_noop("Nothing was done now. It was undone already: {at}, by {name}."), at=figures.Moment.of(at), name=undone.actor
    )
    return RefusedError(said)


def _row(id: UUID) -> BackupRestore:
    """What is large is read when it is looked at: the report of one that has ended, and never each second."""
    large = ("table_snapshot", "applied_migrations", "extensions", "warnings", "guards", "progress")
    rows = BackupRestore.objects.select_related("restored_by", "backup")
    row: BackupRestore = found(rows.defer("comparison_report", *(f"backup__{name}" for name in large)), id)
    return row


def _running(row: BackupRestore) -> dict[str, Any]:
    running = Restoring(row=row, now=timezone.now())
    check = health.worker_of(BACKUPS) if running.is_queued else None
    return {"row": row, "running": running, "worker": check if check is not None and check.state is not State.OK else None}


urlpatterns = [
    path("restores/<uuid:id>/", Restore.as_page(), name="restore"),
    path("restores/<uuid:id>/live/", Live.as_page(), name="restore-live"),
    path("restores/<uuid:id>/cancel/", StopRestore.as_page(), name="cancel-restore"),
    path("restores/<uuid:id>/undo/", Undo.as_page(), name="undo"),
]
