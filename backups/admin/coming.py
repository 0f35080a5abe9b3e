"""What comes next by itself: the schedules that operators keep (django-celery-beat), each in words and with its next moment."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from celery.schedules import ParseException, crontab
from django.utils import dates, formats, timezone
from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask

from backups import conf
from backups.admin import figures
from backups.admin.moments import When, following
from backups.schedules import TASK

PRUNE = "backups.tasks.prune"
TASKS = (TASK, "backups.tasks.verify", PRUNE, "backups.tasks.sync")
TIMES = ("crontab", "interval", "clocked", "solar")  # where a schedule may keep when it runs


@dataclass(frozen=True, kw_only=True)
class Coming:
    """One of them. `at` is UTC; None where it can't be told, or it waits for something: `words` says what."""

    name: str
    words: str
    at: datetime | None

    @property
    def wait(self) -> str:
        """in 11 h; now, where its moment is over and nobody has begun it."""
        if self.at is None:
            return figures.UNKNOWN
        seconds = (self.at - timezone.now()).total_seconds()
        return _("in %(span)s") % {"span": figures.span(seconds)} if seconds > 0 else _("now")


def coming(*, now: datetime) -> list[Coming]:
    """Backups, verification, prune and sync, those that are enabled, the next first. Raises what Django's database does."""
    rows = PeriodicTask.objects.filter(task__in=TASKS, enabled=True).select_related(*TIMES)
    return sorted((coming_of(row, now=now) for row in rows), key=lambda one: (one.at is None, one.at or now, one.name))


def coming_of(row: PeriodicTask, *, now: datetime) -> Coming:
    """Of one schedule, as if it were enabled."""
    if row.task == PRUNE and not conf.current().retention:
        return Coming(name=row.name, words=_("no retention policy is set, so nothing is deleted"), at=None)
    try:
        when, zone = _when(row)
    except (ValueError, ParseException) as error:
        return Coming(name=row.name, words=str(error), at=None)
    return Coming(name=row.name, words=in_words(when, zone), at=_next(row, when, zone, now))


def _when(row: PeriodicTask) -> tuple[When, tzinfo]:
    """Raises ValueError and ParseException for a crontab that is none."""
    if row.crontab is not None:
        return row.crontab.schedule, row.crontab.timezone
    if row.interval is not None:
        return timedelta(**{row.interval.period: row.interval.every}), timezone.get_default_timezone()
    return row.clocked.clocked_time if row.clocked is not None else None, timezone.get_default_timezone()


def _next(row: PeriodicTask, when: When, zone: tzinfo, now: datetime) -> datetime | None:
    """An interval of anything but backups is counted from the last run: so does beat."""
    if isinstance(when, timedelta) and row.task != TASK:
        return (row.last_run_at or now) + when
    return following(when, zone=zone, after=now)


def in_words(when: When, zone: tzinfo) -> str:
    """every day at 01:30, Mondays at 05:00, every 6 h, once; a crontab that is no such as cron writes it.

    The clock is the schedule's own; its zone is named where it is not the viewer's.
    """
    if isinstance(when, timedelta):
        return _("every %(span)s") % {
            "span": figures.duration(when.total_seconds()) if when.seconds % 60 else figures.span(when.total_seconds())
        }
    if isinstance(when, datetime):
        return _("once")
    if when is None:
        return _("by the sun")
    words = _of_crontab(when)
    return words if _is_viewers(zone) else _("%(when)s (%(zone)s)") % {"when": words, "zone": zone}


def _of_crontab(cron: crontab) -> str:
    every_day, every_month = len(cron.day_of_month) == 31, len(cron.month_of_year) == 12
    if not every_month or len(cron.minute) != 1:
        return _as_cron(cron)
    minute = min(cron.minute)
    if len(cron.hour) == 24 and every_day and len(cron.day_of_week) == 7:
        return _("every hour at minute %(minute)s") % {"minute": minute}
    if len(cron.hour) > 4:
        return _as_cron(cron)
    clock = ", ".join(f"{hour:02}:{minute:02}" for hour in sorted(cron.hour))
    if every_day and len(cron.day_of_week) == 7:
        return _("every day at %(clock)s") % {"clock": clock}
    if every_day:
        days = ", ".join(str(dates.WEEKDAYS[(day - 1) % 7]) for day in sorted(cron.day_of_week, key=lambda day: (day - 1) % 7))
        return _("each %(days)s at %(clock)s") % {"days": days, "clock": clock}
    if len(cron.day_of_week) == 7:
        days = ", ".join(formats.number_format(day) for day in sorted(cron.day_of_month))
        return _("each month on day %(days)s at %(clock)s") % {"days": days, "clock": clock}
    return _as_cron(cron)


def _as_cron(cron: crontab) -> str:
    fields = (cron._orig_minute, cron._orig_hour, cron._orig_day_of_month, cron._orig_month_of_year, cron._orig_day_of_week)
    return " ".join(map(str, fields))


def _is_viewers(zone: tzinfo) -> bool:
    now = timezone.now()
    return (
        str(zone) == timezone.get_current_timezone_name()
        or now.astimezone(zone).utcoffset() == timezone.localtime(now).utcoffset()
    )
