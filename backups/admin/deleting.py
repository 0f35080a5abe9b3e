"""Backups that are let go of: what the policy would, and one by its typed name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from backups import asking, conf, prune
from backups.access import Action
from backups.admin import figures
from backups.admin.page import Page, found
from backups.admin.warned import warnings_for
from backups.models import BackupHistory, Status
from backups.prune import BackupPruning, Fate, Judged
from backups.prune.deleting import newer_is_verified
from backups.prune.rules import EXAMPLE
from backups.retention import Policy
from backups.retention.policy import KEEP_RULES

MOST = 200  # lines of one table
MANY = 1000  # backups: to hold more against the bucket takes seconds, as it tells a thousand keys at a time
LIST = "admin:backups_backuphistory_changelist"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """Backups of one fate, as many as are shown; `row` of each is None where the history does not know it."""

    lines: Sequence[tuple[Judged, BackupHistory | None]]
    number: int
    bytes: int

    @property
    def more(self) -> int:
        """How many are not shown."""
        return self.number - len(self.lines)


class Prune(Page):
    """What the retention policy keeps and lets go of, each with the rule that decided it; as icb db prune --dry-run does. Of many
    backups it is first what the history alone tells, and says so.
    """

    tab = "backups"
    needs_to_post = Action.PRUNE

    def get(self, request: HttpRequest) -> HttpResponse:
        """As a page. Nothing is changed. Held against the bucket, many come in two steps: nobody looks at an empty window."""
        if self._is_of_bucket and not self.is_asked_whole and (number := _stored()) > MANY:
            return self.soon("backups/prune_soon.html", number=number, environment=conf.current().environment)
        return self._plan()

    def post(self, request: HttpRequest) -> HttpResponse:
        """Queues the prune, once the environment's name was typed."""
        environment = conf.current().environment
        if request.POST.get("name", "").strip() != environment:
            self.note_refusal("Another name was typed than the environment's.")
            return self._plan(is_wrong=True, status=400)
        asking.for_prune()
        self.note(object=environment, queued=True)
        text = _("The prune is queued. What it deletes is marked as deleted here; what it can't delete is told as an incident.")
        return self.done(text, to=reverse(LIST))

    @property
    def _is_of_bucket(self) -> bool:
        return "bucket" in self.request.GET

    def _plan(self, *, is_wrong: bool = False, status: int = 200) -> HttpResponse:
        planned = BackupPruning().plan(by_history=not self._is_of_bucket and _stored() > MANY)
        return self.show(
            "backups/prune.html",
            status=status,
            has_rules=prune.has_rules(planned.policy),
            rules=rules_of(planned.policy),
            example=f"BACKUPS_RETENTION='{EXAMPLE}'",
            planned=planned,
            going=_listed(planned.of(Fate.OBSOLETE)),
            warned=warnings_for(one.candidate.filename for one in planned.of(Fate.OBSOLETE)),
            staying=_listed(planned.of(Fate.KEEP)),
            has_proof=any(one.candidate.is_verified for one in planned.backups),
            environment=conf.current().environment,
            is_wrong=is_wrong,
        )


class Delete(Page):
    """One backup, for good: object, manifest and local copy. Its row stays, and tells when."""

    tab = "backups"
    needs = needs_to_post = Action.PRUNE

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """What would go, and what stands against it as far as the history knows; nothing is asked of the stores."""
        return self._asked(found(_rows(), id))

    def post(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """Deletes it, once its filename was typed."""
        row = found(BackupHistory.objects.defer("table_snapshot", "applied_migrations", "extensions"), id)
        if request.POST.get("name", "").strip() != row.filename:
            self.note_refusal("Another name was typed than the backup's.")
            return self._asked(found(_rows(), id), is_wrong=True, status=400)
        gone = prune.delete_one(row)
        self.note(object=row.filename, detail=f"{gone.copies} copies, {gone.size_bytes} bytes each")
        text = ngettext(
            "Deleted: %(filename)s, %(copies)s copy of %(size)s.",
            "Deleted: %(filename)s, %(copies)s copies of %(size)s each.",
            gone.copies,
        )
        told = {"filename": gone.filename, "copies": gone.copies, "size": figures.size(gone.size_bytes)}
        return self.done(text % told, to=reverse(LIST))

    def _asked(self, row: BackupHistory, *, is_wrong: bool = False, status: int = 200) -> HttpResponse:
        return self.show(
            "backups/delete.html",
            status=status,
            row=row,
            obstacle=obstacle_of(row),
            warning=warnings_for([row.filename]).get(row.filename),
            places=_places(row),
            is_wrong=is_wrong,
        )


def obstacle_of(row: Any) -> str:
    """Why it must stay, as far as the history knows, in a sentence; "" where nothing is known. `row` has `has_newer`."""
    here = conf.current().environment
    if row.environment != here:
        told = {"environment": row.environment, "here": here}
        return _("It is a backup of the environment %(environment)s, and this site is of %(here)s.") % told
    if row.deleted_at is not None:
        return _("It was deleted already, %(clock)s.") % {"clock": figures.clock(row.deleted_at)}
    if row.status != Status.SUCCEEDED:
        return _("It is no whole backup, and nothing of it is stored. Its row is history, and stays.")
    if row.pin_reason:
        return _("It is pinned: %(reason)s. Take the pin away first.") % {"reason": row.pin_reason}
    if not row.has_newer:
        return _("No newer backup of this database is verified. Verify a newer one first; then this one may go.")
    return ""


def rules_of(policy: Policy) -> list[str]:
    """The rules of a policy, each in words."""
    told = [_rule(name, value) for name in (*KEEP_RULES, "minimum_age_days") if (value := getattr(policy, name)) is not None]
    if policy.maximum_total_bytes is not None:
        told.append(_("at most %(size)s of each database") % {"size": figures.size(policy.maximum_total_bytes)})
    return told


def _rule(name: str, number: int) -> str:
    said = {
        "keep_last": ngettext("the last %(number)s verified", "the last %(number)s verified", number),
        "hourly": ngettext("%(number)s hourly", "%(number)s hourly", number),
        "daily": ngettext("%(number)s daily", "%(number)s daily", number),
        "weekly": ngettext("%(number)s weekly", "%(number)s weekly", number),
        "monthly": ngettext("%(number)s monthly", "%(number)s monthly", number),
        "yearly": ngettext("%(number)s yearly", "%(number)s yearly", number),
        "minimum_age_days": ngettext("everything younger than %(number)s day", "everything younger than %(number)s days", number),
    }
    return said[name] % {"number": number}


def _stored() -> int:
    return BackupHistory.objects.of_environment(conf.current().environment).succeeded().count()


def _listed(judged: Sequence[Judged]) -> Listed:
    shown = judged[:MOST]
    known = BackupHistory.objects.only("id", "description").in_bulk([one.candidate.id for one in shown])
    return Listed(
        lines=[(one, known.get(one.candidate.id)) for one in shown],
        number=len(judged),
        bytes=sum(one.candidate.size_bytes for one in judged),
    )


def _rows() -> Any:
    large = ("table_snapshot", "applied_migrations", "extensions", "warnings", "progress", "guards")
    return BackupHistory.objects.defer(*large).annotate(has_newer=newer_is_verified())


def _places(row: BackupHistory) -> list[str]:
    """Where its copies are, or were, as the history knows it; of what is no whole backup nothing is anywhere."""
    if row.status != Status.SUCCEEDED:
        return []
    return [place for place in (f"{row.bucket}/{row.s3_key}" if row.s3_key else "", row.local_path) if place]


urlpatterns = [
    path("prune/", Prune.as_page(), name="prune"),
    path("<uuid:id>/delete/", Delete.as_page(), name="delete"),
]
