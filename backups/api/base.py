"""What every operation has in common: who may, how often, in which form; and that it is noted who was refused."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from drf_spectacular.openapi import AutoSchema
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.utils.json import strict_constant
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from backups import access, audit
from backups.access import Action
from backups.api import problems
from backups.api.authentication import SessionAuthentication, TokenAuthentication, forged_name, has_token
from backups.api.fields import refused
from backups.api.negotiation import AlwaysJSON
from backups.api.throttling import CreateThrottle, ReadThrottle

TWICE = "It stands there more than once."
LARGEST_BODY = 64 << 10  # bytes; the largest that can be meant is far below


class Body(JSONParser):
    """JSON, of a size and depth that can be meant."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Raises ParseError, and ValidationError for a name that stands twice in an object."""
        data = stream.read(LARGEST_BODY + 1)
        if len(data) > LARGEST_BODY:
            raise ParseError(f"The body is larger than {LARGEST_BODY:,} bytes.")
        encoding = (parser_context or {}).get("encoding") or "utf-8"
        try:
            return json.loads(data.decode(encoding), object_pairs_hook=_once_each, parse_constant=strict_constant)
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
        except ValueError as error:
            raise ParseError(f"The body is no JSON: {error}") from error


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two values of a name the last would win, and the first may be what was meant. Raises ValidationError."""
    counts = Counter(name for name, _value in pairs)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise refused(twice, TWICE)
    return dict(pairs)


class Permitted(BasePermission):
    """Whoever has the permission that the operation needs."""

    message = "You may not do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Of a method that there is none of, it is not asked: 405 comes next."""
        return view.operation is None or access.may(request, view.operation.needs)


class Face(APIView):
    """What any view of the API does before it answers, and where it does not. `operation` says what it needs, None where there is
    nothing for the request's method.
    """

    authentication_classes: Sequence[Any] = (TokenAuthentication, SessionAuthentication)
    permission_classes = (Permitted,)
    operation: Any

    def get_exception_handler(self) -> Callable[..., Any]:
        """Ours, whatever the site has."""
        return problems.handle

    def handle_exception(self, error: Exception) -> Response:
        """A problem, in JSON whatever the rest is in."""
        response: Response = super().handle_exception(error)
        self.request.accepted_renderer, self.request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        return response

    def get_throttles(self) -> list[BaseThrottle]:
        """How often one may ask; and, where it makes a run, how often for that."""
        makes_run = self.operation is not None and self.operation.makes_run
        return [ReadThrottle(), CreateThrottle()] if makes_run else [ReadThrottle()]

    def check_permissions(self, request: Request) -> None:
        """How often comes before who may: a flood of what is refused is a flood, too."""
        super().check_throttles(request)
        super().check_permissions(request)

    def check_throttles(self, request: Request) -> None:
        """Was done."""

    def note_refusal(self, request: Request, problem: problems.Problem) -> None:
        """Into the audit, as what fails is; but for a wrong token, which whoever has looked at it has noted."""
        if problem.kind == "not-authenticated" and has_token(request):
            return
        name = getattr(self, "action", None) or "unknown"
        by = audit.By.of_request(request, channel=audit.Channel.API)
        if by.user is None:
            by = replace(by, actor=forged_name(request))
        detail = "\n".join(filter(None, (problem.reason or problem.message, problem.detail)))
        outcome = audit.Outcome.REFUSED if problem.status < 500 else audit.Outcome.FAILED
        audit.note(action=name, outcome=outcome, object=request.path, detail=detail, by=by)


class Operations(Face, ViewSet):
    """The operations on one noun. Each method says by `operation` what it needs."""

    parser_classes = (Body,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AlwaysJSON
    schema = AutoSchema()
    http_method_names = ["get", "head", "post", "delete"]

    @property
    def operation(self) -> Any:
        """The method that answers, with what it needs; None where there is none for the request's method."""
        return getattr(self, self.action) if self.action in self.action_map.values() else None

    def require_visible(self) -> None:
        """What one may not see is not there; but that somebody has asked for it is noted. Raises Problem."""
        if not access.may(self.request, Action.VIEW):
            raise problems.hidden()

    def limit(self, throttle: BaseThrottle) -> None:
        """Where only the body tells what is wanted. Raises Throttled."""
        if not throttle.allow_request(self.request, self):
            self.throttled(self.request, throttle.wait() or 1.0)

    def note(self, *, object: str, target: str = "", detail: str = "", queued: bool = False) -> None:
        """What was done, or is only asked for, into the audit."""
        outcome = audit.Outcome.QUEUED if queued else audit.Outcome.DONE
        by = audit.By.of_request(self.request, channel=audit.Channel.API)
        audit.note(action=str(self.action), outcome=outcome, object=object, target=target, detail=detail, by=by)

    def query(self, kind: type[Any]) -> Any:
        """What the address asks for. Raises ValidationError."""
        if twice := [name for name, values in self.request.query_params.lists() if len(values) > 1]:
            raise refused(twice, TWICE)
        return _valid(kind(data=self.request.query_params.dict()))

    def body(self, kind: type[Any]) -> Any:
        """What the body asks for. Raises ValidationError, and ParseError."""
        return _valid(kind(data=self.request.data))


def _valid(serializer: Any) -> Any:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data
