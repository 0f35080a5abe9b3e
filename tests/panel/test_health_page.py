"""Every check of health as a page, and as the part of the first page that asks servers and stores."""

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import call_command
from django.template.loader import render_to_string
from django.test import Client
from django.utils.html import strip_tags
from django_celery_beat.models import PeriodicTask

from backups import conf, health
from backups.models import Heartbeat, Incident
from backups.types import Server
from tests.integration.health import made, verified

OVERVIEW, HEALTH, CHECKS = "/admin/backups/", "/admin/backups/health/", "/admin/backups/checks/"
BY_HTMX = {"HX-Request": "true"}
pytestmark = pytest.mark.usefixtures("history", "bucket", "asked_anew")


@pytest.fixture
def asked_anew(history: None) -> Iterator[None]:
    """No report that an earlier test was told, no schedules, no heartbeats."""
    PeriodicTask.objects.all().delete()
    health.full_report.forget()
    yield
    health.full_report.forget()
    Heartbeat.objects.all().delete()


@pytest.fixture
def page(browser_of: Callable[..., Client]) -> Callable[..., str]:
    viewer = browser_of("backup viewer")

    def read(address: str, **headers: str) -> str:
        answer = viewer.get(address, headers=headers)
        assert answer.status_code == 200
        return html.unescape(" ".join(answer.content.decode().replace("\xa0", " ").split()))

    return read


def test_each_check_is_shown_with_what_was_found_and_its_limit(page: Callable[..., str]) -> None:
    shown = page(HEALTH)
    report = health.full_report.get()
    assert report["answer"] in shown
    for check in report["checks"]:
        assert f'<span class="key">{check["id"]}</span>' in shown
        assert check["text"] in shown
        assert check["threshold"] in shown


def test_what_is_amiss_comes_first_with_the_command_to_copy(page: Callable[..., str]) -> None:
    shown = page(HEALTH)
    assert "checks are not fine</h1>" in shown
    assert '<p>Make one:</p><div class="cmd"><code>icb db backup first</code>' in shown


def test_a_program_is_answered_by_the_api_at_the_same_address(browser_of: Callable[..., Client]) -> None:
    answer = browser_of("backup viewer").get(HEALTH, headers={"Accept": "application/json"})
    assert answer["Content-Type"] == "application/json"


def test_the_part_of_the_first_page_leaves_out_what_stands_there_already(page: Callable[..., str]) -> None:
    shown = page(CHECKS, **BY_HTMX)
    amiss = {check["id"] for check in health.full_report.get()["checks"] if check["state"] != "ok"}
    assert amiss >= {"newest-backup", "client-programs"}
    assert "icb db backup first" not in shown
    assert "nother pg_dump or pg_restore is needed for the server" in shown
    (program,) = [check for check in health.full_report.get()["checks"] if check["id"] == "client-programs"]
    Incident.objects.create(
        key=f"client-programs:{program['subject']}", event="client-programs", environment="testing", message="m"
    )
    assert "nother pg_dump or pg_restore is needed" not in page(CHECKS, **BY_HTMX)


def test_where_the_first_page_tells_of_nothing_the_part_leaves_nothing_out(page: Callable[..., str]) -> None:
    Incident.objects.create(key="newest-backup", event="newest-backup", environment="testing", message="m")
    assert "icb db backup first" in page(f"{CHECKS}?alone", **BY_HTMX)


@pytest.mark.parametrize(("is_alone", "told"), [(True, "Nothing."), (False, "")])
def test_that_nothing_is_amiss_is_said_only_where_nothing_stands_above(is_alone: bool, told: str) -> None:
    shown = render_to_string("backups/overview/checks.html", {"is_alone": is_alone, "total": 12})
    assert strip_tags(shown).split() == [*told.split(), "All", "12", "checks"]


def test_what_is_fine_is_told_in_a_few_lines_and_the_rest_is_counted(page: Callable[..., str]) -> None:
    verified(made(conf.server("default").database))
    shown = page(CHECKS, **BY_HTMX)
    assert shown.count('<span class="pill ok">') == 5
    assert "more checks, all fine</a>" in shown


def answer_of_the_command() -> str:
    """The first line of `icb db health`, which exits with 1 where not all is OK."""
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("db_health", stdout=out)
    return out.getvalue().partition("\n")[0]


@pytest.fixture
def away(history: None, source: Server, register_alias: Callable[[str, Server], None]) -> None:
    """All is proven; the server of one database can't be asked."""
    for database in ("elsewhere", conf.server("default").database):
        verified(made(database))
    register_alias("away", replace(source, database="elsewhere", port=1))


@pytest.mark.usefixtures("away")
def test_the_panel_and_the_command_answer_alike_that_something_could_not_be_asked(page: Callable[..., str]) -> None:
    why = "Whether the role that makes backups can read all of elsewhere could not be asked."
    before = page(OVERVIEW)
    assert "<h1>You are safe</h1>" in before  # the history alone says so
    (address,) = re.findall(rf'hx-get="({CHECKS}[^"]*)"', before)
    shown = page(address, **BY_HTMX)
    assert "<h1>Whether you are safe is not known</h1>" in shown
    assert f'<p class="lead">{why} If the server were lost' in shown
    assert "<title>Backups: not known |" in shown

    told = answer_of_the_command()
    assert told.startswith("Not known whether you are safe: ")
    assert why in told
    assert why in page(HEALTH)


def test_what_is_bad_only_since_the_last_look_makes_the_panel_say_no_as_the_command_does(
    page: Callable[..., str], use_bucket: Callable[..., str]
) -> None:
    verified(made(conf.server("default").database))
    use_bucket(make=False)
    shown = page(f"{CHECKS}?was=0", **BY_HTMX)
    assert "<h1>You are not safe</h1>" in shown
    told = answer_of_the_command()
    assert told.startswith("Not safe: ")
    assert all("The bucket could not be reached." in answer for answer in (shown, told))


def test_the_part_is_no_page_of_its_own(browser_of: Callable[..., Client]) -> None:
    answer = browser_of("backup viewer").get(CHECKS)
    assert (answer.status_code, answer["Location"]) == (302, HEALTH)


@pytest.mark.parametrize("address", [HEALTH, CHECKS])
def test_who_may_not_see_backups_sees_no_health(browser_of: Callable[..., Client], address: str) -> None:
    assert browser_of().get(address).status_code == 403
