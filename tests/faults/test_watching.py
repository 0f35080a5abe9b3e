"""While a run lasts: it is seen to be alive, its row shows how far it is, and a wish to cancel it is heard.

And a run that is asked for by its row alone is made once, however often it is delivered.
"""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing

import pytest
from django.db import connections
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import history
from backups.backup import DatabaseBackup
from backups.exceptions import BegunError, CancelledError
from backups.models import BackupHistory
from backups.postgres import databases
from backups.types import Server
from tests.conftest import Gate, connect, until
from tests.faults.conftest import WIDE_SQL, Worker, assert_nothing_left, copy_of_wide_stands_still, running_row

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def wide(source: Server) -> Server:
    """The source, with a table in whose midst a dump can be made to stand still."""
    with connect(source) as session:
        session.execute(WIDE_SQL)
    return source


def cancel(row: BackupHistory) -> None:
    BackupHistory.objects.filter(id=row.id).update(cancel_requested_at=timezone.now())


def phase_of(row: BackupHistory) -> str | None:
    row.refresh_from_db()
    return (row.progress or {}).get("phase")


def test_the_row_of_a_run_shows_how_far_it_is(wide: Server, bucket: str, gate: Gate, start_worker: Callable[..., Worker]) -> None:
    worker = start_worker("db_backup", "seen", "--database", "source")
    with copy_of_wide_stands_still(wide, gate):
        row = running_row()
        until(lambda: phase_of(row) == "dumping")
        assert str(row.id) in databases.backups_alive(history.server())

    code, _out, err = worker.result()

    assert code == 0, err
    assert databases.backups_alive(history.server()) == set()


def test_a_command_whose_row_asks_to_cancel_ends_as_by_ctrl_c(
    wide: Server, bucket: str, backups_settings: Settings, admin: Server, gate: Gate, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker("db_backup", "unwanted", "--database", "source")
    with copy_of_wide_stands_still(wide, gate):
        row = running_row()
        cancel(row)

        code, _out, err = worker.result()

    assert code == 130, err
    row.refresh_from_db()
    assert row.status == "cancelled"
    assert_nothing_left(backups_settings, bucket, admin, row)


def test_a_run_in_a_process_that_listens_to_no_signal_is_cancelled_at_its_next_progress(
    source: Server,
    bucket: str,
    backups_settings: Settings,
    admin: Server,
    gate: Gate,
    meanwhile: Callable[[Callable[[], object]], Future[object]],
) -> None:
    def run() -> None:
        with closing(connections["default"]), pytest.raises(CancelledError, match="cancelled on request"):
            DatabaseBackup(description="unwanted", database="source").run()

    ended = meanwhile(run)
    gate.wait()
    row = running_row()
    cancel(row)
    until(lambda: phase_of(row) == "cancelling")
    gate.open()
    ended.result(timeout=60)

    row.refresh_from_db()
    assert row.status == "cancelled"
    assert_nothing_left(backups_settings, bucket, admin, row)


def test_a_queued_backup_is_made_by_whoever_has_its_row_and_made_once(source: Server, bucket: str) -> None:
    asked = DatabaseBackup(description="asked", database="source").request()
    assert asked.status == "pending"

    made = DatabaseBackup.of_row(BackupHistory.objects.get(id=asked.id)).run()

    assert (made.id, made.status, made.filename) == (asked.id, "succeeded", asked.filename)
    with pytest.raises(BegunError, match="or has ended"):
        DatabaseBackup.of_row(BackupHistory.objects.get(id=asked.id)).run()
    asked.refresh_from_db()
    assert asked.status == "succeeded"


def test_a_moment_of_a_schedule_has_one_backup(source: Server, bucket: str) -> None:
    DatabaseBackup(description="daily", database="source").request(slot="2026-11-23T01:30")

    with pytest.raises(BegunError, match="2026-11-23T01:30"):
        DatabaseBackup(description="daily", database="source").request(slot="2026-11-23T01:30")

    assert BackupHistory.objects.count() == 1


def test_a_queued_backup_waits_while_others_are_made(source: Server, bucket: str) -> None:
    asked = DatabaseBackup(description="asked", database="source").request()

    DatabaseBackup(description="other", database="source").run()

    asked.refresh_from_db()
    assert asked.status == "pending"
