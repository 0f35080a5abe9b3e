"""A backup that must stay: pinned with a reason, one on its page or several in the list, and let go of again."""

from collections.abc import Callable

import pytest
from django.test import Client

from backups import catalog
from backups.models import AuditEntry, BackupHistory
from backups.storage import keys
from tests.integration import shelf
from tests.panel.listed import LIST, act, row, said
from tests.panel.one_backup import address, words_of

pytestmark = pytest.mark.usefixtures("history")


def test_a_pin_needs_a_reason_and_is_removed_again(browser_of: Callable[..., Client], backup: BackupHistory) -> None:
    pruner = browser_of("backup pruner")
    assert f'maxlength="{catalog.LONGEST_REASON}"' in pruner.get(address(backup)).content.decode()
    typed = "before the audit, " * 20
    answer = pruner.post(address(backup, "pin/"), {"reason": typed})
    assert (answer.status_code, typed in answer.content.decode()) == (400, True)
    assert 'aria-invalid="true"' in answer.content.decode()
    assert pruner.post(address(backup, "pin/"), {"reason": "before the audit"})["Location"] == address(backup)
    assert "Pinned: before the audit" in words_of(pruner, address(backup))
    assert pruner.post(address(backup, "unpin/"))["Location"] == address(backup)
    assert "Pinned" not in words_of(pruner, address(backup)).split("The pin is removed")[1]
    backup.refresh_from_db()
    assert backup.pin_reason == ""
    assert [entry.action for entry in AuditEntry.objects.order_by("at")] == ["pin", "pin", "unpin"]
    pruner.post(address(backup, "unpin/"))
    assert "It was not pinned. Nothing was changed." in words_of(pruner, address(backup))


@pytest.mark.parametrize("typed", ["a\0b", "a\x1b[31mb"])
def test_a_reason_that_can_not_be_printed_is_refused_with_a_sentence(
    browser_of: Callable[..., Client], backup: BackupHistory, typed: str
) -> None:
    answer = browser_of("backup pruner").post(address(backup, "pin/"), {"reason": typed})
    assert answer.status_code == 400
    assert "A pin needs a reason, of at most 200 printable characters" in answer.content.decode()
    backup.refresh_from_db()
    assert backup.pin_reason == ""


def test_a_pin_asks_only_for_those_that_can_be_pinned(administrator: Client) -> None:
    gone, there = row("gone", status="failed"), row("there")
    answer = act(administrator, "pin", gone, there)
    text = answer.content.decode()
    assert (f'value="{there.pk}"' in text, f'value="{gone.pk}"' in text) == (True, False)
    assert f"Not done with {gone.filename}" in text
    assert AuditEntry.objects.get(action="pin").outcome == "refused"


def test_whoever_takes_away_a_pin_that_is_none_is_told_so(administrator: Client, bucket: str) -> None:
    one = BackupHistory.objects.get(s3_key=shelf.put("one"))
    assert said(act(administrator, "unpin", one)) == [
        f"Not done with {one.filename}: It was not pinned, and nothing was changed."
    ]


def test_a_pin_asks_for_its_reason_and_then_keeps_it_in_history_and_bucket(administrator: Client, bucket: str) -> None:
    one = BackupHistory.objects.get(s3_key=shelf.put("kept"))
    asked = act(administrator, "pin", one)
    assert asked.status_code == 200
    assert "Why must it be kept?" in asked.content.decode()
    assert one.filename in asked.content.decode()

    given = {"action": "pin", "_selected_action": [str(one.pk)], "reason": "  before   the audit "}
    assert said(administrator.post(LIST, given)) == ["1 backup is pinned: before the audit"]
    one.refresh_from_db()
    assert one.pin_reason == "before the audit"
    assert shelf._store().read(keys.pin_key(one.s3_key), limit_bytes=100) == b"before the audit\n"
    noted = AuditEntry.objects.get(action="pin")
    assert (noted.outcome, noted.object, noted.detail) == ("done", one.filename, "before the audit")


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "a\0b", "a\x1b[31mb"])
def test_without_a_reason_that_can_be_kept_nothing_is_pinned(administrator: Client, reason: str) -> None:
    one = row()
    answer = act(administrator, "pin", one, reason=reason)
    assert answer.status_code == 400
    assert "Nothing was pinned." in answer.content.decode()
    one.refresh_from_db()
    assert one.pin_reason == ""


def test_a_pin_is_taken_away_and_that_is_noted(administrator: Client, bucket: str) -> None:
    one = BackupHistory.objects.get(s3_key=shelf.put("kept", pin_reason="why"))
    assert said(act(administrator, "unpin", one)) == ["1 backup is no longer pinned."]
    one.refresh_from_db()
    assert one.pin_reason == ""
    assert AuditEntry.objects.get(action="unpin").detail == "why"


def test_what_can_not_be_pinned_is_said_and_noted_and_the_others_are(administrator: Client, bucket: str) -> None:
    good = BackupHistory.objects.get(s3_key=shelf.put("good"))
    lost = BackupHistory.objects.get(s3_key=shelf.put("lost", minutes=1, dump=None, manifest=False))
    told = said(act(administrator, "pin", good, lost, reason="why"))
    assert [text for text in told if text.startswith(f"Not done with {lost.filename}")]
    assert told[-1] == "1 backup is pinned: why"
    assert AuditEntry.objects.filter(action="pin", object=lost.filename).exclude(outcome="done").count() == 1
