"""A restore that nobody regrets: the plan, the name, the swap, the way back, and a history that survives its own restore."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.models import BackupHistory, BackupRestore
from backups.types import Server
from ichrisbirch_site.embedded import PROJECT, Home
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import connect, copy_database, drop_database, new_database, server_of, until, url_of
from tests.integration.conftest import Done, Run, age_mark, databases_beside, restore_over, rows_of

pytestmark = pytest.mark.usefixtures("history")


# The plan


def test_a_dry_run_tells_everything_and_changes_nothing(run: Run, live: Server, admin: Server, backup: BackupHistory) -> None:
    done = restore_over(run, live, "--dry-run")

    assert done.code == 0, done.err
    for text in (
        "Nothing has been touched yet.",
        backup.filename,
        "never restored yet",
        "6,200 rows in 3 tables",
        f"{live.database} on {admin.host}:{admin.port}, PostgreSQL 17",
        f"identity {backup.system_identifier}",
        "There now: ",
        "nobody connected",
        "in a time that no restore has measured yet",
        "roles and their passwords, other databases of the server",
    ):
        assert text in done.out
    assert not BackupRestore.objects.exists()
    assert databases_beside(admin, live) == []
    assert rows_of(live, "event") == 5010


def test_a_dry_run_as_json_has_every_check(run: Run, live: Server, backup: BackupHistory) -> None:
    told = json.loads(restore_over(run, live, "--dry-run", "--json").out)

    assert told["backup"]["filename"] == backup.filename
    assert told["target"]["system_identifier"] == backup.system_identifier
    assert (told["needs_name"], told["expected_seconds"]) == (True, None)
    assert {check["level"] for check in told["checks"]} <= {"ok", "warn"}


def test_everything_that_stands_against_it_is_found_at_once(
    run: Run, source: Server, bucket: str, admin: Server, fresh_target: Server
) -> None:
    role, limited = f"owner_{uuid4().hex[:8]}", f"limited_{uuid4().hex[:8]}"
    with connect(source) as session:
        session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        session.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'p'").format(sql.Identifier(limited)))
        session.execute(sql.SQL("ALTER TABLE event OWNER TO {}").format(sql.Identifier(role)))
    try:
        DatabaseBackup(description="good", database="source").run()
        with connect(source) as session:
            session.execute("ALTER TABLE event OWNER TO CURRENT_USER")
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
        words = ("--target-username", limited, "--target-password", "p", "--target-dbname", fresh_target.database)
        done = run("db_restore", "latest", "--database", "source", *words)
    finally:
        with connect(admin) as session:
            session.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(limited)))

    assert done.code == 3
    assert "2 things stand against this restore. Nothing was touched." in done.err
    assert f"may not create a database on {admin.host}" in done.err
    assert f"no role {role}" in done.err
    assert f"--map-role {role}={limited}" in done.err


# The name


def test_a_database_that_is_not_empty_is_left_alone_unless_its_name_is_given(run: Run, live: Server, admin: Server) -> None:
    for words in ((), ("--yes", "yes"), ("--yes", live.database + "x")):
        done = restore_over(run, live, *words)
        assert done.code == 3
        assert f"--yes {live.database}" in done.err
    assert rows_of(live, "event") == 5010
    assert databases_beside(admin, live) == []
    assert not BackupRestore.objects.exists()


def test_production_is_not_restored_onto_from_elsewhere_whatever_is_typed(
    run: Run, live: Server, backup: BackupHistory, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ENVIRONMENT": "production"}
    DatabaseBackup(description="of production", database="source").run()
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ENVIRONMENT": backup.environment}
    done = restore_over(run, live, "--yes", live.database)

    assert done.code == 3
    assert f"is production, and this process is {backup.environment}" in done.err
    assert rows_of(live, "event") == 5010


# Swap, and back


def test_a_restore_swaps_undo_swaps_back_and_what_was_kept_is_dropped_when_asked(
    run: Run, live: Server, admin: Server, backup: BackupHistory
) -> None:
    done = restore_over(run, live, "--yes", live.database)
    assert done.code == 0, done.err
    assert "every row count matches" in done.out
    row = BackupRestore.objects.get()
    assert f"is kept as {row.kept_database}" in done.out
    assert (rows_of(live, "event"), rows_of(live, "shop.purchase")) == (5000, 1000)
    assert databases_beside(admin, live) == [row.kept_database]
    assert rows_of(replace(live, database=row.kept_database), "event") == 5010

    refused = run("db_restore", "--undo", "--target-dbname", live.database)
    assert (refused.code, rows_of(live, "event")) == (3, 5000)
    undone = run("db_restore", "--undo", "--target-dbname", live.database, "--yes", live.database)
    assert undone.code == 0, undone.err
    assert rows_of(live, "event") == 5010
    row.refresh_from_db()
    assert row.undone_at is not None

    again = restore_over(run, live, "--yes", live.database)
    assert again.code == 0, again.err
    assert rows_of(live, "event") == 5000
    assert len(databases_beside(admin, live)) == 2

    assert run("db_restore", "--discard-previous", "--target-dbname", live.database).code == 3
    dropped = run("db_restore", "--discard-previous", "--target-dbname", live.database, "--yes", live.database)
    assert dropped.code == 0, dropped.err
    assert dropped.out.count("Dropped ") == 2
    assert databases_beside(admin, live) == []
    assert rows_of(live, "event") == 5000


def test_owner_privileges_and_settings_of_the_database_are_carried_over(run: Run, live: Server, admin: Server) -> None:
    role = f"reader_{uuid4().hex[:8]}"
    name = sql.Identifier(live.database)
    with connect(live) as session:
        session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        session.execute(sql.SQL("ALTER DATABASE {} SET search_path TO shop, public").format(name))
        session.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} SET work_mem TO '8MB'").format(sql.Identifier(role), name))
        session.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(name, sql.Identifier(role)))
    try:
        assert restore_over(run, live, "--yes", live.database).code == 0
        with connect(live) as session:
            assert session.execute("SHOW search_path").fetchone() == ("shop, public",)
            granted = session.execute("SELECT has_database_privilege(%s, %s, 'CREATE')", [role, live.database]).fetchone()
            settings = session.execute("SELECT count(*) FROM pg_db_role_setting WHERE setrole = %s::regrole", [role]).fetchone()
        assert granted == (True,)
        assert settings == (2,)  # of the kept one, too
    finally:
        for kept in [*databases_beside(admin, live), live.database]:
            drop_database(replace(admin, database=kept))
        with connect(admin) as session:
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_busy_sessions_are_sent_away_and_find_the_restored_database(run: Run, live: Server) -> None:
    with connect(live) as busy:
        busy.execute("BEGIN")
        busy.execute("SELECT count(*) FROM event")
        assert restore_over(run, live, "--yes", live.database).code == 0
        with pytest.raises(psycopg.OperationalError):
            busy.execute("SELECT 1")
    assert rows_of(live, "event") == 5000


def test_the_list_shows_what_is_kept_and_what_it_costs(run: Run, live: Server) -> None:
    assert restore_over(run, live, "--yes", live.database).code == 0
    kept = BackupRestore.objects.get().kept_database
    done = run("db_list")

    assert done.code == 0
    assert kept in done.out
    assert "--undo" in done.out
    told = json.loads(run("db_list", "--json").out)["kept"]
    assert [entry["database"] for entry in told if entry["replaced"] == live.database] == [kept]


def test_what_is_kept_longer_than_the_settings_say_is_dropped_by_the_next_restore_which_says_so(
    run: Run, live: Server, admin: Server, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "KEEP_REPLACED_DAYS": 3}
    assert "Dropped" not in restore_over(run, live, "--yes", live.database).err
    first = BackupRestore.objects.get().kept_database
    age_mark(admin, first, days=4)
    done = restore_over(run, live, "--yes", live.database)

    assert f"Also: Dropped {first}, " in done.err
    assert first not in databases_beside(admin, live)
    assert len(databases_beside(admin, live)) == 1


def test_an_empty_database_is_replaced_without_a_name_and_not_kept(
    run: Run, backup: BackupHistory, make_database: Callable[..., Server], admin: Server
) -> None:
    empty = make_database()
    done = run("db_restore", "latest", "--database", "source", "--target-dbname", empty.database)

    assert done.code == 0, done.err
    assert rows_of(empty, "event") == 5000
    assert databases_beside(admin, empty) == []


def test_the_estimate_comes_from_restores_that_were_measured(run: Run, live: Server, fresh_target: Server) -> None:
    assert run("db_restore", "latest", "--database", "source", "--target-dbname", fresh_target.database).code == 0
    told = json.loads(restore_over(run, live, "--dry-run", "--json").out)

    assert told["measured_restores"] == 1
    assert told["expected_seconds"] > 0
    assert told["backup"]["restored_at"] is not None


# Other ways


def test_in_place_drops_and_loads_in_one_transaction_after_a_safety_backup(run: Run, live: Server, admin: Server) -> None:
    done = restore_over(run, live, "--in-place", "--yes", live.database)

    assert done.code == 0, done.err
    assert (rows_of(live, "event"), rows_of(live, "shop.purchase")) == (5000, 1000)
    assert databases_beside(admin, live) == []
    safety = BackupHistory.objects.get(backup_type="pre-restore")
    assert (safety.status, safety.database) == ("succeeded", live.database)


def test_in_place_is_all_or_nothing(run: Run, live: Server) -> None:
    with connect(live) as session:
        session.execute("CREATE FUNCTION newer(event) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    done = restore_over(run, live, "--in-place", "--no-safety-backup", "--yes", live.database)

    assert done.code == 1
    assert "depend" in done.err
    assert f"It was one transaction: {live.database} is as it was." in done.err
    assert rows_of(live, "event") == 5010
    assert not BackupHistory.objects.filter(backup_type="pre-restore").exists()


def test_what_is_newer_and_stands_in_the_way_in_place_is_told_with_the_statements_that_help(run: Run, live: Server) -> None:
    with connect(live) as session:
        session.execute('CREATE VIEW "newer one" AS SELECT * FROM event')
        session.execute("CREATE TABLE newer (id int, customer_id int REFERENCES shop.customer)")
    done = restore_over(run, live, "--in-place", "--yes", live.database)

    assert done.code == 3
    statements = ['DROP VIEW public."newer one";', "ALTER TABLE public.newer DROP CONSTRAINT newer_customer_id_fkey;"]
    with connect(live) as session:
        for statement in statements:
            assert f"    {statement}\n" in done.err
            session.execute(statement.encode())
    again = restore_over(run, live, "--in-place", "--yes", live.database)
    assert again.code == 0, again.err
    assert rows_of(live, "newer") == 0


def test_a_partitioned_key_is_told_before_an_attempt_in_place(run: Run, live: Server) -> None:
    with connect(live) as session:
        session.execute("CREATE TABLE split (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    done = restore_over(run, live, "--in-place", "--yes", live.database)
    assert done.code == 3
    assert "has a partitioned table with a key" in done.err


def test_lost_rows_are_put_beside_the_live_ones(run: Run, live: Server, admin: Server) -> None:
    done = restore_over(run, live, "--table", "public.event", "--into-schema", "rescue")

    assert done.code == 0, done.err
    assert (rows_of(live, "event"), rows_of(live, "rescue.event")) == (5010, 5000)
    assert databases_beside(admin, live) == []
    again = restore_over(run, live, "--table", "public.event", "--into-schema", "rescue")
    assert again.code == 3
    assert "rescue" in again.err


def test_a_single_table_goes_into_a_fresh_database(run: Run, backup: BackupHistory, fresh_target: Server) -> None:
    words = ("--table", "shop.customer", "--target-dbname", fresh_target.database)
    done = run("db_restore", "latest", "--database", "source", *words)

    assert done.code == 0, done.err
    assert rows_of(fresh_target, "shop.customer") == 200
    with connect(fresh_target) as session:
        assert session.execute("SELECT to_regclass('public.event')").fetchone() == (None,)


def test_a_single_table_is_never_restored_over_live_ones(run: Run, live: Server) -> None:
    done = restore_over(run, live, "--table", "public.event", "--yes", live.database)
    assert done.code == 3
    assert "--into-schema" in done.err
    assert rows_of(live, "event") == 5010


def test_definitions_alone_make_empty_tables(run: Run, backup: BackupHistory, fresh_target: Server) -> None:
    done = run("db_restore", "latest", "--database", "source", "--schema-only", "--target-dbname", fresh_target.database)
    assert done.code == 0, done.err
    assert rows_of(fresh_target, "event") == 0


def test_a_file_with_its_manifest_is_restored_and_a_foreign_one_only_on_trust(
    run: Run, source: Server, bucket: str, fresh_target: Server, tmp_path: Path
) -> None:
    row = DatabaseBackup(description="good", database="source", save_local=True).run()
    foreign = tmp_path / "foreign.dump"
    foreign.write_bytes(Path(row.local_path).read_bytes())
    words = ("--target-dbname", fresh_target.database)

    done = run("db_restore", "--from-file", str(foreign), *words)
    assert done.code == 3
    assert "--trust-unsigned" in done.err
    assert run("db_restore", "--from-file", row.local_path, *words).code == 0
    assert rows_of(fresh_target, "event") == 5000
    drop_database(fresh_target)
    done = run("db_restore", "--from-file", str(foreign), "--trust-unsigned", *words)
    assert done.code == 0, done.err
    assert "nothing to compare with" in done.out
    assert rows_of(fresh_target, "event") == 5000


def test_a_production_backup_elsewhere_asks_about_sessions_and_tasks(
    run: Run, source: Server, bucket: str, backups_settings: Settings, fresh_target: Server
) -> None:
    with connect(source) as session:
        session.execute("CREATE TABLE django_session (session_key text PRIMARY KEY)")
        session.execute("INSERT INTO django_session VALUES ('alive')")
    here = backups_settings.BACKUPS["ENVIRONMENT"]
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ENVIRONMENT": "production"}
    DatabaseBackup(description="of production", database="source").run()
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ENVIRONMENT": here}
    words = ("latest", "--database", "source", "--environment", "production", "--target-dbname", fresh_target.database)

    done = run("db_restore", *words)
    assert done.code == 3
    assert "--no-neutralize" in done.err
    done = run("db_restore", *words, "--neutralize")
    assert done.code == 0, done.err
    assert rows_of(fresh_target, "django_session") == 0


def test_a_missing_role_is_stood_in_for(run: Run, source: Server, bucket: str, admin: Server, fresh_target: Server) -> None:
    role = f"owner_{uuid4().hex[:8]}"
    with connect(source) as session:
        session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        session.execute(sql.SQL("ALTER TABLE event OWNER TO {}").format(sql.Identifier(role)))
    DatabaseBackup(description="good", database="source").run()
    with connect(source) as session:
        session.execute("ALTER TABLE event OWNER TO CURRENT_USER")
        session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    words = ("latest", "--database", "source", "--target-dbname", fresh_target.database)
    try:
        assert run("db_restore", *words).code == 3
        done = run("db_restore", *words, "--map-role", f"{role}={admin.user}")
        assert done.code == 0, done.err
        with connect(fresh_target) as session:
            query = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'event'"
            assert session.execute(query).fetchone() == (role,)
    finally:
        drop_database(fresh_target)
        with connect(admin) as session:
            session.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


# The site's own database, in processes of their own


@pytest.fixture(scope="module")
def migrated(embedded_home: Home) -> Iterator[Server]:
    """A site's database as `migrate` leaves it: to be copied."""
    server = new_database(server_of(PostgreSQL(embedded_home)))
    env = {**os.environ, "DATABASE_URL": url_of(server), "AWS_S3_BACKUP_BUCKET": "none"}
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=PROJECT, env=env, check=True)
    yield server
    drop_database(server)


@pytest.fixture
def site(migrated: Server, admin: Server) -> Iterator[Server]:
    """A site's database of the test's own."""
    made = replace(admin, database=f"t_{uuid4().hex[:12]}")
    copy_database(migrated, made)
    yield made
    for name in (made.database, *databases_beside(admin, made)):
        drop_database(replace(admin, database=name))


@pytest.fixture
def on_site(site: Server, environment: Callable[..., dict[str, str]], bucket: str) -> Callable[..., Done]:
    """Runs manage.py with that site's settings."""
    env = {**environment(), "DATABASE_URL": url_of(site)}

    def on_site(*words: str) -> Done:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=PROJECT,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return on_site


def history_of(site: Server) -> dict[str, str]:
    with connect(site) as session:
        return {
            str(name): str(status) for name, status in session.execute("SELECT description, status FROM admin.backup_history")
        }


def test_the_history_survives_the_restore_of_its_own_database(site: Server, on_site: Callable[..., Done], admin: Server) -> None:
    assert on_site("db_backup", "first").code == 0
    first = json.loads(on_site("db_list", "--json").out)["backups"][0]["filename"]
    assert on_site("db_backup", "second").code == 0
    done = on_site("db_restore", first, "--yes", site.database)

    assert done.code == 0, done.err
    assert history_of(site) == {"first": "succeeded", "second": "succeeded"}
    with connect(site) as session:
        query = "SELECT status, kept_database <> '', kept_at IS NOT NULL, finished_at IS NOT NULL FROM admin.backup_restore"
        assert session.execute(query).fetchall() == [("succeeded", True, True, True)]
        proven = "SELECT description FROM admin.backup_history WHERE verified_at IS NOT NULL"
        assert session.execute(proven).fetchall() == [("first",)]

    undone = on_site("db_restore", "--undo", "--yes", site.database)
    assert undone.code == 0, undone.err
    with connect(site) as session:
        assert session.execute("SELECT status, undone_at IS NOT NULL FROM admin.backup_restore").fetchall() == [
            ("succeeded", True)
        ]
    assert history_of(site) == {"first": "succeeded", "second": "succeeded"}


def test_the_sites_own_database_is_not_replaced_without_its_name(site: Server, on_site: Callable[..., Done]) -> None:
    assert on_site("db_backup", "first").code == 0
    before = history_of(site)
    for typed in ((), ("--yes", "yes")):
        done = on_site("db_restore", "latest", *typed)
        assert (done.code, f"--yes {site.database}" in done.err) == (3, True)
    assert history_of(site) == before


def test_in_place_leaves_the_history_as_it_is(site: Server, on_site: Callable[..., Done]) -> None:
    assert on_site("db_backup", "first").code == 0
    first = json.loads(on_site("db_list", "--json").out)["backups"][0]["filename"]
    with connect(site) as session:
        session.execute("INSERT INTO auth_group (name) VALUES ('newer than the backup')")
    assert on_site("db_backup", "second").code == 0
    done = on_site("db_restore", first, "--in-place", "--yes", site.database)

    assert done.code == 0, done.err
    assert history_of(site) == {"first": "succeeded", "second": "succeeded", "before restore": "succeeded"}
    assert rows_of(site, "auth_group WHERE name LIKE 'newer%'") == 0


@pytest.mark.parametrize("how", [["--in-place"], []], ids=["in place", "swapped"])
def test_the_audit_survives_the_restore_of_its_own_database_and_no_token_is_revived(
    how: list[str], site: Server, on_site: Callable[..., Done]
) -> None:
    for name in ("deploy", "dashboard"):
        assert on_site("token_create", name, "--scope", "run").code == 0
    assert on_site("db_backup", "first").code == 0
    assert on_site("token_revoke", "deploy").code == 0
    assert on_site("token_create", "later", "--scope", "read").code == 0
    done = on_site("db_restore", "latest", *how, "--yes", site.database)

    assert done.code == 0, done.err
    tokens = json.loads(on_site("token_list", "--json").out)
    assert {token["name"]: token["is_valid"] for token in tokens} == {"deploy": False, "dashboard": True}
    with connect(site) as session:
        query = "SELECT action || ' ' || outcome FROM admin.backup_audit ORDER BY at"
        noted = [str(told) for (told,) in session.execute(query)]
    assert noted == [
        *("token create done", "token create done", "run done", "token revoke done", "token create done", "restore done")
    ]


def test_a_lost_site_comes_back_with_a_history_from_the_bucket(site: Server, on_site: Callable[..., Done], admin: Server) -> None:
    assert on_site("db_backup", "first").code == 0
    first = json.loads(on_site("db_list", "--json").out)["backups"][0]["filename"]
    assert on_site("db_backup", "second").code == 0
    drop_database(site)
    done = on_site("db_restore", first)

    assert done.code == 0, done.err
    assert history_of(site) == {"first": "succeeded", "second": "succeeded"}
    with connect(site) as session:
        assert session.execute("SELECT status FROM admin.backup_restore").fetchall() == [("succeeded",)]


def everything_in(site: Server) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The history, restores and verifications included, as far as a bucket can tell."""
    with connect(site) as session:
        backups = session.execute(
            "SELECT id, filename, status, checksum, table_snapshot, verified_at IS NOT NULL FROM admin.backup_history ORDER BY id"
        ).fetchall()
        runs = session.execute(
            "SELECT id, backup_id, purpose, verdict, status, source_key, finished_at FROM admin.backup_restore ORDER BY id"
        ).fetchall()
    return list(backups), list(runs)


@pytest.fixture
def lived_in(site: Server, on_site: Callable[..., Done], admin: Server) -> str:
    """The site after backups, a verification and a rehearsal; the filename of its first backup."""
    assert on_site("db_backup", "first").code == 0
    first: str = json.loads(on_site("db_list", "--json").out)["backups"][0]["filename"]
    assert on_site("db_verify", first).code == 0
    rehearsal = f"{site.database}_rehearsal"
    assert on_site("db_restore", first, "--target-dbname", rehearsal).code == 0
    drop_database(replace(admin, database=rehearsal))
    assert on_site("db_backup", "second").code == 0
    return first


def test_the_server_is_gone_and_the_history_is_complete_again_from_the_bucket_alone(
    site: Server, on_site: Callable[..., Done], lived_in: str
) -> None:
    before = everything_in(site)
    drop_database(site)
    restored = on_site("db_restore", "latest")
    assert restored.code == 0, restored.err
    assert on_site("db_sync").code == 0

    backups, runs = everything_in(site)
    own = [run for run in runs if run not in before[1]]
    assert (backups, len(own)) == (before[0], 1)
    assert [run for run in runs if run in before[1]] == before[1]


def test_an_empty_history_is_filled_before_anything_is_restored(
    site: Server, on_site: Callable[..., Done], lived_in: str
) -> None:
    before = everything_in(site)
    drop_database(site)
    with connect(replace(site, database="postgres")) as session:
        session.execute(f"CREATE DATABASE {site.database}".encode())
    assert on_site("migrate", "--verbosity=0").code == 0
    synced = on_site("db_sync")

    assert synced.code == 0, synced.err
    assert everything_in(site) == before
    assert on_site("db_restore", "latest", "--yes", site.database).code == 0
    backups, runs = everything_in(site)
    proven = [(*row[:-1], True) for row in before[0]]  # the latest by this restore, the first by its verification
    assert (backups, len(runs)) == (proven, len(before[1]) + 1)


@pytest.fixture
def page(site: Server, on_site: Callable[..., Done], environment: Callable[..., dict[str, str]]) -> Iterator[Callable[[], int]]:
    """Serves the site; a call asks for a page that needs the database, and returns the status (0 while nobody answers)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "uvicorn", "ichrisbirch_site.asgi:application", "--port", str(port), "--log-level", "warning"]
    env = {**environment(), "DATABASE_URL": url_of(site)}
    server = subprocess.Popen([sys.executable, *words], cwd=PROJECT, env=env, stdin=subprocess.DEVNULL)
    request = Request(f"http://127.0.0.1:{port}/admin/login/", headers={"Cookie": f"sessionid={'x' * 32}"})

    def ask() -> int:
        try:
            with urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code
        except OSError:
            return 0

    try:
        until(lambda: ask() == 200)
        yield ask
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_the_sites_own_database_is_restored_while_it_serves_pages(
    site: Server, on_site: Callable[..., Done], page: Callable[[], int]
) -> None:
    assert on_site("db_backup", "first").code == 0
    first = json.loads(on_site("db_list", "--json").out)["backups"][0]["filename"]
    assert on_site("db_backup", "made after the backup").code == 0
    with ThreadPoolExecutor(1) as pool:
        restoring = pool.submit(on_site, "db_restore", first, "--yes", site.database)
        seen = []
        while not restoring.done():
            seen.append(page())
        done = restoring.result()

    assert done.code == 0, done.err
    assert page() == 200
    assert seen.count(200) > 0.9 * len(seen)  # at most the moment of the swap
    assert history_of(site) == {"first": "succeeded", "made after the backup": "succeeded"}
