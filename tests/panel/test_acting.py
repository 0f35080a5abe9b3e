"""What the forms on the page of a backup ask for, and of whom they are taken."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags

from backups import queued
from backups.admin import zone
from backups.models import AuditEntry, BackupHistory, BackupRestore
from tests.integration.health import made
from tests.panel.one_backup import address, words_of
from tests.panel.workers import alive

pytestmark = pytest.mark.usefixtures("history")


def test_a_verification_is_queued_by_the_button_and_its_proof_is_shown(
    administrator: Client, backup: BackupHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = alive(monkeypatch)
    answer = administrator.post(address(backup, "verify/"))
    made_run = BackupRestore.objects.get()
    assert (answer["Location"], sent.ids) == (f"/admin/backups/restores/{made_run.id}/", [str(made_run.id)])
    assert "A verification of it is queued or at work" in words_of(administrator, address(backup))
    queued.make_restore(made_run.id)
    words = words_of(administrator, address(backup))
    assert "Loaded into a scratch database: 3 of 3 tables equal" in words
    assert "Verified just now" in words
    assert [entry.action for entry in AuditEntry.objects.all()] == ["verify"]


def test_a_level_that_there_is_none_of_is_refused(administrator: Client, backup: BackupHistory) -> None:
    assert administrator.post(address(backup, "verify/"), {"level": "blessed"}).status_code == 400


@pytest.mark.parametrize(
    ("fields", "why"), [({"status": "failed"}, "is no whole backup"), ({"deleted_at": timezone.now()}, "was deleted")]
)
@pytest.mark.parametrize("action", ["pin/", "unpin/", "verify/"])
def test_what_is_not_there_is_refused_with_why_and_what_to_do(
    administrator: Client, action: str, fields: dict[str, object], why: str
) -> None:
    row = made("shop", **fields)
    answer = administrator.post(address(row, action))
    text = " ".join(strip_tags(answer.content.decode()).split())
    assert answer.status_code == 409
    assert (row.filename in text, why in text, "Choose one that has succeeded" in text) == (True, True, True)


def test_when_it_was_deleted_is_told_on_the_viewers_clock_and_noted_in_utc(administrator: Client) -> None:
    row = made("shop", deleted_at=datetime(2025, 11, 22, 23, 30, 4, tzinfo=UTC))
    administrator.cookies[zone.COOKIE] = "Asia/Tokyo"
    shown = strip_tags(administrator.post(address(row, "pin/")).content.decode())
    assert f"{row.filename} was deleted, 23 Nov 2025, and is in no store any more." in " ".join(shown.split())
    noted = AuditEntry.objects.get(outcome="refused").detail
    assert f"{row.filename} was deleted, 2025-11-22 23:30:04 UTC, and is in no store any more." in noted


@pytest.mark.parametrize("action", ["verify", "cancel", "pin", "unpin"])
def test_what_one_may_not_do_is_refused_and_noted(viewer: Client, action: str) -> None:
    row = made("shop")
    assert viewer.post(address(row, f"{action}/")).status_code == 403
    assert AuditEntry.objects.get().action == action
    assert viewer.get(address(row, f"{action}/"))["Location"] == address(row)


def test_a_form_of_another_site_does_nothing(browser_of: Callable[..., Client]) -> None:
    client = browser_of("backup administrator")
    client.handler.enforce_csrf_checks = True
    row = made("shop", status="pending", started_at=None, finished_at=None)
    assert client.post(address(row, "cancel/")).status_code == 403
    row.refresh_from_db()
    assert row.status == "pending"
