"""A browser that wants the dump gets the file, or a page that says why not."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups.admin import obstacles
from backups.backup import DatabaseBackup
from backups.models import AuditEntry, BackupHistory
from backups.types import Server
from backups.verify import BackupVerification
from tests.conftest import s3_client
from tests.integration.health import made
from tests.integration.test_copies import damage_object

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def restorer(browser_of: Callable[..., Client]) -> Client:
    return browser_of("backup restorer")


def address(row: BackupHistory) -> str:
    return f"/admin/backups/{row.id}/download/"


def test_a_browser_is_led_to_the_store_for_five_minutes(restorer: Client, source: Server, moto_bucket: str) -> None:
    row = DatabaseBackup(description="good", database="source").run()
    answer = restorer.get(address(row))
    assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (302, True)
    assert "X-Amz-Expires=300" in answer["Location"]
    assert hashlib.sha256(requests.get(answer["Location"], timeout=30).content).hexdigest() == row.checksum
    noted = AuditEntry.objects.get()
    assert (noted.action, noted.object, noted.target, noted.channel) == (
        *("download", row.filename, "an address of the store", "web"),
    )


def test_who_only_looks_gets_no_address(restorer: Client, source: Server, bucket: str) -> None:
    row = DatabaseBackup(description="good", database="source").run()
    for place in (address(row), f"/admin/backups/storage/download/?key={row.s3_key}"):
        answer = restorer.head(place)
        assert (answer.status_code, answer.get("Content-Length"), "Location" in answer) == (200, str(row.size_bytes), False)
    assert not AuditEntry.objects.exists()


def test_a_bad_backup_is_told_to_be_bad_where_several_are_downloaded(restorer: Client) -> None:
    row = made("shop", environment="testing", bad_at=timezone.now())
    page = restorer.get(f"/admin/backups/downloads/?id={row.id}").content.decode()
    assert 'class="pill proof bad"' in page
    assert "what comes may be damaged, incomplete or wrong" in page


def test_the_button_of_a_bad_backup_says_what_comes(restorer: Client) -> None:
    row = made("shop", environment="testing", bad_at=timezone.now())
    page = restorer.get(f"/admin/backups/{row.id}/").content.decode()
    assert f'href="{address(row)}">Download the bad backup</a>' in page


@pytest.fixture
def damaged_in_the_bucket(source: Server, bucket: str, backups_settings: Settings) -> BackupHistory:
    """A backup of two copies, as a verification knows, of which the local one is good."""
    row = DatabaseBackup(description="twice", database="source", save_local=True).run()
    damage_object(backups_settings, row.s3_key)
    BackupVerification(filename=row.filename, database="source", level="stored").run()
    return row


def test_of_two_copies_the_one_that_is_not_known_to_be_damaged_is_given(
    restorer: Client, damaged_in_the_bucket: BackupHistory
) -> None:
    answer = restorer.get(address(damaged_in_the_bucket))
    data = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert hashlib.sha256(data).hexdigest() == damaged_in_the_bucket.checksum
    assert AuditEntry.objects.get().target == "the local copy"


def test_a_damaged_copy_is_given_where_it_is_all_that_is_left_and_the_audit_says_what_it_was(
    restorer: Client, damaged_in_the_bucket: BackupHistory
) -> None:
    Path(damaged_in_the_bucket.local_path).unlink()
    assert restorer.get(address(damaged_in_the_bucket)).status_code == 302
    assert AuditEntry.objects.get().target == "an address of the store: a copy that is known to be damaged"


def test_what_only_a_local_copy_has_is_streamed(restorer: Client, source: Server, bucket: str) -> None:
    row = DatabaseBackup(description="here", database="source", upload_to_s3=False, save_local=True).run()
    answer = restorer.get(address(row))
    data = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert (answer["Content-Length"], hashlib.sha256(data).hexdigest()) == (str(row.size_bytes), row.checksum)
    assert answer["Content-Disposition"] == f'attachment; filename="{row.filename}"'


def test_a_browser_is_told_on_a_page_what_cannot_be_had(
    restorer: Client, source: Server, bucket: str, backups_settings: Settings
) -> None:
    row = DatabaseBackup(description="lost", database="source").run()
    s3_client(backups_settings).delete_object(Bucket=bucket, Key=row.s3_key)
    failed = made("shop", status="failed", filename="backup-2024-01-15T1200-failed.dump")
    for one, status, said in ((row, 404, "No store that is configured has"), (failed, 409, "is not a whole backup")):
        answer = restorer.get(address(one))
        assert (answer.status_code, answer["Content-Type"]) == (status, "text/html; charset=utf-8")
        assert said in answer.content.decode()


def test_a_program_is_told_the_same_in_json(restorer: Client) -> None:
    failed = made("shop", status="failed", filename="backup-2024-01-15T1200-failed.dump")
    answer = restorer.get(address(failed), HTTP_ACCEPT="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")


def test_whoever_may_not_download_gets_nothing_and_it_is_noted(browser_of: Callable[..., Client]) -> None:
    row = made("shop")
    assert browser_of("backup operator").get(address(row)).status_code == 403
    noted = AuditEntry.objects.get()
    assert (noted.action, noted.outcome) == ("download", "refused")


def test_an_address_that_names_no_backups_leads_to_where_they_are_chosen(restorer: Client) -> None:
    answer = restorer.get("/admin/backups/downloads/", {"id": "x"})
    assert answer.status_code == 400
    assert "Choose them in the history." in answer.content.decode()


@pytest.mark.parametrize("page", ["/admin/backups/downloads/?id={id}", "/admin/backups/{id}/"])
def test_of_a_lost_backup_the_newest_verified_one_is_named(restorer: Client, page: str) -> None:
    lost = made("shop", missing_at=timezone.now())
    proven, _newer = made("shop", hours_ago=9, verified_at=timezone.now()), made("shop", hours_ago=5)
    text = restorer.get(page.format(id=lost.id)).content.decode()
    assert f'Turn to: <a href="/admin/backups/{proven.id}/">' in text


def test_of_a_lost_backup_that_was_the_only_one_the_command_that_looks_further_is_named(restorer: Client) -> None:
    lost = made("shop", missing_at=timezone.now())
    assert "<code>icb db list</code>" in restorer.get(f"/admin/backups/downloads/?id={lost.id}").content.decode()


def test_a_program_that_wants_a_lost_dump_is_told_where_to_turn(restorer: Client, bucket: str) -> None:
    lost = made("shop", filename="backup-2024-01-15T1200-lost.dump", s3_key="testing/x.dump", bucket=bucket)
    alone = restorer.get(address(lost), HTTP_ACCEPT="application/json").json()["hint"]
    assert alone.startswith("The history knows no other good one of shop; icb db list shows what the stores have.")
    newest = made("shop", hours_ago=5)
    unproven = restorer.get(address(lost), HTTP_ACCEPT="application/json").json()["hint"]
    assert unproven.startswith(f"Turn to {newest.filename}, made 5 h ago and never verified.")
    proven = made("shop", hours_ago=9, verified_at=timezone.now())
    assert restorer.get(address(lost), HTTP_ACCEPT="application/json").json()["hint"] == (
        f"Turn to {proven.filename}, verified just now. "
        "Where the bucket keeps versions, what is lost can be had again, then: icb db sync"
    )


def test_when_a_backup_was_first_missed_is_kept_in_utc_whoever_asks() -> None:
    row = BackupHistory(
        filename="x.dump", environment="testing", status="succeeded", missing_at=datetime(2026, 1, 15, 12, tzinfo=UTC)
    )
    with timezone.override("Asia/Tokyo"):
        why = obstacles.to_fetching(row)
    assert str(why).endswith("It was first missed: 2026-01-15 12:00:00 UTC.")
