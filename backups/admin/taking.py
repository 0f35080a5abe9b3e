"""Dumps to take away: one by its address, several by a page that has the address of each."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path
from django.utils.translation import gettext_noop

from backups.access import Action
from backups.admin import obstacles
from backups.admin.acting import rows
from backups.admin.page import Page, found
from backups.downloading import download_of, head_of
from backups.exceptions import UsageError
from backups.sentences import sentence

MOST = 30  # of one address: servers take none that is longer than some thousand bytes


class Download(Page):
    """The dump, to take away."""

    tab = "backups"
    needs = Action.DOWNLOAD

    def get(self, request: HttpRequest, id: UUID) -> HttpResponseBase:
        """By an address of the store's, or streamed; who has fetched what is in the audit."""
        row = found(rows(), id)
        if request.method == "HEAD":
            return head_of(row)
        taken = download_of(row)
        self.note(object=row.filename, target=taken.place)
        return taken.response


class Downloads(Page):
    """The backups that were chosen, each with the link to its dump.

    The list's form can't lead to the store itself: the panel's Content-Security-Policy lets a form go nowhere but here, and a
    browser holds the address that it is redirected to against that. A link may.
    """

    tab = "backups"
    needs = Action.DOWNLOAD

    def get(self, request: HttpRequest) -> HttpResponse:
        """As a page; nothing is given away, or noted, before somebody follows a link. `?id=` is there for each."""
        chosen = rows().filter(pk__in=_ids(request.GET.getlist("id"))).newest_first()
        lines = [(row, obstacles.to_fetching(row)) for row in chosen]
        fetched = [row for row, why in lines if not why]
        return self.show(
            "backups/downloads.html", lines=lines, number=len(fetched), bytes=sum(row.size_bytes or 0 for row in fetched)
        )


def _ids(given: list[str]) -> list[UUID]:
    try:
        return [UUID(id) for id in given[:MOST]]
    except ValueError as error:
        raise UsageError(
            sentence(gettext_noop("What this address names are no backups.")),
            hint=sentence(gettext_noop("Choose them in the history.")),
        ) from error


urlpatterns = [
    path("<uuid:id>/download/", Download.as_page(), name="download"),
    path("downloads/", Downloads.as_page(), name="downloads"),
]
