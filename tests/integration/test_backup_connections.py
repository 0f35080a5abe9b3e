"""Databases and users that can't be reached: one clear error, and a row."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.exceptions import BackupsError, ConnectError
from backups.models import BackupHistory
from backups.types import Server
from tests.conftest import keys_in

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nothing listens on, and that nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


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
