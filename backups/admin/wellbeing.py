"""Every check of health, each with its value, its threshold and what to do."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import path, reverse

from backups import health
from backups.admin import attention
from backups.admin.page import Page

SHOWN = 5  # of the fine checks, on the first page


class Health(Page):
    """All of them. They are made while the page is asked for, or were some seconds ago; a minute passes at most."""

    tab = "overview"

    def get(self, request: HttpRequest) -> HttpResponse:
        """As a page."""
        report = health.full_report.get()
        issues = attention.issues_of_report(report["checks"])
        return self.show("backups/health.html", report=report, issues=issues, amiss=len(report["checks"]) - len(_fine(report)))


class Checks(Page):
    """The part of the first page that servers and stores have to be asked for."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """What is amiss and not said there already, and some of what is fine. Without a script, the page of all."""
        if "HX-Request" not in request.headers:
            return HttpResponseRedirect(reverse("backups_panel:health"))
        report = health.full_report.get()
        fine = _fine(report)
        return self.show(
            "backups/overview/checks.html",
            issues=attention.not_told(attention.issues_of_report(report["checks"])),
            fine=fine[:SHOWN],
            more=max(0, len(fine) - SHOWN),
            total=len(report["checks"]),
        )


def _fine(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [check for check in report["checks"] if check["state"] == "ok"]


urlpatterns = [
    path("health/", Health.as_page(), name="health"),
    path("checks/", Checks.as_page(), name="checks"),
]
