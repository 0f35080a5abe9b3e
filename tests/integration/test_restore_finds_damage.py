"""What a restore finds wrong with a backup counts as what a verification finds: it is known from then on, and told once."""

from datetime import timedelta
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups import conf, queued
from backups.alerting import look
from backups.backup import DatabaseBackup
from backups.exceptions import ChecksumError
from backups.models import BackupHistory, BackupRestore
from backups.types import Server
from tests.conftest import PlaceProgram, connect, s3_client
from tests.faults import proxy as faults
from tests.faults.proxy import Proxy
from tests.integration.conftest import Run
from tests.integration.test_copies import damage_file, damage_object, get_of_a_dump, on_the_way

__all__ = ["on_the_way"]

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def twice(source: Server, bucket: str) -> BackupHistory:
    """A backup in the bucket and in the local folder."""
    return DatabaseBackup(description="twice", database="source", save_local=True).run()


def restore(run: Run, filename: str, target: Server, *words: str) -> int:
    return run("db_restore", filename, "--target-dbname", target.database, *words).code


def is_bad(backup: BackupHistory) -> bool:
    backup.refresh_from_db()
    return backup.bad_at is not None


def test_a_backup_whose_bytes_are_wrong_is_bad_from_then_on_and_told_once(
    run: Run, backup: BackupHistory, fresh_target: Server, backups_settings: Settings
) -> None:
    damage_object(backups_settings, backup.s3_key)
    assert restore(run, backup.filename, fresh_target) == 1

    row = BackupRestore.objects.get()
    assert (is_bad(backup), row.status, row.verdict) == (True, "failed", "bad")
    assert look().opened == [f"verification-failed:{backup.filename}"]
    run("db_verify", backup.filename)
    assert (look().opened, look().known) == ([], 1)


def test_one_that_a_worker_restores_is_bad_as_well(backup: BackupHistory, source: Server, backups_settings: Settings) -> None:
    row = queued.request_restore(target="source", filename=backup.filename, confirm=source.database, backup=backup)
    damage_object(backups_settings, backup.s3_key)
    with pytest.raises(ChecksumError):
        queued.make_restore(row.id)
    row.refresh_from_db()
    assert (is_bad(backup), row.verdict) == (True, "bad")


def test_it_is_known_even_where_the_end_of_the_restore_could_not_be_written(
    run: Run, backup: BackupHistory, fresh_target: Server, backups_settings: Settings
) -> None:
    damage_object(backups_settings, backup.s3_key)
    with connect(conf.server("default")) as session:
        session.execute(
            "CREATE FUNCTION public.no_end() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no end'; END$$;"
            "CREATE TRIGGER no_end BEFORE UPDATE ON admin.backup_restore FOR EACH ROW WHEN (NEW.verdict = 'bad')"
            " EXECUTE FUNCTION public.no_end()"
        )
    try:
        restore(run, backup.filename, fresh_target)
        assert (is_bad(backup), BackupRestore.objects.get().status) == (True, "running")
    finally:
        with connect(conf.server("default")) as session:
            session.execute("DROP FUNCTION public.no_end() CASCADE")


@pytest.mark.parametrize(("way", "condemns"), [((), True), (("--in-place", "--no-safety-backup"), False)])
def test_what_comes_back_otherwise_than_it_was_backed_up_is_bad_where_nobody_else_could_write(
    way: tuple[str, ...], condemns: bool, run: Run, backup: BackupHistory, source: Server, place_program: PlaceProgram
) -> None:
    place_program('exec "$real" --schema-only "$@"', name="pg_restore")
    assert restore(run, backup.filename, source, "--yes", source.database, *way) == 1
    assert is_bad(backup) == condemns


def test_a_damaged_copy_beside_a_good_one_is_told_and_condemns_no_backup(
    run: Run, twice: BackupHistory, fresh_target: Server, backups_settings: Settings
) -> None:
    damage_object(backups_settings, twice.s3_key)
    assert restore(run, twice.filename, fresh_target) == 0

    report = BackupRestore.objects.get().comparison_report
    assert [(copy["where"], copy["worth"]) for copy in report["copies"]] == [
        (f"s3://{twice.bucket}/{twice.s3_key}", "damaged"),
        (twice.local_path, "good"),
    ]
    assert (is_bad(twice), report["equal"]) == (False, True)
    assert look().opened == [f"damaged-copy:{twice.filename}"]


@pytest.mark.parametrize(("began", "is_told"), [("before", True), ("after", False)])
def test_a_damaged_copy_is_told_until_a_verification_that_began_after_it_was_found(
    began: str, is_told: bool, run: Run, twice: BackupHistory, fresh_target: Server, backups_settings: Settings
) -> None:
    whole = s3_client(backups_settings).get_object(Bucket=twice.bucket, Key=twice.s3_key)["Body"].read()
    damage_object(backups_settings, twice.s3_key)
    assert restore(run, twice.filename, fresh_target) == 0
    s3_client(backups_settings).put_object(Bucket=twice.bucket, Key=twice.s3_key, Body=whole)
    assert run("db_verify", twice.filename, "--level", "stored").code == 0

    if began == "before":
        found = BackupRestore.objects.get(purpose="restore").finished_at
        BackupRestore.objects.filter(purpose="verification").update(started_at=found - timedelta(milliseconds=1))
    assert bool(look().opened) == is_told


def test_a_store_that_can_not_be_read_condemns_nothing(run: Run, on_the_way: Proxy, source: Server, fresh_target: Server) -> None:
    backup = DatabaseBackup(description="good", database="source").run()
    on_the_way.when(get_of_a_dump, faults.deny)
    assert restore(run, backup.filename, fresh_target) == 1
    assert (is_bad(backup), BackupRestore.objects.get().verdict) == (False, "")


def test_while_one_copy_can_not_be_read_a_damaged_one_condemns_no_backup(
    run: Run, on_the_way: Proxy, source: Server, fresh_target: Server
) -> None:
    backup = DatabaseBackup(description="twice", database="source", save_local=True).run()
    damage_file(Path(backup.local_path))
    on_the_way.when(get_of_a_dump, faults.deny)
    assert restore(run, backup.filename, fresh_target) == 1
    assert (is_bad(backup), look().opened) == (False, [])


def test_a_file_that_somebody_has_says_nothing_of_the_backup_in_the_store(
    run: Run, twice: BackupHistory, fresh_target: Server, tmp_path: Path
) -> None:
    own = tmp_path / twice.filename
    for suffix in ("", ".json"):
        Path(f"{own}{suffix}").write_bytes(Path(f"{twice.local_path}{suffix}").read_bytes())
    damage_file(own)
    assert run("db_restore", "--from-file", str(own), "--target-dbname", fresh_target.database).code == 1
    assert not is_bad(twice)


def test_a_restore_that_compared_equal_proves_as_much_as_a_verification_also_after_a_loss(
    run: Run, backup: BackupHistory, fresh_target: Server
) -> None:
    assert restore(run, backup.filename, fresh_target) == 0
    backup.refresh_from_db()
    assert None not in (backup.stored_at, backup.readable_at, backup.verified_at)
    BackupRestore.objects.all().delete()
    BackupHistory.objects.all().delete()
    run("db_sync")
    assert BackupHistory.objects.get().verified_at is not None


def test_a_restore_of_the_definitions_proves_nothing_of_the_rows(run: Run, backup: BackupHistory, fresh_target: Server) -> None:
    assert restore(run, backup.filename, fresh_target, "--schema-only") == 0
    backup.refresh_from_db()
    assert backup.verified_at is None


def test_it_comes_back_with_the_history(
    run: Run, backup: BackupHistory, fresh_target: Server, backups_settings: Settings
) -> None:
    damage_object(backups_settings, backup.s3_key)
    restore(run, backup.filename, fresh_target)
    BackupRestore.objects.all().delete()
    BackupHistory.objects.all().delete()
    run("db_sync")
    assert is_bad(BackupHistory.objects.get())
