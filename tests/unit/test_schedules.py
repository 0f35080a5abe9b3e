"""Moments of schedules: each is named once, whatever clocks do."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab

from backups.schedules import Schedule

LONDON = "Europe/London"  # 01:30 comes twice on 2026-10-25, and not at all on 2026-03-29
NIGHTLY = crontab(hour="1", minute="30")


def of(when: crontab | timedelta | datetime | None, zone: str = "UTC") -> Schedule:
    return Schedule(
        id=7, name="nightly", when=when, time_zone=ZoneInfo(zone), fired_at=None, changed_at=datetime(2026, 1, 1, tzinfo=UTC)
    )


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots(schedule: Schedule, *, since: str, until: str, each: timedelta = timedelta(minutes=10)) -> list[str]:
    """Every slot that somebody sees who looks again and again."""
    seen, now = [], utc(since)
    while now <= utc(until):
        slot = schedule.latest_slot(now).removeprefix(schedule.slots)
        if slot not in seen:
            seen.append(slot)
        now += each
    return seen


def test_before_its_time_the_moment_of_yesterday_is_the_latest() -> None:
    assert of(NIGHTLY).latest(utc("2026-11-25T01:29:59")) == utc("2026-11-24T01:30")


def test_at_its_time_the_moment_of_today_is_the_latest() -> None:
    assert of(NIGHTLY).latest(utc("2026-11-25T01:30:00")) == utc("2026-11-25T01:30")


def test_the_time_is_that_of_the_schedules_own_zone() -> None:
    assert of(NIGHTLY, "Asia/Kathmandu").latest(utc("2026-11-25T12:00")) == utc("2026-11-24T19:45")


def test_a_night_whose_half_past_one_comes_twice_has_one_slot() -> None:
    assert slots(of(NIGHTLY, LONDON), since="2026-10-24T23:00", until="2026-10-25T06:00") == [
        "2026-10-24T01:30",
        "2026-10-25T01:30",
    ]


def test_between_the_two_half_past_ones_the_first_is_the_latest() -> None:
    assert of(NIGHTLY, LONDON).latest(utc("2026-10-25T00:40")) == utc("2026-10-25T00:30")


def test_a_night_without_a_half_past_one_has_its_slot_right_after_the_jump() -> None:
    schedule = of(NIGHTLY, LONDON)
    assert schedule.latest_slot(utc("2026-03-29T00:59:59")).endswith("2026-03-28T01:30")
    assert schedule.latest_slot(utc("2026-03-29T01:00:00")).endswith("2026-03-29T01:30")
    assert slots(schedule, since="2026-03-28T12:00", until="2026-03-29T23:00") == ["2026-03-28T01:30", "2026-03-29T01:30"]


def test_a_moment_is_never_in_the_future() -> None:
    now = utc("2026-03-29T01:00:00")
    assert of(NIGHTLY, LONDON).latest(now) == now


def test_each_hour_is_each_hour_also_in_the_night_that_has_one_more() -> None:
    seen = slots(of(crontab(minute="0"), LONDON), since="2026-10-24T22:30", until="2026-10-25T03:30")
    assert seen == [f"2026-10-{hour}:00:00Z" for hour in ("24T22", "24T23", "25T00", "25T01", "25T02", "25T03")]


def test_each_hour_is_each_hour_also_in_the_night_that_lacks_one() -> None:
    seen = slots(of(crontab(minute="0"), LONDON), since="2026-03-28T23:30", until="2026-03-29T03:30")
    assert seen == [f"2026-03-{hour}:00:00Z" for hour in ("28T23", "29T00", "29T01", "29T02", "29T03")]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        (crontab(hour="3", minute="15", day_of_week="0"), "2026-11-22T03:15"),
        (crontab(hour="3", minute="15", day_of_month="1"), "2026-11-01T03:15"),
        (crontab(hour="0,6,12,18", minute="0"), "2026-11-25T06:00"),
        (crontab(hour="*/2", minute="5,35"), "2026-11-25T10:35"),
        (crontab(hour="23", minute="59", day_of_month="31", month_of_year="12"), "2025-12-31T23:59"),
        (crontab(hour="0", minute="0", day_of_month="29", month_of_year="2"), "2024-02-29T00:00"),
        (crontab(hour="0", minute="0", day_of_month="13", day_of_week="5"), "2026-11-13T00:00"),
    ],
)
def test_the_latest_moment_of_a_crontab(cron: crontab, expected: str) -> None:
    assert of(cron).latest(utc("2026-11-25T11:00")) == utc(expected)


def test_an_interval_has_moments_that_do_not_depend_on_who_looks() -> None:
    schedule = of(timedelta(hours=6))
    assert schedule.latest(utc("2026-11-25T11:00")) == utc("2026-11-25T06:00")
    assert schedule.latest_slot(utc("2026-11-25T11:59")) == schedule.latest_slot(utc("2026-11-25T06:00"))


def test_a_single_moment_is_not_before_it_has_come() -> None:
    schedule = of(utc("2026-11-25T11:00"))
    assert schedule.latest(utc("2026-11-25T10:59")) is None
    assert schedule.latest(utc("2026-11-26T10:59")) == utc("2026-11-25T11:00")


def test_the_slot_names_its_schedule() -> None:
    assert of(NIGHTLY).latest_slot(utc("2026-11-25T11:00")) == "schedule 7 at 2026-11-25T01:30"
