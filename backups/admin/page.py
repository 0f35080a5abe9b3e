"""What every page of the panel has in common: who may see it, in whose time zone, and how an error is shown."""

from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View

from backups import access, audit, stores
from backups.access import Action
from backups.admin.lacking import lacking
from backups.admin.navigation import tabs
from backups.admin.zone import in_viewers_zone
from backups.exceptions import BackupsError
from backups.statuses import status_of

PROBLEM = "backups/problem.html"  # the page of what went wrong


class Abilities:
    """What the viewer may do, for templates: {% if may.restore %}."""

    def __init__(self, user: Any) -> None:
        self._user = user

    def __getitem__(self, action: str) -> bool:
        return access.may(self._user, Action(action))


def common(request: HttpRequest, **more: Any) -> dict[str, Any]:
    """What the panel's templates need on each page, in Django's admin too: its context, the tabs, `may`."""
    return {**admin.site.each_context(request), "tabs": tabs(request), "may": Abilities(request.user), **more}


def forbidden(request: HttpRequest, action: str, *, tab: str, needed: Action | str | None = Action.VIEW) -> HttpResponse:
    """The page for who may not do that, with 403: what was `needed` (None where nobody may), and who has it. The audit notes
    `action`.
    """
    lacks = lacking(needed)
    why = f"The permission {lacks.permission} is missing." if lacks.permission else "Nobody may."
    _note_refusal(request, action, why)
    return render(request, "backups/forbidden.html", common(request, tab=tab, lacks=lacks), status=403)


class Page(View):
    """A page. A subclass says what it `needs` to be seen, what a POST to it needs, and has `get`, `post` or both.

    An error of ours that they raise becomes a page that says what happened, what was seen and what to do.
    """

    http_method_names = ["get", "head", "post"]
    needs: ClassVar[Action] = Action.VIEW
    needs_to_post: ClassVar[Action | None] = None
    tab: ClassVar[str] = ""  # which of the tabs it belongs to, by its name

    @classmethod
    def as_page(cls) -> Any:
        """The view, behind the admin's sign-in and in the viewer's time zone."""
        return admin.site.admin_view(in_viewers_zone(cls.as_view()))

    def dispatch(self, request: HttpRequest, *args: Any, **which: Any) -> HttpResponseBase:
        """The answer; 403 where one may not, which the audit notes."""
        is_read = request.method in ("GET", "HEAD")
        needed = self.needs if is_read else self.needs_to_post or self.needs
        if not access.may(request, needed):
            return forbidden(request, self.action, tab=self.tab, needed=needed)
        try:
            with stores.for_a_page():
                return super().dispatch(request, *args, **which)
        except BackupsError as error:
            return self.failed(error)
        except Http404:
            return self.show("backups/missing.html", status=404)

    def show(self, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
        """A template, with what each has."""
        return render(self.request, template, common(self.request, tab=self.tab, **context), status=status)

    @property
    def is_asked_whole(self) -> bool:
        """Whether the second of two steps is asked for, where a page has two: see `soon`."""
        return "now" in self.request.GET

    def soon(self, template: str, **context: Any) -> HttpResponse:
        """The first of two steps: a page that is there at once, tells what is being looked at, and fetches the whole.

        For what takes so long that somebody would look at an empty window. `template` extends backups/soon.html.
        """
        given = self.request.GET.copy()
        given["now"] = "1"
        return self.show(template, whole=f"{self.request.path}?{given.urlencode()}", **context)

    def failed(self, error: BackupsError, *, template: str = PROBLEM, **context: Any) -> HttpResponse:
        """What went wrong, as a page: `error`, and where one comes `back` to, which may be to look `again`. What was refused to
        somebody who wanted to change something is noted.
        """
        error.scrub(stores.secrets())
        status = status_of(error)
        if self.request.method == "POST":
            _note_refusal(self.request, self.action, str(error), outcome=outcome_of(error))
        back = ours(self.request, self.request.headers.get("Referer", ""))
        again = self.request.method == "GET" and urlsplit(back).path == self.request.path
        return self.show(template, status=status, error=error, back=back, is_again=again, **context)

    def done(self, message: str, *, to: str) -> HttpResponseRedirect:
        """Said on the next page."""
        messages.success(self.request, message)
        return HttpResponseRedirect(to)

    @property
    def action(self) -> str:
        """What the audit calls it: as the API's operation of the same name."""
        return type(self).__name__.lower()

    def note(self, *, object: str, target: str = "", detail: str = "", queued: bool = False) -> None:
        """What was done, or is only asked for, into the audit."""
        by = audit.By.of_request(self.request)
        outcome = audit.Outcome.QUEUED if queued else audit.Outcome.DONE
        audit.note(action=self.action, outcome=outcome, object=object, target=target, detail=detail, by=by)

    def note_refusal(self, detail: str) -> None:
        """What was refused, into the audit."""
        _note_refusal(self.request, self.action, detail)


def outcome_of(error: BackupsError) -> audit.Outcome:
    """What the audit says of it, as the API does: refused, or failed where something that is needed did not do its part."""
    return audit.Outcome.REFUSED if status_of(error) < 500 else audit.Outcome.FAILED


def _note_refusal(request: HttpRequest, action: str, detail: str, *, outcome: audit.Outcome = audit.Outcome.REFUSED) -> None:
    audit.note(action=action, outcome=outcome, object=request.path, detail=detail, by=audit.By.of_request(request))


def ours(request: HttpRequest, address: str) -> str:
    """The address, where it is of this site; else ""."""
    is_ours = url_has_allowed_host_and_scheme(address, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return address if is_ours else ""


def found(rows: Any, id: object) -> Any:
    """The row. Raises Http404."""
    row = rows.filter(pk=id).first()
    if row is None:
        raise Http404
    return row
