"""A backup while it is made: how far it is, and what stops it."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from backups.models import AuditEntry, BackupHistory
from tests.integration.health import made
from tests.panel.one_backup import address, words_of

pytestmark = pytest.mark.usefixtures("history")
LIVE = {"HTTP_HX_REQUEST": "true"}


def running(**progress: object) -> BackupHistory:
    """A backup that was begun 10 seconds ago, and has told that."""
    told = {"at": timezone.now().isoformat(), **progress}
    return made("shop", hours_ago=10 / 3600, status="running", finished_at=None, duration_seconds=None, progress=told)


def test_a_queued_backup_says_that_it_waits_and_that_nobody_would_take_it(viewer: Client) -> None:
    row = made("shop", status="pending", started_at=None, finished_at=None)
    words = words_of(viewer, address(row))
    assert "Queued, waits for a worker" in words
    assert "Nobody would take it now" in words


def test_a_running_backup_shows_how_far_it_is_of_what_there_is(viewer: Client) -> None:
    row = running(
        phase="dumping", done_bytes=50 << 20, total_bytes=100 << 20, stored_bytes=7 << 20, table="public.event", rate=5 << 20
    )
    page = viewer.get(address(row)).content.decode()
    assert '<progress max="100" value="50"' in page
    assert f'hx-get="/admin/backups/{row.id}/live/?quarter=3" hx-trigger="every 1s" hx-swap="outerHTML"' in page
    words = words_of(viewer, address(row))
    for said in ("50%", "50.0 MiB of 100.0 MiB", "5.0 MiB/s", "public.event", "7.0 MiB"):
        assert said in words
    assert re.search(r"about 1\d s left", words)


def test_the_largest_tables_are_shown_with_how_far_each_is(viewer: Client) -> None:
    largest = [
        {"name": "public.event", "state": "now", "bytes": 4 << 20, "done_bytes": 1 << 20, "seconds": 8.4},
        {"name": "public.visit", "state": "done", "bytes": 2 << 20, "done_bytes": 2 << 20, "seconds": 3.14},
        {"name": "public.old", "state": "done", "bytes": 1 << 20, "done_bytes": 1 << 20, "seconds": None},
        {"name": "public.last", "state": "waits", "bytes": 0, "done_bytes": 0, "seconds": None},
    ]
    row = running(phase="dumping", done_bytes=1, total_bytes=9, tables={"done": 2, "total": 1041, "largest": largest})
    words = words_of(viewer, address(row))
    for said in (
        "2 of 1,041 dumped",
        "public.event4.0 MiB25%8 s so far",
        "public.visit2.0 MiB100%3.1 s",
        "public.old1.0 MiB100%done",
        "public.last0 B0%waits",
        "The 4 largest are shown.",
    ):
        assert said in words
    assert 'id="bk-tables" hx-swap-oob="true"' in viewer.get(address(row, "live/"), **LIVE).content.decode()


def test_before_the_snapshot_nobody_knows_which_tables_there_are(viewer: Client) -> None:
    assert "is known once the snapshot is taken" in words_of(viewer, address(running(phase="checking")))
    asked_to_stop = running(phase="cancelling")
    assert 'id="bk-tables" hidden' in viewer.get(address(asked_to_stop)).content.decode()


def test_before_and_after_the_dump_no_share_is_made_up(viewer: Client) -> None:
    for phase, said in (
        ("checking", "Checking"),
        ("counting rows", "rows are still being counted"),
        ("completing", "completing"),
    ):
        row = running(phase=phase, done_bytes=0, total_bytes=0)
        words = words_of(viewer, address(row))
        assert said in words
        assert "%" not in words
        assert "about" not in words
        row.delete()


def test_the_live_part_is_a_part_and_speaks_at_each_quarter_only(viewer: Client) -> None:
    row = running(phase="dumping", done_bytes=60, total_bytes=100)
    first = viewer.get(address(row, "live/?quarter=2"), **LIVE).content.decode()
    assert "60 percent dumped" in first
    assert "<html" not in first
    again = viewer.get(address(row, "live/?quarter=3"), **LIVE).content.decode()
    assert "percent dumped" not in again


def test_a_run_that_has_ended_is_shown_whole_instead(viewer: Client) -> None:
    row = made("shop")
    assert viewer.get(address(row, "live/"), **LIVE)["HX-Refresh"] == "true"
    assert viewer.get(address(row, "live/"))["Location"] == address(row)


def test_a_dump_from_which_nothing_comes_is_told(viewer: Client) -> None:
    row = running(phase="dumping", done_bytes=1, total_bytes=9, at=(timezone.now() - timedelta(minutes=2)).isoformat())
    assert "Nothing was heard of it for 2 min" in words_of(viewer, address(row))


def test_a_queued_backup_is_cancelled_by_its_button(browser_of: Callable[..., Client]) -> None:
    operator = browser_of("backup operator")
    row = made("shop", status="pending", started_at=None, finished_at=None)
    assert "Cancel this backup" in words_of(operator, address(row))
    assert operator.post(address(row, "cancel/"))["Location"] == address(row)
    row.refresh_from_db()
    assert row.status == "cancelled"
    words = words_of(operator, address(row))
    assert "it had not begun" in words
    assert AuditEntry.objects.get().action == "cancel"


def test_one_that_has_ended_is_not_cancelled_and_it_is_said(administrator: Client) -> None:
    answer = administrator.post(address(made("shop"), "cancel/"))
    assert (answer.status_code, "it has ended" in answer.content.decode()) == (409, True)
