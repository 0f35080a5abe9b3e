"""Faults, made: client programs of a test's own, workers that can be killed, and the look at what they left behind."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.config import Config
from pytest_django.fixtures import Settings

from backups.models import BackupHistory
from backups.types import Server
from ichrisbirch_site.embedded import PROJECT
from tests.conftest import Gate, connect, keys_in, until, uploads_in
from tests.faults.proxy import Proxy

# A big table: more than all buffers between the server and us hold, and not to be compressed.
BIG_SQL = """
    CREATE TABLE big (id int, body text);
    INSERT INTO big SELECT n, (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 1000) m WHERE n > 0)
    FROM generate_series(1, 400) n;
"""
# Its output stops after some bytes, as that of a network or store that hangs; tail ends with pg_dump, whose pid is $$.
HANGING = 'exec "$real" "$@" > >(head -c 300000; exec tail -f /dev/null --pid=$$)'

# A small row, and one whose body is in a TOAST table.
WIDE_SQL = """
    CREATE TABLE wide (id int, body text);
    ALTER TABLE wide ALTER body SET STORAGE EXTERNAL;
    INSERT INTO wide VALUES (1, 'small'), (2, repeat('x', 100000));
"""

ATTEMPTS = 3  # of each request to a store


@pytest.fixture
def through_the_proxy(bucket: str, use_bucket: Callable[..., str], backups_settings: Settings) -> Iterator[Proxy]:
    """The app's own bucket is behind a proxy now."""
    upstream = str(backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"])
    with Proxy(upstream) as entered:
        patience = Config(retries={"total_max_attempts": ATTEMPTS}, connect_timeout=5, read_timeout=5)
        use_bucket(endpoint_url=entered.endpoint, client_config=patience)
        entered.seen.clear()
        yield entered


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], object]], Future[object]]]:
    """Runs a function beside the test; what it raises fails the test."""
    with ThreadPoolExecutor() as pool:
        futures: list[Future[object]] = []

        def begin(function: Callable[[], object]) -> Future[object]:
            futures.append(pool.submit(function))
            return futures[-1]

        yield begin
        for future in futures:
            future.result(timeout=60)


class Worker:
    """manage.py in a process of its own, with the test's settings, so that it can be killed."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROJECT / "manage.py"), *argv],
            cwd=PROJECT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, number: signal.Signals) -> None:
        """A signal to the worker alone, not to what it has started."""
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """kill -9, and what the machine then does."""
        self.send(signal.SIGKILL)
        self.process.wait(timeout=30)

    def result(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr, once it has ended."""
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err

    def let_files_have(self, *, bytes_: int) -> None:
        """Writing beyond so many bytes fails from now on, as on a full disk."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (bytes_, bytes_))

    def children(self) -> list[int]:
        """Process ids of what it has started."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]


@pytest.fixture
def start_worker(environment: Callable[..., dict[str, str]], source: Server) -> Iterator[Callable[..., Worker]]:
    """Starts manage.py with arguments; the alias "source" and the history are the test's."""
    started: list[Worker] = []

    def start(*argv: str) -> Worker:
        env = environment(source=source)
        started.append(Worker(list(argv), env))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.kill()
        for stream in (worker.process.stdout, worker.process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def copy_of_wide_stands_still(source: Server, gate: Gate) -> Iterator[None]:
    """Lets pg_dump go as far as the second row of `wide`: there it waits for the index of the TOAST table."""
    gate.wait()
    with connect(source) as session, session.transaction():
        (toast,) = session.execute("SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'wide'").fetchone() or ("",)
        session.execute(f"REINDEX INDEX {toast}_index".encode())
        gate.open()
        until(lambda: waiting_for_locks(source) == 1)
        yield


def sessions_of(admin: Server, kind: str = "backup:") -> int:
    """Sessions on the server whose application name begins so."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, %s)"
    with connect(admin) as session:
        row = session.execute(query, [kind]).fetchone()
    assert row is not None
    return int(str(row[0]))


def waiting_for_locks(server: Server) -> int:
    """Locks in this database that somebody waits for."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = %s)"
    with connect(server) as session:
        row = session.execute(query, [server.database]).fetchone()
    assert row is not None
    return int(str(row[0]))


def running_row(status: str = "running") -> BackupHistory:
    """The row of the run that is on its way, once it is there."""
    until(BackupHistory.objects.filter(status=status).exists)
    return BackupHistory.objects.get(status=status)


def assert_nothing_left(settings: Settings, bucket: str, admin: Server, row: BackupHistory) -> None:
    """No object, no upload, no local file, no session: what a run that failed must leave."""
    assert [key for key in keys_in(settings, bucket) if row.filename in key] == []
    assert [key for key in uploads_in(settings, bucket) if row.filename in key] == []
    assert list(Path(settings.BACKUPS["LOCAL_FOLDER"]).rglob(f"{row.filename}*")) == []
    until(lambda: sessions_of(admin, f"backup:{row.id}") == 0)
