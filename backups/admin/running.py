"""What is queued or at work now: backups, restores and verifications, each with how far it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from backups import conf
from backups.admin import progress
from backups.admin.restoring_now import Restoring
from backups.models import UNENDED, BackupHistory, BackupRestore, RestorePurpose

_MOST = 10
_BACKUP = ("id", "description", "status", "created_at", "started_at", "progress", "cancel_requested_at", "triggered_by")
_RESTORE = (
    *("id", "purpose", "source_key", "target_database", "status", "created_at", "started_at", "progress", "cancel_requested_at"),
    "restored_by",
)


@dataclass(frozen=True, kw_only=True)
class AtWork:
    """A run that is; `run` tells how far it has come, here as on its own page."""

    name: str
    address: str
    who: str
    run: progress.Making | Restoring

    @property
    def since(self) -> datetime:
        """When it was begun, or asked for."""
        return self.run.row.started_at or self.run.row.created_at

    @property
    def phase(self) -> str:
        """What it does, for `heading`."""
        return progress.CANCELLING if self.run.is_cancelling else self.run.phase

    @property
    def spoken(self) -> str:
        """For a screen reader, by quarters."""
        if self.run.is_queued:
            return _("%(name)s waits for a worker.") % {"name": self.name}
        return _("%(name)s: %(percent)s%%.") % {"name": self.name, "percent": (self.run.percent or 0) // 25 * 25}


def running() -> list[AtWork]:
    """Of this environment, the oldest first, ten at most of each kind. Raises what Django's database does."""
    return list(_all(conf.current().environment))


def _all(environment: str) -> Iterator[AtWork]:
    now = timezone.now()
    backups = BackupHistory.objects.of_environment(environment).filter(status__in=UNENDED).order_by("created_at")
    for row in backups.select_related("triggered_by").only(*_BACKUP)[:_MOST]:
        address = reverse("backups_panel:backup", args=[row.id])
        run = progress.Making(row=row, now=now)
        yield AtWork(name=row.description, address=address, who=_name(row.triggered_by), run=run)
    restores = BackupRestore.objects.filter(target_environment=environment, status__in=UNENDED).order_by("created_at")
    for restore in restores.select_related("restored_by").only(*_RESTORE)[:_MOST]:
        filename = restore.source_key.rpartition("/")[2]
        if restore.purpose == RestorePurpose.VERIFICATION:
            name = _("Verifying %(filename)s") % {"filename": filename}
        else:
            name = _("Restoring onto %(database)s") % {"database": restore.target_database}
        address = reverse("backups_panel:restore", args=[restore.id])
        yield AtWork(name=name, address=address, who=_name(restore.restored_by), run=Restoring(row=restore, now=now))


def _name(user: Any) -> str:
    return str(user) if user is not None else ""


def spoken(runs: Sequence[AtWork]) -> str:
    """What a screen reader is told of them: it changes with each quarter that is done, not each second."""
    return " ".join(run.spoken for run in runs)
