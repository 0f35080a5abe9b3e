"""The site in a process of its own, as gunicorn serves it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from ichrisbirch_site.embedded import PROJECT
from ichrisbirch_site.embedded.home import free_port
from tests.conftest import until


@contextmanager
def served(env: dict[str, str], *, log: Path) -> Iterator[str]:
    """Its address, while the block lasts."""
    port = free_port()
    words = ["-m", "gunicorn", "ichrisbirch_site.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "4", "--no-control-socket"]
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *words], cwd=PROJECT, env=env, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or _answers(f"{url}/health/"), seconds=60)
        assert process.poll() is None, log.read_text()
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except (requests.ConnectionError, requests.Timeout):  # not yet, or not in time on a busy machine
        return False
