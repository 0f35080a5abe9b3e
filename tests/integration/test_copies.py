"""A backup that lies in two places is as good as the better one, and the other is not passed over in silence."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.config import Config
from pytest_django.fixtures import Settings

from backups.alerting import look
from backups.backup import DatabaseBackup
from backups.models import BackupHistory, BackupRestore
from backups.stores import configured
from backups.types import Server
from tests.conftest import s3_client
from tests.faults import proxy as faults
from tests.faults.proxy import Answer, Forward, Proxy, Request, operation
from tests.integration import shelf
from tests.integration.conftest import Run

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def twice(source: Server, bucket: str) -> BackupHistory:
    """A backup in the bucket and in the local folder."""
    return DatabaseBackup(description="twice", database="source", save_local=True).run()


def shelve_twice() -> tuple[str, Path]:
    """No real archive, but the bytes that its manifest tells, in bucket and folder: the key, and the file."""
    key = shelf.put("twice")
    local, s3 = configured().require_local(), configured().require_s3()
    for suffix in ("", ".json"):
        local.put_new(key + suffix, s3.read(key + suffix, limit_bytes=1 << 20))
    return key, local.path(key)


def damage_object(settings: Settings, key: str) -> None:
    client, bucket = s3_client(settings), settings.STORAGES["backups"]["OPTIONS"]["bucket_name"]
    body = bytearray(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    body[len(body) // 2] ^= 4
    client.put_object(Bucket=bucket, Key=key, Body=bytes(body))


def damage_file(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 4
    path.write_bytes(body)


def copies_told() -> list[tuple[str, str, int]]:
    row = BackupRestore.objects.latest()
    return [(copy["where"], copy["worth"], copy["reads"]) for copy in row.comparison_report["copies"]]


@pytest.mark.parametrize("level", ["readable", "restored"])
def test_a_damaged_object_does_not_make_a_backup_bad_whose_local_copy_is_good(
    level: str, run: Run, twice: BackupHistory, backups_settings: Settings
) -> None:
    damage_object(backups_settings, twice.s3_key)
    done = run("db_verify", twice.filename, "--level", level)

    assert done.code == 1
    assert f"Good: {twice.filename}." in done.out
    assert f"DAMAGED COPY: s3://{twice.bucket}/{twice.s3_key}" in done.out
    assert "1 of 1 good, but for a copy that is damaged" in done.err
    place = f"s3://{twice.bucket}/{twice.s3_key}"
    assert copies_told() == [(place, "damaged", 2), (twice.local_path, "good", 1)]
    row = BackupRestore.objects.get()
    assert (row.status, row.verdict, row.source_key) == ("succeeded", "good", twice.local_path)
    twice.refresh_from_db()
    assert (twice.bad_at, bool(twice.readable_at), bool(twice.verified_at)) == (None, True, level == "restored")


def test_a_higher_level_reads_no_further_than_the_first_good_copy_and_says_so(run: Run, twice: BackupHistory) -> None:
    damage_file(Path(twice.local_path))
    assert run("db_verify", twice.filename, "--level", "readable").code == 0
    assert copies_told() == [(f"s3://{twice.bucket}/{twice.s3_key}", "good", 1), (twice.local_path, "not read", 0)]


@pytest.mark.usefixtures("bucket")
def test_stored_reads_every_copy(run: Run) -> None:
    key, path = shelve_twice()
    damage_file(path)
    done = run("db_verify", path.name, "--level", "stored")

    assert (done.code, BackupRestore.objects.get().verdict) == (1, "good")
    assert copies_told() == [(configured().require_s3().location(key), "good", 1), (str(path), "damaged", 2)]


@pytest.mark.usefixtures("bucket")
def test_two_good_copies_are_not_worth_a_word(run: Run) -> None:
    _key, path = shelve_twice()
    done = run("db_verify", path.name, "--level", "stored")
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert [worth for _where, worth, _reads in copies_told()] == ["good", "good"]


@pytest.mark.usefixtures("bucket")
def test_where_no_copy_is_good_the_backup_is_bad_and_each_is_told(run: Run, backups_settings: Settings) -> None:
    key, path = shelve_twice()
    damage_object(backups_settings, key)
    damage_file(path)
    done = run("db_verify", path.name, "--level", "stored")

    assert done.code == 1
    assert f"BAD: {path.name}. The bytes of s3://" in done.out
    assert f"{path} is damaged, read twice: The bytes of {path} are not the ones" in done.out
    assert BackupHistory.objects.get().bad_at is not None


@pytest.mark.usefixtures("bucket")
def test_what_is_told_to_type_replaces_the_damaged_file_and_only_that(run: Run, backups_settings: Settings) -> None:
    key, path = shelve_twice()
    manifest = path.with_name(path.name + ".json")
    for damaged, intact in ((path, manifest), (manifest, path)):
        whole, before = damaged.read_bytes(), intact.read_bytes()
        damage_file(damaged)
        done = run("db_verify", path.name, "--level", "stored")
        assert done.code == 1
        (line,) = [line.strip() for line in done.out.splitlines() if line.strip().startswith("aws ")]
        words = shlex.split(line)
        good = configured().require_s3().location(key) + damaged.name.removeprefix(path.name)
        endpoint = backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"]
        assert words == ["aws", "s3", "cp", good, str(damaged), "--endpoint-url", endpoint]

        damaged.write_bytes(configured().require_s3().read(key + damaged.name.removeprefix(path.name), limit_bytes=1 << 20))
        assert (damaged.read_bytes(), intact.read_bytes()) == (whole, before)
        assert run("db_verify", path.name, "--level", "stored").code == 0


@pytest.mark.parametrize("what", ["manifest", "dump"])
@pytest.mark.usefixtures("bucket")
def test_a_copy_of_which_only_half_is_left_is_damaged(what: str, run: Run) -> None:
    _key, path = shelve_twice()
    path.with_name(path.name + (".json" if what == "manifest" else "")).unlink()
    done = run("db_verify", path.name, "--level", "stored")
    assert (done.code, BackupRestore.objects.get().verdict) == (1, "good")
    assert f"The {what} {path}" in done.out
    assert "is gone" in done.out


@pytest.mark.usefixtures("bucket")
def test_a_manifest_that_was_changed_in_one_place_condemns_only_that_copy(run: Run, backups_settings: Settings) -> None:
    key, path = shelve_twice()
    damage_object(backups_settings, f"{key}.json")
    done = run("db_verify", path.name, "--level", "stored")

    assert (done.code, BackupRestore.objects.get().verdict) == (1, "good")
    assert f"DAMAGED COPY: {configured().require_s3().location(key)}.json" in done.out
    assert BackupHistory.objects.get().bad_at is None


@pytest.mark.usefixtures("bucket")
def test_what_a_verification_told_of_copies_comes_back_with_the_history(run: Run) -> None:
    _key, path = shelve_twice()
    damage_file(path)
    run("db_verify", path.name, "--level", "stored")
    told = BackupRestore.objects.get().comparison_report
    BackupRestore.objects.all().delete()

    assert run("db_sync").code == 0
    assert BackupRestore.objects.get().comparison_report == told


def test_json_tells_of_each_copy(run: Run, bucket: str) -> None:
    _key, path = shelve_twice()
    damage_file(path)
    told = json.loads(run("db_verify", path.name, "--level", "stored", "--json").out)["verifications"][0]
    damaged = told["comparison_report"]["copies"][1]
    assert (damaged["where"], damaged["worth"]) == (str(path), "damaged")
    assert "aws s3 cp" in damaged["hint"]


# On the way


@pytest.fixture
def on_the_way(bucket: str, use_bucket: object, backups_settings: Settings) -> Iterator[Proxy]:
    """A bucket behind a proxy."""
    upstream = str(backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"])
    with Proxy(upstream) as entered:
        patience = Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=5)
        use_bucket(endpoint_url=entered.endpoint, client_config=patience)  # type: ignore[operator]
        yield entered


def get_of_a_dump(request: Request) -> bool:
    return operation("get")(request) and request.key.endswith(".dump")


def arrives_changed(request: Request, forward: Forward) -> Answer:
    answer = forward(request)
    body = bytearray(answer.body)
    body[-1] ^= 4
    return Answer(answer.status, answer.headers, bytes(body))


def test_bytes_that_were_damaged_on_the_way_are_read_again_and_nothing_is_called_damaged(run: Run, on_the_way: Proxy) -> None:
    key = shelf.put("once")
    rule = on_the_way.when(get_of_a_dump, arrives_changed, times=1)
    done = run("db_verify", key, "--level", "stored")

    assert rule.used == 1
    assert done.code == 0, done.err
    assert "It was damaged when it was first read, and whole when it was read again." in done.out
    assert copies_told() == [(configured().require_s3().location(key), "good", 2)]


def test_a_bucket_that_can_not_be_asked_is_told_where_the_local_copy_is_good(run: Run, on_the_way: Proxy) -> None:
    key, path = shelve_twice()
    on_the_way.when(lambda request: request.key.startswith(key), faults.deny)
    done = run("db_verify", path.name, "--level", "stored")

    assert (done.code, BackupRestore.objects.get().verdict) == (1, "good")
    assert f"A copy that could not be read: {configured().require_s3().location(key)}" in done.out


def test_while_one_copy_can_not_be_read_a_damaged_one_makes_no_backup_bad(run: Run, on_the_way: Proxy) -> None:
    key, path = shelve_twice()
    damage_file(path)
    on_the_way.when(get_of_a_dump, faults.deny)
    done = run("db_verify", key, "--level", "stored")

    assert (done.code, BackupRestore.objects.get().verdict) == (1, "unable")
    assert f"{path} is damaged, read twice" in done.out
    assert BackupHistory.objects.get().bad_at is None


# Restores


def test_a_restore_takes_the_good_copy_and_tells_of_the_damaged_one(
    run: Run, twice: BackupHistory, fresh_target: Server, backups_settings: Settings
) -> None:
    damage_object(backups_settings, twice.s3_key)
    done = run("db_restore", twice.filename, "--target-dbname", fresh_target.database)

    assert done.code == 0, done.err
    assert f"The bytes of s3://{twice.bucket}/{twice.s3_key} are not the ones that were backed up" in done.err
    assert f"It was read from {twice.local_path}" in done.err
    assert BackupRestore.objects.get().source_key == twice.local_path


def test_the_plan_says_which_copy_is_known_to_be_damaged_and_that_another_is_read_first(
    run: Run, twice: BackupHistory, fresh_target: Server, backups_settings: Settings
) -> None:
    damage_object(backups_settings, twice.s3_key)
    run("db_verify", twice.filename, "--level", "stored")
    done = run("db_restore", twice.filename, "--target-dbname", fresh_target.database)

    assert done.code == 0, done.err
    assert f"A copy is known to be damaged or gone. {twice.local_path} is read first." in done.out + done.err
    assert f"s3://{twice.bucket}/{twice.s3_key}" in done.out + done.err
    assert "The bytes of s3://" not in done.err  # nobody has read it again
    assert BackupRestore.objects.get(purpose="restore").source_key == twice.local_path


def test_a_restore_takes_nothing_where_no_copy_is_good(
    run: Run, twice: BackupHistory, fresh_target: Server, backups_settings: Settings
) -> None:
    damage_object(backups_settings, twice.s3_key)
    damage_file(Path(twice.local_path))
    done = run("db_restore", "latest", "--database", "source", "--target-dbname", fresh_target.database)

    assert done.code == 1
    assert f"The bytes of s3://{twice.bucket}" in done.err
    assert f"The bytes of {twice.local_path} are not the ones that were backed up" in done.err


def test_a_restore_reads_from_the_folder_when_the_bucket_goes_away_meanwhile(
    run: Run, on_the_way: Proxy, source: Server, fresh_target: Server
) -> None:
    backup = DatabaseBackup(description="twice", database="source", save_local=True).run()
    on_the_way.when(get_of_a_dump, faults.deny)
    done = run("db_restore", backup.filename, "--target-dbname", fresh_target.database)
    assert done.code == 0, done.err
    assert BackupRestore.objects.get().source_key == backup.local_path


def test_a_damaged_copy_of_a_good_backup_is_told_until_it_is_replaced(
    run: Run, twice: BackupHistory, backups_settings: Settings
) -> None:
    good = Path(twice.local_path).read_bytes()
    damage_file(Path(twice.local_path))
    run("db_verify", twice.filename, "--database", "source", "--level", "stored")
    assert look().opened == [f"damaged-copy:{twice.filename}"]
    run("db_verify", twice.filename, "--database", "source")  # reads the first good copy, and no other
    assert look().closed == 0
    Path(twice.local_path).write_bytes(good)
    run("db_verify", twice.filename, "--database", "source", "--level", "stored")
    looked = look()
    assert (looked.opened, looked.closed) == ([], 1)
