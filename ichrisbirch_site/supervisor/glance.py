"""What the history says, for a line on the terminal; nothing where it does not answer at once."""

import threading
from collections.abc import Callable
from typing import TypeVar

ANSWERS_WITHIN_SECONDS = 3.0

T = TypeVar("T")


def at_work() -> list[str]:
    """The runs of this environment that have begun and not ended: "A backup (backup-….dump) is"."""
    return _asked(_at_work, otherwise=[])


def has_users() -> bool:
    """Whether anybody can log in."""
    return _asked(_has_users, otherwise=True)


def next_backup() -> str:
    """When the next scheduled backup will be made, in words; empty where that is not known."""
    return _asked(_next_backup, otherwise="")


def _at_work() -> list[str]:
    from backups import conf
    from backups.models import BackupHistory, BackupRestore, Status

    environment = conf.current().environment
    unended = (Status.PENDING, Status.RUNNING)
    backups = BackupHistory.objects.of_environment(environment).filter(status__in=unended, started_at__isnull=False)
    restores = BackupRestore.objects.filter(target_environment=environment, status__in=unended, started_at__isnull=False)
    return [
        *(f"A backup ({name}) is" for name in backups.values_list("filename", flat=True)),
        *(f"A {purpose} ({name}) is" for purpose, name in restores.values_list("purpose", "target_database")),
    ]


def _next_backup() -> str:
    from django.utils import timezone
    from django_celery_beat.models import PeriodicTask

    from backups.schedules import TASK

    rows = PeriodicTask.objects.filter(task=TASK, enabled=True)
    moments = [row.schedule.remaining_estimate(timezone.now()) + timezone.now() for row in rows]  # from its own, earlier now
    return f"{timezone.localtime(min(moments)):%Y-%m-%d %H:%M %Z}" if moments else ""


def _has_users() -> bool:
    from django.contrib.auth import get_user_model

    return bool(get_user_model()._default_manager.filter(is_active=True).exists())


def _asked(question: Callable[[], T], *, otherwise: T) -> T:
    """The answer, from a thread and a connection of its own: no database that hangs or is away holds us up."""
    answers: list[T] = []

    def ask() -> None:
        from django.db import Error, connections

        try:
            answers.append(question())
        except Error:
            pass
        finally:
            connections.close_all()

    thread = threading.Thread(target=ask, name="glance", daemon=True)
    thread.start()
    thread.join(ANSWERS_WITHIN_SECONDS)
    return answers[0] if answers else otherwise
