"""The next moment of a schedule, and a schedule in words."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab
from django.utils import timezone

from backups.admin.coming import in_words
from backups.admin.moments import following

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)  # a Sunday


def test_a_daily_moment_is_that_of_the_schedules_own_clock() -> None:
    assert following(crontab("30", "1"), zone=BERLIN, after=NOON) == datetime(2026, 11, 23, 0, 30, tzinfo=UTC)


def test_the_moment_that_is_now_is_over() -> None:
    assert following(crontab("0", "12"), zone=UTC, after=NOON) == NOON + timedelta(days=1)


def test_a_weekly_moment_waits_for_its_day() -> None:
    assert following(crontab("30", "3", day_of_week="1"), zone=UTC, after=NOON) == datetime(2026, 11, 23, 3, 30, tzinfo=UTC)


def test_the_29th_of_february_is_found_years_ahead() -> None:
    leap = crontab("0", "0", day_of_month="29", month_of_year="2")
    assert following(leap, zone=UTC, after=NOON) == datetime(2028, 2, 29, tzinfo=UTC)


def test_a_single_moment_that_is_over_never_comes_again() -> None:
    assert following(NOON - timedelta(hours=1), zone=UTC, after=NOON) is None


def test_a_moment_that_the_clock_jumps_over_comes_at_once_after_the_jump() -> None:
    before = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)  # 01:00 in Berlin, where 02:30 does not come
    assert following(crontab("30", "2"), zone=BERLIN, after=before) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_of_an_hour_that_comes_twice_a_daily_moment_comes_once() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Berlin, the first time
    assert following(crontab("30", "2"), zone=BERLIN, after=first) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_of_an_hour_that_comes_twice_an_hourly_moment_comes_twice() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert following(crontab("30", "*"), zone=BERLIN, after=first) == first + timedelta(hours=1)


def test_an_interval_counts_from_the_epoch_as_the_schedules_of_backups_do() -> None:
    assert following(timedelta(hours=5), zone=UTC, after=NOON).timestamp() % (5 * 3600) == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (crontab("30", "1"), "every day at 01:30"),
        (crontab("0", "6,18"), "every day at 06:00, 18:00"),
        (crontab("0", "5", day_of_week="0,1"), "each Monday, Sunday at 05:00"),
        (crontab("0", "5", day_of_month="1,15"), "each month on day 1, 15 at 05:00"),
        (crontab("15", "*"), "every hour at minute 15"),
        (crontab("*/7", "3"), "*/7 3 * * *"),
        (timedelta(hours=6), "every 6\xa0h"),
        (timedelta(seconds=90), "every 1\xa0min\xa030\xa0s"),
        (NOON, "once"),
        (None, "by the sun"),
    ],
)
def test_a_schedule_is_told_in_words(when: "crontab | timedelta | datetime | None", words: str) -> None:
    with timezone.override(UTC):
        assert in_words(when, UTC) == words


def test_the_zone_is_named_where_it_is_not_the_viewers() -> None:
    with timezone.override(BERLIN):
        assert in_words(crontab("30", "1"), ZoneInfo("Asia/Tokyo")) == "every day at 01:30 (Asia/Tokyo)"
