"""What makes backups happen by themselves: the scheduler, the workers, and what waits for them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connections
from django.db.models import Max, Min
from django.utils import timezone

from backups import conf, words
from backups.heartbeats import QUEUES, SCHEDULER, of_queue
from backups.models import BackupHistory, BackupRestore, Heartbeat, Status
from backups.schedules import Schedule
from backups.sentences import joined
from backups.sentences import sentence as _
from backups.sentences import sentences as ngettext
from backups.thresholds import Thresholds
from backups.types import Check, State

REDIS_DEFAULT_SECONDS = 3600


def due(schedules: Sequence[Schedule], *, alias: str, now: datetime, grace: timedelta) -> datetime | None:
    """Since when there must be a backup of a database: the latest of its moments that is longer ago than `grace`.

    None where no schedule says so; one that is newer than its last moment begins with the next.
    """
    moments = [
        moment
        for schedule in schedules
        if schedule.database == alias and not schedule.problem and (moment := schedule.latest(now - grace)) is not None
        if schedule.fired_at is not None or moment >= schedule.changed_at
    ]
    return max(moments, default=None)


def checks(limits: Thresholds, *, schedules: Sequence[Schedule], now: datetime) -> Iterator[Check]:
    """`schedules` are those that are enabled: without any, what never ran here is not missed."""
    yield _schedule(schedules)
    last: dict[str, datetime] = dict(Heartbeat.objects.values_list("name", "at"))
    for name, id_, subject in (SCHEDULER, "scheduler", ""), *((of_queue(queue), "worker", queue) for queue in QUEUES):
        if name in last or schedules:
            yield _alive(id_, subject, last.get(name), limits, now=now)
    yield _queue(limits, now=now)
    yield from _broker(limits, now=now)


def worker_of(queue: str) -> Check:
    """Whether somebody takes from a queue, as `checks` judges it. Raises what Django's database does."""
    name, limits = of_queue(queue), conf.current().health
    at = Heartbeat.objects.filter(name=name).values_list("at", flat=True).first()
    return _alive("worker", queue, at, limits, now=timezone.now())


def _schedule(schedules: Sequence[Schedule]) -> Check:
    problems = [schedule.problem or _without_database(schedule) for schedule in schedules]
    if any(problems):
        text, hint = joined(" ", filter(None, problems)), _("Edit it in the admin: Periodic tasks.")
        return Check(id="schedule", state=State.BAD, text=text, threshold=_("one that can't be followed"), hint=hint)
    names = ", ".join(schedule.name for schedule in schedules)
    text = (
        ngettext(
            "{count} schedule of backups: {names}",
            "{count} schedules of backups: {names}",
            len(schedules),
            count=len(schedules),
            names=names,
        )
        if schedules
        else _("no backup is scheduled")
    )
    return Check(id="schedule", state=State.OK, text=text, threshold=_("one that can't be followed") if schedules else "")


def _without_database(schedule: Schedule) -> str:
    known = schedule.database in connections
    return (
        ""
        if known
        else _(
            "The schedule {name} is for the alias {alias}, and no database has it.", name=schedule.name, alias=schedule.database
        )
    )


def _alive(id_: str, subject: str, at: datetime | None, limits: Thresholds, *, now: datetime) -> Check:
    if at is None:
        state, text = State.BAD, _("scheduler has never run here") if id_ == "scheduler" else _("worker has never run here")
    else:
        state = State.OK if now - at <= timedelta(minutes=limits.silence_minutes) else State.BAD
        age = words.age(at, now=now)
        text = _("scheduler alive {age}", age=age) if id_ == "scheduler" else _("worker alive {age}", age=age)
    return Check(
        id=id_,
        subject=subject,
        state=state,
        text=text,
        threshold=_("silent for {silence_minutes} min", silence_minutes=f"{limits.silence_minutes:g}"),
        hint="" if state is State.OK else _("Start it: icb up"),
    )


def _broker(limits: Thresholds, *, now: datetime) -> Iterator[Check]:
    """Redis gives a message to a second worker when the first has not said in time that it is done. The second finds the run
    begun and does nothing; but it should not come to that.

    https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html#visibility-timeout
    """
    if not str(getattr(settings, "CELERY_BROKER_URL", "")).startswith(("redis://", "rediss://")):
        return
    given = getattr(settings, "CELERY_BROKER_TRANSPORT_OPTIONS", {}).get("visibility_timeout", REDIS_DEFAULT_SECONDS)
    since = now - timedelta(days=limits.success_days)
    longest = max(
        (
            rows.filter(created_at__gte=since).aggregate(most=Max("duration_seconds"))["most"] or 0.0
            for rows in (BackupHistory.objects.all(), BackupRestore.objects.all())
        ),
        default=0.0,
    )
    is_near = longest > given / 2
    yield Check(
        id="broker",
        state=State.BAD if is_near else State.OK,
        text=_(
            "a message comes again after {given}; the longest run took {longest}",
            given=words.duration(given),
            longest=words.duration(longest),
        ),
        threshold=_("a run longer than half of that"),
        hint=_("Set REDIS_VISIBILITY_TIMEOUT_SECONDS higher, and start the workers again.") if is_near else "",
    )


def _queue(limits: Thresholds, *, now: datetime) -> Check:
    """Runs that nobody takes."""
    waiting = BackupHistory.objects.of_environment(conf.current().environment).queued()
    restores = BackupRestore.objects.filter(
        target_environment=conf.current().environment, status=Status.PENDING, started_at__isnull=True
    )
    since = [rows.aggregate(first=Min("created_at"))["first"] for rows in (waiting, restores)]
    first = min((at for at in since if at is not None), default=None)
    count = waiting.count() + restores.count() if first else 0
    is_late = first is not None and now - first > timedelta(minutes=limits.queued_minutes)
    waits = (
        ngettext(
            "{count} run waits, the first for {time}",
            "{count} runs wait, the first for {time}",
            count,
            count=words.count(count),
            time=words.duration((now - first).total_seconds()),
        )
        if first
        else ""
    )
    return Check(
        id="queue",
        state=State.BAD if is_late else State.OK,
        text=waits or _("no run waits for a worker"),
        threshold=_("longer than {queued_minutes} min", queued_minutes=f"{limits.queued_minutes:g}"),
        hint=_("Start a worker: icb up. One that runs may be busy: icb db list") if is_late else "",
    )
