"""How often somebody may ask."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import cache
from django.utils import timezone
from pytest_django.fixtures import Settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from backups.api.throttling import CreateThrottle, ReadThrottle
from backups.models import BackupHistory, BackupRestore

pytestmark = pytest.mark.django_db


class Door(APIView):
    """Whoever gets through gets 200."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = (ReadThrottle, CreateThrottle)

    def get(self, _request: Request) -> Response:
        """Looks."""
        return Response()

    def post(self, _request: Request) -> Response:
        """Makes."""
        return Response()


@pytest.fixture(autouse=True)
def forgotten(settings: Settings) -> Iterator[None]:
    """Rates of the test's own, and nobody has asked before."""
    rates = {"backups_create": "2/min", "backups_read": "3/min"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    cache.clear()
    yield
    cache.clear()


def ask(method: str, user: Any = None, **meta: str) -> Any:
    request = getattr(APIRequestFactory(), method)("/", **meta)
    force_authenticate(request, user or AnonymousUser())
    return Door.as_view()(request)


def made(user: User, *, seconds_ago: int, number: int) -> None:
    BackupHistory.objects.create(
        filename=f"{user}-{number}",
        environment="testing",
        database="site",
        triggered_by=user,
        created_at=timezone.now() - timedelta(seconds=seconds_ago),
    )


def test_a_user_makes_as_many_runs_as_the_rate_says_and_is_told_when_to_come_again() -> None:
    user, other = User.objects.create_user("chris"), User.objects.create_user("other")
    made(user, seconds_ago=20, number=1)
    assert ask("post", user).status_code == 200
    BackupRestore.objects.create(
        source_key="x", target_host="db", target_port=5432, target_database="site", target_environment="testing", restored_by=user
    )
    refused = ask("post", user)

    assert refused.status_code == 429
    assert 30 <= int(refused["Retry-After"]) <= 40
    assert ask("post", other).status_code == 200
    assert ask("get", user).status_code == 200  # to look is no making


def test_what_was_made_before_the_time_does_not_count() -> None:
    user = User.objects.create_user("chris")
    for number in range(5):
        made(user, seconds_ago=61, number=number)
    assert ask("post", user).status_code == 200


def test_an_address_can_not_be_made_up_to_begin_anew() -> None:
    codes = [ask("get", HTTP_X_FORWARDED_FOR=f"198.51.100.{number}").status_code for number in range(4)]
    assert codes == [200, 200, 200, 429]
    assert ask("get", REMOTE_ADDR="203.0.113.7").status_code == 200


def test_a_rate_of_none_is_no_limit(settings: Settings) -> None:
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"backups_create": None, "backups_read": None},
    }
    user = User.objects.create_user("chris")
    for number in range(5):
        made(user, seconds_ago=1, number=number)
    assert {ask("post", user).status_code for _ in range(5)} == {200}
