"""Conditional requests: whoever polls and has the answer already is told just that.

https://www.rfc-editor.org/rfc/rfc9110#section-13

Versions come from PostgreSQL's own mark of a row (xmin: the transaction that wrote it), so that nothing need be read or written
for them. https://www.postgresql.org/docs/current/ddl-system-columns.html
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.utils.cache import get_conditional_response
from rest_framework.request import Request
from rest_framework.response import Response

CACHE = "private, no-cache"  # keep it, and ask each time


def versions_of(*some: QuerySet[Any]) -> str:
    """The version of all these rows together."""
    marked = (rows.order_by("pk").annotate(row_version=RawSQL("xmin::text", ())) for rows in some)
    return version((str(pk), mark) for rows in marked for pk, mark in rows.values_list("pk", "row_version"))


def version(marks: Iterable[tuple[str, str]]) -> str:
    """One text for many rows' marks."""
    return hashlib.sha256("".join(f"{pk} {mark}\n" for pk, mark in marks).encode()).hexdigest()


def etag_of(request: Request, version: str, basis: str = "") -> str:
    """Weak, since the same may be written in more than one way; of this address as it was asked for, query and host included.
    `basis` is what the answer depends on besides.
    """
    asked = f"{request.build_absolute_uri()}\n{version}\n{basis}"
    return f'W/"{hashlib.sha256(asked.encode()).hexdigest()[:32]}"'


def unchanged(request: Request, etag: str) -> Response | None:
    """304 where the client has it already. `*` would be whatever there is, also where there is nothing: it is not heard here."""
    if request.headers.get("If-None-Match", "").strip() == "*":
        return None
    told = get_conditional_response(request._request, etag=etag)
    return tagged(Response(status=told.status_code), etag) if told is not None else None


def tagged(response: Response, etag: str) -> Response:
    """With its ETag."""
    response["ETag"], response["Cache-Control"] = etag, CACHE
    return response
