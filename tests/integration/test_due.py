"""Scheduled backups are asked for once for each moment, by whoever looks first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from django_celery_beat.schedulers import ModelEntry
from pytest_django.fixtures import Settings

from backups.due import request_due
from backups.models import BackupHistory
from backups.schedules import TASK, backup_schedules
from backups.types import Server

pytestmark = pytest.mark.usefixtures("history", "source", "bucket")

Nightly = Callable[..., PeriodicTask]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def nightly(history: None) -> Nightly:
    """The only schedule: for 01:30, made on the first of November, as beat has it after it has fired in the night of the 24th."""
    PeriodicTask.objects.all().delete()  # of the migrations, whose tables no test before has flushed

    def make(*, zone: str = "UTC", fired: str = "2026-11-24T01:30", **fields: Any) -> PeriodicTask:
        crontab = CrontabSchedule.objects.create(hour="1", minute="30", timezone=zone)
        options = '{"description": "nightly", "database": "source"}'
        task = PeriodicTask.objects.create(**{"name": "nightly", "task": TASK, "crontab": crontab, "kwargs": options, **fields})
        last_run_at = utc(fired) if fired else None
        PeriodicTask.objects.filter(pk=task.pk).update(date_changed=utc("2026-11-01T00:00"), last_run_at=last_run_at)
        return task

    return make


@pytest.fixture
def served(nightly: Nightly, source: Server) -> BackupHistory:
    """The nightly schedule, and its backup of the 24th."""
    task = nightly()
    return BackupHistory.objects.create(
        filename="backup-2026-11-24T0130-nightly.dump",
        environment="testing",
        database=source.database,
        slot=f"schedule {task.pk} at 2026-11-24T01:30",
        status="succeeded",
        created_at=utc("2026-11-24T01:30:01"),
        finished_at=utc("2026-11-24T01:31"),
    )


def requested(*, fired: str = "") -> list[str]:
    """The moments for which a backup is asked now."""
    return [row.slot.partition(" at ")[2] for row in request_due(fired=fired).requested]


def at(text: str) -> time_machine.travel:
    return time_machine.travel(utc(text), tick=False)


@pytest.mark.usefixtures("served")
def test_nothing_is_due_before_its_time() -> None:
    with at("2026-11-25T01:29:59"):
        assert requested() == []


@pytest.mark.usefixtures("served")
def test_at_its_time_a_row_is_made_as_the_schedule_says(source: Server) -> None:
    with at("2026-11-25T01:30"):
        (row,) = request_due(fired="nightly").requested
    assert (row.backup_type, row.status, row.description, row.alias) == ("scheduled", "pending", "nightly", "source")
    assert (row.database, bool(row.s3_key), row.local_path) == (source.database, True, "")


@pytest.mark.usefixtures("served")
def test_however_often_it_is_looked_a_moment_is_asked_for_once() -> None:
    with at("2026-11-25T01:30"):
        assert [requested(fired="nightly"), requested(fired="nightly"), requested()] == [["2026-11-25T01:30"], [], []]


@pytest.mark.usefixtures("served")
def test_two_workers_that_look_at_the_same_time_make_one_row() -> None:
    def look(_number: int) -> list[str]:
        try:
            return requested(fired="nightly")
        finally:
            connection.close()

    with at("2026-11-25T01:30"), ThreadPoolExecutor(4) as pool:
        found = [slot for slots in pool.map(look, range(4)) for slot in slots]
    assert found == ["2026-11-25T01:30"]


@pytest.mark.usefixtures("served")
def test_a_scheduler_that_was_down_for_three_hours_costs_no_backup() -> None:
    with at("2026-11-25T04:30"):
        assert [requested(), requested(fired="nightly")] == [["2026-11-25T01:30"], []]


@pytest.mark.usefixtures("served")
def test_after_three_days_there_is_one_backup_and_not_three() -> None:
    with at("2026-11-27T12:00"):
        assert [requested(), requested(), requested(fired="nightly")] == [["2026-11-27T01:30"], [], []]


@pytest.mark.usefixtures("served")
def test_a_clock_that_is_put_back_makes_no_second_backup() -> None:
    with at("2026-11-25T01:40"):
        assert requested() == ["2026-11-25T01:30"]
    with at("2026-11-25T00:40"):
        assert requested(fired="nightly") == []
    with at("2026-11-25T01:30"):
        assert requested(fired="nightly") == []


@pytest.mark.usefixtures("served")
def test_a_clock_that_is_put_forward_over_the_moment_costs_no_backup() -> None:
    with at("2026-11-25T01:20"):
        assert requested() == []
    with at("2026-11-25T02:20"):
        assert requested() == ["2026-11-25T01:30"]


@pytest.mark.parametrize(("first", "last"), [("2026-10-24T12:00", "2026-10-25T12:00"), ("2027-03-27T12:00", "2027-03-28T12:00")])
def test_the_nights_in_which_the_clocks_change_have_one_backup_each(nightly: Nightly, first: str, last: str) -> None:
    nightly(zone="Europe/London", fired="")
    PeriodicTask.objects.update(date_changed=utc(first))
    found, now = [], utc(first)
    while now < utc(last):
        with time_machine.travel(now, tick=False):
            found += requested()
        now += timedelta(minutes=30)
    assert found == [f"{last[:10]}T01:30"]


def test_a_schedule_that_is_new_waits_for_its_first_moment(nightly: Nightly) -> None:
    nightly(fired="")
    PeriodicTask.objects.update(date_changed=utc("2026-11-25T10:00"))
    with at("2026-11-25T10:01"):
        assert requested() == []
    with at("2026-11-26T01:30"):
        assert requested() == ["2026-11-26T01:30"]


@pytest.mark.usefixtures("served")
def test_a_schedule_that_is_moved_makes_no_dump_at_noon() -> None:
    CrontabSchedule.objects.update(hour="23")
    with at("2026-11-24T12:00"):
        assert requested() == []
    with at("2026-11-24T23:30"):
        assert requested() == ["2026-11-24T23:30"]


@pytest.mark.usefixtures("served")
def test_a_schedule_that_is_switched_off_and_on_again_waits_for_its_next_moment() -> None:
    task = PeriodicTask.objects.get()
    with at("2026-11-24T12:00"):
        task.enabled = False
        task.save()
    with at("2026-11-26T12:00"):
        assert requested() == []
        task.enabled = True
        task.save()
        assert requested() == []
    with at("2026-11-27T01:30"):
        assert requested() == ["2026-11-27T01:30"]


@pytest.mark.usefixtures("served")
def test_what_beat_itself_writes_hides_no_moment() -> None:
    with at("2026-11-25T01:30:02"):  # its message is lost, but it has noted that it fired
        next(ModelEntry(PeriodicTask.objects.get())).save()
    with at("2026-11-25T01:30:30"):
        assert requested() == ["2026-11-25T01:30"]


def failed(text: str, **values: Any) -> None:
    newest = BackupHistory.objects.newest_first()[:1].get()
    BackupHistory.objects.filter(pk=newest.pk).update(**{"status": "failed", "finished_at": utc(text), **values})


@pytest.mark.usefixtures("served")
def test_one_that_failed_is_tried_twice_more_and_then_not_before_its_next_moment() -> None:
    found = []
    for moment in ("01:30", "01:39", "01:42", "02:05", "02:14", "03:00", "23:00"):
        with at(f"2026-11-25T{moment}"):
            if requests := requested():
                found.append((moment, *requests))
                failed(f"2026-11-25T{moment}")
    with at("2026-11-26T01:30"):
        found.append(("next", *requested()))
    assert found == [
        ("01:30", "2026-11-25T01:30"),
        ("01:42", "2026-11-25T01:30 #2"),
        ("02:14", "2026-11-25T01:30 #3"),
        ("next", "2026-11-26T01:30"),
    ]


@pytest.mark.usefixtures("served")
def test_one_that_gave_way_to_another_run_is_tried_again() -> None:
    with at("2026-11-25T01:30"):
        requested()
        failed("2026-11-25T01:30", status="cancelled")
    with at("2026-11-25T01:41"):
        assert requested() == ["2026-11-25T01:30 #2"]


@pytest.mark.usefixtures("served")
def test_one_that_somebody_cancelled_is_not_tried_again() -> None:
    with at("2026-11-25T01:30"):
        requested()
        failed("2026-11-25T01:30", status="cancelled", cancel_requested_at=timezone.now())
    with at("2026-11-25T12:00"):
        assert requested() == []


@pytest.mark.usefixtures("served")
def test_another_environment_with_the_same_schedule_has_its_own_backups(backups_settings: Settings) -> None:
    with at("2026-11-25T01:30"):
        requested()
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ENVIRONMENT": "staging"}
        assert requested() == ["2026-11-25T01:30"]


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("{", "can't be followed"),
        ('{"database": "nowhere"}', "no database alias 'nowhere'"),
        ('{"upload_to_s3": false}', "nowhere to go"),
        ('{"compress": true}', "compress is not known"),
        ('{"save_local": "yes"}', "save_local must be true or false"),
    ],
)
def test_a_schedule_that_cannot_be_followed_is_told_and_holds_up_no_other(options: str, told: str) -> None:
    PeriodicTask.objects.create(name="broken", task=TASK, crontab=CrontabSchedule.objects.get(), kwargs=options)
    with at("2026-11-25T01:30"):
        due = request_due(fired="broken")
    assert [row.description for row in due.requested] == ["nightly"]
    assert told in due.problems["broken"]


def test_the_migration_makes_the_schedules_once_and_they_stay_as_the_operator_left_them(settings: Settings) -> None:
    PeriodicTask.objects.all().delete()
    from importlib import import_module

    make = import_module("backups.migrations.0004_schedules").make
    settings.BACKUPS = {**settings.BACKUPS, "TIME_ZONE": "Europe/Berlin"}
    make(apps, connection.schema_editor())
    daily = PeriodicTask.objects.get(name="Daily backup")
    assert (daily.crontab.hour, daily.crontab.minute, str(daily.crontab.timezone)) == ("1", "30", "Europe/Berlin")
    daily.crontab = CrontabSchedule.objects.create(hour="2", minute="0", timezone="UTC")
    daily.enabled = False
    daily.save()

    make(apps, connection.schema_editor())

    daily.refresh_from_db()
    assert (daily.crontab.hour, daily.enabled) == ("2", False)
    assert PeriodicTask.objects.filter(name="Daily backup").count() == 1
    assert backup_schedules() == []
