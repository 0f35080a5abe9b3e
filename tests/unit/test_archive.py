"""The reader of pg_dump's frame, on real archives: whole ones are whole, and anything less is refused."""

import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.exceptions import ArchiveError
from backups.postgres import commands
from backups.postgres.archive import ArchiveReader, Entry, Section
from backups.postgres.programs import ClientProgram, find
from backups.types import Server
from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import Home
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import connect, drop_database, new_database, server_of

DATABASES = {
    "nothing": "",
    "tables": """
        CREATE SCHEMA shop; CREATE TABLE shop.one (id int PRIMARY KEY, body text); CREATE TABLE two (n int);
        CREATE TABLE empty ();
        INSERT INTO shop.one SELECT n, md5(n::text) FROM generate_series(1, 300) n; INSERT INTO two VALUES (1);
        CREATE VIEW seen AS SELECT * FROM two; CREATE MATERIALIZED VIEW kept AS SELECT * FROM two; CREATE SEQUENCE s;
    """,
    "large objects": """
        CREATE TABLE t (o oid);
        INSERT INTO t SELECT lo_from_bytea(0, convert_to(repeat(md5(n::text), 1000), 'UTF8')) FROM generate_series(1, 5) n;
        SELECT lo_create(0);
    """,
    "partitions": """
        CREATE TABLE measured (at date, value int) PARTITION BY RANGE (at);
        CREATE TABLE measured_2023 PARTITION OF measured FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
        CREATE TABLE measured_2024 PARTITION OF measured FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
        INSERT INTO measured SELECT '2023-06-01'::date + n, n FROM generate_series(1, 400) n;
    """,
    "many tables": """
        DO $$ BEGIN FOR n IN 1..400 LOOP EXECUTE format('CREATE TABLE t%s AS SELECT %s AS n', n, n); END LOOP; END $$
    """,
    "names": """
        CREATE TABLE "with ""quotes"" and = signs" (n int); CREATE TABLE "größe\U0001f40d" (n int); CREATE SCHEMA "-- x";
        CREATE TABLE "-- x"."line
        break" (n int); CREATE TABLE "0123456789012345678901234567890123456789012345678901234567890ab" (n int);
    """,
    "one big table": "CREATE TABLE big AS SELECT n, sha512(n::text::bytea) AS noise FROM generate_series(1, 60000) n",
}
COMPRESSIONS = {17: ("zstd:1", "gzip:1", "lz4:1", "none"), 15: ("1", "0")}


@dataclass(frozen=True)
class Archive:
    """One archive with what its pg_restore says is in it."""

    data: bytes
    listed: list[str]
    major: int
    compression: str


def programs(major: int) -> tuple[ClientProgram, ClientProgram]:
    folders = embedded.client_folders()
    dump, restore = (
        next((program for program in find(name, folders=folders) if program.major == major), None)
        for name in ("pg_dump", "pg_restore")
    )
    assert dump
    assert restore
    return dump, restore


def archive_of(server: Server, *, major: int, compression: str, folder: Path) -> Archive:
    pg_dump, pg_restore = programs(major)
    env = commands.environment(server, application_name="test", home=folder)
    data = subprocess.run([pg_dump.path, "-Fc", f"--compress={compression}"], env=env, stdout=subprocess.PIPE, check=True).stdout
    listing = subprocess.run([pg_restore.path, "--list"], input=data, env=env, stdout=subprocess.PIPE, check=True).stdout
    kinds = "TABLE DATA|BLOBS"
    listed = re.findall(rf"^(\d+; \d+ \d+ (?:{kinds}) .*?)(?: \S*)?$", listing.decode(errors="replace"), re.MULTILINE)
    return Archive(data=data, listed=listed, major=major, compression=compression)


def listed_as(reader: ArchiveReader) -> set[str]:
    """Finished entries as pg_restore lists them, which shows line breaks as spaces."""
    return {f"{e.id}; {e.kind} {e.schema or '-'} {e.name}".replace("\n", " ") for e in reader.finished}


def without_oids(listed: list[str]) -> set[str]:
    return {re.sub(r"^(\d+;) \d+ \d+ ", r"\1 ", line) for line in listed}


@pytest.fixture(scope="module")
def server17(embedded_home: Home) -> Server:
    return server_of(PostgreSQL(embedded_home))


@pytest.fixture(scope="module")
def archives(server17: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Archive]:
    """By content and compression, of pg_dump 17."""
    folder, made = tmp_path_factory.mktemp("home"), {}
    for name, statements in DATABASES.items():
        server = new_database(server17)
        with connect(server) as connection:
            connection.execute(statements.encode())
        for compression in COMPRESSIONS[17]:
            made[name, compression] = archive_of(server, major=17, compression=compression, folder=folder)
        drop_database(server)
    return made


def read(data: bytes, *, pieces: Iterator[int] | None = None) -> ArchiveReader:
    """Feeds an archive in pieces, and closes it."""
    reader, at = ArchiveReader(), 0
    while at < len(data):
        size = next(pieces) if pieces else len(data)
        reader.feed(memoryview(data)[at : at + size])
        at += size
    reader.close()
    return reader


def is_refused(data: bytes) -> bool:
    """Any exception but ArchiveError fails the test."""
    try:
        read(data)
    except ArchiveError:
        return True
    return False


def whole_at(data: bytes) -> list[int]:
    """After how many bytes the archive could have ended: at its end alone."""
    reader, ends = ArchiveReader(), []
    for at in range(len(data)):
        reader.feed(data[at : at + 1])
        with suppress(ArchiveError):
            reader.close()
            ends.append(at + 1)
    return ends


@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.parametrize("compression", COMPRESSIONS[17])
def test_it_finds_in_an_archive_of_pg_dump_17_what_pg_restore_lists(archives, name: str, compression: str) -> None:
    archive = archives[name, compression]

    reader = read(archive.data)

    assert listed_as(reader) == without_oids(archive.listed)
    assert reader.compression == compression.partition(":")[0]
    assert (reader.format_version, reader.pg_dump_version.split(".")[0]) == ((1, 16), "17")
    assert reader.current is None


def test_the_databases_of_these_tests_hold_what_they_are_for(archives) -> None:
    kinds = {name: sorted({entry.kind for entry in read(archives[name, "zstd:1"].data).finished}) for name in DATABASES}
    counts = {name: len(read(archives[name, "zstd:1"].data).finished) for name in DATABASES}

    assert kinds["nothing"] == []
    assert kinds["large objects"] == ["BLOBS", "TABLE DATA"]
    assert (counts["partitions"], counts["many tables"], counts["names"]) == (2, 400, 4)


@pytest.mark.parametrize("name", ["nothing", "tables", "large objects", "partitions"])
def test_it_finds_in_an_archive_of_pg_dump_15_what_pg_restore_lists(postgres15, name: str, tmp_path: Path) -> None:
    server = new_database(server_of(postgres15))
    with connect(server) as connection:
        connection.execute(DATABASES[name].encode())
    for compression in COMPRESSIONS[15]:
        archive = archive_of(server, major=15, compression=compression, folder=tmp_path)
        reader = read(archive.data)
        assert listed_as(reader) == without_oids(archive.listed)
        assert reader.compression == {"1": "gzip", "0": "none"}[compression]
        assert (reader.format_version, reader.pg_dump_version.split(".")[0]) == ((1, 14), "15")
        assert whole_at(archive.data) == [len(archive.data)]
    drop_database(server)


@given(data=st.data())
def test_the_sizes_of_the_pieces_make_no_difference(archives, data: st.DataObject) -> None:
    archive = archives[data.draw(st.sampled_from(["nothing", "tables", "large objects", "partitions"])), "zstd:1"]
    sizes = data.draw(st.lists(st.one_of(st.integers(1, 12), st.integers(1, 4000)), min_size=1, max_size=30))

    pieces = (sizes[number % len(sizes)] for number in iter(int, 1) for number in range(len(sizes)))
    assert read(archive.data, pieces=pieces).finished == read(archive.data).finished


@pytest.mark.parametrize("compression", COMPRESSIONS[17])
def test_byte_by_byte_gives_the_same(archives, compression: str) -> None:
    data = archives["tables", compression].data
    assert read(data, pieces=iter(lambda: 1, 0)).finished == read(data).finished


@pytest.mark.parametrize("compression", COMPRESSIONS[17])
@pytest.mark.parametrize("name", ["nothing", "tables", "partitions", "large objects", "names"])
def test_an_archive_cut_off_at_any_byte_is_refused(archives, name: str, compression: str) -> None:
    data = archives[name, compression].data
    assert whole_at(data) == [len(data)]
    assert is_refused(b"")


@pytest.mark.parametrize("name", ["one big table", "many tables", "large objects"])
def test_a_larger_archive_cut_off_anywhere_is_refused(archives, name: str) -> None:
    data, chosen = archives[name, "zstd:1"].data, random.Random(6)
    ends = [*range(len(data) - 40, len(data)), *(chosen.randrange(len(data)) for _number in range(60))]
    assert [end for end in ends if not is_refused(data[:end])] == []


def test_it_says_where_an_archive_ends_too_early(archives) -> None:
    data = archives["tables", "zstd:1"].data
    told = {end: error_of(data[:end]).detail for end in (*range(0, len(data), 7), 20, 200, len(data) - 1)}

    assert told[0] == told[20] == "It ends in its header."
    assert told[200] == "It ends in its table of contents."
    assert told[len(data) - 1].startswith("It ends in the data of ")
    assert any(re.match(r"The data of \d entries is missing: .*shop\.one", detail) for detail in told.values())


def test_bytes_after_the_end_are_refused(archives) -> None:
    data = archives["tables", "zstd:1"].data
    assert [more for more in range(1, 60) if not is_refused(data + bytes(more))] == []
    assert is_refused(data + data)


@given(st.binary(max_size=2000))
def test_garbage_is_refused(garbage: bytes) -> None:
    assert is_refused(garbage)
    assert is_refused(b"PGDMP" + garbage)
    assert is_refused(b"PGDMP\x01\x10\x00\x04\x08\x01" + garbage)


@pytest.mark.parametrize("compression", COMPRESSIONS[17])
def test_flipped_bits_raise_nothing_but_an_archive_error(archives, compression: str) -> None:
    data, chosen = bytearray(archives["large objects", compression].data), random.Random(8)
    for _number in range(400):
        at, bit = chosen.randrange(min(len(data), 6000)), 1 << chosen.randrange(8)
        data[at] ^= bit
        is_refused(bytes(data))
        data[at] ^= bit


def test_what_was_refused_stays_refused() -> None:
    reader = ArchiveReader()
    for _attempt in range(3):
        with pytest.raises(ArchiveError, match="Not an archive"):
            reader.feed(b"-- a dump in plain SQL")
    with pytest.raises(ArchiveError, match="Not an archive"):
        reader.close()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"PGDMP\x01\x11\x00\x04\x08\x01", "format 1.17 is unknown"),
        (b"PGDMP\x01\x0b\x00\x04\x08\x01", "format 1.11 is unknown"),
        (b"PGDMP\x02\x00\x00\x04\x08\x01", "format 2.0 is unknown"),
        (b"PGDMP\x01\x10\x00\x04\x08\x03", "custom format"),  # tar
        (b"PGDMP\x01\x10\x00\x02\x08\x01", "custom format"),
        (b"PGDMP\x01\x10\x00\x04\x00\x01", "custom format"),
    ],
)
def test_a_header_of_another_kind_is_refused_by_name(header: bytes, reason: str) -> None:
    assert reason in error_of(header).message


def test_a_table_of_contents_without_entries_is_no_archive() -> None:
    number = lambda value: b"\0" + value.to_bytes(4, "little")  # noqa: E731
    text = lambda value: number(len(value)) + value  # noqa: E731
    header = b"PGDMP\x01\x10\x00\x04\x08\x01\x03" + number(0) * 7 + text(b"db") + text(b"17.10") + text(b"17.10")

    assert "empty" in error_of(header + number(0)).message
    assert "empty" in error_of(header + b"\x01" + number(1)[1:]).message  # minus one
    assert "1 GiB" in error_of(header + number(1) + number(1) + number(0) + number((1 << 31) - 1)).message


@pytest.mark.parametrize("name", DATABASES)
def test_it_hands_on_every_entry_that_pg_restore_lists(archives, name: str) -> None:
    archive, entries = archives[name, "zstd:1"], []
    reader = ArchiveReader(on_entry=entries.append)
    reader.feed(archive.data)

    pg_restore = programs(17)[1].path
    listing = subprocess.run([pg_restore, "-l", "-v"], input=archive.data, stdout=subprocess.PIPE, check=True).stdout.decode()
    found = re.findall(r"^(\d+); .*(?:\n;\tdepends on: ([\d ]+))?$", listing, re.MULTILINE)
    assert [(str(entry.id), " ".join(map(str, entry.dependencies))) for entry in entries] == found
    assert reader.has_read_contents


def test_it_knows_when_an_entry_is_restored(archives) -> None:
    entries: list[Entry] = []
    ArchiveReader(on_entry=entries.append).feed(archives["tables", "zstd:1"].data)

    sections = {entry.kind: entry.section for entry in entries}
    assert (sections["TABLE"], sections["TABLE DATA"]) == (Section.PRE_DATA, Section.DATA)
    assert (sections["CONSTRAINT"], sections["SEQUENCE SET"]) == (Section.POST_DATA, Section.DATA)


@pytest.mark.parametrize(("encoding", "name"), [("LATIN1", "größe"), ("WIN1251", "цена"), ("EUC_JP", "値段"), ("KOI8R", "цена")])
def test_it_reads_names_in_the_encoding_of_the_database(server17: Server, tmp_path: Path, encoding: str, name: str) -> None:
    server = replace(server17, database=f"t_{uuid4().hex[:12]}")
    with connect(server17) as connection:
        made = f"CREATE DATABASE {server.database} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        connection.execute(made.encode())
    with psycopg.connect(
        host=server.host, port=server.port, user=server.user, password=server.password, dbname=server.database, autocommit=True
    ) as connection:
        connection.execute("SET client_encoding = 'UTF8'")
        connection.execute(f'CREATE TABLE "{name}" (n int)')
    archive = archive_of(server, major=17, compression="none", folder=tmp_path)
    drop_database(server)

    assert [entry.name for entry in read(archive.data).finished] == [name]


def test_it_knows_the_table_that_the_stream_is_in(archives) -> None:
    data, seen = archives["tables", "none"].data, []
    reader = ArchiveReader()
    for at in range(len(data)):
        reader.feed(data[at : at + 1])
        if reader.current is not None and (not seen or seen[-1] != str(reader.current)):
            seen.append(str(reader.current))

    assert seen == [str(entry) for entry in reader.finished]
    assert {"shop.one", "public.two", "public.empty"} == set(seen)


def error_of(data: bytes) -> ArchiveError:
    with pytest.raises(ArchiveError) as refused:
        read(data)
    return refused.value
