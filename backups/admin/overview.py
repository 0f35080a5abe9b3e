"""The first page: am I safe, what would I lose, how long until I'm back?"""

from django.http import HttpRequest, HttpResponse

from backups.admin.page import Page


class Overview(Page):
    """The answer, with its numbers."""

    tab = "overview"

    def get(self, request: HttpRequest) -> HttpResponse:
        """As a page."""
        return self.show("backups/overview.html")
