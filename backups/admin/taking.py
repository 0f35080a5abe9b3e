"""Dumps to take away: one by its address, several by a page that has the address of each."""

from dataclasses import dataclass
from functools import cached_property
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
from backups.fallback import instead_of
from backups.models import BackupHistory
from backups.sentences import Sentence, sentence

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


@dataclass(frozen=True)
class DownloadLine:
    """One of several that were chosen."""

    row: BackupHistory

    @cached_property
    def why(self) -> Sentence | None:
        """Why there is no link to its dump."""
        return obstacles.to_fetching(self.row)

    @property
    def is_lost(self) -> bool:
        """Whether another one is to be taken, which the page names."""
        return obstacles.is_lost(self.row)

    @cached_property
    def other(self) -> BackupHistory | None:
        """That one."""
        return instead_of(self.row)


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
        lines = [DownloadLine(row) for row in chosen]
        fetched = [line.row for line in lines if not line.why]
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
