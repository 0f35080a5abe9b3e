"""Signs of life of what makes backups happen: the scheduler, and the workers of each queue."""

import os
import socket

from django.utils import timezone

from backups.models import Heartbeat

SCHEDULER = "scheduler"
# What may take hours (a dump, a restore, a verification, a prune) holds up nothing that must happen within a minute.
BACKUPS, UPKEEP = "backups", "upkeep"
QUEUES = (BACKUPS, UPKEEP)


def of_queue(queue: str) -> str:
    """The name of the heartbeat of a queue's workers."""
    return f"queue:{queue}"


def beat(*names: str) -> None:
    """They are alive now, as this process shows. Raises what Django's database does."""
    for name in names:
        Heartbeat.objects.update_or_create(
            name=name, defaults={"at": timezone.now(), "detail": f"{socket.gethostname()} process {os.getpid()}"[:200]}
        )
