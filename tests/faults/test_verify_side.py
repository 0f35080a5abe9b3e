"""A verification that was killed says nothing about the backup, and what it had begun is gone after the next look."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.models import BackupHistory, BackupRestore
from backups.postgres import databases
from backups.tending import tend
from backups.types import Server
from backups.verify import BackupVerification, is_good
from tests.conftest import PlaceProgram, connect, until
from tests.faults.conftest import Gate, Worker, sessions_of, waiting_for_locks
from tests.faults.proxy import Answer, Forward, Proxy, Request, operation

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def scratch(tmp_path: Path, backups_settings: Settings) -> Path:
    """Where archives are kept while they are read."""
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "SCRATCH_FOLDER": tmp_path / "scratch"}
    return tmp_path / "scratch"


@pytest.fixture
def backup(source: Server, bucket: str, scratch: Path) -> BackupHistory:
    """A whole backup of `source`."""
    return DatabaseBackup(description="good", database="source").run()


@pytest.fixture
def loading_gate(tmp_path: Path, place_program: PlaceProgram) -> Gate:
    """A pg_restore that waits for the test before it loads."""
    made = Gate(tmp_path)
    place_program(made.script + 'exec "$real" "$@"', name="pg_restore")
    return made


@pytest.fixture
def loaded_gate(tmp_path: Path, place_program: PlaceProgram) -> Gate:
    """A pg_restore that waits for the test when it has loaded."""
    made = Gate(tmp_path)
    place_program('"$real" "$@" || exit 1\n' + made.script, name="pg_restore")
    return made


@pytest.fixture
def download_stands_still(through_the_proxy: Proxy) -> Iterator[threading.Event]:
    """A store that takes a request for a dump and answers when the test is over. The event tells that it has come."""
    asked, over = threading.Event(), threading.Event()

    def stand_still(request: Request, forward: Forward) -> Answer:
        asked.set()
        over.wait(120)
        return forward(request)

    def is_download(request: Request) -> bool:
        return operation("get")(request) and request.key.endswith(".dump")

    through_the_proxy.when(is_download, stand_still)
    yield asked
    over.set()


def staging(admin: Server) -> Server:
    """The scratch database of the verification that runs."""
    run = BackupRestore.objects.get()
    return replace(admin, database=databases.staging_name(run.target_database, run_id=str(run.id)))


def exists(server: Server, admin: Server) -> bool:
    with connect(admin) as session:
        return session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [server.database]).fetchone() is not None


def alive(admin: Server) -> set[str]:
    with connect(admin) as session:
        return databases.restores_alive(session)


def killed(worker: Worker, admin: Server) -> BackupRestore:
    worker.kill()
    run = BackupRestore.objects.get()
    until(lambda: str(run.id) not in alive(admin))
    assert (run.status, run.verdict) == ("running", "")
    return run


def assert_settled(run: BackupRestore, backup: BackupHistory, admin: Server, scratch: Path, left: Server) -> None:
    run.refresh_from_db()
    assert (run.status, run.verdict) == ("failed", "unable")
    assert "worker was lost" in run.error_message
    assert not exists(left, admin)
    assert list(scratch.iterdir()) == []
    backup.refresh_from_db()
    assert (backup.verified_at, backup.bad_at) == (None, None)


def test_killed_while_it_downloads(
    download_stands_still: threading.Event,
    source: Server,
    scratch: Path,
    admin: Server,
    through_the_proxy: Proxy,
    start_worker: Callable[..., Worker],
) -> None:
    backup = DatabaseBackup(description="good", database="source").run()
    worker = start_worker("db_verify", backup.filename)
    until(download_stands_still.is_set)
    assert len(list(scratch.iterdir())) == 1
    run, left = killed(worker, admin), staging(admin)

    tended = tend()

    assert ([one.id for one in tended.restores], tended.problems) == ([run.id], [])
    assert_settled(run, backup, admin, scratch, left)


def test_killed_while_it_loads(
    backup: BackupHistory, scratch: Path, admin: Server, loading_gate: Gate, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker("db_verify", backup.filename)
    loading_gate.wait()
    left = staging(admin)
    assert exists(left, admin)
    run = killed(worker, admin)

    tended = tend()

    assert ([one.id for one in tended.restores], tended.problems) == ([run.id], [])
    assert_settled(run, backup, admin, scratch, left)


def test_killed_while_it_compares_the_next_verification_settles_it_and_proves_the_backup(
    backup: BackupHistory, scratch: Path, admin: Server, loaded_gate: Gate, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker("db_verify", backup.filename)
    loaded_gate.wait()
    left = staging(admin)
    with connect(left) as session, session.transaction():
        session.execute("LOCK TABLE event IN ACCESS EXCLUSIVE MODE")
        loaded_gate.open()
        until(lambda: waiting_for_locks(left) == 1)
        run = killed(worker, admin)

    done = BackupVerification(filename=backup.filename).run()

    assert is_good(done)
    backup.refresh_from_db()
    assert backup.verified_at is not None
    BackupHistory.objects.update(verified_at=None)
    assert_settled(run, backup, admin, scratch, left)


def test_killed_while_it_asks_what_was_asserted(
    backup: BackupHistory, scratch: Path, admin: Server, backups_settings: Settings, start_worker: Callable[..., Worker]
) -> None:
    endless = [{"name": "endless", "sql": "SELECT pg_sleep(3600) IS NULL"}]
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "VERIFY_ASSERTIONS": endless, "STALL_TIMEOUT_SECONDS": 600}
    worker = start_worker("db_verify", backup.filename)
    until(lambda: sessions_of(admin, "verify: assertions") == 1)
    left = staging(admin)
    assert exists(left, admin)
    run = killed(worker, admin)

    tended = tend()

    assert ([one.id for one in tended.restores], tended.problems) == ([run.id], [])
    assert_settled(run, backup, admin, scratch, left)
    until(lambda: sessions_of(admin, "verify: assertions") == 0)
