"""Errors as application/problem+json: what happened, what was seen, what to do. https://www.rfc-editor.org/rfc/rfc9457

Each has a `type` that does not change; docs/api.md lists them.
"""

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import SuspiciousOperation
from django.db import Error as DatabaseError
from django.http import Http404
from rest_framework import exceptions as rest
from rest_framework.response import Response
from rest_framework.views import set_rollback

from backups import exceptions, history, statuses, stores
from backups.api.rows import url_of
from backups.exceptions import BackupsError

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:icb:problem:"
RETRY_SECONDS = "30"

_FRAMEWORK: tuple[tuple[type[rest.APIException], str], ...] = (
    (rest.ValidationError, "invalid"),
    (rest.ParseError, "malformed"),
    (rest.NotAuthenticated, "not-authenticated"),
    (rest.AuthenticationFailed, "not-authenticated"),
    (rest.PermissionDenied, "forbidden"),
    (rest.NotFound, "not-found"),
    (rest.MethodNotAllowed, "method-not-allowed"),
    (rest.UnsupportedMediaType, "unsupported-media-type"),
    (rest.Throttled, "throttled"),
)
_HINTS = {
    "not-authenticated": "Bring a token that is valid: Authorization: Bearer icb_… An administrator makes one: icb token create",
    "forbidden": "An administrator can give the permission, or a larger scope. A session must bring its CSRF token, too.",
    "method-not-allowed": "The schema tells the methods of each address.",
    "unsupported-media-type": "Send JSON, with Content-Type: application/json",
    "throttled": "Wait as long as Retry-After says.",
}
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS)
KINDS = sorted(statuses.KINDS | {kind for _error, kind in _FRAMEWORK} | {"failed"})

logger = logging.getLogger(__name__)


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """A problem that only this face has. `members` are told beside the usual ones; `reason` is for the audit alone."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        kind: str,
        detail: str = "",
        hint: str = "",
        headers: dict[str, str] | None = None,
        reason: str = "",
        **members: Any,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.detail, self.hint = status, kind, message, detail, hint
        self.headers, self.members, self.reason = headers or {}, members, reason


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """The answer to whatever a view has raised, as the REST framework asks for it. Refusals are noted in the audit."""
    set_rollback()
    problem = _problem_of(error, context["request"])
    request, view = context["request"], context["view"]
    if problem.status in _REFUSALS or problem.reason or request.method in ("POST", "DELETE"):
        view.note_refusal(request, problem)
    return response_of(problem, instance=request.path)


def hidden() -> Problem:
    """Of what one may not see: as of what there is none of."""
    return Problem("Not found.", status=404, kind="not-found", reason="The permission to view is missing.")


def response_of(problem: Problem, *, instance: str) -> Response:
    """A problem as an answer."""
    body = {
        "type": PREFIX + problem.kind,
        "title": problem.message,
        "status": int(problem.status),
        "detail": problem.detail,
        "hint": problem.hint,
        "instance": instance,
        **problem.members,
    }
    return Response(_encodable(body), status=problem.status, headers=problem.headers, content_type=MEDIA_TYPE)


def _is_known(request: Any) -> bool:
    """Whether it is known who asks. `user` would ask the database, which may be away; the framework keeps whom it has found."""
    return bool(getattr(getattr(request, "_user", None), "is_authenticated", False))


def _problem_of(error: Exception, request: Any) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, DatabaseError):
        logger.error("The history could not be used", exc_info=error)
        error = history.unreachable(error, to_anybody=not _is_known(request))
    if isinstance(error, exceptions.OfRunError):
        return _of_run(error, request)
    if isinstance(error, BackupsError):
        return _of_ours(error)
    if isinstance(error, Http404):
        error = rest.NotFound()
    if isinstance(error, SuspiciousOperation):
        error = rest.ParseError("The request is larger than can be meant, or is none of HTTP's.")
    if isinstance(error, DjangoPermissionDenied):
        error = rest.PermissionDenied()
    if isinstance(error, rest.APIException):
        return _of_framework(error)
    logger.error("A request of the API failed unexpectedly", exc_info=error)
    return Problem(
        "Something failed unexpectedly, and it is not your request.",
        status=500,
        kind="error",
        detail=type(error).__name__,
        hint="The site's log has more.",
    )


def _of_ours(error: BackupsError) -> Problem:
    error.scrub(stores.secrets())
    status, kind = statuses.status_of(error), statuses.kind_of(error)
    headers = {"Retry-After": RETRY_SECONDS} if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE) else {}
    return Problem(error.message, status=status, kind=kind, detail=error.detail, hint=error.hint, headers=headers)


def _of_run(error: exceptions.OfRunError, request: Any) -> Problem:
    """With a link to the other run."""
    url, problem = url_of(error.which, error.id, request), _of_ours(error)
    if isinstance(error, exceptions.InTheWayError):
        problem.detail = f"It is {url}"
        problem.headers = {"Link": f'<{url}>; rel="related"', "Retry-After": RETRY_SECONDS}
        problem.members = {"running": url}
    else:
        problem.detail = f"It made {url}"
    return problem


def _of_framework(error: rest.APIException) -> Problem:
    kind = next((kind for class_, kind in _FRAMEWORK if isinstance(error, class_)), "error")
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if (seconds := getattr(error, "wait", None)) is not None:
        headers["Retry-After"] = str(int(seconds) + 1)
    if not isinstance(error, rest.ValidationError):
        return Problem(str(error.detail), status=error.status_code, kind=kind, headers=headers, hint=_HINTS.get(kind, ""))
    errors = list(_flat(error.detail))
    return Problem(
        "The request has something in it that can't be used.",
        status=400,
        kind=kind,
        detail="\n".join(f"{one['field']}: {one['message']}" if one["field"] else one["message"] for one in errors),
        hint="The schema tells what can: see the documentation.",
        errors=errors,
    )


def _flat(detail: Any, field: str = "") -> Any:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flat(inner, field if name == "non_field_errors" else f"{field}.{name}".strip("."))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flat(inner, field)
    else:
        yield {"field": field, "message": str(detail)}


def _encodable(value: Any) -> Any:
    """What a client has sent may come back in an answer, and need not be text that UTF-8 has."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(inner) for name, inner in value.items()}
    return [_encodable(inner) for inner in value] if isinstance(value, list) else value
