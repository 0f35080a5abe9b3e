"""The commands as faces: what they print, where, and how they end."""

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command, load_command_class
from django.core.management.base import CommandError, OutputWrapper
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups.models import BackupHistory, BackupRestore
from backups.types import Server
from ichrisbirch_site.embedded import PROJECT
from tests.conftest import SOURCE_ROWS, connect, keys_in, until
from tests.integration import shelf
from tests.integration.conftest import Done, python

pytestmark = pytest.mark.usefixtures("history")

Run = Callable[..., Done]
ESCAPE = "\x1b"


class Terminal(StringIO):
    """What rich takes for one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def secrets(backups_settings: Settings, admin: Server) -> list[str]:
    """What no command may ever print."""
    store = backups_settings.STORAGES["backups"]["OPTIONS"]
    return [admin.password, store["secret_key"], backups_settings.BACKUPS["SIGNING_KEY"]]


def require_plain(done: Done, secrets: list[str]) -> None:
    """Neither a traceback nor colours nor a secret, on either stream."""
    for text in (done.out, done.err):
        assert "Traceback" not in text
        assert ESCAPE not in text
        assert not [secret for secret in secrets if secret in text]


# db_backup


def test_a_backup_prints_what_it_made_on_stdout_and_its_phases_on_stderr(
    run: Run, source: Server, bucket: str, secrets: list[str]
) -> None:
    done = run("db_backup", "pre migration", "--database", "source", "--save-local")

    row = BackupHistory.objects.get()
    require_plain(done, secrets)
    assert done.code == 0
    for text in (
        *(row.filename, f"{row.size_bytes:,} bytes", row.checksum, str(row.id), row.local_path),
        *(f"s3://{bucket}/{row.s3_key}", "6,200 rows in 3 tables", f"{source.database}, ", "PostgreSQL 17"),
        f"icb db restore {row.filename} --target-dbname",
    ):
        assert text in done.out
    assert re.search(r"took +\d", done.out)
    assert "dumping …" in done.err
    assert row.filename not in done.err


def test_a_backup_as_json_is_the_row_with_full_precision(run: Run, source: Server, bucket: str, secrets: list[str]) -> None:
    done = run("db_backup", "--description", "for a machine", "--database", "source", "--json")

    row, told = BackupHistory.objects.get(), json.loads(done.out)
    require_plain(done, secrets)
    assert (done.code, told["status"], told["id"], told["size_bytes"]) == (0, "succeeded", str(row.id), row.size_bytes)
    assert datetime.fromisoformat(told["started_at"]) == row.started_at
    assert "T" in told["started_at"]
    assert {f"{t['schema']}.{t['table']}": t["rows"] for t in told["table_snapshot"]["tables"]} == SOURCE_ROWS
    assert (told["s3_key"], told["bucket"], told["checksum"]) == (row.s3_key, bucket, row.checksum)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ((), "A backup needs a description.", "icb db backup pre-migration"),
        (("",), "A backup needs a description.", "icb db backup pre-migration"),
        (("one", "--description", "two"), "Two descriptions are given.", "Leave one of them out."),
        (("a/b",), "The description 'a/b' can't be used.", "For example"),
        (("x", "--skip-upload"), "nowhere to go", "add --save-local"),
        (("x", "--database", "nowhere"), "no database alias 'nowhere'", "Known are: default"),
    ],
)
def test_a_backup_that_can_not_be_meant_is_wrong_usage(
    run: Run, bucket: str, secrets: list[str], words: tuple[str, ...], message: str, hint: str
) -> None:
    done = run("db_backup", *words)

    require_plain(done, secrets)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: ")
    assert message in done.err
    assert hint in done.err
    assert not BackupHistory.objects.exists()


def test_the_description_may_be_given_both_ways_if_it_is_the_same(run: Run, source: Server, bucket: str) -> None:
    assert run("db_backup", "same", "--description", "same", "--database", "source").code == 0


def test_an_option_that_there_is_not_is_wrong_usage(run: Run, bucket: str) -> None:
    for name in ("db_backup", "db_list", "db_restore"):
        done = run(name, "--no-such-option")
        assert (done.code, done.out) == (2, "")
        assert "--no-such-option" in done.err


def test_a_backup_that_fails_says_what_why_and_what_to_do(
    run: Run, source: Server, use_bucket: Callable[..., str], secrets: list[str]
) -> None:
    name = use_bucket(make=False)
    done = run("db_backup", "x", "--database", "source", "--json")

    require_plain(done, secrets)
    assert (done.code, done.out) == (1, "")
    assert f"Failed: The bucket {name} does not exist." in done.err
    assert "\n    Tried to list " in done.err
    assert "AWS_S3_BACKUP_BUCKET" in done.err


def test_a_backup_beside_another_one_is_refused_for_safety(run: Run, source: Server, bucket: str, secrets: list[str]) -> None:
    from backups.postgres.lock import run_lock

    with run_lock(source, run_id="the-other-one"):
        done = run("db_backup", "x", "--database", "source")

    require_plain(done, secrets)
    assert (done.code, done.out) == (3, "")
    assert f"Refused: A backup of {source.database} is already running." in done.err
    assert "backup:the-other-one" in done.err


def test_call_command_raises_the_error_with_its_exit_code(bucket: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("db_backup")
    assert refused.value.returncode == 2


# db_list


def test_an_empty_list_teaches(run: Run, bucket: str) -> None:
    done, told = run("db_list"), json.loads(run("db_list", "--json").out)

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("No backups yet. Make one: icb db backup first\n")  # another test's restore may keep something
    assert (told["backups"], told["problems"]) == ([], [])
    assert set(told) == {"backups", "kept", "problems"}


def test_the_list_shows_a_line_for_each_backup_and_how_far_back_one_would_go(run: Run, bucket: str, secrets: list[str]) -> None:
    shelf.put("old", at=timezone.now() - timedelta(days=3))
    shelf.put("new", at=timezone.now() - timedelta(minutes=27))
    done = run("db_list")

    require_plain(done, secrets)
    lines = done.out.splitlines()
    assert re.fullmatch(r"backup +age +status +stored +verified +took +rows +database size", lines[0])
    assert re.fullmatch(r"backup-\S+-new\.dump +27 min ago +succeeded +1005 B +never +9\.0 s +5,000 +9\.0 MiB", lines[2])
    assert re.fullmatch(r"backup-\S+-old\.dump +3 days ago +succeeded +1005 B +never +9\.0 s +5,000 +9\.0 MiB", lines[3])
    assert lines[-1] == "Newest whole backup: 27 min ago. Bring it back: icb db restore latest --target-dbname NEW"
    assert (done.code, done.err) == (0, "")
    assert not [line for line in lines if line != line.rstrip()]


def test_the_list_has_a_column_for_the_database_where_there_are_several(run: Run, bucket: str) -> None:
    shelf.put("one", database="shop")
    shelf.put("two", database="accounts", minutes=1)
    done = run("db_list")

    assert re.search(r"-one\.dump +shop ", done.out)
    assert re.search(r"-two\.dump +accounts ", done.out)
    assert re.search(r"Newest whole backup: accounts \d+ days ago, shop \d+ days ago", done.out)
    assert "icb db restore BACKUP" in done.out


def test_a_hostile_name_of_a_database_does_nothing_to_the_terminal(run: Run, bucket: str, secrets: list[str]) -> None:
    shelf.put("one", database="evil\x1b[2J\nname [red]")
    shelf.put("two", minutes=1)
    done = run("db_list")

    require_plain(done, secrets)
    assert re.search(r"-one\.dump +evil.\[2J.name \[red\] +\d+ days ago", done.out)
    assert json.loads(run("db_list", "--json").out)["backups"][1]["database"] == "evil\x1b[2J\nname [red]"

    missing = run("db_restore", "\x1b[2J\nx", "--target-dbname", "\x1b[2J")
    require_plain(missing, secrets)
    assert missing.code == 1


def test_all_environments_are_listed_on_request(run: Run, bucket: str) -> None:
    shelf.put("here")
    shelf.put("there", environment="production")

    assert "there" not in run("db_list").out
    everything = run("db_list", "--all-environments").out
    assert "production: shop" in everything
    assert "testing: shop" in everything


def test_the_list_is_as_long_as_asked(run: Run, bucket: str) -> None:
    for minutes in range(22):
        shelf.put(f"n{minutes}", minutes=minutes, dump=None, manifest=False, status="failed")

    assert [len(json.loads(run("db_list", "--json", *words).out)["backups"]) for words in ((), ("--limit", "3"))] == [20, 3]
    assert len(json.loads(run("db_list", "--json", "--limit", "0").out)["backups"]) == 22
    for wrong in ("-1", "many"):
        done = run("db_list", "--limit", wrong)
        assert (done.code, done.out) == (2, "")
        assert "--limit" in done.err


def test_what_is_ahead_of_the_clock_has_no_age(run: Run, bucket: str) -> None:
    shelf.put("here")
    shelf.put("ahead", at=timezone.now() + timedelta(days=365), row=False, manifest=False)
    _heading, _line, here, ahead, *_rest = run("db_list").out.splitlines()
    assert ("-here.dump" in here, "-ahead.dump" in ahead) == (True, True)
    assert re.search(r"-ahead\.dump .* in the future +unknown", ahead)


def test_what_is_odd_is_said_in_the_same_line_and_failures_with_their_reason(run: Run, bucket: str) -> None:
    shelf.put("gone", dump=None, manifest=False)
    shelf.put("failed", dump=None, manifest=False, status="failed", error_message="pg_dump was killed.\nmore of it")
    done = run("db_list")

    assert re.search(r"-gone\.dump .* succeeded \* .* missing in the store$", done.out, re.MULTILINE)
    assert re.search(r"-failed\.dump .* failed \* .* pg_dump was killed\.$", done.out, re.MULTILINE)
    assert "None of these is a whole backup. Older ones: icb db list --limit 0." in done.out
    assert "more of it" not in done.out


def test_the_list_as_json_has_stable_names_and_full_precision(run: Run, bucket: str) -> None:
    key = shelf.put("one", row=False)
    (told,) = json.loads(run("db_list", "--json").out)["backups"]

    assert list(told) == [
        *("filename", "environment", "key", "status", "mark", "id", "description", "backup_type", "database"),
        *(
            "system_identifier",
            "started_at",
            "duration_seconds",
            "size_bytes",
            "database_size_bytes",
            "rows",
            "tables",
            "checksum",
            "postgres_version",
        ),
        *("error_message", "where", "warnings", "verified_at", "bad_at", "pin_reason", "is_whole"),
    ]
    assert (told["key"], told["mark"], told["is_whole"]) == (key, "not in history", True)
    assert datetime.fromisoformat(told["started_at"]) == shelf.NOON
    assert (told["size_bytes"], told["database_size_bytes"]) == (len(shelf.BODY), 9 << 20)


def test_without_the_bucket_the_history_is_shown_the_cause_told_and_the_exit_code_1(
    run: Run, use_bucket: Callable[..., str], backups_settings: Settings, secrets: list[str]
) -> None:
    name = use_bucket()
    shelf.put("kept")
    use_bucket(endpoint_url="http://127.0.0.1:1", bucket_name=name, make=False)
    done = run("db_list")

    require_plain(done, secrets)
    assert done.code == 1
    assert re.search(r"-kept\.dump .*not looked for: its store can't be asked", done.out)
    assert done.err.startswith("Failed: The store at http://127.0.0.1:1 can't be reached.\n    ")
    assert "Check AWS_ENDPOINT_URL_S3" in done.err


def test_without_history_and_bucket_it_does_not_claim_that_there_are_no_backups(
    run: Run, use_bucket: Callable[..., str], monkeypatch: pytest.MonkeyPatch, secrets: list[str]
) -> None:
    use_bucket(make=False)
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "PORT", "1")
        done, as_json = run("db_list"), run("db_list", "--json")

    require_plain(done, secrets)
    assert (done.code, done.out) == (1, "Nothing could be listed.\n")
    assert "history could not be read" in done.err
    assert "does not exist" in done.err
    assert (as_json.code, len(json.loads(as_json.out)["problems"])) == (1, 2)


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
@pytest.mark.parametrize("several", [False, True])
def test_on_a_terminal_the_table_fits_and_no_name_is_cut_off(
    bucket: str, monkeypatch: pytest.MonkeyPatch, columns: int, several: bool
) -> None:
    shelf.put("x" * 100)
    shelf.put("pre-migration", minutes=1, database="accounts" if several else "shop")
    shelf.put("gone", minutes=2, dump=None, manifest=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    coloured, plain = Terminal(), Terminal()
    call_command("db_list", stdout=OutputWrapper(coloured))
    monkeypatch.setenv("NO_COLOR", "1")
    call_command("db_list", stdout=OutputWrapper(plain))

    assert "\x1b[32m" in coloured.getvalue()
    assert ESCAPE not in plain.getvalue()
    text = plain.getvalue()
    if text.startswith("backup "):
        assert max(map(len, text.partition("\n\n")[0].splitlines())) <= columns
    assert text.count("x") == 100
    assert "backup-2024-01-15T1201-pre-migration.dump" in text
    assert "backup-2024-01-15T1202-gone.dump" in text
    assert "missing in the store" in text


def test_on_a_real_terminal_of_80_columns_it_is_coloured_and_fits(
    bucket: str, environment: Callable[..., dict[str, str]]
) -> None:
    shelf.put("pre-migration")
    shelf.put("x" * 60, minutes=1)
    code, text = on_terminal("db_list", env=environment())

    assert code == 0
    assert "\x1b[32msucceeded" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert max(len(line) for line in lines[: lines.index("")]) <= 80
    assert any("backup-2024-01-15T1200-pre-migration.dump" in line for line in lines)


def test_on_a_real_terminal_a_backup_shows_its_progress_and_then_what_it_made(
    source: Server, bucket: str, environment: Callable[..., dict[str, str]], secrets: list[str]
) -> None:
    code, text = on_terminal("db_backup", "x", "--database", "source", env=environment(source=source))

    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert code == 0
    assert "━━━" in plain  # a bar, which is gone at the end
    assert "Backup made.\r\n  filename    backup-" in plain
    assert "Traceback" not in plain
    assert not [secret for secret in secrets if secret in plain]


# db_restore


@pytest.fixture
def backup(source: Server, bucket: str) -> BackupHistory:
    """A real backup of the alias "source"."""
    call_command("db_backup", "made", database="source", stdout=StringIO())
    return BackupHistory.objects.get()


def test_a_restore_prints_how_it_compared(run: Run, backup: BackupHistory, fresh_target: Server, secrets: list[str]) -> None:
    done = run("db_restore", "latest", "--database", "source", "--target-dbname", fresh_target.database)

    require_plain(done, secrets)
    assert done.code == 0
    assert "Restored, and compared with the backup." in done.out
    for text in (backup.filename, fresh_target.database, "6,200 rows in 3 tables: every row count matches"):
        assert text in done.out
    assert "comparing …" in done.err
    with connect(fresh_target) as session:
        assert session.execute("SELECT count(*) FROM event").fetchone() == (5000,)


def test_a_restore_as_json_is_the_row(run: Run, backup: BackupHistory, fresh_target: Server, secrets: list[str]) -> None:
    done = run("db_restore", "--filename", backup.filename, "--target-dbname", fresh_target.database, "--json")

    row, told = BackupRestore.objects.get(), json.loads(done.out)
    require_plain(done, secrets)
    assert (done.code, told["id"], told["backup_id"], told["status"]) == (0, str(row.id), str(backup.id), "succeeded")
    assert told["comparison_report"] == {"tables": 3, "rows": 6200, "equal": True, "differences": [], "remarks": []}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Which backup?"),
        (("latest", "--undo"), "--undo takes no backup"),
        (("--undo", "--discard-previous"), "exclude each other"),
        (("latest", "--into-schema", "x"), "--into-schema needs the tables"),
        (("latest", "--in-place", "--table", "event"), "--in-place restores whole backups only"),
        (("latest", "--trust-unsigned"), "--trust-unsigned is only for --from-file"),
        (("latest", "--target-dbname", "x", "--map-role", "nobody"), "is not OLD=NEW"),
        (("latest", "--filename", "other", "--target-dbname", "x"), "Two filenames are given."),
        (("latest", "--target-dbname", "x", "--database", "nowhere"), "no database alias 'nowhere'"),
        (("latest", "--target-dbname", "x", "--target-password-file", "/no/such/file"), "/no/such/file, can't be read"),
        (("latest", "--target-port", "many"), "--target-port"),
    ],
)
def test_a_restore_that_can_not_be_meant_is_wrong_usage(
    run: Run, bucket: str, secrets: list[str], words: tuple[str, ...], message: str
) -> None:
    done = run("db_restore", *words)

    require_plain(done, secrets)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not BackupRestore.objects.exists()


def test_a_restore_into_a_database_that_is_not_empty_is_refused_by_name(
    run: Run, backup: BackupHistory, source: Server, secrets: list[str]
) -> None:
    done = run("db_restore", "latest", "--database", "source", "--target-dbname", source.database)

    require_plain(done, secrets)
    assert (done.code, done.out) == (3, "")
    assert f"Refused: The database {source.database} on " in done.err
    assert "public.event" in done.err
    assert f"say its name: --yes {source.database}" in done.err


def test_a_restore_of_what_there_is_not_names_the_nearest(run: Run, backup: BackupHistory, secrets: list[str]) -> None:
    done = run("db_restore", backup.filename.replace("made", "maid"), "--target-dbname", "x")

    require_plain(done, secrets)
    assert (done.code, done.out) == (1, "")
    assert f"    The nearest are:\n    {backup.filename}" in done.err
    assert "icb db list" in done.err


def test_a_password_on_the_command_line_works_with_a_warning_and_is_not_repeated(
    run: Run, backup: BackupHistory, fresh_target: Server
) -> None:
    given = ("--target-host", fresh_target.host, "--target-port", str(fresh_target.port), "--target-username", fresh_target.user)
    words = (backup.filename, *given, "--target-dbname", fresh_target.database)
    done = run("db_restore", *words, "--target-password", fresh_target.password)
    assert done.code == 0
    assert "visible to others on this machine" in done.err
    assert fresh_target.password not in done.out + done.err

    wrong = run("db_restore", *words, "--target-password", "not-the-password")
    assert (wrong.code, wrong.out) == (1, "")
    assert "The password or the user is wrong" in wrong.err
    assert "not-the-password" not in wrong.err


def test_the_password_may_stand_in_a_file_or_in_pgpassword(
    run: Run, backup: BackupHistory, fresh_target: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    words = (backup.filename, "--target-username", "postgres_of_another_name", "--target-dbname", fresh_target.database)
    file.write_text("wrong\n")
    assert "password" in run("db_restore", *words, "--target-password-file", str(file)).err

    words = (backup.filename, "--target-dbname", fresh_target.database)
    file.write_text(f"{fresh_target.password}\r\nand more\n")
    assert run("db_restore", *words, "--target-password-file", str(file)).code == 0
    monkeypatch.setenv("PGPASSWORD", "wrong")
    done = run("db_restore", backup.filename, "--target-dbname", fresh_target.database + "x")
    assert (done.code, "password" in done.err) == (1, True)


def test_the_password_of_the_site_goes_to_its_own_server_and_user_only(fresh_target: Server) -> None:
    from backups.management import target

    names = ("host", "port", "username", "password", "password_file", "dbname")
    options: dict[str, object] = {f"target_{name}": None for name in names}
    own = target.from_options({**options, "target_dbname": "x"})
    assert own.password == fresh_target.password
    for other in ({"target_host": "elsewhere.example"}, {"target_username": "other"}, {"target_port": 1}):
        assert target.from_options({**options, "target_dbname": "x", **other}).password == ""


# Help


@pytest.mark.parametrize("name", ["db_backup", "db_list", "db_restore", "db_contents"])
def test_help_fits_on_a_screen_and_explains_every_option(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run(name, "--help")

    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) <= (64 if name == "db_restore" else 45)
    assert max(map(len, done.out.splitlines())) <= 80
    assert "--settings" not in done.out
    assert "--verbosity" not in done.out
    assert "Example: icb db" in done.out
    assert "3 refused for safety" in re.sub(r"\s+", " ", done.out)
    parser = load_command_class("backups", name).create_parser("manage.py", name)
    assert [action.dest for action in parser._actions if not action.help] == []


# As processes of their own


def test_the_modules_are_commands_with_the_same_options(
    source: Server, bucket: str, environment: Callable[..., dict[str, str]], fresh_target: Server, secrets: list[str]
) -> None:
    """`python -m backups.backup` and `python -m backups.restore`, from the project's folder."""
    env = environment(source=source)
    made = python("-m", "backups.backup", "--description", "x", "--save-local", "--database", "source", env=env)
    require_plain(made, secrets)
    assert (made.code, "Backup made." in made.out) == (0, True), made.err

    words = (
        "--filename",
        "latest",
        "--database",
        "source",
        "--target-host",
        "localhost",
        "--target-dbname",
        fresh_target.database,
    )
    restored = python("-m", "backups.restore", *words, env=env)
    require_plain(restored, secrets)
    assert (restored.code, "Restored, and compared" in restored.out) == (0, True), restored.err

    again = python("-m", "backups.restore", *words, env=env)
    require_plain(again, secrets)
    assert (again.code, again.out) == (3, "")
    assert "is not empty" in again.err

    for module, option in (("backups.backup", "--save-local"), ("backups.restore", "--target-password-file")):
        told = python("-m", module, "--help", env=env)
        assert (told.code, option in told.out) == (0, True)
    wrong = python("-m", "backups.backup", env=env)
    assert (wrong.code, wrong.out) == (2, "")


def test_outside_a_project_the_modules_say_where_to_go(tmp_path: Path, environment: Callable[..., dict[str, str]]) -> None:
    env = {**environment(), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-m", "backups.backup", "x"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "no manage.py in this folder" in done.stderr


def test_a_list_into_a_pipe_is_plain_and_its_errors_are_on_stderr(
    bucket: str, environment: Callable[..., dict[str, str]], secrets: list[str]
) -> None:
    shelf.put("one")
    env = {**environment(), "FORCE_COLOR": "1"}
    done = python("manage.py", "db_list", env=env)
    require_plain(done, secrets)
    assert (done.code, "-one.dump" in done.out, done.err) == (0, True, "")

    broken = python("manage.py", "db_list", "--json", env=env | {"AWS_S3_BACKUP_BUCKET": "no-such-bucket-here"})
    require_plain(broken, secrets)
    assert broken.code == 1
    assert len(json.loads(broken.out)["backups"]) == 1
    assert broken.err.startswith("Failed: The bucket no-such-bucket-here does not exist.")


def test_ctrl_c_in_the_middle_leaves_nothing_and_says_so(
    source: Server, bucket: str, backups_settings: Settings, environment: Callable[..., dict[str, str]]
) -> None:
    with connect(source) as holder, holder.transaction():
        holder.execute("LOCK TABLE event")
        env = {**environment(source=source), "BACKUPS_LOCK_TIMEOUT_SECONDS": "60"}
        process = subprocess.Popen(
            [sys.executable, "manage.py", "db_backup", "x", "--database", "source"],
            cwd=PROJECT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: waiting(source) > 0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()

    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "Cancelled: The backup was cancelled. Nothing of it was kept" in err
    assert BackupHistory.objects.get().status == "cancelled"
    assert keys_in(backups_settings, bucket) == []


def on_terminal(*words: str, env: dict[str, str]) -> tuple[int, str]:
    """Runs manage.py on a pseudo terminal of 80 columns: its exit code, and all that it wrote there."""
    main, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=PROJECT,
        env={**env, "TERM": "xterm"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    said = bytearray()
    with suppress(OSError):  # that is how Linux tells that the other side has been closed
        while piece := os.read(main, 4096):
            said += piece
    os.close(main)
    return process.wait(), said.decode()


def waiting(server: Server) -> int:
    """Sessions that wait for a lock in that database."""
    with connect(replace(server, database="postgres")) as session:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        (count,) = session.execute(query, [server.database]).fetchone() or (0,)
        return int(str(count))


# icb psql


def test_icb_psql_goes_to_the_sites_server(environment: Callable[..., dict[str, str]], source: Server) -> None:
    asked = ("--no-psqlrc", "-Atc", "SELECT current_database()")
    site, other = (
        python("-m", "ichrisbirch_site.cli", "psql", *words, env=environment()) for words in (asked, (source.database, *asked))
    )
    assert (site.code, site.out) == (0, f"{connection.settings_dict['NAME']}\n"), site.err
    assert (other.code, other.out) == (0, f"{source.database}\n"), other.err
