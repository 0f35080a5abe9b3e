"""What the containers ask of the site: is a part of it alive, is the bucket there; and its CSS."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import conf
from backups.exceptions import StorageError
from backups.heartbeats import SCHEDULER
from backups.models import Heartbeat
from backups.storage.bucket import make_bucket
from ichrisbirch_site import alive
from ichrisbirch_site.embedded.home import free_port
from tests.conftest import keys_in


def test_a_web_server_that_does_not_answer_is_not_alive(capsys: pytest.CaptureFixture[str]) -> None:
    assert alive.main(["web", str(free_port())]) == 1
    assert "refused" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["web"], ["web", "x"], ["worker"], ["beat", "now"]])
def test_what_it_can_not_be_asked_is_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert alive.main(words) == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.django_db
@pytest.mark.parametrize(("minutes", "code"), [(None, 1), (6, 1), (4, 0)])
def test_a_scheduler_is_alive_as_long_as_what_it_asks_for_is_done(minutes: int | None, code: int) -> None:
    if minutes is not None:
        Heartbeat.objects.create(name=SCHEDULER, at=timezone.now() - timedelta(minutes=minutes))
    assert alive.main(["beat"]) == code


@pytest.mark.parametrize("server", ["nanio", "moto"])
def test_a_bucket_is_made_once(
    use_bucket: Callable[..., str], moto_endpoint: str, backups_settings: Settings, server: str
) -> None:
    name = use_bucket(make=False, **({"endpoint_url": moto_endpoint} if server == "moto" else {}))
    options = conf.store_options()
    assert options is not None
    assert [make_bucket(options), make_bucket(options)] == [True, False]
    assert keys_in(backups_settings, name) == []


def test_a_store_that_can_not_be_reached_is_named(use_bucket: Callable[..., str]) -> None:
    port = free_port()
    use_bucket(make=False, endpoint_url=f"http://127.0.0.1:{port}")
    options = conf.store_options()
    assert options is not None
    with pytest.raises(StorageError, match=f"The store at http://127.0.0.1:{port} can't be reached"):
        make_bucket(options)


@pytest.mark.django_db
def test_the_site_serves_its_css_itself_with_debug_off(client: Client, settings: Settings) -> None:
    assert not settings.DEBUG
    answer = client.get("/static/admin/css/base.css")
    assert (answer.status_code, answer["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    answer.close()
