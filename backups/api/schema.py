"""What each operation says of itself, for the program that asks and for the OpenAPI document that describes it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from backups.access import Action
from backups.api.problems import KINDS, MEDIA_TYPE, PREFIX

Method = TypeVar("Method", bound=Callable[..., Any])

DESCRIPTION = """\
Makes, proves and brings back backups of PostgreSQL. What commands print with `--json` is here under the same names: sizes in
bytes, durations in seconds, times in UTC.

The same addresses are the admin's pages for a browser: a request that likes `text/html` better than JSON, and sends no JSON, gets
those. Authenticate with `Authorization: Bearer icb_…`, or with the admin's session and its CSRF token.
"""
SETTINGS: dict[str, Any] = {
    "TITLE": "Backups",
    "DESCRIPTION": DESCRIPTION,
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {"Level": "backups.models.Level.choices", "Severity": ["ok", "warn", "block"]},
    "PREPROCESSING_HOOKS": ["backups.api.describing.only_ours"],
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "description": "icb token create NAME --scope run --days 90"},
            "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
        }
    },
}


class FieldProblemSerializer(serializers.Serializer[Any]):
    """What is wrong with one field."""

    field = serializers.CharField(allow_blank=True)
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """What went wrong, as RFC 9457 has it."""

    type = serializers.ChoiceField([PREFIX + kind for kind in KINDS], help_text="Stable; what to decide by.")
    title = serializers.CharField(help_text="What happened.")
    status = serializers.IntegerField()
    detail = serializers.CharField(allow_blank=True, help_text="What was seen.")
    hint = serializers.CharField(allow_blank=True, help_text="What to do now.")
    instance = serializers.CharField(help_text="The address that was asked.")
    errors = FieldProblemSerializer(  # type: ignore[assignment]
        many=True, required=False, help_text="Of a request that can't be used: each field."
    )
    running = serializers.URLField(required=False, help_text="What is in the way: the run that must end first.")
    backup = serializers.URLField(required=False, help_text="The backup that failed while it was waited for.")


_ALWAYS = {
    400: "Something in the request can't be used; `errors` names it.",
    401: "Nobody is known by this token, or none was sent.",
    403: "You may not do this: the permission is missing, or the token's scope is less.",
    405: "There is no such method here.",
    429: "Too many requests, or too many runs: Retry-After tells when.",
    502: "The store or the database server did not do what was asked.",
    503: "Something that is needed can't be reached now.",
}
_MEANINGS = {
    404: "There is none, or you may not see it.",
    409: "Something is in the way now, or data might be lost.",
    415: "Send application/json.",
    422: "This Idempotency-Key was used for another request.",
    500: "What was waited for has failed.",
}
SAME = OpenApiResponse(description="Nothing has changed since the ETag that If-None-Match names.")
IF_NONE_MATCH = OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="The ETag of the answer before.")
AUTHENTICATION: list[dict[str, list[str]]] = [{"token": []}, {"session": []}]


def operation(
    *,
    id: str,
    summary: str,
    needs: Action,
    answers: Mapping[Any, Any],
    examples: Sequence[OpenApiExample],
    problems: Sequence[int] = (),
    parameters: Sequence[OpenApiParameter | type[serializers.Serializer[Any]]] = (),
    request: type[serializers.Serializer[Any]] | None = None,
    makes_run: bool = False,
    tag: str = "backups",
) -> Callable[[Method], Method]:
    """Marks a method with the permission that it `needs` and whether it makes a run, and describes it for OpenAPI.

    `answers` are by status, or by status and media type; `problems` the statuses besides those of every operation.
    """
    told = _ALWAYS | {status: _MEANINGS[status] for status in problems}
    failures = {(status, MEDIA_TYPE): OpenApiResponse(ProblemSerializer, description=text) for status, text in told.items()}

    def mark(method: Method) -> Method:
        method.needs, method.makes_run = needs, makes_run  # type: ignore[attr-defined]
        method.kwargs = {"schema": AutoSchema}  # type: ignore[attr-defined]  # whatever the site's own APIs have
        described: Method = extend_schema(
            operation_id=id,
            summary=summary,
            description=_description(method, needs),
            parameters=list(parameters),
            request=request,
            responses={**answers, **failures},
            examples=list(examples),
            auth=AUTHENTICATION,  # type: ignore[arg-type]
            tags=[tag],
        )(method)
        return described

    return mark


def _description(method: Callable[..., Any], needs: Action) -> str:
    lines = [line.strip() for line in (method.__doc__ or "").strip().split("\n")]
    return "\n".join([*lines, "", f"Needs the permission to {str(needs).replace('_', ' ')}."])
