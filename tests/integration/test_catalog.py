"""The catalogue, on real stores and a real history: either may be missing, and what does not fit is marked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from backups import catalog
from backups.backup import DatabaseBackup
from backups.catalog import Entry, Mark
from backups.exceptions import BackupNotFoundError, ConfigurationError, ManifestError, StorageError, UsageError
from backups.models import BackupHistory
from backups.storage import keys
from backups.stores import configured
from backups.types import Server
from tests.conftest import s3_client
from tests.faults.proxy import Proxy, anything, cut, deny, operation
from tests.integration import shelf

pytestmark = pytest.mark.usefixtures("history")


def marks() -> dict[str, Mark]:
    """Of the whole list, by description."""
    return {entry.description or described(entry.filename): entry.mark for entry in catalog.list_backups(limit=None).entries}


def described(filename: str) -> str:
    return filename.removesuffix(".dump").split("-", 4)[-1]


def only() -> Entry:
    """The one entry of the list."""
    (entry,) = catalog.list_backups().entries
    return entry


def found(wanted: str, *, database: str = "shop") -> str:
    """The filename of what is found in the environment of the tests."""
    return catalog.find(wanted, environment="testing", database=database).manifest.filename


@contextmanager
def without_history() -> Iterator[None]:
    """The table of the history is away."""
    with connection.cursor() as cursor:
        cursor.execute('ALTER TABLE "admin"."backup_history" RENAME TO lost')
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute('ALTER TABLE "admin"."lost" RENAME TO backup_history')


@pytest.fixture
def proxy(use_bucket: Callable[..., str], backups_settings: Settings) -> Iterator[Proxy]:
    """A bucket in use, behind a proxy that counts and can break."""
    endpoint = backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"]
    with Proxy(endpoint) as proxy:
        use_bucket(endpoint_url=proxy.endpoint)
        yield proxy


# Listing


def test_a_real_backup_is_listed_as_its_row_tells_and_without_the_row_the_same(
    source: Server, any_bucket: str, backups_settings: Settings
) -> None:
    row = DatabaseBackup(description="pre migration", database="source").run()

    with_row = only()
    BackupHistory.objects.all().delete()
    without_row = only()

    assert (with_row.mark, without_row.mark) == (Mark.NONE, Mark.NOT_IN_HISTORY)
    assert replace(without_row, mark=Mark.NONE) == with_row
    assert with_row.is_whole
    assert without_row.is_whole
    assert (with_row.id, with_row.filename, with_row.checksum) == (row.id, row.filename, row.checksum)
    assert (with_row.rows, with_row.tables, with_row.database) == (6200, 3, source.database)
    assert with_row.where == (f"s3://{any_bucket}/{row.s3_key}",)


def test_the_list_is_newest_first_and_no_longer_than_asked(bucket: str) -> None:
    for minutes, description in enumerate(["a", "b", "c", "d"]):
        shelf.put(description, minutes=minutes, row=minutes % 2 == 0)

    listed = catalog.list_backups(limit=3)
    assert [entry.description for entry in listed.entries] == ["d", "c", "b"]
    assert listed.problems == []
    assert len(catalog.list_backups(limit=None).entries) == 4


def test_only_this_environment_is_listed_unless_all_are_asked_for(bucket: str) -> None:
    shelf.put("here")
    shelf.put("there", environment="production")
    shelf.put("there without a row", environment="production", row=False)

    assert [entry.description for entry in catalog.list_backups().entries] == ["here"]
    everything = catalog.list_backups(all_environments=True)
    assert {(entry.environment, entry.description) for entry in everything.entries} == {
        ("testing", "here"),
        ("production", "there"),
        ("production", "there without a row"),
    }
    assert everything.problems == []


def test_nothing_that_is_not_ours_is_listed(bucket: str, backups_settings: Settings) -> None:
    client = s3_client(backups_settings)
    for key in ("testing/postgres/notes.txt", "testing/postgres/deep/backup-2024-01-15T1200-x.dump", "testing/other", "readme"):
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert catalog.list_backups(all_environments=True).entries == []


def test_an_empty_bucket_and_an_empty_history_are_an_empty_list(any_bucket: str) -> None:
    assert catalog.list_backups() == catalog.Listing([], [])


def test_a_backup_that_was_deleted_on_purpose_is_not_listed(bucket: str) -> None:
    shelf.put("gone", dump=None, manifest=False, deleted_at=shelf.NOON)
    assert catalog.list_backups().entries == []


@pytest.mark.parametrize("number", [3, 30])
def test_a_history_that_is_up_to_date_costs_one_request_for_the_list_and_none_for_any_backup(proxy: Proxy, number: int) -> None:
    for minutes in range(number):
        shelf.put(f"n{minutes}", minutes=minutes)
    proxy.seen.clear()

    assert len(catalog.list_backups(limit=None).entries) == number
    assert [request.operation for request in proxy.seen] == ["list"]


def test_only_manifests_that_are_shown_and_not_in_the_history_are_read(proxy: Proxy) -> None:
    for minutes in range(6):
        shelf.put(f"n{minutes}", minutes=minutes, row=minutes == 5)
    proxy.seen.clear()

    catalog.list_backups(limit=3)
    assert (proxy.count("list"), proxy.count("get"), len(proxy.seen)) == (1, 2, 3)


# What is odd


def test_every_mark_comes_about(bucket: str, backups_settings: Settings) -> None:
    """Those of stores that can't be asked, or are not configured, have tests of their own."""
    shelf.put("fine")
    shelf.put("no-row", row=False)
    shelf.put("lost", dump=None, manifest=False)
    shelf.put("dump-deleted", dump=None)
    shelf.put("unfinished", manifest=False, row=False)
    shelf.put("manifest-deleted", manifest=False)
    shelf.put("no-dump", dump=None, row=False)
    shelf.put("forged", row=False, signing_key=b"mallory")
    shelf.put("other-size", dump=shelf.BODY + b"x")
    shelf.put("failed", dump=None, manifest=False, status="failed", error_message="why")
    shelf.put("died-late", status="running")
    shelf.put("failed-late", status="failed", error_message="the history was away")
    shelf.put("running", manifest=False, status="running")

    assert marks() == {
        "fine": Mark.NONE,
        "no-row": Mark.NOT_IN_HISTORY,
        "lost": Mark.MISSING,
        "dump-deleted": Mark.MISSING,
        "unfinished": Mark.NO_MANIFEST,
        "manifest-deleted": Mark.NO_MANIFEST,
        "no-dump": Mark.NO_DUMP,
        "forged": Mark.REFUSED,
        "other-size": Mark.CHANGED,
        "failed": Mark.NONE,
        "died-late": Mark.BEHIND,
        "failed-late": Mark.BEHIND,
        "running": Mark.NONE,
    }
    listed = catalog.list_backups(limit=None).entries
    assert {entry.description for entry in listed if entry.is_whole} == {"fine", "no-row", "died-late", "failed-late"}
    errors = {described(entry.filename): entry.error_message for entry in listed if entry.error_message}
    assert errors.keys() == {"forged", "failed"}
    assert "another key" in errors["forged"]


def test_a_manifest_that_was_changed_after_its_row_was_written_is_read_again_and_refused(
    bucket: str, backups_settings: Settings
) -> None:
    key = shelf.put("mine")
    client, place = s3_client(backups_settings), keys.manifest_key(key)
    data = client.get_object(Bucket=bucket, Key=place)["Body"].read()
    client.put_object(Bucket=bucket, Key=place, Body=data.replace(b'"rows": 5000', b'"rows": 5001'))

    assert only().mark == Mark.REFUSED
    assert "does not match" in only().error_message
    assert not only().is_whole


def test_a_copy_of_a_backup_under_another_name_is_refused(bucket: str) -> None:
    key = shelf.put("real")
    other = keys.object_key(environment="testing", filename=keys.filename(at=shelf.NOON, description="copied"))
    shelf.put_again(key, under=other)

    assert marks() == {"real": Mark.NONE, "copied": Mark.REFUSED}
    with pytest.raises(ManifestError, match="belongs to another backup"):
        found("backup-2024-01-15T1200-copied.dump")


def test_a_local_copy_that_is_left_when_the_bucket_has_lost_its_own_is_marked(
    source: Server, bucket: str, backups_settings: Settings
) -> None:
    row = DatabaseBackup(description="both", database="source", save_local=True).run()
    assert (only().mark, len(only().where)) == (Mark.NONE, 2)

    s3_client(backups_settings).delete_object(Bucket=bucket, Key=row.s3_key)
    assert (only().mark, only().where, only().is_whole) == (Mark.ONLY_LOCAL, (row.local_path,), True)
    assert only().mark.is_alarming


def test_a_local_copy_that_was_cleared_away_is_not_missed_while_the_bucket_has_the_backup(
    source: Server, bucket: str, backups_settings: Settings
) -> None:
    row = DatabaseBackup(description="both", database="source", save_local=True).run()
    local = configured().require_local()
    for key in (row.s3_key, keys.manifest_key(row.s3_key)):
        local.delete(key)
    assert only().mark == Mark.NONE


def test_a_backup_in_a_bucket_that_is_not_configured_any_more_is_not_called_missing(use_bucket: Callable[..., str]) -> None:
    use_bucket()
    shelf.put("moved")
    use_bucket()
    assert marks() == {"moved": Mark.ELSEWHERE}


# Without the history, without the bucket


def test_without_the_table_of_the_history_the_stores_are_listed_and_it_says_what_to_do(bucket: str) -> None:
    shelf.put("kept")
    with without_history():
        listed = catalog.list_backups()

    assert [(entry.description, entry.mark) for entry in listed.entries] == [("kept", Mark.NOT_IN_HISTORY)]
    (problem,) = listed.problems
    assert "could not be read" in problem.message
    assert "migrate" in problem.hint


def test_without_the_history_s_database_the_stores_are_listed(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.put("kept")
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "PORT", "1")
        listed = catalog.list_backups()

    assert [entry.mark for entry in listed.entries] == [Mark.NOT_IN_HISTORY]
    (problem,) = listed.problems
    assert "refused" in problem.detail.lower()
    assert "database running" in problem.hint
    assert str(connection.settings_dict["PASSWORD"]) not in str(problem)


def test_without_the_bucket_the_history_is_listed_and_nothing_is_called_missing(proxy: Proxy) -> None:
    shelf.put("kept")
    shelf.put("failed", dump=None, manifest=False, status="failed")
    proxy.when(anything, deny)
    listed = catalog.list_backups()

    assert {entry.description: entry.mark for entry in listed.entries} == {"kept": Mark.UNASKED, "failed": Mark.NONE}
    assert not [entry for entry in listed.entries if entry.mark.is_alarming or entry.is_whole]
    (problem,) = listed.problems
    assert "denies access" in problem.message


def test_a_bucket_whose_list_breaks_off_is_as_one_that_was_not_asked(proxy: Proxy) -> None:
    shelf.put("kept")
    proxy.when(operation("list"), cut(200))
    listed = catalog.list_backups()

    assert [entry.mark for entry in listed.entries] == [Mark.UNASKED]
    assert len(listed.problems) == 1


def test_local_copies_are_listed_where_there_is_no_bucket(
    backups_settings: Settings, use_bucket: Callable[..., str], source: Server
) -> None:
    use_bucket(make=False, bucket_name="")
    DatabaseBackup(description="here", database="source", upload_to_s3=False, save_local=True).run()

    assert marks() == {"here": Mark.NONE}
    assert [entry.mark for entry in catalog.list_backups(all_environments=True).entries] == [Mark.NONE]
    assert found("latest", database=source.database).endswith("-here.dump")


# Finding


def test_it_is_found_by_its_filename_key_address_and_beginning(any_bucket: str) -> None:
    key = shelf.put("one")
    shelf.put("two", minutes=1)
    filename = keys.filename_of(key)

    for wanted in (filename, key, f"s3://{any_bucket}/{key}", keys.manifest_key(key), filename[:22], "backup-2024-01-15T1200"):
        assert found(wanted) == filename


def test_the_latest_is_the_newest_whole_one_of_that_database(bucket: str) -> None:
    shelf.put("old", minutes=0)
    shelf.put("good", minutes=1)
    shelf.put("other", minutes=2, database="accounts")
    shelf.put("unfinished", minutes=3, manifest=False, row=False)
    shelf.put("failed", minutes=4, dump=None, manifest=False, status="failed")
    shelf.put("no-dump", minutes=5, dump=None)

    assert described(found("latest")) == "good"
    assert described(found("latest", database="accounts")) == "other"


def test_the_latest_of_one_minute_is_the_one_that_ended_last(bucket: str) -> None:
    for seconds, description in ((10, "zebra"), (50, "apple"), (30, "mango")):
        shelf.put(description, at=shelf.NOON.replace(second=seconds))
    assert described(found("latest")) == "apple"


def test_the_latest_is_found_without_the_history(bucket: str) -> None:
    shelf.put("kept")
    with without_history():
        assert described(found("latest")) == "kept"


def test_where_there_is_no_backup_of_that_database_the_others_are_named(bucket: str) -> None:
    with pytest.raises(BackupNotFoundError) as first:
        found("latest")
    assert "icb db backup first" in first.value.hint

    shelf.put("other", database="accounts")
    with pytest.raises(BackupNotFoundError) as refused:
        found("latest")
    assert "database shop in the environment testing" in refused.value.message
    assert "accounts" in refused.value.detail


def test_a_newest_backup_that_can_not_be_trusted_is_not_silently_passed_over(bucket: str) -> None:
    shelf.put("good")
    shelf.put("forged", minutes=1, signing_key=b"mallory", row=False)
    with pytest.raises(ManifestError) as refused:
        found("latest")
    assert "another key" in refused.value.message
    assert "-forged.dump.json" in refused.value.detail


def test_a_beginning_of_several_lists_them(bucket: str) -> None:
    for minutes in range(12):
        shelf.put("x", minutes=minutes)
    with pytest.raises(UsageError) as refused:
        found("backup-2024")
    assert "beginning of 12" in refused.value.message
    assert refused.value.detail.splitlines()[0] == "backup-2024-01-15T1211-x.dump"
    assert refused.value.detail.splitlines()[-1] == "and 2 more"


def test_for_a_mistyped_name_the_three_nearest_are_named(bucket: str) -> None:
    for minutes, description in enumerate(["pre-migration", "pre-release", "nightly", "weekly"]):
        shelf.put(description, minutes=minutes)
    with pytest.raises(BackupNotFoundError) as refused:
        found("backup-2024-01-15T1200-pre-migratoin.dump")

    assert "There is no backup 'backup-2024-01-15T1200-pre-migratoin.dump' in the environment testing" in refused.value.message
    nearest = refused.value.detail.splitlines()[1:]
    assert nearest[0] == "backup-2024-01-15T1200-pre-migration.dump"
    assert len(nearest) == 3


@pytest.mark.parametrize("wanted", ["../../etc/passwd", "x" * 5000, "\0", "%00", "latest.dump", "-", "'; DROP TABLE x"])
def test_a_hostile_name_finds_nothing_and_is_told_in_few_words(bucket: str, wanted: str) -> None:
    shelf.put("one")
    with pytest.raises(BackupNotFoundError) as refused:
        found(wanted)
    assert len(str(refused.value)) < 600


def test_a_key_of_another_environment_is_looked_for_there_and_never_here(bucket: str) -> None:
    here = shelf.put("same")
    there = here.replace("testing/", "production/")
    with pytest.raises(BackupNotFoundError, match="environment production"):
        found(there)

    shelf.put("same", environment="production", row=False, database="theirs")
    assert catalog.find(there, environment="testing", database="shop").manifest.database == "theirs"
    assert catalog.find(here, environment="testing", database="shop").manifest.database == "shop"


def test_a_dump_without_a_manifest_is_called_what_it_is(bucket: str) -> None:
    key = shelf.put("unfinished", manifest=False)
    with pytest.raises(BackupNotFoundError, match="has no manifest, so it is not a backup"):
        found(keys.filename_of(key))


def test_a_local_copy_is_found_by_its_name_when_the_bucket_is_away_and_only_named_for_the_latest(proxy: Proxy) -> None:
    stores = configured()
    shelf.put("newest", minutes=1)
    key = shelf.put("copied")
    shelf.put("copied", store=stores.require_local(), row=False)
    proxy.when(anything, deny)

    assert catalog.find(keys.filename_of(key), environment="testing", database="shop").location.startswith("/")
    with pytest.raises(StorageError) as refused:
        found("latest")
    assert "denies access" in refused.value.message
    assert keys.filename_of(key) in refused.value.hint
    with pytest.raises(StorageError, match="denies access"):
        found("backup-2024-01-15T1200")
    with pytest.raises(StorageError, match="denies access"):
        found("backup-2024-01-15T1201-newest.dump")


def test_where_neither_bucket_nor_folder_is_configured_it_says_so(
    use_bucket: Callable[..., str], backups_settings: Settings
) -> None:
    use_bucket(make=False, bucket_name="")
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "LOCAL_FOLDER": None}
    with pytest.raises(ConfigurationError, match="Neither a bucket nor a local folder"):
        found("latest")
