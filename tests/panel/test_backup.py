"""One backup: watched while it is made, then what is proven of it, what is in it, and what can be done."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import strip_tags
from pytest_django.fixtures import Settings

from backups import catalog, queued
from backups.admin import zone
from backups.admin.contents import Manifest
from backups.backup import DatabaseBackup
from backups.models import AuditEntry, BackupHistory, BackupRestore
from backups.restore import DatabaseRestore
from backups.storage import keys
from backups.types import Server
from tests.conftest import connect, s3_client
from tests.integration.health import made, verified
from tests.panel.workers import alive

pytestmark = pytest.mark.usefixtures("history")
BrowserOf = Callable[..., Client]
LIVE = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def viewer(browser_of: BrowserOf) -> Client:
    return browser_of("backup viewer")


@pytest.fixture
def administrator(browser_of: BrowserOf) -> Client:
    return browser_of("backup administrator")


@pytest.fixture
def backup(source: Server, bucket: str) -> BackupHistory:
    """A whole backup of `source`."""
    return DatabaseBackup(description="good", database="source").run()


def address(row: BackupHistory, more: str = "") -> str:
    return f"/admin/backups/{row.id}/{more}"


def words_of(client: Client, url: str, **headers: str) -> str:
    """What stands on a page, without its tags."""
    answer = client.get(url, **headers)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", strip_tags(answer.content.decode())).replace("\N{NO-BREAK SPACE}", " ")


def running(**progress: object) -> BackupHistory:
    """A backup that was begun 10 seconds ago, and has told that."""
    told = {"at": timezone.now().isoformat(), **progress}
    return made("shop", hours_ago=10 / 3600, status="running", finished_at=None, duration_seconds=None, progress=told)


# ---- while it is made


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


def test_a_queued_backup_is_cancelled_by_its_button(browser_of: BrowserOf) -> None:
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


# ---- what became of it


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


def test_tables_are_compared_with_the_backup_before_and_what_has_fallen_is_marked(
    viewer: Client, backup: BackupHistory, source: Server
) -> None:
    with connect(source) as session:
        session.execute("DELETE FROM event WHERE id > 1000; INSERT INTO shop.customer (name) VALUES ('one more')")
        session.execute("DROP TABLE shop.purchase; CREATE TABLE shop.added ()")
    row = DatabaseBackup(description="later", database="source").run()
    page = viewer.get(address(row)).content.decode()
    assert f"{backup.id}/diff/{row.id}/" in page
    lines = {name: strip_tags(cells) for name, cells in re.findall(r'class="key">([^<]+)</th>(.*?)</tr>', page)}
    assert "\N{MINUS SIGN}4,000\N{MINUS SIGN}80.0%" in lines["public.event"]
    assert "+1+0.5%" in lines["shop.customer"]
    assert "\N{MINUS SIGN}1,000gone" in lines["shop.purchase"]
    assert len(re.findall(r'class="num fell"', page)) == 4
    words = words_of(viewer, address(row))
    assert "2 tables shrank" in words
    assert "public.event has lost 80%" in words


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("name", ["public.event", "shop.customer", "shop.purchase"]),
        ("-name", ["shop.purchase", "shop.customer", "public.event"]),
        ("-rows", ["public.event", "shop.purchase", "shop.customer"]),
        ("rows", ["shop.customer", "shop.purchase", "public.event"]),
        ("'; DROP", ["public.event", "shop.purchase", "shop.customer"]),
    ],
)
def test_tables_are_sorted_by_a_link(viewer: Client, backup: BackupHistory, sort: str, names: list[str]) -> None:
    page = viewer.get(address(backup), {"sort": sort}).content.decode()
    assert re.findall(r'class="key">([^<]+)</th>', page) == names
    if sort in ("name", "rows"):
        assert page.count('aria-sort="ascending"') == 1


def test_many_tables_are_shown_when_they_are_asked_for(viewer: Client) -> None:
    tables = [{"schema": "public", "table": f"t{n:03}", "rows": n, "bytes": n << 10} for n in range(40)]
    row = made("shop", table_snapshot={"tables": tables, "total": {"tables": 40, "rows": 780, "bytes": 9}})
    assert words_of(viewer, address(row)).count("public.t") == 12
    assert "All 40 tables" in words_of(viewer, address(row))
    assert words_of(viewer, address(row, "?tables=all")).count("public.t") == 40


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


def test_a_pin_needs_a_reason_and_is_removed_again(browser_of: BrowserOf, backup: BackupHistory) -> None:
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
    browser_of: BrowserOf, backup: BackupHistory, typed: str
) -> None:
    answer = browser_of("backup pruner").post(address(backup, "pin/"), {"reason": typed})
    assert answer.status_code == 400
    assert "A pin needs a reason, of at most 200 printable characters" in answer.content.decode()
    backup.refresh_from_db()
    assert backup.pin_reason == ""


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


def test_contents_are_listed_by_name(viewer: Client, backup: BackupHistory) -> None:
    words = words_of(viewer, address(backup, "contents/"))
    for said in ("3 tables, 6,200 rows", "shop.customer customer_pkey", "Sequences 2", "plpgsql"):
        assert said in words


def test_the_manifest_is_read_and_taken_away_as_it_is_stored(viewer: Client, backup: BackupHistory) -> None:
    words = words_of(viewer, address(backup, "manifest/"))
    assert "The signature is ours and fits" in words
    assert "checksum_sha256" in words
    answer = viewer.get(address(backup, "manifest/?as=file"))
    assert json.loads(answer.content)["backup"]["filename"] == backup.filename
    assert answer["Content-Disposition"] == f'attachment; filename="{backup.filename}.json"'


@pytest.mark.parametrize("more", ["", "?as=file"])
def test_a_manifest_that_is_changed_between_two_reads_is_neither_shown_nor_handed_out(
    viewer: Client, backup: BackupHistory, monkeypatch: pytest.MonkeyPatch, backups_settings: Settings, more: str
) -> None:
    find = Manifest.found

    def found_and_then_changed(page: Manifest, id: UUID) -> object:
        found = find(page, id)
        client, where = s3_client(backups_settings), {"Bucket": backup.bucket, "Key": keys.manifest_key(backup.s3_key)}
        told = client.get_object(**where)["Body"].read()
        client.put_object(**where, Body=told.replace(backup.checksum.encode(), b"0" * 64))
        return found

    monkeypatch.setattr(Manifest, "found", found_and_then_changed)
    assert viewer.get(address(backup, f"manifest/{more}")).status_code == 409


def test_a_manifest_that_is_not_ours_is_not_called_ours(viewer: Client, backup: BackupHistory, backups_settings: object) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "SIGNING_KEY": "another key, 32 characters and some more"}  # type: ignore[attr-defined]
    answer = viewer.get(address(backup, "manifest/"))
    assert (answer.status_code, "was signed with another key" in answer.content.decode()) == (409, True)


# ---- who may what


CONTROLS = ("Download", "Pin…", "Verify", "Restore this…", "Delete this backup…")


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
def test_what_one_may_not_do_is_not_shown(browser_of: BrowserOf, group: str, shown: set[str]) -> None:
    row = made("shop", filename="backup-2024-01-15T1200-x.dump")
    page = browser_of(group).get(address(row)).content.decode()
    controls = re.findall(r'<(?:a|button) class="btn[^>]*>([^<]+)<', page)
    assert set(CONTROLS) & set(controls) == shown


@pytest.mark.parametrize("action", ["verify", "cancel", "pin", "unpin"])
def test_what_one_may_not_do_is_refused_and_noted(viewer: Client, action: str) -> None:
    row = made("shop")
    assert viewer.post(address(row, f"{action}/")).status_code == 403
    assert AuditEntry.objects.get().action == action
    assert viewer.get(address(row, f"{action}/"))["Location"] == address(row)


def test_a_form_of_another_site_does_nothing(browser_of: BrowserOf) -> None:
    client = browser_of("backup administrator")
    client.handler.enforce_csrf_checks = True
    row = made("shop", status="pending", started_at=None, finished_at=None)
    assert client.post(address(row, "cancel/")).status_code == 403
    row.refresh_from_db()
    assert row.status == "pending"


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
