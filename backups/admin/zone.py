"""Times as the viewer's clock shows them. The browser says its time zone in a cookie; before that it is the backups' own."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from backups import conf

COOKIE = "backups_zone"  # panel.js writes it


def in_viewers_zone(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """The view, whose page is rendered in the viewer's time zone."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **which: Any) -> HttpResponseBase:
        name = request.COOKIES.get(COOKIE, "")
        with timezone.override(ZoneInfo(name if name in _names() else conf.current().time_zone)):
            response = view(request, *args, **which)
            if callable(render := getattr(response, "render", None)):
                render()
            return response

    return answer


@cache
def _names() -> frozenset[str]:
    """The machine's list, walked once: that takes tens of milliseconds."""
    return frozenset(available_timezones())
