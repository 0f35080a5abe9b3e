"""The list of backups, as a browser sees it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups.models import AuditEntry, BackupHistory
from tests.panel.listed import LIST, page, row

pytestmark = pytest.mark.usefixtures("history")


def test_a_line_tells_status_proof_sizes_duration_who_and_what_keeps_it(viewer: Client) -> None:
    user = get_user_model().objects.create_user("deploy")
    row("release", verified_at=timezone.now() - timedelta(hours=2), triggered_by=user, pin_reason="before the audit")
    text = page(viewer)
    for expected in (
        "Succeeded",
        "Verified 2 h ago",
        "300.0 MiB",
        "2.0 GiB",
        "1 min 8 s",
        "deploy",
        "Manual",
        "before the audit",
    ):
        assert expected in text
    assert "#bk-pin" in text


def test_of_a_run_that_nobody_is_known_for_nobody_is_told_but_the_schedule(viewer: Client) -> None:
    for fields, by in (({}, "–"), ({"backup_type": "scheduled"}, "schedule")):
        BackupHistory.objects.all().delete()
        row(**fields)
        assert [line.by for line in viewer.get(LIST).context["cl"].lines] == [by]


def test_a_line_leads_to_its_backup(viewer: Client) -> None:
    one = row()
    assert f'href="{reverse("backups_panel:backup", args=[one.pk])}"' in page(viewer)


def test_the_admin_s_address_of_a_backup_leads_to_its_page_too(viewer: Client) -> None:
    one = row()
    answer = viewer.get(reverse("admin:backups_backuphistory_change", args=[one.pk]))
    assert (answer.status_code, answer["Location"]) == (302, reverse("backups_panel:backup", args=[one.pk]))


def test_a_failed_one_says_why_in_its_line(viewer: Client) -> None:
    row("daily", status="failed", size_bytes=None, error_message="The store answered 503 SlowDown.\nMore of it.")
    text = page(viewer)
    assert "The store answered 503 SlowDown." in text
    assert "More of it" not in text
    assert "nothing stored" in text


def test_a_running_one_tells_how_far_it_is(viewer: Client) -> None:
    progress = {"done_bytes": 650, "total_bytes": 1000, "stored_bytes": 4096}
    row("now", status="running", size_bytes=None, duration_seconds=None, finished_at=None, progress=progress)
    text = page(viewer)
    assert "65% of 1,000 B" in text
    assert "4.0 KiB" in text
    assert "so far" in text


def test_deleted_and_missing_ones_are_told_from_those_that_are_there(viewer: Client) -> None:
    row("gone", deleted_at=timezone.now())
    row("lost", missing_at=timezone.now())
    row("here")
    text = page(viewer)
    assert "Deleted" in text
    assert "Missing" in text
    assert "3 in the history, 1 of them stored: 300.0 MiB" in text


def test_what_users_have_typed_is_no_html(viewer: Client) -> None:
    row("x", error_message="<script>alert(1)</script>", status="failed", pin_reason="<b>pin</b>")
    text = page(viewer)
    assert "<script>alert" not in text
    assert "<b>pin" not in text


def test_an_empty_history_says_how_to_make_the_first(viewer: Client, administrator: Client) -> None:
    assert "icb db backup first" in page(viewer)
    assert reverse("backups_panel:new") not in page(viewer)
    assert reverse("backups_panel:new") in page(administrator)


def test_whoever_may_not_see_the_list_is_told_so_and_it_is_noted(browser_of: Callable[..., Client]) -> None:
    answer = browser_of().get(LIST)
    assert answer.status_code == 403
    assert "You may not do this" in answer.content.decode()
    assert AuditEntry.objects.get().action == "list"
