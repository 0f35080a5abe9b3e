"""Names: of backups made in the same minute, and hostile ones of everything that a database can hold."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import time_machine
from psycopg import sql
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.exceptions import ObjectExistsError
from backups.models import BackupHistory
from backups.restore import DatabaseRestore
from backups.storage import folder_mark
from backups.types import Server
from tests.conftest import connect, drop_database, keys_in, keys_of, s3_client

pytestmark = pytest.mark.usefixtures("history")

HOSTILE = [
    pytest.param("--file=x", id="an option"),
    pytest.param("-F p", id="a short option"),
    pytest.param("dbname=postgres host=/nowhere", id="connection parameters"),
    pytest.param("postgres://nobody@nowhere/else", id="a URL"),
    pytest.param("../../etc/passwd", id="a path"),
    pytest.param('it\'s "quoted" \\ $HOME `id` %s {}', id="quotes and what a shell reads"),
    pytest.param("new\nline\ttab\rreturn", id="a newline"),
    pytest.param("Größe 数据库 🐘", id="Unicode"),
    pytest.param("x" * 63, id="63 bytes"),
    pytest.param("é" * 31, id="62 bytes of two each"),
    pytest.param(" ", id="a space"),
    pytest.param("template1; DROP DATABASE x", id="SQL"),
]


@pytest.fixture
def now() -> datetime:
    """The seventh second of this minute: a store refuses requests of another hour."""
    return datetime.now(UTC).replace(second=7)


@pytest.fixture
def hostile_role(admin: Server):  # type: ignore[no-untyped-def]
    """A superuser whose name ends in what is given."""
    made = []

    def make(name: str) -> Server:
        user = (uuid4().hex[:6] + name).encode()[:63].decode(errors="ignore")
        server = replace(admin, user=user, password=name + "'\"\\ =&?%20")
        statement = sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}")
        with connect(admin) as session:
            session.execute(statement.format(sql.Identifier(user), sql.Literal(server.password)))
        made.append(user)
        return server

    yield make
    with connect(admin) as session:
        for user in made:
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(user)))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_of_database_role_schema_table_and_column_makes_the_round_trip(
    name: str,
    admin: Server,
    bucket: str,
    backups_settings: Settings,
    local_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hostile_role: Callable[[str], Server],
    register_alias: Callable[[str, Server], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    role = hostile_role(name)
    source = replace(role, database=(uuid4().hex[:6] + name).encode()[:63].decode(errors="ignore") if len(name) > 40 else name)
    target = replace(source, database=source.database.encode()[:61].decode(errors="ignore") + "_2")
    quoted = sql.Identifier(name)
    try:
        with connect(admin) as session:
            session.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(source.database), sql.Identifier(role.user))
            )
        with connect(source) as session:
            session.execute(sql.SQL("CREATE SCHEMA {}").format(quoted))
            session.execute(sql.SQL("CREATE TABLE {} ({} text)").format(sql.Identifier(name, name), quoted))
            session.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(name, name), sql.Literal(name)))
        register_alias("hostile", source)

        row = DatabaseBackup(description="hostile", database="hostile", save_local=True).run()
        assert row.database == source.database
        assert [(t["schema"], t["table"], t["rows"]) for t in row.table_snapshot["tables"]] == [(name, name, 1)]
        assert sorted(keys_in(backups_settings, bucket)) == keys_of(row)

        restored = DatabaseRestore(filename="latest", database="hostile", target=target).run()

        assert restored.comparison_report["equal"]
        with connect(target) as session:
            query = sql.SQL("SELECT {} FROM {}").format(quoted, sql.Identifier(name, name))
            assert session.execute(query).fetchone() == (name,)
        # No other file was written, neither here nor beside the copies.
        assert {path for path in tmp_path.rglob("*") if path.is_file()} == {
            local_folder / bucket / name for name in (folder_mark.NAME, *keys_of(row))
        }
    finally:
        drop_database(replace(admin, database=source.database))
        drop_database(replace(admin, database=target.database))


def test_a_second_backup_of_the_same_minute_has_the_seconds_in_its_name(
    now: datetime, source: Server, bucket: str, backups_settings: Settings
) -> None:
    with time_machine.travel(now, tick=False):
        first = DatabaseBackup(description="Same Minute", database="source").run()
        second = DatabaseBackup(description="Same Minute", database="source").run()

    assert first.filename == f"backup-{now:%Y-%m-%dT%H%M}-same-minute.dump"
    assert second.filename == f"backup-{now:%Y-%m-%dT%H%M}07-same-minute.dump"
    assert len(keys_in(backups_settings, bucket)) == 6


def test_a_third_one_of_the_same_second_waits_for_the_next(now: datetime, source: Server, bucket: str) -> None:
    for seconds in ("", "07"):
        BackupHistory.objects.create(
            filename=f"backup-{now:%Y-%m-%dT%H%M}{seconds}-same.dump", environment="testing", database="x"
        )
    with time_machine.travel(now.replace(microsecond=0)):
        row = DatabaseBackup(description="same", database="source").run()

    assert row.status == "succeeded"
    assert row.filename > f"backup-{now:%Y-%m-%dT%H%M}07-same.dump"


def test_where_no_second_is_free_it_is_refused_and_the_others_stay(
    now: datetime, source: Server, bucket: str, backups_settings: Settings
) -> None:
    with time_machine.travel(now.replace(microsecond=990_000), tick=False):  # a clock that stands still
        made = [DatabaseBackup(description="same", database="source").run() for _ in range(2)]
        with pytest.raises(ObjectExistsError, match="wait a second"):
            DatabaseBackup(description="same", database="source").run()

    assert sorted(keys_in(backups_settings, bucket)) == sorted(key for row in made for key in keys_of(row))
    assert BackupHistory.objects.count() == 2


def test_an_object_that_the_history_does_not_know_is_not_overwritten(
    now: datetime, source: Server, any_bucket: str, backups_settings: Settings
) -> None:
    key = f"testing/postgres/backup-{now:%Y-%m-%dT%H%M}-known.dump"
    client = s3_client(backups_settings)
    client.put_object(Bucket=any_bucket, Key=key, Body=b"precious")

    with time_machine.travel(now, tick=False):
        row = DatabaseBackup(description="known", database="source").run()

    assert row.filename == f"backup-{now:%Y-%m-%dT%H%M}07-known.dump"
    assert client.get_object(Bucket=any_bucket, Key=key)["Body"].read() == b"precious"
