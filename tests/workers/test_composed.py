"""What docker-compose.yml starts, outside containers: its commands, with its environment and secrets, from what the image has.

Only hosts, ports and folders are others: PostgreSQL and the S3 server are the embedded ones, Redis is a real one.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from backups.types import Server
from ichrisbirch_site.embedded import PROJECT, Home
from ichrisbirch_site.embedded.home import free_port
from tests import composed
from tests.conftest import until
from tests.workers.conftest import _redis_server

NAME = "backups.example"


@dataclass
class Stack:
    """The services of the file, as far as they are ours, and the Redis."""

    services: dict[str, dict[str, Any]]
    image: Path  # the folder with what the Dockerfile copies
    elsewhere: dict[str, str]  # what is at another place outside containers
    web_port: int
    started: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def moved(self, text: str) -> str:
        if text == "8000":
            return str(self.web_port)
        for inside, outside in self.elsewhere.items():
            text = text.replace(inside, outside)
        return text

    def environment(self, name: str) -> dict[str, str]:
        given = {key: self.moved(value) for key, value in self.services[name].get("environment", {}).items()}
        own = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(self.image)}
        return own | {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ} | given

    def start(self, name: str) -> None:
        with self.log(name).open("wb") as log:
            self.started[name] = subprocess.Popen(
                [self.moved(word) for word in self.services[name]["command"]],
                cwd=self.image,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def once(self, name: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """Runs the command of a service, or another one in its place, to the end."""
        words = command or [self.moved(word) for word in self.services[name]["command"]]
        environment = self.environment(name)
        return subprocess.run(words, cwd=self.image, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def is_healthy(self, name: str) -> bool:
        """As its health check tells."""
        assert self.started[name].poll() is None, self.log(name).read_text()
        kind, *words = (self.moved(word) for word in self.services[name]["healthcheck"]["test"])
        done = self.once(name, *(["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words))
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode == 0

    def log(self, name: str) -> Path:
        return self.image.parent / f"{name}.log"

    def get(self, path: str) -> tuple[bytes, Any]:
        """As the proxy with TLS asks."""
        headers = {"Host": NAME, "X-Forwarded-Proto": "https", "Accept-Encoding": "gzip"}
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.web_port}{path}", headers=headers)) as answer:
            return answer.read(), answer.headers

    def stop(self, *names: str) -> dict[str, int]:
        """Ends them as `docker compose stop` does; their exit codes."""
        for name in names:
            self.started[name].send_signal(signal.SIGTERM)
        return {name: self.started[name].wait(timeout=60) for name in names}

    def end(self) -> None:
        for process in self.started.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """What the Dockerfile copies into the image, and makes of it there."""
    folder = tmp_path / "image"
    folder.mkdir()
    stage = (PROJECT / "Dockerfile").read_text().partition(" AS site\n")[2]
    for line in re.findall(r"^COPY (?!--from)(.+)$", stage, re.MULTILINE):
        source, target = line.split()
        origin = PROJECT / source
        if origin.is_dir():
            shutil.copytree(origin, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, folder / target)
    (command,) = re.findall(r"^RUN (ICB_FOLDER=(?:.*\\\n)*.*)$", stage, re.MULTILINE)
    made = subprocess.run(
        ["/bin/sh", "-ec", command.replace("/tmp/icb", str(tmp_path / "icb"))],
        cwd=folder,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert not (tmp_path / "icb").exists()
    return folder


@pytest.fixture
def stack(image: Path, tmp_path: Path, make_database: Callable[..., Server], embedded_home: Home) -> Iterator[Stack]:
    """The file's services, with their secrets in files; nothing is started yet."""
    database, store = make_database(), embedded_home.credentials()
    web_port, redis_port = free_port(), free_port()
    bucket = f"composed-{database.database.replace('_', '-')}"
    file = composed.read(ALLOWED_HOSTS=NAME, BEHIND_PROXY="true", AWS_S3_BACKUP_BUCKET=bucket)
    secrets = dict.fromkeys(file["secrets"], "0123456789abcdef" * 4) | {
        "postgres_password": database.password,
        "s3_access_key": store.s3_access_key,
        "s3_secret_key": store.s3_secret_key,
    }
    for folder in ("secrets", "data", "backups", "scratch"):
        (tmp_path / folder).mkdir()
    for name, value in secrets.items():
        (tmp_path / "secrets" / name).write_text(f"{value}\n")
    services = file["services"]
    for name in ("web", "worker", "upkeep", "beat", "migrate", "bucket"):
        services[name]["environment"] |= {
            "POSTGRES_HOST": database.host,
            "POSTGRES_PORT": str(database.port),
            "POSTGRES_USERNAME": database.user,
            "POSTGRES_DB": database.database,
        }
    made = Stack(
        services=services,
        image=image,
        web_port=web_port,
        elsewhere={
            "/run/secrets": str(tmp_path / "secrets"),
            "/var/lib/backups": str(tmp_path / "backups"),
            "/var/lib/scratch": str(tmp_path / "scratch"),
            "0.0.0.0:8000": f"127.0.0.1:{web_port}",
            "http://s3:7070": store.s3_url,
            "redis://redis:6379": f"redis://127.0.0.1:{redis_port}",
            "redis-server -": f"{shlex.quote(str(_redis_server()))} - --port {redis_port} --bind 127.0.0.1",
            "dir /data": f"dir {tmp_path / 'data'}",
        },
    )
    yield made
    made.end()


def test_the_whole_stack_comes_up_with_the_settings_of_the_file(stack: Stack) -> None:
    stack.start("redis")
    made = stack.once("bucket")
    assert (made.returncode, made.stdout.endswith(" was made.\n")) == (0, True), made.stderr
    assert stack.once("bucket").stdout.endswith(" is there.\n")
    migrated = stack.once("migrate")
    assert migrated.returncode == 0, migrated.stderr
    parts = ("web", "worker", "upkeep", "beat")
    for name in parts:
        stack.start(name)
    for name in parts:
        assert stack.started["redis"].poll() is None, stack.log("redis").read_text()
        until(lambda name=name: stack.is_healthy(name), seconds=180)  # type: ignore[misc]

    assert json.loads(stack.get("/health/")[0]) == {"status": "ok"}
    assert b"admin/css/base.css" in stack.get("/admin/login/")[0]
    _css, headers = stack.get("/static/admin/css/base.css")
    assert (headers["Content-Type"], headers["Content-Encoding"]) == ('text/css; charset="utf-8"', "gzip")

    backed_up = stack.once("worker", "python", "manage.py", "db_backup", "first", "--save-local", "--json")
    assert backed_up.returncode == 0, backed_up.stderr

    assert stack.stop(*parts) == dict.fromkeys(parts, 0)
