"""A restore or a verification: its steps while it is at work, then what it found, and the way back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from backups import access, asking, conf, health, next_command
from backups.access import Action
from backups.admin.page import Page, found
from backups.asking import UNENDED
from backups.cancelling import cancel
from backups.exceptions import BackupsError, UsageError
from backups.heartbeats import BACKUPS
from backups.models import BackupRestore, RestoreMode, RestorePurpose, Status
from backups.types import Check, State

# As a restore and a verification tell them, in their order; several phases are one step.
_RESTORE = (
    (gettext_lazy("Checks: the backup, the server, the room for it"), ("checking", "")),
    (
        gettext_lazy("Download and prove the bytes: signature and SHA-256, before anything reads them"),
        ("reading", "downloading", "proving"),
    ),
    (gettext_lazy("Load beside the target, which goes on working"), ("backing up what is there", "loading", "loading in place")),
    (gettext_lazy("Compare with the manifest"), ("comparing",)),
    (
        gettext_lazy("Make it ready: history carried over, sessions emptied where that was wanted"),
        ("neutralizing", "carrying the history over"),
    ),
    (gettext_lazy("Swap the two names, in one transaction"), ("swapping",)),
)
_VERIFICATION = (
    (gettext_lazy("Checks: the backup, the server, the room for it"), ("checking", "")),
    (gettext_lazy("Download and prove the bytes: signature and SHA-256"), ("reading", "downloading", "proving")),
    (gettext_lazy("Decode the whole archive, or load it into a scratch database"), ("decoding", "loading")),
    (gettext_lazy("Compare with the manifest"), ("comparing",)),
    (gettext_lazy("Ask the assertions of the settings"), ("asserting",)),
)


@dataclass(frozen=True)
class Told:
    """What the page says of a row beside its fields."""

    row: BackupRestore

    @property
    def is_restore(self) -> bool:
        """Or a verification."""
        return self.row.purpose == RestorePurpose.RESTORE

    @property
    def is_unended(self) -> bool:
        """Queued, or at work."""
        return self.row.status in UNENDED

    @property
    def is_queued(self) -> bool:
        """Whether nobody has begun it."""
        return self.row.status == Status.PENDING and self.row.started_at is None

    @property
    def progress(self) -> Mapping[str, Any]:
        """What it told last."""
        return self.row.progress or {}

    @property
    def percent(self) -> int | None:
        """Of the bytes of the step that it is at; None where it does not count any."""
        done, total = self.progress.get("done_bytes"), self.progress.get("total_bytes")
        return min(100, 100 * int(done or 0) // int(total)) if total else None

    @property
    def seconds(self) -> float:
        """Since it was begun, or asked for."""
        return max(0.0, (timezone.now() - (self.row.started_at or self.row.created_at)).total_seconds())

    @property
    def steps(self) -> list[dict[str, str]]:
        """All of them, in their order: done, now, to do."""
        all_steps = _RESTORE if self.is_restore else _VERIFICATION
        phase = str(self.progress.get("phase", ""))
        where = next((place for place, (_text, phases) in enumerate(all_steps) if phase in phases), 0)
        where = -1 if self.is_queued else where
        return [_step(str(text), place - where) for place, (text, _phases) in enumerate(all_steps)]

    @property
    def report(self) -> Mapping[str, Any]:
        """How it compared; empty where nothing was compared."""
        return self.row.comparison_report or {}

    @property
    def said(self) -> tuple[str, str]:
        """What went wrong: its first line, and the rest."""
        first, _newline, rest = self.row.error_message.partition("\n")
        return first, rest

    @property
    def untouched(self) -> str:
        """What a failed or cancelled one has left as it was."""
        if not self.is_restore:
            return _("A verification only reads. The backup and every database are as they were.")
        if self.row.started_at is None:
            return _("Everything: it had not begun.")
        if self.row.mode == RestoreMode.IN_PLACE:
            return _("It runs in one transaction: unless the words above say otherwise, all of the target is as it was.")
        return _("The target is as it was: a restore loads beside it, and this one never came to the swap.")

    @cached_property
    def way_back(self) -> "WayBack | None":
        """What could be put back; None where there is nothing, or it is not this site's to do."""
        if not self.is_restore or not self.row.kept_database or self.row.status != Status.SUCCEEDED:
            return None
        try:
            target = asking.target_of(self.row)
        except BackupsError as error:
            return WayBack(database=self.row.kept_database, until=self._until, command="", problem=str(error))
        command = next_command.undo(target, kept=self.row.kept_database)
        return WayBack(database=self.row.kept_database, until=self._until, command=command)

    @property
    def _until(self) -> datetime | None:
        days = conf.current().keep_replaced_days
        return self.row.finished_at + timedelta(days=days) if days and self.row.finished_at else None


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """What was kept. `until` is None where it stays until somebody lets go of it; `problem` says why this site can't."""

    database: str
    until: datetime | None
    command: str
    problem: str = ""


class Restore(Page):
    """The page of one."""

    tab = "restores"

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """Its steps, or what came of it."""
        return self.told(_row(id))

    def told(self, row: BackupRestore, *, wrong: BackupsError | None = None, status: int = 200) -> HttpResponse:
        """The page; with what was wrong in what somebody has typed."""
        told = Told(row)
        template = "backups/restore_running.html" if told.is_unended else "backups/restore.html"
        return self.show(template, status=status, row=row, told=told, worker=_missing_worker(told), wrong=wrong)


class Live(Page):
    """What is fetched each second. One that has ended has a page to show instead."""

    tab = "restores"

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """The part."""
        row = _row(id)
        if "HX-Request" not in request.headers:
            return HttpResponseRedirect(reverse("backups_panel:restore", args=[row.pk]))
        if row.status not in UNENDED:
            return HttpResponse(headers={"HX-Refresh": "true"})  # https://htmx.org/reference/#response_headers
        told = Told(row)
        return self.show("backups/parts/restore_live.html", row=row, told=told, worker=_missing_worker(told))


class StopRestore(Page):
    """Asks it to stop. A restore needs the permission for restores, a verification that for verifications."""

    tab = "restores"
    action = "cancel"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """And leads back to its page."""
        row = _row(id)
        if not access.may(request, Action.RESTORE if row.purpose == RestorePurpose.RESTORE else Action.VERIFY):
            self.note_refusal("The permission is missing.")
            return self.show("backups/forbidden.html", status=403)
        cancel(str(row.id))
        self.note(object=str(row.id), target=row.target_database)
        return self.done(_("It was asked to stop."), to=reverse("backups_panel:restore", args=[row.pk]))


class Undo(Restore):
    """Swaps back what was replaced."""

    needs_to_post: ClassVar[Action | None] = Action.RESTORE

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """Is asked for on the page of the restore."""
        return HttpResponseRedirect(reverse("backups_panel:restore", args=[id]))

    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """Within a second, where the right name was typed."""
        row = _row(id)
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


def _row(id: UUID) -> BackupRestore:
    rows = BackupRestore.objects.select_related("restored_by", "backup").defer("backup__table_snapshot")
    row: BackupRestore = found(rows, id)
    return row


def _missing_worker(told: Told) -> Check | None:
    check = health.worker_of(BACKUPS) if told.is_queued else None
    return check if check is not None and check.state is not State.OK else None


def _step(text: str, distance: int) -> dict[str, str]:
    if distance < 0:
        return {"mark": "check", "state": _("done"), "kind": "", "text": text}
    if distance == 0:
        return {"mark": "turn", "state": _("now"), "kind": "now", "text": text}
    return {"mark": "ring", "state": _("to do"), "kind": "todo", "text": text}
