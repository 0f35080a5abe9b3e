"""The page of what runs by itself."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from tests.conftest import make_groups

pytestmark = pytest.mark.usefixtures("history", "nothing_scheduled")
ADDRESS = "/admin/backups/schedules/"
EDITS = "django_celery_beat"


@pytest.fixture
def nothing_scheduled(history: None) -> None:
    """No schedules of the migrations."""
    PeriodicTask.objects.all().delete()


def scheduled(task: str, name: str, **fields: object) -> PeriodicTask:
    each, _ = IntervalSchedule.objects.get_or_create(every=6, period="hours")
    return PeriodicTask.objects.create(name=name, task=f"backups.tasks.{task}", **{"interval": each, **fields})


def page(client: Client) -> str:
    return client.get(ADDRESS).content.decode()


def line(shown: str, name: str) -> str:
    """The cells of a schedule, without their tags."""
    row = next(row for row in re.findall(r'<tr role="row">(.*?)</tr>', shown, re.S) if name in row)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row))


def test_a_schedule_is_told_in_words_with_its_next_moment_on_the_viewers_clock_and_utc_on_hover(viewer: Client) -> None:
    night, _ = CrontabSchedule.objects.get_or_create(hour="1", minute="30", timezone="Europe/Berlin")
    scheduled("scheduled_backup", "Daily backup", interval=None, crontab=night)
    viewer.cookies["backups_zone"] = "Europe/Berlin"
    shown = page(viewer)
    assert "Backups are made by themselves" in shown
    assert "every day at 01:30" in line(shown, "Daily backup")
    assert re.search(r" in \d+ (h|min)", line(shown, "Daily backup"))
    assert re.search(r'<time datetime="[^"]+" title="[^"]+ UTC">[^<]*01:30', shown)


def test_one_that_is_off_has_no_next_moment_and_makes_no_backup(viewer: Client) -> None:
    scheduled("scheduled_backup", "Daily backup", enabled=False)
    shown = page(viewer)
    assert "No backup is made by itself" in shown
    assert "Off" in line(shown, "Daily backup")
    assert " in " not in line(shown, "Daily backup")


@pytest.mark.parametrize(
    ("task", "fields", "why"),
    [
        ("scheduled_backup", {"kwargs": '{"bucket": "x"}'}, "bucket is not known"),
        ("tend", {"args": "[1]"}, "takes no positional arguments"),
        ("of_yesterday", {}, "is no task for a schedule"),
    ],
)
def test_one_that_can_not_be_followed_says_why(viewer: Client, task: str, fields: dict[str, str], why: str) -> None:
    scheduled(task, "Odd", **fields)
    told = line(page(viewer), "Odd")
    assert why in told
    assert "t run" in told


def test_what_keeps_the_site_going_stands_apart_and_what_is_not_ours_is_not_there(viewer: Client) -> None:
    scheduled("scheduled_backup", "Daily backup")
    scheduled("tend", "Tending", last_run_at=timezone.now() - timedelta(seconds=50))
    PeriodicTask.objects.create(name="Newsletter", task="shop.tasks.newsletter", interval=IntervalSchedule.objects.get())
    shown = page(viewer)
    assert shown.index("Daily backup") < shown.index(">Upkeep<") < shown.index("Tending")
    assert "Newsletter" not in shown


def test_only_who_may_change_them_is_led_to_where_that_is_done(browser_of: Callable[..., Client], viewer: Client) -> None:
    one = scheduled("scheduled_backup", "Daily backup")
    change, every = (
        reverse(f"admin:{EDITS}_periodictask_change", args=[one.id]),
        reverse(f"admin:{EDITS}_periodictask_changelist"),
    )
    administrator = browser_of("backup administrator")
    assert f'href="{change}"' in page(administrator)
    assert administrator.get(every).status_code == 200
    assert f"/{EDITS}/" not in page(viewer)
    assert viewer.get(every).status_code == 403


def test_many_schedules_cost_the_queries_of_one(viewer: Client) -> None:
    scheduled("scheduled_backup", "first")
    with CaptureQueriesContext(connection) as few:
        page(viewer)
    for number in range(20):
        scheduled("scheduled_backup", f"number {number}")
    with CaptureQueriesContext(connection) as many:
        page(viewer)
    assert len(many) == len(few)


def test_a_group_of_administrators_that_somebody_has_changed_gets_nothing_more(groups: None) -> None:
    group = Group.objects.get(name="backup administrator")
    group.permissions.set(group.permissions.filter(codename="view_backuphistory"))
    make_groups()
    assert [one.codename for one in group.permissions.all()] == ["view_backuphistory"]
