"""The history survives a restore of the database that it lives in."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import connection as site
from django.db.migrations.loader import MigrationLoader
from psycopg import sql
from psycopg.types.json import Jsonb

from backups import carry_over
from backups.carry_over import apply, capture, from_manifests, row_of
from backups.exceptions import HistoryError
from backups.models import BackupHistory, BackupRestore
from backups.types import Locale, Manifest, Server, Snapshot, TableRows
from tests.conftest import connect

MADE = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
TABLES = {BackupHistory: sql.Identifier("admin", "backup_history"), BackupRestore: sql.Identifier("admin", "backup_restore")}


@pytest.fixture
def schema(db: None) -> str:
    """The SQL that makes the history's tables."""
    names = sorted(name for app, name in MigrationLoader(site).graph.nodes if app == "backups")
    out = StringIO()
    for name in names:
        call_command("sqlmigrate", "backups", name, stdout=out, no_color=True)
    return out.getvalue()


@pytest.fixture
def with_history(make_database: Callable[..., Server], schema: str) -> Callable[[], Server]:
    """Makes a database with an empty history."""

    def make() -> Server:
        server = make_database()
        with connect(server) as connection:
            connection.execute(schema.encode())
        return server

    return make


@pytest.fixture
def live(with_history: Callable[[], Server]) -> Server:
    """The database that will be replaced."""
    return with_history()


@pytest.fixture
def staged(with_history: Callable[[], Server]) -> Server:
    """The database that will take its place."""
    return with_history()


def backup(name: str = "nightly", *, at: datetime = MADE, **given: Any) -> BackupHistory:
    """A row of a backup, not saved."""
    filename = f"backup-{at:%Y-%m-%dT%H%M}-{name}.dump"
    values = {"status": "succeeded", "environment": "testing", "database": "site", "created_at": at, "started_at": at} | given
    return BackupHistory(filename=filename, description=name, **values)


def restore(of: BackupHistory | None = None, **given: Any) -> BackupRestore:
    """A row of a restore, not saved."""
    values = {"status": "succeeded", "created_at": MADE, "target_host": "db", "target_port": 5432, "target_database": "site"}
    return BackupRestore(backup=of, source_key="testing/postgres/x.dump", target_environment="testing", **(values | given))


def columns_of(row: BackupHistory | BackupRestore) -> dict[str, Any]:
    return {field.column: getattr(row, field.attname) for field in row._meta.concrete_fields}


def add(server: Server, *rows: BackupHistory | BackupRestore) -> None:
    with connect(server) as connection:
        for row in rows:
            given = {name: Jsonb(value) if isinstance(value, dict | list) else value for name, value in columns_of(row).items()}
            connection.execute(
                sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                    TABLES[type(row)],
                    sql.SQL(", ").join(map(sql.Identifier, given)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(given)),
                ),
                list(given.values()),
            )


def do(server: Server, *statements: str) -> None:
    with connect(server) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def rows(server: Server, kind: type = BackupHistory) -> dict[UUID, dict[str, Any]]:
    with connect(server) as connection:
        found = connection.execute(sql.SQL("SELECT id, to_jsonb(t.*) FROM {} t").format(TABLES[kind])).fetchall()
    return dict(found)  # type: ignore[arg-type]


def manifest_of(row: BackupHistory, **given: Any) -> Manifest:
    snapshot = Snapshot(
        tables=(TableRows(schema="shop", table="customer", rows=200, bytes=8192),),
        database_size_bytes=1 << 20,
        server_version="17.6",
        server_version_num=170006,
        system_identifier="7330000000000000000",
        encoding="UTF8",
        locale=Locale(collate="C", ctype="C"),
        extensions=(("plpgsql", "1.0"),),
        migrations=("backups.0001_initial",),
        roles=("icb",),
    )
    values: dict[str, Any] = {
        "id": row.id,
        "filename": row.filename,
        "description": row.description,
        "backup_type": str(row.backup_type),
        "environment": row.environment,
        "database": row.database,
        "started_at": MADE,
        "finished_at": MADE + timedelta(seconds=90),
        "size_bytes": 4096,
        "checksum": "ab" * 32,
        "bucket": "backups",
        "key": f"{row.environment}/postgres/{row.filename}",
        "pg_dump_version": "17.6",
        "compression": "zstd",
        "application_version": "abc123",
        "triggered_by": "chris",
        "snapshot": snapshot,
    }
    return Manifest(**(values | given))


def carry(live: Server, staged: Server, folder: Path, **given: Any) -> list[str]:
    """What happens before a swap."""
    return apply(staged, capture(live, folder=folder), **({"own": None, "restored": None} | given))


# What the present history knows gets in


def test_rows_that_were_written_after_the_backup_are_carried_over_whole(live: Server, staged: Server, tmp_path: Path) -> None:
    old, new = backup("old"), backup("new", at=MADE + timedelta(hours=1), table_snapshot={"tables": [{"rows": 3}]}, size_bytes=9)
    add(live, old, new, restore(new, comparison_report={"tables": 3}, load_seconds=0.1))
    add(staged, old)

    told = carry(live, staged, tmp_path)

    assert rows(staged) == rows(live)
    assert rows(staged, BackupRestore) == rows(live, BackupRestore)
    assert told == ["2 rows of the history written since the backup: carried over."]


def test_a_row_that_changed_after_the_backup_is_as_the_present_history_has_it(
    live: Server, staged: Server, tmp_path: Path
) -> None:
    row = backup()
    add(staged, row)
    row.deleted_at = MADE + timedelta(days=30)
    add(live, row)

    carry(live, staged, tmp_path)

    assert rows(staged) == rows(live)


def test_what_only_the_restored_history_knows_stays(live: Server, staged: Server, tmp_path: Path) -> None:
    only_there = backup("elsewhere", environment="production")
    add(staged, only_there)

    assert carry(live, staged, tmp_path) == []
    assert set(rows(staged)) == {only_there.id}


def test_the_running_restore_arrives_in_the_state_that_it_will_reach(live: Server, staged: Server, tmp_path: Path) -> None:
    made = backup()
    running = restore(made, status="running", started_at=MADE)
    add(live, made, running)
    own = columns_of(running) | {"status": "succeeded", "finished_at": MADE + timedelta(minutes=1, microseconds=7)}

    carry(live, staged, tmp_path, own=own)

    arrived = rows(staged, BackupRestore)[running.id]
    assert (arrived["status"], arrived["backup_id"]) == ("succeeded", str(made.id))
    assert datetime.fromisoformat(arrived["finished_at"]) == own["finished_at"]


def test_carrying_twice_changes_nothing(live: Server, staged: Server, tmp_path: Path) -> None:
    made = backup()
    add(live, made, restore(made))
    carry(live, staged, tmp_path)
    before = rows(staged), rows(staged, BackupRestore)

    assert carry(live, staged, tmp_path) == []
    assert (rows(staged), rows(staged, BackupRestore)) == before


def test_hundreds_of_large_rows_are_carried(live: Server, staged: Server, tmp_path: Path) -> None:
    made = backup(table_snapshot={"tables": [{"schema": "public", "table": f"table_{n}", "rows": n} for n in range(1500)]})
    add(live, made)
    do(
        live,
        "INSERT INTO admin.backup_history SELECT (jsonb_populate_record(t, jsonb_build_object("
        "'id', gen_random_uuid(), 'filename', 'backup-' || n))).* FROM admin.backup_history t, generate_series(1, 400) n",
    )

    told = carry(live, staged, tmp_path)

    assert told == ["401 rows of the history written since the backup: carried over."]
    assert (tmp_path / "history.jsonl").stat().st_size > 20 << 20


# Nothing comes back as running


def test_the_backup_that_runs_in_its_own_dump_is_the_success_that_its_manifest_proves(staged: Server) -> None:
    own_dump = backup(status="running", upload_id="an upload", triggered_by_id=7)
    add(staged, own_dump)

    apply(staged, None, own=None, restored=manifest_of(own_dump))

    row = rows(staged)[own_dump.id]
    assert (row["status"], row["upload_id"], row["checksum"], row["size_bytes"]) == ("succeeded", "", "ab" * 32, 4096)
    assert row["table_snapshot"]["total"] == {"tables": 1, "rows": 200, "bytes": 8192}
    assert (row["duration_seconds"], row["triggered_by_id"]) == (90, 7)


def test_a_manifest_never_replaces_what_the_present_history_knows_of_a_backup(
    live: Server, staged: Server, tmp_path: Path
) -> None:
    made = backup(local_path="/backups/x", checksum="cd" * 32)
    add(live, made)
    made.status = "running"
    add(staged, made)

    carry(live, staged, tmp_path, restored=manifest_of(made))

    assert rows(staged) == rows(live)


def test_the_restored_backup_is_a_success_also_where_its_worker_could_not_say_so(
    live: Server, staged: Server, tmp_path: Path
) -> None:
    made = backup(status="running")
    add(live, made)
    add(staged, made)

    carry(live, staged, tmp_path, restored=manifest_of(made))

    assert rows(staged)[made.id]["status"] == "succeeded"


@pytest.mark.parametrize("status", ["running", "pending"])
def test_runs_that_nobody_knows_to_be_alive_are_failures(live: Server, staged: Server, tmp_path: Path, status: str) -> None:
    lost, lost_restore = backup(status=status, upload_id="an upload"), restore(status=status)
    add(staged, lost, lost_restore)

    told = carry(live, staged, tmp_path)

    row = rows(staged)[lost.id]
    assert (row["status"], rows(staged, BackupRestore)[lost_restore.id]["status"]) == ("failed", "failed")
    assert row["error_message"].startswith("The worker was lost: its process ended without a word.\nSeen at 20")
    assert (row["upload_id"], row["finished_at"] is None) == ("an upload", False)
    assert told == ["2 runs were under way when the backup was made; marked as failed."]


def test_runs_that_are_alive_elsewhere_stay_alive(live: Server, staged: Server, tmp_path: Path) -> None:
    alive, new = backup("alive", status="running", upload_id="a newer upload"), backup("new", status="pending")
    add(live, alive, new)
    alive.upload_id = ""
    add(staged, alive)

    carry(live, staged, tmp_path)

    assert rows(staged) == rows(live)


def test_a_run_that_has_ended_meanwhile_never_runs_again(live: Server, staged: Server, tmp_path: Path) -> None:
    run = backup(status="running")
    add(live, run)
    run.status = "succeeded"
    add(staged, run)

    carry(live, staged, tmp_path, in_use=True)

    assert rows(staged)[run.id]["status"] == "succeeded"


def test_a_run_that_began_after_the_swap_is_left_alone(live: Server, staged: Server, tmp_path: Path) -> None:
    begun = backup(status="running")
    add(staged, begun)

    carry(live, staged, tmp_path, in_use=True)

    assert rows(staged)[begun.id]["status"] == "running"


def test_a_deleted_backup_stays_deleted_when_late_rows_are_carried(live: Server, staged: Server, tmp_path: Path) -> None:
    made = backup(error_message="differs")
    add(live, made)
    made.deleted_at, made.error_message = MADE + timedelta(days=1), ""
    add(staged, made)

    carry(live, staged, tmp_path, in_use=True)

    assert rows(staged)[made.id]["deleted_at"] is not None


# Two backups of one name


def test_of_two_backups_of_one_name_the_present_history_keeps_its_own(live: Server, staged: Server, tmp_path: Path) -> None:
    ours, theirs = backup(), backup(environment="production")
    of_theirs = restore(theirs)
    add(live, ours, restore(ours))
    add(staged, theirs, of_theirs)

    told = carry(live, staged, tmp_path)

    assert rows(staged) == rows(live)
    assert rows(staged, BackupRestore)[of_theirs.id]["backup_id"] is None
    assert told[-1] == f"{ours.filename}: row {theirs.id} of the restored history gave way to {ours.id} of the present one."


def test_a_manifest_never_displaces_a_row_of_the_same_name(staged: Server, tmp_path: Path) -> None:
    theirs = backup(environment="production")
    add(staged, theirs)

    told = apply(staged, from_manifests([manifest_of(backup())], folder=tmp_path), own=None, restored=None)

    assert set(rows(staged)) == {theirs.id}
    assert theirs.filename in told[-1]


def test_a_run_that_began_after_the_swap_keeps_its_name(live: Server, staged: Server, tmp_path: Path) -> None:
    late, begun = backup(), backup(status="running")
    add(live, late)
    add(staged, begun)

    told = carry(live, staged, tmp_path, in_use=True)

    assert set(rows(staged)) == {begun.id}
    assert told == [f"{late.filename}: {late.id} is not in the history, because {begun.id} has its name there."]


# Schemas that differ


def test_an_older_schema_takes_what_it_has_columns_for(live: Server, staged: Server, tmp_path: Path) -> None:
    made = backup(manifest_etag="an etag")
    add(live, made)
    do(staged, "ALTER TABLE admin.backup_history DROP COLUMN manifest_etag, DROP COLUMN deleted_at")

    carry(live, staged, tmp_path)

    expected = rows(live)[made.id]
    del expected["manifest_etag"], expected["deleted_at"]
    assert rows(staged) == {made.id: expected}


def test_a_newer_schema_fills_its_own_columns_with_their_default_or_with_nothing(
    live: Server, staged: Server, tmp_path: Path
) -> None:
    made = backup()
    add(live, made)
    do(
        staged,
        """ALTER TABLE admin.backup_history
             ADD COLUMN kind text NOT NULL DEFAULT 'whole', ADD COLUMN note varchar(20) NOT NULL, ADD COLUMN score float NOT NULL,
             ADD COLUMN checked boolean NOT NULL, ADD COLUMN proof jsonb NOT NULL, ADD COLUMN seen_at timestamptz NOT NULL,
             ADD COLUMN tags text[] NOT NULL, ADD COLUMN run uuid NOT NULL, ADD COLUMN day date NOT NULL, ADD COLUMN free text,
             ADD COLUMN length int GENERATED ALWAYS AS (length(filename)) STORED,
             ADD COLUMN serial bigint GENERATED ALWAYS AS IDENTITY""",
    )

    carry(live, staged, tmp_path)

    row = rows(staged)[made.id]
    added = {name: row[name] for name in row.keys() - rows(live)[made.id].keys()}
    assert datetime.fromisoformat(added.pop("seen_at")) == MADE
    assert added == {
        "kind": "whole", "note": "", "score": 0, "checked": False, "proof": {}, "tags": [], "run": str(made.id),
        "day": "2026-11-20", "free": None, "length": len(made.filename), "serial": 1,
    }  # fmt: skip


def test_columns_that_only_the_restored_schema_has_keep_their_values(live: Server, staged: Server, tmp_path: Path) -> None:
    made = backup(size_bytes=1)
    add(staged, made)
    do(staged, "ALTER TABLE admin.backup_history ADD COLUMN note text NOT NULL DEFAULT 'known'")
    made.size_bytes = 2
    add(live, made)

    carry(live, staged, tmp_path)

    assert [(row["size_bytes"], row["note"]) for row in rows(staged).values()] == [(2, "known")]


def test_a_schema_that_differs_does_not_make_old_rows_look_new(live: Server, staged: Server, tmp_path: Path) -> None:
    made = backup()
    add(live, made)
    add(staged, made)
    do(staged, "ALTER TABLE admin.backup_history ADD COLUMN note text")

    assert carry(live, staged, tmp_path) == []


def test_a_row_that_does_not_fit_stays_out_and_is_told_while_the_others_arrive(
    live: Server, staged: Server, tmp_path: Path
) -> None:
    fits, too_long = backup("fits"), backup("too-long", postgres_version="17.6 (a distribution of its own)")
    add(live, too_long, fits, restore(too_long))
    do(staged, "ALTER TABLE admin.backup_history ALTER COLUMN postgres_version TYPE varchar(10)")

    told = carry(live, staged, tmp_path)

    assert set(rows(staged)) == {fits.id}
    assert [row["backup_id"] for row in rows(staged, BackupRestore).values()] == [None]
    assert told[-1] == (
        f"1 row of the history could not be carried over:\n{too_long.filename}: value too long for type character varying(10)"
    )


def test_a_backup_that_is_older_than_the_history_is_restored_without_one(
    live: Server, make_database: Callable[..., Server], tmp_path: Path
) -> None:
    add(live, backup())

    (told,) = carry(live, make_database(), tmp_path, own=columns_of(restore()), restored=manifest_of(backup()))

    assert "nothing was carried over" in told
    assert "icb manage migrate" in told


def test_a_database_that_never_had_a_history_is_nothing_to_tell_where_the_history_is_elsewhere(
    make_database: Callable[..., Server],
) -> None:
    assert apply(make_database(), None, own=None, restored=manifest_of(backup())) == []


# What can't be read


def test_a_history_that_is_not_there_is_told(staged: Server, make_database: Callable[..., Server], tmp_path: Path) -> None:
    never_migrated = make_database()

    captured = capture(never_migrated, folder=tmp_path)

    assert f"admin.backup_history of {never_migrated.database} could not be read whole: " in captured.problem
    assert captured.problem in apply(staged, captured, own=None, restored=None)


def test_a_history_that_may_not_be_read_is_told(live: Server, staged: Server, tmp_path: Path) -> None:
    role = f"r_{uuid4().hex[:12]}"
    do(live, f"CREATE ROLE {role} LOGIN PASSWORD 'a password'")
    try:
        captured = capture(replace(live, user=role, password="a password"), folder=tmp_path)
    finally:
        do(live, f"DROP ROLE {role}")

    assert "permission denied for schema admin" in captured.problem


def test_the_table_that_can_be_read_is_carried_where_the_other_can_not(live: Server, staged: Server, tmp_path: Path) -> None:
    made = backup()
    add(live, made)
    do(live, "DROP TABLE admin.backup_restore")

    told = carry(live, staged, tmp_path)

    assert set(rows(staged)) == {made.id}
    assert "admin.backup_restore" in told[0]


def test_a_scratch_folder_that_can_not_be_written_stops_the_restore(live: Server, tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="could not be put aside"):
        capture(live, folder=tmp_path / "not there")


# Where the database is gone


def test_rows_newer_than_the_backup_are_made_from_manifests(staged: Server, tmp_path: Path) -> None:
    restored, newer = backup(status="running"), backup("newer", at=MADE + timedelta(hours=1))
    add(staged, restored)
    manifests = [manifest_of(newer), manifest_of(restored), manifest_of(newer)]  # in two stores

    told = apply(staged, from_manifests(manifests, folder=tmp_path), own=None, restored=manifests[1])

    made = rows(staged)
    assert {row["status"] for row in made.values()} == {"succeeded"}
    expected = json.loads(json.dumps(row_of(manifests[0]), default=str))
    moments = {"created_at", "started_at", "finished_at"}
    assert {name: made[newer.id][name] for name in expected if name not in moments} == {
        name: value for name, value in expected.items() if name not in moments
    }
    assert datetime.fromisoformat(made[newer.id]["finished_at"]) == manifests[0].finished_at
    assert told == ["2 rows of the history written since the backup: carried over."]


def test_a_manifest_leaves_a_row_alone_that_knows_more(staged: Server, tmp_path: Path) -> None:
    made = backup(triggered_by_id=7, local_path="/backups/x", deleted_at=MADE, checksum="cd" * 32)
    add(staged, made)
    before = rows(staged)

    apply(staged, from_manifests([manifest_of(made)], folder=tmp_path), own=None, restored=None)

    assert rows(staged) == before


def test_the_row_of_a_manifest_is_one_that_the_model_takes() -> None:
    row = BackupHistory(**row_of(manifest_of(backup(), bucket="", key="testing/postgres/x.dump")))

    assert (row.s3_key, row.triggered_by_id, row.duration_seconds) == ("", None, 90)


# What hangs onto the tables


def test_triggers_and_rules_of_the_dump_do_not_run_and_are_as_before(live: Server, staged: Server, tmp_path: Path) -> None:
    add(live, backup())
    do(
        staged,
        "CREATE TABLE ran (what text)",
        "CREATE FUNCTION run() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO public.ran VALUES (TG_NAME); RETURN NEW; END $$",
        *(
            f"CREATE TRIGGER t_{state} BEFORE INSERT ON admin.backup_history FOR EACH ROW EXECUTE FUNCTION run()"
            for state in "oard"
        ),
        "ALTER TABLE admin.backup_history ENABLE ALWAYS TRIGGER t_a",
        "ALTER TABLE admin.backup_history ENABLE REPLICA TRIGGER t_r",
        "ALTER TABLE admin.backup_history DISABLE TRIGGER t_d",
        "CREATE RULE rule AS ON INSERT TO admin.backup_history DO ALSO INSERT INTO public.ran VALUES ('rule')",
    )

    carry(live, staged, tmp_path)

    with connect(staged) as connection:
        assert connection.execute("SELECT what FROM ran").fetchall() == []
        states = "SELECT tgname, tgenabled FROM pg_trigger WHERE tgname LIKE 't\\__' ORDER BY 1"
        assert connection.execute(states).fetchall() == [("t_a", "A"), ("t_d", "D"), ("t_o", "O"), ("t_r", "R")]
        assert connection.execute("SELECT ev_enabled FROM pg_rewrite WHERE rulename = 'rule'").fetchall() == [("O",)]
    assert len(rows(staged)) == 1


def test_a_view_that_bears_the_name_is_no_history(live: Server, staged: Server, tmp_path: Path) -> None:
    add(live, backup())
    do(staged, "ALTER TABLE admin.backup_history RENAME TO real", "CREATE VIEW admin.backup_history AS SELECT * FROM admin.real")

    assert "no table for it" in carry(live, staged, tmp_path)[0]
    assert rows(staged) == {}


def test_the_files_of_a_capture_are_in_the_folder_that_was_given(live: Server, tmp_path: Path) -> None:
    add(live, backup())

    captured: carry_over.Captured = capture(live, folder=tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("audit.jsonl", "history.jsonl", "incidents.jsonl", "restores.jsonl", "tokens.jsonl")
    ]
    assert len(captured.history.read_text().splitlines()) == 1
