"""One address, two faces: programs get JSON, browsers the admin's pages."""

from wsgiref.util import setup_testing_defaults

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import resolve, reverse

from backups.models import AuditEntry, BackupHistory
from ichrisbirch_site.wsgi import application
from tests.api.conftest import BROWSER, problem
from tests.integration.health import made

pytestmark = pytest.mark.usefixtures("history")
CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
LIST = "/admin/backups/"


@pytest.mark.parametrize(
    "accept", ["*/*", "", "application/json", "application/json, text/plain, */*", "application/json;q=0.9, text/html;q=0.8"]
)
def test_a_program_gets_json(admin_client: Client, accept: str) -> None:
    response = admin_client.get(LIST, HTTP_ACCEPT=accept)
    assert (response["Content-Type"], response.json()["results"]) == ("application/json", [])
    assert "Accept" in response["Vary"]


@pytest.mark.parametrize("accept", [CHROME, FIREFOX, "text/html", "text/*", "text/html, application/json;q=0.9"])
def test_a_browser_gets_the_admin(admin_client: Client, accept: str) -> None:
    response = admin_client.get(LIST, HTTP_ACCEPT=accept)
    assert (response.status_code, response["Content-Type"].split(";")[0]) == (200, "text/html")
    assert "Backups" in response.content.decode()
    assert "Accept" in response["Vary"]


def test_a_body_of_json_is_a_program_s_whatever_it_accepts(admin_client: Client) -> None:
    response = admin_client.post(LIST, {}, content_type="application/json", HTTP_ACCEPT=CHROME)
    assert problem(response, 400, "invalid")["errors"] == [{"field": "description", "message": "This field is required."}]


def test_a_browser_gets_the_page_of_a_backup_at_its_address(admin_client: Client) -> None:
    row = made("shop")
    response = admin_client.get(f"{LIST}{row.id}/", **BROWSER)
    assert (response.status_code, response["Content-Type"].split(";")[0]) == (200, "text/html")
    assert "Backup of shop" in response.content.decode()


@pytest.mark.parametrize("accept", ["*/*", FIREFOX])
@pytest.mark.parametrize("page", ["backuphistory/", "backuprestore/", "backuphistory/?q=x"])
def test_the_admin_s_other_pages_are_as_they_were(admin_client: Client, page: str, accept: str) -> None:
    response = admin_client.get(LIST + page, HTTP_ACCEPT=accept)
    assert (response.status_code, response["Content-Type"].split(";")[0]) == (200, "text/html")


def test_a_stranger_s_browser_is_sent_to_the_login_and_his_program_gets_401() -> None:
    shown = Client().get(LIST, **BROWSER)
    assert (shown.status_code, "login" in shown["Location"]) == (302, True)
    told = Client().get(LIST)
    problem(told, 401, "not-authenticated")
    assert told["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("place", ["nothing/", "8c9e/", "not-a-uuid/contents/"])
def test_where_there_is_nothing_a_program_is_told_so_in_json(admin_client: Client, place: str) -> None:
    problem(admin_client.get(LIST + place), 404, "not-found")


def test_names_lead_to_addresses_and_back() -> None:
    assert reverse("backups_api:backups") == LIST
    assert resolve(LIST).view_name == "backups_api:backups"
    assert reverse("admin:app_list", args=["backups"]) == LIST
    row = BackupHistory()
    assert resolve(reverse("backups_api:backup", kwargs={"id": row.id})).view_name == "backups_api:backup"


def test_the_admin_keeps_its_own_protection_from_forged_requests(admin_client: Client) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = admin_client.cookies
    forged = client.post(f"{LIST}backuphistory/", {"action": "delete_selected"}, **BROWSER)
    assert (forged.status_code, b"Nothing was done" in forged.content) == (403, True)
    by_json = client.post(LIST, {"description": "x"}, content_type="application/json")
    assert "CSRF" in problem(by_json, 403, "forbidden")["title"]
    entry = AuditEntry.objects.get(channel="api")
    assert (entry.outcome, entry.actor, entry.user) == ("refused", get_user_model().objects.get().get_username(), None)


@pytest.mark.parametrize("nowhere", ["nobody/restore/", "a%0Aline/restore/", "%0A"])
def test_an_address_of_nobody_s_is_a_problem_for_programs(admin_client: Client, nowhere: str) -> None:
    response = admin_client.post(f"{LIST}{nowhere}", {}, content_type="application/json")
    problem(response, 404, "not-found")


def test_what_can_t_be_read_is_a_problem_for_programs_and_a_page_for_browsers(client: Client) -> None:
    told = client.get(LIST, headers={"host": "not a host"})
    shown = client.get(LIST, headers={"host": "not a host", "accept": "text/html"})
    problem(told, 400, "malformed")
    assert (shown.status_code, shown["Content-Type"].partition(";")[0]) == (400, "text/html")


def test_a_charset_that_is_none_of_text_is_passed_over_as_one_that_nobody_knows() -> None:
    asked = {"PATH_INFO": LIST, "QUERY_STRING": "text=a", "CONTENT_TYPE": "text/plain; charset=zlib", "HTTP_ACCEPT": CHROME}
    setup_testing_defaults(asked)
    statuses: list[str] = []
    application(asked, lambda status, _headers: statuses.append(status))
    assert statuses == ["302 Found"]
