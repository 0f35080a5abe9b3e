"""A backup is proven by a restore; what is found is remembered, and what can't be tried here is no fault of the backup."""

import json
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups.assertions import failed_assertions
from backups.exceptions import UnableError
from backups.models import BackupHistory, BackupRestore
from backups.proving import unverified
from backups.stores import configured
from backups.types import Server
from ichrisbirch_site.embedded import services
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import PlaceProgram, connect, s3_client, server_of
from tests.integration.conftest import Run
from tests.services import new_home

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def settings_of(backups_settings: Settings) -> Callable[..., None]:
    """Sets some of BACKUPS."""

    def settings_of(**values: object) -> None:
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, **values}

    return settings_of


def scratch_databases(admin: Server) -> list[str]:
    with connect(admin) as session:
        found = session.execute(
            "SELECT datname FROM pg_database WHERE datname ~ '^verify_' AND NOT EXISTS"
            " (SELECT FROM pg_stat_activity a WHERE a.datid = pg_database.oid)"
        )
        return [str(name) for (name,) in found]


def cluster_of(server: Server) -> str:
    with connect(server) as session:
        (found,) = session.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone() or ("",)
        return str(found)


def damage(settings: Settings, backup: BackupHistory) -> None:
    client = s3_client(settings)
    body = bytearray(client.get_object(Bucket=backup.bucket, Key=backup.s3_key)["Body"].read())
    body[len(body) // 2] ^= 4
    client.put_object(Bucket=backup.bucket, Key=backup.s3_key, Body=bytes(body))


def test_a_good_backup_is_restored_compared_and_dropped_again(run: Run, backup: BackupHistory, admin: Server) -> None:
    done = run("db_verify", backup.filename)

    assert done.code == 0, done.err
    assert f"Good: {backup.filename}. Restored, and compared with what was backed up: 6,200 rows in 3 tables" in done.out
    row = BackupRestore.objects.get()
    assert (row.purpose, row.level, row.verdict, row.status) == ("verification", "restored", "good", "succeeded")
    assert row.load_seconds
    backup.refresh_from_db()
    assert None not in (backup.stored_at, backup.readable_at, backup.verified_at)
    assert f"{row.target_database}" not in scratch_databases(admin)


@pytest.mark.parametrize(
    ("level", "proven"),
    [("stored", {"stored_at"}), ("readable", {"stored_at", "readable_at"})],
)
def test_lower_levels_prove_less_and_say_so(level: str, proven: set[str], run: Run, backup: BackupHistory) -> None:
    assert run("db_verify", "latest", "--database", "source", "--level", level).code == 0
    backup.refresh_from_db()
    assert {name for name in ("stored_at", "readable_at", "verified_at") if getattr(backup, name)} == proven


@pytest.mark.parametrize("level", ["stored", "readable", "restored"])
def test_a_flipped_bit_is_found_at_every_level(level: str, run: Run, backup: BackupHistory, backups_settings: Settings) -> None:
    damage(backups_settings, backup)
    done = run("db_verify", backup.filename, "--level", level)

    assert done.code == 1
    assert f"BAD: {backup.filename}. The bytes of " in done.out
    assert "1 of 1 can't be trusted. Make a new one now" in done.err
    backup.refresh_from_db()
    assert backup.bad_at is not None
    assert (backup.stored_at, backup.verified_at) == (None, None)


def test_a_manifest_that_can_not_be_trusted_makes_the_backup_bad(
    run: Run, backup: BackupHistory, backups_settings: Settings
) -> None:
    client = s3_client(backups_settings)
    client.put_object(Bucket=backup.bucket, Key=f"{backup.s3_key}.json", Body=b"{}")
    done = run("db_verify", backup.filename)

    assert (done.code, BackupRestore.objects.get().verdict) == (1, "bad")
    backup.refresh_from_db()
    assert backup.bad_at is not None


def test_what_the_server_lacks_says_nothing_about_the_backup(
    run: Run, backup: BackupHistory, place_program: PlaceProgram, settings_of: Callable[..., None]
) -> None:
    words = "could not open extension control file"
    place_program(f'case "$*" in *--file=-*) exec "$real" "$@";; esac; echo \'{words}\' >&2; exit 1', name="pg_restore")
    done = run("db_verify", backup.filename)

    assert done.code == 1
    assert BackupRestore.objects.get().verdict == "unable"
    assert "says nothing about them" in done.err
    backup.refresh_from_db()
    assert (backup.bad_at, backup.verified_at) == (None, None)
    assert backup.readable_at is not None


def test_an_archive_that_does_not_load_makes_it_bad(run: Run, backup: BackupHistory, place_program: PlaceProgram) -> None:
    words = "pg_restore: error: could not read from input file: end of file"
    place_program(f'case "$*" in *--file=-*) exec "$real" "$@";; esac; echo "{words}" >&2; exit 1', name="pg_restore")
    assert run("db_verify", backup.filename).code == 1
    assert BackupRestore.objects.get().verdict == "bad"


@pytest.mark.parametrize(
    "script",
    [
        'echo "Rolle »app« existiert nicht" >&2; exit 1',  # a server that speaks another language
        "kill -9 $$",
    ],
)
def test_what_can_have_another_cause_than_the_archive_is_not_called_bad(
    run: Run, backup: BackupHistory, place_program: PlaceProgram, script: str
) -> None:
    place_program(f'case "$*" in *--file=-*) exec "$real" "$@";; esac; {script}', name="pg_restore")
    assert run("db_verify", backup.filename).code == 1
    assert BackupRestore.objects.get().verdict == "unable"


def test_a_program_that_is_killed_while_it_decodes_makes_no_backup_bad(
    run: Run, backup: BackupHistory, place_program: PlaceProgram
) -> None:
    program = place_program('exec "$real" "$@"', name="pg_restore")
    program.write_text(
        program.read_text().replace("export PATH", 'case " $* " in *" --file=- "*) kill -9 $$ ;; esac\nexport PATH')
    )
    assert run("db_verify", backup.filename, "--level", "readable").code == 1
    backup.refresh_from_db()
    assert (BackupRestore.objects.get().verdict, backup.bad_at) == ("unable", None)


def test_what_was_found_bad_is_tried_again_with_the_unverified(run: Run, backup: BackupHistory) -> None:
    BackupHistory.objects.update(bad_at=timezone.now(), verified_at=timezone.now())
    assert unverified(database="source") == [backup.filename]


def test_rows_that_are_missing_make_it_bad(run: Run, backup: BackupHistory, place_program: PlaceProgram) -> None:
    place_program('case "$*" in *--file=-*) exec "$real" "$@";; esac; exec "$real" --schema-only "$@"', name="pg_restore")
    done = run("db_verify", backup.filename)
    assert done.code == 1
    assert "public.event has 0 rows; the backup has 5000" in done.out
    assert BackupRestore.objects.get().verdict == "bad"


def test_a_good_verification_takes_back_what_an_earlier_one_said(run: Run, backup: BackupHistory) -> None:
    BackupHistory.objects.update(bad_at=timezone.now())
    assert run("db_verify", backup.filename).code == 0
    backup.refresh_from_db()
    assert backup.bad_at is None


def test_a_role_that_is_missing_here_is_no_obstacle(run: Run, source: Server, bucket: str, admin: Server) -> None:
    role = f"gone_{source.database}"
    with connect(source) as session:
        session.execute(f"CREATE ROLE {role}; ALTER TABLE event OWNER TO {role}".encode())
    try:
        assert run("db_backup", "owned", "--database", "source").code == 0
    finally:
        with connect(source) as session:
            session.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP ROLE {role}".encode())
    done = run("db_verify", "latest", "--database", "source")
    assert done.code == 0, done.err


def test_unverified_ones_are_verified_newest_first_and_then_there_are_none(run: Run, backup: BackupHistory) -> None:
    assert run("db_backup", "second", "--database", "source").code == 0
    done = run("db_verify", "--all-unverified", "--database", "source", "--json")

    assert done.code == 0, done.err
    told = json.loads(done.out)["verifications"]
    assert [one["verdict"] for one in told] == ["good", "good"]
    assert told[0]["source_key"].endswith("second.dump")
    assert "is verified already." in run("db_verify", "--all-unverified", "--database", "source").out


# Assertions


def test_what_the_owner_asserts_is_asked_of_the_copy(run: Run, backup: BackupHistory, settings_of: Callable[..., None]) -> None:
    settings_of(
        VERIFY_ASSERTIONS=[
            {"name": "events", "sql": "SELECT count(*) FROM event", "at_least": 5000, "at_most": 5000},
            {"name": "the first", "sql": "SELECT id FROM event ORDER BY id LIMIT 1", "equals": 1},
            {"name": "time", "sql": "SELECT now() - %(started_at)s < interval '1 day'"},
        ]
    )
    done = run("db_verify", backup.filename)
    assert done.code == 0, done.out + done.err


def test_an_assertion_that_does_not_hold_makes_it_bad(run: Run, backup: BackupHistory, settings_of: Callable[..., None]) -> None:
    settings_of(VERIFY_ASSERTIONS=[{"name": "many events", "sql": "SELECT count(*) FROM event", "at_least": 6000}])
    done = run("db_verify", backup.filename)
    assert done.code == 1
    assert "many events: expected at least 6000, found 5000." in done.out
    assert BackupRestore.objects.get().verdict == "bad"


def test_an_assertion_that_does_not_end_is_ended(source: Server) -> None:
    endless = {"name": "endless", "sql": "SELECT pg_sleep(3600) IS NULL"}
    with pytest.raises(UnableError, match="'endless' can't be asked") as raised:
        failed_assertions(source, [endless], started_at=timezone.now(), timeout_seconds=1)
    assert "statement timeout" in raised.value.detail


@pytest.mark.parametrize("sql", ["SELECT nothing", "DELETE FROM event RETURNING true"])
def test_an_assertion_that_can_not_be_asked_says_nothing_about_the_backup(
    sql: str, run: Run, backup: BackupHistory, settings_of: Callable[..., None]
) -> None:
    settings_of(VERIFY_ASSERTIONS=[{"name": "wrong", "sql": sql}])
    done = run("db_verify", backup.filename)
    assert (done.code, BackupRestore.objects.get().verdict) == (1, "unable")
    assert "Unable to tell" in done.out


# On a server of its own


@pytest.fixture
def elsewhere(register_alias: Callable[[str, Server], None]) -> Iterator[Server]:
    """A second cluster, known to the site as the alias "elsewhere". It has no role of the first one's."""
    postgres = PostgreSQL(new_home(f"elsewhere-{uuid4().hex[:6]}"))
    services.ensure([postgres], say=lambda line: None)
    register_alias("elsewhere", server_of(postgres))
    yield server_of(postgres)
    services.stop(postgres)


def test_a_backup_is_restored_on_the_server_that_is_named_for_it(
    run: Run, backup: BackupHistory, elsewhere: Server, settings_of: Callable[..., None]
) -> None:
    settings_of(VERIFY_DATABASE="elsewhere")
    done = run("db_verify", backup.filename)

    assert done.code == 0, done.out + done.err
    row = BackupRestore.objects.get()
    assert (row.target_port, row.target_system_identifier) == (elsewhere.port, cluster_of(elsewhere))
    assert scratch_databases(elsewhere) == []


def test_a_server_for_verifications_that_is_away_says_nothing_about_the_backup(
    run: Run, backup: BackupHistory, register_alias: Callable[[str, Server], None], settings_of: Callable[..., None]
) -> None:
    register_alias("away", Server(host="127.0.0.1", port=1, user="icb", password="", database="postgres"))
    settings_of(VERIFY_DATABASE="away")
    done = run("db_verify", backup.filename)

    assert done.code == 1
    assert "127.0.0.1" in done.err
    backup.refresh_from_db()
    assert (backup.bad_at, backup.verified_at) == (None, None)


# What others see of it


def test_a_plan_tells_that_a_backup_was_found_bad(run: Run, backup: BackupHistory, fresh_target: Server) -> None:
    BackupHistory.objects.update(bad_at=timezone.now())
    done = run("db_restore", backup.filename, "--target-dbname", fresh_target.database, "--dry-run")
    assert "WARN This backup was found bad" in done.out


def test_the_time_that_a_verification_took_is_the_estimate_until_a_restore_was_measured(
    run: Run, backup: BackupHistory, fresh_target: Server
) -> None:
    assert run("db_verify", backup.filename).code == 0
    plan = ("db_restore", backup.filename, "--target-dbname", fresh_target.database, "--dry-run", "--json")
    took = BackupRestore.objects.get().duration_seconds
    told = json.loads(run(*plan).out)
    assert (told["measured_restores"], told["expected_seconds"]) == (1, pytest.approx(took))

    assert run("db_verify", backup.filename, "--level", "readable").code == 0
    assert json.loads(run(*plan).out)["measured_restores"] == 1
    BackupRestore.objects.update(purpose="restore", level="", duration_seconds=1234)
    assert json.loads(run(*plan).out)["expected_seconds"] == pytest.approx(1234)


def test_a_plan_tells_when_it_was_verified(run: Run, backup: BackupHistory, fresh_target: Server) -> None:
    assert run("db_verify", backup.filename).code == 0
    done = run("db_restore", backup.filename, "--target-dbname", fresh_target.database, "--dry-run")
    assert "verified just now" in done.out


def test_the_list_tells_proof_apart_from_status(run: Run, backup: BackupHistory) -> None:
    def line() -> str:
        return next(line for line in run("db_list").out.splitlines() if line.startswith(backup.filename))

    assert " never " in line()
    assert run("db_verify", backup.filename).code == 0
    assert line().count("just now") == 2
    BackupHistory.objects.update(bad_at=timezone.now())
    assert " BAD " in line()


@pytest.mark.parametrize("gone", [("",), (".json",), ("", ".json")])
def test_a_backup_that_is_gone_from_every_store_is_bad(
    gone: tuple[str, ...], run: Run, backup: BackupHistory, backups_settings: Settings
) -> None:
    client = s3_client(backups_settings)
    for suffix in gone:
        client.delete_object(Bucket=backup.bucket, Key=backup.s3_key + suffix)

    done = run("db_verify", backup.s3_key, "--level", "stored")

    assert done.code == 1
    assert f"No store has {backup.filename} whole any more." in done.out + done.err
    backup.refresh_from_db()
    (verification,) = backup.restores.all()
    assert (verification.verdict, backup.bad_at is not None) == ("bad", True)


def test_a_backup_whose_bucket_is_not_the_configured_one_is_not_called_bad(run: Run, backup: BackupHistory) -> None:
    BackupHistory.objects.update(bucket="the-one-of-last-year")
    s3 = configured().require_s3()
    s3.delete(backup.s3_key)

    done = run("db_verify", backup.filename)

    assert done.code == 1
    backup.refresh_from_db()
    assert (BackupRestore.objects.count(), backup.bad_at) == (0, None)


def test_a_name_in_another_environment_says_nothing_of_ours(run: Run, backup: BackupHistory) -> None:
    done = run("db_verify", backup.filename, "--environment", "staging")

    assert done.code == 1
    backup.refresh_from_db()
    assert (BackupRestore.objects.count(), backup.bad_at) == (0, None)


def test_a_backup_that_another_key_signed_is_not_called_bad(run: Run, backup: BackupHistory, backups_settings: Settings) -> None:
    """A key that was changed without its fallback says nothing about the backups."""
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "SIGNING_KEY": "the key of this year, 32 characters"}

    done = run("db_verify", backup.filename, "--level", "stored")

    assert done.code == 1
    assert "BACKUPS_SIGNING_KEY_FALLBACKS" in done.out + done.err
    backup.refresh_from_db()
    assert (BackupRestore.objects.get().verdict, backup.bad_at) == ("unable", None)
