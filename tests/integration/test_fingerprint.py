"""A fingerprint sees every row, and neither their order nor how a session writes values."""

import hashlib
import json
from typing import LiteralString

import pytest
from psycopg import sql

from backups.models import BackupHistory
from backups.postgres.compare import compare
from backups.postgres.connect import connect as connected
from backups.postgres.fingerprint import fingerprint
from backups.postgres.snapshot import describe, exported
from backups.types import Server, Snapshot
from tests.conftest import connect
from tests.integration.conftest import Run

EMPTY = "0" * 16


def execute(server: Server, *statements: LiteralString | sql.Composed) -> None:
    with connect(server) as session:
        for statement in statements:
            session.execute(statement)


def taken(server: Server, table: str, schema: str = "public") -> tuple[int, str]:
    with connected(server, application_name="test") as session:
        return fingerprint(session, schema=schema, table=table)


def snapshot_of(server: Server) -> Snapshot:
    with exported(server, run_id="fingerprint", lock_timeout_seconds=5) as opened:
        return describe(opened, fingerprints=True)


def test_it_is_the_sum_of_the_first_eight_bytes_of_each_rows_sha256(source: Server) -> None:
    """docs/manifest.md promises it, so that anybody can make it."""
    execute(source, "CREATE TABLE t (a int, b text)", "INSERT INTO t VALUES (1, 'x'), (2, NULL), (2, NULL)")
    rows = ["(1,x)", "(2,)", "(2,)"]
    total = sum(int.from_bytes(hashlib.sha256(row.encode()).digest()[:8], "big") for row in rows)
    assert taken(source, "t") == (3, f"{total % 2**64:016x}")


def test_the_order_of_rows_does_not_matter(source: Server) -> None:
    execute(
        source,
        "CREATE TABLE one AS SELECT n, 'row ' || n AS text FROM generate_series(1, 500) n",
        "CREATE TABLE other AS SELECT * FROM one ORDER BY n DESC",
    )
    assert taken(source, "one") == taken(source, "other")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE t SET b = 'y' WHERE a = 1",
        "UPDATE t SET b = '' WHERE b IS NULL",
        "UPDATE t SET (a, b) = (SELECT o.a, t.b FROM t o WHERE o.a <> t.a)",  # values change places between rows
        "DELETE FROM t WHERE a = 2; INSERT INTO t VALUES (1, 'x')",
    ],
)
def test_a_changed_value_shows_where_the_rows_are_as_many(change: LiteralString, source: Server) -> None:
    execute(source, "CREATE TABLE t (a int, b text)", "INSERT INTO t VALUES (1, 'x'), (2, NULL)")
    before = taken(source, "t")
    execute(source, change)
    after = taken(source, "t")
    assert (after[0], after[1] == before[1]) == (before[0], False)


def test_how_the_database_writes_values_does_not_matter(source: Server) -> None:
    execute(
        source,
        """CREATE TABLE t AS SELECT 0.1::float8 + 0.2 AS float, now() AS moment, '1 day 2 hours'::interval AS span,
        '\\xdeadbeef'::bytea AS bytes, 1.5::numeric::money AS money, 'shop.customer'::regclass AS reference""",
    )
    before = taken(source, "t")
    name = sql.Identifier(source.database)
    for setting in (
        "extra_float_digits TO '-5'",
        "timezone TO 'Asia/Tokyo'",
        "datestyle TO 'German'",
        "intervalstyle TO 'iso_8601'",
        "bytea_output TO 'escape'",
        "search_path TO shop",
        "quote_all_identifiers TO on",
    ):
        execute(source, sql.SQL("ALTER DATABASE {} SET " + setting).format(name))
    assert taken(source, "t") == before


def test_odd_tables_have_one_too(source: Server) -> None:
    execute(
        source,
        "CREATE TABLE nothing ()",
        "INSERT INTO nothing DEFAULT VALUES",
        "CREATE TABLE empty (a int)",
        'CREATE TABLE "we""ird\n%s" (t text, "t.*" int, a int GENERATED ALWAYS AS ("t.*" + 1) STORED)',
        """INSERT INTO "we""ird\n%s" VALUES ('x', 1)""",
    )
    assert taken(source, "nothing")[0] == 1
    assert taken(source, "empty") == (0, EMPTY)
    assert taken(source, 'we"ird\n%s') == (1, hashlib.sha256(b"(x,1,2)").hexdigest()[:16])


def test_somebody_elses_function_is_not_called_for_it(source: Server) -> None:
    """Who owns a table owns its type, and may say how that is cast to text: with the rights of whoever asks."""
    execute(
        source,
        "CREATE TABLE t AS SELECT 1 AS a",
        "CREATE FUNCTION evil(t) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$",
        "CREATE CAST (t AS text) WITH FUNCTION evil(t) AS IMPLICIT",
    )
    assert taken(source, "t")[0] == 1


# In a backup


def test_a_backup_has_them_where_they_are_wanted_and_its_verification_compares_them(
    source: Server, history: None, run: Run
) -> None:
    execute(source, "CREATE TABLE float AS SELECT random() AS x, clock_timestamp() AS t FROM generate_series(1, 300)")
    assert run("db_backup", "marked", "--database", "source", "--fingerprint").code == 0
    row = BackupHistory.objects.get()
    assert all(len(table["fingerprint"]) == 16 for table in row.table_snapshot["tables"])
    done = run("db_verify", row.filename)
    assert done.code == 0, done.out + done.err
    assert run("db_diff", "latest", "--database", "source", "--fingerprint").out.count("very same rows") == 1


def test_a_backup_has_none_where_nobody_asked(source: Server, history: None, run: Run) -> None:
    assert run("db_backup", "plain", "--database", "source").code == 0
    assert "fingerprint" not in json.dumps(BackupHistory.objects.get().table_snapshot)


def test_a_row_that_was_changed_behind_our_back_is_a_difference(source: Server) -> None:
    expected = snapshot_of(source)
    execute(source, "UPDATE event SET body = 'forged' WHERE id = 1")
    (difference,) = compare(source, expected).differences
    assert (difference.kind, difference.name) == ("contents", "public.event")
    assert str(difference).startswith("public.event has as many rows as the backup, but not the same ones")


def test_a_diff_names_the_table_whose_rows_changed_and_not_their_number(source: Server, history: None, run: Run) -> None:
    assert run("db_backup", "marked", "--database", "source", "--fingerprint").code == 0
    execute(source, "UPDATE event SET body = 'forged' WHERE id = 1")
    told = json.loads(run("db_diff", "latest", "--database", "source", "--fingerprint", "--json").out)
    assert [one["table"] for one in told["tables"]["changed"]] == ["event"]
    assert (told["tables"]["unchanged"], told["tables"]["identical"]) == (2, 2)
