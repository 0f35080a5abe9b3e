"""Answers outside of any operation: where there is nothing, where a request can't be read, and where the history is away."""

import sys
from typing import NoReturn

from django.db import InterfaceError, OperationalError, ProgrammingError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.defaults import bad_request, server_error
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from backups import history
from backups.api import problems
from backups.api.negotiation import AlwaysJSON, prefers_html


class _Outside(APIView):
    """Answers an error to whoever asks, whatever the method."""

    error: Exception = NotFound()
    schema = None
    authentication_classes = ()
    permission_classes = ()
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AlwaysJSON

    def get_exception_handler(self):  # type: ignore[no-untyped-def]
        """Ours."""
        return problems.handle

    def note_refusal(self, request: HttpRequest, problem: problems.Problem) -> None:
        """Nothing was asked of us."""

    def initial(self, request: HttpRequest, *args: object, **kwargs: object) -> NoReturn:
        """Before anything else."""
        raise self.error


def missing(request: HttpRequest) -> HttpResponseBase:
    """404, as a problem."""
    return _told(request, NotFound("There is nothing at this address."))


def unreadable(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """The site's answer to what Django refuses to read: a problem for a program that asks the API, else Django's own page."""
    if _is_for_a_program(request):
        return _told(
            request, ParseError("The request can't be read: its Host, its encoding or its size is none that the site takes.")
        )
    return bad_request(request, exception)


def failed(request: HttpRequest) -> HttpResponseBase:
    """The site's answer where something has failed in it: 503 with what to type where its own database is away or has no tables
    yet, and Django's page for all else. It asks the database for nothing, not even who is signed in; what exactly was seen is in
    the log, as anybody may be looking.
    """
    error = sys.exception()
    if not isinstance(error, Exception) or not _is_away(error):
        return server_error(request)
    away = history.unreachable(error, to_anybody=True)
    if _is_for_a_program(request):
        return _told(request, away)
    page = render_to_string(
        "backups/away.html", {"hint": away.hint, "address": request.get_full_path() if request.method == "GET" else ""}
    )
    return HttpResponse(page, status=503, headers={"Retry-After": problems.RETRY_SECONDS, "Cache-Control": "no-store"})


def _told(request: HttpRequest, error: Exception) -> HttpResponseBase:
    return _Outside.as_view(error=error)(request)


def _is_away(error: Exception) -> bool:
    """Whether nobody answers for the database, or it has no tables. What is wrong with one statement (a deadlock, a value) is not
    that. https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    state = getattr(error.__cause__, "sqlstate", None) or ""
    if isinstance(error, ProgrammingError):
        return state == "42P01"
    return isinstance(error, OperationalError | InterfaceError) and (
        not state or state[:2] in ("08", "28", "3D", "53") or state[:3] == "57P"
    )


def _is_for_a_program(request: HttpRequest) -> bool:
    return request.path_info.startswith(reverse("backups_api:backups")) and not prefers_html(request)
