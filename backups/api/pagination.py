"""A page of rows that stays where it is while new ones come: it begins after the last row of the one before.

Only keys, what they are ordered by, and PostgreSQL's mark of each row's version are asked for first: where the client has this
very page already, nothing else is.
"""

from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.db.models import F, Q, QuerySet, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from backups.api.conditional import version
from backups.api.fields import Strict

LARGEST, USUAL = 200, 50
_SALT = "backups.api.cursor"


class PageQuery(Strict):
    """Which page."""

    cursor = serializers.CharField(required=False, max_length=1000, help_text="Of `next` in the page before.")
    page_size = serializers.IntegerField(default=USUAL, min_value=1, max_value=LARGEST)


@dataclass(frozen=True)
class Page:
    """Keys of its rows in order, their versions, and the cursor of the next, "" on the last."""

    ids: list[Any]
    version: str
    cursor: str


def page_of(rows: QuerySet[Any], *, ordering: str, size: int, cursor: str = "") -> Page:
    """One page. `ordering` is a field, with - before it for the largest first; of rows with the same value the id decides.

    Raises ValidationError for a cursor that is none of these rows in this order.
    """
    order = f"{rows.model._meta.label}.{ordering}"
    name, descends = ordering.removeprefix("-"), ordering.startswith("-")
    field = rows.model._meta.get_field(name)
    rows = rows.annotate(placed_by=Coalesce(name, Value(-1, output_field=field)) if field.null else F(name))
    if cursor:
        rows = rows.filter(_after(*_read(cursor, order), descends=descends))
    sign = "-" if descends else ""
    rows = rows.annotate(row_version=RawSQL("xmin::text", ())).order_by(f"{sign}placed_by", f"{sign}pk")
    found = list(rows.values_list("pk", "placed_by", "row_version")[: size + 1])
    some = found[:size]
    following = _write(order, some[-1]) if len(found) > size else ""
    return Page([pk for pk, *_rest in some], version((str(pk), mark) for pk, _value, mark in found), following)


def next_url(request: Request, cursor: str) -> str | None:
    """The address of the next page; None where this is the last."""
    if not cursor:
        return None
    query = request.query_params.copy()
    query["cursor"] = cursor
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


def _after(value: Any, pk: str, *, descends: bool) -> Q:
    way = "lt" if descends else "gt"
    return Q(**{f"placed_by__{way}": value}) | Q(placed_by=value, **{f"pk__{way}": pk})


def _write(order: str, row: tuple[Any, Any, Any]) -> str:
    value = row[1].isoformat() if hasattr(row[1], "isoformat") else row[1]
    return signing.dumps([value, str(row[0])], salt=_SALT + order)


def _read(cursor: str, order: str) -> tuple[Any, str]:
    try:
        value, pk = signing.loads(cursor, salt=_SALT + order)
    except (signing.BadSignature, ValueError) as error:
        raise ValidationError(
            {"cursor": ["This is not the cursor of a page in this order. Begin with the first page."]}
        ) from error
    return value, pk
