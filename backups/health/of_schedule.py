"""What makes backups happen by themselves: the scheduler, the workers, and what waits for them."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from django.db.models import Min

from backups import conf, words
from backups.models import BackupHistory, BackupRestore, Heartbeat, Status
from backups.thresholds import Thresholds
from backups.types import Check, State

# Heartbeat.name -> what it is for people.
MACHINERY = {"scheduler": "the scheduler", "queue:backups": "the worker for backups", "queue:upkeep": "the worker for upkeep"}


def checks(limits: Thresholds, *, schedules: Collection[str], now: datetime) -> Iterator[Check]:
    """`schedules` are the names of those that are enabled: without any, what never ran here is not missed."""
    yield _schedule(schedules)
    last: dict[str, datetime] = dict(Heartbeat.objects.values_list("name", "at"))
    for name, title in MACHINERY.items():
        if name in last or schedules:
            yield _alive(name, title, last.get(name), limits, now=now)
    yield _queue(limits, now=now)


def _schedule(schedules: Collection[str]) -> Check:
    names = ", ".join(schedules)
    text = f"{words.things(len(schedules), 'schedule')}: {names}" if schedules else "no backup is scheduled"
    hint = "" if schedules else "Somebody has to make each by hand. The admin keeps schedules: Periodic tasks."
    return Check(id="schedule", state=State.OK, text=text, hint=hint)


def _alive(name: str, title: str, at: datetime | None, limits: Thresholds, *, now: datetime) -> Check:
    if at is None:
        state, text = State.BAD, f"{title} has never run here"
    else:
        state = State.OK if now - at <= timedelta(minutes=limits.silence_minutes) else State.BAD
        text = f"{title} was alive {words.age(at, now=now)}"
    return Check(
        id="alive",
        subject=name,
        state=state,
        text=text,
        threshold=f"silent for {limits.silence_minutes:g} min",
        hint="" if state is State.OK else "Start it: icb up",
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
        f"{words.things(count, 'run waits', 'runs wait')}, the first for {words.duration((now - first).total_seconds())}"
        if first
        else ""
    )
    return Check(
        id="queue",
        state=State.BAD if is_late else State.OK,
        text=waits or "no run waits for a worker",
        threshold=f"longer than {limits.queued_minutes:g} min",
        hint="Start a worker: icb up. One that runs may be busy: icb db list" if is_late else "",
    )
