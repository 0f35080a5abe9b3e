"""The API described: OpenAPI, and pages that show it, without anything from another site."""

from types import SimpleNamespace
from typing import Any

from django.templatetags.static import static
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from backups.access import Action
from backups.api.authentication import SessionAuthentication
from backups.api.base import Face, Operations
from backups.api.schema import SETTINGS

_VIEW = SimpleNamespace(needs=Action.VIEW, makes_run=False)


class Schema(Face, SpectacularAPIView):
    """OpenAPI 3.1: YAML, or JSON for `?format=json`."""

    authentication_classes = Face.authentication_classes
    permission_classes = Face.permission_classes
    http_method_names = ("get", "head")
    custom_settings = SETTINGS
    action, operation = "schema", _VIEW


class Docs(Face, SpectacularSwaggerSplitView):
    """Swagger UI."""

    schema = None
    authentication_classes = (SessionAuthentication,)
    permission_classes = Face.permission_classes
    http_method_names = ("get", "head")
    url_name = "backups_api:schema"
    title = "Backups"
    template_name = "backups/api_docs.html"
    action, operation = "docs", _VIEW

    @staticmethod
    def _swagger_ui_resource(filename: str) -> str:
        return static(f"drf_spectacular_sidecar/swagger-ui-dist/{filename}")

    @staticmethod
    def _swagger_ui_favicon() -> str:
        return static("backups/favicon.svg")


def only_ours(endpoints: Any, **_given: Any) -> Any:
    """A site may have other APIs."""
    return [one for one in endpoints if issubclass(getattr(one[3], "cls", object), Operations)]
