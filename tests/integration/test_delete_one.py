"""One backup deleted because somebody wants it gone: from real stores, and refused where a prune would not take it either."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import history, stores
from backups.exceptions import ObjectMissingError, RefusedError, RunningError, StorageError
from backups.models import BackupHistory, BackupRestore
from backups.postgres.named_lock import named_lock
from backups.prune import delete_one, pin
from backups.storage import keys
from tests.conftest import keys_in, s3_client
from tests.faults.proxy import Proxy, deny, drop, operation
from tests.integration import shelf

pytestmark = pytest.mark.usefixtures("history")


def shelve(description: str, *, days: float, verified: bool = True, **more: object) -> BackupHistory:
    """A backup of so many days ago; its row."""
    at = timezone.now() - timedelta(days=days)
    proof = {"verified_at": at + timedelta(hours=1)} if verified else {}
    return row_of(shelf.put(description, at=at, **{**proof, **more}))  # type: ignore[arg-type]


def row_of(key: str) -> BackupHistory:
    return BackupHistory.objects.get(filename=keys.filename_of(key))


@pytest.fixture
def newest(bucket: str) -> BackupHistory:
    """The newest verified one, which must stay."""
    return shelve("newest", days=1)


def require_untouched(row: BackupHistory, settings: Settings) -> None:
    """That dump and manifest are there, and the row says nothing of a deletion."""
    assert {row.s3_key, keys.manifest_key(row.s3_key)} <= set(keys_in(settings, row.bucket))
    row.refresh_from_db()
    assert row.deleted_at is None


def test_object_and_manifest_are_gone_and_the_row_tells_when(
    bucket: str, newest: BackupHistory, backups_settings: Settings
) -> None:
    row = shelve("old", days=3)

    done = delete_one(row)

    assert (done.filename, done.size_bytes, done.copies) == (row.filename, len(shelf.BODY), 1)
    assert [key for key in keys_in(backups_settings, bucket) if "old" in key] == []
    row.refresh_from_db()
    assert row.deleted_at is not None


def test_the_local_copy_is_gone_too(bucket: str, newest: BackupHistory) -> None:
    row = shelve("old", days=3)
    local = stores.configured().local
    assert local is not None
    bucket_store = stores.configured().require_s3()
    for key in (row.s3_key, keys.manifest_key(row.s3_key)):
        local.put_new(key, bucket_store.read(key, limit_bytes=1 << 20))

    assert delete_one(row).copies == 2
    assert list(local.list(keys.prefix("testing"))) == []


def test_the_newest_verified_one_stays(newest: BackupHistory, backups_settings: Settings) -> None:
    shelve("unproven", days=0.5, verified=False)
    with pytest.raises(RefusedError, match="must stay: newest verified"):
        delete_one(newest)
    require_untouched(newest, backups_settings)


def test_one_that_is_newer_than_the_newest_verified_stays(newest: BackupHistory, backups_settings: Settings) -> None:
    row = shelve("unproven", days=0.5, verified=False)
    with pytest.raises(RefusedError, match="not verified yet, and newer"):
        delete_one(row)
    require_untouched(row, backups_settings)


def test_a_pinned_one_stays_and_its_reason_is_told(newest: BackupHistory, backups_settings: Settings) -> None:
    row = shelve("old", days=3)
    pin(row.s3_key, reason="for the audit")
    with pytest.raises(RefusedError, match="pinned: for the audit"):
        delete_one(row)
    require_untouched(row, backups_settings)


def test_a_pin_that_only_the_bucket_remembers_counts(newest: BackupHistory, backups_settings: Settings) -> None:
    row = shelve("old", days=3)
    pin(row.s3_key, reason="for the audit")
    BackupHistory.objects.update(pin_reason="")
    with pytest.raises(RefusedError, match="for the audit"):
        delete_one(row)


def test_one_that_is_being_restored_stays(newest: BackupHistory, backups_settings: Settings) -> None:
    row = shelve("old", days=3)
    BackupRestore.objects.create(
        backup=row,
        source_key=row.s3_key,
        target_host="elsewhere",
        target_port=5432,
        target_database="shop",
        target_environment="testing",
        status="running",
        started_at=timezone.now(),
    )
    with pytest.raises(RefusedError, match="being restored"):
        delete_one(row)
    require_untouched(row, backups_settings)


def test_nothing_goes_while_the_newest_runs_fail(newest: BackupHistory, backups_settings: Settings) -> None:
    row = shelve("old", days=3)
    for number in range(3):
        at = timezone.now() - timedelta(minutes=number + 1)
        shelf.put(f"failed {number}", at=at, dump=None, manifest=False, status="failed")
    with pytest.raises(RefusedError, match="the last 3 runs failed"):
        delete_one(row)
    require_untouched(row, backups_settings)


def test_one_of_another_environment_stays(newest: BackupHistory, backups_settings: Settings) -> None:
    shelve("their newest", days=1, environment="production")
    row = shelve("theirs", days=3, environment="production")
    with pytest.raises(RefusedError, match="of the environment production, and this process is of testing"):
        delete_one(row)
    require_untouched(row, backups_settings)


def test_of_a_failed_run_there_is_nothing_to_delete(newest: BackupHistory) -> None:
    row = row_of(shelf.put("failed", dump=None, manifest=False, status="failed"))
    with pytest.raises(RefusedError, match="Nothing of it is stored"):
        delete_one(row)


def test_one_that_is_deleted_already_is_said_to_be(newest: BackupHistory) -> None:
    row = shelve("old", days=3)
    delete_one(row)
    row.refresh_from_db()
    with pytest.raises(ObjectMissingError, match="was deleted already"):
        delete_one(row)


def test_one_that_no_store_has_is_said_to_be_missing(newest: BackupHistory) -> None:
    row = row_of(shelf.put("lost", dump=None, manifest=False))
    with pytest.raises(ObjectMissingError, match="in no store that is configured"):
        delete_one(row)
    row.refresh_from_db()
    assert row.deleted_at is None


def test_while_a_prune_runs_it_waits_for_another_time(newest: BackupHistory, backups_settings: Settings) -> None:
    row = shelve("old", days=3)
    with (
        named_lock(history.server(), "prune:testing"),
        pytest.raises(RunningError, match="A prune of the environment testing is running"),
    ):
        delete_one(row)
    require_untouched(row, backups_settings)


def test_where_the_store_refuses_the_backup_is_whole_and_its_row_says_why(
    use_bucket: Callable[..., str], backups_settings: Settings
) -> None:
    endpoint = backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"]
    with Proxy(endpoint) as proxy:
        use_bucket(endpoint_url=proxy.endpoint)
        shelve("newest", days=1)
        row = shelve("old", days=3)
        proxy.when(operation("delete"), deny)
        with pytest.raises(StorageError):
            delete_one(row)
    row.refresh_from_db()
    assert row.deleted_at is None
    assert row.error_message.startswith("Not pruned: ")


def test_a_deletion_that_has_begun_is_given_all_the_time_of_the_settings_on_a_page_too(
    use_bucket: Callable[..., str], backups_settings: Settings
) -> None:
    endpoint = backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"]
    with Proxy(endpoint) as proxy:
        use_bucket(endpoint_url=proxy.endpoint)
        shelve("newest", days=1)
        row = shelve("old", days=3)
        dropped = proxy.when(operation("delete"), drop, times=stores.PAGE_ATTEMPTS + 2)
        with stores.for_a_page():
            assert delete_one(row).copies == 1
    assert dropped.used == stores.PAGE_ATTEMPTS + 2
    row.refresh_from_db()
    assert (row.deleted_at is not None, row.error_message) == (True, "")


def test_what_a_deletion_that_died_has_left_is_removed(bucket: str, newest: BackupHistory, backups_settings: Settings) -> None:
    row = shelve("old", days=3)
    BackupHistory.objects.filter(id=row.id).update(deleted_at=timezone.now())
    s3_client(backups_settings).delete_object(Bucket=bucket, Key=keys.manifest_key(row.s3_key))
    row.refresh_from_db()

    delete_one(row)

    assert [key for key in keys_in(backups_settings, bucket) if "old" in key] == []
