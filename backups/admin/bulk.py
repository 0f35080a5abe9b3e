"""What can be done with the backups that are selected in the list: each action names its permission."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from backups import access, asking, audit, catalog, prune, stores
from backups.access import Action
from backups.admin import obstacles, pinning, taking
from backups.admin.page import common, outcome_of
from backups.exceptions import (
    BackupsError,
    ChecksumError,
    HistoryError,
    NoRoomError,
    NoWorkerError,
    ObjectDeniedError,
    ObjectExistsError,
    ObjectMissingError,
    RefusedError,
    StorageError,
)
from backups.models import BackupHistory, Level, Status
from backups.sentences import sentence, translated

SHOWN = 5  # of what could not be done; the audit has all
LONGEST_SECONDS = 60  # then no other is begun: somebody waits, and a thread of the web with them
# What stands in the way of one would stand in the way of all; but for what a store says of a single object.
_OF_ALL = (NoRoomError, NoWorkerError, StorageError, HistoryError)
_OF_ONE = (ChecksumError, ObjectDeniedError, ObjectExistsError, ObjectMissingError)
NEEDS = {
    "compare": Action.VIEW,
    "verify": Action.VERIFY,
    "pin": Action.PRUNE,
    "unpin": Action.PRUNE,
    "download": Action.DOWNLOAD,
    "delete": Action.PRUNE,
}

if TYPE_CHECKING:
    Base = admin.ModelAdmin[BackupHistory]
else:
    Base = object


class BulkActions(Base):
    """Django's actions; a ModelAdmin has them beside itself."""

    actions = tuple(NEEDS)

    def has_verify_permission(self, request: HttpRequest) -> bool:
        """As `access` says."""
        return access.may(request, Action.VERIFY)

    def has_download_permission(self, request: HttpRequest) -> bool:
        """As `access` says."""
        return access.may(request, Action.DOWNLOAD)

    def has_prune_permission(self, request: HttpRequest) -> bool:
        """As `access` says."""
        return access.may(request, Action.PRUNE)

    @admin.action(permissions=["view"], description=gettext_lazy("Compare two"))
    def compare(self, request: HttpRequest, queryset: QuerySet[BackupHistory]) -> HttpResponse:
        """To the page that tells what has changed from the older to the newer one."""
        chosen = list(queryset.order_by("created_at", "pk")[:3])
        if len(chosen) != 2:
            return _told(request, _("Select exactly two backups, to compare them."))
        if gone := [why for why in map(obstacles.to_using, chosen) if why]:
            return _told(request, " ".join(translated(text) for text in (*gone, obstacles.another())))
        return HttpResponseRedirect(reverse("backups_panel:diff", args=[row.pk for row in chosen]))

    @admin.action(permissions=["download"], description=gettext_lazy("Download"))
    def download(self, request: HttpRequest, queryset: QuerySet[BackupHistory]) -> HttpResponse:
        """To the page that has the link of each: see there why not to the bytes."""
        ids = list(queryset.values_list("pk", flat=True)[: taking.MOST + 1])
        if len(ids) > taking.MOST:
            return _told(request, _("Select at most %(most)s backups, to download them.") % {"most": taking.MOST})
        return HttpResponseRedirect(f"{reverse('backups_panel:downloads')}?{urlencode([('id', id) for id in ids])}")

    @admin.action(permissions=["prune"], description=gettext_lazy("Delete…"))
    def delete(self, request: HttpRequest, queryset: QuerySet[BackupHistory]) -> HttpResponse | None:
        """To the page that asks for its filename."""
        return self._of_one(request, queryset, "backups_panel:delete", _("Select one backup, to delete it."))

    @admin.action(permissions=["verify"], description=gettext_lazy("Verify"))
    def verify(self, request: HttpRequest, queryset: QuerySet[BackupHistory]) -> None:
        """Queues a verification of each."""
        if self._is_too_much(request, queryset, action="verify"):
            return

        def queue(row: BackupHistory) -> dict[str, str]:
            made = asking.for_verification(row, level=Level.RESTORED, user=request.user)
            return {"target": str(made.id), "detail": str(Level.RESTORED)}

        done = self._each(
            request,
            queryset,
            action="verify",
            do=queue,
            outcome=audit.Outcome.QUEUED,
        )
        if done:
            text = ngettext("%(count)s verification is queued.", "%(count)s verifications are queued.", done)
            self.message_user(request, text % {"count": done}, messages.SUCCESS)

    @admin.action(permissions=["prune"], description=gettext_lazy("Pin…"))
    def pin(self, request: HttpRequest, queryset: QuerySet[BackupHistory]) -> HttpResponse | None:
        """Asks for the reason, of those that can be pinned; then pins each."""
        if self._is_too_much(request, queryset, action="pin"):
            return None
        reason = pinning.reason_of(request)
        if not prune.is_reason(reason):
            return self._reason_wanted(request, queryset)

        def keep(row: BackupHistory) -> dict[str, str]:
            obstacles.require_usable(row)
            return {"detail": prune.pin(catalog.key_of(row), reason=reason).reason}

        done = self._each(request, queryset, action="pin", do=keep)
        if done:
            text = ngettext("%(count)s backup is pinned: %(reason)s", "%(count)s backups are pinned: %(reason)s", done)
            self.message_user(request, text % {"count": done, "reason": reason}, messages.SUCCESS)
        return None

    @admin.action(permissions=["prune"], description=gettext_lazy("Unpin"))
    def unpin(self, request: HttpRequest, queryset: QuerySet[BackupHistory]) -> None:
        """Lets retention judge each again."""
        if self._is_too_much(request, queryset, action="unpin"):
            return

        def let_go(row: BackupHistory) -> dict[str, str]:
            obstacles.require_usable(row)
            unpinned = prune.unpin(catalog.key_of(row))
            if not unpinned.was_pinned:
                raise RefusedError(sentence(gettext_noop("It was not pinned, and nothing was changed.")))
            return {"detail": unpinned.before}

        done = self._each(request, queryset, action="unpin", do=let_go)
        if done:
            text = ngettext("%(count)s backup is no longer pinned.", "%(count)s backups are no longer pinned.", done)
            self.message_user(request, text % {"count": done}, messages.SUCCESS)

    def _reason_wanted(self, request: HttpRequest, queryset: QuerySet[BackupHistory]) -> HttpResponse | None:
        """The page between: its form sends the same action again. What can't be pinned is refused before anything is asked."""
        refused = queryset.filter(~Q(status=Status.SUCCEEDED) | Q(deleted_at__isnull=False))
        self._each(request, refused, action="pin", do=obstacles.require_usable)
        chosen = list(queryset.filter(status=Status.SUCCEEDED, deleted_at=None))
        if not chosen:
            return None
        is_wrong, address = "reason" in request.POST, request.get_full_path()
        told = common(
            request, tab="backups", **pinning.form_for(request, chosen, address=address, back=address, is_wrong=is_wrong)
        )
        return render(request, "backups/pin.html", told, status=400 if is_wrong else 200)

    def _of_one(self, request: HttpRequest, queryset: QuerySet[BackupHistory], route: str, otherwise: str) -> HttpResponse | None:
        ids = list(queryset.values_list("pk", flat=True)[:2])
        if len(ids) != 1:
            return _told(request, otherwise)
        return HttpResponseRedirect(reverse(route, args=ids))

    def _is_too_much(self, request: HttpRequest, queryset: QuerySet[BackupHistory], *, action: str) -> bool:
        """Whether more are selected than a page shows: somebody would wait for each. It is said, and noted."""
        most = self.list_per_page
        if queryset.count() <= most:
            return False
        why = sentence(
            gettext_noop("Nothing was done. Select at most {most} backups at once: as many as a page shows."), most=most
        )
        self.message_user(request, translated(why), messages.ERROR)
        by = audit.By.of_request(request)
        audit.note(action=action, outcome=audit.Outcome.REFUSED, object=request.path, detail=str(why), by=by)
        return True

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[BackupHistory],
        *,
        action: str,
        do: Callable[[BackupHistory], dict[str, str] | None],
        outcome: audit.Outcome = audit.Outcome.DONE,
    ) -> int:
        """How many of them it was done with; `do` returns what is noted of one beside its name. What could not be done is said,
        and noted. Where no other would fare better, or it has taken too long, the rest is not tried.
        """
        rows, failed, done, tried, until = list(queryset), [], 0, 0, monotonic() + LONGEST_SECONDS
        with stores.for_a_page():
            for row in rows:
                tried += 1
                try:
                    _note(request, action, outcome, row, **(do(row) or {}))
                    done += 1
                except BackupsError as error:
                    error.scrub(stores.secrets())
                    _note(request, action, outcome_of(error), row, detail=str(error))
                    why = {"filename": row.filename, "why": f"{translated(error.message)} {translated(error.hint)}".strip()}
                    failed.append(_("Not done with %(filename)s: %(why)s") % why)
                    if isinstance(error, _OF_ALL) and not isinstance(error, _OF_ONE):
                        break
                if monotonic() >= until:
                    break
        for text in (*failed[:SHOWN], *_more(len(failed) - SHOWN), *_not_tried(rows[tried:])):
            self.message_user(request, text, messages.ERROR)
        return done


def _told(request: HttpRequest, text: str) -> HttpResponse:
    """Said on the same page."""
    messages.warning(request, text)
    return HttpResponseRedirect(request.get_full_path())


def _more(number: int) -> list[str]:
    """Of how many nothing else is said, where there are any."""
    if number <= 0:
        return []
    return [ngettext("%(count)s more could not be done.", "%(count)s more could not be done.", number) % {"count": number}]


def _not_tried(rows: Sequence[BackupHistory]) -> list[str]:
    if not rows:
        return []
    text = ngettext("%(count)s more was not tried.", "%(count)s more were not tried.", len(rows))
    return [text % {"count": len(rows)}]


def _note(
    request: HttpRequest, action: str, outcome: audit.Outcome, row: BackupHistory, *, target: str = "", detail: str = ""
) -> None:
    by = audit.By.of_request(request)
    audit.note(action=action, outcome=outcome, object=row.filename, target=target, detail=detail, by=by)
