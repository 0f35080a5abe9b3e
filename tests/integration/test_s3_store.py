"""A bucket as a store, on two real S3 protocols: nanio, which knows no conditional writes, and moto, which does."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups import conf
from backups.exceptions import BucketError, ChecksumError, ObjectExistsError, ObjectMissingError, StorageError, UploadError
from backups.storage import ranges
from backups.storage.abilities import Abilities
from backups.storage.multipart import MultipartWriter
from backups.storage.parts import MIN_PART_BYTES
from backups.storage.s3 import S3Store
from backups.types import StoreOptions
from ichrisbirch_site.embedded import PROJECT
from tests.conftest import keys_in, s3_client, uploads_in

KEY = "testing/postgres/backup-2024-01-15T1200-first.dump"
LARGE = os.urandom(2 * MIN_PART_BYTES + 12_345)  # three parts


@pytest.fixture
def options(any_bucket: str) -> StoreOptions:
    """As the app reads them from Django's settings."""
    found = conf.store_options()
    assert found is not None
    return found


@pytest.fixture
def store(options: StoreOptions) -> S3Store:
    return S3Store(options)


def opened(store: S3Store, key: str = KEY, *, run_id: str = "run-1") -> MultipartWriter:
    return store.open_writer(key, run_id=run_id, expected_bytes=0, on_upload=lambda _id: None)


def write(store: S3Store, body: bytes, key: str = KEY) -> MultipartWriter:
    writer = opened(store, key)
    for start in range(0, len(body), 1_000_003):
        writer.write(memoryview(body)[start : start + 1_000_003])
    writer.commit(checksum=hashlib.sha256(body).hexdigest())
    return writer


@pytest.mark.parametrize("body", [b"", b"x", LARGE[:MIN_PART_BYTES], LARGE], ids=["empty", "one byte", "one part", "three parts"])
def test_what_was_written_is_read_again(store: S3Store, body: bytes) -> None:
    write(store, body)

    found = store.head(KEY)
    assert found is not None
    assert (found.size_bytes, dict(found.metadata)) == (len(body), {"backup-id": "run-1"})
    assert b"".join(store.stream(KEY)) == body
    assert b"".join(store.fetch(KEY, size_bytes=len(body))) == body


def test_an_object_that_is_replaced_while_its_ranges_are_fetched_is_found_out(
    store: S3Store, backups_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "RANGE_BYTES", 1 << 20)
    write(store, LARGE)
    fetched = store.fetch(KEY, size_bytes=len(LARGE))
    assert next(fetched) == LARGE[: 1 << 20]
    s3_client(backups_settings).put_object(Bucket=store.bucket, Key=KEY, Body=LARGE[::-1])

    with pytest.raises(ChecksumError, match="was replaced while it was being read"):
        list(fetched)


def test_the_upload_is_told_before_the_first_byte_and_nothing_is_seen_before_the_commit(
    store: S3Store, backups_settings: Settings
) -> None:
    told: list[str] = []
    writer = store.open_writer(KEY, run_id="run-1", expected_bytes=0, on_upload=told.append)
    assert told == [writer.upload_id]

    writer.write(memoryview(LARGE))
    assert store.head(KEY) is None
    assert uploads_in(backups_settings, store.bucket) == [KEY]
    writer.abort()
    assert uploads_in(backups_settings, store.bucket) == keys_in(backups_settings, store.bucket) == []


def test_an_upload_that_can_not_be_remembered_is_aborted_at_once(store: S3Store, backups_settings: Settings) -> None:
    def forget(upload_id: str) -> None:
        raise StorageError("The history is away.")

    with pytest.raises(StorageError, match="The history is away"):
        store.open_writer(KEY, run_id="run-1", expected_bytes=0, on_upload=forget)
    assert uploads_in(backups_settings, store.bucket) == []


def test_a_taken_key_is_refused_and_the_old_object_stays(store: S3Store) -> None:
    write(store, b"old")
    with pytest.raises(ObjectExistsError):
        opened(store)
    with pytest.raises(ObjectExistsError):
        store.put_new(KEY, b"new")
    assert store.read(KEY, limit_bytes=10) == b"old"


def test_an_object_that_came_during_the_upload_stays(store: S3Store, backups_settings: Settings) -> None:
    late = opened(store, run_id="late")
    late.write(memoryview(b"late"))
    write(store, b"early")

    with pytest.raises(ObjectExistsError):
        late.commit(checksum=hashlib.sha256(b"late").hexdigest())
    late.abort()
    assert store.read(KEY, limit_bytes=10) == b"early"
    assert uploads_in(backups_settings, store.bucket) == []


def test_an_abort_after_the_commit_deletes_our_own_object_only(store: S3Store, backups_settings: Settings) -> None:
    writer = write(store, b"ours")
    writer.abort()
    assert store.head(KEY) is None

    writer = write(store, b"ours")
    s3_client(backups_settings).put_object(Bucket=store.bucket, Key=KEY, Body=b"somebody else's")
    writer.abort()
    assert store.read(KEY, limit_bytes=100) == b"somebody else's"


def test_the_same_small_object_may_be_put_twice(store: S3Store) -> None:
    assert store.put_new(KEY, b"manifest").etag == store.put_new(KEY, b"manifest").etag


def test_what_is_not_there_is_told_apart_from_what_is_too_large(store: S3Store) -> None:
    assert store.head(KEY) is None
    with pytest.raises(ObjectMissingError):
        store.read(KEY, limit_bytes=10)
    with pytest.raises(ObjectMissingError):
        list(store.stream(KEY))
    store.delete(KEY)
    store.abort_upload(KEY, "no-such-upload")

    store.put_new(KEY, b"x" * 11)
    with pytest.raises(StorageError, match="larger than 10 bytes"):
        store.read(KEY, limit_bytes=10)


def test_a_listing_of_more_than_a_thousand_keys_is_whole_and_in_order(bucket: str, backups_settings: Settings) -> None:
    options = conf.store_options()
    assert options is not None
    store = S3Store(options)
    client = s3_client(backups_settings)
    wanted = [f"testing/postgres/{number:05}" for number in range(1003)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: client.put_object(Bucket=store.bucket, Key=key, Body=b""), [*wanted, "other/postgres/1"]))

    assert [found.key for found in store.list("testing/postgres/")] == wanted
    assert len(list(store.list(""))) == 1004
    assert [found.key for found in store.list("testing/postgres/", after=wanted[1])] == wanted[2:]


def test_a_store_of_few_parts_gets_larger_ones(options: StoreOptions) -> None:
    body = LARGE * 4  # more than 8 parts of 8 MiB; here the fourth part has 16 and the fifth 32
    store = S3Store(replace(options, max_parts=6))
    write(store, body)

    found = store.head(KEY)
    assert found is not None
    assert found.etag.endswith("-5")
    assert hashlib.sha256(b"".join(store.stream(KEY))).digest() == hashlib.sha256(body).digest()


def test_more_than_all_parts_can_hold_is_refused_and_nothing_stays(options: StoreOptions, backups_settings: Settings) -> None:
    writer = opened(S3Store(replace(options, max_parts=1)))
    writer.write(memoryview(LARGE))  # the only part may have 16 MiB
    with pytest.raises(UploadError, match="larger than an object of 1 parts"):
        writer.commit(checksum=hashlib.sha256(LARGE).hexdigest())
    writer.abort()
    assert uploads_in(backups_settings, options.bucket) == []


def test_object_parameters_of_the_settings_reach_every_object(options: StoreOptions) -> None:
    given = (("CacheControl", "no-store"), ("ContentType", "text/plain"), ("Metadata", {"team": "blue"}))
    store = S3Store(replace(options, object_parameters=given))
    write(store, b"dump")
    store.put_new(KEY + ".json", b"{}")

    for key, type_, metadata in (
        (KEY, "application/octet-stream", {"backup-id": "run-1", "team": "blue"}),
        (KEY + ".json", "application/json", {"team": "blue"}),
    ):
        found = store.client.head_object(Bucket=store.bucket, Key=key)
        assert (found["ContentType"], found["Metadata"], found["CacheControl"]) == (type_, metadata, "no-store")


def test_a_new_store_may_be_used_by_many_threads_at_once(options: StoreOptions) -> None:
    S3Store(options).put_new(KEY, b"manifest")
    store = S3Store(options)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _n: store.read(KEY, limit_bytes=100), range(64))) == {b"manifest"}


def test_credentials_are_asked_for_once_however_many_clients_a_store_needs(
    options: StoreOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One session makes all clients; each of its own would start the program that gives out credentials again."""
    asked, program, config = tmp_path / "asked", tmp_path / "give", tmp_path / "config"
    answer = json.dumps({"Version": 1, "AccessKeyId": options.access_key, "SecretAccessKey": options.secret_key})
    program.write_text(f"#!/bin/sh\necho asked >> {asked}\necho '{answer}'\n")
    program.chmod(0o700)
    config.write_text(f"[profile own]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    write(S3Store(replace(options, access_key=None, secret_key=None, profile="own")), b"dump")  # quick, then steady, then once
    assert asked.read_text() == "asked\n"


def test_what_nanio_can_do_is_found_out_and_nothing_of_it_stays(bucket: str, backups_settings: Settings) -> None:
    found = store_in_use().abilities("testing/postgres/")
    assert found == Abilities(conditional_writes=False, checksums=True, versioning=False)
    assert keys_in(backups_settings, bucket) == []


def test_what_moto_can_do_is_found_out_and_nothing_of_it_stays(moto_bucket: str, backups_settings: Settings) -> None:
    found = store_in_use().abilities("testing/postgres/")
    assert found == Abilities(conditional_writes=True, checksums=False, versioning=False)
    assert keys_in(backups_settings, moto_bucket) == []


def test_in_a_bucket_with_versions_none_of_the_probe_stays(moto_bucket: str, backups_settings: Settings) -> None:
    client = s3_client(backups_settings)
    client.put_bucket_versioning(Bucket=moto_bucket, VersioningConfiguration={"Status": "Enabled"})

    locked = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": datetime(2100, 1, 1, tzinfo=UTC)}
    options = replace(store_in_use().options, object_parameters=tuple(locked.items()))
    assert S3Store(options).abilities("testing/postgres/").versioning
    left = client.list_object_versions(Bucket=moto_bucket)
    assert (left.get("Versions", []), left.get("DeleteMarkers", [])) == ([], [])


def store_in_use() -> S3Store:
    options = conf.store_options()
    assert options is not None
    return S3Store(options)


# What is wrong is said before anything is sent, by name, with what to do. One of nanio's buckets is enough for these.

Change = Callable[[StoreOptions], StoreOptions]
WRONG: dict[str, tuple[Change, str, str]] = {
    "no such bucket": (lambda o: replace(o, bucket="none-there"), "bucket none-there does not exist", "AWS_S3_BACKUP_BUCKET"),
    "no name of a bucket": (lambda o: replace(o, bucket="a bucket"), "a bucket can't be used", "AWS_S3_BACKUP_BUCKET"),
    "closed port": (lambda o: replace(o, endpoint_url="http://127.0.0.1:9"), "can't be reached", "AWS_ENDPOINT_URL_S3"),
    "unknown host": (lambda o: replace(o, endpoint_url="http://none.invalid"), "can't be reached", "AWS_ENDPOINT_URL_S3"),
    "no address": (lambda o: replace(o, endpoint_url="store.example"), "store.example is not an address", "AWS_ENDPOINT_URL_S3"),
    "no TLS": (lambda o: replace(o, endpoint_url=f"https{str(o.endpoint_url)[4:]}"), "No TLS connection", "certificate"),
    "wrong secret": (lambda o: replace(o, secret_key="wrong"), "does not accept the secret key", "AWS_SECRET_ACCESS_KEY"),
    "unknown access key": (lambda o: replace(o, access_key="AKIANONE"), "does not know this access key", "AWS_ACCESS_KEY_ID"),
    "no such profile": (lambda o: replace(o, profile="none"), "profile of the credentials does not exist", "AWS_PROFILE"),
}


@pytest.mark.parametrize(("change", "message", "hint"), WRONG.values(), ids=WRONG.keys())
def test_a_store_that_can_not_be_used_says_why_and_what_to_do(bucket: str, change: Change, message: str, hint: str) -> None:
    right = conf.store_options()
    assert right is not None
    store = S3Store(change(right))
    with pytest.raises(BucketError) as caught:
        store.require_usable(prefix="testing/postgres/", expected_bytes=0)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert str(right.secret_key) not in str(caught.value)
    with pytest.raises(BucketError):
        opened(store)
    with pytest.raises(BucketError):
        store.abilities("testing/postgres/")


def run_script(script: str, options: StoreOptions, *argv: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, with a `store` of its own."""
    head = """
        import sys
        from backups.storage.s3 import S3Store
        from backups.types import StoreOptions
        store = S3Store(StoreOptions(**eval(sys.stdin.read())))
        writer = store.open_writer("measured", run_id="run", expected_bytes=0, on_upload=lambda _id: None)
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(script), *argv],
        input=repr(asdict(options)),
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT,
        timeout=120,
    )


def test_memory_is_the_same_for_a_small_and_a_large_backup(bucket: str) -> None:
    """The peak is the kernel's own count; the bytes are sent from one buffer, whose hash is not asked for."""
    script = """
        import hashlib
        from pathlib import Path
        piece, digest = memoryview(bytes(1 << 18)), hashlib.sha256()
        for _ in range(int(sys.argv[1]) * 4):
            digest.update(piece)
            writer.write(piece)
        writer.commit(checksum=digest.hexdigest())
        print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
        writer.abort()
    """
    options = conf.store_options()
    assert options is not None
    small, large = (int(run_script(script, options, str(mebibytes)).stdout) / 1024 for mebibytes in (64, 384))
    assert large < 1.1 * small
    assert large < 150


def test_a_program_that_forgets_its_upload_still_ends(bucket: str) -> None:
    options = conf.store_options()
    assert options is not None
    done = run_script("writer.write(memoryview(bytes(20 << 20)))", options)
    assert (done.returncode, done.stderr) == (0, "")
