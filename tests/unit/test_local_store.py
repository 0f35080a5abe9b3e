"""A folder as a store: nothing leaves it, nothing in it is ever overwritten, nothing unfinished stays."""

import hashlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backups.exceptions import ChecksumError, ObjectExistsError, ObjectMissingError, StorageError
from backups.storage import folder_mark
from backups.storage.local import LocalStore, LocalWriter
from backups.storage.store import Store
from backups.storage.whole import read_whole
from ichrisbirch_site.embedded import PROJECT
from tests.unit.memory_store import MemoryStore

KEY = "testing/postgres/backup-2024-01-15T1200-first.dump"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "copies" / "bucket")


@pytest.fixture(params=["local", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of each kind that needs no server: the fake has to keep the same promises."""
    return LocalStore(tmp_path / "copies") if request.param == "local" else MemoryStore()


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def writer(store: LocalStore, key: str = KEY) -> LocalWriter:
    return store.open_writer(key, run_id="run", expected_bytes=0, on_upload=lambda _id: None)


def write(store: Store, body: bytes, key: str = KEY) -> None:
    opened = store.open_writer(key, run_id="run", expected_bytes=0, on_upload=lambda _id: None)
    opened.write(memoryview(body))
    opened.commit(checksum=sha256(body))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != folder_mark.NAME)


def test_what_was_written_is_read_again(any_store: Store) -> None:
    write(any_store, b"archive" * 1000)

    found = any_store.head(KEY)
    assert found is not None
    assert (found.key, found.size_bytes) == (KEY, 7000)
    assert any_store.read(KEY, limit_bytes=7000) == b"".join(any_store.stream(KEY)) == b"archive" * 1000


def test_bytes_come_with_the_etag_under_which_they_are_listed(any_store: Store) -> None:
    write(any_store, b"archive")
    (listed,) = any_store.list("")
    assert any_store.read_as(KEY, limit_bytes=7) == (b"archive", listed.etag)
    assert listed.etag


def test_a_part_of_the_folder_that_can_not_be_looked_into_is_no_empty_one(store: LocalStore) -> None:
    write(store, b"archive")
    (store.base / folder_mark.NAME).unlink()
    (store.base / folder_mark.NAME).parent.rename(store.base.with_name("elsewhere"))
    store.base.symlink_to(store.base)  # a loop, which is refused to root as well
    with pytest.raises(StorageError, match="can't be looked at"):
        list(store.list(""))


def test_nothing_is_seen_before_the_commit_nor_after_an_abort(any_store: Store) -> None:
    opened = any_store.open_writer(KEY, run_id="run", expected_bytes=0, on_upload=lambda _id: None)
    opened.write(memoryview(b"half"))
    assert any_store.head(KEY) is None
    assert list(any_store.list("")) == []

    opened.abort()
    assert any_store.head(KEY) is None


def test_an_abort_after_the_commit_takes_the_object_away_again(any_store: Store) -> None:
    opened = any_store.open_writer(KEY, run_id="run", expected_bytes=0, on_upload=lambda _id: None)
    opened.write(memoryview(b"whole"))
    opened.commit(checksum=sha256(b"whole"))
    opened.abort()
    assert any_store.head(KEY) is None


def test_a_taken_key_is_refused_and_the_old_object_stays(any_store: Store) -> None:
    write(any_store, b"old")
    with pytest.raises(ObjectExistsError):
        any_store.open_writer(KEY, run_id="run", expected_bytes=0, on_upload=lambda _id: None)
    with pytest.raises(ObjectExistsError):
        any_store.put_new(KEY, b"new")
    assert any_store.read(KEY, limit_bytes=10) == b"old"


def test_the_same_small_object_may_be_put_twice(any_store: Store) -> None:
    first = any_store.put_new(KEY, b"manifest")
    assert any_store.put_new(KEY, b"manifest") == first


def test_other_bytes_than_the_checksum_says_are_refused(any_store: Store) -> None:
    opened = any_store.open_writer(KEY, run_id="run", expected_bytes=0, on_upload=lambda _id: None)
    opened.write(memoryview(b"one thing"))
    with pytest.raises(ChecksumError):
        opened.commit(checksum=sha256(b"another thing"))
    assert any_store.head(KEY) is None


def test_a_missing_object_and_one_too_large_are_told_apart(any_store: Store) -> None:
    with pytest.raises(ObjectMissingError):
        any_store.read(KEY, limit_bytes=10)
    with pytest.raises(ObjectMissingError):
        list(any_store.stream(KEY))
    any_store.delete(KEY)
    any_store.abort_upload(KEY, "upload-9")

    write(any_store, b"x" * 11)
    with pytest.raises(StorageError, match="larger than 10 bytes"):
        any_store.read(KEY, limit_bytes=10)


def test_an_object_larger_than_the_limit_is_not_read_to_its_end() -> None:
    pieces = iter([b"x" * 8, b"x" * 8, b"never taken"])
    with pytest.raises(StorageError, match="s3://b/k is larger than 10 bytes"):
        read_whole(pieces, limit_bytes=10, location="s3://b/k")
    assert list(pieces) == [b"never taken"]


def test_a_listing_is_in_the_order_of_the_keys(any_store: Store) -> None:
    made = ["a-b/postgres/1", "a/postgres/2", "a/postgres/10", "a0/postgres/3"]
    for key in made:
        any_store.put_new(key, b"")
    assert [found.key for found in any_store.list("")] == sorted(made)
    assert [found.key for found in any_store.list("a/postgres/")] == ["a/postgres/10", "a/postgres/2"]
    assert list(any_store.list("nowhere/")) == []
    assert [found.key for found in any_store.list("a/postgres/", after="a/postgres/1")] == ["a/postgres/10", "a/postgres/2"]
    assert [found.key for found in any_store.list("a/postgres/", after="a/postgres/10")] == ["a/postgres/2"]


def test_a_writer_that_loses_the_race_for_a_name_leaves_the_winner_alone(store: LocalStore) -> None:
    late = writer(store)
    late.write(memoryview(b"late"))
    store.path(KEY).write_bytes(b"early")

    with pytest.raises(ObjectExistsError):
        late.commit(checksum=sha256(b"late"))
    late.abort()
    assert store.read(KEY, limit_bytes=10) == b"early"
    assert files(store.base) == [store.path(KEY).name]


def test_two_writers_never_share_a_file(store: LocalStore) -> None:
    first = writer(store)
    with pytest.raises(ObjectExistsError):
        writer(store)
    first.write(memoryview(b"first"))
    first.commit(checksum=sha256(b"first"))
    assert store.read(KEY, limit_bytes=10) == b"first"


def test_an_abort_after_the_commit_leaves_a_file_that_took_the_place(store: LocalStore) -> None:
    opened = writer(store)
    opened.commit(checksum=sha256(b""))
    replacement = store.base / "replacement"
    replacement.write_bytes(b"somebody else's")
    replacement.rename(store.path(KEY))

    opened.abort()
    assert store.read(KEY, limit_bytes=100) == b"somebody else's"


def test_the_partial_file_is_gone_after_commit_abort_and_the_reaper(store: LocalStore) -> None:
    write(store, b"done")
    assert files(store.base) == ["backup-2024-01-15T1200-first.dump"]

    other = KEY.replace("first", "second")
    writer(store, other).abort()
    assert files(store.base) == ["backup-2024-01-15T1200-first.dump"]

    killed = writer(store, other)
    assert killed.partial.exists()
    store.abort_upload(other, "")
    assert files(store.base) == ["backup-2024-01-15T1200-first.dump"]
    killed.abort()


def test_folders_and_files_are_their_owners_only(store: LocalStore) -> None:
    old_mask = os.umask(0)
    try:
        opened = writer(store)
        opened.write(memoryview(b"secret"))
        assert opened.partial.stat().st_mode & 0o777 == 0o600
        opened.commit(checksum=sha256(b"secret"))
    finally:
        os.umask(old_mask)
    path = store.path(KEY)
    assert path.stat().st_mode & 0o777 == 0o600
    made = [parent for parent in path.parents if parent.is_relative_to(store.base.parent)]
    assert [oct(folder.stat().st_mode & 0o777) for folder in made] == ["0o700"] * 4


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../outside",
        "a/../../outside",
        "a/..",
        "a/\0b",
        "a//b",
        "./a",
        "a/",
        "testing/x.dump.partial",
    ],
)
def test_a_key_that_would_leave_the_folder_is_refused_everywhere(store: LocalStore, key: str) -> None:
    write(store, b"here")
    calls: list[Callable[[], object]] = [
        lambda: store.head(key),
        lambda: store.read(key, limit_bytes=10),
        lambda: list(store.stream(key)),
        lambda: store.put_new(key, b""),
        lambda: writer(store, key),
        lambda: store.delete(key),
        lambda: store.abort_upload(key, ""),
    ]
    for call in calls:
        with pytest.raises(StorageError):
            call()
    assert files(store.base.parent.parent) == ["backup-2024-01-15T1200-first.dump"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(key=st.text(st.sampled_from("ab./\0\n ~-"), max_size=12) | st.text(max_size=300))
def test_any_text_is_a_path_in_the_folder_or_refused(store: LocalStore, key: str) -> None:
    try:
        path = store.path(key)
    except StorageError:
        return
    assert Path(os.path.normpath(path)) == path
    assert path.is_relative_to(store.base)
    assert path != store.base


def test_a_name_too_long_for_the_disk_is_said(store: LocalStore) -> None:
    with pytest.raises(StorageError, match="too long"):
        store.put_new("testing/postgres/" + "x" * 300, b"")


def test_what_is_no_file_is_not_there(store: LocalStore) -> None:
    write(store, b"file")
    assert store.head("testing/postgres") is None
    assert store.head(KEY + "/below-a-file") is None
    with pytest.raises(StorageError):
        store.read("testing/postgres", limit_bytes=10)


def test_a_folder_that_can_not_be_made_is_said_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "a-file").write_bytes(b"")
    with pytest.raises(StorageError, match="can't be made") as caught:
        LocalStore(tmp_path / "a-file" / "bucket").require_usable(prefix="testing/postgres/", expected_bytes=0)
    assert "BACKUPS_LOCAL_FOLDER" in caught.value.hint


def test_too_little_room_is_said_before_anything_is_written(store: LocalStore) -> None:
    with pytest.raises(StorageError, match="not enough room"):
        store.require_usable(prefix="testing/postgres/", expected_bytes=1 << 62)
    assert files(store.base) == []


def test_a_disk_that_fills_up_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    """The limit on the size of files is that of a process, so that no disk need be filled for this."""
    script = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from backups.exceptions import StorageError
        from backups.storage.local import LocalStore

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        store = LocalStore(Path(sys.argv[1]))
        writer = store.open_writer("testing/x.dump", run_id="", expected_bytes=0, on_upload=print)
        try:
            for _ in range(10):
                writer.write(memoryview(bytes(30_000)))
        except StorageError as error:
            print(error)
        writer.abort()
    """)
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT)
    assert "x.dump.partial can't be used: File too large." in done.stdout
    assert "Make room" in done.stdout
    assert files(tmp_path) == []
