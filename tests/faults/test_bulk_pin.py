"""A web process that dies in the midst of what was asked for several backups: what was done is whole, and the rest can follow."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django.fixtures import Settings

from backups.models import AuditEntry, BackupHistory
from backups.storage import keys
from tests.api.serving import Serving, serving
from tests.conftest import keys_in, until
from tests.faults.proxy import Answer, Forward, Match, Proxy, Request, operation, put_of
from tests.integration import shelf

pytestmark = pytest.mark.usefixtures("history")

LIST = "/admin/backups/backuphistory/"
CSRF = "c" * 32
WHY = "before the audit"


@pytest.fixture
def three(through_the_proxy: Proxy) -> list[BackupHistory]:
    """In the order of the list: the newest first."""
    stored = [shelf.put(name, minutes=minutes) for minutes, name in ((2, "first"), (1, "second"), (0, "third"))]
    return [BackupHistory.objects.get(s3_key=key) for key in stored]


@pytest.fixture
def site(three: list[BackupHistory], environment: Callable[..., dict[str, str]], tmp_path: Path) -> Iterator[Serving]:
    """gunicorn, whose store is behind the proxy."""
    env = environment() | {"SECRET_KEY": settings.SECRET_KEY, "ICB_FOLDER": str(tmp_path / "icb")}
    with serving(env, log=tmp_path / "gunicorn.log") as site:
        yield site


@pytest.fixture
def pin_each(site: Serving, three: list[BackupHistory]) -> Callable[[], int]:
    """Sends the form of the list that pins all three, as somebody who is signed in; returns the status."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("keeper"))
    signed_in = client.cookies[settings.SESSION_COOKIE_NAME].value
    cookies = {settings.SESSION_COOKIE_NAME: signed_in, settings.CSRF_COOKIE_NAME: CSRF}
    form = {"action": "pin", "_selected_action": [str(row.pk) for row in three], "reason": WHY, "csrfmiddlewaretoken": CSRF}

    def send() -> int:
        asked = {"cookies": cookies, "headers": {"Accept": "text/html"}, "allow_redirects": False, "timeout": 60}
        return requests.post(site.url + LIST, form, **asked).status_code

    return send


@pytest.fixture
def stands_still(through_the_proxy: Proxy) -> Iterator[Callable[[Match], SimpleNamespace]]:
    """Lets the store stand still at the first request of a kind. `asked` tells that it has come; `heal` ends that."""
    over = threading.Event()

    def at(match: Match) -> SimpleNamespace:
        asked = threading.Event()

        def act(request: Request, forward: Forward) -> Answer:
            asked.set()
            over.wait(120)
            return Answer(503)

        through_the_proxy.when(match, act)
        return SimpleNamespace(asked=asked, heal=lambda: (through_the_proxy.heal(), over.set()))

    yield at
    over.set()


def before_the_second(second: BackupHistory) -> Match:
    """Of the second backup nothing is asked yet."""
    return lambda request: second.filename in request.key


def within_the_second(second: BackupHistory) -> Match:
    """Its row has the pin, and the bucket has none yet."""
    is_pin = put_of(keys.pin_key(second.s3_key))
    return lambda request: is_pin(request) or (operation("delete")(request) and request.key == keys.pin_key(second.s3_key))


def pinned(rows: list[BackupHistory]) -> list[str]:
    """What the history says."""
    kept = BackupHistory.objects.filter(pk__in=[row.pk for row in rows]).exclude(pin_reason="")
    return [row.description for row in rows if row in kept]


def pins_in_the_bucket(backups_settings: Settings, rows: list[BackupHistory]) -> list[str]:
    """What the bucket has."""
    there = set(keys_in(backups_settings, rows[0].bucket))
    return [row.description for row in rows if keys.pin_key(row.s3_key) in there]


def noted(rows: list[BackupHistory]) -> list[str]:
    """What the audit says was done, by whom and why."""
    done = AuditEntry.objects.filter(action="pin", outcome="done", actor="keeper", detail=WHY).order_by("at")
    names = {row.filename: row.description for row in rows}
    return [names[entry.object] for entry in done]


@pytest.mark.parametrize(
    ("moment", "in_the_history"),
    [(before_the_second, ["first"]), (within_the_second, ["first", "second"])],
)
def test_a_web_process_that_is_killed_has_pinned_whole_and_noted_what_it_had_done_and_again_it_does_the_rest(
    moment: Callable[[BackupHistory], Match],
    in_the_history: list[str],
    site: Serving,
    three: list[BackupHistory],
    pin_each: Callable[[], int],
    stands_still: Callable[[Match], SimpleNamespace],
    meanwhile: Callable[..., Future[object]],
    backups_settings: Settings,
) -> None:
    store = stands_still(moment(three[1]))

    def send_in_vain() -> None:
        with suppress(requests.ConnectionError):
            pin_each()

    meanwhile(send_in_vain)
    until(store.asked.is_set)
    site.kill_workers()

    # A pin comes into the history first, where it keeps the backup at once: none is in the bucket alone, or noted and not there.
    assert pinned(three) == in_the_history
    assert pins_in_the_bucket(backups_settings, three) == ["first"]
    assert noted(three) == ["first"]

    store.heal()
    assert pin_each() == 302
    assert pinned(three) == pins_in_the_bucket(backups_settings, three) == ["first", "second", "third"]
    assert noted(three) == ["first", "first", "second", "third"]
