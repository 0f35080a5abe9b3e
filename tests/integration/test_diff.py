"""What changed: two backups, or one and the live database; and the warning on the backup that saw a table shrink."""

import json
from dataclasses import replace

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from backups import shrinking
from backups.backup import DatabaseBackup
from backups.models import BackupHistory
from backups.types import Server
from tests.conftest import connect
from tests.integration import shelf
from tests.integration.conftest import Run
from tests.integration.shelf import SNAPSHOT

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def changed(source: Server, backup: BackupHistory) -> Server:
    """`source` after its backup: one table gone, one emptied but for five rows, one new, one grown; an extension, a migration."""
    with connect(source) as session:
        session.execute("DROP TABLE shop.purchase; DELETE FROM event WHERE id > 5; CREATE TABLE made AS SELECT 1 AS one")
        session.execute("INSERT INTO shop.customer (name) SELECT 'new' FROM generate_series(1, 30)")
        session.execute(
            "CREATE EXTENSION citext; CREATE TABLE django_migrations (id serial, app varchar(255), name varchar(255))"
        )
        session.execute("INSERT INTO django_migrations (app, name) VALUES ('shop', '0001_initial')")
    return source


def test_a_backup_is_compared_with_the_live_database_and_what_was_lost_comes_first(changed: Server, run: Run) -> None:
    done = run("db_diff", "latest", "--database", "source")
    assert done.code == 0, done.err
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    kinds = [tuple(line.split()[:2]) for line in lines if line.endswith(("B", "KiB")) and " row" in line]
    assert kinds == [
        ("GONE", "shop.purchase"),
        ("SHRUNK", "public.event"),
        ("added", "public.django_migrations"),
        ("added", "public.made"),
        ("grown", "shop.customer"),
    ]
    assert any(line.startswith("SHRUNK public.event 5,000 → 5 rows (-99%)") for line in lines)
    assert "+ shop.0001_initial" in lines
    assert any(line.startswith("+ citext ") for line in lines)


def test_json_has_rows_and_bytes_of_both_sides(changed: Server, backup: BackupHistory, run: Run) -> None:
    done = run("db_diff", backup.filename, "live", "--database", "source", "--json")
    told = json.loads(done.out)
    assert (told["before"]["name"], told["after"]["name"]) == (backup.filename, "live")
    (gone,) = told["tables"]["gone"]
    assert (gone["schema"], gone["table"], gone["before"]["rows"], gone["after"]) == ("shop", "purchase", 1000, None)
    assert gone["before"]["bytes"] > 0
    assert told["migrations"] == {"added": ["shop.0001_initial"], "gone": []}
    assert [one["name"] for one in told["extensions"]["added"]] == ["citext"]
    assert told["remarks"] == []


def test_two_backups_are_compared_without_their_database(bucket: str, run: Run) -> None:
    first = shelf.put("first").rpartition("/")[2]
    shelf.put("second", minutes=5, system_identifier="2")
    done = run("db_diff", first, "backup-2024-01-15T1205")
    assert done.code == 0, done.err
    assert "No table has more rows, or fewer: 1 table with as many rows as before." in done.out
    assert "They are of two servers" in done.out


def test_the_younger_named_first_is_said(bucket: str, run: Run) -> None:
    first, second = shelf.put("first"), shelf.put("second", minutes=5)
    assert "The first is the younger one" in run("db_diff", second, first).out


def test_a_backup_of_another_database_than_the_live_one_is_said_with_the_alias_to_type(
    source: Server, backup: BackupHistory, run: Run
) -> None:
    done = run("db_diff", backup.filename)
    assert done.code == 0, done.err
    assert f"These are two databases: {source.database}" in done.out
    assert f"For the live {source.database}: --database source" in done.out


def test_live_against_live_is_wrong_usage(backups_settings: Settings, run: Run) -> None:
    done = run("db_diff", "live")
    assert done.code == 2
    assert "icb db diff latest" in done.err


def test_a_locked_table_ends_the_look_and_names_who_holds_it(
    changed: Server, backup: BackupHistory, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backups.diff.LOCK_TIMEOUT_SECONDS", 1)
    with connect(changed) as other:
        other.execute("BEGIN; LOCK TABLE event")
        done = run("db_diff", backup.filename, "--database", "source")
        assert done.code == 1
        assert "A table of the live database is locked" in done.err
        assert f"session {other.info.backend_pid}" in done.err


def test_writers_are_not_held_up_by_a_look_at_the_live_database(
    changed: Server, backup: BackupHistory, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backups.postgres import snapshot

    describe = snapshot.describe

    def write_meanwhile(opened: snapshot.Exported, **given: bool):  # type: ignore[no-untyped-def]
        with connect(changed) as writer:
            writer.execute("SET lock_timeout = '2s'")
            writer.execute(
                "UPDATE event SET body = 'written'; INSERT INTO event VALUES (9999, 'late'); CREATE TABLE later (a int)"
            )
        return describe(opened, **given)

    monkeypatch.setattr(snapshot, "describe", write_meanwhile)
    told = json.loads(run("db_diff", backup.filename, "--database", "source", "--json").out)
    assert [one["after"]["rows"] for one in told["tables"]["shrunk"]] == [5]


def test_a_role_that_may_not_read_everything_is_told_the_grants(
    source: Server, backup: BackupHistory, register_alias, admin: Server, run: Run
) -> None:
    role = f"r_{source.database}"
    with connect(admin) as session:
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'".encode())
    try:
        register_alias("poor", replace(source, user=role, password="x"))
        done = run("db_diff", backup.filename, "--database", "poor")
        assert done.code == 1
        assert f'GRANT USAGE ON SCHEMA "shop" TO "{role}"' in done.err
    finally:
        with connect(admin) as session:
            session.execute(f"DROP ROLE {role}".encode())


# The warning on the backup.


def test_a_backup_that_sees_a_table_shrink_or_go_says_so_and_the_list_marks_it(
    changed: Server, backup: BackupHistory, run: Run
) -> None:
    done = run("db_backup", "after", "--database", "source")
    assert done.code == 0, done.err
    assert f"  warning     shop.purchase is gone since {backup.filename}; it had 1,000 rows" in done.out
    assert f"  warning     public.event has lost 99% of its rows since {backup.filename}: 5,000 → 5" in done.out

    row = BackupHistory.objects.get(description="after")
    assert (row.status, len(row.warnings)) == ("succeeded", 2)
    listed = run("db_list")
    assert "succeeded *" in listed.out
    assert "shop.purchase is gone" in listed.out
    entries = {one["description"]: one["warnings"] for one in json.loads(run("db_list", "--json").out)["backups"]}
    assert entries == {"after": row.warnings, "good": []}


def test_the_backup_after_that_has_nothing_to_warn_of(changed: Server, backup: BackupHistory, run: Run) -> None:
    run("db_backup", "after", "--database", "source")
    told = json.loads(run("db_backup", "after-that", "--database", "source", "--json").out)
    assert told["warnings"] == []


def test_the_share_that_is_warned_of_is_a_setting(source: Server, backup: BackupHistory, backups_settings: Settings) -> None:
    with connect(source) as session:
        session.execute("DELETE FROM event WHERE id > 4000")
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "SHRINK_WARNING_PERCENT": 25}
    assert DatabaseBackup(description="first", database="source").run().warnings == []
    with connect(source) as session:
        session.execute("DELETE FROM event WHERE id > 2900")
    (warning,) = DatabaseBackup(description="second", database="source").run().warnings
    assert "lost 27% of its rows" in warning


@pytest.mark.parametrize("broken", [{}, {"tables": "none"}, {"tables": [{"schema": 1}]}])
def test_a_row_that_can_not_be_compared_with_fails_no_backup(
    broken: object, source: Server, backup: BackupHistory, caplog: pytest.LogCaptureFixture
) -> None:
    BackupHistory.objects.update(table_snapshot=broken)
    row = DatabaseBackup(description="next", database="source").run()
    assert (row.status, row.warnings) == ("succeeded", [])
    assert "could not be compared" in caplog.text


def test_many_lost_tables_are_a_few_warnings(bucket: str) -> None:
    shelf.put("before", table_snapshot={"tables": [{"schema": "s", "table": f"t{n}", "rows": n, "bytes": 0} for n in range(500)]})
    row = BackupHistory(filename="x", environment="testing", database="shop", system_identifier="1")
    warnings = shrinking.warnings_of(row, SNAPSHOT)
    assert len(warnings) == 21
    assert warnings[0].startswith("s.t499 is gone")
    assert warnings[-1] == "and 480 more tables like these"


def test_a_backup_of_another_environment_or_database_is_not_compared_with(bucket: str) -> None:
    shelf.put("other", environment="production")
    shelf.put("another", database="chinook")
    row = BackupHistory(filename="x", environment="testing", database="shop", system_identifier="1")
    assert shrinking.previous(row) is None


def test_a_history_whose_connection_was_ended_during_the_dump_is_asked_again(bucket: str, admin: Server) -> None:
    key = shelf.put("before")
    with connect(admin) as session, connection.cursor() as ours:
        ours.execute("SELECT pg_backend_pid()")
        session.execute("SELECT pg_terminate_backend(%s, 5000)", ours.fetchone())
    before = shrinking.previous(BackupHistory(filename="x", environment="testing", database="shop", system_identifier="1"))
    assert before is not None
    assert key.endswith(before.filename)
