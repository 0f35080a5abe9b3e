"""Bucket and history are made to agree, and the bucket alone is enough to have the history again."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import catalog, rebuilding, sync
from backups.catalog import Mark
from backups.models import BackupHistory, BackupRestore
from backups.storage.keys import manifest_key
from backups.stores import configured
from backups.types import Server
from tests.conftest import s3_client, uploads_in
from tests.faults.proxy import Proxy
from tests.integration import shelf
from tests.integration.conftest import Run

pytestmark = pytest.mark.usefixtures("history")


def rows() -> dict[str, dict[str, object]]:
    """The history, but for what only the run itself knows."""
    left_out = ("created_at", "server_address", "manifest_etag", "triggered_by_id", "local_path", "alias", "progress")
    to_the_minute = ("stored_at", "readable_at", "verified_at")  # a record tells when the verification ended
    fields = [f.attname for f in BackupHistory._meta.concrete_fields if f.attname not in left_out]
    found = {str(row["id"]): row for row in BackupHistory.objects.values(*fields)}
    for row in found.values():
        row.update({name: row[name] is not None for name in to_the_minute})
    return found


def runs() -> dict[str, tuple[str, str, str, str]]:
    found = BackupRestore.objects.values_list("id", "purpose", "verdict", "status", "source_key")
    return {str(id_): (purpose, verdict, status, key) for id_, purpose, verdict, status, key in found}


def test_the_history_comes_back_complete_from_the_bucket_alone(run: Run, backup: BackupHistory, live: Server) -> None:
    assert run("db_backup", "second", "--database", "source").code == 0
    assert run("db_verify", backup.filename).code == 0
    assert run("db_restore", backup.filename, "--target-dbname", live.database, "--yes", live.database).code == 0
    before, runs_before = rows(), runs()
    BackupRestore.objects.all().delete()
    BackupHistory.objects.all().delete()

    done = run("db_sync")

    assert done.code == 0, done.err
    assert "Rows made from manifests: 2" in done.out
    assert "Restores and verifications made from their records: 2" in done.out
    assert rows() == before
    assert runs() == runs_before


def test_a_pin_comes_back_with_the_history(run: Run, backup: BackupHistory) -> None:
    assert run("db_pin", backup.filename, "--reason", "before the audit").code == 0
    BackupHistory.objects.all().delete()

    assert "Pins would be taken over from the bucket: 1" in run("db_sync", "--dry-run").out
    done = run("db_sync")

    assert (done.code, f"{backup.filename}: before the audit" in done.out) == (0, True)
    assert BackupHistory.objects.get().pin_reason == "before the audit"
    assert run("db_pin", backup.filename, "--remove").code == 0
    assert run("db_sync").out.startswith("Bucket and history agree.")


def test_a_second_sync_finds_that_they_agree(run: Run, backup: BackupHistory) -> None:
    assert run("db_verify", backup.filename).code == 0
    assert run("db_sync").out.startswith("Bucket and history agree.")


def test_a_dry_run_tells_the_same_and_changes_nothing(run: Run, bucket: str) -> None:
    shelf.put("lost", row=False)
    shelf.put("gone", minutes=1, dump=None, manifest=False)
    before = rows()
    done = run("db_sync", "--dry-run", "--json")

    told = json.loads(done.out)
    assert [len(told[name]) for name in ("rebuilt", "missing")] == [1, 1]
    assert rows() == before


def test_a_dry_run_tells_of_everything_what_the_run_then_does(
    run: Run, backup: BackupHistory, local_folder: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("db_verify", backup.filename).code == 0
    assert run("db_pin", backup.filename, "--reason", "before the audit").code == 0
    BackupRestore.objects.all().delete()
    BackupHistory.objects.all().delete()
    shelf.put("gone", minutes=1, dump=None, manifest=False)
    shelf.put("behind", minutes=2, status="failed")
    shelf.put("back", minutes=3, missing_at=timezone.now())
    shelf.put("half", minutes=4, manifest=False, row=False)
    shelf.put("forged", minutes=5, row=False, signing_key=b"mallory")
    shelf.put("deleted long ago", minutes=6, deleted_at=shelf.NOON)
    shelf.put("being pruned", minutes=7, deleted_at=timezone.now())
    name = shelf.put("theirs", minutes=8, row=False).rpartition("/")[2]
    BackupHistory.objects.create(filename=name, environment="production", database="shop", status="failed")
    for folder in ("postgres", "records"):
        partial = local_folder / bucket / "testing" / folder / "backup-2024-01-15T1200-left.dump.partial"
        partial.parent.mkdir(parents=True)
        partial.write_bytes(b"half")
        os.utime(partial, (0, 0))

    planned, done = (json.loads(run("db_sync", *words, "--json").out) for words in (["--dry-run"], []))

    assert (planned.pop("dry_run"), done.pop("dry_run")) == (True, False)
    assert planned == done
    assert {name: len(told) for name, told in done.items() if isinstance(told, list)} == {
        "rebuilt": 1,
        "mended": 2,
        "missing": 1,
        "back": 1,
        "pinned": 1,
        "unknown": 2,
        "unfinished": 2,
        "kept": 0,
        "problems": 1,
    }
    assert done["runs"] == 1
    again = json.loads(run("db_sync", "--json").out)
    assert [again[kind] for kind in ("rebuilt", "mended", "missing", "back", "pinned", "unfinished", "runs")] == [[]] * 6 + [0]
    assert (again["unknown"], again["problems"]) == (done["unknown"], done["problems"])


def test_a_backup_that_a_dead_prune_has_only_marked_is_in_the_history_again_after_a_day(run: Run, bucket: str) -> None:
    shelf.put("marked", deleted_at=timezone.now())
    assert run("db_sync").out.startswith("Bucket and history agree.")
    BackupHistory.objects.update(deleted_at=shelf.NOON)

    assert "Rows corrected by their manifests: 1" in run("db_sync").out
    assert BackupHistory.objects.get().deleted_at is None


def test_databases_that_restores_have_replaced_are_told(run: Run, backup: BackupHistory, live: Server) -> None:
    assert run("db_restore", backup.filename, "--target-dbname", live.database, "--yes", live.database).code == 0
    done = run("db_sync")
    assert f"Kept from restores; icb db list tells how to go back or let go: 1\n  {live.database}_before_" in done.out


def test_a_forged_manifest_is_shown_and_never_becomes_a_row(run: Run, bucket: str) -> None:
    key = shelf.put("forged", row=False, signing_key=b"mallory")
    for _time in range(2):
        assert f"{key}: manifest refused" in run("db_sync").out
    assert not BackupHistory.objects.exists()


def test_what_no_store_has_any_more_is_marked_and_again_when_it_is_back(
    run: Run, backup: BackupHistory, backups_settings: Settings
) -> None:
    client = s3_client(backups_settings)
    keys = (backup.s3_key, f"{backup.s3_key}.json")
    bodies = {key: client.get_object(Bucket=backup.bucket, Key=key)["Body"].read() for key in keys}
    for key in keys:
        client.delete_object(Bucket=backup.bucket, Key=key)

    done = run("db_sync")
    assert f"Whole in no store any more, marked as missing: 1\n  {backup.filename}" in done.out
    backup.refresh_from_db()
    assert backup.missing_at is not None

    for key, body in bodies.items():
        client.put_object(Bucket=backup.bucket, Key=key, Body=body)
    assert f"There again: 1\n  {backup.filename}" in run("db_sync").out
    backup.refresh_from_db()
    assert backup.missing_at is None


@pytest.mark.parametrize("half", ["dump", "manifest", "tail"])
def test_a_young_backup_of_which_half_is_left_is_marked_as_missing(
    half: str, run: Run, backup: BackupHistory, backups_settings: Settings
) -> None:
    client = s3_client(backups_settings)
    key = f"{backup.s3_key}.json" if half == "manifest" else backup.s3_key
    body = client.get_object(Bucket=backup.bucket, Key=key)["Body"].read()
    client.delete_object(Bucket=backup.bucket, Key=key)
    if half == "tail":
        client.put_object(Bucket=backup.bucket, Key=key, Body=body[:-1])

    run("db_sync")
    backup.refresh_from_db()
    assert backup.missing_at is not None

    client.put_object(Bucket=backup.bucket, Key=key, Body=body)
    run("db_sync")
    backup.refresh_from_db()
    assert backup.missing_at is None


def test_a_backup_that_was_completed_after_the_listing_is_not_called_missing(backup: BackupHistory) -> None:
    store = configured().require_s3()
    key = manifest_key(backup.s3_key)
    dump, manifest = (store.read(name, limit_bytes=1 << 24) for name in (backup.s3_key, key))
    store.delete(key)
    store.delete(backup.s3_key)
    listed_too_early = catalog.list_backups(limit=None).entries
    assert [entry.mark for entry in listed_too_early] == [Mark.MISSING]
    store.put_new(backup.s3_key, dump)
    store.put_new(key, manifest)

    reconciling = sync.CatalogSync()
    reconciling._mark(listed_too_early, frozenset())

    assert reconciling.found.missing == []
    backup.refresh_from_db()
    assert backup.missing_at is None


def test_nothing_is_called_missing_while_the_bucket_can_not_be_asked(
    run: Run, backup: BackupHistory, use_bucket: Callable[..., str], backups_settings: Settings
) -> None:
    with Proxy(str(backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"])) as proxy:
        endpoint = proxy.endpoint
    options = backups_settings.STORAGES["backups"]["OPTIONS"] | {"endpoint_url": endpoint}
    backups_settings.STORAGES = {
        **backups_settings.STORAGES,
        "backups": {**backups_settings.STORAGES["backups"], "OPTIONS": options},
    }
    done = run("db_sync")

    assert done.code == 1
    backup.refresh_from_db()
    assert backup.missing_at is None


def test_a_row_that_says_failed_of_a_whole_backup_is_corrected(run: Run, bucket: str) -> None:
    shelf.put("whole", status="failed", error_message="the history was away")
    done = run("db_sync")
    assert "Rows corrected by their manifests: 1" in done.out
    row = BackupHistory.objects.get()
    assert (row.status, row.error_message) == ("succeeded", "")


def test_what_has_no_manifest_is_shown_and_left(run: Run, bucket: str, backups_settings: Settings) -> None:
    key = shelf.put("half", manifest=False, row=False)
    done = run("db_sync")
    assert "Unknown, left as it is: look at it: 1" in done.out
    assert f"{key}: no manifest: not a backup" in done.out
    s3_client(backups_settings).head_object(Bucket=bucket, Key=key)


def test_uploads_that_nobody_ended_are_aborted_after_a_day_and_not_before(
    run: Run, moto_bucket: str, backups_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "testing/postgres/backup-2024-01-15T1200-left.dump"
    s3_client(backups_settings).create_multipart_upload(Bucket=moto_bucket, Key=key)

    monkeypatch.setattr(sync, "PATIENCE", timedelta(days=36500))  # moto says of every upload that it began in 2010
    run("db_sync")
    assert len(uploads_in(backups_settings, moto_bucket)) == 1
    monkeypatch.undo()
    done = run("db_sync")
    assert "Begun more than a day ago and never ended, removed: 1" in done.out
    assert uploads_in(backups_settings, moto_bucket) == []


def test_an_upload_of_a_run_under_way_is_left(
    run: Run, moto_bucket: str, backups_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "backup-2024-01-15T1200-now.dump"
    upload = s3_client(backups_settings).create_multipart_upload(Bucket=moto_bucket, Key=f"testing/postgres/{name}")
    BackupHistory.objects.create(
        filename=name, environment="testing", database="shop", status="running", upload_id=upload["UploadId"]
    )
    monkeypatch.setattr(sync, "PATIENCE", -sync.PATIENCE)
    run("db_sync")
    assert len(uploads_in(backups_settings, moto_bucket)) == 1


def test_partial_files_that_nobody_ended_are_removed(
    run: Run, bucket: str, local_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = local_folder / bucket / "testing" / "postgres" / "backup-2024-01-15T1200-left.dump.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"half")
    monkeypatch.setattr(sync, "PATIENCE", -sync.PATIENCE)
    assert run("db_sync").code == 0
    assert not partial.exists()


def test_a_forged_record_proves_nothing(run: Run, backup: BackupHistory, backups_settings: Settings) -> None:
    assert run("db_verify", backup.filename).code == 0
    client = s3_client(backups_settings)
    (record,) = client.list_objects_v2(Bucket=backup.bucket, Prefix="testing/records/")["Contents"]
    body = client.get_object(Bucket=backup.bucket, Key=record["Key"])["Body"].read()
    client.put_object(Bucket=backup.bucket, Key=record["Key"], Body=body.replace(b'"good"', b'"bad"'))
    BackupRestore.objects.all().delete()
    BackupHistory.objects.update(verified_at=None)

    assert run("db_sync").code == 0
    assert not BackupRestore.objects.exists()


def test_an_older_record_takes_nothing_back(run: Run, backup: BackupHistory) -> None:
    assert run("db_verify", backup.filename).code == 0
    BackupRestore.objects.all().delete()
    later = timezone.now()
    BackupHistory.objects.update(verified_at=later)
    run("db_sync")
    backup.refresh_from_db()
    assert backup.verified_at == later


@pytest.mark.parametrize("told", list(permutations(["bad, 1 h ago", "good, 2 h ago", "bad, 3 h ago"])))
def test_records_say_the_same_of_a_backup_in_whichever_order_they_come(told: tuple[str, ...], backup: BackupHistory) -> None:
    now = timezone.now()
    ago = {one: now - timedelta(hours=int(one.split()[1])) for one in told}
    for one in told:
        run = BackupRestore(purpose="verification", level="restored", status="failed", backup_id=backup.id, target_port=5432)
        run.verdict, run.finished_at = one.split(",")[0], ago[one]
        rebuilding.add_runs([run])
    backup.refresh_from_db()
    assert (backup.verified_at, backup.bad_at) == (ago["good, 2 h ago"], ago["bad, 1 h ago"])


def test_a_sync_that_dies_before_a_verdict_is_written_reads_its_record_again(
    run: Run, backup: BackupHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("db_verify", backup.filename).code == 0
    BackupRestore.objects.all().delete()
    BackupHistory.objects.update(verified_at=None)

    def die(*_given: object, **_named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(rebuilding, "_proof", die)
        sync.CatalogSync().run()
    assert not BackupRestore.objects.exists()

    assert run("db_sync").code == 0
    backup.refresh_from_db()
    assert (BackupRestore.objects.count(), backup.verified_at is not None) == (1, True)


def test_what_a_prune_claims_meanwhile_is_not_brought_back(bucket: str) -> None:
    shelf.put("left", deleted_at=timezone.now() - timedelta(days=3))
    (page,) = catalog.Catalogue("testing").pages()
    found = rebuilding.plan(page, oldest=timezone.now() - timedelta(days=1))
    assert [row.description for row in found.behind] == ["left"]

    claimed_at = timezone.now()
    BackupHistory.objects.update(deleted_at=claimed_at)
    rebuilding.carry_out(found)

    assert (found.behind, BackupHistory.objects.get().deleted_at) == ([], claimed_at)


def test_a_row_that_is_corrected_keeps_what_only_it_knows(run: Run, bucket: str) -> None:
    shelf.put("whole", status="failed", pin_reason="before the audit", bad_at=timezone.now())
    run("db_sync")
    row = BackupHistory.objects.get()
    assert (row.status, row.pin_reason, row.bad_at is not None) == ("succeeded", "before the audit", True)


def test_what_a_sync_has_read_is_not_read_again(run: Run, use_bucket: Callable[..., str], backups_settings: Settings) -> None:
    with Proxy(str(backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"])) as proxy:
        use_bucket(endpoint_url=proxy.endpoint)
        shelf.put("lost", row=False)
        assert run("db_sync").code == 0
        proxy.seen.clear()
        assert run("db_sync").out.startswith("Bucket and history agree.")
        assert [request.key for request in proxy.seen if request.operation == "get"] == []
