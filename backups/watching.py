"""While a run lasts: others see that it is alive, its row shows how far it is, and a wish to cancel it is heard.

A thread writes and listens, so that no dump waits for the history; what it can't write or read now, it tries a second later.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from typing import Any

from django.db import Error as DatabaseError
from django.db import connections, router
from django.utils import timezone

from backups import history, interrupts
from backups.exceptions import BegunError, CancelledError, ConnectError
from backups.models import BackupHistory, BackupRestore
from backups.postgres import databases
from backups.postgres.connect import located
from backups.postgres.snapshot import system_identifier
from backups.types import OnProgress, Progress, Server

EACH_SECONDS = 1.0
# A restore locks and drops the very table that is written to; nobody may wait for us there, nor we for him.
_SHORT = "SET lock_timeout = '1s'; SET statement_timeout = '5s'"


@contextmanager
def alive(run: BackupHistory) -> Iterator[None]:
    """Others see, as long as the block lasts, that this backup is alive. Raises HistoryError where nobody could."""
    with ExitStack() as stack:
        try:
            stack.enter_context(databases.backing_up(history.server(), run_id=str(run.id)))
        except ConnectError as error:
            raise history.unreachable(error) from error
        yield


@contextmanager
def claimed(run: BackupRestore, server: Server) -> Iterator[None]:
    """Takes a queued restore or verification for this process. It is alive before: while it makes its plan, nobody may take it
    for dead. Raises BegunError where another process has it, ConnectError and HistoryError.
    """
    with databases.restoring(server, run_id=str(run.id)) as session:
        here = located(server, session)
        place = {
            "target_host": here.host,
            "target_port": here.port,
            "target_system_identifier": system_identifier(session),
        }
        if not history.claim(run, **place):  # with the place, by which it is settled if it dies
            raise BegunError(f"The {run.purpose} {run.id} has begun already, or has ended.", hint="icb db list shows it.")
        yield


@contextmanager
def watched(run: BackupHistory | BackupRestore, listener: OnProgress) -> Iterator[OnProgress]:
    """A listener for the length of the block: it passes everything on to `listener`, and each second the newest to the row.

    Where the row asks to cancel, the run is interrupted as by Ctrl-C, or, where no face listens to signals, CancelledError is
    raised at the next progress.
    """
    watch = _Watch(run, listener)
    thread = threading.Thread(target=watch.keep, name="watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.ended.set()
        thread.join(timeout=10)


class _Watch:
    """What the two threads share."""

    def __init__(self, run: BackupHistory | BackupRestore, listener: OnProgress) -> None:
        self._rows = type(run)._default_manager.filter(pk=run.pk)
        self._alias = router.db_for_write(type(run))
        self._listener = listener
        self._newest: tuple[Progress, float] | None = None
        self._written: tuple[Progress, float] | None = None
        self._took: dict[str, float] = {}  # seconds, by phases that are over
        self._began = time.monotonic()
        self._is_cancelled = False
        self.ended = threading.Event()

    def __call__(self, progress: Progress) -> None:
        moment, before = time.monotonic(), self._newest
        if before is not None and before[0].phase != progress.phase:
            phase = before[0].phase  # one that comes again, for the next copy, goes on
            self._took = {**self._took, phase: self._took.get(phase, 0) + moment - self._began}  # new: the thread reads it
        if before is None or before[0].phase != progress.phase:
            self._began = moment
        self._newest = (progress, moment)
        self._listener(progress)
        if self._is_cancelled:
            raise CancelledError("It was cancelled on request.")

    def keep(self) -> None:
        """The thread: until the run has ended."""
        try:
            while not self.ended.wait(EACH_SECONDS):
                with suppress(DatabaseError):
                    self._attempt(self._once)
        finally:
            with suppress(DatabaseError):
                connections[self._alias].close()

    def _attempt(self, step: Callable[[], None]) -> None:
        """On a connection of the thread's own, which is let go of when it fails."""
        connection = connections[self._alias]
        try:
            if connection.connection is None:
                with connection.cursor() as cursor:
                    cursor.execute(_SHORT)
            step()
        except DatabaseError:
            connection.close()
            raise

    def _once(self) -> None:
        newest = self._newest
        if newest is not None and newest != self._written and not self._is_cancelled:
            self._rows.update(progress=_as_json(newest, self._written, self._took))
            self._written = newest
        if not self._is_cancelled and self._rows.filter(cancel_requested_at__isnull=False).exists():
            self._rows.update(progress={"phase": "cancelling", "at": timezone.now().isoformat()})
            self._is_cancelled = True
            if not self.ended.is_set():
                interrupts.request()


def _as_json(newest: tuple[Progress, float], before: tuple[Progress, float] | None, took: Mapping[str, float]) -> dict[str, Any]:
    """The fields of Progress, `at` in UTC, bytes a second since what was written before, in the same phase, and how many seconds
    each phase took that is over.
    """
    (progress, moment), rate = newest, None
    if before is not None and before[0].phase == progress.phase and moment > before[1]:
        rate = round((progress.done_bytes - before[0].done_bytes) / (moment - before[1]))
    told = {phase: round(seconds, 1) for phase, seconds in took.items()}
    return asdict(progress) | {"rate": rate, "at": timezone.now().isoformat(), "took": told}
