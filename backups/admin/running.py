"""What is queued or at work now: backups, restores and verifications, each with how far it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from backups import conf
from backups.admin import figures
from backups.models import UNENDED, BackupHistory, BackupRestore, RestorePurpose, Status

_MOST = 10
_BACKUP = ("id", "description", "status", "created_at", "started_at", "progress", "cancel_requested_at", "triggered_by")
_RESTORE = (
    *("id", "purpose", "source_key", "target_database", "status", "created_at", "started_at", "progress", "cancel_requested_at"),
    "restored_by",
)


@dataclass(frozen=True, kw_only=True)
class Running:
    """One of them. Bytes of tables; `total` is 0 where there is no measure of how far it is, `rate` is bytes a second."""

    name: str
    address: str
    who: str
    since: datetime
    is_queued: bool
    phase: str
    table: str
    done: int
    total: int
    stored: int
    rate: float | None

    @property
    def percent(self) -> int:
        """0 to 100, never more."""
        return min(100, 100 * self.done // self.total) if self.total else 0

    @property
    def left(self) -> str:
        """19 s: at the rate of the last second; empty where it is not known."""
        if not self.rate or self.rate <= 0 or not self.total or self.done >= self.total:
            return ""
        return figures.duration(max(1.0, round((self.total - self.done) / self.rate)))

    @property
    def spoken(self) -> str:
        """For a screen reader, by quarters."""
        if self.is_queued:
            return _("%(name)s waits for a worker.") % {"name": self.name}
        return _("%(name)s: %(percent)s%%.") % {"name": self.name, "percent": self.percent // 25 * 25}


def running() -> list[Running]:
    """Of this environment, the oldest first, ten at most of each kind. Raises what Django's database does."""
    return list(_all(conf.current().environment))


def _all(environment: str) -> Iterator[Running]:
    backups = BackupHistory.objects.of_environment(environment).filter(status__in=UNENDED).order_by("created_at")
    for row in backups.select_related("triggered_by").only(*_BACKUP)[:_MOST]:
        yield _one(row, name=row.description, address=reverse("backups_panel:backup", args=[row.id]), who=row.triggered_by)
    restores = BackupRestore.objects.filter(target_environment=environment, status__in=UNENDED).order_by("created_at")
    for restore in restores.select_related("restored_by").only(*_RESTORE)[:_MOST]:
        filename = restore.source_key.rpartition("/")[2]
        if restore.purpose == RestorePurpose.VERIFICATION:
            name = _("Verifying %(filename)s") % {"filename": filename}
        else:
            name = _("Restoring onto %(database)s") % {"database": restore.target_database}
        yield _one(restore, name=name, address=reverse("backups_panel:restore", args=[restore.id]), who=restore.restored_by)


def _one(row: Any, *, name: str, address: str, who: Any) -> Running:
    progress: dict[str, Any] = row.progress if isinstance(row.progress, dict) else {}
    phase = str(progress.get("phase") or "")
    if row.cancel_requested_at is not None:
        phase = _("cancelling")
    return Running(
        name=name,
        address=address,
        who=str(who) if who is not None else "",
        since=row.started_at or row.created_at,
        is_queued=row.status == Status.PENDING and row.started_at is None,
        phase=phase,
        table=str(progress.get("table") or ""),
        done=int(progress.get("done_bytes") or 0),
        total=int(progress.get("total_bytes") or 0),
        stored=int(progress.get("stored_bytes") or 0),
        rate=progress.get("rate"),
    )


def spoken(runs: Sequence[Running]) -> str:
    """What a screen reader is told of them: it changes with each quarter that is done, not each second."""
    return " ".join(run.spoken for run in runs)
