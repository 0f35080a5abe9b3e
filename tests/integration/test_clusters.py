"""Two clusters may each have a database of one name: the one at hand is meant, and where it has nothing, none is guessed."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from backups import catalog, shrinking
from backups.coverage import coverage
from backups.exceptions import ManifestError, UsageError
from backups.models import BackupHistory
from backups.proving import unverified
from backups.storage import keys
from backups.types import Server
from tests.conftest import connect
from tests.faults.proxy import Proxy
from tests.integration import shelf
from tests.integration.conftest import Run
from tests.integration.test_catalog import described, without_history

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def shop(admin: Server, register_alias: Callable[[str, Server], None]) -> Server:
    """A database of the test's server, as the alias "shop". It need not exist for its backups to be found."""
    server = replace(admin, database="shop")
    register_alias("shop", server)
    return server


@pytest.fixture
def here(admin: Server) -> str:
    """The identifier of the test's cluster."""
    with connect(admin) as session:
        (found,) = session.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone() or ("",)
    return str(found)


@pytest.fixture
def away(shop: Server) -> Server:
    """The same, of a server that is away."""
    return replace(shop, host="127.0.0.1", port=1)


@pytest.fixture
def proxy(use_bucket: Callable[..., str], backups_settings: object) -> Iterator[Proxy]:
    """A bucket behind a proxy that counts."""
    endpoint = backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"]  # type: ignore[attr-defined]
    with Proxy(endpoint) as entered:
        use_bucket(endpoint_url=entered.endpoint)
        yield entered


def latest(server: Server) -> str:
    found = catalog.find("latest", environment="testing", database="shop", server=server)
    return described(found.manifest.filename)


def test_the_latest_is_of_the_cluster_at_hand_though_another_has_a_newer_one(bucket: str, shop: Server, here: str) -> None:
    shelf.put("older", minutes=0, system_identifier=here)
    shelf.put("ours", minutes=1, system_identifier=here)
    shelf.put("theirs", minutes=2, system_identifier="7")
    assert latest(shop) == "ours"
    with without_history():
        assert latest(shop) == "ours"


@pytest.mark.parametrize("row", [True, False])
def test_a_new_server_after_the_loss_of_the_old_one_finds_what_that_has_left(row: bool, bucket: str, shop: Server) -> None:
    shelf.put("old", minutes=0, system_identifier="7", row=row)
    shelf.put("newest", minutes=1, system_identifier="7", row=row)
    shelf.put("other", minutes=2, system_identifier="8", database="accounts", row=row)
    assert latest(shop) == "newest"


@pytest.mark.parametrize("row", [True, False])
def test_of_two_clusters_that_are_both_gone_none_is_guessed_and_the_newest_of_each_is_named(
    row: bool, bucket: str, shop: Server
) -> None:
    shelf.put("a-first", minutes=0, system_identifier="7", row=row)
    wanted = shelf.put("a", minutes=1, system_identifier="7", row=row)
    other = shelf.put("b", minutes=2, system_identifier="8", row=row)
    with pytest.raises(UsageError, match="2 clusters have a database of that name") as refused:
        latest(shop)
    told = refused.value.detail.splitlines()[1:]
    assert [line.partition(",")[0] for line in told] == [keys.filename_of(other), keys.filename_of(wanted)]
    assert keys.filename_of(other) in refused.value.hint


def test_a_server_that_is_away_is_no_obstacle_where_only_one_cluster_has_backups(bucket: str, away: Server) -> None:
    shelf.put("only", system_identifier="7")
    assert latest(away) == "only"
    shelf.put("other", minutes=1, system_identifier="8")
    with pytest.raises(UsageError):
        latest(away)


def test_what_a_restore_has_replaced_makes_no_second_cluster(bucket: str, shop: Server) -> None:
    shelf.put("old", minutes=1, system_identifier="7")
    BackupHistory.objects.update(backup_type="pre-restore")
    shelf.put("other", minutes=2, system_identifier="7", database="accounts")
    assert latest(shop) == "old"


def test_the_history_spares_the_reading_of_every_manifest(proxy: Proxy, shop: Server) -> None:
    for minutes in range(12):
        shelf.put("x", minutes=minutes, system_identifier="7")
    shelf.put("unknown", minutes=20, system_identifier="7", row=False)
    proxy.seen.clear()
    assert latest(shop) == "unknown"
    assert proxy.count("get") == 1
    with without_history():
        assert latest(shop) == "unknown"
    assert proxy.count("get") == 14


def test_where_the_newest_is_of_the_cluster_at_hand_no_other_manifest_is_read(proxy: Proxy, shop: Server, here: str) -> None:
    for minutes in range(5):
        shelf.put("x", minutes=minutes, system_identifier="7", row=False)
    shelf.put("ours", minutes=9, system_identifier=here, row=False)
    proxy.seen.clear()
    assert latest(shop) == "ours"
    assert proxy.count("get") == 1


def test_an_old_manifest_that_is_refused_is_in_nobodys_way(bucket: str, shop: Server) -> None:
    shelf.put("forged", minutes=0, system_identifier="8", signing_key=b"mallory", row=False)
    shelf.put("good", minutes=1, system_identifier="7")
    assert latest(shop) == "good"


def test_the_newest_of_the_cluster_at_hand_is_not_passed_over_where_it_is_refused(bucket: str, shop: Server, here: str) -> None:
    shelf.put("older", minutes=0, system_identifier=here)
    shelf.put("ours", minutes=1, system_identifier=here, signing_key=b"mallory")
    shelf.put("theirs", minutes=2, system_identifier="7")
    with pytest.raises(ManifestError, match="another key") as refused:
        latest(shop)
    assert "The newest that can be trusted, of another cluster, is from 2024-01-15 12:02 UTC." in refused.value.hint


def test_the_commands_mean_the_cluster_of_their_alias(run: Run, bucket: str, shop: Server, here: str) -> None:
    ours = shelf.put("ours", minutes=1, system_identifier=here)
    shelf.put("theirs", minutes=2, system_identifier="7")
    for words in (("db_verify", "latest", "--level", "stored"), ("db_contents", "latest")):
        done = run(*words, "--database", "shop")
        assert done.code == 0, done.err
        assert keys.filename_of(ours) in done.out
    shelf.put("strange", minutes=3, system_identifier="8")
    BackupHistory.objects.update(system_identifier="9")
    done = run("db_restore", "latest", "--database", "shop", "--target-dbname", "rehearsal", "--dry-run")
    assert keys.filename_of(ours) in done.out


# What else goes by the name of a database


def test_unverified_are_those_of_the_cluster_at_hand_or_of_all_where_it_has_none(bucket: str, shop: Server, here: str) -> None:
    theirs = keys.filename_of(shelf.put("theirs", minutes=1, system_identifier="7"))
    assert unverified(database="shop") == [theirs]
    ours = keys.filename_of(shelf.put("ours", minutes=2, system_identifier=here))
    assert unverified(database="shop") == [ours]


def test_a_backup_of_the_same_name_on_another_cluster_is_not_called_coverage(bucket: str, source: Server, here: str) -> None:
    key = shelf.put("theirs", database=source.database, system_identifier="7")
    (finding,) = [one for one in coverage().findings if one.topic == "no-backup" and source.database in one.text]
    assert keys.filename_of(key) in finding.detail

    key = shelf.put("ours", minutes=-9, database=source.database, system_identifier=here)
    (finding,) = [one for one in coverage().findings if one.topic == "backup" and source.database in one.text]
    assert finding.detail == keys.filename_of(key)


def test_a_shrink_is_told_since_the_last_backup_of_the_same_cluster(bucket: str) -> None:
    before = shelf.put("ours", minutes=0, system_identifier="7")
    shelf.put("theirs", minutes=1, system_identifier="8")
    row = BackupHistory(filename="x", environment="testing", database="shop", system_identifier="7")
    found = shrinking.previous(row)
    assert found is not None
    assert before.endswith(found.filename)
    row.system_identifier = "9"
    assert shrinking.previous(row) is None
