"""What is in no backup: told with what to do, and told truly."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connections
from psycopg import sql
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.coverage import Finding, Level, coverage
from backups.models import BackupHistory
from backups.restore import DatabaseRestore
from backups.storage import keys
from backups.types import Server
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import connect, drop_database, new_database, s3_client, server_of
from tests.integration.conftest import Run

pytestmark = pytest.mark.usefixtures("history")


def found(topic: str, *, about: str = "") -> list[Finding]:
    return [one for one in coverage().findings if one.topic == topic and about in one.text]


def one(topic: str, *, about: str = "") -> Finding:
    (finding,) = found(topic, about=about)
    return finding


@pytest.fixture
def poor(source: Server, admin: Server) -> Iterator[Server]:
    """`source`, entered by a role that may do nothing but connect."""
    role = f"r_{source.database}"
    with connect(admin) as session:
        session.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(role)))
    connections.databases["source"] |= {"USER": role, "PASSWORD": "x"}
    yield replace(source, user=role, password="x")
    with connect(admin) as session:
        session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


# Databases.


def test_a_database_with_an_alias_and_no_backup_is_told_with_the_command(source: Server, bucket: str) -> None:
    finding = one("no-backup", about=source.database)
    assert (finding.level, finding.hint) == (Level.ACT, "icb db backup first --database source")


def test_a_database_with_a_backup_is_fine(source: Server, backup: BackupHistory) -> None:
    assert not found("no-backup", about=source.database)
    finding = one("backup", about=source.database)
    assert (finding.level, finding.detail) == (Level.FINE, backup.filename)


def test_a_backup_that_only_the_bucket_knows_counts(source: Server, backup: BackupHistory) -> None:
    BackupHistory.objects.all().delete()
    assert one("backup", about=source.database).detail == backup.filename


def test_a_backup_of_another_environment_does_not_count(
    source: Server, backup: BackupHistory, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ENVIRONMENT": "production"}
    assert found("no-backup", about=source.database)


def test_databases_without_an_alias_are_told_with_the_line_that_adds_them(
    source: Server, bucket: str, make_database: Callable[..., Server]
) -> None:
    stranger = make_database(f"o'clock {source.database}")
    finding = one("other-databases")
    line = f"DATABASE_URL_O_CLOCK_{source.database.upper()}=postgres:///o%27clock%20{source.database}"
    names = [told.rpartition(", ")[0] for told in finding.detail.split("\n")]
    assert finding.level == Level.ACT
    if "more" not in finding.detail:  # other tests have databases on this server, too
        assert stranger.database in names
        assert line in finding.hint
    assert source.database not in names
    assert "template1" not in names


def test_the_line_that_adds_a_database_leads_to_that_database(source: Server) -> None:
    from backups.coverage.nouns import Site
    from backups.coverage.of_server import _variables
    from backups.postgres.uncovered import Neighbour
    from ichrisbirch_site.databases import from_environment
    from ichrisbirch_site.environment import Environment

    strange = 'a b/c%"d'
    (line,) = _variables(
        [Neighbour(name=strange, size_bytes=1, is_ours=False)], [Site(alias="source", server=source, newest=None)]
    )
    name, _equals, value = line.partition("=")
    env = Environment()
    env.ENVIRON = {"DATABASE_URL": "postgres://u@h:5432/site", name: value.replace("USER:PASSWORD@", "u@")}
    (alias,) = set(from_environment(env)) - {"default"}
    assert from_environment(env)[alias]["NAME"] == strange


def test_a_database_that_can_not_be_reached_is_a_finding_and_the_others_are_looked_at(
    source: Server, bucket: str, register_alias: Callable[[str, Server], None], run: Run
) -> None:
    register_alias("lost", replace(source, port=1))
    done = run("db_coverage")
    assert done.code == 0, done.err
    assert "could not be looked at" in done.out
    assert f"{source.database} has no backup" in done.out


# Rows that are a matter of their own. What is claimed of the dump is tried.


def test_rows_of_unlogged_tables_and_large_objects_are_in_the_backup_as_it_is_said(
    source: Server, bucket: str, fresh_target: Server
) -> None:
    with connect(source) as session:
        session.execute("CREATE UNLOGGED TABLE quick AS SELECT generate_series(1, 7) AS n")
        session.execute("SELECT lo_from_bytea(4711, 'large'); GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC")
    assert one("unlogged", about=source.database).level == Level.FINE
    assert "1 large object with data, owners and permissions" in one("large-objects", about=source.database).text

    row = DatabaseBackup(description="unlogged", database="source").run()
    DatabaseRestore(filename=row.filename, target=fresh_target).run()
    with connect(fresh_target) as session:
        assert session.execute("SELECT count(*) FROM quick").fetchone() == (7,)
        assert session.execute("SELECT relpersistence FROM pg_class WHERE relname = 'quick'").fetchone() == ("u",)
        assert session.execute("SELECT lo_get(4711)").fetchone() == (b"large",)
        acl = session.execute("SELECT lomacl::text FROM pg_largeobject_metadata").fetchone()
        assert "=r/" in str(acl)


def test_of_foreign_tables_only_the_definition_is_in_the_backup_as_it_is_said(
    source: Server, bucket: str, fresh_target: Server
) -> None:
    with connect(source) as session:
        session.execute("CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing")
        session.execute(
            "CREATE FOREIGN TABLE away (a int) SERVER far; CREATE MATERIALIZED VIEW summed AS SELECT count(*) FROM event"
        )
    finding = one("foreign", about=source.database)
    assert (finding.level, finding.detail) == (Level.KNOW, "public.away on far")
    assert one("materialized", about=source.database).detail == "public.summed"

    row = DatabaseBackup(description="foreign", database="source").run()
    DatabaseRestore(filename=row.filename, target=fresh_target).run()
    with connect(fresh_target) as session:
        assert session.execute("SELECT relkind FROM pg_class WHERE relname = 'away'").fetchone() == ("f",)
        assert session.execute("TABLE summed").fetchone() == (5000,)


def test_the_databases_own_settings_do_not_come_back_on_a_new_server_as_it_is_said(
    source: Server, bucket: str, fresh_target: Server
) -> None:
    with connect(source) as session:
        session.execute(sql.SQL("ALTER DATABASE {} SET work_mem = '9MB'").format(sql.Identifier(source.database)))
    assert one("settings", about=source.database).detail == "work_mem=9MB"

    row = DatabaseBackup(description="settings", database="source").run()
    DatabaseRestore(filename=row.filename, target=fresh_target).run()
    with connect(fresh_target) as session:
        assert session.execute("SHOW work_mem").fetchone() != ("9MB",)


def test_subscriptions_are_told(source: Server, bucket: str) -> None:
    with connect(source) as session:
        session.execute(
            "CREATE SUBSCRIPTION feed CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)"
        )
        try:
            finding = one("subscriptions", about=source.database)
            assert (finding.level, finding.detail) == (Level.KNOW, "feed")
            assert "in the backup" in finding.text
        finally:
            session.execute("DROP SUBSCRIPTION feed")


def test_temporary_tables_of_sessions_are_no_loss(source: Server, bucket: str) -> None:
    with connect(source) as session:
        session.execute("CREATE TEMPORARY TABLE passing (a int)")
        assert one("temporary", about=source.database).level == Level.FINE


def test_a_database_with_nothing_special_has_nothing_to_know(source: Server, backup: BackupHistory) -> None:
    about = [finding for finding in coverage().findings if finding.text.startswith(source.database)]
    assert [(finding.topic, finding.level) for finding in about] == [("backup", Level.FINE)]


# Roles.


def test_roles_that_are_in_no_backup_are_told_with_the_command(
    source: Server, backup: BackupHistory, backups_settings: Settings, bucket: str
) -> None:
    s3_client(backups_settings).delete_object(Bucket=bucket, Key=keys.globals_key(backup.s3_key))
    finding = one("roles")
    assert finding.level == Level.ACT
    address = f"--host {source.host} --port {source.port} --username {source.user}"
    assert finding.hint == f"pg_dumpall {address} --globals-only > globals.sql"
    assert source.password not in f"{finding}"


def test_roles_beside_the_newest_backup_are_seen_and_their_passwords_are_to_know(
    source: Server, backup: BackupHistory, bucket: str
) -> None:
    finding = one("roles")
    assert (finding.level, finding.detail) == (Level.KNOW, f"s3://{bucket}/{backup.s3_key}.globals.sql")
    assert f"icb db contents {backup.filename} --globals" in finding.hint


def test_roles_that_somebody_has_changed_beside_the_backup_are_not_believed(
    source: Server, backup: BackupHistory, backups_settings: Settings, bucket: str
) -> None:
    s3_client(backups_settings).put_object(Bucket=bucket, Key=keys.globals_key(backup.s3_key), Body=b"DROP ROLE a;")
    assert one("roles").level == Level.ACT


# What a role with few rights sees.


def test_a_role_that_may_only_connect_gets_an_answer_and_the_grants_it_lacks(
    poor: Server, bucket: str, admin: Server, run: Run
) -> None:
    with connect(replace(admin, database=poor.database)) as session:
        session.execute("SELECT lo_from_bytea(0, 'large'); CREATE UNLOGGED TABLE shop.quick (a int)")
    done = run("db_coverage", "--json")
    assert done.code == 0, done.err
    told = {(one["topic"], one["level"]): one for one in json.loads(done.out)["findings"] if poor.database in one["text"]}
    assert f'GRANT USAGE ON SCHEMA "shop" TO "{poor.user}"' in told["unreadable", "act"]["detail"]
    assert "our role can't read 1 of 1 large object" in told["large-objects", "act"]["text"]
    assert told["unlogged", "fine"]["detail"] == "shop.quick"
    assert ("hidden", "know this") not in told


def test_only_what_is_read_is_done_to_the_server(poor: Server, bucket: str, admin: Server, run: Run) -> None:
    with connect(admin) as session:
        session.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(sql.Identifier(poor.user)))
    done = run("db_coverage")
    assert done.code == 0, done.err
    assert "could not be looked at" not in done.out


def test_an_older_server_can_be_asked_too(postgres15: PostgreSQL, register_alias: Callable[..., None], bucket: str) -> None:
    server = new_database(server_of(postgres15))
    try:
        register_alias("old", server)
        with connect(server) as session:
            session.execute("CREATE UNLOGGED TABLE quick (a int)")
            session.execute("SELECT pg_create_physical_replication_slot('waiting')")
        assert one("unlogged", about=server.database).detail == "public.quick"
        assert one("slots").detail == "waiting, physical"
        assert not found("hidden")
    finally:
        with connect(server) as session:
            session.execute("SELECT pg_drop_replication_slot('waiting')")
        drop_database(server)


# Files.


def test_uploaded_files_are_counted_and_a_copy_is_advised(backups_settings: Settings, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "media" / "deep").mkdir(parents=True)
    (tmp_path / "media" / "a").write_bytes(bytes(1000))
    (tmp_path / "media" / "deep" / "b").write_bytes(bytes(24))
    backups_settings.MEDIA_ROOT = str(tmp_path / "media")
    finding = one("media")
    assert (finding.level, finding.text) == (Level.ACT, "Uploaded files are in no backup: 1.0 KiB in 2 files.")
    assert f"tar -czf media.tar.gz -C {tmp_path / 'media'} ." in finding.hint


@pytest.mark.parametrize("there", [True, False])
def test_no_uploaded_files_are_no_loss(there: bool, backups_settings: Settings, bucket: str, tmp_path: Path) -> None:
    if there:
        (tmp_path / "media").mkdir()
    backups_settings.MEDIA_ROOT = str(tmp_path / "media")
    assert one("media").level == Level.FINE


def test_without_a_folder_for_uploads_the_folder_of_the_process_is_not_counted(backups_settings: Settings, bucket: str) -> None:
    backups_settings.MEDIA_ROOT = ""
    assert one("media").text == "The site has no folder for uploaded files: MEDIA_ROOT is not set."


# As people and machines read it.


def test_what_to_act_on_comes_first_and_the_exit_code_is_0(source: Server, bucket: str, run: Run) -> None:
    done = run("db_coverage")
    assert (done.code, done.err) == (0, "")
    marks = [line[:5].strip() for line in done.out.splitlines()[2:] if line[:1].strip() and "Nothing was changed" not in line]
    order = ("ACT", "KNOW", "OK")
    assert marks == sorted(marks, key=order.index)
    assert "     > icb db backup first --database source" in done.out


def test_a_bucket_that_is_away_is_a_finding(source: Server, use_bucket: Callable[..., str], run: Run) -> None:
    use_bucket(make=False)
    done = run("db_coverage", "--json")
    assert done.code == 0, done.err
    assert "unasked" in [one["topic"] for one in json.loads(done.out)["findings"] if one["level"] == "act"]
