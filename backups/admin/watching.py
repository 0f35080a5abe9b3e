"""A backup while it is made: the page, and the part of it that is fetched anew each second."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone

from backups import health
from backups.admin.page import Page, found
from backups.admin.progress import Making
from backups.heartbeats import BACKUPS
from backups.models import UNENDED, BackupHistory
from backups.types import Check, State

_COLUMNS = (
    *("id", "filename", "description", "environment", "database", "status", "created_at", "started_at", "finished_at"),
    *("bucket", "s3_key", "local_path", "progress", "cancel_requested_at", "deleted_at", "missing_at", "backup_type"),
)


class Watched(Page):
    """Pages of a backup that may be running."""

    tab = "backups"

    def as_it_runs(self, row: BackupHistory) -> HttpResponse:
        """The page of one that is queued or at work."""
        before = BackupHistory.objects.succeeded().of_environment(row.environment).filter(database=row.database)
        last = before.only("id", "created_at", "duration_seconds", "size_bytes", "database_size_bytes").newest_first().first()
        command = f"icb db cancel {str(row.id)[:8]}"
        return self.show("backups/progress.html", last=last, cancel_command=command, **_told(row))


class Live(Watched):
    """What is fetched each second. A run that has ended has a page to show instead."""

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """The part; `quarter` is what was said aloud last."""
        row = found(BackupHistory.objects.only(*_COLUMNS), id)
        is_script = "HX-Request" in request.headers
        if row.status in UNENDED and is_script:
            said = request.GET.get("quarter", "")
            return self.show("backups/parts/progress.html", is_part=True, said=said, **_told(row))
        if is_script:
            return HttpResponse(headers={"HX-Refresh": "true"})  # https://htmx.org/reference/#response_headers
        return HttpResponseRedirect(reverse("backups_panel:backup", args=[row.pk]))


def _told(row: BackupHistory) -> dict[str, Any]:
    running = Making(row=row, now=timezone.now())
    return {"row": row, "running": running, "worker": _missing_worker() if running.is_queued else None}


def _missing_worker() -> Check | None:
    """What is wrong with whoever should take it from the queue."""
    check = health.worker_of(BACKUPS)
    return check if check.state is not State.OK else None


urlpatterns = [path("<uuid:id>/live/", Live.as_page(), name="backup-live")]
