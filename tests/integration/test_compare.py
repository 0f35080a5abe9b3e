"""A loaded database held against a snapshot: what fails a restore, and what is only told."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from backups.postgres import remarks
from backups.postgres.compare import Comparison, compare
from backups.postgres.remarks import Remark
from backups.postgres.snapshot import describe, exported
from backups.types import Locale, Server, Snapshot
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import connect, drop_database, new_database, server_of

HOSTILE = "a\"b'c\nd\\e %s" + "é" * 20
MakeDatabase = Callable[..., Server]


def snapshot_of(server: Server) -> Snapshot:
    with exported(server, run_id="compare", lock_timeout_seconds=5) as open_snapshot:
        return describe(open_snapshot)


@pytest.fixture
def loaded(source: Server) -> Server:
    """A database, in place of one that was loaded. What a test changes in it happened while it was loaded."""
    return source


@pytest.fixture
def expected(loaded: Server) -> Snapshot:
    """The loaded database's own snapshot, before the test has changed anything."""
    return snapshot_of(loaded)


def change(server: Server, *statements: LiteralString | sql.Composed) -> None:
    with connect(server) as connection:
        for statement in statements:
            connection.execute(statement)


def mend(server: Server, remark: Remark) -> None:
    """Runs what a remark says, as it was shown."""
    with connect(server) as connection:
        connection.execute(remark.mend.encode())


def differences(comparison: Comparison) -> list[str]:
    return [str(difference) for difference in comparison.differences]


def told(comparison: Comparison) -> list[str]:
    return [remark.words for remark in comparison.remarks]


# Rows


def test_an_unchanged_database_is_equal_and_nothing_is_remarked(loaded: Server, expected: Snapshot) -> None:
    assert compare(loaded, expected).report() == {"tables": 3, "rows": 6200, "equal": True, "differences": [], "remarks": []}


def test_rows_that_are_missing_or_too_many_are_differences(loaded: Server, expected: Snapshot) -> None:
    change(
        loaded,
        "DELETE FROM event WHERE id = 1",
        "CREATE TABLE extra AS SELECT 1",
        "DROP TABLE shop.purchase",
    )

    assert differences(compare(loaded, expected)) == [
        "public.event has 4999 rows; the backup has 5000",
        "public.extra is not in the backup, but here it is with 1 rows",
        "shop.purchase is missing; the backup has it with 1000 rows",
    ]


def test_a_difference_of_rows_is_reported_with_its_table(loaded: Server, expected: Snapshot) -> None:
    change(loaded, "DELETE FROM event WHERE id = 1")

    report = compare(loaded, expected).report()

    assert not report["equal"]
    assert report["differences"] == [
        {
            "table": "public.event",
            "kind": "table",
            "name": "public.event",
            "expected": 5000,
            "found": 4999,
            "words": "public.event has 4999 rows; the backup has 5000",
        }
    ]


def test_only_chosen_tables_are_compared_where_tables_are_chosen(loaded: Server, expected: Snapshot) -> None:
    change(
        loaded,
        "DROP TABLE event",
        "CREATE TABLE extra AS SELECT 1",
        "SELECT setval('shop.purchase_id_seq', 1)",
        "ALTER TABLE shop.purchase ADD CONSTRAINT positive CHECK (id > 0) NOT VALID",
    )
    without = replace(expected, extensions=(*expected.extensions, ("postgis", "3.4")))

    comparison = compare(loaded, without, tables=[("shop", "customer")])

    assert (comparison.tables, comparison.rows, comparison.differences, comparison.remarks) == (1, 200, (), ())


def test_a_chosen_table_that_is_not_there_is_a_difference(loaded: Server, expected: Snapshot) -> None:
    change(loaded, "DROP TABLE event")

    comparison = compare(loaded, expected, tables=[("public", "event"), ("shop", "customer")])

    assert differences(comparison) == ["public.event is missing; the backup has it with 5000 rows"]


def test_progress_names_each_table_before_it_is_counted_and_ends_with_all_bytes(loaded: Server, expected: Snapshot) -> None:
    seen: list[tuple[str, int, int]] = []
    compare(loaded, expected, on_table=lambda *progress: seen.append(progress))

    total = expected.table_bytes
    assert [name for name, _done, _total in seen] == ["public.event", "shop.customer", "shop.purchase", ""]
    assert [done for _name, done, _total in seen] == [0, *(sum(t.bytes for t in expected.tables[:n]) for n in (1, 2)), total]
    assert {everything for _name, _done, everything in seen} == {total}


# Extensions, encoding, locale


def test_a_missing_extension_is_a_difference(loaded: Server, expected: Snapshot) -> None:
    comparison = compare(loaded, replace(expected, extensions=(*expected.extensions, ("postgis", "3.4"))))

    assert differences(comparison) == ["the extension postgis is missing; the backup has it in version 3.4"]


def test_an_extension_of_another_version_is_a_remark(loaded: Server, expected: Snapshot) -> None:
    comparison = compare(loaded, replace(expected, extensions=(("plpgsql", "0.9"),)))

    assert not comparison.differences
    assert told(comparison) == ["the extension plpgsql is of version 1.0 here; the backup has it in version 0.9"]


def test_another_encoding_and_locale_are_remarks(loaded: Server, expected: Snapshot) -> None:
    there = replace(expected, encoding="LATIN1", locale=Locale(provider="i", collate="C", ctype="C", name="de-DE"))

    comparison = compare(loaded, there)

    assert not comparison.differences
    assert [remark.kind for remark in comparison.remarks] == ["encoding", "locale"]
    assert comparison.remarks[0].words == f"the database's encoding is {expected.encoding}; the backup's was LATIN1"
    assert comparison.remarks[1].words.endswith("; the backup's was de-DE, C (ICU)")


def test_one_locale_in_two_spellings_is_no_remark(admin: Server) -> None:
    server = replace(admin, database="template1")
    with connect(server) as connection:
        row = connection.execute("SELECT datcollate FROM pg_database WHERE datname = 'template1'").fetchone()
    assert row is not None
    here = Locale(provider="c", collate="en_US.UTF-8", ctype="en_US.UTF-8")

    assert remarks._spelt_alike(here) == remarks._spelt_alike(replace(here, collate="en_US.utf8"))


# Sequences


def test_a_sequence_below_its_column_is_a_remark_with_the_statement_that_mends_it(loaded: Server, expected: Snapshot) -> None:
    change(loaded, "SELECT setval('shop.purchase_id_seq', 7)")

    comparison = compare(loaded, expected)

    assert not comparison.differences
    assert [remark.report() for remark in comparison.remarks] == [
        {
            "kind": "sequence",
            "name": "shop.purchase_id_seq",
            "words": "the sequence shop.purchase_id_seq stands at 7, but shop.purchase.id has reached 1000:"
            " new rows would get old numbers",
            "mend": "SELECT setval('shop.purchase_id_seq', max(id)) FROM shop.purchase",
        }
    ]
    mend(loaded, comparison.remarks[0])
    assert compare(loaded, expected).remarks == ()


@pytest.mark.parametrize(
    ("setting", "is_low"),
    [
        ("SELECT setval('shop.purchase_id_seq', 999)", True),
        ("SELECT setval('shop.purchase_id_seq', 1000)", False),
        ("SELECT setval('shop.purchase_id_seq', 1000, false)", True),
        ("SELECT setval('shop.purchase_id_seq', 1001, false)", False),
        ("ALTER TABLE shop.customer ALTER id RESTART", True),  # an identity column's
        ("ALTER SEQUENCE shop.purchase_id_seq RESTART CYCLE", False),  # meant to meet old values
        ("ALTER SEQUENCE shop.purchase_id_seq INCREMENT 50 RESTART WITH 960; SELECT nextval('shop.purchase_id_seq')", False),
    ],
)
def test_the_next_value_of_a_sequence_must_be_new(
    loaded: Server, expected: Snapshot, setting: LiteralString, is_low: bool
) -> None:
    change(loaded, setting)

    assert [remark.kind for remark in compare(loaded, expected).remarks] == (["sequence"] if is_low else [])


@pytest.mark.parametrize(("value", "is_low"), [(-4, True), (-5, False)])
def test_a_descending_sequence_must_not_be_above_its_columns_minimum(loaded: Server, value: int, is_low: bool) -> None:
    change(
        loaded,
        "CREATE TABLE down (id int GENERATED ALWAYS AS IDENTITY (INCREMENT -1) PRIMARY KEY)",
        "INSERT INTO down OVERRIDING SYSTEM VALUE SELECT -n FROM generate_series(1, 5) n",
        sql.SQL("SELECT setval('down_id_seq', {})").format(value),
    )

    comparison = compare(loaded, snapshot_of(loaded))

    assert [remark.mend for remark in comparison.remarks] == (
        ["SELECT setval('public.down_id_seq', min(id)) FROM public.down"] if is_low else []
    )


def test_a_partitioned_tables_sequence_is_held_against_all_partitions(loaded: Server) -> None:
    change(
        loaded,
        "CREATE TABLE visit (id bigint GENERATED BY DEFAULT AS IDENTITY, day int) PARTITION BY LIST (day)",
        "CREATE TABLE visit_1 PARTITION OF visit FOR VALUES IN (1)",
        "CREATE TABLE visit_2 PARTITION OF visit FOR VALUES IN (2)",
        "INSERT INTO visit VALUES (3, 1), (40, 2)",
    )

    (remark,) = compare(loaded, snapshot_of(loaded)).remarks

    assert "public.visit.id has reached 40" in remark.words


def test_a_sequence_that_cannot_come_so_far_has_no_statement_that_mends_it(loaded: Server, expected: Snapshot) -> None:
    change(loaded, "ALTER SEQUENCE shop.purchase_id_seq RESTART MAXVALUE 100")

    (remark,) = compare(loaded, expected).remarks

    assert remark.words.endswith("; the sequence itself ends at 100")
    assert not remark.mend


def test_columns_of_text_and_tables_without_rows_have_no_maximum_to_miss(loaded: Server) -> None:
    change(
        loaded,
        "CREATE TABLE nothing (id serial)",
        "CREATE TABLE words (word text)",
        "INSERT INTO words VALUES ('zebra')",
        "CREATE SEQUENCE word_seq OWNED BY words.word",
    )

    assert compare(loaded, snapshot_of(loaded)).remarks == ()


@pytest.mark.parametrize(
    ("index", "is_read"), [("", False), ("CREATE INDEX ON log (id) WHERE id > 0", False), ("CREATE INDEX ON log (id)", True)]
)
def test_a_large_table_is_not_read_again_for_a_maximum_without_an_index(
    loaded: Server, monkeypatch: pytest.MonkeyPatch, index: LiteralString, is_read: bool
) -> None:
    change(loaded, "CREATE TABLE log (id serial)", "INSERT INTO log VALUES (5)")
    if index:
        change(loaded, index)
    monkeypatch.setattr(remarks, "READABLE_BYTES", 0)

    (remark,) = compare(loaded, snapshot_of(loaded)).remarks

    assert ("was not looked at" in remark.words) == (not is_read)
    mend(loaded, remark)


# Indexes and constraints


def test_an_index_that_was_not_built_is_a_difference(loaded: Server, expected: Snapshot) -> None:
    with connect(loaded) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY half ON shop.purchase (customer)")

    assert differences(compare(loaded, expected)) == ["the index shop.half is not valid: it was not built to its end"]


def test_a_partitioned_index_that_lacks_a_part_is_a_remark(loaded: Server) -> None:
    change(
        loaded,
        "CREATE TABLE visit (day int) PARTITION BY LIST (day)",
        "CREATE TABLE visit_1 PARTITION OF visit FOR VALUES IN (1)",
        "CREATE INDEX visit_day ON ONLY visit (day)",
    )

    comparison = compare(loaded, snapshot_of(loaded))

    assert not comparison.differences
    assert told(comparison) == ["the index public.visit_day is not valid: not every partition has its part of it"]


def test_constraints_that_are_not_validated_are_remarks_with_the_statements_that_validate_them(
    loaded: Server, expected: Snapshot
) -> None:
    change(
        loaded,
        "ALTER TABLE event ADD CONSTRAINT positive CHECK (id > 0) NOT VALID",
        'ALTER TABLE shop.purchase ADD CONSTRAINT "Twice" FOREIGN KEY (customer) REFERENCES shop.customer NOT VALID',
        "CREATE DOMAIN year AS int",
        "ALTER DOMAIN year ADD CONSTRAINT recent CHECK (VALUE > 1900) NOT VALID",
    )

    comparison = compare(loaded, expected)

    assert not comparison.differences
    assert [remark.mend for remark in comparison.remarks] == [
        "ALTER TABLE public.event VALIDATE CONSTRAINT positive",
        "ALTER DOMAIN public.year VALIDATE CONSTRAINT recent",
        'ALTER TABLE shop.purchase VALIDATE CONSTRAINT "Twice"',
    ]
    for remark in comparison.remarks:
        mend(loaded, remark)
    assert compare(loaded, expected).remarks == ()


def test_a_constraint_that_hangs_on_a_parents_is_told_once(loaded: Server) -> None:
    change(
        loaded,
        "CREATE TABLE visit (day int) PARTITION BY LIST (day)",
        "CREATE TABLE visit_1 PARTITION OF visit FOR VALUES IN (1)",
        "ALTER TABLE visit ADD CONSTRAINT positive CHECK (day > 0) NOT VALID",
    )

    comparison = compare(loaded, snapshot_of(loaded))

    assert [remark.name for remark in comparison.remarks] == ["public.visit.positive"]
    mend(loaded, comparison.remarks[0])
    assert compare(loaded, snapshot_of(loaded)).remarks == ()


# Names, limits, other servers


@pytest.fixture
def hostile(loaded: Server) -> Server:
    """A table whose names are as odd as PostgreSQL allows: 63 bytes with quotes, a line break and a backslash."""
    name = sql.Identifier(HOSTILE.encode()[:63].decode(errors="ignore"))
    change(
        loaded,
        sql.SQL("CREATE SCHEMA {}").format(name),
        sql.SQL("CREATE TABLE {0}.{0} ({0} int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)").format(name),
        sql.SQL("ALTER TABLE {0}.{0} ADD CONSTRAINT {1} CHECK ({0} > 0) NOT VALID").format(name, sql.Identifier('x"\t')),
        sql.SQL("INSERT INTO {0}.{0} OVERRIDING SYSTEM VALUE VALUES (9)").format(name),
    )
    return loaded


def test_statements_that_mend_are_one_line_each_and_work_whatever_the_names_are(hostile: Server) -> None:
    comparison = compare(hostile, snapshot_of(hostile))

    assert [remark.kind for remark in comparison.remarks] == ["sequence", "constraint"]
    assert all(str(remark).isprintable() for remark in comparison.remarks)
    for remark in comparison.remarks:
        mend(hostile, remark)
    assert compare(hostile, snapshot_of(hostile)).remarks == ()


def test_a_difference_stays_in_its_line_whatever_the_name_is(hostile: Server, expected: Snapshot) -> None:
    comparison = compare(hostile, replace(expected, tables=()))

    assert all(line.isprintable() for line in differences(comparison))


def test_functions_that_the_database_brings_are_never_called(loaded: Server, expected: Snapshot) -> None:
    change(
        loaded,
        "CREATE SCHEMA trap",
        "CREATE TABLE trap.caught (n int)",
        "CREATE FUNCTION trap.quote_ident(name) RETURNS text LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO trap.caught VALUES (1); RETURN 'x'; END $$",
        "CREATE AGGREGATE trap.max (int) (SFUNC = int4larger, STYPE = int)",
        "SELECT setval('shop.purchase_id_seq', 7)",
        sql.SQL("ALTER DATABASE {} SET search_path = trap, pg_catalog, public").format(sql.Identifier(loaded.database)),
    )

    (remark,) = compare(loaded, snapshot_of(loaded)).remarks

    assert remark.mend == "SELECT setval('shop.purchase_id_seq', max(id)) FROM shop.purchase"
    with connect(loaded) as connection:
        assert connection.execute("SELECT count(*) FROM trap.caught").fetchone() == (0,)


def test_a_database_of_postgresql_15_is_compared_the_same_way(postgres15: PostgreSQL) -> None:
    server = new_database(server_of(postgres15))
    try:
        change(
            server,
            "CREATE TABLE thing (id serial PRIMARY KEY)",
            "INSERT INTO thing VALUES (5)",
            "ALTER TABLE thing ADD CONSTRAINT positive CHECK (id > 0) NOT VALID",
        )
        comparison = compare(server, snapshot_of(server))
    finally:
        drop_database(server)

    assert not comparison.differences
    assert [remark.kind for remark in comparison.remarks] == ["sequence", "constraint"]


@pytest.fixture
def reader(loaded: Server) -> Iterator[Server]:
    """The loaded database, as a role that may read its tables and no more."""
    role = f"app_{loaded.database[2:]}"
    name = sql.Identifier(role)
    change(
        loaded,
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(name),
        sql.SQL("GRANT USAGE ON SCHEMA shop, public TO {}").format(name),
        sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA shop, public TO {}").format(name),
    )
    yield replace(loaded, user=role, password="x")
    change(loaded, sql.SQL("DROP OWNED BY {}").format(name), sql.SQL("DROP ROLE {}").format(name))


def test_a_sequence_that_the_role_may_not_read_is_told_and_fails_nothing(expected: Snapshot, reader: Server) -> None:
    comparison = compare(reader, expected)

    assert not comparison.differences
    assert told(comparison) == [
        f"the sequence shop.{name} was not looked at: this role may not read it"
        for name in ("customer_id_seq", "purchase_id_seq")
    ]
