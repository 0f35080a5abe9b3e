"""Who is meant: a browser, to whom the admin answers, or a program, to whom the API does."""

from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import Resolver404, ResolverMatch, URLResolver, get_script_prefix, include, path, reverse
from django.urls.resolvers import RegexPattern
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from rest_framework.negotiation import BaseContentNegotiation

HTML, JSON = "text/html", "application/json"
PANEL = "backups.admin.urls"  # by name: faces do not import each other


class AlwaysJSON(BaseContentNegotiation):
    """Whatever else a client would like: there is nothing else. https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1"""

    def select_parser(self, request: Any, parsers: Iterable[Any]) -> Any:
        """That of the body's type; None for another one, which is then answered with 415."""
        given = request.content_type.partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == given), None)

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        """The first."""
        return renderers[0], renderers[0].media_type


def prefers_html(request: HttpRequest) -> bool:
    """Whether the admin should answer: the client likes text/html better than JSON, and sends no JSON. `*/*`, or nothing at all,
    likes both the same.
    """
    if (request.content_type or "").lower() == JSON:
        return False
    return _quality(request, HTML) > _quality(request, JSON)


def _quality(request: HttpRequest, media_type: str) -> float:
    """Of the range that fits it best. https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1"""
    fitting = [accepted for accepted in request.accepted_types if accepted.match(media_type)]
    return max(fitting, key=lambda accepted: accepted.specificity).quality if fitting else 0.0


def negotiated(view: Callable[..., HttpResponseBase], *, page: str = "") -> Callable[..., HttpResponseBase]:
    """The API's view, before which browsers get what the admin has at this very address; else the admin's page of that name for
    the object, where one is named; else the API's answer, too.
    """

    @csrf_exempt  # the API's views and the admin's each see to it by themselves
    @wraps(view)  # with what says of a view of the framework's that it is one: the schema looks for it
    def answer(request: HttpRequest, **which: Any) -> HttpResponseBase:
        response = (_page(request, page, which) if prefers_html(request) else None) or view(request, **which)
        patch_vary_headers(response, ["Accept"])
        return response

    return answer


def page_of(request: HttpRequest) -> ResolverMatch | None:
    """The panel's own page at the address of a request, or else the admin's; None where neither has one."""
    prefix = get_script_prefix()
    below, admin_below = (reverse(name).removeprefix(prefix) for name in ("backups_panel:overview", "admin:index"))
    try:
        match = _pages(below, admin_below).resolve(request.path_info)
    except Resolver404:
        return None
    return match if match.url_name is not None else None  # what has no name is the admin's "not found"


def show(request: HttpRequest, match: ResolverMatch) -> HttpResponseBase:
    """The admin's page."""
    request.resolver_match = match
    answer: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    return answer


def _page(request: HttpRequest, page: str, which: dict[str, Any]) -> HttpResponseBase | None:
    if (match := page_of(request)) is not None:
        return show(request, match)
    if page and request.method in ("GET", "HEAD"):
        return HttpResponseRedirect(reverse(page, args=[str(value) for value in which.values()]))
    return None


@cache
def _pages(below: str, admin_below: str) -> URLResolver:
    return URLResolver(RegexPattern(r"^/"), [path(below, include(PANEL)), path(admin_below, admin.site.urls)])
