"""How often, and how many at a time: on the operations themselves."""

import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django.fixtures import Settings

from backups import tasks
from backups.api import creating
from backups.backup import DatabaseBackup
from backups.models import AuditEntry, BackupHistory
from backups.types import Server
from tests.api.conftest import JSON, Make, Messages, problem
from tests.integration.health import made

pytestmark = pytest.mark.usefixtures("history")
LIST = "/admin/backups/"


@pytest.fixture
def rates(settings: Settings) -> None:
    """Two runs and three requests a minute."""
    given = {"backups_create": "2/min", "backups_read": "3/min"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": given}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages arrive, and nobody does anything."""
    monkeypatch.setattr(tasks, "make_backup", Messages(lambda _id: None))


def post(client: Client, **headers: str) -> Any:
    body = json.dumps({"description": "x", "database": "source"})
    return client.post(LIST, body, content_type="application/json", headers=headers)


@pytest.mark.usefixtures("rates")
def test_who_has_made_so_many_runs_makes_no_other_and_it_is_noted(admin_client: Client, bucket: str, alive: None) -> None:
    for number in range(2):
        made(f"shop{number}", hours_ago=0, triggered_by=get_user_model().objects.get())
    response = post(admin_client)
    problem(response, 429, "throttled")
    assert 0 < int(response["Retry-After"]) <= 61
    assert [(entry.action, entry.outcome) for entry in AuditEntry.objects.all()] == [("create", "refused")]


def test_plans_are_made_no_oftener_than_runs(
    settings: Settings, admin_client: Client, source: Server, bucket: str, backups_settings: Settings
) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"backups_create": "2/min"}}
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["source"]}
    url = f"{LIST}{DatabaseBackup(description='good', database='source').run().id}/restore/"
    for status in (200, 200, 429):
        response = admin_client.post(url, {"target": "source", "dry_run": True}, content_type="application/json")
        assert response.status_code == status, response.content
    assert int(response["Retry-After"]) > 0


@pytest.mark.usefixtures("rates")
def test_who_has_asked_so_often_is_told_when_to_come_again_and_it_is_noted(admin_client: Client) -> None:
    assert [admin_client.get(LIST).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert [(entry.action, entry.outcome) for entry in AuditEntry.objects.all()] == [("list", "refused")]


@pytest.mark.usefixtures("rates")
def test_who_is_not_known_is_asked_who_he_is_however_many_runs_the_schedule_has_made() -> None:
    for number in range(3):
        made(f"shop{number}", hours_ago=0)
    problem(post(Client(**JSON)), 401, "not-authenticated")


def test_where_so_many_wait_already_nobody_else_does(
    admin_client: Client, bucket: str, source: Server, alive: None, taken: None
) -> None:
    for _ in range(creating.MOST_WAITING):
        assert creating.WAITING.acquire(blocking=False)
    try:
        response = post(admin_client, Prefer="wait=1")
    finally:
        creating.WAITING.release(creating.MOST_WAITING)
    assert (response.status_code, "Preference-Applied" in response) == (202, False)
    assert post(admin_client, Prefer="wait=1").status_code == 409  # and the row is there


def test_who_has_waited_lets_the_next_one_wait(
    admin_client: Client, bucket: str, source: Server, alive: None, taken: None
) -> None:
    for _ in range(creating.MOST_WAITING + 1):
        response = post(admin_client, Prefer="wait=1")
        assert response["Preference-Applied"] == "wait=1"
        BackupHistory.objects.all().delete()


def test_a_backup_that_goes_while_it_is_waited_for_is_not_found(
    admin_client: Client, bucket: str, source: Server, alive: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "make_backup", Messages(lambda id: BackupHistory.objects.filter(id=id).delete()))
    told = problem(post(admin_client, Prefer="wait=60"), 404, "not-found")
    assert "is not in the history any more" in told["title"]


def test_a_cursor_of_backups_is_none_of_restores(admin_client: Client) -> None:
    for _ in range(2):
        made("shop")
    cursor = admin_client.get(LIST, {"page_size": 1}).json()["next"].partition("cursor=")[2].partition("&")[0]
    problem(admin_client.get(f"{LIST}restores/?cursor={cursor}"), 400, "invalid")


@pytest.mark.parametrize("scheme", ["BEARER", "bEaReR", "TOKEN"])
def test_a_wrong_token_is_noted_once_however_its_scheme_is_written(client: Client, scheme: str) -> None:
    problem(client.get(LIST, HTTP_AUTHORIZATION=f"{scheme} icb_x"), 401, "not-authenticated")
    assert [entry.action for entry in AuditEntry.objects.all()] == ["authenticate"]


@pytest.mark.usefixtures("rates")
def test_a_token_is_counted_as_its_user(bearer: Make) -> None:
    user = get_user_model().objects.create_superuser("deploy")
    for number in range(2):
        made(f"shop{number}", hours_ago=0, triggered_by=user)
    problem(post(bearer("run", user=user)), 429, "throttled")
