"""Databases and users that can't be reached: one clear error, and a row."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client
from pytest_django.fixtures import Settings

from backups import history
from backups.backup import DatabaseBackup
from backups.exceptions import BackupsError, ConnectError
from backups.models import BackupHistory
from backups.postgres.connect import connect
from backups.tokens import PREFIX
from backups.types import Server
from tests.conftest import keys_in

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nothing listens on, and that nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"password": "not-the-password"}, "The password or the user is wrong", id="wrong password"),
        pytest.param({"user": "nobody_here"}, "The password or the user is wrong|no such database or role", id="unknown user"),
        pytest.param({"database": "not_here"}, "There is no such database or role", id="unknown database"),
        pytest.param({"host": "nowhere.invalid"}, "The host's name is unknown", id="unknown host"),
        pytest.param({"port": None}, "Nothing listens there", id="closed port"),
    ],
)
def test_a_database_that_can_not_be_reached_is_one_clear_error_and_a_row(
    change: dict[str, object],
    said: str,
    source: Server,
    bucket: str,
    backups_settings: Settings,
    closed_port: int,
    register_alias: Callable[[str, Server], None],
) -> None:
    wrong = replace(source, **{name: closed_port if value is None else value for name, value in change.items()})  # type: ignore[arg-type]
    register_alias("wrong", wrong)

    with pytest.raises(ConnectError, match=said) as caught:
        DatabaseBackup(description="unreachable", database="wrong").run()

    row = BackupHistory.objects.get()
    assert row.status == "failed"
    assert row.error_message == str(caught.value)
    assert wrong.address in caught.value.message
    assert caught.value.hint
    assert "not-the-password" not in str(caught.value)
    assert keys_in(backups_settings, bucket) == []


def test_a_server_that_never_answers_is_named_with_how_long_it_was_waited_for(silent_port: int) -> None:
    silent = Server(host="127.0.0.1", port=silent_port, user="u", password="", database="d", options=(("connect_timeout", "2"),))
    with pytest.raises(ConnectError) as caught:
        connect(silent, application_name="test")
    assert caught.value.message == f"No answer within 2 s: u@127.0.0.1:{silent_port}/d."
    assert "timeout expired" in caught.value.detail
    assert caught.value.hint == "Check the host, the port and the firewall."


def test_what_nobody_has_foreseen_of_a_connection_comes_with_something_to_do_too() -> None:
    with pytest.raises(ConnectError, match="The connection failed") as caught:
        connect(Server(host="/nowhere", port=1, user="u", password="", database="d"), application_name="test")
    assert caught.value.hint == "Is PostgreSQL running, and are host, port and user right? Its log says more."


@pytest.fixture
def silent_history(silent_port: int) -> Iterator[None]:
    """The server of the history takes connections, and never says anything."""
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(HOST="127.0.0.1", PORT=str(silent_port), NAME="site", OPTIONS={"connect_timeout": 2})
    yield
    connection.close()
    connection.settings_dict.update(before)


def test_a_program_whose_token_nobody_can_look_up_is_told_what_to_do_and_not_which_server_is_silent(
    client: Client, silent_port: int, silent_history: None
) -> None:
    answer = client.get("/admin/backups/", headers={"Authorization": f"Bearer {PREFIX}x", "Accept": "application/json"})
    told = answer.json()
    assert (answer.status_code, told["type"]) == (503, "urn:icb:problem:history")
    assert (told["title"], told["detail"]) == ("The history could not be read or written.", "")
    assert str(silent_port) not in answer.content.decode()
    assert "does a firewall let this site reach it?" in told["hint"]


def test_who_may_know_is_told_which_server_is_silent_and_anybody_is_not(silent_port: int, silent_history: None) -> None:
    with pytest.raises(OperationalError) as caught:
        connection.ensure_connection()
    known = history.unreachable(caught.value)
    assert known.message.endswith(f": 127.0.0.1:{silent_port}/site did not answer within 2 s.")
    assert "timeout expired" in known.detail
    told = str(history.unreachable(caught.value, to_anybody=True))
    assert "127.0.0.1" not in told
    assert "does a firewall let this site reach it?" in told


def test_the_command_says_it_with_exit_code_1(
    source: Server, bucket: str, closed_port: int, register_alias: Callable[[str, Server], None]
) -> None:
    register_alias("wrong", replace(source, port=closed_port))
    with pytest.raises(CommandError, match="Nothing listens there") as caught:
        call_command("db_backup", "unreachable", "--database", "wrong")
    assert caught.value.returncode == 1


def test_an_unknown_alias_is_refused_with_those_that_there_are(source: Server, bucket: str) -> None:
    with pytest.raises(BackupsError, match="no database alias 'sorce'") as caught:
        DatabaseBackup(description="typing error", database="sorce")
    assert "source" in caught.value.hint
    assert not BackupHistory.objects.exists()
