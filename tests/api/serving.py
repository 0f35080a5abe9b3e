"""The site in processes of its own, as gunicorn serves it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from ichrisbirch_site.embedded import PROJECT
from ichrisbirch_site.embedded.home import free_port
from tests.conftest import until


@dataclass(frozen=True)
class Serving:
    """A site that is served. gunicorn itself answers nobody: its workers do, and it starts another one for each that dies."""

    url: str
    process: subprocess.Popen[bytes]

    def workers(self) -> set[int]:
        """Their process ids."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return {int(pid) for task in tasks for pid in task.read_text().split()}

    def kill_workers(self) -> None:
        """kill -9; returns when others answer in their place."""
        killed = self.workers()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        until(lambda: self.workers().isdisjoint(killed) and _answers(f"{self.url}/health/"), seconds=60)


@contextmanager
def serving(env: dict[str, str], *, log: Path) -> Iterator[Serving]:
    """While the block lasts."""
    port = free_port()
    words = ["-m", "gunicorn", "ichrisbirch_site.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "4", "--no-control-socket"]
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *words], cwd=PROJECT, env=env, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or _answers(f"{url}/health/"), seconds=60)
        assert process.poll() is None, log.read_text()
        yield Serving(url, process)
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def served(env: dict[str, str], *, log: Path) -> Iterator[str]:
    """Its address, while the block lasts."""
    with serving(env, log=log) as site:
        yield site.url


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except (requests.ConnectionError, requests.Timeout):  # not yet, or not in time on a busy machine
        return False
