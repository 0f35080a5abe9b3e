"""What changes while the dump runs: counts and dump describe one moment, and no row of it is missing."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest

from backups.backup import DatabaseBackup
from backups.models import BackupHistory
from backups.restore import DatabaseRestore
from backups.types import Progress, Server
from tests.conftest import Gate, connect, until
from tests.faults.conftest import WIDE_SQL, copy_of_wide_stands_still, waiting_for_locks

pytestmark = pytest.mark.usefixtures("history")


def rows_of(row: BackupHistory) -> dict[str, int]:
    return {f"{table['schema']}.{table['table']}": table["rows"] for table in row.table_snapshot["tables"]}


def test_rows_that_come_and_go_during_the_dump_are_neither_counted_nor_dumped(
    source: Server, bucket: str, gate: Gate, meanwhile: Callable[..., Future[object]], fresh_target: Server
) -> None:
    def change() -> None:
        gate.wait()
        with connect(source) as session:
            session.execute("INSERT INTO event SELECT n, 'late' FROM generate_series(10001, 12000) n")
            session.execute("DELETE FROM event WHERE id <= 1000")
            session.execute("CREATE TABLE late (id int)")
        gate.open()

    meanwhile(change)
    row = DatabaseBackup(description="changing", database="source").run()

    assert rows_of(row)["public.event"] == 5000
    assert "public.late" not in rows_of(row)
    assert DatabaseRestore(filename=row.filename, target=fresh_target).run().comparison_report["equal"]
    with connect(fresh_target) as session:
        assert session.execute("SELECT min(id), max(id) FROM event").fetchone() == (1, 5000)


def test_a_truncate_during_the_dump_waits_for_its_end(
    source: Server, bucket: str, gate: Gate, meanwhile: Callable[..., Future[object]], fresh_target: Server
) -> None:
    with connect(source) as session:
        session.execute(WIDE_SQL)

    def truncate() -> None:
        with connect(source) as session:
            session.execute("TRUNCATE event")

    def change() -> None:
        with copy_of_wide_stands_still(source, gate):
            meanwhile(truncate)
            until(lambda: waiting_for_locks(source) == 2)

    meanwhile(change)
    row = DatabaseBackup(description="truncated", database="source").run()

    assert rows_of(row)["public.event"] == 5000
    assert DatabaseRestore(filename=row.filename, target=fresh_target).run().comparison_report["equal"]


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE event ALTER id TYPE text", "TRUNCATE event; INSERT INTO event SELECT n FROM generate_series(1, 7) n"],
)
def test_a_table_that_is_rewritten_while_the_backup_waits_for_it_is_not_backed_up_as_empty(
    statement: str, source: Server, bucket: str, meanwhile: Callable[..., Future[object]]
) -> None:
    """To a snapshot from before, it would look empty."""
    with connect(source) as other:

        def commit_once_the_backup_waits() -> None:
            until(lambda: waiting_for_locks(source) > 0)
            other.execute("COMMIT")

        def begin(progress: Progress) -> None:
            if progress.phase == "taking the snapshot":
                other.execute("BEGIN")
                other.execute(statement.encode())
                meanwhile(commit_once_the_backup_waits)

        row = DatabaseBackup(description="rewritten", database="source", on_progress=begin).run()
        assert (rows_of(row)["public.event"],) == other.execute("SELECT count(*) FROM event").fetchone()


def test_limits_that_an_administrator_has_set_do_not_end_the_sessions_of_a_long_run(
    source: Server, bucket: str, admin: Server, gate: Gate, meanwhile: Callable[..., Future[object]]
) -> None:
    limits = ("statement", "lock", "idle_in_transaction_session", "idle_session", "transaction")
    with connect(source) as session:
        for limit in limits:
            session.execute(f'ALTER DATABASE "{source.database}" SET {limit}_timeout = 300'.encode())

    def wait_longer_than_the_limits() -> None:
        gate.wait()
        with connect(admin) as session, connect(source) as limited:
            here = "SELECT FROM pg_stat_activity WHERE pid = %s"
            until(lambda: session.execute(here, [limited.info.backend_pid]).fetchone() is None)
        gate.open()

    meanwhile(wait_longer_than_the_limits)
    assert DatabaseBackup(description="slow", database="source").run().status == "succeeded"


def test_functions_that_an_owner_puts_before_postgresqls_own_are_not_run(source: Server, bucket: str) -> None:
    """We may be a superuser, and he not."""
    with connect(source) as session:
        session.execute("CREATE SCHEMA evil")
        for signature in (
            "pg_table_size(oid) RETURNS bigint",
            "pg_export_snapshot() RETURNS text",
            "to_regclass(text) RETURNS oid",
        ):
            body = "LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''evil''; END'"
            session.execute(f"CREATE FUNCTION evil.{signature} {body}".encode())
        session.execute(f'ALTER DATABASE "{source.database}" SET search_path = evil, pg_catalog, public'.encode())

    assert DatabaseBackup(description="hostile", database="source").run().status == "succeeded"


def test_progress_names_tables_and_ends_at_the_whole(source: Server, bucket: str) -> None:
    told: list[Progress] = []
    DatabaseBackup(description="told", database="source", on_progress=told.append).run()

    phases = list(dict.fromkeys(progress.phase for progress in told))
    assert phases == ["checking", "taking the snapshot", "dumping", "counting rows", "completing"]
    assert all(progress.done_bytes <= progress.total_bytes for progress in told if progress.phase == "dumping")
    tables = [progress.tables for progress in told if progress.tables is not None]
    assert [each.done for each in tables] == sorted(each.done for each in tables)
    assert (tables[-1].done, tables[-1].total) == (3, 3)
    assert {each.state for each in tables[-1].largest} == {"done"}
    sizes = [each.bytes for each in tables[-1].largest]
    assert sizes == sorted(sizes, reverse=True)
    assert told[-1].tables == tables[-1]
