"""The ways back from a restore, and the commands by which messages lead there."""

import json
import shlex
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from psycopg import sql
from pytest_django.fixtures import Settings

from backups import history
from backups.kept import is_expired, kept_of, kept_until
from backups.models import BackupHistory, BackupRestore
from backups.types import Server
from tests.conftest import connect
from tests.integration.conftest import Run, age_mark, databases_beside, restore_over, rows_of

pytestmark = pytest.mark.usefixtures("history")


def command_after(text: str, said: str) -> list[str]:
    """The words behind `icb` of the command that follows a text."""
    line = said.partition(text)[2].partition("\n")[0]
    return shlex.split(line.partition("icb db restore")[2])


def restored(run: Run, live: Server) -> str:
    """Restores; the name under which the replaced one is kept."""
    done = restore_over(run, live, "--yes", live.database)
    assert done.code == 0, done.err
    return BackupRestore.objects.latest().kept_database


def test_the_commands_of_the_report_work_as_they_are_printed(run: Run, live: Server, admin: Server) -> None:
    done = restore_over(run, live, "--yes", live.database)
    back, let_go = command_after("Back to it:", done.out), command_after("Let go of it:", done.out)

    assert run("db_restore", *back).code == 0
    assert rows_of(live, "event") == 5010
    assert run("db_restore", *let_go).code == 0
    assert databases_beside(admin, live) == []


def test_the_commands_lead_to_the_same_server_and_role(run: Run, backup: BackupHistory, live: Server, admin: Server) -> None:
    role = f'owner "{uuid4().hex[:8]}'
    with connect(admin) as session:
        session.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD 'p'").format(sql.Identifier(role)))
    try:
        options = ("--target-host", "localhost", "--target-username", role, "--target-password", "p")
        done = restore_over(run, live, *options, "--yes", live.database)
        assert done.code == 0, done.err
        words = command_after("Back to it:", done.out)
        assert words[:5] == ["--undo", "--target-host", "localhost", "--target-username", role]
        assert run("db_restore", *words, "--target-password", "p").code == 0
    finally:
        with connect(admin) as session:
            session.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(role)))
            for name in [*databases_beside(admin, live), live.database]:
                session.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(sql.Identifier(name)))
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_an_undo_is_undone_by_the_command_that_it_prints(run: Run, live: Server) -> None:
    restored(run, live)
    undone = run("db_restore", "--undo", "--target-dbname", live.database, "--yes", live.database)
    again = run("db_restore", *command_after("Back to it:", undone.out))

    assert again.code == 0, again.err
    assert rows_of(live, "event") == 5000
    row = BackupRestore.objects.get()
    assert row.undone_at is None
    assert rows_of(replace(live, database=row.kept_database), "event") == 5010


def test_what_is_kept_anew_is_kept_as_long_as_its_mark_says_and_not_since_the_restore_ended(
    run: Run, live: Server, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "KEEP_REPLACED_DAYS": 3}
    restored(run, live)
    BackupRestore.objects.update(finished_at=F("finished_at") - timedelta(days=4), kept_at=F("kept_at") - timedelta(days=4))
    undone = run("db_restore", "--undo", "--target-dbname", live.database, "--yes", live.database)
    assert run("db_restore", *command_after("Back to it:", undone.out)).code == 0

    row, (mark, *_older) = BackupRestore.objects.get(), kept_of(live)
    assert (mark.database, mark.kept_at) == (row.kept_database, row.kept_at)
    assert kept_until(row) == kept_until(mark)
    assert not is_expired(row)
    listed = json.loads(run("db_list", "--json").out)["kept"]
    assert [one["kept_until"] for one in listed if one["database"] == row.kept_database] == [kept_until(row).isoformat()]


def test_a_restored_history_that_is_older_than_the_moment_of_the_swap_is_left_without_it() -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE admin.backup_restore DROP COLUMN kept_at")
        history.note_kept(str(uuid4()), since=timezone.now())
        transaction.set_rollback(True)


def test_what_is_kept_is_reported_with_its_last_day(run: Run, live: Server, backups_settings: Settings) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "KEEP_REPLACED_DAYS": 3}
    done = restore_over(run, live, "--yes", live.database)
    row, (mark,) = BackupRestore.objects.get(), kept_of(live)
    assert row.kept_at == mark.kept_at
    assert f"is kept as {row.kept_database}, until {mark.kept_at + timedelta(days=3):%Y-%m-%d %H:%M} UTC." in done.out


def test_where_everything_is_undone_the_next_command_puts_the_restored_one_in_place(run: Run, live: Server) -> None:
    restored(run, live)
    words = ("--undo", "--target-dbname", live.database, "--yes", live.database)
    assert run("db_restore", *words).code == 0
    second = run("db_restore", *words)

    assert second.code == 1
    assert f"Every restore of {live.database} on " in second.err
    assert run("db_restore", *command_after("put it in place:", second.err)).code == 0
    assert rows_of(live, "event") == 5000


def test_every_kept_database_is_listed_with_the_command_that_brings_it_back(run: Run, live: Server) -> None:
    first = restored(run, live)
    restored(run, live)
    listed = run("db_list").out

    words = command_after("back to it:", listed.partition(f"  {first} ")[2])
    assert words[:3] == ["--undo", "--kept", first]
    assert run("db_restore", *words).code == 0
    assert rows_of(live, "event") == 5010


def test_a_name_that_was_not_kept_is_told_with_those_that_were(run: Run, live: Server) -> None:
    kept = restored(run, live)
    done = run("db_restore", "--undo", "--kept", "elsewhere", "--target-dbname", live.database, "--yes", live.database)
    assert done.code == 1
    assert f"Kept are: {kept}." in done.err


def test_nothing_is_dropped_where_somebody_looks_at_one_of_the_kept(run: Run, live: Server, admin: Server) -> None:
    kept = [restored(run, live), restored(run, live)]
    discard = ("--discard-previous", "--target-dbname", live.database, "--yes", live.database)
    with connect(replace(live, database=kept[0])):
        done = run("db_restore", *discard)
        assert done.code == 3
        assert f"Somebody is connected to {kept[0]}. It was not dropped." in done.err
        assert databases_beside(admin, live) == sorted(kept)
    assert run("db_restore", *discard).code == 0
    assert not BackupRestore.objects.exclude(kept_database="").exists()


def test_in_place_tells_the_way_back_which_works(run: Run, live: Server) -> None:
    done = restore_over(run, live, "--in-place", "--yes", live.database)
    safety = BackupHistory.objects.get(backup_type="pre-restore")

    assert BackupRestore.objects.get().safety_backup == safety.filename
    assert f"What was there before is in the backup {safety.filename}." in done.out
    words = command_after("Back to it:", done.out)
    foreign_key = "ALTER TABLE shop.purchase DROP CONSTRAINT purchase_customer_fkey"  # of a table that was not there before
    assert f"    {foreign_key};\n" in run("db_restore", *words).err
    with connect(live) as session:
        session.execute(foreign_key)
    back = run("db_restore", *words)
    assert back.code == 0, back.err
    assert rows_of(live, "event") == 5010


def test_latest_is_never_what_a_restore_has_backed_up_before_it(run: Run, live: Server, backup: BackupHistory) -> None:
    assert restore_over(run, live, "--in-place", "--yes", live.database).code == 0
    done = restore_over(run, live, "--dry-run")
    assert backup.filename in done.out
    assert "before-restore" not in done.out


def test_an_option_of_the_target_that_is_empty_is_wrong_usage(run: Run, live: Server) -> None:
    for option in ("--target-dbname", "--target-host", "--target-username"):
        done = run("db_restore", "latest", option, "")
        assert (done.code, f"{option} is empty." in done.err) == (2, True)


def test_a_url_is_no_name_of_a_database(run: Run, live: Server) -> None:
    done = run("db_restore", "latest", "--target-dbname", "postgres://db/shop")
    assert done.code == 2
    assert "takes a name, not a URL" in done.err


# What is only asked for


@pytest.mark.parametrize("word", ["--undo", "--discard-previous"])
def test_a_dry_run_of_the_ways_back_tells_and_changes_nothing(word: str, run: Run, live: Server, admin: Server) -> None:
    kept = restored(run, live)
    done = run("db_restore", word, "--dry-run", "--target-dbname", live.database, "--yes", live.database)

    assert (done.code, kept in done.err) == (0, True)
    assert databases_beside(admin, live) == [kept]
    assert rows_of(live, "event") == 5000


@pytest.mark.parametrize("word", ["--undo", "--discard-previous"])
@pytest.mark.parametrize("other", [("--table", "event"), ("--in-place",), ("--neutralize",), ("--no-owner",)])
def test_options_of_a_restore_do_not_go_with_the_ways_back(word: str, other: tuple[str, ...], run: Run, live: Server) -> None:
    done = run("db_restore", word, *other, "--target-dbname", live.database)
    assert (done.code, f"{word} does not go with {other[0]}" in done.err) == (2, True)


def test_what_is_dropped_is_told_as_json(run: Run, live: Server) -> None:
    kept = restored(run, live)
    done = run("db_restore", "--discard-previous", "--json", "--target-dbname", live.database, "--yes", live.database)
    assert [one["database"] for one in json.loads(done.out)["dropped"]] == [kept]


# Whose it is


@pytest.mark.parametrize("word", ["--undo", "--discard-previous"])
def test_production_is_not_touched_from_elsewhere_on_the_way_back_either(
    word: str, run: Run, live: Server, admin: Server, backup: BackupHistory
) -> None:
    kept = restored(run, live)
    with connect(replace(live, database=kept)) as session:
        session.execute("CREATE SCHEMA admin")
        session.execute(
            "CREATE TABLE admin.backup_history (environment text, database text, system_identifier text, server_address text)"
        )
        values = ["production", kept, backup.system_identifier, ""]
        session.execute("INSERT INTO admin.backup_history VALUES (%s, %s, %s, %s)", values)
    done = run("db_restore", word, "--target-dbname", live.database, "--yes", live.database)

    assert done.code == 3
    assert "is production, and this process is testing." in done.err
    assert databases_beside(admin, live) == [kept]
    assert rows_of(live, "event") == 5000


def test_what_another_database_has_kept_is_not_dropped_because_it_is_old(
    run: Run, live: Server, admin: Server, fresh_target: Server, backups_settings: Settings
) -> None:
    kept = restored(run, live)
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "KEEP_REPLACED_DAYS": 1}
    age_mark(admin, kept, days=2)
    assert run("db_restore", "latest", "--database", "source", "--target-dbname", fresh_target.database).code == 0
    assert databases_beside(admin, live) == [kept]


def test_a_restore_succeeds_though_somebody_looks_at_what_was_kept_long_enough(
    run: Run, live: Server, admin: Server, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "KEEP_REPLACED_DAYS": 1}
    kept = restored(run, live)
    age_mark(admin, kept, days=2)
    with connect(replace(live, database=kept)):
        done = restore_over(run, live, "--yes", live.database)
    assert done.code == 0, done.err
    assert f"Also: Somebody is connected to {kept}." in done.err
