"""Signs of life of what makes backups happen: the scheduler, and the workers of each queue."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import Error as DatabaseError
from django.db import connections, router
from django.utils import timezone

from backups.models import Heartbeat
from backups.queues import BACKUPS as BACKUPS
from backups.queues import QUEUES as QUEUES
from backups.queues import UPKEEP as UPKEEP

SCHEDULER = "scheduler"
EACH_SECONDS = 60.0


def of_queue(queue: str) -> str:
    """The name of the heartbeat of a queue's workers."""
    return f"queue:{queue}"


def beat(*names: str) -> None:
    """They are alive now, as this process shows. Raises what Django's database does."""
    for name in names:
        Heartbeat.objects.update_or_create(
            name=name, defaults={"at": timezone.now(), "detail": f"{socket.gethostname()} process {os.getpid()}"[:200]}
        )


@contextmanager
def beating(name: str, *, each_seconds: float = EACH_SECONDS) -> Iterator[None]:
    """It is alive for the length of the block: whoever is busy for hours can't answer otherwise. Raises nothing."""
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(each_seconds):
            with suppress(DatabaseError):
                beat(name)
            connections[router.db_for_write(Heartbeat)].close()

    thread = threading.Thread(target=keep, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=10)
