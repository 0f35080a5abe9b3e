"""Values in the address of the list of backups that none of its filters has: they narrow nothing, and it is said."""

from datetime import MAXYEAR
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.translation import gettext as _

from backups import words
from backups.admin.history_filters import FACETS

_DATES = {"created_at__year": MAXYEAR, "created_at__month": 12, "created_at__day": 31}
_LONGEST = 60  # characters of what somebody has made up


def left_out(request: HttpRequest, model_admin: object) -> tuple[list[str], str]:
    """A sentence for each value that is unknown, and the query without them: "" where nothing is left of it."""
    given = request.GET.copy()
    told = []
    for facet in FACETS:
        name, value = facet.parameter_name or "", given.get(facet.parameter_name or "")
        if value is None:
            continue
        known = [choice for choice, _label in facet({}, {}, None, None).lookups(request, model_admin)]  # type: ignore[arg-type]
        if value not in known:
            told.append(_told(str(facet.title), value))
            del given[name]
    for name, most in _DATES.items():
        value = given.get(name, "1")
        if (
            value.isascii() and value.isdigit() and not (len(value) <= 4 and 1 <= int(value) <= most)
        ):  # Django tells of no numbers
            told.append(_told(_("Date"), value))
            del given[name]
    return told, urlencode([(name, value) for name, values in given.lists() for value in values])


def _told(title: str, value: str) -> str:
    shown = words.printable(value[:_LONGEST])
    return _("The filter “%(title)s” has no “%(value)s”, so it was left out.") % {"title": title, "value": shown}
