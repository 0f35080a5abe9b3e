"""What Celery's own pool of processes lacks where the broker is a folder, and its processes wait for work behind one lock."""

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

from celery.signals import worker_init, worker_process_init, worker_ready

from ichrisbirch_site.supervisor import leash
from ichrisbirch_site.supervisor.roles import CANCEL

logger = logging.getLogger(__name__)


def mend() -> None:
    """For the Celery application, when it is made."""
    worker_init.connect(_keep_on_a_leash, weak=False)
    worker_ready.connect(_watch_the_lock, weak=False)
    worker_ready.connect(_listen_to_cancel, weak=False)


def _keep_on_a_leash(**_more: Any) -> None:
    """In the worker itself, before it forks its pool."""
    worker_process_init.connect(partial(leash.follow, os.getpid()), weak=False)


def _listen_to_cancel(**_more: Any) -> None:
    """CANCEL ends what is at work, and leaves the processes alone that wait: one that a signal ends there may keep a lock."""
    from celery.worker import state

    cancelled = set()

    def cancel(_number: int, _frame: FrameType | None) -> None:
        for request in list(state.active_requests):
            if request.worker_pid and request.id not in cancelled:
                cancelled.add(request.id)
                with suppress(ProcessLookupError):
                    os.kill(request.worker_pid, signal.SIGTERM)

    signal.signal(CANCEL, cancel)


def _watch_the_lock(sender: Any, **_more: Any) -> None:
    """A process that is killed while it waits for work keeps the lock: the others would wait for ever, and nobody see it."""
    pool: Any = getattr(sender.pool, "_pool", None)
    if getattr(pool, "threads", False):
        pool.on_process_down = partial(_look_at_the_lock, pool)


def _look_at_the_lock(pool: Any, process: Any) -> None:
    """In a thread of the pool's, for each process that has ended."""
    if (process.exitcode or 0) >= 0:
        return
    lock = pool._inqueue._rlock
    if lock.acquire(timeout=1):
        lock.release()
    else:
        threading.Thread(target=_end, args=(pool,), name="lock", daemon=True).start()


def _end(pool: Any) -> None:
    """Whose the lock is can't be told. So the worker ends, when what is at work is done, and is started again by its keeper."""
    logger.error("A process of the pool was killed while it may have held the pool's lock: the worker ends, to be started again.")
    while any(job._accepted and not job.ready() and not job._worker_lost for job in list(pool._cache.values())):
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)  # what is more polite waits for the lock
