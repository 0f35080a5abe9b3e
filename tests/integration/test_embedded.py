"""The embedded services through kill -9, taken ports, two commands at once, and accounts that may do little."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ichrisbirch_site import embedded
from ichrisbirch_site.embedded import EmbeddedError, Home, services
from ichrisbirch_site.embedded.home import DATABASE, free_port
from ichrisbirch_site.embedded.postgres import PostgreSQL
from ichrisbirch_site.embedded.processes import Process, living_in, wait_until
from ichrisbirch_site.embedded.s3 import S3
from tests.services import POSTGRES_SETTINGS, discard, new_home

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


def quietly(line: str) -> None:
    pass


def query(server: PostgreSQL, sql: str, *, database: str = DATABASE) -> list[tuple[object, ...]]:
    with psycopg.connect(**server.connection(database), autocommit=True) as connection:
        cursor = connection.execute(sql)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def process_of(server: services.Server) -> Process:
    process = services.state_of(server).process
    assert process is not None
    return process


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgreSQL]:
    server = PostgreSQL(new_home("faults"))
    services.ensure([server], say=quietly)
    yield server
    services.stop(server)


@pytest.fixture
def s3(postgres: PostgreSQL) -> S3:
    server = S3(postgres.home)
    services.ensure([server], say=quietly)
    return server


@pytest.fixture(autouse=True)
def _up(postgres: PostgreSQL) -> None:
    services.ensure([postgres], say=quietly)


def test_a_server_that_runs_is_left_as_it_is(postgres: PostgreSQL, s3: S3) -> None:
    before = process_of(postgres), process_of(s3)
    services.ensure([postgres, s3], say=pytest.fail)
    assert (process_of(postgres), process_of(s3)) == before


def test_a_killed_postgres_comes_back_with_its_data(postgres: PostgreSQL) -> None:
    query(postgres, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    process_of(postgres).send(signal.SIGKILL)
    services.ensure([postgres], say=quietly)
    assert query(postgres, "SELECT answer FROM kept") == [(42,)]


def test_a_killed_postgres_comes_back_while_a_session_of_it_is_still_at_work(postgres: PostgreSQL) -> None:
    busy = "DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$"
    client = subprocess.Popen(
        [sys.executable, "-c", f"import psycopg, os; psycopg.connect(os.environ['DSN']).execute({busy!r})"],
        env=os.environ | {"DSN": " ".join(f"{name}={value}" for name, value in postgres.connection().items())},
        stderr=subprocess.DEVNULL,
    )
    with client:
        sessions = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'DO $$%'"
        assert wait_until(lambda: bool(query(postgres, sessions)), seconds=20)
        process_of(postgres).send(signal.SIGKILL)
        services.ensure([postgres], say=quietly)
        assert query(postgres, "SELECT 1") == [(1,)]
    assert client.returncode != 0


def test_a_postgres_whose_checkpointer_was_killed_is_waited_for(postgres: PostgreSQL) -> None:
    [(pid,)] = query(postgres, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
    with psycopg.connect(**postgres.connection(), autocommit=True) as witness:
        os.kill(int(str(pid)), signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):  # the server ends all sessions, and recovers
            witness.execute("SELECT pg_sleep(20)")
    services.ensure([postgres], say=quietly)
    assert query(postgres, "SELECT 1") == [(1,)]


def test_a_killed_s3_server_comes_back(s3: S3) -> None:
    before = process_of(s3)
    before.send(signal.SIGKILL)
    services.ensure([s3], say=quietly)
    assert process_of(s3) != before
    assert s3.answers()


def test_a_bucket_that_was_deleted_by_hand_is_made_again(s3: S3) -> None:
    shutil.rmtree(s3.data / "backups")
    assert not services.is_up(s3)
    services.ensure([s3], say=quietly)
    assert s3.answers()


def test_servers_whose_pid_files_are_lost_are_not_started_twice(postgres: PostgreSQL, s3: S3) -> None:
    for server in (postgres, s3):
        server.home.pid_file(server.word).unlink()
    services.ensure([postgres, s3], say=quietly)
    assert [process.pid for process in living_in(s3.data, program="nanio")] == [process_of(s3).pid]
    assert query(postgres, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("kind", [PostgreSQL, S3])
def test_when_somebody_has_taken_the_port_another_is_remembered(
    kind: type[PostgreSQL] | type[S3], postgres: PostgreSQL, s3: S3
) -> None:
    server = kind(postgres.home)
    services.stop(server)
    with socket.create_server(("127.0.0.1", server.port)) as stranger:
        services.ensure([server], say=quietly)
        assert server.port != stranger.getsockname()[1]
    assert server.answers()


def test_a_stale_lock_file_with_the_id_of_another_process_does_not_keep_postgres_from_starting(postgres: PostgreSQL) -> None:
    process_of(postgres).send(signal.SIGKILL)
    lock = postgres.data / "postmaster.pid"
    lock.write_text("\n".join([str(os.getpid()), *lock.read_text().split("\n")[1:]]))  # as after a reboot
    services.ensure([postgres], say=quietly)
    assert query(postgres, "SELECT 1") == [(1,)]


def test_two_commands_at_once_start_one_server(postgres: PostgreSQL, s3: S3) -> None:
    services.stop(postgres)
    services.stop(s3)
    program = "import os; from ichrisbirch_site import embedded; embedded.ensure_running_or_exit(os.environ)"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=embedded.PROJECT,
            env=os.environ | {"ICB_FOLDER": str(postgres.home.folder)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert "".join(said).count("Starting PostgreSQL") == 1
    assert "".join(said).count("Starting S3") == 1


def test_a_server_that_cannot_start_says_so_with_the_end_of_its_log(postgres: PostgreSQL) -> None:
    services.stop(postgres)
    settings = postgres.data / "postgresql.conf"
    before = settings.read_text()
    settings.write_text(f"{before}\nshared_buffers = 'a lot'\n")
    with pytest.raises(EmbeddedError) as error:
        services.ensure([postgres], say=quietly)
    settings.write_text(before)
    assert "ended" in error.value.message  # while it started, or at once: whichever is seen first
    assert "shared_buffers" in error.value.detail
    assert str(postgres.home.log("postgres")) in error.value.hint


def test_data_of_another_major_version_is_refused_by_name(postgres: PostgreSQL) -> None:
    services.stop(postgres)
    version = postgres.data / "PG_VERSION"
    before = version.read_text()
    version.write_text("12\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 12, and here is PostgreSQL"):
        services.ensure([postgres], say=quietly)
    version.write_text(before)


def test_a_data_folder_made_by_half_is_made_anew() -> None:
    server = PostgreSQL(new_home("half"))
    half = server.home.make(server.home.make(server.home.folder) / "postgres.new")
    (half / "PG_VERSION").write_text("17\n")
    services.ensure([server], say=quietly)
    assert query(server, "SHOW server_encoding") == [("UTF8",)]
    assert query(server, "SHOW data_checksums") == [("on",)]
    assert services.stop(server) is True
    assert services.stop(server) is False


def test_no_password_is_visible_and_nothing_listens_beyond_this_machine(postgres: PostgreSQL, s3: S3) -> None:
    credentials = postgres.home.credentials()
    secrets = {credentials.postgres_password, credentials.s3_secret_key, credentials.s3_access_key}
    for server in (postgres, s3):
        words = Path(f"/proc/{process_of(server).pid}/cmdline").read_bytes().decode()
        assert not any(secret in words for secret in secrets)
    assert query(postgres, "SHOW listen_addresses") == [("127.0.0.1",)]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(**postgres.connection() | {"password": "guess"})


def test_the_s3_server_refuses_other_keys(s3: S3) -> None:
    good = s3.home.credentials().s3_secret_key
    s3.home.remember(s3_secret_key="guess")
    assert not s3.answers()
    s3.home.remember(s3_secret_key=good)
    assert s3.answers()


def test_the_distributions_postgres_15_is_started_by_the_same_code(postgres15: PostgreSQL) -> None:
    assert query(postgres15, "SELECT current_setting('server_version_num')::int / 10000") == [(15,)]


@pytest.fixture
def without_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in most containers: there is an `unshare`, and it fails."""
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


@as_root
@pytest.mark.usefixtures("without_namespaces")
def test_root_without_user_namespaces_runs_postgres_as_nobody_where_only_root_may_enter(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = Home(tmp_path / "home", postgres_settings=POSTGRES_SETTINGS)
    server = PostgreSQL(home)
    services.ensure([server], say=quietly)
    assert query(server, "SELECT 1") == [(1,)]
    assert Path(f"/proc/{process_of(server).pid}").stat().st_uid != 0
    assert server.data.parent != home.folder
    assert server.data.stat().st_mode & 0o077 == 0
    services.stop(server)
    services.ensure([server], say=quietly)  # and finds it again
    assert query(server, "SELECT 1") == [(1,)]
    data = server.data
    discard(home.folder)
    assert not data.exists()


@as_root
def test_data_that_root_made_in_a_namespace_still_serves_when_namespaces_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home", postgres_settings=POSTGRES_SETTINGS)
    server = PostgreSQL(home)
    services.ensure([server], say=quietly)
    query(server, "CREATE TABLE kept AS SELECT 1")
    services.stop(server)
    (tmp_path / "unshare").symlink_to(shutil.which("false") or "")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    services.ensure([server], say=quietly)
    assert query(server, "SELECT count(*) FROM kept") == [(1,)]
    discard(home.folder)


def test_a_free_port_is_one_that_can_be_bound() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass


def test_down_refuses_while_a_backup_is_at_work_and_stops_all_the_same_when_forced() -> None:
    server = PostgreSQL(new_home("down"))
    services.ensure([server], say=quietly)
    down = [sys.executable, "-m", "ichrisbirch_site.cli", "down"]
    env = {**os.environ, "ICB_FOLDER": str(server.home.folder), "PYTHONPATH": str(embedded.PROJECT)}
    session = psycopg.connect(**server.connection(), application_name="backup:1", autocommit=True)
    try:
        refused = subprocess.run(down, env=env, capture_output=True, text=True, timeout=60)
        assert (refused.returncode, "icb down --force" in refused.stderr) == (3, True)
        assert services.is_up(server)
        assert subprocess.run([*down, "--force"], env=env, capture_output=True, timeout=60).returncode == 0
    finally:
        session.close()
    assert not services.is_up(server)
