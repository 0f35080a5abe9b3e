"""However many backups there are: the stores are asked for their lists and for what is new, and the history by the page."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from backups import catalog
from backups.catalog import joining
from backups.exceptions import StorageError
from backups.models import BackupHistory
from backups.prune import BackupPruning
from backups.prune import shelf as prune_shelf
from backups.stores import configured
from backups.sync import CatalogSync
from tests.faults.proxy import Proxy, deny, operation
from tests.integration import shelf

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def proxy(use_bucket: Callable[..., str], backups_settings: Settings) -> Iterator[Proxy]:
    """A bucket in use, behind a proxy that counts."""
    with Proxy(backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"]) as proxy:
        use_bucket(endpoint_url=proxy.endpoint)
        yield proxy


def put(number: int, *, rows: bool = True) -> list[str]:
    return shelf.put_many(number, store=configured().require_s3(), rows=rows)


def requests(proxy: Proxy, run: Callable[[], object]) -> dict[str, int]:
    """How often each thing was asked of the bucket."""
    proxy.seen.clear()
    run()
    operations = [request.operation for request in proxy.seen]
    return {operation: operations.count(operation) for operation in sorted(set(operations))}


def queries(run: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        run()
    return [query["sql"] for query in captured.captured_queries]


def test_a_sync_of_an_empty_history_reads_each_manifest_once_and_then_never_again(proxy: Proxy) -> None:
    put(250, rows=False)

    first = requests(proxy, lambda: CatalogSync().run())
    assert first == {"list": 2, "bucket": 2, "get": 250}  # lists of backups and records, of unfinished uploads twice
    assert BackupHistory.objects.succeeded().exclude(manifest_etag="").count() == 250

    assert requests(proxy, lambda: CatalogSync().run()) == {"list": 2, "bucket": 2}
    assert requests(proxy, lambda: catalog.list_backups(limit=None)) == {"list": 1}
    assert requests(proxy, lambda: BackupPruning().plan()) == {"list": 1}


def test_a_sync_reads_only_manifests_that_are_new(proxy: Proxy) -> None:
    put(30)
    for minutes in range(3):
        shelf.put("new", minutes=100 + minutes, row=False)
    assert requests(proxy, lambda: CatalogSync().run())["get"] == 3


def test_a_page_of_backups_costs_the_history_as_many_queries_as_one_backup(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "AT_ONCE", 60)
    put(1, rows=False)
    of_one = len(queries(lambda: CatalogSync().run()))
    BackupHistory.objects.all().delete()
    put(60, rows=False)  # the first again, as it was overwritten

    assert len(queries(lambda: CatalogSync().run())) == of_one
    assert BackupHistory.objects.count() == 60


@pytest.mark.parametrize("look", [lambda: CatalogSync().run(), lambda: BackupPruning().plan()], ids=["sync", "prune"])
def test_what_is_known_is_judged_without_a_query_for_each_and_without_its_tables(bucket: str, look: Callable[[], object]) -> None:
    put(2)
    of_two = queries(look)
    BackupHistory.objects.all().delete()
    put(90)

    of_ninety = queries(look)
    assert len(of_ninety) == len(of_two)
    assert [text for text in of_ninety if "table_snapshot" in text] == []


@pytest.mark.parametrize(
    ("room", "look"),
    [(joining, lambda: catalog.list_backups(limit=None)), (prune_shelf, lambda: BackupPruning().plan())],
    ids=["list", "prune"],
)
def test_only_what_must_be_read_is_given_to_threads(
    bucket: str, monkeypatch: pytest.MonkeyPatch, room: Any, look: Callable[[], object]
) -> None:
    given: list[object] = []

    class Counting(ThreadPoolExecutor):
        def submit(self, *work: Any, **more: Any) -> Any:
            given.append(work)
            return super().submit(*work, **more)

    put(30)
    for minutes in range(3):
        shelf.put("new", minutes=100 + minutes, row=False)
    monkeypatch.setattr(room, "ThreadPoolExecutor", Counting)
    look()
    assert len(given) == 3


def test_where_one_manifest_can_not_be_read_a_prune_asks_for_no_more(proxy: Proxy) -> None:
    put(100, rows=False)
    proxy.when(operation("get"), deny)

    def plan() -> None:
        with pytest.raises(StorageError):
            BackupPruning().plan()

    assert requests(proxy, plan)["get"] < 100


def test_a_short_list_does_not_ask_the_bucket_for_what_is_older(proxy: Proxy) -> None:
    put(60)
    proxy.seen.clear()
    catalog.list_backups(limit=5)
    (asked,) = proxy.seen
    assert asked.query["start-after"] == "testing/postgres/backup-2024-01-15T1255"


@pytest.mark.parametrize("limit", [1, 4, 7, 8, 20])
def test_a_short_list_is_the_beginning_of_the_long_one(bucket: str, limit: int) -> None:
    shelf.put("old without a row", minutes=-500, row=False)
    shelf.put("only a row", minutes=1, dump=None, manifest=False)
    shelf.put("failed", minutes=2, dump=None, manifest=False, status="failed")
    shelf.put("no manifest", minutes=3, manifest=False, row=False)
    shelf.put("same minute", minutes=4)
    shelf.put("and a row", minutes=4)
    shelf.put("without a row", minutes=4, row=False)
    shelf.put("newest", minutes=5, row=False)

    everything = catalog.list_backups(limit=None).entries
    assert len(everything) == 8
    assert catalog.list_backups(limit=limit).entries == everything[:limit]
