"""What is in a backup: noted while it is made, told by its manifest alone."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backups.exceptions import ArchiveError
from backups.management import contents as face
from backups.postgres import commands
from backups.postgres import contents as module
from backups.postgres.archive import Entry
from backups.postgres.contents import Contents, read_contents
from backups.postgres.dump import Dumped, run_dump
from backups.types import Manifest, Objects, Server, TableRows
from tests.conftest import connect, drop_database, new_database, server_of
from tests.integration import shelf
from tests.integration.conftest import Done
from tests.unit.test_archive import programs
from tests.unit.test_manifest import PLAIN

Run = Callable[..., Done]
THINGS = """
    CREATE EXTENSION pg_trgm; CREATE TYPE mood AS ENUM ('glad'); CREATE SCHEMA shop;
    CREATE FUNCTION shop.twice(int, VARIADIC text[]) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
    CREATE TABLE shop.customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood mood DEFAULT 'glad');
    CREATE TABLE shop.purchase (id serial PRIMARY KEY, customer int REFERENCES shop.customer);
    CREATE INDEX "by
    customer" ON shop.purchase (customer); CREATE VIEW seen AS SELECT * FROM shop.customer;
    COMMENT ON TABLE shop.customer IS 'people'; GRANT SELECT ON shop.customer TO PUBLIC;
    CREATE TABLE measured (at date) PARTITION BY RANGE (at); CREATE TABLE measured_rest PARTITION OF measured DEFAULT;
    SELECT lo_create(0);
"""
NOTED = {
    "CONSTRAINT": ("shop.customer customer_pkey", "shop.purchase purchase_pkey"),
    "EXTENSION": ("pg_trgm",),
    "FK CONSTRAINT": ("shop.purchase purchase_customer_fkey",),
    "FUNCTION": ("shop.twice(integer, text[])",),
    "INDEX": ("shop.by\n    customer",),
    "SCHEMA": ("shop",),
    "SEQUENCE": ("shop.customer_id_seq", "shop.purchase_id_seq"),
    "TABLE": ("public.measured", "public.measured_rest", "shop.customer", "shop.purchase"),
    "TYPE": ("public.mood",),
    "VIEW": ("public.seen",),
}


def dump(server: Server, *, major: int, file: Path) -> Dumped:
    """Runs pg_dump as a backup does, but outside a snapshot, and keeps what it wrote."""
    command = commands.dump(programs(major)[0], server, snapshot_id="", run_id="test", lock_timeout_seconds=5)
    argv = tuple(word for word in command.argv if not word.startswith("--snapshot"))
    with file.open("wb") as written:
        return run_dump(
            replace(command, argv=argv), takers=[written.write], stall_timeout_seconds=30, look=lambda _archive, _size: None
        )


def test_pg_dump_17_is_seen_to_dump_every_kind_of_thing(make_database: Callable[..., Server], tmp_path: Path) -> None:
    server = make_database()
    with connect(server) as connection:
        connection.execute(THINGS.encode())
    dumped = dump(server, major=17, file=tmp_path / "dump")

    assert {one.kind: one.names for one in dumped.objects} == NOTED
    assert all(one.count == len(one.names) for one in dumped.objects)


def test_pg_dump_15_is_seen_to_dump_the_same(postgres15, tmp_path: Path) -> None:
    server = new_database(server_of(postgres15))
    with connect(server) as connection:
        connection.execute(THINGS.encode())
    dumped = dump(server, major=15, file=tmp_path / "dump")
    drop_database(server)

    assert {one.kind: one.names for one in dumped.objects} == NOTED


def test_an_empty_database_has_nothing_and_that_is_known(make_database: Callable[..., Server], tmp_path: Path) -> None:
    assert dump(make_database(), major=17, file=tmp_path / "dump").objects == ()


def test_of_a_file_only_the_table_of_contents_is_read(make_database: Callable[..., Server], tmp_path: Path) -> None:
    server = make_database()
    with connect(server) as connection:
        connection.execute("CREATE TABLE big AS SELECT n, sha512(n::text::bytea) FROM generate_series(1, 20000) n")
    dump(server, major=17, file=tmp_path / "dump")
    (tmp_path / "half").write_bytes((tmp_path / "dump").read_bytes()[:100_000])

    assert read_contents(tmp_path / "half") == read_contents(tmp_path / "dump")
    assert ("TABLE", "public", "big") in {(e.kind, e.schema, e.name) for e in read_contents(tmp_path / "half")}


@pytest.mark.parametrize("data", [b"", b"PGDMP", b"-- a dump in plain SQL", b"PGDMP\x01\x10\x00\x04\x08\x01\x00\x00"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ArchiveError):
        read_contents(tmp_path / "file")


def entry(kind: str, name: str) -> Entry:
    return Entry(id=1, kind=kind, schema="public", name=name)


def test_too_many_names_are_only_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 3)
    noted = Contents()
    for number in range(3):
        noted.take(entry("INDEX", f"i{number}"))
    assert noted.objects() == (Objects(kind="INDEX", count=3, names=("public.i0", "public.i1", "public.i2")),)
    noted.take(entry("TABLE", "t"))
    noted.take(entry("INDEX", "i3"))
    assert noted.objects() == (Objects(kind="INDEX", count=4), Objects(kind="TABLE", count=1))


def test_very_long_names_are_only_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NAMES_BYTES", 100)
    noted = Contents()
    noted.take(entry("FUNCTION", f"f({'integer, ' * 20})"))
    assert noted.objects() == (Objects(kind="FUNCTION", count=1),)


# The face

TABLES = (
    TableRows(schema="public", table="event", rows=5000, bytes=1 << 20),
    TableRows(schema="shop", table="große\n\x1b[31m", rows=7, bytes=3 << 20),
    TableRows(schema="shop", table="空っぽ", rows=0, bytes=0),
)
OBJECTS = (
    Objects(kind="EXTENSION", count=1, names=("pg_trgm",)),
    Objects(kind="FUNCTION", count=60_000),
    Objects(kind="INDEX", count=2, names=("public.a", "public.b\x1b[0m")),
    Objects(kind="OPERATOR CLASS", count=1, names=("public.odd",)),
    Objects(kind="TABLE", count=3, names=("public.event", "shop.x", "shop.y")),
)


def holding(objects: tuple[Objects, ...] | None) -> Manifest:
    return replace(PLAIN, objects=objects, snapshot=replace(PLAIN.snapshot, tables=TABLES))


def test_the_text_has_tables_first_biggest_on_top_then_all_else() -> None:
    assert face.as_text(holding(OBJECTS)).splitlines() == [
        "backup-2024-01-15T1200-pre-migration.dump  (272.6 MiB, 2024-01-15 12:00 UTC)",
        "chinook, 8.0 GiB, PostgreSQL 17.10 (Debian)",
        "",
        "table               rows     bytes",
        "shop.große��[31m       7   3.0 MiB",
        "public.event       5,000   1.0 MiB",
        "shop.空っぽ            0       0 B",
        "",
        "3 tables           5,007   4.0 MiB",
        "",
        "extensions (2)",
        "  pg_trgm 1.6",
        "  plpgsql 1.0",
        "",
        "indexes (2)",
        "  public.a",
        "  public.b�[0m",
        "",
        "functions (60,000): too many to name",
        "",
        "operator class (1)",
        "  public.odd",
    ]


def test_the_text_says_where_objects_were_not_noted() -> None:
    assert face.as_text(holding(None)).splitlines()[-3:] == [
        "  plpgsql 1.0",
        "",
        "Indexes, functions and others were not noted when this backup was made.",
    ]


def test_json_tells_the_same_with_full_precision() -> None:
    told = json.loads(face.as_json(holding(OBJECTS)))

    assert told["total"] == {"tables": 3, "rows": 5007, "bytes": 4 << 20}
    assert [table["table"] for table in told["tables"]] == ["große\n\x1b[31m", "event", "空っぽ"]
    assert told["extensions"] == [{"name": "pg_trgm", "version": "1.6"}, {"name": "plpgsql", "version": "1.0"}]
    assert told["objects"]["INDEX"] == {"count": 2, "names": ["public.a", "public.b\x1b[0m"]}
    assert told["objects"]["FUNCTION"] == {"count": 60_000, "names": None}
    assert json.loads(face.as_json(holding(None)))["objects"] is None


@pytest.mark.usefixtures("history")
def test_the_command_tells_from_the_manifest_and_reads_no_dump(run: Run, bucket: str) -> None:
    key = shelf.put("first")  # whose dump is no archive at all
    done = run("db_contents", key.rpartition("/")[2])

    assert (done.code, done.err) == (0, "")
    assert re.search(r"^public\.event +5,000 +1\.0 MiB$", done.out, re.MULTILINE)


@pytest.mark.usefixtures("history")
def test_the_command_finds_the_latest_of_another_environment(run: Run, bucket: str, source: Server) -> None:
    shelf.put("theirs", environment="production", database=source.database)
    done = run("db_contents", "latest", "--environment", "production", "--database", "source", "--json")

    assert done.code == 0
    assert json.loads(done.out)["environment"] == "production"
    assert run("db_contents", "latest", "--database", "source").code == 1


@pytest.mark.usefixtures("history")
def test_the_command_says_what_there_is_instead(run: Run, bucket: str) -> None:
    key = shelf.put("first")
    done = run("db_contents", "backup-1999")

    assert (done.code, done.out) == (1, "")
    assert key.rpartition("/")[2] in done.err


@pytest.mark.usefixtures("history")
def test_a_real_backup_lists_what_is_in_it(run: Run, source: Server, bucket: str) -> None:
    assert run("db_backup", "real", "--database", "source").code == 0
    told = json.loads(run("db_contents", "latest", "--database", "source", "--json").out)

    assert [(table["table"], table["rows"]) for table in told["tables"]] == [
        ("event", 5000),
        ("purchase", 1000),
        ("customer", 200),
    ]
    assert told["objects"] is None or told["objects"]["SEQUENCE"]["count"] == 2
