"""Runs that died get their final state without waiting for the next run, and runs that are alive keep theirs."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.models import BackupHistory, BackupRestore
from backups.postgres import databases
from backups.tending import tend
from backups.types import Server
from tests.conftest import Gate, connect, until
from tests.faults.conftest import Worker, assert_nothing_left, running_row, sessions_of

pytestmark = pytest.mark.usefixtures("history")


def test_a_backup_whose_worker_was_killed_is_failed_and_leaves_nothing(
    source: Server, bucket: str, backups_settings: Settings, admin: Server, gate: Gate, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker("db_backup", "killed", "--database", "source")
    gate.wait()
    row = running_row()
    worker.kill()
    until(lambda: sessions_of(admin, f"backup:{row.id}") == 0)

    tended = tend()

    assert ([run.id for run in tended.backups], tended.problems) == ([row.id], [])
    row.refresh_from_db()
    assert row.status == "failed"
    assert "worker was lost" in row.error_message
    assert_nothing_left(backups_settings, bucket, admin, row)
    assert tend().backups == []


def test_a_backup_that_is_at_work_is_left_alone_and_a_queued_one_waits(
    source: Server, bucket: str, gate: Gate, start_worker: Callable[..., Worker]
) -> None:
    asked = DatabaseBackup(description="asked", database="source").request()
    worker = start_worker("db_backup", "alive", "--database", "source")
    gate.wait()

    tended = tend()
    gate.open()

    assert (tended.backups, tended.problems) == ([], [])
    code, _out, err = worker.result()
    assert code == 0, err
    asked.refresh_from_db()
    assert asked.status == "pending"


def test_a_run_that_says_no_longer_that_it_is_alive_is_left_alone_while_it_has_its_lock(
    source: Server, bucket: str, admin: Server, gate: Gate, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker("db_backup", "alive", "--database", "source")
    gate.wait()
    row = running_row()
    with connect(admin) as session:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
        assert session.execute(query, [f"backup alive:{row.id}"]).fetchall() == [(True,)]
    until(lambda: sessions_of(admin, "backup alive:") == 0)

    tended = tend()
    gate.open()

    assert (tended.backups, tended.problems) == ([], [])
    code, _out, err = worker.result()
    assert code == 0, err
    row.refresh_from_db()
    assert row.status == "succeeded"


def test_a_dead_restore_is_failed_and_its_staging_database_is_dropped(source: Server, admin: Server, bucket: str) -> None:
    with connect(admin) as session:
        (cluster,) = session.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone() or ("",)
    lost = BackupRestore.objects.create(
        status="running",
        target_host=admin.host,
        target_port=admin.port,
        target_system_identifier=cluster,
        target_database=source.database,
    )
    staging = replace(admin, database=databases.staging_name(source.database, run_id=str(lost.id)))
    databases.create(staging)

    tended = tend()

    assert [run.id for run in tended.restores] == [lost.id]
    lost.refresh_from_db()
    assert lost.status == "failed"
    with connect(admin) as session:
        assert session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [staging.database]).fetchone() is None


def test_a_restore_that_is_alive_keeps_its_state(source: Server, admin: Server, bucket: str) -> None:
    run = BackupRestore.objects.create(
        status="running", target_host=admin.host, target_port=admin.port, target_database=source.database
    )
    with databases.restoring(admin, run_id=str(run.id)):
        assert tend().restores == []


def test_a_server_that_is_away_is_a_problem_and_holds_nothing_else_up(
    source: Server, admin: Server, bucket: str, register_alias: Callable[[str, Server], None]
) -> None:
    away = replace(source, port=1, database="away")
    register_alias("away", away)
    for database in ("away", source.database):
        BackupHistory.objects.create(
            filename=f"backup-2026-01-01T0000-{database[:6]}.dump",
            environment="testing",
            database=database,
            status="pending",
            created_at="2026-01-01T00:00:00Z",
            started_at="2026-01-01T00:00:01Z",
        )

    tended = tend()

    assert [run.database for run in tended.backups] == [source.database]
    (problem,) = tended.problems
    assert problem.startswith(f"{away.address}: ")
