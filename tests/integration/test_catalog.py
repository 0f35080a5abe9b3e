"""The catalogue, on real stores and a real history: either may be missing, and what does not fit is marked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import catalog, conf
from backups.backup import DatabaseBackup
from backups.catalog import Entry, Mark
from backups.exceptions import BackupNotFoundError, ChecksumError, ConfigurationError, ManifestError, StorageError, UsageError
from backups.models import BackupHistory
from backups.signed import key_id
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


def test_names_of_the_future_that_no_manifest_proves_come_last_and_push_no_backup_out_of_the_list(bucket: str) -> None:
    for minutes, description in enumerate(["a", "b"]):
        shelf.put(description, minutes=minutes, row=minutes == 0)
    ahead = timezone.now() + timedelta(days=365)
    shelf.put("bare", at=ahead, row=False, manifest=False)
    shelf.put("forged", at=ahead, row=False, signing_key=b"k" * 32)
    shelf.put("whole", at=ahead, row=False)  # by a machine whose clock is wrong

    listed = [described(entry.filename) for entry in catalog.list_backups(limit=4).entries]
    assert listed[:3] == ["whole", "b", "a"]
    assert set(marks()) == {"whole", "b", "a", "bare", "forged"}


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
    assert refused.value.hint.endswith(
        "The newest that can be trusted is from 2024-01-15 12:00 UTC. Name it instead of latest: backup-2024-01-15T1200-good.dump"
    )


def test_of_those_that_can_be_trusted_the_one_of_this_database_that_ended_last_is_named(bucket: str) -> None:
    for seconds, description in ((10, "zebra"), (50, "apple"), (30, "mango")):
        shelf.put(description, at=shelf.NOON.replace(second=seconds))
    shelf.put("other", minutes=1, database="accounts")
    shelf.put("lost", minutes=2, dump=None)
    shelf.put("forged", minutes=3, signing_key=b"mallory")
    with pytest.raises(ManifestError) as refused:
        found("latest")
    assert refused.value.hint.endswith("-apple.dump")


def test_the_latest_passes_over_what_the_history_knows_to_be_another_database_s(bucket: str) -> None:
    shelf.put("good")
    shelf.put("forged", minutes=1, signing_key=b"mallory", database="accounts")

    assert described(found("latest")) == "good"
    with without_history(), pytest.raises(ManifestError, match="another key"):
        found("latest")
    BackupHistory.objects.update(environment="production")
    with pytest.raises(ManifestError, match="another key"):
        found("latest")


def test_where_all_that_is_left_is_another_database_s_by_history_there_is_no_backup_yet(bucket: str) -> None:
    shelf.put("forged", signing_key=b"mallory", database="accounts")
    with pytest.raises(BackupNotFoundError) as refused:
        found("latest")
    assert "accounts" in refused.value.detail


def test_with_a_wrong_signing_key_it_does_not_read_every_manifest_for_one_to_name(proxy: Proxy) -> None:
    for minutes in range(25):
        shelf.put("x", minutes=minutes, row=False, signing_key=b"mallory")
    proxy.seen.clear()
    with pytest.raises(ManifestError) as refused:
        found("latest")
    assert refused.value.hint.endswith("The 19 before it that were looked at can't be had either.")
    assert proxy.count("get") == 21


def test_a_backup_of_an_environment_with_a_key_of_its_own_names_both_keys_its_place_and_what_to_set(bucket: str) -> None:
    shelf.put("theirs", environment="production", row=False, signing_key=b"production's own")
    with pytest.raises(ManifestError) as refused:
        catalog.find("latest", environment="production", database="shop")
    theirs, ours = key_id(b"production's own"), key_id(conf.current().signing_key)
    assert theirs in refused.value.message
    assert ours in refused.value.message
    assert f"s3://{bucket}/production/postgres/backup-2024-01-15T1200-theirs.dump.json" in refused.value.detail
    assert "of the environment production, and this process is of testing" in refused.value.detail
    assert "BACKUPS_SIGNING_KEY" in refused.value.hint


# Copies that are not whole

SHORTER = shelf.BODY[:-1]


@pytest.mark.parametrize("wanted", ["latest", "backup-2024-01-15T1200-copied.dump", "backup-2024-01-15T1200"])
@pytest.mark.parametrize("left", [{"dump": None}, {"dump": SHORTER}, {"manifest": False}, {"dump": None, "manifest": False}])
def test_where_the_bucket_has_not_the_whole_backup_a_whole_local_copy_is_found(
    left: dict[str, bytes | bool | None], wanted: str, bucket: str
) -> None:
    shelf.put("copied", **left)  # type: ignore[arg-type]
    shelf.put("copied", store=configured().require_local(), row=False)

    assert catalog.find(wanted, environment="testing", database="shop").location.startswith("/")


@pytest.mark.parametrize("wanted", ["latest", "backup-2024-01-15T1200-copied.dump"])
def test_where_no_store_has_the_dump_it_says_which_has_what_and_takes_no_older_one(wanted: str, bucket: str) -> None:
    shelf.put("older", minutes=-1)
    key = shelf.put("copied", dump=None)
    local = configured().require_local()
    shelf.put("copied", dump=None, store=local, row=False)
    with pytest.raises(BackupNotFoundError) as refused:
        found(wanted)
    assert "copied.dump is gone" in refused.value.message
    assert refused.value.detail.splitlines() == [
        f"s3://{bucket}/{key}: only the manifest",
        f"{local.location(key)}: only the manifest",
    ]
    assert ("older.dump" in refused.value.hint) == (wanted == "latest")


@pytest.mark.parametrize("wanted", ["latest", "backup-2024-01-15T1200-copied.dump"])
def test_where_the_only_dump_has_another_size_it_is_refused_before_it_is_downloaded(wanted: str, bucket: str) -> None:
    shelf.put("older", minutes=-1)
    key = shelf.put("copied", dump=SHORTER)
    shelf.put("copied", dump=None, store=configured().require_local(), row=False)
    with pytest.raises(ChecksumError) as refused:
        found(wanted)
    assert refused.value.detail.splitlines()[0] == f"s3://{bucket}/{key}: {len(SHORTER):,} bytes, with its manifest"
    assert ("older.dump" in refused.value.hint) == (wanted == "latest")


def test_a_dump_and_a_manifest_that_are_not_together_are_told_with_their_places(bucket: str) -> None:
    key = shelf.put("parted", manifest=False)
    shelf.put("parted", dump=None, store=configured().require_local(), row=False)
    with pytest.raises(BackupNotFoundError) as refused:
        found(keys.filename_of(key))
    assert "No store has backup-2024-01-15T1200-parted.dump whole" in refused.value.message
    assert [line.partition(": ")[2] for line in refused.value.detail.splitlines()] == [
        "1,005 bytes, without manifest",
        "only the manifest",
    ]


def test_of_one_minute_a_lost_backup_that_ended_earlier_is_not_in_the_way(bucket: str) -> None:
    shelf.put("lost", dump=None)
    shelf.put("whole", at=shelf.NOON.replace(second=30))
    assert described(found("latest")) == "whole"


def test_a_lost_backup_of_another_database_is_not_in_the_way(bucket: str) -> None:
    shelf.put("good")
    shelf.put("lost", minutes=1, dump=None, database="accounts")
    assert described(found("latest")) == "good"


def test_a_copy_that_can_be_trusted_is_named_and_not_taken_where_the_bucket_s_can_not(bucket: str) -> None:
    local = configured().require_local()
    key = shelf.put("copied", signing_key=b"mallory")
    shelf.put("copied", store=local, row=False)
    with pytest.raises(ManifestError) as refused:
        found(keys.filename_of(key))
    assert refused.value.hint.endswith(f"--from-file {local.location(key)}")


def test_a_local_copy_serves_where_the_bucket_answers_but_does_not_give_the_manifest(proxy: Proxy) -> None:
    stores = configured()
    shelf.put("copied")
    shelf.put("copied", store=stores.require_local(), row=False)
    proxy.when(operation("get"), deny)

    assert catalog.find("latest", environment="testing", database="shop").location.startswith("/")


def test_a_changed_copy_in_the_bucket_is_marked_and_the_whole_one_beside_it_counts(bucket: str) -> None:
    shelf.put("copied", dump=SHORTER, row=False)
    shelf.put("copied", store=configured().require_local(), row=False)
    assert (only().mark, only().is_whole, only().mark.is_alarming) == (Mark.ONE_CHANGED, True, True)


# Whose database it is


def is_production(*, system_identifier: str = "77", database: str = "shop") -> bool:
    return catalog.is_database_of("production", system_identifier=system_identifier, database=database)


def test_a_database_is_known_by_its_cluster_and_name_among_the_backups_of_an_environment_whoever_signed(bucket: str) -> None:
    shelf.put("theirs", environment="production", system_identifier="77", row=False, signing_key=b"production's own")
    shelf.put("newer", environment="production", system_identifier="78", row=False, minutes=1)

    assert is_production()
    assert not is_production(database="accounts")
    assert not is_production(system_identifier="79")
    assert not catalog.is_database_of("staging", system_identifier="77", database="shop")


def test_a_server_that_hides_its_identifier_is_nobody_s(bucket: str) -> None:
    shelf.put("hidden", environment="production", system_identifier="", row=False)
    assert not is_production(system_identifier="")


@pytest.mark.parametrize("number", [20, 21])
def test_only_the_last_20_backups_tell_whose_a_database_is(bucket: str, number: int) -> None:
    shelf.put("shop", environment="production", system_identifier="77", row=False)
    for minutes in range(1, number):
        shelf.put("other", environment="production", database="accounts", row=False, minutes=minutes)
    assert is_production() == (number == 20)


def test_local_manifests_and_those_without_a_dump_tell_it_too(bucket: str) -> None:
    local = configured().require_local()
    shelf.put("here", environment="production", system_identifier="77", row=False, dump=None, store=local)
    assert is_production()


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"[1]", b"{}", b'{"backup": 3}', b'{"backup": {"database": "shop"}}', b"[" * 100_000, b"9" * 5000]
)
def test_a_manifest_that_can_not_be_read_says_nothing_and_hides_no_other(text: bytes, bucket: str) -> None:
    key = shelf.put("broken", environment="production", row=False, manifest=False, minutes=1)
    configured().require_s3().put_new(keys.manifest_key(key), text or b" ")
    assert not is_production()

    shelf.put("theirs", environment="production", system_identifier="77", row=False)
    assert is_production()


def test_a_store_that_is_away_or_not_configured_says_nothing(proxy: Proxy, use_bucket: Callable[..., str]) -> None:
    shelf.put("theirs", environment="production", system_identifier="77", row=False)
    proxy.when(anything, deny)
    assert not is_production()

    use_bucket(make=False, bucket_name="")
    assert not is_production()


# What a lost history is made from


def test_all_manifests_of_this_environment_that_can_be_proven_are_read_newest_first(bucket: str) -> None:
    local = configured().require_local()
    shelf.put("old", row=False)
    shelf.put("old", store=local, row=False)
    shelf.put("here", store=local, row=False, minutes=1)
    shelf.put("lost", dump=None, row=False, minutes=2)
    shelf.put("unfinished", manifest=False, row=False, minutes=3)
    shelf.put("forged", row=False, minutes=4, signing_key=b"mallory")
    shelf.put("theirs", row=False, minutes=5, environment="production")

    assert [manifest.description for manifest in catalog.manifests()] == ["lost", "here", "old"]


def test_a_store_that_is_away_leaves_the_manifests_of_the_other(proxy: Proxy) -> None:
    stores = configured()
    shelf.put("gone", row=False)
    shelf.put("here", store=stores.require_local(), row=False)
    proxy.when(anything, deny)

    assert [manifest.description for manifest in catalog.manifests()] == ["here"]


# Finding by name


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
