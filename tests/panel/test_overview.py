"""The first page: the answer, its numbers, what needs somebody, what comes next."""

from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from django_celery_beat.models import PeriodicTask

from backups import conf
from backups.models import Heartbeat
from tests.integration.health import made, verified

OVERVIEW = "/admin/backups/"
pytestmark = pytest.mark.usefixtures("history", "nothing_scheduled")


@pytest.fixture
def nothing_scheduled(history: None) -> Iterator[None]:
    PeriodicTask.objects.all().delete()
    yield
    Heartbeat.objects.all().delete()


@pytest.fixture
def page(browser_of: Callable[..., Client]) -> Callable[..., str]:
    def get(address: str = OVERVIEW, *, group: str = "backup viewer", **headers: str) -> str:
        answer = browser_of(group).get(address, headers=headers)
        assert answer.status_code == 200
        return " ".join(answer.content.decode().split())

    return get


def site() -> str:
    return conf.server("default").database


def test_without_any_backup_it_teaches(page: Callable[..., str]) -> None:
    shown = page()
    assert "<h1>No backups yet</h1>" in shown
    assert f"all of {site()} would be lost" in shown


def test_with_a_verified_backup_you_are_safe(page: Callable[..., str]) -> None:
    verified(made(site(), hours_ago=3), hours_ago=2)
    shown = page()
    assert "<h1>You are safe</h1>" in shown
