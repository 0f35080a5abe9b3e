"""What workers do: each task finds its rows by id, calls one story, and can come twice without harm.

Which goes to which of the two queues stands in `queues.py`, for the setting CELERY_TASK_ROUTES.
"""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any
from uuid import UUID

from celery import Task, shared_task
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerError

from backups import heartbeats, queued, upkeep
from backups.exceptions import BackupsError, RunningError
from backups.heartbeats import BACKUPS, SCHEDULER, UPKEEP
from backups.interrupts import interruptible
from backups.models import BackupHistory, BackupRestore
from backups.proving import prove_unverified

logger = logging.getLogger(__name__)

# A message is done when its work is. Where a worker dies over it, it comes again, and finds that its row has an end already.
_LONG: dict[str, Any] = {"acks_late": True, "throws": (BackupsError,)}
_SHORT: dict[str, Any] = {"throws": (BackupsError,)}
EXPIRES_SECONDS = 300


@contextmanager
def _at_work() -> Iterator[None]:
    """For hours, perhaps: a worker that must stop cancels it, and its queue is seen to be alive."""
    is_main = threading.current_thread() is threading.main_thread()  # not in a pool of threads
    with _logged(), interruptible() if is_main else nullcontext(), heartbeats.beating(heartbeats.of_queue(BACKUPS)):
        yield


@contextmanager
def _logged() -> Iterator[None]:
    """An error that a task may raise is told here, without a traceback; Celery itself tells it only to who wants to hear all."""
    try:
        yield
    except RunningError as error:
        logger.info("%s", error)  # another worker is at it
    except BackupsError as error:
        logger.error("%s", error)
        raise


def _schedule_of(task: "Task[Any, Any]") -> str:
    """The name of the schedule that the message comes from; "" where it does not come from beat."""
    return str((task.request.headers or {}).get("periodic_task_name", ""))


def hand_out(rows: Iterable[BackupHistory | BackupRestore]) -> None:
    """Sends the messages for queued rows, once they are committed. One that nobody takes in time expires, and comes again."""
    for row in rows:
        task = make_backup if isinstance(row, BackupHistory) else restore
        transaction.on_commit(partial(_send, task, row.id))


def _send(task: Any, row_id: UUID) -> None:
    """A broker that can't be reached loses nothing."""
    try:
        task.apply_async(args=[str(row_id)], expires=EXPIRES_SECONDS)
    except (BrokerError, OSError) as error:
        logger.error("The broker could not be reached; %s waits until it is handed out again: %s", row_id, error)


@shared_task(**_LONG)
def make_backup(backup_id: str) -> None:
    """Makes the backup that a queued row asks for."""
    with _at_work():
        queued.make_backup(UUID(backup_id))


@shared_task(**_LONG)
def restore(restore_id: str) -> None:
    """Carries out the restore that a queued row asks for."""
    with _at_work():
        queued.make_restore(UUID(restore_id))


@shared_task(bind=True, **_SHORT)
def scheduled_backup(self: "Task[Any, Any]", **_options: object) -> None:
    """Beat's message that a schedule's moment has come. What it says of the backup stands in the schedule; see `schedules.py`."""
    with _logged():
        hand_out(upkeep.ask_for_due(fired=_schedule_of(self)))


@shared_task(**_SHORT)
def tend() -> None:
    """Each half minute: ends what died, asks for what is due, sends again what nobody has taken, tells what is wrong."""
    heartbeats.beat(SCHEDULER, heartbeats.of_queue(UPKEEP))
    with _logged():
        hand_out(upkeep.ask_for_due())  # first, as the rest may wait for a store
        hand_out(upkeep.tend())


@shared_task(**_SHORT)
def check_health() -> None:
    """Each five minutes: looks at everything that backups depend on, and tells what is wrong."""
    with _logged():
        upkeep.look()


@shared_task
def pulse() -> None:
    """Each minute: shows that somebody takes backups from the queue."""
    heartbeats.beat(heartbeats.of_queue(BACKUPS))


@shared_task(**_LONG)
def verify() -> None:
    """Proves what no restore has proven yet, the newest first."""
    with _at_work():
        prove_unverified()


@shared_task(bind=True, **_LONG)
def prune(self: "Task[Any, Any]") -> None:
    """Lets go of what the retention policy does not keep."""
    with _at_work():
        upkeep.prune(is_scheduled=bool(_schedule_of(self)))


@shared_task(**_LONG)
def sync() -> None:
    """Makes bucket and history agree."""
    with _at_work():
        upkeep.sync()
