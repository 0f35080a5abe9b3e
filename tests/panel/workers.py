"""Workers that seem to be alive, and messages that nobody takes."""

from typing import Any

import pytest
from django.utils import timezone

from backups import tasks
from backups.models import Heartbeat


class Kept:
    """In the place of a task: a broker is not what these tests are about."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def apply_async(self, *, args: list[str], **_how: Any) -> None:
        """A message about the row of that id."""
        self.ids += args


def alive(monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A worker of each queue was here just now; what is sent to it is kept."""
    kept = Kept()
    for name in ("make_backup", "restore"):
        monkeypatch.setattr(tasks, name, kept)
    for queue in ("backups", "upkeep"):
        Heartbeat.objects.create(name=f"queue:{queue}", at=timezone.now())
    return kept
