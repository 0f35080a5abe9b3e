"""Every check of health, each with its value, its threshold and what to do."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone

from backups import health
from backups.admin import attention
from backups.admin.overview import board_of
from backups.admin.page import Page
from backups.types import Check, State

SHOWN = 5  # of the fine checks, on the first page


class Health(Page):
    """All of them. They are made while the page is asked for, or were some seconds ago; a minute passes at most."""

    tab = "overview"

    def get(self, request: HttpRequest) -> HttpResponse:
        """As a page."""
        report = health.full_report.get()
        checks = _checks(report)
        return self.show(
            "backups/health.html",
            report=report,
            checks=[(check, attention.level_of(check)) for check in checks],
            issues=attention.issues_of(checks),
            amiss=sum(check.state is not State.OK for check in checks),
        )


class Checks(Page):
    """The part of the first page that servers and stores have to be asked for, with the answer anew, where it changes by that;
    `alone`, where the page tells of nothing by itself.
    """

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """What is amiss and not said there already, and some of what is fine. Without a script, the page of all."""
        if "HX-Request" not in request.headers:
            return HttpResponseRedirect(reverse("backups_panel:health"))
        checks = _checks(health.full_report.get())
        found, is_alone = attention.issues_of(checks), "alone" in request.GET
        board = board_of(request.GET.get("database", ""), asked=checks, now=timezone.now())
        is_news = not board.is_empty and request.GET.get("was", board.mark) != board.mark
        fine = [check for check in checks if check.state is State.OK]
        return self.show(
            "backups/overview/checks.html",
            issues=found if is_alone else attention.not_told(found),
            fine=fine[:SHOWN],
            more=max(0, len(fine) - SHOWN),
            total=len(checks),
            is_narrow="narrow" in request.GET,
            is_alone=is_alone,
            board=board,
            is_news=is_news,
        )


def _checks(report: dict[str, Any]) -> list[Check]:
    return [Check(**one | {"state": State(one["state"])}) for one in report["checks"]]


urlpatterns = [
    path("health/", Health.as_page(), name="health"),
    path("checks/", Checks.as_page(), name="checks"),
]
