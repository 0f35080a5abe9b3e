"""Whoever is at work is seen to be alive, and a broker that grows impatient is noticed."""

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import health, heartbeats
from backups.models import BackupHistory, Heartbeat
from backups.types import Check
from tests.conftest import until

pytestmark = pytest.mark.usefixtures("history", "backups_settings")


def test_a_queue_whose_worker_is_busy_for_hours_goes_on_beating() -> None:
    with heartbeats.beating("queue:backups", each_seconds=0.01):
        until(Heartbeat.objects.filter(name="queue:backups").exists)
        first = Heartbeat.objects.get().at
        until(lambda: Heartbeat.objects.get().at > first)


def test_when_the_work_is_done_nothing_beats_any_more() -> None:
    with heartbeats.beating("queue:backups", each_seconds=0.01):
        until(Heartbeat.objects.exists)
    Heartbeat.objects.all().delete()
    with heartbeats.beating("another", each_seconds=0.01):
        until(Heartbeat.objects.filter(name="another").exists)
    assert not Heartbeat.objects.filter(name="queue:backups").exists()


def broker() -> list[Check]:
    return [check for check in health.report() if check.id == "broker"]


def ran(seconds: float) -> None:
    BackupHistory.objects.create(
        filename="backup-2026-11-25T0130-long.dump",
        environment="testing",
        database="shop",
        status="succeeded",
        duration_seconds=seconds,
        finished_at=timezone.now(),
    )


def test_without_redis_no_message_comes_again(settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "filesystem://localhost"
    assert broker() == []


@pytest.mark.parametrize(("seconds", "state"), [(40_000, "ok"), (50_000, "bad")])
def test_a_run_that_came_near_the_visibility_timeout_of_redis_is_told(settings: Settings, seconds: float, state: str) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1/0"
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 86_400}
    ran(seconds)
    (check,) = broker()
    assert check.state == state


def test_redis_without_a_setting_has_an_hour(settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1/0"
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {}
    ran(3000)
    (check,) = broker()
    assert (check.state, check.text) == ("bad", "a message comes again after 1 h 0 min; the longest run took 50 min 0 s")
