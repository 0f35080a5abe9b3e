"""Fixtures on the run's real services: databases to back up, buckets to keep them in, and a history that is empty again."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import boto3
import psycopg
import pytest
from django.apps import apps
from django.db import connection, connections
from django.test import TransactionTestCase
from psycopg import sql
from pytest_django.fixtures import Settings

from backups.models import BackupHistory
from backups.postgres import programs, swap
from backups.types import Server
from ichrisbirch_site.embedded import Home
from ichrisbirch_site.embedded.postgres import PostgreSQL

PlaceProgram = Callable[..., Path]
SOURCE_SQL = """
    CREATE SCHEMA shop;
    CREATE TABLE shop.customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
    CREATE TABLE shop.purchase (id serial PRIMARY KEY, customer int NOT NULL REFERENCES shop.customer, details jsonb);
    CREATE TABLE event (id bigint PRIMARY KEY, body text);
    INSERT INTO shop.customer (name) SELECT 'customer ' || n FROM generate_series(1, 200) n;
    INSERT INTO shop.purchase (customer, details) SELECT 1 + n % 200, jsonb_build_object('n', n) FROM generate_series(1, 1000) n;
    INSERT INTO event SELECT n, md5(n::text) FROM generate_series(1, 5000) n;
"""
OURS = {
    "SIGNING_KEY": "a signing key of the tests, 32 characters and more",
    "LOCK_TIMEOUT_SECONDS": 2,
    "STALL_TIMEOUT_SECONDS": 20,
}
_DROP = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
SOURCE_ROWS = {"public.event": 5000, "shop.customer": 200, "shop.purchase": 1000}


def connect(server: Server) -> psycopg.Connection[tuple[object, ...]]:
    """A connection of a test's own, in autocommit."""
    return psycopg.connect(
        host=server.host, port=server.port, user=server.user, password=server.password, dbname=server.database, autocommit=True
    )


def until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Waits for a condition; the bound only keeps a broken test from waiting for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about"
        time.sleep(0.02)


def server_of(postgres: PostgreSQL) -> Server:
    """The maintenance database of an embedded PostgreSQL."""
    given = postgres.connection("postgres")
    return Server(
        host=str(given["host"]),
        port=int(given["port"]),
        user=str(given["user"]),
        password=str(given["password"]),
        database="postgres",
    )


def new_database(admin: Server, name: str = "") -> Server:
    """Makes an empty database."""
    server = replace(admin, database=name or f"t_{uuid4().hex[:12]}")
    with connect(admin) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} STRATEGY file_copy").format(sql.Identifier(server.database)))
    return server


def copy_database(original: Server, copy: Server) -> None:
    """Makes a database as another one of the same server is; nobody may be connected to that."""
    names = map(sql.Identifier, (copy.database, original.database))
    with connect(replace(copy, database="postgres")) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(*names))


def drop_database(server: Server) -> None:
    """Drops a database and whoever is connected to it."""
    with connect(replace(server, database="postgres")) as connection:
        connection.execute(_DROP.format(sql.Identifier(server.database)))


def drop_with_what_it_replaced(server: Server) -> None:
    """Drops a database and those that restores kept of it: `icb db list` shows them to every test that comes after."""
    maintenance = replace(server, database="postgres")
    kept = "SELECT FROM pg_shdescription WHERE classoid = 'pg_database'::regclass AND description LIKE '%\"replaced\"%'"
    with connect(maintenance) as session:
        session.execute(_DROP.format(sql.Identifier(server.database)))
        any_kept = session.execute(kept).fetchone() is not None
    for copy in swap.kept_copies(maintenance) if any_kept else ():
        if copy.replaced == server.database:
            drop_database(replace(maintenance, database=copy.database))


@pytest.fixture
def admin(embedded_home: Home) -> Server:
    """The run's PostgreSQL, as its superuser."""
    return server_of(PostgreSQL(embedded_home))


@pytest.fixture
def make_database(admin: Server) -> Iterator[Callable[..., Server]]:
    """Makes databases (of a name, or of any) that are dropped after the test, with what was restored beside them."""
    made: list[Server] = []

    def make(name: str = "") -> Server:
        made.append(new_database(admin, name))
        return made[-1]

    yield make
    for server in made:
        drop_with_what_it_replaced(server)


@pytest.fixture
def fresh_target(admin: Server) -> Iterator[Server]:
    """A database that does not exist; dropped if the test made it, with what was kept of it."""
    server = replace(admin, database=f"t_{uuid4().hex[:12]}")
    yield server
    drop_with_what_it_replaced(server)


def database_of(server: Server) -> dict[str, Any]:
    """A server as Django's DATABASES has it."""
    given = {"HOST": server.host, "PORT": str(server.port), "USER": server.user, "PASSWORD": server.password}
    return connections.databases["default"] | given | {"NAME": server.database, "OPTIONS": {}}


@pytest.fixture
def register_alias() -> Iterator[Callable[[str, Server], None]]:
    """Gives a server an alias among the site's databases, for the length of the test."""
    registered: list[str] = []

    def register(alias: str, server: Server) -> None:
        connections.databases[alias] = database_of(server)
        registered.append(alias)

    yield register
    for alias in registered:
        del connections.databases[alias]
        if hasattr(connections._connections, alias):
            del connections[alias]


@pytest.fixture(scope="session")
def original(embedded_home: Home) -> Iterator[Server]:
    """What `source` is a copy of; nobody enters it."""
    server = new_database(server_of(PostgreSQL(embedded_home)), "t_original")
    with connect(server) as session:
        session.execute(SOURCE_SQL)
    yield server
    drop_database(server)


@pytest.fixture
def source(original: Server, admin: Server, register_alias: Callable[[str, Server], None]) -> Iterator[Server]:
    """A database with three tables (SOURCE_ROWS), known to the site as the alias "source"."""
    server = replace(admin, database=f"t_{uuid4().hex[:12]}")
    copy_database(original, server)
    register_alias("source", server)
    yield server
    drop_with_what_it_replaced(server)


# Django's flush truncates every table, each anew on the disk, and then makes all permissions again: longer than most tests take.
# Nor does it see the schema admin, of which the audit lets nobody delete anything: here no trigger is asked.
_EMPTIED = """
    DO $$ DECLARE one regclass; BEGIN
        SET LOCAL session_replication_role = replica;  -- no order among the tables: foreign keys are not asked
        FOR one IN SELECT c.oid FROM pg_class c
                   WHERE c.relkind = 'r' AND c.relnamespace IN ('public'::regnamespace, 'admin'::regnamespace)
                   AND c.relname NOT IN ('django_migrations', 'django_content_type', 'auth_permission')
        LOOP EXECUTE format('DELETE FROM %s', one); END LOOP;
    END $$
"""


def _emptied(test: TransactionTestCase) -> None:
    for alias in test._databases_names(include_mirrors=False):
        with connections[alias].cursor() as cursor:
            cursor.execute(_EMPTIED)


TransactionTestCase._fixture_teardown = _emptied


@pytest.fixture
def history(transactional_db: None) -> None:
    """The history, empty before and after."""


@pytest.fixture
def groups(db: None) -> None:
    """The groups as the migration makes them: a flush takes them away."""
    make_groups()


def make_groups() -> None:
    """What the migrations do."""
    editor = SimpleNamespace(connection=connection)
    import_module("backups.migrations.0005_access").make_groups(apps, editor)
    import_module("backups.migrations.0007_schedules_of_administrators").permit(apps, editor)
    import_module("backups.migrations.0011_restores_are_seen_with_backups").take(apps, editor)


@pytest.fixture
def local_folder(tmp_path: Path) -> Path:
    """Where local copies go in this test."""
    return tmp_path / "local"


@pytest.fixture
def backups_settings(settings: Settings, local_folder: Path) -> Settings:
    """The app's settings, the test's own to change: `settings.BACKUPS = {**settings.BACKUPS, …}`."""
    settings.BACKUPS = {**settings.BACKUPS, **OURS, "LOCAL_FOLDER": local_folder}
    return settings


@pytest.fixture
def use_bucket(backups_settings: Settings) -> Callable[..., str]:
    """Points STORAGES["backups"] at a new bucket, of the embedded S3 server or of another endpoint; returns its name."""

    def use(*, make: bool = True, **options: object) -> str:
        name = f"test-{uuid4().hex[:12]}"
        given = {**backups_settings.STORAGES["backups"]["OPTIONS"], "bucket_name": name, **options}
        backups_settings.STORAGES = {
            **backups_settings.STORAGES,
            "backups": {**backups_settings.STORAGES["backups"], "OPTIONS": given},
        }
        if make:
            s3_client(backups_settings).create_bucket(Bucket=name)
        return name

    return use


@pytest.fixture
def bucket(use_bucket: Callable[..., str]) -> str:
    """A new bucket of the embedded S3 server, in use."""
    return use_bucket()


@pytest.fixture
def moto_bucket(use_bucket: Callable[..., str], moto_endpoint: str) -> str:
    """A new bucket of moto's S3 server, in use."""
    return use_bucket(endpoint_url=moto_endpoint)


@pytest.fixture(params=["nanio", "moto"])
def any_bucket(request: pytest.FixtureRequest) -> str:
    """A new bucket, once of each server."""
    return str(request.getfixturevalue("bucket" if request.param == "nanio" else "moto_bucket"))


def s3_client(settings: Settings):  # type: ignore[no-untyped-def]
    """boto3's client for the bucket in use, apart from the code under test."""
    options = settings.STORAGES["backups"]["OPTIONS"]
    return _client_of(*(options[name] for name in ("endpoint_url", "region_name", "access_key", "secret_key")))


@cache  # making one takes longer than most of what is asked of it
def _client_of(endpoint: str, region: str, access_key: str, secret_key: str):  # type: ignore[no-untyped-def]
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name=region, aws_access_key_id=access_key, aws_secret_access_key=secret_key
    )


def keys_in(settings: Settings, bucket: str) -> list[str]:
    """Every key in a bucket."""
    return [item["Key"] for item in s3_client(settings).list_objects_v2(Bucket=bucket).get("Contents", [])]


def keys_of(row: BackupHistory) -> list[str]:
    """What a whole backup has in the bucket, in order: dump, roles, manifest."""
    return [row.s3_key + suffix for suffix in ("", ".globals.sql", ".json")]


def uploads_in(settings: Settings, bucket: str) -> list[str]:
    """Keys of unfinished multipart uploads."""
    return [item["Key"] for item in s3_client(settings).list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


@pytest.fixture
def place_program(tmp_path: Path, backups_settings: Settings) -> PlaceProgram:
    """Puts a bash script in the place of pg_dump or pg_restore, where it is found first.

    The script has the real one as `$real`, and runs only where a dump or restore is wanted, not for --version.
    """
    folder = tmp_path / "programs"

    def place(script: str, *, name: str = "pg_dump") -> Path:
        folders = backups_settings.BACKUPS["CLIENT_FOLDERS"]
        real = next(program.path for program in programs.find(name, folders=folders) if program.major == 17)
        folder.mkdir(exist_ok=True)
        made = folder / name
        made.write_text(
            f'#!/bin/bash\nexport PATH=/usr/bin:/bin\nreal="{real}"\n'
            f'case " $* " in *" --snapshot="*|*" --dbname "*) ;; *) exec "$real" "$@" ;; esac\n{script}\n'
        )
        made.chmod(0o755)
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, "CLIENT_FOLDERS": [str(folder), *folders]}
        return made

    return place


def url_of(server: Server) -> str:
    """A server as DATABASE_URL has it."""
    password, database = quote(server.password, safe=""), quote(server.database, safe="")
    return f"postgres://{quote(server.user, safe='')}:{password}@{server.host}:{server.port}/{database}"


@pytest.fixture
def environment(backups_settings: Settings, admin: Server) -> Callable[..., dict[str, str]]:
    """The environment in which a process of its own has this test's settings and history."""

    def environment(**aliases: Server) -> dict[str, str]:
        site = Server(**{**vars(admin), "database": str(connection.settings_dict["NAME"])})
        store = backups_settings.STORAGES["backups"]["OPTIONS"]
        return environment_of(site, aliases=aliases, store=store, ours=backups_settings.BACKUPS)

    return environment


def environment_of(site: Server, *, aliases: dict[str, Server], store: dict[str, Any], ours: dict[str, Any]) -> dict[str, str]:
    """The environment of a site with that database, these options of its bucket, and these settings."""
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
        "BACKUPS_SCRATCH_FOLDER": str(ours["SCRATCH_FOLDER"] or ""),
        "BACKUPS_CLIENT_FOLDERS": ",".join(ours["CLIENT_FOLDERS"]),
        "BACKUPS_LOCK_TIMEOUT_SECONDS": str(ours["LOCK_TIMEOUT_SECONDS"]),
        "BACKUPS_STALL_TIMEOUT_SECONDS": str(ours["STALL_TIMEOUT_SECONDS"]),
        "BACKUPS_RETENTION": json.dumps(ours["RETENTION"]),
        "BACKUPS_VERIFY_ASSERTIONS": json.dumps(ours.get("VERIFY_ASSERTIONS", [])),
    }


class Gate:
    """A client program that waits at its start until the test lets it go on."""

    def __init__(self, folder: Path) -> None:
        self._reached, self._opened = folder / "reached", folder / "opened"
        self.script = f'touch "{self._reached}"\nwhile [ ! -e "{self._opened}" ]; do sleep 0.02; done\n'  # two lines of bash

    def wait(self) -> None:
        """Until the program is there."""
        until(self._reached.exists)

    def open(self) -> None:
        """Lets it go on."""
        self._opened.touch()


@pytest.fixture
def gate(tmp_path: Path, place_program: PlaceProgram) -> Gate:
    """A pg_dump that waits for the test, and then is the real one."""
    made = Gate(tmp_path)
    place_program(made.script + 'exec "$real" "$@"')
    return made
