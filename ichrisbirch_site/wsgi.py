"""WSGI entry point."""

import os

from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings")


class Request(WSGIRequest):
    """Django's, which passes over a charset that nobody knows, but fails on one that is none of text, as zlib."""

    def _read_in(self, encoding: str) -> None:
        try:
            " ".encode(encoding)
        except (LookupError, ValueError):
            return
        WSGIRequest.encoding.fset(self, encoding)  # type: ignore[attr-defined]

    encoding = property(WSGIRequest.encoding.fget, _read_in)  # type: ignore[attr-defined]


application = get_wsgi_application()
application.request_class = Request
