"""What stands against a restore is told before anything is downloaded, all of it; and what it replaces must be named."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from backups.models import BackupHistory, BackupRestore
from backups.postgres.target import identity
from backups.types import Locale, Server
from ichrisbirch_site.embedded import PROJECT
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import connect, drop_database, server_of
from tests.faults.proxy import Proxy
from tests.integration import shelf
from tests.integration.conftest import Done, Run

pytestmark = pytest.mark.usefixtures("history")
MUCH = 1 << 60


@pytest.fixture
def proxy(use_bucket: Callable[..., str], backups_settings: Settings) -> Iterator[Proxy]:
    """The bucket in use is behind it."""
    with Proxy(str(backups_settings.STORAGES["backups"]["OPTIONS"]["endpoint_url"])) as entered:
        use_bucket(endpoint_url=entered.endpoint)
        yield entered


@pytest.fixture
def role() -> str:
    """A role that no server has."""
    return f"nobody_{uuid4().hex[:8]}"


@pytest.fixture
def demanding(proxy: Proxy, role: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A backup that no server here can take; its filename."""
    snapshot = replace(
        shelf.SNAPSHOT,
        server_version="19.1",
        server_version_num=190001,
        extensions=(("nowhere", "1.0"), ("plpgsql", "1.0")),
        roles=(role,),
        locale=Locale(collate="xx_XX.nowhere", ctype="xx_XX.nowhere"),
        database_size_bytes=MUCH,
    )
    monkeypatch.setattr(shelf, "SNAPSHOT", snapshot)
    return put(proxy, "demanding")


def put(proxy: Proxy, description: str) -> str:
    """A backup on the shelf; its filename. What it took to put it there is not counted."""
    key = shelf.put(description)
    proxy.seen.clear()
    return key.rpartition("/")[2]


@pytest.fixture
def against(demanding: str, role: str) -> tuple[str, ...]:
    """What stands against it."""
    return (
        "comes from PostgreSQL 19.1; the target's 17.",
        f"The server has no role {role}",
        "The server can't install nowhere 1.0",
        "encoding UTF8, locale xx_XX.nowhere",
        "The server's disk has",
    )


@pytest.fixture
def downloads(proxy: Proxy) -> Callable[[], int]:
    """How often somebody has asked for a dump's bytes."""
    return lambda: sum(request.operation == "get" and request.key.endswith(".dump") for request in proxy.seen)


# What the server lacks


def test_everything_is_told_in_one_refusal_before_a_byte_is_downloaded(
    run: Run, demanding: str, against: tuple[str, ...], fresh_target: Server, downloads: Callable[[], int]
) -> None:
    done = run("db_restore", demanding, "--target-dbname", fresh_target.database)

    assert done.code == 3
    assert "5 things stand against this restore. Nothing was touched." in done.err
    for text in against:
        assert text in done.err.partition("things stand against")[2]
    assert downloads() == 0
    assert not BackupRestore.objects.exists()
    assert identity(fresh_target)[1] is None


def test_a_dry_run_marks_everything_with_stop_and_is_refused_too(
    run: Run, demanding: str, against: tuple[str, ...], fresh_target: Server, downloads: Callable[[], int]
) -> None:
    done = run("db_restore", demanding, "--target-dbname", fresh_target.database, "--dry-run")

    assert done.code == 3
    stops = [line for line in done.out.splitlines() if line.startswith("  STOP ")]
    assert len(stops) == 5
    for text in against:
        assert sum(text in line for line in stops) == 1
    assert downloads() == 0


def test_a_dry_run_as_json_has_everything_as_blocking(run: Run, demanding: str, fresh_target: Server) -> None:
    done = run("db_restore", demanding, "--target-dbname", fresh_target.database, "--dry-run", "--json")

    assert done.code == 3
    blocking = [check for check in json.loads(done.out)["checks"] if check["level"] == "block"]
    assert len(blocking) == 5
    assert all(check["hint"] for check in blocking)


def test_what_the_server_lacks_stops_it_whatever_name_was_typed(
    run: Run, demanding: str, source: Server, downloads: Callable[[], int]
) -> None:
    before = identity(source)
    done = run("db_restore", demanding, "--target-dbname", source.database, "--yes", source.database)

    assert (done.code, identity(source)) == (3, before)
    assert "5 things stand against this restore" in done.err
    assert downloads() == 0


def test_a_server_that_is_older_is_told_with_all_the_rest(
    run: Run,
    proxy: Proxy,
    role: str,
    downloads: Callable[[], int],
    postgres15: PostgreSQL,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shelf, "SNAPSHOT", replace(shelf.SNAPSHOT, roles=(role,)))
    filename, old = put(proxy, "of 17"), server_of(postgres15)
    monkeypatch.setenv("PGPASSWORD", old.password)
    address = ("--target-host", old.host, "--target-port", str(old.port), "--target-username", old.user)
    done = run("db_restore", filename, *address, "--target-dbname", "new", "--dry-run")

    assert done.code == 3
    stops = [line for line in done.out.splitlines() if line.startswith("  STOP ")]
    assert [text for text in ("the target's 15.", f"no role {role}") if not any(text in line for line in stops)] == []
    assert downloads() == 0


# The name


def a_database_of_somebody(make_database: Callable[..., Server]) -> Server:
    made = make_database()
    with connect(made) as session:
        session.execute("CREATE TABLE precious (id int)")
    return made


@pytest.mark.parametrize("kind", ["the source", "somebody else's"])
@pytest.mark.parametrize("typed", [(), ("--yes", "yes"), ("--yes", "")], ids=["nothing", "another word", "an empty one"])
def test_nothing_that_is_there_is_replaced_without_its_name(
    kind: str,
    typed: tuple[str, ...],
    run: Run,
    source: Server,
    backup: BackupHistory,
    make_database: Callable[..., Server],
) -> None:
    if kind == "the source":
        target, words = source, ("--target-dbname", source.database)
    else:
        target = a_database_of_somebody(make_database)
        words = ("--target-dbname", target.database)
    before = identity(target)
    done = run("db_restore", backup.filename, *words, *typed)

    assert (done.code, identity(target)) == (3, before)
    assert f"--yes {target.database}" in done.err
    assert not BackupRestore.objects.exists()


def test_yes_without_a_name_is_wrong_usage(run: Run, backup: BackupHistory, source: Server) -> None:
    done = run("db_restore", backup.filename, "--target-dbname", source.database, "--yes")
    assert done.code == 2
    assert not BackupRestore.objects.exists()


@pytest.fixture
def at_a_terminal(environment: Callable[..., dict[str, str]], source: Server, backup: BackupHistory) -> Callable[..., Done]:
    """Restores `source` over itself, with somebody at the terminal who types a text."""

    def at_a_terminal(typed: str, *words: str) -> Done:
        ours, terminal = pty.openpty()
        command = ["db_restore", *(words or (backup.filename,)), "--target-dbname", source.database]
        try:
            os.write(ours, typed.encode())
            done = subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=PROJECT,
                env=environment(source=source),
                stdin=terminal,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(terminal)
        return Done(done.returncode, done.stdout, done.stderr)

    return at_a_terminal


@pytest.mark.parametrize("typed", ["\n", "y\n", "yes\n", "SOURCE\n"])
def test_at_a_terminal_the_name_is_asked_for_and_nothing_else_will_do(
    typed: str, at_a_terminal: Callable[..., Done], source: Server
) -> None:
    before = identity(source)
    done = at_a_terminal(typed)

    assert (done.code, identity(source)) == (3, before)
    assert done.err.count(f"Type the database's name, {source.database}, to go on: ") == 1
    assert not BackupRestore.objects.exists()


def test_at_a_terminal_the_end_of_the_input_cancels(at_a_terminal: Callable[..., Done], source: Server) -> None:
    before = identity(source)
    done = at_a_terminal("\x04")
    assert (done.code, identity(source)) == (130, before)
    assert "Nothing was touched" in done.err


def test_at_a_terminal_the_right_name_goes_on_and_back(at_a_terminal: Callable[..., Done], source: Server) -> None:
    with connect(source) as session:
        session.execute("DROP TABLE event")
    done = at_a_terminal(f"{source.database}\n")
    assert done.code == 0, done.err
    kept = replace(source, database=BackupRestore.objects.get().kept_database)
    try:
        with connect(source) as session:
            assert session.execute("SELECT count(*) FROM event").fetchone() == (5000,)

        assert at_a_terminal("no\n", "--undo").code == 3
        undone = at_a_terminal(f"{source.database}\n", "--undo")
        assert undone.code == 0, undone.err
        with connect(source) as session:
            assert session.execute("SELECT to_regclass('event')").fetchone() == (None,)

        assert at_a_terminal("no\n", "--discard-previous").code == 3
        assert at_a_terminal(f"{source.database}\n", "--discard-previous").code == 0
    finally:
        drop_database(kept)


def test_a_name_that_was_given_is_not_asked_for(
    at_a_terminal: Callable[..., Done], source: Server, backup: BackupHistory
) -> None:
    done = at_a_terminal("", backup.filename, "--yes", "another")
    assert done.code == 3
    assert "Type the database's name" not in done.err


# What was chosen


def test_a_table_that_is_not_in_the_backup_is_told_with_the_nearest(
    run: Run, backup: BackupHistory, fresh_target: Server
) -> None:
    done = run("db_restore", backup.filename, "--table", "shop.purchases", "--target-dbname", fresh_target.database, "--dry-run")
    assert done.code == 3
    assert "STOP shop.purchases: not among the backup's tables." in done.out
    assert "The nearest are: shop.purchase" in done.out


def test_a_schema_that_is_there_is_told_before_anything_is_downloaded(run: Run, backup: BackupHistory, source: Server) -> None:
    done = run(
        *("db_restore", backup.filename, "--table", "event", "--into-schema", "shop"),
        *("--target-dbname", source.database, "--dry-run"),
    )
    assert done.code == 3
    assert f"STOP The database {source.database} has a schema shop already." in done.out


def test_the_steps_name_what_was_chosen(run: Run, backup: BackupHistory, fresh_target: Server) -> None:
    options = ("--target-dbname", fresh_target.database, "--dry-run")
    assert "Load public.event under another name" in run("db_restore", backup.filename, "--table", "event", *options).out
    assert "Load everything, without rows, under" in run("db_restore", backup.filename, "--schema-only", *options).out


def test_definitions_without_rows_are_reported_as_such(run: Run, backup: BackupHistory, fresh_target: Server) -> None:
    done = run("db_restore", backup.filename, "--schema-only", "--target-dbname", fresh_target.database)
    assert done.code == 0, done.err
    assert "3 tables, without rows, as you chose: all are there" in done.out


# Roles


@pytest.fixture
def limited(admin: Server) -> Iterator[Server]:
    """A role that may create databases, and is a member of none."""
    name = f"limited_{uuid4().hex[:8]}"
    with connect(admin) as session:
        session.execute(f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD 'p'".encode())
        yield replace(admin, user=name, password="p")
        session.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


def test_a_role_that_can_not_give_things_away_is_warned_and_the_failure_says_what_to_do(
    run: Run, backup: BackupHistory, limited: Server, admin: Server, fresh_target: Server
) -> None:
    options = ("--target-username", limited.user, "--target-password", "p", "--target-dbname", fresh_target.database)
    done = run("db_restore", backup.filename, *options)

    assert f"WARN The role {limited.user} is not a member of {admin.user}, and can't make anything theirs." in done.err
    assert done.code == 1
    assert "The target was not touched." in done.err
    assert identity(fresh_target)[1] is None
    assert run("db_restore", backup.filename, *options, "--no-owner", "--no-privileges").code == 0


def test_that_a_role_will_be_made_and_stays_is_told(
    run: Run, demanding: str, role: str, admin: Server, fresh_target: Server
) -> None:
    pair = f"{role}={admin.user}"
    done = run("db_restore", demanding, "--map-role", pair, "--target-dbname", fresh_target.database, "--dry-run")
    assert f"WARN The role {role} will be made, without login, with {admin.user} as a member, and stays" in done.out


def test_nobody_becomes_a_member_of_a_role_that_is_there(
    run: Run, backup: BackupHistory, admin: Server, fresh_target: Server
) -> None:
    done = run("db_restore", backup.filename, "--map-role", f"pg_monitor={admin.user}", "--target-dbname", fresh_target.database)
    assert done.code == 3
    assert "nobody becomes a member of it by a restore" in done.err


def test_a_role_that_the_backup_does_not_name_has_nobody_act_for_it(
    run: Run, backup: BackupHistory, admin: Server, role: str, fresh_target: Server
) -> None:
    done = run("db_restore", backup.filename, "--map-role", f"{role}={admin.user}", "--target-dbname", fresh_target.database)
    assert done.code == 3
    assert f"The backup names no role {role}." in done.err


# In place


def test_in_place_nothing_is_neutralized_because_it_would_be_alive_before(
    run: Run, backup: BackupHistory, source: Server
) -> None:
    done = run(
        *("db_restore", backup.filename, "--in-place", "--neutralize"),
        *("--target-dbname", source.database, "--yes", source.database),
    )
    assert done.code == 3
    assert "alive before they can be emptied" in done.err
