"""django-celery-beat's page of a schedule, which refuses by name what no worker could carry out, and whoever may only look."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import ngettext
from django_celery_beat.admin import PeriodicTaskAdmin, PeriodicTaskForm
from django_celery_beat.models import PeriodicTask

from backups import asking, audit, schedules, stores
from backups.admin.lacking import CHANGE_SCHEDULES
from backups.admin.page import forbidden, outcome_of
from backups.audit import Outcome
from backups.exceptions import BackupsError
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
    """Theirs with our form. Their actions ask for no permission: here for that to change, and what they did is noted."""

    form = ScheduleForm

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list; 403 for an action that one may not, which the audit notes."""
        wanted = request.POST.get("action", "")
        if wanted in self.actions and not self.has_change_permission(request):
            return forbidden(request, wanted, tab="schedules", needed=CHANGE_SCHEDULES)
        return super().changelist_view(request, extra_context)

    def save_model(self, request: HttpRequest, obj: PeriodicTask, form: Any, change: bool) -> None:
        """Noted with the fields that were changed."""
        super().save_model(request, obj, form, change)
        fields = [name for name in form.changed_data if hasattr(obj, name)]  # their form has one more
        _note(request, "change_schedule" if change else "add_schedule", [obj], detail=", ".join(fields))

    def delete_model(self, request: HttpRequest, obj: PeriodicTask) -> None:
        """Noted by its name."""
        super().delete_model(request, obj)
        _note(request, "delete_schedule", [obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """The same for several."""
        rows = list(queryset)
        super().delete_queryset(request, queryset)
        _note(request, "delete_schedule", rows)

    @admin.action(permissions=["change"], description=PeriodicTaskAdmin.enable_tasks.short_description)
    def enable_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """From now on they run."""
        rows = list(queryset)
        super().enable_tasks(request, queryset)
        _note(request, "enable_schedule", rows)

    @admin.action(permissions=["change"], description=PeriodicTaskAdmin.disable_tasks.short_description)
    def disable_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """From now on they don't."""
        rows = list(queryset)
        super().disable_tasks(request, queryset)
        _note(request, "disable_schedule", rows)

    @admin.action(permissions=["change"], description=PeriodicTaskAdmin.toggle_tasks.short_description)
    def toggle_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Those that run stop, the others begin; noted as what it came to."""
        rows = list(queryset)
        super().toggle_tasks(request, queryset)
        _note(request, "disable_schedule", (row for row in rows if row.enabled))
        _note(request, "enable_schedule", (row for row in rows if not row.enabled))

    @admin.action(permissions=["change"], description=PeriodicTaskAdmin.run_tasks.short_description)
    def run_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Each by itself: of those that could not be sent it is said why."""
        sent = 0
        for row in queryset:
            try:
                asking.for_schedule(row)
            except BackupsError as error:
                error.scrub(stores.secrets())
                self.message_user(request, f"{translated(error.message)} {translated(error.hint)}".strip(), messages.ERROR)
                _note(request, "run_schedule", [row], outcome=outcome_of(error), detail=str(error))
            else:
                _note(request, "run_schedule", [row], outcome=Outcome.QUEUED)
                sent += 1
        if sent:
            text = ngettext("%(count)s schedule was sent to the workers.", "%(count)s schedules were sent to the workers.", sent)
            self.message_user(request, text % {"count": sent}, messages.SUCCESS)


def _note(
    request: HttpRequest, action: str, rows: Iterable[PeriodicTask], *, outcome: Outcome = Outcome.DONE, detail: str = ""
) -> None:
    by = audit.By.of_request(request)
    for row in rows:
        audit.note(action=action, outcome=outcome, object=row.name, detail=detail or row.task, by=by)
