"""The next moment of a schedule. Pure: nothing is asked here."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeAlias

from celery.schedules import crontab

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_DAYS = 8 * 366  # between two moments: the 29th of February, over a century without one

When: TypeAlias = "crontab | timedelta | datetime | None"


def following(when: When, *, zone: tzinfo, after: datetime) -> datetime | None:
    """The first moment after `after`, in UTC; None where there is none, or it can't be told.

    A moment that a clock jumps over comes at once after the jump; of an hour that a clock goes through twice, only a schedule
    that runs each hour comes twice.
    """
    if isinstance(when, datetime):
        return when.astimezone(UTC) if when > after else None
    if isinstance(when, timedelta):
        return _EPOCH + ((after - _EPOCH) // when + 1) * when
    return _by_the_wall(when, zone=zone, after=after) if when is not None else None


def _by_the_wall(cron: crontab, *, zone: tzinfo, after: datetime) -> datetime | None:
    local = after.astimezone(zone)
    if len(cron.hour) == 24:  # minutes are the same on every clock that is off by whole hours; the night's two hours stay two
        fixed = local.utcoffset() or timedelta()
        moment = _later(cron, local.replace(tzinfo=None))
        return (moment - fixed).replace(tzinfo=UTC) if moment is not None else None
    moment = _later(cron, local.replace(tzinfo=None))
    while moment is not None:
        told = moment.replace(tzinfo=zone).astimezone(UTC)
        if told > after:
            return told
        moment = _later(cron, moment)
    return None


def _later(cron: crontab, now: datetime) -> datetime | None:
    """The first moment of a crontab after a naive local time. Celery wants day of month and day of week both to fit."""
    for ahead in range(_LONGEST_DAYS):
        day = now.date() + timedelta(days=ahead)
        if not (day.month in cron.month_of_year and day.day in cron.day_of_month and day.isoweekday() % 7 in cron.day_of_week):
            continue
        for hour in sorted(cron.hour):
            for minute in sorted(cron.minute):
                moment = datetime(day.year, day.month, day.day, hour, minute)
                if moment > now:
                    return moment
    return None
