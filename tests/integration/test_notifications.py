"""Messages and pings over real connections: taken, refused, left hanging; and nothing secret in what is said of them."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from django.core import mail
from pytest_django.fixtures import Settings

from backups import notifications, stores
from backups.exceptions import BackupsError
from backups.notifications import Kind, Message, deliver, pinging, receivers
from ichrisbirch_site.embedded import PROJECT
from tests.integration.conftest import Done
from tests.integration.receiver import TOKEN, HTTPReceiver

Run = Callable[..., Done]
MESSAGE = Message(title="production: a title", body="first line\nsecond line", kind=Kind.FAILURE)


@pytest.fixture
def receiver(backups_settings: Settings) -> Iterator[HTTPReceiver]:
    """A receiver that the settings name, by URL and for pings."""
    with HTTPReceiver() as entered:
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_URLS": [entered.url], "PING_URL": entered.ping_url}
        yield entered


def told(**changes: object) -> list[str]:
    return [one.problem for one in deliver(MESSAGE, receivers(), **changes)]  # type: ignore[arg-type]


def test_a_message_reaches_a_url_with_its_title_its_lines_and_its_kind(receiver: HTTPReceiver) -> None:
    assert told() == [""]

    (got,) = receiver.got
    assert (got.path, got.json["title"], got.json["message"], got.json["type"]) == (
        f"/hooks/{TOKEN}",
        MESSAGE.title,
        MESSAGE.body,
        "failure",
    )


def test_a_message_reaches_each_address_in_a_mail_of_its_own(backups_settings: Settings) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_EMAILS": ["a@example.org", "b@example.org"]}

    assert told() == ["", ""]

    assert sorted(sent.to for sent in mail.outbox) == [["a@example.org"], ["b@example.org"]]
    assert {(sent.subject, sent.body) for sent in mail.outbox} == {(MESSAGE.title, MESSAGE.body)}


def test_a_receiver_that_refuses_says_so_without_its_secrets_and_holds_up_no_other(
    receiver: HTTPReceiver, backups_settings: Settings
) -> None:
    receiver.status = 401
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_EMAILS": ["a@example.org"]}

    refused, taken = deliver(MESSAGE, receivers())

    assert refused.receiver == "json://127.0.0.1 (URL 1)"
    assert "401" in refused.problem
    assert "BACKUPS_ALERT_URLS" in refused.hint
    assert TOKEN not in str(refused)
    assert taken.problem == ""


def test_a_receiver_that_trickles_for_ever_is_given_up(receiver: HTTPReceiver) -> None:
    receiver.hangs = True

    (problem,) = told(patience_seconds=0.5)

    assert problem == "It did not answer within 0.5 s."


def test_a_process_ends_although_a_receiver_holds_on_to_it(receiver: HTTPReceiver) -> None:
    receiver.hangs = True
    script = (
        "import django; django.setup()\n"
        "from backups.notifications import Message, URLReceiver, deliver\n"
        "import os\n"
        "receiver = URLReceiver(1, os.environ['URL'])\n"
        "print(deliver(Message(title='t', body='b'), [receiver], patience_seconds=0.5)[0].problem)\n"
    )
    env = {**os.environ, "URL": receiver.url, "DJANGO_SETTINGS_MODULE": "ichrisbirch_site.settings"}
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, env=env, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout.strip()) == (0, "It did not answer within 0.5 s."), done.stderr


def test_a_receiver_that_is_away_says_so(backups_settings: Settings) -> None:
    with HTTPReceiver() as gone:
        url = gone.url
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_URLS": [url]}

    (problem,) = told()

    assert "127.0.0.1" in problem
    assert TOKEN not in problem


def test_a_url_that_apprise_can_not_read_is_a_receiver_that_took_nothing(backups_settings: Settings) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_URLS": [f"carrier-pigeon://{TOKEN}", f"nonsense{TOKEN}"]}

    deliveries = deliver(MESSAGE, receivers())

    assert [one.problem for one in deliveries] == ["apprise can't read this URL."] * 2
    assert TOKEN not in str(deliveries)


def test_mail_that_can_not_be_sent_says_why(backups_settings: Settings) -> None:
    backups_settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    backups_settings.EMAIL_HOST, backups_settings.EMAIL_PORT, backups_settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 5
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_EMAILS": ["a@example.org"]}

    (delivery,) = deliver(MESSAGE, receivers())

    assert "ConnectionRefusedError" in delivery.problem
    assert "EMAIL_URL" in delivery.hint


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "slack://… (URL 1)"),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "discord://… (URL 1)"),
        ("tgram://123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/12315544", "tgram://… (URL 1)"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "https://… (URL 1)"),
        ("ntfy://a-topic-that-is-a-secret", "ntfy://… (URL 1)"),
        ("ntfys://ntfy.example.org/topic", "ntfys://ntfy.example.org (URL 1)"),
        ("mailto://me:secret@example.org", "mailto://example.org (URL 1)"),
        ("no URL at all", "?://… (URL 1)"),
    ],
)
def test_a_receiver_is_named_by_its_scheme_and_its_host_where_that_is_no_token(url: str, name: str) -> None:
    assert notifications.URLReceiver(1, url).name == name


def test_what_apprise_logs_reaches_no_handler_and_no_receiver_shows_its_url(receiver: HTTPReceiver, log: list[str]) -> None:
    receiver.status = 500
    logging.getLogger().info("listening")

    told()

    assert log[0] == "root"
    assert "apprise" not in log
    assert TOKEN not in repr(receivers())


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Names of the loggers whose records reach the root's handlers, at any level. (caplog goes to the others, too.)"""
    names: list[str] = []
    handler, root = logging.Handler(), logging.getLogger()
    handler.emit = lambda record: names.append(record.name)  # type: ignore[method-assign]
    level = root.level
    root.addHandler(handler)
    root.setLevel(1)
    yield names
    root.removeHandler(handler)
    root.setLevel(level)


def test_the_secrets_of_receivers_are_taken_out_of_every_error(receiver: HTTPReceiver, backups_settings: Settings) -> None:
    backups_settings.EMAIL_HOST_PASSWORD = "the password of the mail server"
    text = f"{receiver.url} {TOKEN} {receiver.ping_url} the password of the mail server, of hooks on 127.0.0.1"

    scrubbed = str(BackupsError(text).scrub(stores.secrets()))

    assert TOKEN not in scrubbed
    assert scrubbed.endswith("***, of hooks on 127.0.0.1")


# Pings


def test_the_pings_are_those_of_healthchecks(receiver: HTTPReceiver) -> None:
    notifications.ping_started()
    notifications.ping_succeeded("made")
    notifications.ping_failed("not made")

    assert [(got.path, got.body) for got in receiver.got] == [
        (f"/{TOKEN}/start", ""),
        (f"/{TOKEN}", "made"),
        (f"/{TOKEN}/fail", "not made"),
    ]


def test_a_ping_keeps_the_query_of_its_url() -> None:
    assert pinging.url_of("https://hc.example/key/slug/?create=1", "fail") == "https://hc.example/key/slug/fail?create=1"
    assert pinging.url_of("https://hc.example/key/slug?create=1", "") == "https://hc.example/key/slug?create=1"
    assert pinging.url_of("https://hc.example", "start") == "https://hc.example/start"


@pytest.mark.parametrize("fault", ["refuses", "hangs", "is away"])
def test_a_ping_that_is_not_taken_is_logged_without_its_url_and_raises_nothing(
    receiver: HTTPReceiver,
    backups_settings: Settings,
    fault: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pinging, "PATIENCE_SECONDS", 1.0)
    receiver.status, receiver.hangs = 404, fault == "hangs"
    if fault == "is away":
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, "PING_URL": f"http://127.0.0.1:1/{TOKEN}"}

    with caplog.at_level(logging.INFO):
        notifications.ping_failed("why")

    (record,) = [record for record in caplog.records if record.name == pinging.__name__]
    assert "'fail'" in record.getMessage()
    assert TOKEN not in caplog.text
    assert len(receiver.got) == (2 if fault == "refuses" else 0)


def test_without_a_url_no_ping_is_sent(backups_settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    notifications.ping_started()
    assert caplog.records == []


# icb db alert-test


def test_alert_test_says_ok_for_each_that_took_it(receiver: HTTPReceiver, backups_settings: Settings, run: Run) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_EMAILS": ["a@example.org"]}

    done = run("db_alert_test")

    assert (done.code, done.out) == (0, "OK      json://127.0.0.1 (URL 1)\nOK      mail to a@example.org\n")
    assert receiver.titles == ["testing: test of alerts"]


def test_alert_test_fails_where_one_did_not_take_it_and_tells_what_to_look_at(
    receiver: HTTPReceiver, backups_settings: Settings, run: Run
) -> None:
    receiver.status = 403
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_EMAILS": ["a@example.org"]}

    done = run("db_alert_test")

    assert done.code == 1
    first, hint, last = done.out.splitlines()
    assert first.startswith("FAILED  json://127.0.0.1 (URL 1): ")
    assert "BACKUPS_ALERT_URLS" in hint
    assert last == "OK      mail to a@example.org"
    assert "1 of 2 receivers" in done.err
    assert TOKEN not in done.out + done.err


def test_alert_test_says_the_same_to_machines(receiver: HTTPReceiver, run: Run) -> None:
    done = run("db_alert_test", "--json")
    assert json.loads(done.out) == [{"receiver": "json://127.0.0.1 (URL 1)", "problem": "", "hint": ""}]


def test_alert_test_without_receivers_is_wrong_usage_with_a_hint(backups_settings: Settings, run: Run) -> None:
    done = run("db_alert_test")
    assert done.code == 2
    assert "BACKUPS_ALERT_URLS" in done.err
