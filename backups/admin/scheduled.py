"""What runs by itself: every schedule of the app's tasks, how often it runs, when next and when last."""

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from backups.admin.coming import TASKS, TIMES, Coming, coming_of
from backups.admin.page import Page
from backups.schedules import OURS, TASK, backup_schedules, unfollowable


@dataclass(frozen=True, kw_only=True)
class ScheduleLine:
    """One of them. `problem` says why it can't be carried out."""

    id: int
    description: str
    is_enabled: bool
    last_at: datetime | None
    coming: Coming
    problem: str = ""


class Schedules(Page):
    """All of them: those of backups and their care, then what keeps the site going. Django's admin changes them."""

    tab = "schedules"

    def get(self, request: HttpRequest) -> HttpResponse:
        """As a page."""
        now = timezone.now()
        problems = {one.name: one.problem for one in backup_schedules()} | unfollowable()
        rows = PeriodicTask.objects.filter(task__startswith=OURS).select_related(*TIMES)
        lines = sorted(
            ((row.task, _line(row, problems.get(row.name, ""), now)) for row in rows),
            key=lambda one: (
                not one[1].is_enabled,
                one[1].coming.at or datetime.max.replace(tzinfo=now.tzinfo),
                one[1].coming.name,
            ),
        )
        return self.show(
            "backups/schedules.html",
            makes_backups=any(task == TASK and line.is_enabled and not line.problem for task, line in lines),
            backups=[line for task, line in lines if task in TASKS],
            upkeep=[line for task, line in lines if task not in TASKS],
            zone=timezone.get_current_timezone_name(),
        )


def _line(row: PeriodicTask, problem: str, now: datetime) -> ScheduleLine:
    return ScheduleLine(
        id=row.id,
        description=row.description,
        is_enabled=row.enabled,
        last_at=row.last_run_at,
        coming=coming_of(row, now=now),
        problem=problem,
    )


urlpatterns = [path("schedules/", Schedules.as_page(), name="schedules")]
