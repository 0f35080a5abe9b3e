"""What goes wrong between here and the store, and in it: FAULTS.md, 14 to 24. A proxy makes the fault, the store is real."""

import hashlib
import os
import random
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups import catalog, conf
from backups.backup import DatabaseBackup
from backups.exceptions import BackupsError, BucketError, ChecksumError, ObjectDeniedError, ObjectExistsError, StorageError
from backups.fetching import fetch
from backups.models import BackupHistory, BackupRestore
from backups.restore import DatabaseRestore
from backups.storage.abilities import Abilities
from backups.storage.multipart import MultipartWriter
from backups.storage.parts import MIN_PART_BYTES
from backups.storage.s3 import S3Store
from backups.types import Server, StoreOptions, silent
from tests.conftest import connect, keys_in, s3_client, until, uploads_in
from tests.faults import proxy as faults
from tests.faults.proxy import Act, Answer, Forward, Match, Proxy, Request, anything, operation, part, put_of

KEY = "testing/postgres/backup-2024-01-15T1200-first.dump"
BODY = os.urandom(2 * MIN_PART_BYTES + 54_321)  # three parts
SHA256 = hashlib.sha256(BODY).hexdigest()
ATTEMPTS = 3


@pytest.fixture
def proxy(any_bucket: str, backups_settings: Settings) -> Iterator[Proxy]:
    """Before the server that has the bucket."""
    with Proxy(str(backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"])) as entered:
        yield entered


@pytest.fixture
def options(proxy: Proxy) -> StoreOptions:
    """The bucket, by way of the proxy, with little patience."""
    found = conf.store_options()
    assert found is not None
    return replace(found, endpoint_url=proxy.endpoint, attempts=ATTEMPTS, connect_timeout=5, read_timeout=5)


@pytest.fixture
def store(options: StoreOptions) -> S3Store:
    return S3Store(options)


@pytest.fixture
def direct(options: StoreOptions) -> S3Store:
    """The same bucket, without the proxy: what is really there."""
    found = conf.store_options()
    assert found is not None
    return S3Store(found)


def opened(store: S3Store, *, run_id: str = "run-1") -> MultipartWriter:
    return store.open_writer(KEY, run_id=run_id, expected_bytes=0, on_upload=lambda _id: None)


def write(writer: MultipartWriter, body: bytes = BODY) -> None:
    writer.write(memoryview(body))
    writer.commit(checksum=hashlib.sha256(body).hexdigest())


def stored(store: S3Store) -> bytes:
    return b"".join(store.stream(KEY))


def assert_nothing_left(writer: MultipartWriter, settings: Settings) -> None:
    """After the abort neither an object nor an upload is there."""
    writer.abort()
    assert keys_in(settings, writer.store.bucket) == uploads_in(settings, writer.store.bucket) == []


# 14. Connections break, the store asks to slow down


@pytest.mark.parametrize("act", [faults.drop_inside, faults.drop, faults.lose_the_answer, faults.slow_down])
def test_a_part_that_fails_is_sent_again_until_it_is_there(store: S3Store, direct: S3Store, proxy: Proxy, act: Act) -> None:
    writer = opened(store)
    rule = proxy.when(part(2), act, times=ATTEMPTS - 1)
    write(writer)
    assert rule.used == ATTEMPTS - 1
    assert stored(direct) == BODY


@pytest.mark.parametrize("act", [faults.drop_inside, faults.slow_down])
def test_a_part_that_always_fails_is_given_up(store: S3Store, proxy: Proxy, backups_settings: Settings, act: Act) -> None:
    writer = opened(store)
    rule = proxy.when(part(2), act)
    with pytest.raises(StorageError, match=r"broke off|asks to slow down") as caught:
        write(writer)
    assert "send part 2" in caught.value.detail
    assert caught.value.hint
    assert rule.used == ATTEMPTS
    assert_nothing_left(writer, backups_settings)


def test_a_failed_part_is_noticed_at_the_next_byte(store: S3Store, proxy: Proxy, backups_settings: Settings) -> None:
    writer = opened(store)
    proxy.when(part(1), faults.deny)
    writer.write(memoryview(BODY)[:MIN_PART_BYTES])
    with pytest.raises(BucketError, match="denies access"):
        until(lambda: writer.write(memoryview(b"x")) is not None)
    assert_nothing_left(writer, backups_settings)


def test_a_download_goes_on_where_it_broke(store: S3Store, direct: S3Store, proxy: Proxy) -> None:
    write(opened(direct))
    proxy.when(operation("get"), faults.cut(after=3_000_000), times=4)
    assert stored(store) == BODY
    assert [dict(request.headers).get("Range") for request in proxy.seen if request.operation == "get"][:2] == [
        None,
        "bytes=3000000-",
    ]


def test_a_download_that_always_breaks_is_given_up(store: S3Store, direct: S3Store, proxy: Proxy) -> None:
    write(opened(direct))
    rule = proxy.when(operation("get"), faults.cut(after=1000))
    with pytest.raises(StorageError, match="broke off"):
        stored(store)
    assert rule.used == ATTEMPTS


def test_a_small_object_that_is_cut_off_is_read_again(store: S3Store, proxy: Proxy) -> None:
    store.put_new(KEY, b"a manifest")
    proxy.when(operation("get"), faults.cut(after=3), times=1)
    assert store.read(KEY, limit_bytes=100) == b"a manifest"


def test_a_download_never_mixes_two_objects(store: S3Store, direct: S3Store, proxy: Proxy, backups_settings: Settings) -> None:
    write(opened(direct))
    proxy.when(operation("get"), faults.cut(after=3_000_000), times=1)
    pieces = store.stream(KEY)
    next(pieces)
    s3_client(backups_settings).put_object(Bucket=store.bucket, Key=KEY, Body=BODY[::-1])
    with pytest.raises(ChecksumError, match="was replaced while it was being read"):
        list(pieces)


def test_a_store_that_can_not_continue_a_download_is_said(store: S3Store, direct: S3Store, proxy: Proxy) -> None:
    write(opened(direct))
    first: list[Request] = []

    def without_range(request: Request, forward: Forward) -> Answer:
        first.append(request.whole())
        return replace(forward(first[0]), cut_after=3_000_000)

    proxy.when(operation("get"), without_range)
    with pytest.raises(StorageError, match="does not continue from byte 3,000,000"):
        stored(store)


def test_an_upload_whose_beginning_was_not_answered_does_not_stay(
    store: S3Store, proxy: Proxy, backups_settings: Settings
) -> None:
    rule = proxy.when(operation("create"), faults.lose_the_answer, times=2)
    writer = opened(store)
    assert rule.used == 2
    assert uploads_in(backups_settings, store.bucket) == [KEY]
    assert_nothing_left(writer, backups_settings)


# 15. Complete


INTERNAL_ERROR = Answer(200, [("Content-Type", "application/xml")], faults.ERROR.format(code="InternalError").encode())


def answer_200_with_an_error(request: Request, forward: Forward) -> Answer:
    """As S3 does when something fails after it has begun to answer."""
    request.whole()
    return INTERNAL_ERROR


def test_a_completion_that_answers_200_with_an_error_is_a_failure(
    store: S3Store, proxy: Proxy, backups_settings: Settings
) -> None:
    writer = opened(store)
    rule = proxy.when(operation("complete"), answer_200_with_an_error)
    with pytest.raises(StorageError, match="an error of its own"):
        write(writer)
    assert rule.used == ATTEMPTS
    assert_nothing_left(writer, backups_settings)


def test_a_completion_that_works_at_the_second_attempt_is_a_success(store: S3Store, direct: S3Store, proxy: Proxy) -> None:
    writer = opened(store)
    proxy.when(operation("complete"), answer_200_with_an_error, times=1)
    write(writer)
    assert stored(direct) == BODY


def test_a_completion_whose_answer_is_lost_is_recognised_and_not_repeated(store: S3Store, direct: S3Store, proxy: Proxy) -> None:
    writer = opened(store)
    proxy.when(operation("complete"), faults.lose_the_answer)
    write(writer)
    assert proxy.count("complete") == 1
    assert stored(direct) == BODY


def test_it_is_recognised_too_where_the_store_writes_headers_in_capitals(store: S3Store, proxy: Proxy) -> None:
    """As servers written in Go do, MinIO for one."""
    writer = opened(store)
    proxy.when(operation("complete"), faults.lose_the_answer)
    proxy.when(operation("head"), faults.rename_header("x-amz-meta-backup-id", "X-Amz-Meta-Backup-Id"))
    write(writer)
    assert proxy.count("complete") == 1


def test_an_upload_that_somebody_else_has_ended_is_said(store: S3Store, proxy: Proxy, backups_settings: Settings) -> None:
    writer = opened(store)
    proxy.when(operation("complete"), faults.refuse(404, "NoSuchUpload"))
    with pytest.raises(StorageError, match="Somebody else ended the upload") as caught:
        write(writer)
    assert "lifecycle rule" in caught.value.hint
    assert_nothing_left(writer, backups_settings)


# 16. Credentials are revoked, or one object is refused


def test_a_refused_object_is_told_from_a_refused_bucket(store: S3Store, proxy: Proxy) -> None:
    write(opened(store))
    for act in (lambda: store.head(KEY), lambda: store.read(KEY, limit_bytes=1 << 20), lambda: next(store.stream(KEY))):
        rule = proxy.when(operation("head", "get"), faults.deny, times=1)
        with pytest.raises(ObjectDeniedError, match=f"denies access to the object s3://{store.bucket}/{KEY}"):
            act()
        assert rule.used == 1
    proxy.when(anything, faults.deny)
    with pytest.raises(BucketError, match=f"denies access to the bucket {store.bucket}"):
        store.head(KEY)


def test_an_orphan_is_named_and_can_be_aborted_later(
    store: S3Store, direct: S3Store, proxy: Proxy, backups_settings: Settings
) -> None:
    writer = opened(store)
    proxy.when(anything, faults.deny)
    with pytest.raises(BucketError, match="denies access"):
        write(writer)
    with pytest.raises(BucketError, match="denies access") as caught:
        writer.abort()
    assert f"abort the upload {writer.upload_id} of s3://{store.bucket}/{KEY}" in caught.value.detail
    assert uploads_in(backups_settings, store.bucket) == [KEY]

    direct.abort_upload(KEY, writer.upload_id)
    assert uploads_in(backups_settings, store.bucket) == []


def test_an_abort_that_fails_is_told_beside_what_caused_it(store: S3Store, proxy: Proxy) -> None:
    def forget(upload_id: str) -> None:
        raise StorageError("The history is away.")

    proxy.when(operation("abort"), faults.deny)
    with pytest.raises(StorageError, match="The history is away") as caught:
        store.open_writer(KEY, run_id="run-1", expected_bytes=0, on_upload=forget)
    assert "left behind" in caught.value.detail
    assert "denies access" in caught.value.detail


def test_an_upload_with_parts_on_their_way_ends_without_waiting_for_the_store(
    store: S3Store, proxy: Proxy, backups_settings: Settings
) -> None:
    """A part that needs half a minute at this rate is not sent to its end."""
    writer = opened(store)
    held = threading.Event()

    def slowly(request: Request, forward: Forward) -> Answer:
        held.set()
        return faults.slowly(300_000)(request, forward)

    proxy.when(operation("part"), slowly)
    writer.write(memoryview(BODY))
    assert held.wait(30)
    assert_nothing_left(writer, backups_settings)
    assert proxy.count("part") <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("part") and thread.is_alive()]


# 17. Changed bytes


@pytest.mark.parametrize("act", [faults.flip_a_bit, faults.keep_half])
def test_a_part_that_arrives_changed_is_sent_again(store: S3Store, direct: S3Store, proxy: Proxy, act: Act) -> None:
    writer = opened(store)
    rule = proxy.when(part(2), act, times=1)
    write(writer)
    assert rule.used == 1
    assert stored(direct) == BODY


@pytest.mark.parametrize("act", [faults.flip_a_bit, faults.keep_half])
@pytest.mark.parametrize("which", [part(2), operation("part")], ids=["one part", "every part"])
def test_parts_that_always_arrive_changed_are_no_backup(
    store: S3Store, proxy: Proxy, backups_settings: Settings, act: Act, which: Match
) -> None:
    writer = opened(store)
    proxy.when(which, act)
    with pytest.raises(StorageError):
        write(writer)
    assert_nothing_left(writer, backups_settings)


class OwnETags:
    """A store whose ETags look like MD5s and are something else. It knows its own ones again."""

    def __init__(self, proxy: Proxy) -> None:
        self._real: dict[str, str] = {}
        proxy.when(operation("part"), self.part)
        proxy.when(operation("complete"), self.complete)
        proxy.when(operation("head"), self.head)

    def part(self, request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        real = next(value for name, value in answer.headers if name.lower() == "etag").strip('"')
        own = hashlib.md5(real.encode()).hexdigest()
        self._real[own] = real
        return answer.with_header("ETag", f'"{own}"')

    def complete(self, request: Request, forward: Forward) -> Answer:
        request = request.whole()
        return forward(replace(request, body=faults.rewrite(request.body or b"", self._real)))

    def head(self, request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        return answer.with_header("ETag", '"of-its-own"') if answer.status == 200 else answer


def test_a_store_with_etags_of_its_own_is_read_again(store: S3Store, direct: S3Store, proxy: Proxy) -> None:
    OwnETags(proxy)
    writer = opened(store)
    write(writer)
    assert proxy.count("get") == 1
    assert stored(direct) == BODY


def test_a_store_with_md5s_for_etags_is_not_read_again(store: S3Store, proxy: Proxy) -> None:
    write(opened(store))
    assert proxy.count("get") == 0


@pytest.mark.parametrize("act", [faults.flip_a_bit, faults.keep_half])
def test_bytes_that_such_a_store_changes_are_found_by_reading_again(
    store: S3Store, proxy: Proxy, backups_settings: Settings, act: Act
) -> None:
    own = OwnETags(proxy)
    proxy.heal()

    def changed(request: Request, forward: Forward) -> Answer:
        return own.part(request, lambda request: act(request, forward))

    proxy.when(operation("part"), changed)
    proxy.when(operation("complete"), own.complete)
    proxy.when(operation("head"), own.head)
    writer = opened(store)
    with pytest.raises(ChecksumError, match=r"gives other bytes back|bytes at"):
        write(writer, BODY[:1_000_000])
    assert_nothing_left(writer, backups_settings)


def test_a_manifest_that_arrives_changed_is_not_taken_for_written(store: S3Store, proxy: Proxy) -> None:
    proxy.when(operation("put"), faults.flip_a_bit)
    with pytest.raises(StorageError):
        store.put_new(KEY, b"a manifest")


# 18. Changed bytes in the store


FLIPPED, RESTORED = 200, 10


@pytest.mark.usefixtures("history")
def test_every_one_of_two_hundred_flipped_bits_is_found_before_the_target_is_touched(
    source: Server, bucket: str, backups_settings: Settings, admin: Server, fresh_target: Server, tmp_path: Path
) -> None:
    """Each by the step that every restore begins with; of some the whole restore shows that nothing comes before that step."""
    client = s3_client(backups_settings)
    backup = DatabaseBackup(description="flipped", database="source").run()
    body = client.get_object(Bucket=bucket, Key=backup.s3_key)["Body"].read()
    stored = catalog.find(backup.s3_key, environment=backup.environment, database=backup.database, server=source)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 (pytest shows it where the test fails)

    for number, place in enumerate(random.Random(seed).sample(range(8 * len(body)), FLIPPED)):
        flipped = bytearray(body)
        flipped[place // 8] ^= 1 << place % 8
        client.put_object(Bucket=bucket, Key=backup.s3_key, Body=bytes(flipped))
        with pytest.raises(ChecksumError, match="Nothing was restored from them"):
            if number < RESTORED:
                DatabaseRestore(filename=backup.filename, target=fresh_target).run()
            else:
                fetch(stored, tmp_path, told=[], on_progress=silent)

    assert BackupRestore.objects.filter(status="failed").count() == RESTORED
    with connect(admin) as session:
        made = session.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [fresh_target.database])
        assert made.fetchall() == []


# 20. The key exists already


def test_an_object_that_came_before_an_answer_was_lost_stays(
    store: S3Store, direct: S3Store, proxy: Proxy, backups_settings: Settings
) -> None:
    """The other object comes between our look and our completion; nothing is answered but an error."""
    writer = opened(store, run_id="late")

    def overtaken(request: Request, forward: Forward) -> Answer:
        request.whole()
        direct.put_new(KEY, b"somebody else's")
        return INTERNAL_ERROR

    proxy.when(operation("complete"), overtaken, times=1)
    with pytest.raises(ObjectExistsError):
        write(writer)
    writer.abort()
    assert direct.read(KEY, limit_bytes=100) == b"somebody else's"
    assert uploads_in(backups_settings, store.bucket) == []


def test_a_manifest_whose_answer_was_lost_is_recognised(store: S3Store, proxy: Proxy) -> None:
    rule = proxy.when(operation("put"), faults.lose_the_answer, times=1)
    assert store.put_new(KEY, b"a manifest").size_bytes == len(b"a manifest")
    assert rule.used == 1


def is_conditional(request: Request) -> bool:
    return any(name.lower() == "if-none-match" for name, _value in request.headers)


def test_a_store_without_conditional_writes_is_written_to_all_the_same(store: S3Store, direct: S3Store, proxy: Proxy) -> None:
    rule = proxy.when(is_conditional, faults.refuse(501, "NotImplemented"))
    write(opened(store))
    store.put_new(KEY + ".json", b"a manifest")
    assert rule.used == 2
    assert stored(direct) == BODY


# 22. A slow store


def test_no_more_than_three_parts_are_taken_ahead_of_the_store(options: StoreOptions, proxy: Proxy) -> None:
    """Each part needs longer than the timeout of a connection: only a stand-still is one."""
    store = S3Store(replace(options, connect_timeout=0.5))
    arrived = 0
    ahead: list[int] = []

    def slowly(request: Request, forward: Forward) -> Answer:
        nonlocal arrived
        answer = faults.slowly(8 << 20)(request, forward)
        arrived += request.length
        return answer

    writer = opened(store)
    rule = proxy.when(operation("part"), slowly)
    body = BODY * 3
    for start in range(0, len(body), 1 << 18):
        writer.write(memoryview(body)[start : start + (1 << 18)])
        ahead.append(writer.size_bytes - arrived)
    writer.commit(checksum=hashlib.sha256(body).hexdigest())
    assert MIN_PART_BYTES < max(ahead) <= 3 * MIN_PART_BYTES
    assert rule.used == 7  # no part was sent twice


# 23. What can be said in seconds is said before the dump


REFUSALS = {
    "no such bucket": (faults.refuse(404, "NoSuchBucket"), "does not exist", "AWS_S3_BACKUP_BUCKET"),
    "no permission": (faults.deny, "denies access", "policy"),
    "another region": (faults.refuse(301, "PermanentRedirect"), "is in another region", "AWS_REGION"),
    "another address": (faults.web_server(301), "at another address", "AWS_ENDPOINT_URL_S3"),
    "no store": (faults.web_server(200), "No S3 store answers", "AWS_ENDPOINT_URL_S3"),
    "no store, well-formed": (faults.web_server(200, b"<html/>"), "No S3 store answers", "AWS_ENDPOINT_URL_S3"),
    "wrong region": (faults.refuse(400, "AuthorizationHeaderMalformed"), "is not the bucket's", "AWS_REGION"),
    "clock": (faults.refuse(403, "RequestTimeTooSkewed"), "clock differs", "timedatectl"),
    "expired": (faults.refuse(400, "ExpiredToken"), "have expired", "Renew"),
    "always busy": (faults.slow_down, "asks to slow down", "later"),
    "gateway without a store": (faults.web_server(502), "No S3 store answers", "AWS_ENDPOINT_URL_S3"),
    "said in a code of its own": (faults.refuse(400, "OnStrike"), "did not do what was asked", "Look at the store"),
    "hangs up": (faults.drop, "broke off", "look at the store"),
}


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(("act", "message", "hint"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_store_that_refuses_is_said_before_the_dump(
    source: Server, through_the_proxy: Proxy, act: Act, message: str, hint: str
) -> None:
    through_the_proxy.when(anything, act)
    with pytest.raises(StorageError) as caught:
        DatabaseBackup(description="refused", database="source").run()

    row = BackupHistory.objects.get()
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert row.status == "failed"
    assert message in row.error_message
    assert through_the_proxy.count("part") == 0


@pytest.mark.usefixtures("history")
def test_a_role_that_may_read_and_not_write_is_said_before_the_dump(
    source: Server, through_the_proxy: Proxy, backups_settings: Settings
) -> None:
    through_the_proxy.when(operation("create", "put", "part"), faults.deny)
    with pytest.raises(BucketError, match="denies access") as caught:
        DatabaseBackup(description="read only", database="source").run()

    assert "begin the upload" in caught.value.detail
    assert "policy" in caught.value.hint
    assert through_the_proxy.count("part") == 0
    assert BackupHistory.objects.get().status == "failed"


# 24. What a store lacks is said


PREFIX = "testing/postgres/"


def is_a_listing(request: Request) -> bool:
    return "list-type" in request.query


def is_about_versioning(request: Request) -> bool:
    return "versioning" in request.query


LACKING: dict[str, tuple[Match, Act, dict[str, bool | None]]] = {
    "conditional writes": (is_conditional, faults.refuse(501, "NotImplemented"), {"conditional_writes": False}),
    "versioning": (is_about_versioning, faults.refuse(501, "NotImplemented"), {"versioning": False}),
    "a look at versioning": (is_about_versioning, faults.deny, {"versioning": None}),
    "a right to write": (operation("put"), faults.deny, {"conditional_writes": None, "checksums": None}),
    "a right to list": (is_a_listing, faults.deny, {}),
}


@pytest.mark.parametrize(("which", "act", "lacking"), LACKING.values(), ids=LACKING.keys())
def test_a_probe_says_what_a_store_lacks(
    store: S3Store,
    direct: S3Store,
    proxy: Proxy,
    backups_settings: Settings,
    which: Match,
    act: Act,
    lacking: dict[str, bool | None],
) -> None:
    otherwise = direct.abilities(PREFIX)
    proxy.when(which, act)
    assert store.abilities(PREFIX) == replace(otherwise, **lacking)
    assert keys_in(backups_settings, store.bucket) == []


@pytest.mark.parametrize("act", [faults.slow_down, faults.drop])
def test_a_probe_of_a_store_that_is_away_is_an_error_and_no_answer(
    store: S3Store, proxy: Proxy, backups_settings: Settings, act: Act
) -> None:
    proxy.when(operation("put"), act)
    with pytest.raises(StorageError, match=r"broke off|asks to slow down") as caught:
        store.abilities(PREFIX)
    assert f"try what the store can do, at s3://{store.bucket}/{PREFIX}" in caught.value.detail
    assert keys_in(backups_settings, store.bucket) == []


def test_a_probe_that_may_not_delete_leaves_one_object_however_often_it_is_made(
    store: S3Store, direct: S3Store, proxy: Proxy, backups_settings: Settings
) -> None:
    def long_ago(request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        return replace(answer, body=re.sub(rb"<LastModified>[^<]*", b"<LastModified>2024-01-15T12:00:00.000Z", answer.body))

    proxy.when(is_a_listing, long_ago)
    rule = proxy.when(operation("delete"), faults.deny)
    found = [store.abilities(PREFIX) for _again in range(3)]
    left = keys_in(backups_settings, store.bucket)
    assert found == [direct.abilities(PREFIX)] * 3
    assert rule.used
    assert len(left) == 1
    assert left[0].startswith(f"{PREFIX}.probe-")


def test_a_probe_that_may_not_write_deletes_nothing_which_would_leave_a_marker(store: S3Store, proxy: Proxy) -> None:
    proxy.when(operation("put"), faults.deny)
    store.abilities(PREFIX)
    assert proxy.count("delete") == 0


def test_what_a_probe_was_not_answered_is_deleted_all_the_same(store: S3Store, proxy: Proxy, backups_settings: Settings) -> None:
    proxy.when(operation("put"), faults.lose_the_answer)
    with pytest.raises(StorageError):
        store.abilities(PREFIX)
    assert keys_in(backups_settings, store.bucket) == []


def test_a_probe_of_somebody_else_that_is_on_its_way_is_left_alone(store: S3Store, backups_settings: Settings) -> None:
    s3_client(backups_settings).put_object(Bucket=store.bucket, Key=f"{PREFIX}.probe-theirs", Body=b"")
    assert isinstance(store.abilities(PREFIX), Abilities)
    assert keys_in(backups_settings, store.bucket) == [f"{PREFIX}.probe-theirs"]


FAILURES: dict[str, tuple[Match, Act]] = {
    "the connection breaks in every part": (operation("part"), faults.drop_inside),
    "every part arrives changed": (operation("part"), faults.flip_a_bit),
    "every part is cut off": (operation("part"), faults.keep_half),
    "the completion fails": (operation("complete"), answer_200_with_an_error),
    "the manifest can't be written": (put_of(".json"), faults.deny),
    "the manifest arrives changed": (put_of(".json"), faults.flip_a_bit),
}


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(("which", "act"), FAILURES.values(), ids=FAILURES.keys())
def test_a_backup_whose_store_fails_leaves_nothing_but_a_row(
    source: Server, through_the_proxy: Proxy, backups_settings: Settings, which: Match, act: Act
) -> None:
    rule = through_the_proxy.when(which, act)
    with pytest.raises(BackupsError) as caught:
        DatabaseBackup(description="failed", database="source").run()

    row = BackupHistory.objects.get()
    assert rule.used
    assert row.status == "failed"
    assert caught.value.message in row.error_message
    assert keys_in(backups_settings, row.bucket) == uploads_in(backups_settings, row.bucket) == []


@pytest.mark.usefixtures("history")
def test_a_backup_outlives_a_bad_night(source: Server, through_the_proxy: Proxy, backups_settings: Settings) -> None:
    rules = [
        through_the_proxy.when(operation("list"), faults.drop, times=1),
        through_the_proxy.when(operation("create"), faults.slow_down, times=1),
        through_the_proxy.when(operation("part"), faults.drop_inside, times=1),
        through_the_proxy.when(operation("part"), faults.flip_a_bit, times=1),
        through_the_proxy.when(operation("complete"), faults.lose_the_answer, times=1),
        through_the_proxy.when(put_of(".json"), faults.lose_the_answer, times=1),
    ]
    row = DatabaseBackup(description="bad night", database="source").run()

    body = s3_client(backups_settings).get_object(Bucket=row.bucket, Key=row.s3_key)["Body"].read()
    assert [rule.used for rule in rules] == [1] * 6
    assert row.status == "succeeded"
    assert hashlib.sha256(body).hexdigest() == row.checksum
    assert uploads_in(backups_settings, row.bucket) == []


@pytest.mark.usefixtures("history")
def test_the_row_of_a_backup_keeps_the_upload_that_could_not_be_aborted(
    source: Server, through_the_proxy: Proxy, backups_settings: Settings
) -> None:
    through_the_proxy.when(operation("part", "abort"), faults.deny)
    with pytest.raises(BucketError) as caught:
        DatabaseBackup(description="revoked", database="source").run()

    row = BackupHistory.objects.get()
    assert "left behind" in caught.value.detail
    assert uploads_in(backups_settings, row.bucket) == [row.s3_key]
    assert row.upload_id
    through_the_proxy.heal()
    found = conf.store_options()
    assert found is not None
    S3Store(found).abort_upload(row.s3_key, row.upload_id)
    assert uploads_in(backups_settings, row.bucket) == []
