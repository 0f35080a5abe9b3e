"""Commands as a person runs them: in this process with their exit code, or as a process of its own with the test's settings."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.core.management import load_command_class
from django.db import connection
from pytest_django.fixtures import Settings

from backups.types import Server
from ichrisbirch_site.embedded import PROJECT
from tests.faults.conftest import url_of


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs one of our commands with its words as manage.py does, but within this process."""

    def run(name: str, *words: str) -> Done:
        capsys.readouterr()
        code = 0
        try:
            load_command_class("backups", name).run_from_argv(["manage.py", name, *words])
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


@pytest.fixture
def environment(backups_settings: Settings, admin: Server) -> Callable[..., dict[str, str]]:
    """The environment in which a process of its own has this test's settings and history."""

    def environment(**aliases: Server) -> dict[str, str]:
        store, ours = backups_settings.STORAGES["backups"]["OPTIONS"], backups_settings.BACKUPS
        site = Server(**{**vars(admin), "database": str(connection.settings_dict["NAME"])})
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME", "ICB_FOLDER", "LD_LIBRARY_PATH") if name in os.environ},
            "ENVIRONMENT": "testing",
            "DATABASE_URL": url_of(site),
            **{f"DATABASE_URL_{alias.upper()}": url_of(server) for alias, server in aliases.items()},
            "AWS_S3_BACKUP_BUCKET": store["bucket_name"],
            "AWS_ENDPOINT_URL_S3": store["endpoint_url"],
            "AWS_REGION": store["region_name"],
            "AWS_ACCESS_KEY_ID": store["access_key"],
            "AWS_SECRET_ACCESS_KEY": store["secret_key"],
            "AWS_S3_ADDRESSING_STYLE": "path",
            "BACKUPS_SIGNING_KEY": ours["SIGNING_KEY"],
            "BACKUPS_LOCAL_FOLDER": str(ours["LOCAL_FOLDER"]),
        }

    return environment


def python(*words: str, env: dict[str, str], **options: object) -> Done:
    """Python in the project's folder."""
    done = subprocess.run(
        [sys.executable, *words], cwd=PROJECT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)
