"""What every page of the panel has in common."""

import re
from collections.abc import Callable, Iterator

import pytest
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client
from django.urls import reverse

from backups.audited import AuditEntry
from backups.types import Server

pytestmark = pytest.mark.usefixtures("history")
HTML = {"HTTP_ACCEPT": "text/html"}
OVERVIEW = "/admin/backups/"


def test_the_panel_is_at_the_address_that_the_api_has_too(viewer: Client) -> None:
    assert reverse("backups_panel:overview") == reverse("backups_api:backups") == OVERVIEW
    page, answer = viewer.get(OVERVIEW), viewer.get(OVERVIEW, HTTP_ACCEPT="application/json")
    assert (page["Content-Type"], answer["Content-Type"]) == ("text/html; charset=utf-8", "application/json")


def test_whoever_is_not_signed_in_is_sent_to_sign_in() -> None:
    answer = Client(**HTML).get(OVERVIEW)
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={OVERVIEW}")


def test_whoever_lacks_the_permission_is_told_so_and_it_is_noted(browser_of: Callable[..., Client]) -> None:
    answer = browser_of().get(OVERVIEW)
    assert answer.status_code == 403
    assert "You may not do this" in answer.content.decode()
    noted = AuditEntry.objects.get(outcome="refused")
    assert (noted.channel, noted.action, noted.object) == ("web", "overview", OVERVIEW)


@pytest.mark.parametrize(
    ("address", "text", "permission", "holders"),
    [
        ("downloads/", "to download backups", "download_backup", ["backup administrator", "backup restorer"]),
        ("auditentry/", "to see the audit log", "view_auditentry", ["backup administrator"]),
        ("new/", "to make backups", "run_backup", ["backup administrator", "backup operator"]),
    ],
)
def test_whoever_is_refused_is_told_which_permission_is_missing_and_which_groups_have_it(
    browser_of: Callable[..., Client], address: str, text: str, permission: str, holders: list[str]
) -> None:
    answer = browser_of("backup viewer").get(OVERVIEW + address)
    page = answer.content.decode()
    assert answer.status_code == 403
    assert f"Your account lacks the permission {text}" in page
    assert f'<dd class="key">backups.{permission}</dd>' in page
    assert re.findall(r'<span class="key">([^<]+)</span>', page) == holders
    assert "Ask an administrator of this site" in page
    assert AuditEntry.objects.get(outcome="refused").detail == f"The permission backups.{permission} is missing."


def test_whoever_would_write_history_by_hand_is_told_that_nobody_may(browser_of: Callable[..., Client]) -> None:
    answer = browser_of("backup administrator").get(f"{OVERVIEW}backuphistory/add/")
    page = answer.content.decode()
    assert (answer.status_code, "Nobody writes the history by hand" in page, "Ask an administrator" in page) == (403, True, False)
    assert AuditEntry.objects.get(outcome="refused").detail == "Nobody may."


@pytest.mark.parametrize(
    ("referer", "is_led_to"),
    [
        ("http://testserver/admin/backups/", True),
        ("https://elsewhere.example/", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_what_went_wrong_leads_back_to_a_page_of_this_site_only(viewer: Client, referer: str, is_led_to: bool) -> None:
    answer = viewer.get(f"{OVERVIEW}storage/?prefix=elsewhere/", HTTP_REFERER=referer)
    assert answer.status_code == 400
    page = answer.content.decode()
    assert ("Go back" in page, f'href="{referer}"' in page) == (is_led_to, is_led_to)


def test_nothing_inline_is_allowed_and_nothing_from_elsewhere(viewer: Client) -> None:
    answer = viewer.get(OVERVIEW)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<script(?![^>]*src=)|<style| style=| on[a-z]+=", answer.content.decode())


def test_a_page_names_its_icon_and_the_icon_is_there(viewer: Client) -> None:
    named = re.search(r'<link rel="icon" type="image/svg\+xml" href="/static/([^"]+)">', viewer.get(OVERVIEW).content.decode())
    assert named is not None
    assert finders.find(re.sub(r"\.[0-9a-f]{12}(?=\.svg)", "", named[1])) is not None


def test_the_page_to_sign_in_has_the_icon_too() -> None:
    assert Client().get("/favicon.ico")["Location"] == "/static/backups/favicon.svg"


def test_a_run_that_the_history_does_not_know_has_a_page_that_says_where_to_look(viewer: Client) -> None:
    answer = viewer.get(f"{OVERVIEW}00000000-0000-0000-0000-000000000000/")
    assert answer.status_code == 404
    page = answer.content.decode()
    assert "There is no such page" in page
    assert "icb db sync" in page
    assert f'href="{reverse("admin:backups_backuphistory_changelist")}"' in page


@pytest.fixture
def move_history() -> Iterator[Callable[..., None]]:
    """Lets the site look for its own database elsewhere, until the test is over."""
    given = dict(connection.settings_dict)

    def move(**where: object) -> None:
        connection.close()
        connection.settings_dict.update(where)

    yield move
    move(**given)


@pytest.mark.parametrize("address", [OVERVIEW, "/admin/backups/backuphistory/", "/admin/"])
def test_where_its_own_database_is_away_the_site_says_so_and_what_works_without_it(
    viewer: Client, move_history: Callable[..., None], address: str
) -> None:
    viewer.raise_request_exception = False
    move_history(PORT="1")
    answer = viewer.get(address)
    said = answer.content.decode()
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    assert "The database of this site is away" in said
    assert "icb db restore latest --dry-run" in said
    assert f'href="{address}"' in said
    assert "connection to server" not in said


def test_where_its_database_has_no_tables_the_site_says_how_to_make_them(
    viewer: Client, move_history: Callable[..., None], admin: Server
) -> None:
    viewer.raise_request_exception = False
    move_history(NAME=admin.database)
    assert "./icb manage migrate" in viewer.get(OVERVIEW).content.decode()


def test_a_program_is_told_in_its_own_way_that_the_database_is_away(viewer: Client, move_history: Callable[..., None]) -> None:
    viewer.raise_request_exception = False
    move_history(PORT="1")
    answer = viewer.get(OVERVIEW, HTTP_ACCEPT="application/json")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:icb:problem:history")


@pytest.mark.parametrize("address", [OVERVIEW + "nothing/", "/nothing/", "/admin/nothing/"])
def test_an_address_that_was_mistyped_leads_to_the_overview(viewer: Client, address: str) -> None:
    answer = viewer.get(address)
    assert answer.status_code == 404
    assert f'<a href="{OVERVIEW}">' in answer.content.decode()


def test_a_form_without_its_cookie_leads_back_to_its_page_and_outside_of_the_panel_django_answers(viewer: Client) -> None:
    strict = Client(HTTP_ACCEPT="text/html", enforce_csrf_checks=True)
    strict.cookies = viewer.cookies
    page = "http://testserver/admin/backups/prune/?now=1"
    answer = strict.post("/admin/backups/prune/", {"name": "testing"}, HTTP_REFERER=page)
    assert answer.status_code == 403
    assert f'href="{page}"' in answer.content.decode()
    assert "Nothing was done" in answer.content.decode()
    assert "Nothing was done" not in strict.post("/admin/login/", {}).content.decode()
