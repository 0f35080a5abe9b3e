"""The schedules' own page in the admin: it takes only what can be followed."""

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from kombu.exceptions import OperationalError as BrokerError

from backups.admin.periodic import ScheduleAdmin
from backups.models import AuditEntry, Incident
from backups.queues import ROUTES
from backups.schedules import FOR_SCHEDULES, OURS
from backups.upkeep import ask_for_due
from ichrisbirch_site.celery import app
from ichrisbirch_site.scheduler import FollowableScheduler

pytestmark = pytest.mark.usefixtures("history", "groups")

LIST = "/admin/django_celery_beat/periodictask/"
UNFOLLOWABLE = [
    ("prune", "args", "[1]", "the task takes no positional arguments: leave it as []."),
    ("prune", "kwargs", "[1]", "a JSON object is expected, for example {}."),
    ("prune", "kwargs", '{"nonsense": 1}', "the task takes no keyword arguments: leave it as {}."),
    ("prune", "headers", "[1]", "a JSON object is expected, for example {}."),
    ("scheduled_backup", "args", "[1]", "the task takes no positional arguments: leave it as []."),
    ("scheduled_backup", "kwargs", '{"nonsense": 1}', "nonsense is not known. Known are: "),
]


@pytest.fixture
def root() -> Client:
    client = Client(HTTP_ACCEPT="text/html")
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


@pytest.fixture
def schedule() -> Callable[..., PeriodicTask]:
    """A row that is there already, whatever its arguments."""
    PeriodicTask.objects.all().delete()
    interval = IntervalSchedule.objects.get_or_create(every=1, period="hours")[0]

    def make(task: str, **fields: object) -> PeriodicTask:
        return PeriodicTask.objects.create(name="odd", task=f"{OURS}{task}", interval=interval, **fields)

    return make


def form_of(row: PeriodicTask, **changes: str) -> dict[str, str]:
    fields = {"name": row.name, "task": row.task, "regtask": row.task, "enabled": "on", "interval": str(row.interval_id)}
    return fields | {"args": "[]", "kwargs": "{}", "headers": "{}"} | changes


@pytest.mark.parametrize(("task", "field", "text", "why"), UNFOLLOWABLE)
def test_what_can_not_be_followed_is_refused_at_its_field(
    task: str, field: str, text: str, why: str, root: Client, schedule: Callable[..., PeriodicTask]
) -> None:
    row = schedule(task)
    address = reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])

    answer = root.post(address, form_of(row, **{field: text}))

    assert answer.status_code == 200
    assert [error.startswith(why) for error in answer.context["adminform"].form.errors[field]] == [True]


def test_what_can_be_followed_is_saved(root: Client, schedule: Callable[..., PeriodicTask]) -> None:
    row = schedule("scheduled_backup")
    address = reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])

    assert root.post(address, form_of(row, kwargs='{"description": "hourly"}')).status_code == 302

    row.refresh_from_db()
    assert row.kwargs == '{"description": "hourly"}'


def test_running_one_that_can_not_be_followed_says_why(root: Client, schedule: Callable[..., PeriodicTask]) -> None:
    row = schedule("prune", kwargs="[1]")
    answer = root.post(
        reverse("admin:django_celery_beat_periodictask_changelist"),
        {"action": "run_tasks", "_selected_action": [str(row.pk)]},
        follow=True,
    )
    assert "The schedule odd can&#x27;t be followed: kwargs: a JSON object is expected" in answer.content.decode()


def act(client: Client, action: str, *rows: PeriodicTask):  # type: ignore[no-untyped-def]
    """Selects rows and sends the action."""
    return client.post(LIST, {"action": action, "_selected_action": [str(row.pk) for row in rows]})


@pytest.mark.parametrize("action", ["enable_tasks", "disable_tasks", "toggle_tasks", "run_tasks"])
def test_whoever_may_only_look_at_schedules_changes_none_and_is_noted(action: str, schedule: Callable[..., PeriodicTask]) -> None:
    row = schedule("prune", enabled=action != "enable_tasks")
    user = get_user_model().objects.create_user("looks", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_periodictask"))
    client = Client(HTTP_ACCEPT="text/html")
    client.force_login(user)
    assert f'value="{action}"' not in client.get(LIST).content.decode()

    assert act(client, action, row).status_code == 403

    before = row.enabled
    row.refresh_from_db()
    assert row.enabled == before
    assert [(noted.actor, noted.action, noted.outcome) for noted in AuditEntry.objects.all()] == [("looks", action, "refused")]


@pytest.mark.parametrize(
    ("action", "is_enabled", "noted_as"),
    [
        ("enable_tasks", False, "enable_schedule"),
        ("disable_tasks", True, "disable_schedule"),
        ("toggle_tasks", True, "disable_schedule"),
        ("toggle_tasks", False, "enable_schedule"),
    ],
)
def test_whoever_switches_a_schedule_is_noted_with_what_it_came_to(
    action: str, is_enabled: bool, noted_as: str, root: Client, schedule: Callable[..., PeriodicTask]
) -> None:
    row = schedule("prune", enabled=is_enabled)
    assert act(root, action, row).status_code == 302
    row.refresh_from_db()
    assert row.enabled == (not is_enabled)
    noted = AuditEntry.objects.get()
    assert (noted.actor, noted.action, noted.outcome) == ("root", noted_as, "done")
    assert (noted.object, noted.detail) == ("odd", f"{OURS}prune")


def test_whoever_changes_or_deletes_a_schedule_by_its_form_is_noted(root: Client, schedule: Callable[..., PeriodicTask]) -> None:
    row = schedule("scheduled_backup")
    change, delete = (reverse(f"admin:django_celery_beat_periodictask_{how}", args=[row.pk]) for how in ("change", "delete"))

    root.post(change, form_of(row, enabled="", kwargs='{"description": "hourly"}'))
    root.post(delete, {"post": "yes"})

    noted = AuditEntry.objects.order_by("at").values_list("action", "outcome", "object", "detail")
    assert list(noted) == [
        ("change_schedule", "done", "odd", "enabled, kwargs"),
        ("delete_schedule", "done", "odd", f"{OURS}scheduled_backup"),
    ]


def test_whoever_deletes_several_schedules_is_noted_for_each(root: Client, schedule: Callable[..., PeriodicTask]) -> None:
    row = schedule("prune")
    root.post(LIST, {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"})
    assert list(AuditEntry.objects.values_list("action", "outcome", "object")) == [("delete_schedule", "done", "odd")]


class Sent:
    """In the place of a task: how often it was sent, and with what at last."""

    def __init__(self) -> None:
        self.times, self.how = 0, {}

    def apply_async(self, **how: object) -> str:
        """A message."""
        self.times, self.how = self.times + 1, how
        return "id"


class Unsendable:
    """In the place of a task whose broker is away."""

    def apply_async(self, **_how: object) -> str:
        """As Celery does where it can't connect."""
        raise BrokerError("Error 111 connecting to broker:6379. Connection refused.")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Stands for the prune, which is not carried out."""
    app.loader.import_default_modules()
    made = Sent()
    monkeypatch.setitem(app.tasks, f"{OURS}prune", made)
    return made


def test_whoever_runs_a_schedule_is_noted_as_far_as_it_was_sent(
    root: Client, schedule: Callable[..., PeriodicTask], sent: Sent
) -> None:
    row = schedule("prune")

    act(root, "run_tasks", row)
    PeriodicTask.objects.update(kwargs="[1]")
    act(root, "run_tasks", row)
    PeriodicTask.objects.update(task="of.nobody")
    act(root, "run_tasks", row)

    assert sent.times == 1
    assert sent.how == {"args": [], "kwargs": {}, "queue": None, "headers": {"periodic_task_name": "odd"}}
    noted = AuditEntry.objects.order_by("at").values_list("action", "outcome")
    assert list(noted) == [("run_schedule", "queued"), ("run_schedule", "refused"), ("run_schedule", "refused")]


def test_a_schedule_whose_broker_is_away_is_not_run_and_that_is_said_and_noted(
    root: Client, schedule: Callable[..., PeriodicTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app.loader.import_default_modules()
    monkeypatch.setitem(app.tasks, f"{OURS}prune", Unsendable())

    answer = act(root, "run_tasks", schedule("prune"))

    said = [str(message) for message in get_messages(answer.wsgi_request)]
    assert said == ["The broker could not be reached, so the schedule odd was not run. Is everything up: icb status?"]
    noted = AuditEntry.objects.get()
    assert (noted.action, noted.outcome, noted.object) == ("run_schedule", "failed", "odd")
    assert "broker:6379" in noted.detail


def test_of_several_schedules_one_that_has_no_task_keeps_none_of_the_others_from_running(
    root: Client, schedule: Callable[..., PeriodicTask], sent: Sent
) -> None:
    row = schedule("prune")
    other = PeriodicTask.objects.create(name="other", task="of.nobody", interval=row.interval)

    said = [str(message) for message in get_messages(act(root, "run_tasks", row, other).wsgi_request)]

    assert sent.times == 1
    assert set(said) == {
        "The schedule other is for of.nobody, and there is no such task. Correct it in its form.",
        "1 schedule was sent to the workers.",
    }


def test_an_action_is_told_in_the_language_of_whoever_looks() -> None:
    with translation.override("de"):
        assert str(ScheduleAdmin.run_tasks.short_description) == "Ausgewählte Aufgaben ausführen"


@pytest.mark.parametrize(("task", "field", "text", "why"), UNFOLLOWABLE)
def test_beat_leaves_out_one_that_is_there_already_and_it_becomes_an_incident_until_it_is_mended(
    task: str, field: str, text: str, why: str, schedule: Callable[..., PeriodicTask], caplog: pytest.LogCaptureFixture
) -> None:
    row = schedule(task, **{field: text})
    scheduler = FollowableScheduler(app=app, lazy=True)

    assert [scheduler.enabled_models(), scheduler.enabled_models()] == [[], []]
    assert [why in record.message and record.exc_info is None for record in caplog.records] == [True]  # once

    ask_for_due()
    incident = Incident.objects.get(closed_at=None)
    assert incident.event == ("schedule-failed" if task == "scheduled_backup" else "schedule-unfollowed")
    assert why in incident.detail

    setattr(row, field, "[]" if field == "args" else "{}")
    row.enabled = task != "scheduled_backup"
    row.save()
    ask_for_due()
    assert not Incident.objects.filter(closed_at=None).exists()


@pytest.fixture
def ours() -> set[str]:
    """The names of our tasks, as Celery knows them."""
    app.loader.import_default_modules()
    return {name for name in app.tasks if name.startswith(OURS)}


def test_each_task_is_either_for_schedules_or_carries_an_id(ours: set[str]) -> None:
    assert ours - FOR_SCHEDULES == {f"{OURS}make_backup", f"{OURS}restore"}


def test_each_task_has_its_queue_and_none_says_so_itself(ours: set[str]) -> None:
    assert {name: app.amqp.router.route({}, name)["queue"].name for name in ours} == {
        name: route["queue"] for name, route in ROUTES.items()
    }
    assert {getattr(app.tasks[name], "queue", None) for name in ours} == {None}  # which Celery 6 will not read
