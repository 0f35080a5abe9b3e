"""Lists of backups, one of them, and one that is asked for."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups import audit, tasks
from backups.management import report
from backups.models import AuditEntry, BackupHistory, Heartbeat
from backups.types import Server
from tests.api.conftest import Make, Messages, problem
from tests.integration.health import made, verified

pytestmark = pytest.mark.usefixtures("history")
LIST = "/admin/backups/"
WANTED = {"description": "pre-migration", "upload_to_s3": True, "save_local": False, "database": "source"}


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [row["description"] for row in response.json()["results"]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the backups whose messages were sent: the broker is not what these tests are about."""
    ids: list[str] = []
    send_by(monkeypatch, ids.append)
    return ids


def send_by(monkeypatch: pytest.MonkeyPatch, send: Callable[[str], None]) -> None:
    monkeypatch.setattr(tasks, "make_backup", Messages(send))


def post(client: Client, body: object = WANTED, **headers: str) -> Any:
    return client.post(LIST, json.dumps(body), content_type="application/json", headers=headers)


def test_pages_of_a_list_have_every_backup_once_newest_first_also_while_new_ones_come(admin_client: Client) -> None:
    for hours in range(7):
        made("shop", hours_ago=hours, description=f"n{hours}")
    first = admin_client.get(LIST, {"page_size": 3})
    made("shop", hours_ago=-1, description="newer")
    seen, next_ = names(first), first.json()["next"]
    while next_:
        page = admin_client.get(next_)
        seen, next_ = seen + names(page), page.json()["next"]
    assert seen == [f"n{hours}" for hours in range(7)]


@pytest.mark.parametrize(
    ("ordering", "expected"),
    [
        ("created_at", ["c", "b", "a"]),
        ("-size_bytes", ["c", "a", "b"]),
        ("size_bytes", ["b", "a", "c"]),
        ("duration_seconds", ["a", "b", "c"]),
    ],
)
def test_a_list_comes_in_the_order_that_is_asked_for_and_its_pages_too(
    admin_client: Client, ordering: str, expected: list[str]
) -> None:
    made("shop", hours_ago=1, description="a", size_bytes=5, duration_seconds=1.5)
    made("shop", hours_ago=2, description="b", size_bytes=None, duration_seconds=2.5)
    made("shop", hours_ago=3, description="c", size_bytes=9, duration_seconds=3.5)
    page = admin_client.get(LIST, {"ordering": ordering, "page_size": 2})
    assert names(page) + names(admin_client.get(page.json()["next"])) == expected


def test_a_list_is_narrowed_by_each_filter(admin_client: Client) -> None:
    proven = made("shop", hours_ago=5, description="proven")
    verified(proven)
    made("shop", hours_ago=1, description="failed", status="failed", error_message="pg_dump was killed")
    made("blog", hours_ago=2, description="other", environment="production", backup_type="scheduled")
    made("blog", hours_ago=3, description="gone", deleted_at=timezone.now())
    at = (timezone.now() - timedelta(hours=1.5)).isoformat()
    for query, expected in (
        ({}, ["failed", "other", "proven"]),
        ({"status": "failed"}, ["failed"]),
        ({"backup_type": "scheduled"}, ["other"]),
        ({"environment": "production"}, ["other"]),
        ({"database": "blog"}, ["other"]),
        ({"created_after": at}, ["failed"]),
        ({"created_before": at}, ["other", "proven"]),
        ({"verified": "true"}, ["proven"]),
        ({"verified": "false"}, ["failed", "other"]),
        ({"text": "KILLED"}, ["failed"]),
        ({"deleted": "true", "database": "blog"}, ["other", "gone"]),
    ):
        assert names(admin_client.get(LIST, query)) == expected, query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"statuss": "failed"}, "statuss"),
        ({"status": "done"}, "status"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"page_size": "1000"}, "page_size"),
        ({"cursor": "abc"}, "cursor"),
        ({"text": "a\0b"}, "text"),
        ({"ordering": "checksum"}, "ordering"),
    ],
)
def test_a_query_that_can_t_be_meant_is_refused_by_the_name_of_its_field(
    admin_client: Client, query: dict[str, str], field: str
) -> None:
    told = problem(admin_client.get(LIST, query), 400, "invalid")
    assert [one["field"] for one in told["errors"]] == [field]


def test_a_cursor_of_another_order_is_refused(admin_client: Client) -> None:
    for _ in range(2):
        made("shop")
    cursor = admin_client.get(LIST, {"page_size": 1}).json()["next"]
    problem(admin_client.get(cursor + "&ordering=filename"), 400, "invalid")


def test_a_list_asks_the_database_as_often_however_long_it_is(admin_client: Client) -> None:
    def queries(number: int) -> int:
        user = get_user_model().objects.first()
        for _ in range(number):
            verified(made("shop", triggered_by=user))
        with CaptureQueriesContext(connection) as asked:
            assert len(names(admin_client.get(LIST, {"page_size": 200}))) == BackupHistory.objects.count()
        assert not any("table_snapshot" in query["sql"] for query in asked)
        return len(asked)

    assert queries(1) == queries(60) <= 6


def test_an_unchanged_list_is_304_until_a_row_of_it_changes(admin_client: Client) -> None:
    row = made("shop")
    etag = admin_client.get(LIST)["ETag"]
    same = admin_client.get(LIST, HTTP_IF_NONE_MATCH=etag)
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag)
    row.pin_reason = "audit"
    row.save(update_fields=["pin_reason"])
    changed = admin_client.get(LIST, HTTP_IF_NONE_MATCH=etag)
    assert (changed.status_code, changed["ETag"] == etag) == (200, False)
    made("shop")
    assert admin_client.get(LIST, HTTP_IF_NONE_MATCH=changed["ETag"]).status_code == 200
    assert admin_client.get(LIST, {"status": "succeeded"}, HTTP_IF_NONE_MATCH=admin_client.get(LIST)["ETag"]).status_code == 200


def test_an_unchanged_backup_is_304_until_it_or_a_verification_of_it_changes(admin_client: Client) -> None:
    row = made("shop")
    url = f"{LIST}{row.id}/"
    etag = admin_client.get(url)["ETag"]
    assert admin_client.get(url, HTTP_IF_NONE_MATCH=etag).status_code == 304
    verified(row)
    assert admin_client.get(url, HTTP_IF_NONE_MATCH=etag).status_code == 200


def test_a_backup_has_what_the_command_prints_and_more(admin_client: Client) -> None:
    user = get_user_model().objects.create_user("deploy")
    row = made("shop", progress={"phase": "dumping", "done_bytes": 1}, triggered_by=user, applied_migrations=["shop.0001"])
    verification = verified(row)
    row.refresh_from_db()
    told = admin_client.get(f"{LIST}{row.id}/").json()
    printed = json.loads(report.backup_as_json(row))
    assert {name: told[name] for name in printed if not name.endswith("_at")} == {
        name: value for name, value in printed.items() if not name.endswith("_at")
    }
    assert told["created_at"] == row.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert (told["triggered_by"], told["progress"]["phase"], told["restores"]) == ("deploy", "dumping", [])
    (listed,) = told["verifications"]
    assert (listed["id"], listed["verdict"], listed["backup"]) == (str(verification.id), "good", told["url"])


def test_a_backup_that_there_is_none_of_is_not_found(admin_client: Client) -> None:
    told = problem(admin_client.get(f"{LIST}{BackupHistory().id}/"), 404, "not-found")
    assert told["title"].startswith("There is no backup ")


def test_a_backup_is_asked_for_and_answered_at_once_with_where_to_look(
    admin_client: Client, bucket: str, source: Server, alive: None, sent: list[str]
) -> None:
    response = post(admin_client)
    told, row = response.json(), BackupHistory.objects.get()
    assert (response.status_code, told["id"], told["status"]) == (202, str(row.id), "pending")
    assert response["Location"] == told["url"] == f"http://testserver{LIST}{row.id}/"
    assert (row.database, row.bucket, row.triggered_by) == (source.database, bucket, get_user_model().objects.get())
    assert sent == [str(row.id)]
    assert admin_client.get(response["Location"]).json()["status"] == "pending"
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.outcome, entry.object, entry.channel) == ("create", "queued", row.filename, "api")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"description": "x", "upload_to_s3": False}, ""),
        ({"description": "Ünlaut"}, "description"),
        ({"description": ""}, "description"),
        ({"description": "x" * 101}, "description"),
        ({}, "description"),
        ({"description": "x", "save-local": True}, "save-local"),
        ({"description": "x", "save_local": "perhaps"}, "save_local"),
        ({"description": "x", "\ud800": 1}, "\\ud800"),
        ([], ""),
        ("x", ""),
        (None, ""),
    ],
)
def test_a_body_that_can_t_be_meant_is_refused_by_the_name_of_its_field(
    admin_client: Client, bucket: str, alive: None, body: object, field: str
) -> None:
    told = problem(post(admin_client, body), 400, "invalid")
    assert [one["field"] for one in told["errors"]] == [field]
    assert not BackupHistory.objects.exists()


def test_of_many_fields_that_there_are_none_of_the_first_are_named_and_the_entry_stays_small(admin_client: Client) -> None:
    body = {"description": "x", **{f"{number:04}{'y' * 200}": 1 for number in range(217)}}
    told = problem(post(admin_client, body), 400, "invalid")
    assert [one["field"][:4] for one in told["errors"]] == ["0000", "0001", "0002", "0003", "0004", ""]
    assert told["errors"][-1]["message"] == "And 212 more."
    assert len(json.dumps(told)) < 3_000
    assert len(AuditEntry.objects.get().detail) <= audit.LONGEST_DETAIL


def test_a_field_that_stands_twice_is_refused_by_its_name(admin_client: Client, alive: None, bucket: str) -> None:
    body = '{"description": "x", "save_local": false, "save_local": true}'
    told = problem(admin_client.post(LIST, body, content_type="application/json"), 400, "invalid")
    assert told["errors"] == [{"field": "save_local", "message": "It stands there more than once."}]


def test_a_parameter_that_stands_twice_is_refused_by_its_name(admin_client: Client) -> None:
    told = problem(admin_client.get(f"{LIST}?status=failed&status=succeeded"), 400, "invalid")
    assert told["errors"] == [{"field": "status", "message": "It stands there more than once."}]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "kind"),
    [
        (b"{", "application/json", 400, "malformed"),
        (b"[" * 50_000, "application/json", 400, "malformed"),
        (b'"' + b"x" * 70_000 + b'"', "application/json", 400, "malformed"),
        (b"\xff\xfe", "application/json", 400, "malformed"),
        (b"description=x", "application/x-www-form-urlencoded", 415, "unsupported-media-type"),
    ],
)
def test_what_is_no_json_is_refused(admin_client: Client, body: bytes, content_type: str, status: int, kind: str) -> None:
    problem(admin_client.post(LIST, body, content_type=content_type), status, kind)


def test_a_database_that_there_is_none_of_is_named(admin_client: Client, bucket: str, alive: None) -> None:
    told = problem(post(admin_client, WANTED | {"database": "nowhere"}), 400, "usage")
    assert told["title"] == "There is no database alias 'nowhere' in the settings."


@pytest.mark.parametrize("status", ["pending", "running"])
def test_while_one_is_queued_or_running_another_is_refused_with_a_link_to_it(
    admin_client: Client, bucket: str, source: Server, alive: None, sent: list[str], status: str
) -> None:
    other = made(source.database, status=status)
    told = problem(post(admin_client), 409, "running")
    assert told["running"] == f"http://testserver{LIST}{other.id}/"
    assert (sent, BackupHistory.objects.count(), AuditEntry.objects.get().outcome) == ([], 1, "refused")


def test_of_two_other_runs_there_is_no_room_for_a_third(
    admin_client: Client, bucket: str, source: Server, alive: None, sent: list[str]
) -> None:
    for database in ("one", "two"):
        made(database, status="running")
    response = post(admin_client)
    problem(response, 429, "no-room")
    assert (response["Retry-After"], sent) == ("30", [])


@pytest.mark.parametrize("minutes", [None, 6])
def test_without_a_living_worker_nothing_is_queued(
    admin_client: Client, bucket: str, source: Server, minutes: int | None
) -> None:
    if minutes:
        Heartbeat.objects.create(name="queue:backups", at=timezone.now() - timedelta(minutes=minutes))
    response = post(admin_client)
    assert "No worker is alive" in problem(response, 503, "no-worker")["title"]
    assert (response["Retry-After"], BackupHistory.objects.count()) == ("30", 0)


def test_the_same_key_is_the_same_backup_and_for_another_request_it_is_refused(
    admin_client: Client, bearer: Make, bucket: str, source: Server, alive: None, sent: list[str]
) -> None:
    first, again = (post(admin_client, **{"Idempotency-Key": "deploy 7"}) for _ in range(2))
    assert (first.status_code, again.status_code, again.json()["id"]) == (202, 202, first.json()["id"])
    assert len(sent) == BackupHistory.objects.count() == 1
    other = post(admin_client, WANTED | {"description": "other"}, **{"Idempotency-Key": "deploy 7"})
    problem(other, 422, "key-reused")
    problem(post(bearer("run"), **{"Idempotency-Key": "deploy 7"}), 409, "running")  # somebody else's key is another
    problem(post(admin_client, **{"Idempotency-Key": "x" * 256}), 400, "usage")


def test_whoever_prefers_to_wait_hears_when_it_is_made(
    admin_client: Client, bucket: str, source: Server, alive: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backups import queued

    send_by(monkeypatch, _in_a_thread(queued.make_backup))
    response = post(admin_client, Prefer="wait=60")
    assert (response.status_code, response.json()["status"], response["Preference-Applied"]) == (201, "succeeded", "wait=60")


def test_whoever_waits_for_a_backup_that_fails_is_told_why(
    admin_client: Client, bucket: str, source: Server, alive: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(id: Any) -> None:
        BackupHistory.objects.filter(id=id).update(status="failed", error_message="The disk is full.")

    send_by(monkeypatch, _in_a_thread(fail))
    told = problem(post(admin_client, Prefer="respond-async, wait=60"), 500, "failed")
    assert (told["detail"], told["backup"]) == ("The disk is full.", f"http://testserver{LIST}{BackupHistory.objects.get().id}/")


def test_whoever_has_waited_long_enough_is_told_where_to_look(
    admin_client: Client, bucket: str, source: Server, alive: None, sent: list[str]
) -> None:
    response = post(admin_client, Prefer="wait=1")
    assert (response.status_code, response["Preference-Applied"], response.json()["status"]) == (202, "wait=1", "pending")


def test_an_error_that_nobody_has_foreseen_tells_no_traceback_and_no_secret(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backups.api import backups as views

    def fail(*_given: object, **_named: object) -> None:
        raise ValueError("the password is hunter2")

    monkeypatch.setattr(views, "page_of", fail)
    response = admin_client.get(LIST)
    assert problem(response, 500, "error")["detail"] == "ValueError"
    assert b"hunter2" not in response.content


def _in_a_thread(do: Callable[[Any], Any]) -> Callable[[str], None]:
    """As a worker would, while the request waits."""
    import threading
    from uuid import UUID

    from django.db import connections

    def run(id: str) -> None:
        try:
            do(UUID(id))
        finally:
            connections.close_all()

    def begin(id: str) -> None:
        threading.Thread(target=run, args=[id]).start()

    return begin
