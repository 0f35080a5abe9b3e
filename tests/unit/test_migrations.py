"""Migrations: they say what the models say, can be made and unmade, and ask for no more rights than they need."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.core.management import call_command

from backups.types import Server
from ichrisbirch_site.embedded import PROJECT
from tests.conftest import connect

TABLES = ["backup_audit", "backup_heartbeat", "backup_history", "backup_incident", "backup_restore", "backup_token"]


@pytest.mark.django_db
def test_no_model_has_changed_without_its_migration() -> None:
    said = StringIO()
    call_command("makemigrations", check=True, dry_run=True, stdout=said)
    assert "No changes detected" in said.getvalue()


def test_they_can_be_taken_back_and_made_again(make_database: Callable[..., Server]) -> None:
    server = make_database()
    for target, tables in ((), TABLES), (("backups", "zero"), []), (("backups",), TABLES):
        migrate(server, *target)
        assert tables_of(server) == tables


def test_a_role_that_may_not_make_schemas_can_migrate_where_the_schema_is_there(
    make_database: Callable[..., Server], role: Server
) -> None:
    server = make_database()
    with connect(server) as connection:
        connection.execute(f"GRANT ALL ON SCHEMA public TO {role.user}; CREATE SCHEMA admin AUTHORIZATION {role.user}".encode())

    migrate(replace(role, database=server.database))

    assert tables_of(server) == TABLES
    with connect(server) as connection:
        connection.execute(f"DROP OWNED BY {role.user} CASCADE".encode())


@pytest.fixture
def role(admin: Server) -> Iterator[Server]:
    """A role that may log in, and no more."""
    name = f"app_{uuid4().hex[:8]}"
    with connect(admin) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'".encode())
    yield replace(admin, user=name, password="x")
    with connect(admin) as connection:
        connection.execute(f"DROP ROLE {name}".encode())


def migrate(server: Server, *words: str) -> None:
    """In a process of its own, whose environment names that database."""
    url = f"postgres://{server.user}:{quote(server.password, safe='')}@{server.host}:{server.port}/{server.database}"
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0", *words]
    environment = {**os.environ, "DATABASE_URL": url, "AWS_S3_BACKUP_BUCKET": "none", "BACKUPS_GUARD_MIGRATIONS": "off"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def tables_of(server: Server) -> list[object]:
    with connect(server) as connection:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'admin' ORDER BY 1"
        return [name for (name,) in connection.execute(query)]
