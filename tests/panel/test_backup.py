"""The page of one backup: what became of it, what is proven of it, and what it offers to whom."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.alerting.problems import of_history
from backups.models import BackupHistory, BackupRestore
from backups.restore import DatabaseRestore
from backups.types import Server
from tests.integration.health import made, verified
from tests.panel.one_backup import address, words_of

pytestmark = pytest.mark.usefixtures("history")
CONTROLS = ("Download", "Pin…", "Verify", "Restore this…", "Delete this backup…")


def test_a_failed_run_tells_why_what_is_untouched_and_what_to_do(administrator: Client) -> None:
    good = made("shop", description="daily")
    error = "pg_dump failed.\npg_dump: error: no room <left>\nFree some."
    row = made("shop", status="failed", error_message=error, description="nightly run", local_path="/x", filename="f")
    words = words_of(administrator, address(row))
    for said in ("Failed", "pg_dump failed.", "no room", "was removed", "Earlier backups are as they were", "daily"):
        assert said in words
    assert "icb db backup &#x27;nightly run&#x27; --save-local --skip-upload" in words
    page = administrator.get(address(row)).content.decode()
    assert "&lt;left&gt;" in page
    assert address(good) in page
    assert "/admin/backups/new/?description=nightly+run&amp;database=default&amp;save_local=on" in page


def test_after_a_failure_the_page_names_the_good_backup_that_the_incident_names(viewer: Client) -> None:
    good = made("shop", hours_ago=9, filename="good")
    verified(good)
    bad = made("shop", hours_ago=3, filename="bad", bad_at=timezone.now())
    replaced = made("shop", hours_ago=2, filename="replaced", backup_type="pre-restore")
    row = made("shop", hours_ago=1, filename="failed", status="failed", error_message="It failed.")
    page = viewer.get(address(row)).content.decode()
    assert f'href="{address(good)}"' in page
    assert [one for one in (bad, replaced) if f'href="{address(one)}"' in page] == []
    (told,) = (one.detail for one in of_history("testing") if one.event == "backup-failed")
    assert "Untouched: good, " in told


def test_what_was_left_behind_is_not_called_removed(viewer: Client) -> None:
    row = made("shop", status="failed", error_message="It failed.", upload_id="u", filename="f")
    assert "may still be in a store" in words_of(viewer, address(row))


def test_a_backup_is_told_with_its_tables_facts_and_commands(viewer: Client, backup: BackupHistory, source: Server) -> None:
    words = words_of(viewer, address(backup))
    for said in (
        "Never verified",
        "3 tables, 6,200 rows",
        "shop.purchase",
        backup.checksum,
        backup.s3_key,
        "no backup before it",
    ):
        assert said in words
    assert f"icb db restore {backup.filename} " in words
    assert f"--target-dbname {source.database}" in words


def test_a_bad_backup_says_so_before_anything_else(viewer: Client) -> None:
    row = made("shop", bad_at=timezone.now())
    run = verified(row)
    BackupRestore.objects.filter(pk=run.pk).update(verdict="bad", status="failed")
    page = viewer.get(address(row)).content.decode()
    assert "This backup was found bad" in page
    assert f"/admin/backups/restores/{run.id}/" in page


def test_what_was_proven_before_a_backup_was_found_bad_counts_no_more(viewer: Client) -> None:
    now = timezone.now()
    row = made("shop", stored_at=now - timedelta(days=1), verified_at=now - timedelta(days=1), bad_at=now)
    words = words_of(viewer, address(row))
    assert words.count("It was, before the backup was found bad. That counts no more") == 2
    assert words.count("It was never proven, and the backup was found bad") == 1
    assert "Size and SHA-256 of what the store holds are those of the dump" not in words


def test_a_restore_that_compared_equal_is_proof_as_well(viewer: Client, backup: BackupHistory, fresh_target: Server) -> None:
    DatabaseRestore(filename=backup.filename, target=fresh_target).run()
    words = words_of(viewer, address(backup))
    assert f"Restored onto {fresh_target.database}: 3 of 3 tables equal" in words
    assert "Verified just now" in words


@pytest.mark.parametrize(
    ("group", "shown"),
    [
        ("backup viewer", set()),
        ("backup operator", {"Verify"}),
        ("backup restorer", {"Download", "Verify", "Restore this…"}),
        ("backup pruner", {"Pin…", "Delete this backup…"}),
        ("backup administrator", set(CONTROLS)),
    ],
)
def test_what_one_may_not_do_is_not_shown(browser_of: Callable[..., Client], group: str, shown: set[str]) -> None:
    row = made("shop", filename="backup-2024-01-15T1200-x.dump")
    page = browser_of(group).get(address(row)).content.decode()
    controls = re.findall(r'<(?:a|button) class="btn[^>]*>([^<]+)<', page)
    assert set(CONTROLS) & set(controls) == shown


@pytest.mark.parametrize("more", ["", "live/", "contents/", "manifest/", "verify/", "download/"])
def test_a_backup_that_there_is_none_of_is_not_found(administrator: Client, more: str) -> None:
    url = f"/admin/backups/00000000-0000-4000-8000-000000000000/{more}"
    assert administrator.get(url).status_code == 404


def test_nothing_is_offered_of_what_is_deleted_or_of_another_environment(administrator: Client) -> None:
    deleted = made("shop", deleted_at=timezone.now(), filename="backup-2024-01-15T1200-x.dump")
    page = administrator.get(address(deleted)).content.decode()
    assert not set(CONTROLS) & set(re.findall(r'<(?:a|button) class="btn[^>]*>([^<]+)<', page))
    other = made("shop", environment="production", filename="backup-2024-01-15T1200-y.dump")
    page = administrator.get(address(other)).content.decode()
    assert "icb db restore production/postgres/backup-2024-01-15T1200-y.dump" in page
    controls = set(re.findall(r'<(?:a|button) class="btn[^>]*>([^<]+)<', page))
    assert set(CONTROLS) & controls == {"Verify", "Restore this…"}


def test_the_page_asks_as_often_however_much_there_is(viewer: Client) -> None:
    def queries(row: BackupHistory) -> int:
        with CaptureQueriesContext(connection) as captured:
            words_of(viewer, address(row))
        return len(captured)

    made("shop", hours_ago=5)
    row = made("shop", hours_ago=2)
    verified(row)
    few = queries(row)
    for number in range(30):
        made("shop", hours_ago=10 + number)
        verified(row, hours_ago=number / 60)
    assert queries(row) == few


def test_nothing_is_inline(administrator: Client, backup: BackupHistory) -> None:
    queued_one = made("other", status="pending", started_at=None, finished_at=None)
    failed = made("shop", status="failed", filename="f")
    for url in (address(backup), address(queued_one), address(failed), address(backup, "contents/"), "/admin/backups/new/"):
        page = administrator.get(url).content.decode()
        assert not re.search(r"<script(?![^>]*src=)|<style| style=| on[a-z]+=", page), url
