"""The answer where there is nothing."""

from typing import NoReturn

from django.http import HttpRequest
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from backups.api import problems
from backups.api.negotiation import AlwaysJSON


class Missing(APIView):
    """404, whoever asks."""

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
        """Whatever the method."""
        raise NotFound("There is nothing at this address.")
