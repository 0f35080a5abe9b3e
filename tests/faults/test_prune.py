"""Pruning while something else goes on, or fails: what is needed stays, and what was begun is brought to its end."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import catalog, history
from backups.backup import DatabaseBackup
from backups.exceptions import RunningError
from backups.models import BackupHistory, BackupRestore
from backups.postgres import databases
from backups.postgres.named_lock import named_lock
from backups.postgres.place import place_of
from backups.prune import BackupPruning, Pruning
from backups.restore import DatabaseRestore
from backups.storage import keys
from backups.types import Server
from tests.conftest import Gate, PlaceProgram, connect, keys_in, s3_client, until
from tests.faults.conftest import Worker, sessions_of
from tests.faults.proxy import Act, Answer, Forward, Proxy, Request, deny, drop
from tests.integration import shelf

pytestmark = pytest.mark.usefixtures("history")

Retain = Callable[..., None]


@pytest.fixture
def retain(backups_settings: Settings) -> Retain:
    """Sets the rules."""

    def retain(**rules: object) -> None:
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RETENTION": {"maximum_share": 1.0, **rules}}

    return retain


@pytest.fixture
def three(bucket: str, retain: Retain) -> dict[str, str]:
    """Keys of three verified backups, of which a rule keeps only the newest."""
    retain(keep_last=1)
    return three_backups()


def three_backups() -> dict[str, str]:
    return {name: shelve(name, days=days) for days, name in ((1, "new"), (2, "older"), (3, "oldest"))}


def shelve(description: str, *, days: float, **more: object) -> str:
    at = timezone.now() - timedelta(days=days)
    return shelf.put(description, at=at, **{"verified_at": at, **more})  # type: ignore[arg-type]


def failed_run(*, minutes: float, database: str = "shop") -> None:
    """A run of so many minutes ago that failed."""
    at = timezone.now() - timedelta(minutes=minutes)
    name = keys.filename(at=at, description=f"failed-{uuid4().hex[:6]}")
    row = BackupHistory(filename=name, environment="testing", database=database, status="failed", created_at=at, finished_at=at)
    assert history.add(row)


def outcome(pruning: Pruning) -> dict[str, tuple[str, str]]:
    """Fate and reasons, by description."""
    return {
        one.candidate.filename.removesuffix(".dump").split("-", 4)[-1]: (str(one.fate), "; ".join(one.reasons))
        for one in pruning.backups
    }


def fates(pruning: Pruning) -> dict[str, str]:
    return {name: fate for name, (fate, _why) in outcome(pruning).items()}


def row_of(key: str) -> BackupHistory:
    return BackupHistory.objects.get(filename=keys.filename_of(key))


def whole() -> set[str]:
    """Keys of what a list calls whole."""
    return {entry.key for entry in catalog.list_backups(limit=None).entries if entry.is_whole}


def deletion_of(key: str) -> Callable[[Request], bool]:
    return lambda request: request.operation == "delete" and request.key == key


# The newest runs have failed


def test_while_the_last_three_runs_have_failed_nothing_is_pruned(three: dict[str, str]) -> None:
    for minutes in (1, 2, 3):
        failed_run(minutes=minutes)
    pruning = BackupPruning().run()
    assert set(fates(pruning).values()) == {"keep"}
    assert "the last 3 runs failed: nothing is pruned" in outcome(pruning)["oldest"][1]
    assert whole() == set(three.values())


def test_two_failures_after_a_success_do_not_stop_it_and_neither_do_those_of_another_database(three: dict[str, str]) -> None:
    for minutes in (1, 2):
        failed_run(minutes=minutes)
    for minutes in (3, 4, 5, 6):
        failed_run(minutes=minutes, database="press")
    assert fates(BackupPruning().run()) == {"new": "keep", "older": "deleted", "oldest": "deleted"}


def test_real_runs_that_fail_stop_it(source: Server, bucket: str, retain: Retain, place_program: PlaceProgram) -> None:
    retain(keep_last=1, failures_that_stop=2)
    for description in ("old", "new"):
        DatabaseBackup(description=description, database="source").run()
    BackupHistory.objects.update(verified_at=timezone.now())
    place_program("exit 3")
    for _run in range(2):
        with pytest.raises(Exception, match="pg_dump"):
            DatabaseBackup(description="fails", database="source").run()
    assert "the last 2 runs failed" in outcome(BackupPruning().run())["old"][1]
    assert len(whole()) == 2


# Somebody reads what would go


def test_a_backup_that_is_being_restored_stays_and_the_restore_succeeds(
    source: Server,
    bucket: str,
    retain: Retain,
    fresh_target: Server,
    tmp_path: Path,
    place_program: PlaceProgram,
    start_worker: Callable[..., Worker],
) -> None:
    old = DatabaseBackup(description="old", database="source").run()
    DatabaseBackup(description="older", database="source").run()
    DatabaseBackup(description="new", database="source").run()
    BackupHistory.objects.update(verified_at=timezone.now())
    retain(keep_last=1)
    gate = Gate(tmp_path)
    place_program(gate.script + 'exec "$real" "$@"', name="pg_restore")
    restore = start_worker("db_restore", old.filename, "--target-dbname", fresh_target.database)
    gate.wait()

    pruning = BackupPruning().run()

    assert outcome(pruning)["old"] == ("keep", "being restored")
    assert fates(pruning) == {"new": "keep", "old": "keep", "older": "deleted"}
    gate.open()
    code, _out, err = restore.result()
    assert code == 0, err
    assert BackupPruning(spaced=False).run().has_failed is False
    assert whole() == {BackupHistory.objects.get(description="new").s3_key}


def test_a_backup_that_is_being_verified_stays(
    source: Server,
    bucket: str,
    retain: Retain,
    tmp_path: Path,
    place_program: PlaceProgram,
    start_worker: Callable[..., Worker],
) -> None:
    old = DatabaseBackup(description="old", database="source").run()
    DatabaseBackup(description="new", database="source").run()
    BackupHistory.objects.update(verified_at=timezone.now())
    retain(keep_last=1)
    gate = Gate(tmp_path)
    place_program(gate.script + 'exec "$real" "$@"', name="pg_restore")
    verification = start_worker("db_verify", old.filename)
    gate.wait()

    assert fates(BackupPruning().run()) == {"new": "keep", "old": "keep"}
    gate.open()
    code, _out, err = verification.result()
    assert code == 0, err


def test_a_restore_that_begins_while_the_prune_runs_keeps_its_backup(three: dict[str, str]) -> None:
    def on_judged(_judged: object) -> None:
        BackupRestore.objects.create(
            backup=row_of(three["older"]),
            source_key=three["older"],
            target_host="db2.example",
            target_port=5432,
            status="running",
        )

    pruning = BackupPruning(on_judged=on_judged).run()
    assert outcome(pruning)["older"] == ("keep", "being restored")
    assert fates(pruning)["oldest"] == "deleted"


def test_a_restore_to_another_server_counts_as_alive_also_where_no_row_tells_its_backup(three: dict[str, str]) -> None:
    BackupRestore.objects.create(
        source_key=f"s3://elsewhere/{three['older']}", target_host="db2.example", target_port=5432, status="pending"
    )
    pruning = BackupPruning().run()
    assert outcome(pruning)["older"] == ("keep", "being restored")


def test_a_restore_to_our_server_whose_process_is_dead_holds_nothing_up(three: dict[str, str]) -> None:
    server = history.server()
    with databases.restoring(server, run_id="of no row") as session:
        here = place_of(session, server)
    row = BackupRestore.objects.create(
        backup=row_of(three["older"]),
        source_key=three["older"],
        target_host=server.host,
        target_port=server.port,
        target_system_identifier=here.system_identifier,
        status="running",
    )
    assert fates(BackupPruning().plan())["older"] == "obsolete"
    with databases.restoring(server, run_id=str(row.id)):
        assert fates(BackupPruning().plan())["older"] == "keep"


def test_two_prunes_of_one_environment_exclude_each_other(three: dict[str, str]) -> None:
    with named_lock(history.server(), "prune:testing") as holder:
        with pytest.raises(RunningError, match="A prune of the environment testing is running already") as caught:
            BackupPruning().run()
        assert caught.value.exit_code == 3
        assert f"Session {holder.info.backend_pid} on the server" in caught.value.detail
        assert fates(BackupPruning().plan())["oldest"] == "obsolete"
    with named_lock(history.server(), "prune:production"):
        assert fates(BackupPruning().run())["oldest"] == "deleted"


def test_a_prune_that_has_lost_its_lock_stops(three: dict[str, str], admin: Server) -> None:
    def on_judged(_judged: object) -> None:
        with connect(admin) as session:
            session.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'prune:testing'"
                " AND datname = %s",
                [history.server().database],
            )

    with pytest.raises(Exception, match=r"PostgreSQL refused|lock") as caught:
        BackupPruning(on_judged=on_judged).run()
    assert "1 backup had been deleted before" in str(caught.value)
    assert whole() == {three["new"], three["older"]}


# kill -9


@contextmanager
def _held_up(proxy: Proxy, key: str, *, after: bool) -> Iterator[threading.Event]:
    """The deletion of that key is held up, before the store has heard of it or after it has done it."""
    reached, released = threading.Event(), threading.Event()

    def act(request: Request, forward: Forward) -> Answer:
        answer = forward(request) if after else None
        reached.set()
        released.wait(60)
        return answer or drop(request, forward)

    proxy.when(deletion_of(key), act, times=1)
    try:
        yield reached
    finally:
        released.set()
        proxy.heal()


def _kill_at(proxy: Proxy, worker: Callable[..., Worker], key: str, *, after: bool) -> None:
    with _held_up(proxy, key, after=after) as reached:
        prune = worker("db_prune")
        until(lambda: reached.is_set() or prune.process.poll() is not None)
        assert reached.is_set(), prune.result()
        prune.send(signal.SIGKILL)
        prune.process.wait(timeout=30)


@pytest.mark.parametrize(
    ("suffix", "after", "is_still_whole"),
    [(".json", False, True), (".json", True, False), (".globals.sql", True, False), ("", False, False), ("", True, False)],
)
def test_after_kill_minus_9_at_any_point_the_next_prune_converges_and_half_a_backup_never_passes_for_a_whole(
    suffix: str,
    after: bool,
    is_still_whole: bool,
    through_the_proxy: Proxy,
    retain: Retain,
    start_worker: Callable[..., Worker],
    backups_settings: Settings,
    admin: Server,
) -> None:
    retain(keep_last=1)
    three = three_backups()
    bucket = backups_settings.STORAGES["backups"]["OPTIONS"]["bucket_name"]
    s3_client(backups_settings).put_object(Bucket=bucket, Key=f"{three['oldest']}.globals.sql", Body=b"x")

    _kill_at(through_the_proxy, start_worker, three["oldest"] + suffix, after=after)

    assert row_of(three["oldest"]).deleted_at is not None
    assert whole() == {three["new"], three["older"]} | ({three["oldest"]} if is_still_whole else set())
    until(lambda: sessions_of(admin, "prune:testing") == 0)
    BackupPruning().run()
    left = {key.removesuffix(".json") for key in keys_in(backups_settings, bucket)}
    assert left == {three["new"]} if is_still_whole else {three["new"], three["older"]}
    assert whole() == left
    assert row_of(three["oldest"]).deleted_at is not None


def test_what_a_dead_prune_had_marked_is_judged_anew_and_stays_where_it_is_needed_now(
    through_the_proxy: Proxy, retain: Retain, start_worker: Callable[..., Worker], admin: Server
) -> None:
    retain(keep_last=1)
    three = three_backups()
    _kill_at(through_the_proxy, start_worker, f"{three['oldest']}.json", after=False)
    for name in ("new", "older"):
        BackupHistory.objects.filter(id=row_of(three[name]).id).update(bad_at=timezone.now())
    until(lambda: sessions_of(admin, "prune:testing") == 0)

    pruning = BackupPruning().run()

    assert set(fates(pruning).values()) == {"keep"}
    assert "newest verified" in outcome(pruning)["oldest"][1]
    assert row_of(three["oldest"]).deleted_at is None
    assert whole() == set(three.values())


def test_a_dump_whose_manifest_was_taken_by_somebody_else_is_not_finished_off(
    three: dict[str, str], bucket: str, backups_settings: Settings
) -> None:
    s3_client(backups_settings).delete_object(Bucket=bucket, Key=f"{three['oldest']}.json")
    assert fates(BackupPruning().run()) == {"new": "keep", "older": "deleted"}
    assert three["oldest"] in keys_in(backups_settings, bucket)
    assert row_of(three["oldest"]).deleted_at is None


def test_what_lies_under_the_name_of_a_pruned_backup_and_another_run_has_made_is_left_alone(
    source: Server, three: dict[str, str], bucket: str, backups_settings: Settings
) -> None:
    BackupHistory.objects.filter(id=row_of(three["oldest"]).id).update(deleted_at=timezone.now())
    client = s3_client(backups_settings)
    client.delete_object(Bucket=bucket, Key=f"{three['oldest']}.json")
    client.put_object(Bucket=bucket, Key=three["oldest"], Body=b"PGDMP", Metadata={"backup-id": str(uuid4())})
    pruning = BackupPruning().run()
    assert "another run has made it" in pruning.left_alone[0]
    assert three["oldest"] in keys_in(backups_settings, bucket)


# The store would not


def test_what_the_store_does_not_delete_is_told_on_its_row_and_the_others_go(through_the_proxy: Proxy, retain: Retain) -> None:
    retain(keep_last=1)
    three = three_backups()
    through_the_proxy.when(deletion_of(f"{three['oldest']}.json"), deny)

    pruning = BackupPruning().run()

    assert fates(pruning) == {"new": "keep", "older": "deleted", "oldest": "failed"}
    assert pruning.has_failed
    row = row_of(three["oldest"])
    assert row.deleted_at is None
    assert row.error_message.startswith("Not pruned: The store denies access")
    (entry,) = [entry for entry in catalog.list_backups().entries if entry.key == three["oldest"]]
    assert entry.is_whole
    assert entry.error_message == row.error_message
    through_the_proxy.heal()
    assert fates(BackupPruning(spaced=False).run()) == {"new": "keep", "oldest": "deleted"}
    assert row_of(three["oldest"]).error_message == ""


def test_a_dump_that_stays_behind_without_its_manifest_is_no_backup_and_goes_next_time(
    through_the_proxy: Proxy, retain: Retain, backups_settings: Settings
) -> None:
    retain(keep_last=1)
    three = three_backups()
    through_the_proxy.when(deletion_of(three["oldest"]), deny)
    assert fates(BackupPruning().run())["oldest"] == "failed"
    assert row_of(three["oldest"]).deleted_at is not None
    assert whole() == {three["new"]}

    again = BackupPruning().run()
    assert again.has_failed
    assert "denies access" in again.unfinished[0]
    through_the_proxy.heal()
    assert BackupPruning().run().finished == [keys.filename_of(three["oldest"])]
    bucket = backups_settings.STORAGES["backups"]["OPTIONS"]["bucket_name"]
    assert len(keys_in(backups_settings, bucket)) == 2


@pytest.mark.parametrize("act", [deny, drop])
def test_after_three_deletions_in_a_row_that_failed_the_rest_is_not_tried(
    act: Act, through_the_proxy: Proxy, retain: Retain
) -> None:
    retain(keep_last=1)
    for days in range(1, 7):
        shelve(f"day {days}", days=days)
    through_the_proxy.when(lambda request: request.operation == "delete", act)
    pruning = BackupPruning().run()
    assert list(fates(pruning).values()) == ["keep", *["failed"] * 5]
    assert outcome(pruning)["day-2"][1] == "not tried: the ones before it could not be deleted"
    assert len(whole()) == 6


# Object Lock


@pytest.fixture
def locking(use_bucket: Callable[..., str], moto_endpoint: str, backups_settings: Settings, retain: Retain) -> str:
    """A bucket with Object Lock, in use."""
    name = use_bucket(endpoint_url=moto_endpoint, make=False)
    s3_client(backups_settings).create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    retain(keep_last=1)
    return name


def test_a_locked_backup_stays_its_row_says_until_when_and_the_others_go(locking: str, backups_settings: Settings) -> None:
    three, until_when = three_backups(), datetime(2099, 1, 2, 3, 4, tzinfo=UTC)
    s3_client(backups_settings).put_object_retention(
        Bucket=locking, Key=three["oldest"], Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until_when}
    )

    assert outcome(BackupPruning().plan())["oldest"] == ("keep", "locked until 2099-01-02 03:04 UTC")
    pruning = BackupPruning().run()

    assert fates(pruning) == {"new": "keep", "older": "deleted", "oldest": "keep"}
    assert row_of(three["oldest"]).error_message == "Not pruned: locked until 2099-01-02 03:04 UTC"
    assert row_of(three["oldest"]).deleted_at is None
    assert whole() == {three["new"], three["oldest"]}


def test_a_plan_by_the_history_alone_knows_of_no_lock_and_the_run_after_it_does(locking: str, backups_settings: Settings) -> None:
    three = three_backups()
    s3_client(backups_settings).put_object_legal_hold(Bucket=locking, Key=three["oldest"], LegalHold={"Status": "ON"})
    assert fates(BackupPruning().plan(by_history=True))["oldest"] == "obsolete"
    assert fates(BackupPruning().run())["oldest"] == "keep"


def test_a_lock_that_has_ended_holds_nothing_and_a_legal_hold_does(locking: str, backups_settings: Settings) -> None:
    three, client = three_backups(), s3_client(backups_settings)
    past = datetime.now(UTC) + timedelta(seconds=1)
    client.put_object_retention(Bucket=locking, Key=three["older"], Retention={"Mode": "GOVERNANCE", "RetainUntilDate": past})
    client.put_object_legal_hold(Bucket=locking, Key=f"{three['oldest']}.json", LegalHold={"Status": "ON"})
    until(lambda: datetime.now(UTC) > past)
    pruning = BackupPruning().run()
    assert fates(pruning) == {"new": "keep", "older": "deleted", "oldest": "keep"}
    assert outcome(pruning)["oldest"][1] == "pinned: legal hold in the bucket"


def test_a_store_that_does_not_know_locks_or_tells_nobody_is_pruned_all_the_same(
    through_the_proxy: Proxy, retain: Retain
) -> None:
    retain(keep_last=1)
    three_backups()
    through_the_proxy.seen.clear()
    through_the_proxy.when(lambda request: "object-lock" in request.query, deny, times=1)
    assert fates(BackupPruning().plan()) == {"new": "keep", "older": "obsolete", "oldest": "obsolete"}
    assert through_the_proxy.count("head") == 4  # dump and manifest of what would go


def test_a_restore_whose_backup_is_pruned_under_it_leaves_its_target_alone(
    source: Server, bucket: str, retain: Retain, fresh_target: Server
) -> None:
    old = DatabaseBackup(description="old", database="source").run()
    DatabaseBackup(description="new", database="source").run()
    BackupHistory.objects.update(verified_at=timezone.now())
    retain(keep_last=1)
    restore = DatabaseRestore(filename=old.filename, target=fresh_target)
    restore.plan()
    assert fates(BackupPruning().run())["old"] == "deleted"
    with pytest.raises(Exception, match="is not in the bucket"):
        restore.run()
