"""What a real worker makes of messages about backups: each row is carried out once, or has an end that says why not."""

import os
import signal
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.cancelling import cancel
from backups.models import BackupHistory, Heartbeat
from backups.types import Server
from tests.conftest import Gate, keys_in, keys_of, until
from tests.faults.conftest import assert_nothing_left, sessions_of
from tests.workers.conftest import Workshop

pytestmark = pytest.mark.usefixtures("history")
NOT_WAITING = "is not waiting to be made"


def asked(description: str = "asked") -> BackupHistory:
    return DatabaseBackup(description=description, database="source").request()


def has_ended(row: BackupHistory) -> bool:
    row.refresh_from_db()
    return row.status not in ("pending", "running")


def phase_of(row: BackupHistory) -> str:
    row.refresh_from_db()
    return str(row.progress.get("phase", ""))


def test_a_message_that_comes_twice_makes_one_backup(
    bucket: str, workshop: Workshop, backups_settings: Settings, source: Server
) -> None:
    row = asked()
    for _ in range(2):
        workshop.send("make_backup", str(row.id))
    worker = workshop.worker("backups")

    until(lambda: worker.said("make_backup[") >= 4, seconds=60)  # received and succeeded, twice

    row.refresh_from_db()
    assert (row.status, BackupHistory.objects.count()) == ("succeeded", 1)
    assert worker.said(NOT_WAITING) + worker.said("is being made already") == 1
    assert sorted(keys_in(backups_settings, bucket)) == sorted(keys_of(row))


def test_progress_is_on_the_row_while_the_worker_is_at_it(bucket: str, gate: Gate, folder_workshop: Workshop) -> None:
    row = asked()
    folder_workshop.send("make_backup", str(row.id))
    folder_workshop.worker("backups")
    gate.wait()

    until(lambda: phase_of(row) == "taking the snapshot")
    gate.open()
    until(lambda: has_ended(row), seconds=60)
    assert row.status == "succeeded"


def test_a_backup_that_a_worker_makes_is_cancelled_by_its_row_also_where_nothing_moves(
    bucket: str, gate: Gate, folder_workshop: Workshop, backups_settings: Settings, admin: Server
) -> None:
    row = asked()
    folder_workshop.send("make_backup", str(row.id))
    worker = folder_workshop.worker("backups")
    gate.wait()

    cancel(str(row.id))
    until(lambda: has_ended(row), seconds=60)

    assert row.status == "cancelled"
    assert_nothing_left(backups_settings, bucket, admin, row)
    gate.open()
    after = asked("after")
    folder_workshop.send("make_backup", str(after.id))  # the same worker goes on
    until(lambda: has_ended(after), seconds=60)
    assert (after.status, worker.process.poll()) == ("succeeded", None)


@pytest.mark.parametrize("victim", ["the process that dumps", "the whole worker"])
def test_a_killed_worker_s_backup_is_failed_and_leaves_nothing_and_does_not_begin_again(
    victim: str, bucket: str, gate: Gate, workshop: Workshop, backups_settings: Settings, admin: Server
) -> None:
    row = asked()
    workshop.send("make_backup", str(row.id))
    worker = workshop.worker("backups")
    gate.wait()
    if victim == "the whole worker":
        os.killpg(worker.process.pid, signal.SIGKILL)
    else:
        for pid in worker.children():
            os.kill(pid, signal.SIGKILL)
    until(lambda: sessions_of(admin, f"backup:{row.id}") == 0)

    gate.open()
    upkeep = workshop.worker("upkeep")
    workshop.send("tend", queue="upkeep")
    until(lambda: has_ended(row), seconds=60)

    assert row.status == "failed"
    assert "worker was lost" in row.error_message
    assert_nothing_left(backups_settings, bucket, admin, row)
    workshop.send("make_backup", str(row.id))  # as a broker does that has not heard that it is done
    again = workshop.worker("backups")
    until(lambda: worker.said(NOT_WAITING) + again.said(NOT_WAITING) >= 1, seconds=60)  # whichever takes it
    row.refresh_from_db()
    assert (row.status, upkeep.process.poll()) == ("failed", None)


def test_a_row_whose_message_was_lost_is_handed_out_again(bucket: str, workshop: Workshop) -> None:
    row = asked()
    BackupHistory.objects.filter(id=row.id).update(created_at=timezone.now() - timedelta(minutes=10))
    workshop.worker()

    workshop.send("tend", queue="upkeep")

    until(lambda: has_ended(row), seconds=60)
    assert row.status == "succeeded"


def test_a_queued_backup_of_a_database_that_is_not_configured_any_more_fails_and_says_so(
    bucket: str, folder_workshop: Workshop
) -> None:
    row = asked()
    BackupHistory.objects.filter(id=row.id).update(alias="gone")
    folder_workshop.send("make_backup", str(row.id))
    folder_workshop.worker("backups")

    until(lambda: has_ended(row), seconds=60)

    assert row.status == "failed"
    assert "There is no database alias 'gone'" in row.error_message


def test_workers_and_scheduler_show_that_they_are_alive(bucket: str, folder_workshop: Workshop) -> None:
    Heartbeat.objects.all().delete()
    folder_workshop.worker()
    folder_workshop.send("tend", queue="upkeep")
    folder_workshop.send("pulse")
    until(lambda: Heartbeat.objects.count() == 3, seconds=60)
    assert set(Heartbeat.objects.values_list("name", flat=True)) == {"scheduler", "queue:backups", "queue:upkeep"}


def test_a_worker_that_is_told_to_stop_ends_its_backup_first(bucket: str, gate: Gate, folder_workshop: Workshop) -> None:
    row = asked()
    folder_workshop.send("make_backup", str(row.id))
    worker = folder_workshop.worker("backups")
    gate.wait()

    worker.process.send_signal(signal.SIGTERM)
    until(lambda: worker.said("Warm shutdown") == 1)
    gate.open()
    worker.process.wait(timeout=60)

    row.refresh_from_db()
    assert row.status == "succeeded"


def test_a_worker_that_must_stop_at_once_cancels_its_backup_and_leaves_nothing(
    bucket: str, gate: Gate, folder_workshop: Workshop, backups_settings: Settings, admin: Server
) -> None:
    row = asked()
    folder_workshop.send("make_backup", str(row.id))
    worker = folder_workshop.worker("backups")
    gate.wait()

    worker.process.send_signal(signal.SIGQUIT)
    worker.process.wait(timeout=60)
    until(lambda: has_ended(row))

    assert row.status == "cancelled"
    assert_nothing_left(backups_settings, bucket, admin, row)
