"""icb db cancel: which run is meant, and what is said."""

import json

import pytest

from backups.backup import DatabaseBackup
from backups.exceptions import BegunError
from backups.models import BackupHistory, BackupRestore
from backups.types import Server
from tests.integration.conftest import Run

pytestmark = pytest.mark.usefixtures("history")


def test_a_queued_backup_never_begins(source: Server, bucket: str, run: Run) -> None:
    row = DatabaseBackup(description="asked", database="source").request()

    told = run("db_cancel", str(row.id)[:8], "--json")

    assert json.loads(told.out) == {"id": str(row.id), "kind": "backup", "name": row.filename, "was_queued": True}
    row.refresh_from_db()
    assert (row.status, row.error_message) == ("cancelled", "It was cancelled before it began.")
    with pytest.raises(BegunError):
        DatabaseBackup.of_row(row).run()


def test_what_has_ended_is_not_cancelled(source: Server, bucket: str, run: Run) -> None:
    row = DatabaseBackup(description="done", database="source").run()

    refused = run("db_cancel", row.filename)

    assert refused.code == 3
    assert f"The backup {row.filename} is not running: it has ended." in refused.err
    assert BackupHistory.objects.get(id=row.id).cancel_requested_at is None


def test_what_does_not_exist_is_said_so(bucket: str, run: Run) -> None:
    missing = run("db_cancel", "backup-2020")
    assert missing.code == 1
    assert "No run of the environment testing is called backup-2020." in missing.err


def test_where_several_fit_their_ids_are_shown(source: Server, bucket: str, run: Run) -> None:
    rows = [DatabaseBackup(description=word, database="source").request() for word in ("one", "two")]

    several = run("db_cancel", "backup-")

    assert several.code == 2
    assert all(str(row.id) in several.err for row in rows)
    assert set(BackupHistory.objects.values_list("status", flat=True)) == {"pending"}


def test_a_restore_is_found_by_its_id(bucket: str, run: Run) -> None:
    row = BackupRestore.objects.create(
        status="running", target_host="h", target_port=1, target_database="shop", target_environment="testing"
    )

    assert "Asked to stop: the restore shop" in run("db_cancel", str(row.id)).out

    row.refresh_from_db()
    assert row.cancel_requested_at is not None


def test_latest_is_the_newest_run_that_has_not_ended(source: Server, bucket: str, run: Run) -> None:
    backup = DatabaseBackup(description="older", database="source").request()
    restore = BackupRestore.objects.create(
        status="running", target_host="h", target_port=1, target_database="shop", target_environment="testing"
    )
    BackupRestore.objects.create(
        status="succeeded", target_host="h", target_port=1, target_database="ended", target_environment="testing"
    )

    assert "Asked to stop: the restore shop" in run("db_cancel", "latest").out

    restore.refresh_from_db()
    backup.refresh_from_db()
    assert (restore.cancel_requested_at is not None, backup.status) == (True, "pending")


def test_where_nothing_runs_there_is_no_latest(source: Server, bucket: str, run: Run) -> None:
    DatabaseBackup(description="done", database="source").run()

    refused = run("db_cancel", "latest")

    assert refused.code == 1
    assert "Nothing runs or is queued in the environment testing, so there is nothing to cancel." in refused.err
