"""The first page: am I safe, what would I lose, how long until I'm back?"""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from backups.admin.page import Page


class Overview(Page):
    """The answer, with its numbers."""

    tab = "overview"

    def get(self, request: HttpRequest) -> HttpResponse:
        """As a page."""
        return self.show("backups/overview.html")


urlpatterns = [
    path("", Overview.as_page(), name="overview"),
    path("running/", Page.as_page(), name="running"),
]
