"""Restores and verifications: their lists, what can be done with a row by whom, and stopping one."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from backups.models import AuditEntry, BackupHistory, BackupRestore
from backups.types import Server
from tests.api.conftest import Make, problem
from tests.integration.health import made, verified

pytestmark = pytest.mark.usefixtures("history")
LIST = "/admin/backups/"
RESTORES = "/admin/backups/restores/"


def restore(**fields: Any) -> BackupRestore:
    given = {"target_host": "h", "target_port": 1, "target_database": "d", "target_environment": "testing", "purpose": "restore"}
    return BackupRestore.objects.create(**(given | fields))


def links(client: Client, row: Any) -> dict[str, str]:
    place = RESTORES if isinstance(row, BackupRestore) else LIST
    told: dict[str, str] = client.get(f"{place}{row.id}/").json()["links"]
    return {name: url.partition("testserver")[2] for name, url in told.items()}


# Lists


def test_pages_of_a_list_have_every_restore_once_newest_first(admin_client: Client) -> None:
    expected = [str(restore().id) for _ in range(5)][::-1]
    seen, url = [], f"{RESTORES}?page_size=2"
    while url:
        page = admin_client.get(url).json()
        assert len(page["results"]) <= 2
        seen, url = seen + [row["id"] for row in page["results"]], page["next"]
    assert seen == expected


def test_an_unchanged_list_is_304_until_a_row_of_it_changes(admin_client: Client) -> None:
    row = restore()
    for url in (RESTORES, f"{RESTORES}{row.id}/"):
        etag = admin_client.get(url)["ETag"]
        same = admin_client.get(url, HTTP_IF_NONE_MATCH=etag)
        assert (same.status_code, same.content) == (304, b"")
        BackupRestore.objects.update(progress={"phase": url})
        assert admin_client.get(url, HTTP_IF_NONE_MATCH=etag).status_code == 200


def test_a_list_asks_the_database_as_often_however_long_it_is(staff: Make) -> None:
    client = staff("view", "restore", "verify")
    user = get_user_model().objects.get()

    def queries(number: int) -> int:
        for _ in range(number):
            verified(made("shop"))
            restore(restored_by=user, kept_database="d_before", status="pending")
        with CaptureQueriesContext(connection) as asked:
            told = client.get(RESTORES, {"page_size": 200}).json()["results"]
        assert len(told) == BackupRestore.objects.count()
        return len(asked)

    assert queries(1) == queries(60)


# What can be done


def test_of_a_whole_backup_all_can_be_done_and_it_is_compared_with_the_one_before(
    admin_client: Client, source: Server, bucket: str, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["source"]}
    before, row = made("shop", hours_ago=2), made("shop", hours_ago=1)
    made("blog", hours_ago=1.5)
    made("shop", hours_ago=1.5, status="failed")
    plain = {name: f"{LIST}{row.id}/{name}/" for name in ("contents", "verify", "pin", "download", "restore")}
    assert links(admin_client, row) == plain | {"diff": f"{LIST}{before.id}/diff/{row.id}/"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": "pending"}, {"cancel"}),
        ({"status": "running"}, {"cancel"}),
        ({"status": "failed"}, set()),
        ({"deleted_at": "2026-01-01T00:00:00Z"}, set()),
        ({"environment": "production"}, {"contents", "verify", "pin"}),
        ({"environment": "production", "status": "running"}, set()),
        ({}, {"contents", "verify", "pin", "download"}),  # and restored onto nothing, as no target is allowed
    ],
)
def test_what_can_be_done_with_a_backup_is_as_its_state_has_it(
    admin_client: Client, fields: dict[str, object], expected: set[str]
) -> None:
    assert set(links(admin_client, made("shop", **fields))) == expected


def test_what_can_be_done_is_as_far_as_the_asker_may(bearer: Make, staff: Make) -> None:
    whole, running = made("shop"), made("blog", status="running")
    for client, expected in (
        (bearer("read"), {"contents"}),
        (bearer("run"), {"contents", "verify", "cancel"}),
        (staff("view", "download"), {"contents", "download"}),
    ):
        assert {*links(client, whole), *links(client, running)} == expected


def test_a_row_that_is_the_same_is_told_anew_where_one_may_do_more(staff: Make) -> None:
    client, row = staff("view"), made("shop")
    etag = client.get(f"{LIST}{row.id}/")["ETag"]
    get_user_model().objects.update(is_superuser=True)
    assert client.get(f"{LIST}{row.id}/", HTTP_IF_NONE_MATCH=etag).status_code == 200


def test_a_backup_is_told_anew_when_the_one_before_it_is_deleted(admin_client: Client) -> None:
    before, row = made("shop", hours_ago=2), made("shop", hours_ago=1)
    etag = admin_client.get(f"{LIST}{row.id}/")["ETag"]
    BackupHistory.objects.filter(id=before.id).update(deleted_at="2026-01-01T00:00:00Z")
    assert admin_client.get(f"{LIST}{row.id}/", HTTP_IF_NONE_MATCH=etag).status_code == 200


def test_what_a_restore_has_replaced_leads_back_where_the_settings_allow_its_target(
    admin_client: Client, bearer: Make, source: Server, backups_settings: Settings
) -> None:
    row = restore(status="succeeded", target_database=source.database, kept_database="kept")
    assert links(admin_client, row) == {}
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["source"]}
    assert links(admin_client, row) == {"undo": f"{RESTORES}{row.id}/undo/"}
    assert links(bearer("run"), row) == {}
    assert links(admin_client, restore(status="succeeded", target_database=source.database)) == {}


def test_until_when_what_was_replaced_is_kept_is_told_and_anew_when_the_settings_change(
    admin_client: Client, backups_settings: Settings
) -> None:
    row = restore(status="succeeded", kept_database="kept", kept_at=datetime(2026, 11, 20, tzinfo=UTC))
    answer = admin_client.get(f"{RESTORES}{row.id}/")
    assert answer.json()["kept_until"] is None
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "KEEP_REPLACED_DAYS": 3}
    told = admin_client.get(f"{RESTORES}{row.id}/", HTTP_IF_NONE_MATCH=answer["ETag"])
    assert told.json()["kept_until"] == "2026-11-23T00:00:00Z"


# Stopping one


def test_a_queued_restore_is_cancelled_one_at_work_is_asked_to_stop_and_one_that_has_ended_is_not(admin_client: Client) -> None:
    queued, running, ended = restore(), restore(status="running"), restore(status="succeeded")
    answers = [admin_client.post(f"{RESTORES}{row.id}/cancel/", {}, content_type="application/json") for row in (queued, running)]
    assert [(answer.status_code, answer.json()["was_queued"]) for answer in answers] == [(202, True), (202, False)]
    queued.refresh_from_db()
    running.refresh_from_db()
    assert (queued.status, running.status, running.cancel_requested_at is None) == ("cancelled", "running", False)
    problem(admin_client.post(f"{RESTORES}{ended.id}/cancel/", {}, content_type="application/json"), 409, "refused")
    noted = AuditEntry.objects.order_by("at").values_list("action", "outcome", "object")
    assert list(noted) == [
        *(("cancel", "done", str(row.id)) for row in (queued, running)),
        ("cancel", "refused", f"{RESTORES}{ended.id}/cancel/"),
    ]


@pytest.mark.parametrize(("purpose", "least"), [("restore", "restore"), ("verification", "verify")])
def test_stopping_needs_what_its_kind_needs_and_its_link_is_for_whoever_may(staff: Make, purpose: str, least: str) -> None:
    row = restore(purpose=purpose)
    other = staff("view", "run", "prune", *({"restore", "verify"} - {least}))
    problem(other.post(f"{RESTORES}{row.id}/cancel/", {}, content_type="application/json"), 403, "forbidden")
    assert AuditEntry.objects.get().outcome == "refused"
    assert links(other, row) == {}
    client = staff("view", least)
    assert client.post(links(client, row)["cancel"], {}, content_type="application/json").status_code == 202
