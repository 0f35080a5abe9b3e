"""When backups are to be made: the schedules that operators keep in the admin (django-celery-beat), and their moments.

A moment is served once: its slot, a text, is on the row of the backup that was made for it. Of an hour that a clock goes through
twice a year, a daily moment is the same on both ways; one that a clock jumps over comes at once after the jump.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from celery.schedules import ParseException, crontab
from django.utils.timezone import get_default_timezone
from django_celery_beat.models import PeriodicTask

from backups.sentences import Sentence, joined
from backups.sentences import sentence as _

TASK = "backups.tasks.scheduled_backup"
# What the keyword arguments of such a schedule may say, and what holds where they say nothing.
OPTIONS: dict[str, object] = {"description": "scheduled", "database": "default", "upload_to_s3": True, "save_local": False}
OURS = "backups.tasks."  # how the names of our tasks begin
# Those that a schedule may name: they take no arguments, but for the options above. The others carry the id of a row.
FOR_SCHEDULES = frozenset(
    OURS + name for name in ("scheduled_backup", "tend", "check_health", "pulse", "verify", "prune", "sync")
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_DAYS = 8 * 366  # between two moments: the 29th of February, over a century without one


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One enabled schedule of backups. `problem` says why its options can't be carried out, "" if they can."""

    id: int
    name: str
    when: "crontab | timedelta | datetime | None" = field(repr=False)
    time_zone: tzinfo
    fired_at: datetime | None  # when beat last did, since it was enabled
    changed_at: datetime
    database: str = "default"  # an alias
    description: str = ""
    upload_to_s3: bool = True
    save_local: bool = False
    problem: str = ""

    def latest(self, now: datetime) -> datetime | None:
        """The last moment at or before now at which it should run, UTC; None where there was none, or it can't be told."""
        moment = self._latest(now)
        return min(moment.astimezone(UTC), now) if moment is not None else None

    def slot(self, moment: datetime) -> str:
        """What is remembered of a moment that is served: by the wall's clock, unless it runs each hour."""
        if self._runs_each_hour or not isinstance(self.when, crontab):
            return f"{self.slots}{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        return f"{self.slots}{moment:%Y-%m-%dT%H:%M}"

    @property
    def slots(self) -> str:
        """How all of its slots begin."""
        return f"schedule {self.id} at "

    def latest_slot(self, now: datetime) -> str:
        """The slot of its latest moment; "" where there was none."""
        moment = self._latest(now)
        return self.slot(moment) if moment is not None else ""

    @property
    def _runs_each_hour(self) -> bool:
        return isinstance(self.when, crontab) and len(self.when.hour) == 24

    def _latest(self, now: datetime) -> datetime | None:
        """In the schedule's own time zone."""
        if isinstance(self.when, datetime):
            return self.when if self.when <= now else None
        if isinstance(self.when, timedelta):
            return _EPOCH + (now - _EPOCH) // self.when * self.when
        if self.when is None:
            return None
        local = now.astimezone(self.time_zone)
        zone: tzinfo = timezone(local.utcoffset() or timedelta()) if self._runs_each_hour else self.time_zone
        naive = _latest_by_the_wall(self.when, local.replace(tzinfo=None))
        return naive.replace(tzinfo=zone) if naive is not None else None


def backup_schedules() -> list[Schedule]:
    """Those that are enabled, by name. Raises what Django's database does."""
    rows = PeriodicTask.objects.filter(task=TASK, enabled=True).select_related("crontab", "interval", "clocked")
    return [_schedule(row) for row in rows.order_by("name")]


def unfollowable() -> dict[str, str]:
    """Name -> why an enabled one for another of our tasks can't be followed. Raises what Django's database does."""
    rows = PeriodicTask.objects.filter(task__startswith=OURS, enabled=True).exclude(task=TASK)
    return {row.name: problem for row in rows.order_by("name") if (problem := problem_of(row))}


def followable(rows: Iterable[PeriodicTask]) -> tuple[list[PeriodicTask], list[str]]:
    """Those that a scheduler can send, and of the others why it can't."""
    problems = {row.name: problem_of(row) for row in rows}
    return [row for row in rows if not problems[row.name]], [text for text in problems.values() if text]


def problem_of(row: PeriodicTask) -> str:
    """Why a scheduler can't follow it; "" where it can, or where the task is not ours."""
    found = refusals(task=row.task, args=row.args or "", kwargs=row.kwargs or "", headers=row.headers or "")
    return _not_followed(row.name, joined(" ", [joined(": ", (name, why)) for name, why in found.items()])) if found else ""


def refusals(*, task: str, args: str, kwargs: str, headers: str) -> dict[str, str]:
    """Field -> why such a row of django-celery-beat's can't be followed. Empty where it can, and for a task that is not ours."""
    if not task.startswith(OURS):
        return {}
    if task not in FOR_SCHEDULES:
        return {
            "task": _("{task} is no task for a schedule. Those are: {known}.", task=task, known=", ".join(sorted(FOR_SCHEDULES)))
        }
    found: dict[str, str] = {}
    for name, text, judge in ("args", args, _no_args), ("kwargs", kwargs, _of_task(task)), ("headers", headers, _object):
        try:
            judge(text)
        except ValueError as error:
            found[name] = error.args[0] if isinstance(error.args[0], Sentence) else str(error)
    return found


def _not_followed(name: str, why: str) -> str:
    return _("The schedule {name} can't be followed: {why}", name=name, why=why)


def _of_task(task: str) -> Callable[[str], object]:
    return _options if task == TASK else _no_kwargs


def _no_args(text: str) -> None:
    if json.loads(text or "[]") != []:
        raise ValueError(_("the task takes no positional arguments: leave it as []."))


def _no_kwargs(text: str) -> None:
    if _object(text):
        raise ValueError(_("the task takes no keyword arguments: leave it as {}."))


def _object(text: str, *, example: str = "{}") -> dict[str, Any]:
    given = json.loads(text or "{}")
    if not isinstance(given, dict):
        raise ValueError(_("a JSON object is expected, for example {example}.", example=example))
    return given


def _schedule(row: PeriodicTask) -> Schedule:
    options: dict[str, Any] = {}
    when: crontab | timedelta | datetime | None = None
    problem = ""
    try:
        options = _options(row.kwargs)
        when = _when(row)
    except (ValueError, ParseException) as error:
        problem = _not_followed(row.name, str(error))
    problem = problem or problem_of(row)
    return Schedule(
        id=row.id,
        name=row.name,
        when=when,
        time_zone=row.crontab.timezone if row.crontab is not None else get_default_timezone(),
        fired_at=row.last_run_at,
        changed_at=row.date_changed,
        problem=problem,
        **options,
    )


def _when(row: PeriodicTask) -> crontab | timedelta | datetime:
    """Raises ValueError and ParseException for what is no moment of ours."""
    if row.crontab is not None:
        made: crontab = row.crontab.schedule
        return made
    if row.interval is not None:
        return timedelta(**{row.interval.period: row.interval.every})
    if row.clocked is not None:
        moment: datetime = row.clocked.clocked_time
        return moment
    raise ValueError("it follows the sun. Backups need a crontab or an interval.")


def _options(text: str) -> dict[str, Any]:
    """Raises ValueError for what is no JSON object, and for an option that is none of ours or of another kind."""
    given = _object(text, example='{"description": "daily"}')
    for name, value in given.items():
        if name not in OPTIONS:
            raise ValueError(_("{name} is not known. Known are: {known}.", name=name, known=", ".join(OPTIONS)))
        if type(value) is not type(OPTIONS[name]):
            is_switch = isinstance(OPTIONS[name], bool)
            raise ValueError(
                _("{name} must be true or false.", name=name) if is_switch else _("{name} must be a text.", name=name)
            )
    return OPTIONS | given


def _latest_by_the_wall(cron: crontab, now: datetime) -> datetime | None:
    """The newest moment of a crontab at or before a naive local time. Celery wants day of month and day of week both to fit."""
    for back in range(_LONGEST_DAYS):
        day = now.date() - timedelta(days=back)
        fits = day.month in cron.month_of_year and day.day in cron.day_of_month and day.isoweekday() % 7 in cron.day_of_week
        for hour in sorted(cron.hour, reverse=True) if fits else ():
            for minute in sorted(cron.minute, reverse=True):
                moment = datetime(day.year, day.month, day.day, hour, minute)
                if moment <= now:
                    return moment
    return None
