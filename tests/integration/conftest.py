"""Commands as a person runs them: in this process with their exit code, or as a process of its own with the test's settings."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from django.core.management import load_command_class
from psycopg import sql

from backups.backup import DatabaseBackup
from backups.models import BackupHistory
from backups.types import Server
from ichrisbirch_site.embedded import PROJECT
from tests.conftest import connect


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


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


def python(*words: str, env: dict[str, str], **options: object) -> Done:
    """Python in the project's folder."""
    done = subprocess.run(
        [sys.executable, *words], cwd=PROJECT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def backup(source: Server, bucket: str) -> BackupHistory:
    """A whole backup of `source`."""
    return DatabaseBackup(description="good", database="source").run()


@pytest.fixture
def live(source: Server, backup: BackupHistory) -> Server:
    """`source` as it went on after its backup: a table lost, rows changed."""
    with connect(source) as session:
        session.execute("DROP TABLE shop.purchase")
        session.execute("INSERT INTO event SELECT n, 'later' FROM generate_series(5001, 5010) n")
    return source


def rows_of(server: Server, table: str) -> int:
    with connect(server) as session:
        row = session.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(str(row[0]))


def databases_beside(admin: Server, target: Server) -> list[str]:
    with connect(admin) as session:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) AND datname <> %s ORDER BY 1"
        return [str(name) for (name,) in session.execute(query, [target.database, target.database])]


def restore_over(run: Run, live: Server, *words: str) -> Done:
    return run("db_restore", "latest", "--database", "source", "--target-dbname", live.database, *words)


def age_mark(admin: Server, database: str, *, days: int) -> None:
    with connect(admin) as session:
        query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
        mark = json.loads(str((session.execute(query, [database]).fetchone() or ("",))[0]))
        mark["at"] = str(datetime.fromisoformat(mark["at"]) - timedelta(days=days))
        session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), sql.Literal(json.dumps(mark))))
