"""Answers outside of any operation: where there is nothing, and where a request can't be read."""

from typing import NoReturn

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.defaults import bad_request
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from backups.api import problems
from backups.api.negotiation import AlwaysJSON, prefers_html


class _Outside(APIView):
    """To whoever asks, whatever the method."""

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


class Missing(_Outside):
    """404."""

    def initial(self, request: HttpRequest, *args: object, **kwargs: object) -> NoReturn:
        """Before anything else."""
        raise NotFound("There is nothing at this address.")


class Unreadable(_Outside):
    """400."""

    def initial(self, request: HttpRequest, *args: object, **kwargs: object) -> NoReturn:
        """Before anything else."""
        raise ParseError("The request can't be read: its Host, its encoding or its size is none that the site takes.")


def unreadable(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """The site's answer to what Django refuses to read: a problem for a program that asks the API, else Django's own page."""
    if request.path_info.startswith(reverse("backups_api:backups")) and not prefers_html(request):
        return Unreadable.as_view()(request)
    return bad_request(request, exception)
