"""A pytest plugin: real services for the tests, started before Django reads its settings, gone afterwards.

An embedded PostgreSQL and S3 server for each process that runs tests (tests look at a whole server: its sessions, its
databases, its locks, and must not meet their neighbours' there); moto's S3 server and the distribution's PostgreSQL for tests
that ask for them. Nothing that the developer's environment names is ever touched.
"""

import atexit
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import Home, programs, services
from ichrisbirch_site.embedded.postgres import PostgreSQL
from ichrisbirch_site.embedded.processes import Process

RUNS = embedded.PROJECT / ".icb" / "tests"
RUN = "TESTS_FOLDER"  # the variable that tells the processes of a run where its folder is

MEMORY = Path("/dev/shm")
MEMORY_BYTES = 8 << 30  # that must be free

# No crash of the machine has to be survived here; kill -9 has, so commits stay synchronous.
POSTGRES_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "200"}

# What names real services, or changes how ours are reached.
DROPPED = ("DATABASE_URL", "POSTGRES_", "PG", "AWS_", "REDIS_", "BACKUPS_", "CELERY_", "EMAIL_")
DROPPED_NAMES = {
    *("SECRET_KEY", "SECRET_KEY_FILE", "DEBUG", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "TIME_ZONE", "LOG_LEVEL", "BOTO_CONFIG"),
    "DEFAULT_FROM_EMAIL",
}


@pytest.hookimpl(wrapper=True)  # a wrapper, because pytest-django loads the settings in this hook, first of all others
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    options = early_config.known_args_namespace
    runs_tests = not (getattr(options, "collectonly", False) or getattr(options, "help", False))
    if "PYTEST_XDIST_WORKER" in os.environ:  # the rest is inherited from the process that started it
        begin_worker(start=runs_tests)
    else:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background of a shell
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # started by nohup
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        begin(start=runs_tests and not getattr(options, "numprocesses", None))
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        end()


def begin(*, start: bool) -> None:
    """Makes this run's home, clears the environment and points it there; `start` its services, too."""
    if (RUNS / str(os.getpid())).exists():
        return
    Home(RUNS.parent).make(RUNS.parent)
    for left in RUNS.glob("*"):
        if not _is_running(left):
            discard(left)
    run = RUNS / str(os.getpid())
    home = Home(run, postgres_settings=POSTGRES_SETTINGS)
    me = Process.of(os.getpid())
    assert me is not None
    home.write(run / "run.json", json.dumps(asdict(me)))
    atexit.register(end)
    clear_environment()
    os.environ["ENVIRONMENT"] = "testing"
    os.environ["ICB_FOLDER"] = os.environ[RUN] = str(run)
    keep_in_memory(home)
    if start:
        services.ensure(services.all_of(home), say=lambda line: None)


def begin_worker(*, start: bool) -> None:
    """The same for one of several processes of a run, whose home lies in that of the run and is discarded with it."""
    home = new_home("services")
    if home.folder.exists():
        return
    home.make(home.folder)
    os.environ["ICB_FOLDER"] = str(home.folder)
    keep_in_memory(home)
    if start:
        services.ensure(services.all_of(home), say=lambda line: None)


def keep_in_memory(home: Home) -> None:
    """Lets PostgreSQL's files lie in memory, where there is plenty: tests make and drop thousands of databases of 300 files each,
    and a file system on a disk looks long for a place for a file where many have just been deleted.
    """
    home.credentials()
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        folder = Path(tempfile.mkdtemp(prefix="icb-tests-", dir=MEMORY))
        folder.chmod(0o711)  # where another user has to run it
        home.remember(postgres_folder=str(folder / "postgres"))


def end() -> None:
    """Stops what `begin` started, and removes it."""
    with suppress(FileNotFoundError):
        discard(RUNS / str(os.getpid()))


def clear_environment() -> None:
    for name in list(os.environ):
        if name.startswith(DROPPED) or name in DROPPED_NAMES:
            del os.environ[name]


def discard(run: Path) -> None:
    """Stops all services in a run's folder (those of its workers, too), and deletes it."""
    for folder in (*run.glob("*/credentials.json"), *run.glob("credentials.json")):
        home = Home(folder.parent)
        for server in services.all_of(home):
            services.stop(server)
        if home.postgres.parent != home.folder:  # it had to lie elsewhere
            shutil.rmtree(home.postgres.parent, ignore_errors=True)
    shutil.rmtree(run, ignore_errors=True)


def _is_running(run: Path) -> bool:
    try:
        return Process(**json.loads((run / "run.json").read_text())).is_alive()
    except (OSError, ValueError, TypeError):
        return False


def new_home(name: str, *, postgres_bin: Path | None = None) -> Home:
    """A further home within this run, not started; it is stopped and deleted with the run at the latest."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    folder = Path(os.environ[RUN]) / f"{name}-{worker}"
    return Home(folder, postgres_bin=postgres_bin, postgres_settings=POSTGRES_SETTINGS)


@pytest.fixture(scope="session")
def embedded_home() -> Home:
    """The home of this run's services: `PostgreSQL(embedded_home).connection()` enters its PostgreSQL."""
    return embedded.home(os.environ)


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """The address of a moto S3 server of this worker's own, which takes any keys and has no buckets."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def postgres15() -> Iterator[PostgreSQL]:
    """The distribution's PostgreSQL 15, running: `.connection(database)` are libpq's parameters, `.port` its port."""
    bins = [folder for folder in programs.of_the_distribution() if programs.version(folder)[:1] == (15,)]
    if not bins:
        pytest.skip("the distribution's PostgreSQL 15 is not installed")
    home = new_home("postgres15", postgres_bin=bins[0])
    keep_in_memory(home)
    server = PostgreSQL(home)
    services.ensure([server], say=lambda line: None)
    yield server
    services.stop(server)


def pytest_report_header() -> list[str]:
    return [f"services: in {os.environ['ICB_FOLDER']}"] if "ICB_FOLDER" in os.environ else []
