"""django-celery-beat's page of a schedule, which refuses by name what no worker could carry out."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django_celery_beat.admin import PeriodicTaskAdmin, PeriodicTaskForm
from django_celery_beat.models import PeriodicTask

from backups import schedules
from backups.sentences import translated


class ScheduleForm(PeriodicTaskForm):  # type: ignore[misc]
    """Theirs, and what our tasks take."""

    def clean(self) -> dict[str, Any]:
        """Says at each field why the task could not be carried out so."""
        given: dict[str, Any] = super().clean()
        if {"args", "kwargs", "headers"} <= given.keys():  # what is no JSON is said already
            texts = {name: given.get(name) or "" for name in ("task", "args", "kwargs", "headers")}
            for name, why in schedules.refusals(**texts).items():
                self.add_error(name, translated(why))
        return given


admin.site.unregister(PeriodicTask)


@admin.register(PeriodicTask)
class ScheduleAdmin(PeriodicTaskAdmin):  # type: ignore[misc]
    """Theirs with our form."""

    form = ScheduleForm

    @admin.action(description=_("Run selected tasks"))
    def run_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Those that can be followed; of the others it is said why they can't."""
        rows, problems = schedules.followable(list(queryset))
        for problem in problems:
            self.message_user(request, translated(problem), level=messages.ERROR)
        if rows:
            super().run_tasks(request, queryset.filter(pk__in=[row.pk for row in rows]))
