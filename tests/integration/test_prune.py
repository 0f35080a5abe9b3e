"""Retention, carried out on real stores and a real history: what goes, what stays, and what is said of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import catalog, queued
from backups.backup import DatabaseBackup
from backups.cancelling import cancel
from backups.exceptions import CancelledError, ConfigurationError, HistoryError, RefusedError, UsageError
from backups.models import BackupHistory
from backups.prune import BackupPruning, Fate, Judged, Pruning, pin, unpin
from backups.storage import keys
from backups.types import Server
from tests.conftest import keys_in, s3_client
from tests.faults.proxy import Proxy, deny, operation
from tests.integration import shelf
from tests.integration.conftest import Run

pytestmark = pytest.mark.usefixtures("history")

Retain = Callable[..., None]


@pytest.fixture
def retain(backups_settings: Settings) -> Retain:
    """Sets the rules."""

    def retain(**rules: object) -> None:
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RETENTION": {"maximum_share": 1.0, **rules}}

    return retain


@pytest.fixture
def proxy(use_bucket: Callable[..., str], backups_settings: Settings) -> Iterator[Proxy]:
    """A bucket in use, behind a proxy that counts and can break."""
    endpoint = backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"]
    with Proxy(endpoint) as proxy:
        use_bucket(endpoint_url=proxy.endpoint)
        yield proxy


def shelve(description: str, *, days: float, verified: bool = True, **more: object) -> str:
    """A backup of so many days ago; its key. A failed run of it would be another row."""
    at = timezone.now() - timedelta(days=days)
    proof = {"verified_at": at + timedelta(hours=1)} if verified and more.get("row", True) else {}
    return shelf.put(description, at=at, **{**proof, **more})  # type: ignore[arg-type]


def fates(pruning: Pruning) -> dict[str, str]:
    """By description."""
    return {described(one.candidate.filename): str(one.fate) for one in pruning.backups}


def reasons(pruning: Pruning) -> dict[str, str]:
    return {described(one.candidate.filename): "; ".join(one.reasons) for one in pruning.backups}


def described(filename: str) -> str:
    return filename.removesuffix(".dump").split("-", 4)[-1]


def on_the_shelf() -> set[str]:
    """Descriptions of what a list calls whole."""
    return {described(entry.filename) for entry in catalog.list_backups(limit=None).entries if entry.is_whole}


def row_of(key: str) -> BackupHistory:
    return BackupHistory.objects.get(filename=keys.filename_of(key))


@contextmanager
def without_history() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute('ALTER TABLE "admin"."backup_history" RENAME TO lost')
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute('ALTER TABLE "admin"."lost" RENAME TO backup_history')


# What the history alone tells


def test_what_history_and_bucket_agree_on_is_planned_by_the_history_alone_without_a_request(proxy: Proxy, retain: Retain) -> None:
    retain(keep_last=1)
    for number in range(4):
        shelve(f"n{number}", days=1 + number)
    shelve("bad", days=6, bad_at=timezone.now())
    pin(shelve("pinned", days=7), reason="for the audit")
    whole = BackupPruning().plan()
    proxy.seen.clear()

    told = BackupPruning().plan(by_history=True)

    assert proxy.seen == []
    assert told.backups == whole.backups
    assert (told.is_by_history, whole.is_by_history) == (True, False)


def test_the_history_alone_plans_nothing_of_what_it_knows_to_be_gone_or_not_whole(bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    shelve("missing", days=3, missing_at=timezone.now(), dump=None, manifest=False)
    shelve("deleted", days=4, deleted_at=timezone.now(), dump=None, manifest=False)
    shelve("failed", days=5, status="failed", verified=False, dump=None, manifest=False)
    assert fates(BackupPruning().plan(by_history=True)) == {"new": "keep"}


# What is said


def test_without_a_rule_everything_is_kept_and_the_way_to_a_rule_is_told(
    run: Run, bucket: str, backups_settings: Settings
) -> None:
    shelve("old", days=900)
    shelve("new", days=1)
    before = keys_in(backups_settings, bucket)

    for words in ([], ["--dry-run"]):
        done = run("db_prune", *words)
        assert done.code == 0
        assert "everything is kept (2 backups, 2.0 KiB)" in done.out
        assert "BACKUPS_RETENTION='{" in done.out
    assert keys_in(backups_settings, bucket) == before


def test_an_empty_bucket_is_no_problem(run: Run, bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    done = run("db_prune")
    assert (done.code, done.out) == (0, "Deleted 0 backups, freeing 0 B; 0 backups kept (0 B).\n")
    assert "Would delete 0 backups" in run("db_prune", "--dry-run").out


def test_a_dry_run_prints_keep_and_obsolete_newest_first_each_with_its_rule_and_changes_nothing(
    run: Run, bucket: str, retain: Retain, backups_settings: Settings
) -> None:
    retain(keep_last=1, daily=2)
    for days, description in ((0.1, "unproven"), (1, "one"), (2, "two"), (3, "three")):
        shelve(description, days=days, verified=description != "unproven")
    before = keys_in(backups_settings, bucket)

    done = run("db_prune", "--dry-run")

    assert done.code == 0
    heading, _blank, *lines = done.out.splitlines()
    assert heading == "Kept are: the last 1, 2 daily; at most 100% of a database's backups in one run."
    assert [line.split()[0] for line in lines[:4]] == ["keep", "keep", "keep", "obsolete"]
    assert [described(line.split()[1]) for line in lines[:4]] == ["unproven", "one", "two", "three"]
    assert "not verified yet, and newer than the newest verified" in lines[0]
    assert "newest verified in the bucket; verified 1 of the last 1; newest of" in lines[1]
    assert "(day 2 of 2)" in lines[2]
    assert lines[3].endswith("2 days ago   1005 B   no rule keeps it")
    assert lines[-2:] == [
        "Would delete 1 backup, freeing 1005 B; 3 backups kept (2.9 KiB).",
        "Nothing was changed. Do it: icb db prune",
    ]
    assert keys_in(backups_settings, bucket) == before
    assert not BackupHistory.objects.exclude(deleted_at=None).exists()


def test_json_tells_the_same_with_full_precision(run: Run, bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    new, old = shelve("new", days=1), shelve("old", days=2)

    for words, verdict in (["--dry-run"], "obsolete"), ([], "deleted"):
        told = json.loads(run("db_prune", "--json", *words).out)
        assert [(one["filename"], one["verdict"]) for one in told["backups"]] == [
            (keys.filename_of(new), "keep"),
            (keys.filename_of(old), verdict),
        ]
        assert told["backups"][1]["reasons"] == ["no rule keeps it"]
        assert (told["freed_bytes"], told["rules"]["keep_last"]) == (len(shelf.BODY), 1)


def test_a_run_prints_what_it_has_deleted(run: Run, bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    old = shelve("old", days=2)
    done = run("db_prune")
    assert done.code == 0
    assert done.out.splitlines() == [
        f"deleted  {keys.filename_of(old)}   1005 B   no rule keeps it",
        "Deleted 1 backup, freeing 1005 B; 1 backup kept (1005 B).",
    ]


def test_two_databases_are_judged_apart_and_named(run: Run, bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    for database in ("shop", "press"):
        shelve(f"new {database}", days=1, database=database)
        shelve(f"old {database}", days=2, database=database)
    done = run("db_prune", "--dry-run")
    assert done.out.count("obsolete   ") == 2
    assert "   press   " in done.out


@pytest.mark.parametrize("rules", [{"keep_lasts": 3}, {"daily": 0}, {"time_zone": "Nowhere"}, "daily"])
def test_rules_that_can_not_be_meant_are_refused_with_what_is_known(
    rules: object, bucket: str, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RETENTION": rules}
    with pytest.raises(ConfigurationError, match="RETENTION"):
        BackupPruning()


# What goes


def test_dump_manifest_local_copy_and_what_lies_beside_them_go_and_the_row_stays(
    source: Server, any_bucket: str, retain: Retain, backups_settings: Settings, local_folder: Path
) -> None:
    old = DatabaseBackup(description="old", database="source", save_local=True).run()
    new = DatabaseBackup(description="new", database="source", save_local=True).run()
    BackupHistory.objects.update(verified_at=timezone.now())
    for suffix in (".another", ".json.note"):
        s3_client(backups_settings).put_object(Bucket=any_bucket, Key=old.s3_key + suffix, Body=b"x")
    Path(f"{old.local_path}.another").write_text("x")
    kept = [key for key in keys_in(backups_settings, any_bucket) if key.startswith(new.s3_key)]
    retain(keep_last=1)

    pruning = BackupPruning().run()

    assert fates(pruning) == {"new": "keep", "old": "deleted"}
    assert keys_in(backups_settings, any_bucket) == kept
    assert {path.name for path in local_folder.rglob("backup-*")} == {keys.filename_of(key) for key in kept}
    old.refresh_from_db()
    assert old.status == "succeeded"
    assert old.deleted_at is not None
    listed = catalog.list_backups(limit=None)
    assert [entry.filename for entry in listed.entries] == [new.filename]
    assert listed.problems == []


def test_a_backup_whose_name_only_begins_alike_is_another_one(bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    at = timezone.now() - timedelta(days=2)
    shelf.put("old", at=at, verified_at=at)
    shelf.put("old-dump", at=at, verified_at=at, pin_reason="stays")
    BackupPruning().run()
    assert on_the_shelf() == {"new", "old-dump"}


def test_a_backup_that_no_row_knows_counts_as_unverified_and_leaves_a_row_when_it_goes(bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    shelve("newest", days=0.1, row=False)
    shelve("new", days=1)
    old = shelve("old", days=2, row=False)

    pruning = BackupPruning().run()

    assert fates(pruning) == {"newest": "keep", "new": "keep", "old": "deleted"}
    assert (row_of(old).status, row_of(old).deleted_at is not None) == ("succeeded", True)
    assert on_the_shelf() == {"newest", "new"}


def test_a_row_that_says_failed_is_no_proof_against_a_whole_backup(bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    behind = shelve("behind", days=2, status="failed", verified=False, error_message="The worker was lost.")
    assert fates(BackupPruning().run()) == {"new": "keep", "behind": "deleted"}
    assert row_of(behind).error_message == "The worker was lost."


def test_only_a_local_folder_is_pruned_the_same(source: Server, retain: Retain, local_folder: Path) -> None:
    for description in ("old", "new"):
        DatabaseBackup(description=description, database="source", save_local=True, upload_to_s3=False).run()
    BackupHistory.objects.update(verified_at=timezone.now())
    retain(keep_last=1)
    assert fates(BackupPruning().run()) == {"new": "keep", "old": "deleted"}
    assert {path.name.partition("-new.")[1] for path in local_folder.rglob("backup-*")} == {"-new."}


# What stays


def test_the_newest_verified_stays_whatever_its_age_and_so_does_all_that_is_newer(bucket: str, retain: Retain) -> None:
    retain(keep_last=1, maximum_total_bytes=1)
    for days, verified in ((1, False), (2, False), (300, True), (400, True)):
        shelve(f"day {days}", days=days, verified=verified)
    assert fates(BackupPruning().run()) == {"day-1": "keep", "day-2": "keep", "day-300": "keep", "day-400": "deleted"}


def test_where_none_is_verified_nothing_goes_and_the_way_out_is_told(run: Run, bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    for days in (1, 2, 3):
        shelve(f"day {days}", days=days, verified=False)
    done = run("db_prune")
    assert "Deleted 0 backups" in done.out
    assert "icb db verify latest" in done.out
    assert len(on_the_shelf()) == 3


def test_a_verified_backup_that_was_found_bad_is_not_the_newest_verified(bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    shelve("bad", days=1, bad_at=timezone.now())
    shelve("good", days=2)
    assert fates(BackupPruning().run()) == {"bad": "keep", "good": "keep"}


def test_another_environment_is_not_even_looked_at(bucket: str, retain: Retain, backups_settings: Settings) -> None:
    retain(keep_last=1)
    for days in (1, 2, 3):
        shelve(f"theirs {days}", days=days, environment="production")
        shelve(f"ours {days}", days=days)
    BackupPruning().run()
    assert len([key for key in keys_in(backups_settings, bucket) if key.startswith("production/")]) == 6
    assert len([key for key in keys_in(backups_settings, bucket) if key.startswith("testing/")]) == 2
    assert BackupHistory.objects.filter(environment="production", deleted_at=None).count() == 3


def test_what_can_not_be_trusted_or_is_no_backup_is_left_alone_and_told(
    run: Run, bucket: str, retain: Retain, backups_settings: Settings
) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    forged = shelve("forged", days=2, row=False, signing_key=b"somebody else's key, also of 32 characters")
    cut_off = shelve("cut off", days=3, dump=b"PGDMP")
    no_manifest = shelve("no manifest", days=4, manifest=False)
    no_dump = shelve("no dump", days=5, dump=None)
    s3_client(backups_settings).put_object(Bucket=bucket, Key="testing/postgres/notes.txt", Body=b"x")
    before = keys_in(backups_settings, bucket)

    done = run("db_prune")

    assert done.code == 0
    assert keys_in(backups_settings, bucket) == before
    assert "Left alone, because they can't be trusted or are not whole (2):" in done.out
    assert f"{keys.filename_of(forged)}: " in done.out
    assert f"{keys.filename_of(cut_off)}: the dump has not the size" in done.out
    for key in (no_manifest, no_dump):
        assert row_of(key).deleted_at is None


def test_what_a_running_backup_is_about_to_seal_is_not_judged(bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    shelve("being made", days=2, status="running")
    assert fates(BackupPruning().run()) == {"new": "keep"}


def test_no_more_than_the_share_goes_in_one_run_and_a_loop_does_not_help(run: Run, bucket: str, retain: Retain) -> None:
    retain(keep_last=1, maximum_share=0.25)
    for days in range(1, 9):
        shelve(f"day {days}", days=days)

    assert "Deleted 2 backups" in run("db_prune").out
    again = run("db_prune", "--dry-run").out
    assert again.count("another day: the last prune was just now, and 20 hours are between two (or --now)") == 1
    assert "Deleted 0 backups" in run("db_prune").out
    assert len(on_the_shelf()) == 6
    assert "Deleted 1 backup," in run("db_prune", "--now").out
    for hours, deleted in ((19.9, "0 backups"), (20, "1 backup,")):
        BackupHistory.objects.exclude(deleted_at=None).update(deleted_at=timezone.now() - timedelta(hours=hours))
        assert f"Deleted {deleted}" in run("db_prune").out
    assert on_the_shelf() == {f"day-{days}" for days in range(1, 5)}


def test_without_the_history_nothing_is_pruned(run: Run, bucket: str, retain: Retain, backups_settings: Settings) -> None:
    retain(keep_last=1)
    for days in (1, 2):
        shelve(f"day {days}", days=days)
    before = keys_in(backups_settings, bucket)
    with without_history():
        for words in ([], ["--dry-run"]):
            done = run("db_prune", *words)
            assert done.code == 1
            assert "it alone knows what is verified and what is pinned" in done.err
        with pytest.raises(HistoryError):
            BackupPruning().run()
    assert keys_in(backups_settings, bucket) == before


def test_without_one_of_the_stores_nothing_is_pruned(run: Run, proxy: Proxy, retain: Retain) -> None:
    retain(keep_last=1)
    for days in (1, 2):
        shelve(f"day {days}", days=days)
    proxy.when(operation("list"), deny)
    done = run("db_prune")
    assert done.code == 1
    assert "denies access" in done.err
    assert proxy.count("delete") == 0


# Pins


def test_a_pin_keeps_a_backup_until_it_is_removed(run: Run, bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    name = keys.filename_of(shelve("old", days=2))

    pinned = run("db_pin", name, "--reason", "before  the audit")
    assert pinned.code == 0
    assert pinned.out == f"Pinned: {name}: before the audit\nLet go of it: icb db pin {name} --remove\n"
    assert reasons(BackupPruning().run())["old"] == "pinned: before the audit"
    assert "(before: before the audit)" in run("db_pin", name, "--reason", "tax").out

    told = json.loads(run("db_pin", name, "--remove", "--json").out)
    assert told == {"filename": name, "is_pinned": False, "reason": "", "before": "tax"}
    assert run("db_pin", name, "--remove").out == f"{name} was not pinned.\n"
    assert fates(BackupPruning().run())["old"] == "deleted"


def test_a_backup_that_no_row_knows_can_be_pinned_and_gets_a_row(bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    key = shelve("old", days=2, row=False)
    pin(key, reason="audit")
    assert row_of(key).pin_reason == "audit"
    assert fates(BackupPruning().run())["old"] == "keep"


def test_a_pin_outlives_the_history(any_bucket: str, retain: Retain, backups_settings: Settings) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    key = shelve("old", days=2)
    pin(key, reason="audit")
    pin(key, reason="audit of März")
    BackupHistory.objects.filter(filename=keys.filename_of(key)).delete()

    assert reasons(BackupPruning().run())["old"] == "pinned: audit of März"
    assert unpin(key).reason == ""
    assert f"{key}.pin" not in keys_in(backups_settings, any_bucket)
    assert fates(BackupPruning().run())["old"] == "deleted"


def test_a_pin_that_only_the_history_could_take_is_kept_to_and_told(run: Run, proxy: Proxy, retain: Retain) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    key = shelve("old", days=2)
    proxy.when(operation("put"), deny)
    done = run("db_pin", key, "--reason", "audit")
    assert done.code == 1
    assert "The history has the pin, so retention keeps the backup" in done.err
    assert fates(BackupPruning().run())["old"] == "keep"


@pytest.mark.parametrize("reason", ["", " \n", "x" * 201])
def test_a_pin_wants_a_reason_that_somebody_can_read(reason: str, bucket: str) -> None:
    with pytest.raises(UsageError, match="needs a reason"):
        pin("latest", reason=reason)


def test_a_pin_is_refused_for_what_is_not_there_not_ours_or_about_to_go(run: Run, bucket: str) -> None:
    key = shelve("old", days=2)
    assert run("db_pin", "backup-2020-01-01T0000-gone.dump", "--reason", "x").code == 1
    assert run("db_pin", key, "--reason", "x", "--remove").code == 2
    with pytest.raises(RefusedError, match="of the environment production"):
        pin(shelve("theirs", days=1, environment="production"), reason="x")
    BackupHistory.objects.filter(filename=keys.filename_of(key)).update(deleted_at=timezone.now())
    with pytest.raises(RefusedError, match="is being pruned"):
        pin(key, reason="x")
    with pytest.raises(RefusedError):
        unpin(key)


def test_a_pin_that_comes_while_a_prune_runs_is_kept_to(bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    shelve("new", days=1)
    late = shelve("late", days=2)
    shelve("old", days=3)

    def on_judged(judged: Judged) -> None:
        if judged.fate == Fate.DELETED:
            pin(late, reason="just in time")

    pruning = BackupPruning(on_judged=on_judged).run()
    assert fates(pruning) == {"new": "keep", "late": "keep", "old": "deleted"}
    assert reasons(pruning)["late"] == "pinned meanwhile: just in time"


def test_a_newest_verified_that_turns_out_bad_while_a_prune_runs_stops_it(bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    new = shelve("new", days=1)
    for days in (2, 3, 4):
        shelve(f"day {days}", days=days)

    def on_judged(judged: Judged) -> None:
        BackupHistory.objects.filter(filename=keys.filename_of(new)).update(bad_at=timezone.now())

    pruning = BackupPruning(on_judged=on_judged).run()
    assert fates(pruning) == {"new": "keep", "day-2": "keep", "day-3": "deleted", "day-4": "deleted"}
    assert reasons(pruning)["day-2"] == "no newer one is verified any more"


# Costs, and stopping


def test_requests_are_bounded_by_listings_and_by_manifests_that_the_history_does_not_know(proxy: Proxy, retain: Retain) -> None:
    retain(keep_last=1)
    for days in range(1, 13):
        shelve(f"day {days}", days=days, row=days != 12)
    proxy.seen.clear()
    BackupPruning().plan()
    assert len(proxy.seen) == 3  # one listing, one manifest, and whether the bucket can lock
    assert proxy.count("head") == 0


def test_a_prune_that_is_cancelled_tells_what_it_has_done(bucket: str, retain: Retain) -> None:
    retain(keep_last=1)
    for days in (1, 2, 3):
        shelve(f"day {days}", days=days)

    def on_judged(judged: Judged) -> None:
        raise KeyboardInterrupt

    with pytest.raises(CancelledError) as caught:
        BackupPruning(on_judged=on_judged).run()
    assert "cancelled" in caught.value.message
    assert caught.value.detail.startswith("1 backup had been deleted before.")
    assert on_the_shelf() == {"day-1", "day-2"}


@pytest.mark.parametrize("wanted", ["latest", "its beginning"])
def test_what_a_queued_restore_waits_for_is_kept_until_it_has_ended(
    wanted: str, bucket: str, retain: Retain, register_alias: Callable[[str, Server], None], admin: Server
) -> None:
    register_alias("shop", replace(admin, database="shop"))
    shelve("older", days=3)
    latest = shelve("latest", days=2)
    shelve("safety", days=1, backup_type="pre-restore")  # which is not what anybody means by the latest
    retain(keep_last=1)
    filename = wanted if wanted == "latest" else keys.filename_of(latest).removesuffix("est.dump")
    row = queued.request_restore(target="shop", filename=filename, database="shop")

    assert fates(BackupPruning().plan()) == {"safety": "keep", "latest": "keep", "older": "obsolete"}

    cancel(str(row.id))
    assert fates(BackupPruning().plan()) == {"safety": "keep", "latest": "obsolete", "older": "obsolete"}
