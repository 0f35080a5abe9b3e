"""A real beat and a real worker: the scheduled backup is made once, at its time."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from backups.models import BackupHistory
from backups.schedules import TASK
from tests.conftest import until
from tests.workers.conftest import Workshop

pytestmark = pytest.mark.usefixtures("history", "bucket")
OPTIONS = '{"description": "nightly", "database": "source"}'


@pytest.fixture(autouse=True)
def no_other_schedules(history: None) -> None:
    """What the migrations made is there before a first test has flushed the tables."""
    PeriodicTask.objects.all().delete()
    PeriodicTasks.update_changed()  # as the migrations leave it


def all_ended() -> bool:
    rows = BackupHistory.objects.all()
    return rows.exists() and not rows.filter(status__in=("pending", "running")).exists()


def test_two_schedulers_that_fire_at_the_same_time_make_one_backup(redis_workshop: Workshop) -> None:
    worker = redis_workshop.worker()
    seconds = IntervalSchedule.objects.create(every=1, period="seconds")
    PeriodicTask.objects.create(name="Tending", task="backups.tasks.tend", interval=seconds)  # shows that a scheduler goes on
    schedulers = [redis_workshop.beat(), redis_workshop.beat()]
    until(lambda: all(beat.said("Starting...") for beat in schedulers), seconds=60)
    moment = timezone.now() + timedelta(minutes=1 if timezone.now().second < 45 else 2)
    crontab = CrontabSchedule.objects.create(hour=str(moment.hour), minute=str(moment.minute), timezone="UTC")
    task = PeriodicTask.objects.create(name="nightly", task=TASK, crontab=crontab, kwargs=OPTIONS)

    until(lambda: any(beat.said("Sending due task nightly") for beat in schedulers), seconds=180)
    lately = [beat.said("Sending due task Tending") for beat in schedulers]
    until(
        lambda: all(beat.said("Sending due task Tending") > had + 3 for beat, had in zip(schedulers, lately, strict=True)),
        seconds=60,
    )
    fired = sum(beat.said("Sending due task nightly") for beat in schedulers)  # by now each that will has: mostly both
    until(lambda: worker.said("scheduled_backup[") >= 2 * fired and all_ended(), seconds=60)  # each received and done

    (row,) = BackupHistory.objects.all()
    assert (row.status, row.backup_type) == ("succeeded", "scheduled")
    assert row.slot == f"schedule {task.pk} at {moment:%Y-%m-%dT%H:%M}"


def test_a_single_moment_has_its_backup_on_the_filesystem_transport(folder_workshop: Workshop) -> None:
    clocked = ClockedSchedule.objects.create(clocked_time=timezone.now() + timedelta(seconds=1))
    PeriodicTask.objects.create(name="once", task=TASK, clocked=clocked, one_off=True, kwargs=OPTIONS)
    folder_workshop.worker()
    beat = folder_workshop.beat()

    until(lambda: beat.said("Sending due task once") == 1 and all_ended(), seconds=60)

    (row,) = BackupHistory.objects.all()
    assert (row.status, row.backup_type) == ("succeeded", "scheduled")


def test_after_three_hours_without_a_scheduler_there_is_one_backup(folder_workshop: Workshop) -> None:
    before = timezone.now() - timedelta(hours=3)
    crontab = CrontabSchedule.objects.create(hour=str(before.hour), minute=str(before.minute), timezone="UTC")
    nightly = PeriodicTask.objects.create(name="nightly", task=TASK, crontab=crontab, kwargs=OPTIONS)
    PeriodicTask.objects.filter(pk=nightly.pk).update(last_run_at=before - timedelta(days=1))
    seconds = IntervalSchedule.objects.create(every=1, period="seconds")
    PeriodicTask.objects.create(name="Tending", task="backups.tasks.tend", interval=seconds)
    worker = folder_workshop.worker()

    folder_workshop.beat()
    until(all_ended, seconds=60)
    tended = worker.said("tasks.tend[")
    until(lambda: worker.said("tasks.tend[") > tended + 4, seconds=60)

    assert [row.status for row in BackupHistory.objects.all()] == ["succeeded"]
