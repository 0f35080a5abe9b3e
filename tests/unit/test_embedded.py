"""Which embedded services stand in for what, and what they remember. Nothing is started here."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import EmbeddedError, Home, Service, programs, services
from ichrisbirch_site.embedded.home import PORTS
from ichrisbirch_site.embedded.postgres import PostgreSQL
from ichrisbirch_site.embedded.processes import Process, end_of


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"ICB_FOLDER": str(tmp_path / "home")}


def test_an_empty_environment_is_missing_both() -> None:
    assert embedded.missing({}) == {Service.DATABASE, Service.BUCKET}


@pytest.mark.parametrize("name", ["DATABASE_URL", "POSTGRES_HOST", "POSTGRES_DB"])
def test_any_of_its_variables_names_the_database(name: str) -> None:
    assert embedded.missing({name: "x"}) == {Service.BUCKET}


def test_a_variable_that_is_empty_names_nothing(environ: dict[str, str]) -> None:
    environ |= {"DATABASE_URL": "", "AWS_S3_BACKUP_BUCKET": ""}
    assert embedded.missing(environ) == {Service.DATABASE, Service.BUCKET}
    assert embedded.environment(environ)["DATABASE_URL"].startswith("postgres://icb:")


def test_what_stands_in_is_the_same_the_next_time(environ: dict[str, str]) -> None:
    assert embedded.environment(environ) == embedded.environment(environ)


def test_the_developers_real_keys_do_not_reach_the_embedded_bucket(environ: dict[str, str]) -> None:
    environ |= {"AWS_ACCESS_KEY_ID": "real", "AWS_SESSION_TOKEN": "real", "AWS_ENDPOINT_URL_S3": "https://real"}
    merged = environ | embedded.environment(environ)
    assert "real" not in {merged["AWS_ACCESS_KEY_ID"], merged["AWS_SESSION_TOKEN"]}
    assert merged["AWS_ENDPOINT_URL_S3"].startswith("http://127.0.0.1:")


def test_named_services_are_left_alone_and_only_the_secrets_stand_in(environ: dict[str, str]) -> None:
    environ |= {"DATABASE_URL": "postgres://db/x", "AWS_S3_BACKUP_BUCKET": "real"}
    assert set(embedded.environment(environ)) == {"SECRET_KEY", "BACKUPS_SIGNING_KEY"}


def test_an_environment_that_says_everything_makes_no_folder(environ: dict[str, str]) -> None:
    environ |= {"DATABASE_URL": "postgres://db/x", "AWS_S3_BACKUP_BUCKET": "b", "SECRET_KEY": "s", "BACKUPS_SIGNING_KEY": "k"}
    assert embedded.environment(environ) == {}
    assert not embedded.folder(environ).exists()


def test_production_gets_nothing_and_starts_nothing(environ: dict[str, str]) -> None:
    environ["ENVIRONMENT"] = "production"
    assert embedded.environment(environ) == {}
    embedded.ensure_running(environ)
    assert not embedded.folder(environ).exists()


def test_production_without_a_database_says_what_to_set(environ: dict[str, str]) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "import ichrisbirch_site.settings"],
        cwd=embedded.PROJECT,
        env=environ | {"ENVIRONMENT": "production", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 1
    assert "DATABASE_URL (or POSTGRES_HOST) and AWS_S3_BACKUP_BUCKET" in answer.stderr
    assert not embedded.folder(environ).exists()


def test_only_the_owner_can_read_the_credentials(environ: dict[str, str]) -> None:
    embedded.environment(environ)
    folder = embedded.folder(environ)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "credentials.json").stat().st_mode) == 0o600


def test_two_homes_share_no_secret_and_no_port(tmp_path: Path) -> None:
    one, two = (set(map(str, vars(Home(tmp_path / name).credentials()).values())) - {""} for name in "ab")
    assert not one & two


def test_processes_that_make_the_credentials_at_once_agree(environ: dict[str, str]) -> None:
    program = "import os; from ichrisbirch_site import embedded; print(embedded.environment(os.environ)['DATABASE_URL'])"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=embedded.PROJECT, env=os.environ | environ, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in started}) == 1


def test_a_new_port_is_remembered(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    before = home.credentials()
    PostgreSQL(home).move_to_another_port()
    after = Home(tmp_path / "home").credentials()
    assert after.postgres_port != before.postgres_port
    assert after.postgres_port in PORTS
    assert after.postgres_password == before.postgres_password


def test_damaged_credentials_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(EmbeddedError, match="damaged") as error:
        home.credentials()
    assert "move" in error.value.hint


def test_a_home_that_cannot_be_made_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="can't be used") as error:
        Home(tmp_path / "file" / "home").credentials()
    assert "ICB_FOLDER" in error.value.hint


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        ([], False),
        (["help"], False),
        (["--version"], False),
        (["db_backup", "--help"], False),
        (["collectstatic"], False),
        (["migrate"], True),
        (["db_backup", "x"], True),
    ],
)
def test_help_and_the_like_need_no_services(arguments: list[str], needed: bool) -> None:
    assert embedded.needed_by(arguments) is needed


def test_a_process_is_not_mistaken_for_another_with_its_id() -> None:
    me = Process.of(os.getpid())
    assert me is not None
    assert me.is_alive()
    assert not Process(os.getpid(), "some other time").is_alive()


def test_a_process_that_has_ended_is_not_alive_even_before_it_is_reaped() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = Process.of(child.pid)
        assert process is not None
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not process.is_alive()


def test_stopping_leaves_a_process_alone_that_only_has_the_id_of_ours(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.credentials()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        home.pid_file("postgres").write_text(json.dumps({"pid": other.pid, "started": "last year", "ready": True}))
        assert services.stop(PostgreSQL(home)) is False
        assert other.poll() is None
        other.kill()


def test_a_pid_file_of_nonsense_is_no_process(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for content in ("", "[]", '{"pid": "x"}', "null"):
        home.pid_file("postgres").write_text(content)
        assert services.state_of(PostgreSQL(home)).process is None


def test_a_server_that_says_something_else_does_not_answer(tmp_path: Path) -> None:
    home = Home(tmp_path)

    def greet(stranger: socket.socket) -> None:
        with stranger.accept()[0] as connection:
            connection.sendall(b"SSH-2.0")

    with socket.create_server(("127.0.0.1", 0)) as stranger:
        home.remember(postgres_port=stranger.getsockname()[1])
        greeter = threading.Thread(target=greet, args=[stranger])
        greeter.start()
        assert not PostgreSQL(home).answers()
        greeter.join()


def test_the_end_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("\n".join(map(str, range(100))))
    assert end_of(tmp_path / "log", lines=2) == "98\n99"
    assert end_of(tmp_path / "none") == ""


def test_without_any_postgres_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "PLACES", ())
    monkeypatch.setattr(programs, "wheel", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedError, match="There is no PostgreSQL here") as error:
        programs.find()
    assert "apt install postgresql" in error.value.hint


def test_where_the_wheel_is_not_installed_the_newest_of_the_distribution_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for major in (9, 14, 16):
        folder = tmp_path / str(major) / "bin"
        folder.mkdir(parents=True)
        for name in ("postgres", "initdb"):
            (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {major}.3 (Some Linux)'\n")
            (folder / name).chmod(0o755)
    monkeypatch.setattr(programs, "PLACES", (f"{tmp_path}/*/bin",))
    monkeypatch.setattr(programs, "wheel", lambda: None)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert programs.find() == tmp_path / "16" / "bin"
