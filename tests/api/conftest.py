"""Who asks the API: nobody, people with and without permissions, tokens of each scope; and workers that seem to be alive."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.utils import timezone
from knox.crypto import create_token_string, hash_token

from backups.access import permission_of
from backups.models import Heartbeat, Token
from backups.tokens import PREFIX

Make = Callable[..., Client]
JSON = {"HTTP_ACCEPT": "application/json"}
BROWSER = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}


@pytest.fixture(autouse=True)
def _nobody_asked_before(history: None) -> None:
    """No throttle remembers the test before."""
    cache.clear()


@pytest.fixture
def alive(history: None) -> None:
    """A worker of each queue was here just now."""
    for queue in ("backups", "upkeep"):
        Heartbeat.objects.create(name=f"queue:{queue}", at=timezone.now())


@pytest.fixture
def admin_client(history: None) -> Client:
    """A superuser's."""
    client = Client(**JSON)
    client.force_login(get_user_model().objects.create_superuser(f"root-{uuid4().hex[:6]}"))
    return client


@pytest.fixture
def staff(history: None) -> Make:
    """A client of a member of the staff with just these permissions."""

    def make(*actions: str) -> Client:
        user = get_user_model().objects.create_user(f"staff-{uuid4().hex[:6]}", is_staff=True)
        _permit(user, *actions)
        client = Client(**JSON)
        client.force_login(user)
        return client

    return make


@pytest.fixture
def bearer(history: None) -> Make:
    """A client with a token of that scope, of a user who may do everything."""

    def make(scope: str, *, user: Any = None, **fields: Any) -> Client:
        user = user or get_user_model().objects.create_superuser(f"deploy-{uuid4().hex[:6]}")
        secret = PREFIX + create_token_string()
        given = {"expiry": timezone.now() + timedelta(days=1), **fields}
        Token(user=user, name=uuid4().hex[:8], scope=scope, digest=hash_token(secret), token_key=secret[:15], **given).save(
            force_insert=True
        )
        return Client(HTTP_AUTHORIZATION=f"Bearer {secret}", **JSON)

    return make


@dataclass(frozen=True)
class Messages:
    """In the place of a task: a broker is not what these tests are about; those of the workers have one."""

    take: Callable[[str], None]

    def apply_async(self, *, args: list[str], **_how: object) -> None:
        """A message about the row of that id."""
        self.take(*args)


def in_a_thread(do: Callable[[], Any]) -> Future[Any]:
    """As another request, or a worker, does it at the same time; the result is awaited by `.result(timeout=…)`."""

    def run() -> Any:
        try:
            return do()
        finally:
            connections.close_all()

    threads = ThreadPoolExecutor(max_workers=1)
    done = threads.submit(run)
    threads.shutdown(wait=False)
    return done


def _permit(user: Any, *actions: str) -> None:
    for action in actions:
        app, _dot, codename = permission_of(action).partition(".")  # type: ignore[arg-type]
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))


def problem(response: Any, status: int, kind: str) -> dict[str, Any]:
    """The problem that an answer is, of that status and type."""
    assert response["Content-Type"] == "application/problem+json", response.content
    told: dict[str, Any] = response.json()
    assert (response.status_code, told["status"], told["type"]) == (status, status, f"urn:icb:problem:{kind}"), told
    return told
