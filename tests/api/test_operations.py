"""What can be done with one backup or restore: on real databases and buckets, each effect and each refusal in the audit."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import health, queued, tasks
from backups.backup import DatabaseBackup
from backups.exceptions import ObjectDeniedError, ObjectMissingError, StorageError
from backups.models import AuditEntry, BackupHistory, BackupRestore
from backups.storage.local import LocalStore
from backups.types import Server
from tests.api.conftest import Messages, problem
from tests.conftest import connect, s3_client
from tests.integration.conftest import rows_of
from tests.integration.health import made, verified

pytestmark = pytest.mark.usefixtures("history")
LIST = "/admin/backups/"


@pytest.fixture
def backup(source: Server, bucket: str) -> BackupHistory:
    """A whole backup of `source`."""
    return DatabaseBackup(description="good", database="source").run()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the restores whose messages were sent."""
    ids: list[str] = []
    monkeypatch.setattr(tasks, "restore", Messages(ids.append))
    return ids


@pytest.fixture
def allowed(backups_settings: Settings, source: Server) -> None:
    """The API may restore onto `source`."""
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["source"]}


def post(client: Client, url: str, body: object = None) -> Any:
    return client.post(url, json.dumps({} if body is None else body), content_type="application/json")


def audited() -> list[tuple[str, str, str]]:
    return [(entry.action, entry.outcome, entry.object) for entry in AuditEntry.objects.order_by("at")]


def test_contents_are_those_of_the_manifest(admin_client: Client, backup: BackupHistory) -> None:
    told = admin_client.get(f"{LIST}{backup.id}/contents/").json()
    assert (told["filename"], told["total"]["rows"]) == (backup.filename, 6200)
    assert "shop.customer customer_pkey" in told["objects"]["CONSTRAINT"]["names"]


def test_contents_of_what_was_lost_are_not_found_and_say_where_it_was_looked_for(
    admin_client: Client, backup: BackupHistory, bucket: str, backups_settings: Settings
) -> None:
    s3_client(backups_settings).delete_object(Bucket=bucket, Key=backup.s3_key + ".json")
    told = problem(admin_client.get(f"{LIST}{backup.id}/contents/"), 404, "not-found")
    assert "has no manifest" in told["title"]


def test_two_backups_are_compared(admin_client: Client, backup: BackupHistory, source: Server) -> None:
    with connect(source) as session:
        session.execute("DROP TABLE shop.purchase")
    other = DatabaseBackup(description="later", database="source").run()
    told = admin_client.get(f"{LIST}{backup.id}/diff/{other.id}/").json()
    assert [(one["schema"], one["table"]) for one in told["tables"]["gone"]] == [("shop", "purchase")]
    assert (told["before"]["name"], told["after"]["name"]) == (backup.filename, other.filename)


def test_a_verification_is_queued_and_found_with_its_backup(
    admin_client: Client, backup: BackupHistory, alive: None, sent: list[str]
) -> None:
    response = post(admin_client, f"{LIST}{backup.id}/verify/", {"level": "stored"})
    row = BackupRestore.objects.get()
    assert (response.status_code, response["Location"]) == (202, f"http://testserver{LIST}restores/{row.id}/")
    assert sent == [str(row.id)]
    assert admin_client.get(response["Location"]).json()["status"] == "pending"
    queued.make_restore(row.id)
    (listed,) = admin_client.get(f"{LIST}{backup.id}/").json()["verifications"]
    assert (listed["level"], listed["verdict"], listed["url"]) == ("stored", "good", response["Location"])
    assert audited() == [("verify", "queued", backup.filename)]


def test_a_verification_that_nobody_would_carry_out_is_not_queued(admin_client: Client, backup: BackupHistory) -> None:
    problem(post(admin_client, f"{LIST}{backup.id}/verify/"), 503, "no-worker")
    assert not BackupRestore.objects.exists()
    assert audited() == [("verify", "failed", f"{LIST}{backup.id}/verify/")]


def test_a_queued_backup_is_cancelled_and_one_that_has_ended_is_not(admin_client: Client) -> None:
    waits, ended = made("shop", status="pending", started_at=None), made("blog")
    told = post(admin_client, f"{LIST}{waits.id}/cancel/").json()
    assert (told["id"], told["kind"], told["was_queued"]) == (str(waits.id), "backup", True)
    waits.refresh_from_db()
    assert waits.status == "cancelled"
    problem(post(admin_client, f"{LIST}{ended.id}/cancel/"), 409, "refused")
    assert [outcome for _action, outcome, _object in audited()] == ["done", "refused"]


def test_a_pin_keeps_a_backup_until_it_is_removed(admin_client: Client, backup: BackupHistory) -> None:
    url = f"{LIST}{backup.id}/pin/"
    pinned = post(admin_client, url, {"reason": "before the audit"}).json()
    assert pinned == {"filename": backup.filename, "is_pinned": True, "reason": "before the audit", "before": ""}
    assert admin_client.get(f"{LIST}{backup.id}/").json()["pin_reason"] == "before the audit"
    assert admin_client.delete(url).json()["before"] == "before the audit"
    backup.refresh_from_db()
    assert backup.pin_reason == ""
    problem(post(admin_client, url, {"reason": " "}), 400, "invalid")
    assert [action for action, *_rest in audited()] == ["pin", "unpin", "pin"]


def test_a_download_leads_to_an_address_of_the_store_that_gives_the_very_bytes(
    admin_client: Client, source: Server, moto_bucket: str
) -> None:
    backup = DatabaseBackup(description="good", database="source").run()
    response = admin_client.get(f"{LIST}{backup.id}/download/")
    assert (response.status_code, response["Cache-Control"]) == (302, "no-store")
    assert "X-Amz-Expires=300" in response["Location"]
    fetched = requests.get(response["Location"], timeout=30)
    assert hashlib.sha256(fetched.content).hexdigest() == backup.checksum
    assert fetched.headers["Content-Disposition"] == f'attachment; filename="{backup.filename}"'
    assert audited() == [("download", "done", backup.filename)]


def test_what_only_a_local_copy_has_is_streamed(admin_client: Client, source: Server, bucket: str) -> None:
    row = DatabaseBackup(description="here", database="source", upload_to_s3=False, save_local=True).run()
    response = admin_client.get(f"{LIST}{row.id}/download/", HTTP_ACCEPT="text/html")
    data = b"".join(response.streaming_content)  # type: ignore[attr-defined]
    assert (response["Content-Length"], hashlib.sha256(data).hexdigest()) == (str(row.size_bytes), row.checksum)
    assert response["Content-Disposition"] == f'attachment; filename="{row.filename}"'


def test_who_only_looks_at_a_download_hears_its_size_and_gets_no_address(
    admin_client: Client, source: Server, bucket: str
) -> None:
    stored = DatabaseBackup(description="good", database="source").run()
    local = DatabaseBackup(description="here", database="source", upload_to_s3=False, save_local=True).run()
    for row in (stored, local):
        response = admin_client.head(f"{LIST}{row.id}/download/")
        assert (response.status_code, "Location" in response, response.content) == (200, False, b"")
        assert (response["Content-Length"], response["Content-Type"]) == (str(row.size_bytes), "application/octet-stream")
        assert row.filename in response["Content-Disposition"]
    failed = made("shop", status="failed")
    assert admin_client.head(f"{LIST}{failed.id}/download/").status_code == 409
    assert [outcome for _action, outcome, _object in audited()] == ["refused"]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ObjectMissingError("It went just now."), 404, "object-missing"),
        (ObjectDeniedError("The store denies access to it."), 409, "object-denied"),
    ],
)
def test_a_copy_that_can_not_be_read_is_no_download_in_the_audit(
    admin_client: Client,
    source: Server,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    error: StorageError,
    status: int,
    kind: str,
) -> None:
    row = DatabaseBackup(description="here", database="source", upload_to_s3=False, save_local=True).run()

    def unreadable(_self: LocalStore, _key: str) -> Iterator[bytes]:
        raise error
        yield b""

    monkeypatch.setattr(LocalStore, "stream", unreadable)
    problem(admin_client.get(f"{LIST}{row.id}/download/"), status, kind)
    assert not AuditEntry.objects.filter(outcome="done").exists()


def test_nothing_of_another_environment_no_failed_run_and_nothing_that_is_gone_is_downloaded(
    admin_client: Client, backup: BackupHistory, bucket: str, backups_settings: Settings
) -> None:
    name = "backup-2024-01-15T1200-{}.dump"
    other = made("shop", environment="production", bucket=bucket, s3_key=backup.s3_key, filename=name.format("other"))
    failed = made("shop", status="failed", bucket=bucket, s3_key=backup.s3_key, filename=name.format("failed"))
    for row in (other, failed):
        problem(admin_client.get(f"{LIST}{row.id}/download/"), 409, "refused")
    s3_client(backups_settings).delete_object(Bucket=bucket, Key=backup.s3_key)
    problem(admin_client.get(f"{LIST}{backup.id}/download/"), 404, "object-missing")


def test_a_restore_is_planned_then_queued_with_the_name_and_can_be_undone(
    admin_client: Client, backup: BackupHistory, source: Server, allowed: None, alive: None, sent: list[str]
) -> None:
    url = f"{LIST}{backup.id}/restore/"
    with connect(source) as session:
        session.execute("DELETE FROM event")
    plan = post(admin_client, url, {"target": "source", "dry_run": True})
    assert (plan.status_code, plan.json()["target"]["database"], plan.json()["needs_name"]) == (200, source.database, True)
    for confirm in ({}, {"confirm": "another"}):
        assert source.database in problem(post(admin_client, url, {"target": "source", **confirm}), 400, "invalid")["detail"]
    assert (sent, BackupRestore.objects.count()) == ([], 0)

    response = post(admin_client, url, {"target": "source", "confirm": source.database})
    assert (response.status_code, sent) == (202, [response.json()["id"]])
    again = problem(post(admin_client, url, {"target": "source", "confirm": source.database}), 409, "running")
    assert again["running"] == response["Location"]
    queued.make_restore(BackupRestore.objects.get().id)
    done = admin_client.get(response["Location"]).json()
    assert (done["status"], rows_of(source, "event"), done["backup"].endswith(f"{backup.id}/")) == ("succeeded", 5000, True)

    undo = f"{LIST}restores/{done['id']}/undo/"
    problem(post(admin_client, undo, {"confirm": "another"}), 400, "invalid")
    undone = post(admin_client, undo, {"confirm": source.database})
    assert (undone.status_code, undone.json()["database"], rows_of(source, "event")) == (200, source.database, 0)
    problem(post(admin_client, undo, {"confirm": source.database}), 409, "refused")
    assert [(action, outcome) for action, outcome, _object in audited()] == [
        *(("restore", "refused"), ("restore", "refused"), ("restore", "queued"), ("restore", "refused")),
        *(("undo", "refused"), ("undo", "done"), ("undo", "refused")),
    ]
    from tests.conftest import drop_database

    drop_database(replace(source, database=undone.json()["kept_database"]))


def test_nothing_is_restored_onto_a_target_that_the_settings_do_not_name(
    admin_client: Client, backup: BackupHistory, source: Server, alive: None, sent: list[str]
) -> None:
    for target in ("source", "default", "nowhere"):
        order = {"target": target, "confirm": source.database}
        problem(post(admin_client, f"{LIST}{backup.id}/restore/", order), 403, "target-not-allowed")
    assert (sent, [outcome for _action, outcome, _object in audited()]) == ([], ["refused"] * 3)


@pytest.mark.parametrize(
    "body",
    [
        {"target": "source", "dry_run": "n"},
        {"target": "source", "confirm": 7},
        {"target": 1},
        {"target": "source", "neutralize": "no"},
    ],
)
def test_a_value_of_another_kind_is_refused_and_never_taken_for_something_else(
    admin_client: Client, backup: BackupHistory, allowed: None, body: object
) -> None:
    problem(post(admin_client, f"{LIST}{backup.id}/restore/", body), 400, "invalid")
    assert not BackupRestore.objects.exists()


def test_of_production_it_must_be_said_what_becomes_of_sessions(
    admin_client: Client,
    source: Server,
    make_database: Callable[..., Server],
    register_alias: Callable[[str, Server], None],
    bucket: str,
    backups_settings: Settings,
    alive: None,
    sent: list[str],
) -> None:
    rehearsal = make_database()
    register_alias("rehearsal", rehearsal)
    here = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["rehearsal"]}
    backups_settings.BACKUPS = {**here, "ENVIRONMENT": "production"}
    backup = DatabaseBackup(description="good", database="source").run()
    backups_settings.BACKUPS = here
    url, order = f"{LIST}{backup.id}/restore/", {"target": "rehearsal", "confirm": rehearsal.database}

    assert post(admin_client, url, order | {"dry_run": True}).json()["asks_neutralize"] is True
    assert "shall its sessions" in problem(post(admin_client, url, order), 409, "refused")["title"]
    assert not BackupRestore.objects.exists()
    assert post(admin_client, url, order | {"neutralize": False}).status_code == 202


def test_what_is_no_whole_backup_is_not_verified_and_one_is_verified_once_at_a_time(
    admin_client: Client, backup: BackupHistory, alive: None, sent: list[str]
) -> None:
    broken = made("shop", status="failed", size_bytes=None)
    problem(post(admin_client, f"{LIST}{broken.id}/verify/"), 409, "refused")
    first = post(admin_client, f"{LIST}{backup.id}/verify/")
    told = problem(post(admin_client, f"{LIST}{backup.id}/verify/"), 409, "running")
    assert told["running"].endswith(first.json()["url"].partition("/admin")[2])
    assert len(sent) == 1


def test_a_body_that_is_too_large_for_any_operation_is_a_problem(admin_client: Client, backup: BackupHistory) -> None:
    url = f"{LIST}{backup.id}/pin/"
    problem(admin_client.delete(url, b"x" * (3 << 20), content_type="application/json"), 400, "malformed")


def test_whatever_there_is_is_no_condition(admin_client: Client, backup: BackupHistory) -> None:
    assert admin_client.get(f"{LIST}{uuid4()}/", HTTP_IF_NONE_MATCH="*").status_code == 404
    assert admin_client.get(f"{LIST}{backup.id}/", HTTP_IF_NONE_MATCH="*").status_code == 200


def test_credentials_of_another_kind_are_refused_and_noted(client: Client) -> None:
    problem(client.get(LIST, HTTP_AUTHORIZATION="Basic eA=="), 401, "not-authenticated")
    assert [outcome for _action, outcome, _object in audited()] == ["refused"]


def test_restores_are_listed_and_narrowed(admin_client: Client) -> None:
    row = made("shop")
    verified(row, hours_ago=2)
    BackupRestore.objects.create(target_host="h", target_port=1, target_database="d", target_environment="testing")
    at = (timezone.now() - timedelta(hours=1)).isoformat()
    for query, number in (({}, 2), ({"purpose": "verification"}, 1), ({"created_after": at}, 1), ({"target_database": "d"}, 1)):
        assert len(admin_client.get(f"{LIST}restores/", query).json()["results"]) == number, query
    problem(admin_client.get(f"{LIST}restores/", {"purpos": "x"}), 400, "invalid")


def test_the_bucket_is_shown_a_page_at_a_time_and_what_nobody_knows_is_marked(
    admin_client: Client, source: Server, moto_bucket: str, backups_settings: Settings
) -> None:
    bucket, backup = moto_bucket, DatabaseBackup(description="good", database="source").run()
    client = s3_client(backups_settings)
    client.put_object(Bucket=bucket, Key="testing/postgres/zzz.txt", Body=b"?")
    client.put_object(Bucket=bucket, Key="testing/postgres/folder/x", Body=b"?")
    client.put_object(Bucket=bucket, Key="production/postgres/secret.dump", Body=b"?")
    seen: list[dict[str, Any]] = []
    folders: list[str] = []
    url = f"{LIST}storage/?page_size=2"
    while url:
        page = admin_client.get(url).json()
        assert len(page["folders"]) + len(page["objects"]) <= 2
        seen, folders, url = seen + page["objects"], folders + page["folders"], page["next"]
    assert folders == ["testing/postgres/folder/"]
    kinds = {one["key"].rpartition("/")[2].removeprefix(backup.filename): (one["kind"], one["is_known"]) for one in seen}
    assert kinds == {
        "": ("dump", True),
        ".globals.sql": ("globals", True),
        ".json": ("manifest", True),
        "zzz.txt": ("other", False),
    }
    assert admin_client.get(f"{LIST}storage/", {"prefix": "testing/"}).json()["folders"] == ["testing/postgres/"]


@pytest.mark.parametrize(
    "prefix", ["production/", "", "/", "testing", "testing/../production/", "testing//", "testing/./", "testingx/", "a\0b/"]
)
def test_a_prefix_outside_of_this_environment_s_own_is_refused(admin_client: Client, bucket: str, prefix: str) -> None:
    told = problem(admin_client.get(f"{LIST}storage/", {"prefix": prefix}), 400, "invalid")
    assert told["errors"][0]["field"] == "prefix"


def test_a_cursor_of_another_folder_is_refused(admin_client: Client, bucket: str) -> None:
    problem(admin_client.get(f"{LIST}storage/", {"cursor": "xyz"}), 400, "invalid")


def test_a_store_that_does_not_answer_is_a_problem_of_the_store(admin_client: Client, use_bucket: Callable[..., str]) -> None:
    use_bucket(make=False)
    told = problem(admin_client.get(f"{LIST}storage/"), 502, "storage")
    assert "does not exist" in told["title"]


def test_health_is_the_report_of_the_command(admin_client: Client, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    health.full_report.forget()
    told = admin_client.get(f"{LIST}health/").json()
    health.full_report.forget()
    with suppress(SystemExit):  # not all is well
        call_command("db_health", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert _but_for_numbers(told) == _but_for_numbers(printed)
    assert "newest-backup" in {check["id"] for check in told["checks"]}


def _but_for_numbers(value: Any) -> Any:
    """Ages and free bytes are others a moment later, and two clocks that agree may be a hundredth of a second apart then."""
    text = re.sub(
        r"its clock (and ours agree|is [0-9.]+ s (behind|ahead of) ours)", "its clock", json.dumps(value, sort_keys=True)
    )
    return json.loads(re.sub(r"[0-9]+", "0", text))
