"""What the scheduler does besides backups, and what of it somebody hears."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from pytest_django.fixtures import Settings

from backups import alerting, history, proving, queued, upkeep
from backups.exceptions import BackupsError, RunningError
from backups.models import AuditEntry, BackupHistory, Incident
from backups.postgres.named_lock import named_lock
from backups.schedules import TASK
from backups.types import Check, Server, State
from tests.conftest import s3_client
from tests.integration import shelf
from tests.integration.conftest import Run
from tests.integration.receiver import HTTPReceiver

pytestmark = pytest.mark.usefixtures("history", "bucket")


@pytest.fixture
def receiver(backups_settings: Settings) -> Iterator[HTTPReceiver]:
    """The one who is told."""
    with HTTPReceiver() as entered:
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_URLS": [entered.url]}
        yield entered


@pytest.fixture(autouse=True)
def no_schedules(history: None) -> None:
    """What the migrations made is there before a first test has flushed the tables."""
    PeriodicTask.objects.all().delete()


def open_events() -> list[str]:
    return sorted(Incident.objects.filter(closed_at=None).values_list("event", flat=True))


def broken_schedule() -> PeriodicTask:
    crontab = CrontabSchedule.objects.create(hour="1", minute="30")
    return PeriodicTask.objects.create(name="broken", task=TASK, crontab=crontab, kwargs='{"database": 3}')


def round_of_upkeep() -> None:
    upkeep.ask_for_due()
    upkeep.tend()
    upkeep.look()


def test_a_schedule_that_can_not_be_followed_is_told_once_however_often_it_is_looked(receiver: HTTPReceiver) -> None:
    broken_schedule()
    for _ in range(3):
        round_of_upkeep()
    assert [title for title in receiver.titles if "schedule" in title] == ["testing: schedule without backup: broken"]


@pytest.mark.parametrize("ending", ["mended", "disabled", "deleted"])
def test_it_is_over_when_the_schedule_is_mended_or_gone(ending: str, receiver: HTTPReceiver) -> None:
    schedule = broken_schedule()
    round_of_upkeep()
    if ending == "deleted":
        schedule.delete()
    else:
        schedule.kwargs, schedule.enabled = '{"description": "fine"}', ending == "mended"
        schedule.save()
    upkeep.ask_for_due()
    assert not Incident.objects.filter(event="schedule-failed", closed_at=None).exists()


def put_unknown(settings: Settings, bucket: str) -> None:
    s3_client(settings).put_object(Bucket=bucket, Key="testing/postgres/backup-2026-01-01T0000-whose.dump", Body=b"?")


def test_unknown_objects_are_told_until_they_are_gone(backups_settings: Settings, bucket: str) -> None:
    put_unknown(backups_settings, bucket)
    upkeep.sync()
    assert open_events() == ["unknown-objects"]
    s3_client(backups_settings).delete_object(Bucket=bucket, Key="testing/postgres/backup-2026-01-01T0000-whose.dump")
    upkeep.sync()
    assert open_events() == []


def test_a_sync_by_hand_ends_what_it_finds_cured_and_begins_nothing(backups_settings: Settings, bucket: str, run: Run) -> None:
    run("db_sync")
    put_unknown(backups_settings, bucket)
    assert (run("db_sync").code, open_events()) == (0, [])
    upkeep.sync()
    s3_client(backups_settings).delete_object(Bucket=bucket, Key="testing/postgres/backup-2026-01-01T0000-whose.dump")

    run("db_sync", "--dry-run")
    assert open_events() == ["unknown-objects"]
    run("db_sync")
    assert open_events() == []


def test_a_prune_by_hand_ends_what_it_finds_cured(backups_settings: Settings, run: Run) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RETENTION": {"keep_last": 3}}
    shelf.put("kept")
    alerting.opened(event="prune-refused", message="testing: it could not.")

    run("db_prune", "--dry-run")
    assert open_events() == ["prune-refused"]
    run("db_prune")
    assert open_events() == []


def audited() -> list[tuple[str, ...]]:
    return list(AuditEntry.objects.order_by("at").values_list("actor", "channel", "action", "object", "outcome"))


def test_what_a_schedule_has_had_done_is_in_the_audit_once(
    backups_settings: Settings, source: Server, register_alias: Callable[[str, Server], None]
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RETENTION": {"keep_last": 3}}
    crontab = CrontabSchedule.objects.create(hour="1", minute="30")
    PeriodicTask.objects.create(name="nightly", task=TASK, crontab=crontab, kwargs='{"database": "source"}')

    upkeep.ask_for_due(fired="nightly")
    upkeep.ask_for_due(fired="nightly")
    row = BackupHistory.objects.get()
    queued.make_backup(row.id)
    proving.prove_unverified()
    upkeep.sync()
    upkeep.prune(is_scheduled=True)
    upkeep.prune()  # whoever asked for it has an entry of their own

    by = ("schedule", "schedule")
    assert audited() == [
        (*by, "run", row.filename, "queued"),
        (*by, "verify", row.filename, "done"),
        (*by, "sync", "testing", "done"),
        (*by, "prune", "testing", "done"),
    ]


def test_a_scheduled_prune_that_fails_is_in_the_audit(backups_settings: Settings, use_bucket: Callable[..., str]) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RETENTION": {"keep_last": 3}}
    use_bucket(make=False, endpoint_url="http://127.0.0.1:1")
    with pytest.raises(BackupsError):
        upkeep.prune(is_scheduled=True)
    assert audited() == [("schedule", "schedule", "prune", "testing", "failed")]


def test_a_store_that_is_away_does_not_end_what_it_had(
    backups_settings: Settings, bucket: str, use_bucket: Callable[..., str]
) -> None:
    put_unknown(backups_settings, bucket)
    upkeep.sync()
    use_bucket(make=False, endpoint_url="http://127.0.0.1:1")
    upkeep.sync()
    assert open_events() == ["sync-failed", "unknown-objects"]


def test_backups_that_no_store_has_any_more_are_told(backups_settings: Settings, bucket: str) -> None:
    key = shelf.put("lost")
    upkeep.sync()
    client = s3_client(backups_settings)
    for item in client.list_objects_v2(Bucket=bucket)["Contents"]:
        client.delete_object(Bucket=bucket, Key=item["Key"])
    BackupHistory.objects.update(started_at=timezone.now() - timedelta(days=3), created_at=timezone.now() - timedelta(days=3))
    upkeep.sync()
    assert open_events() == ["backups-missing"]
    assert key.rpartition("/")[2] in Incident.objects.get().detail


def test_a_prune_without_a_policy_refuses_nothing() -> None:
    shelf.put("kept")
    upkeep.prune()
    assert open_events() == []


def test_a_prune_is_not_refused_where_a_rule_keeps_everything_anyway(backups_settings: Settings) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RETENTION": {"keep_last": 3}}
    shelf.put("kept")
    upkeep.prune()
    assert open_events() == []


def test_what_is_not_verified_is_proven_and_then_nothing_is_left_to_prove(
    backup: BackupHistory, register_alias: Callable[[str, Server], None]
) -> None:
    assert [(run.backup_id, run.verdict) for run in proving.prove_unverified()] == [(backup.id, "good")]
    backup.refresh_from_db()
    assert backup.verified_at is not None
    assert proving.prove_unverified() == []


def test_two_do_not_prove_at_the_same_time(backup: BackupHistory) -> None:
    with named_lock(history.server(), "verify:testing"), pytest.raises(RunningError):
        proving.prove_unverified()


def test_what_is_looked_at_no_more_is_closed_without_a_word(receiver: HTTPReceiver) -> None:
    alerting.opened(event="disk", subject="copies", message="testing: disk copies: 1 MiB free")
    alerting.tell()
    alerting.look([Check(id="disk", subject="scratch", state=State.OK, text="free")])
    alerting.tell()
    assert open_events() == []
    assert receiver.titles == ["testing: disk nearly full: copies"]
