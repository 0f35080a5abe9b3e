"""What can go wrong on the way back: the target is as it was, the error says why, and nothing is left."""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django.fixtures import Settings

from backups import catalog
from backups.backup import DatabaseBackup
from backups.exceptions import (
    BackupNotFoundError,
    BackupsError,
    ChecksumError,
    ComparisonError,
    LoadError,
    ManifestError,
    RefusedError,
    StorageError,
    UsageError,
)
from backups.models import BackupHistory, BackupRestore
from backups.plan import Choices
from backups.postgres import databases
from backups.postgres.target import examine
from backups.reaping import scratch_folder, settle_lost_restores
from backups.restore import DatabaseRestore
from backups.signed import key_id
from backups.types import Server
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import Gate, PlaceProgram, connect, drop_database, new_database, s3_client, server_of, until
from tests.faults.conftest import Worker

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def backup(source: Server, bucket: str) -> BackupHistory:
    """A whole backup of `source`."""
    return DatabaseBackup(description="good", database="source").run()


@pytest.fixture
def scratch(tmp_path: Path, backups_settings: Settings) -> Path:
    """Where archives are kept while they are loaded."""
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "SCRATCH_FOLDER": tmp_path / "scratch"}
    return tmp_path / "scratch"


@pytest.fixture
def loading_gate(tmp_path: Path, place_program: PlaceProgram) -> Gate:
    """A pg_restore that waits for the test, and then is the real one."""
    made = Gate(tmp_path)
    place_program(made.script + 'exec "$real" "$@"', name="pg_restore")
    return made


def databases_like(admin: Server, target: Server) -> list[str]:
    """The target and its staging databases, as far as they are there."""
    with connect(admin) as session:
        rows = session.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [target.database])
        return sorted(str(name) for (name,) in rows)


def assert_nothing_left(admin: Server, target: Server, scratch: Path) -> None:
    assert databases_like(admin, target) == []
    assert not scratch.exists() or list(scratch.iterdir()) == []
    until(lambda: sessions_to(admin, target) == 0)


def sessions_to(admin: Server, target: Server) -> int:
    with connect(admin) as session:
        query = "SELECT count(*) FROM pg_stat_activity WHERE starts_with(datname, %s)"
        (count,) = session.execute(query, [target.database]).fetchone() or (0,)
    return int(str(count))


def fails(error: type[BackupsError], backup: BackupHistory, target: Server) -> tuple[BackupRestore, BackupsError]:
    """A restore that must fail so; its row, and the error."""
    with pytest.raises(error) as caught:
        DatabaseRestore(filename=backup.filename, target=target).run()
    row = BackupRestore.objects.get()
    assert (row.status, row.error_message) == ("failed", str(caught.value))
    return row, caught.value


# Refused before anything is touched


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TABLE precious (id int)", "table public.precious"),
        ("CREATE SCHEMA precious", "schema precious"),
        ("CREATE FUNCTION precious() RETURNS int LANGUAGE sql AS 'SELECT 1'", "function public.precious"),
        ("CREATE TYPE precious AS ENUM ('a')", "type public.precious"),
        ("CREATE EXTENSION hstore", "extension hstore"),
        ("SELECT lo_create(4711)", "large object 4711"),
    ],
)
def test_a_target_that_has_anything_in_it_is_refused_with_exit_code_3_and_stays_as_it_is(
    statement: str, named: str, backup: BackupHistory, make_database: Callable[..., Server], admin: Server
) -> None:
    target = make_database()
    with connect(target) as session:
        session.execute(statement.encode())

    with pytest.raises(CommandError, match="is not empty, and its name was not given") as caught:
        call_command("db_restore", backup.filename, "--target-dbname", target.database, stderr=StringIO())

    assert caught.value.returncode == 3
    assert named in str(caught.value)
    assert not BackupRestore.objects.exists()
    assert databases_like(admin, target) == [target.database]
    with connect(target) as session:
        assert session.execute("SELECT to_regclass('event')").fetchone() == (None,)


def test_the_source_is_refused_as_a_target_without_its_name(backup: BackupHistory, source: Server) -> None:
    with pytest.raises(RefusedError, match="is not empty"):
        DatabaseRestore(filename=backup.filename, target=source).run()


def test_a_backup_of_another_project_never_takes_the_place_of_the_sites_own_database(
    backup: BackupHistory, admin: Server
) -> None:
    site = replace(admin, database=str(connection.settings_dict["NAME"]))
    with pytest.raises(RefusedError, match="the site's own database, and the backup has nothing of this site"):
        DatabaseRestore(filename=backup.filename, target=site, confirm=site.database).run()


def test_an_older_target_server_is_refused(backup: BackupHistory, postgres15: PostgreSQL) -> None:
    target = replace(server_of(postgres15), database=f"t_{uuid4().hex[:12]}")
    with pytest.raises(RefusedError, match=r"comes from PostgreSQL 17\.\d+; the target's 15\..* is older"):
        DatabaseRestore(filename=backup.filename, target=target).run()
    assert databases_like(server_of(postgres15), target) == []


@pytest.fixture
def backup_with_a_role(
    postgres15: PostgreSQL, register_alias: Callable[[str, Server], None], bucket: str
) -> Iterator[tuple[BackupHistory, str]]:
    """A backup whose tables belong to a role that only the other server has; and the role."""
    server, role = new_database(server_of(postgres15)), f"r_{uuid4().hex[:12]}"
    with connect(server) as session:
        session.execute(f"CREATE ROLE {role}; CREATE TABLE owned (id int); ALTER TABLE owned OWNER TO {role}".encode())
        session.execute(f"CREATE TABLE granted (id int); GRANT SELECT ON granted TO {role}".encode())
    register_alias("old", server)
    yield DatabaseBackup(description="roles", database="old").run(), role
    drop_database(server)
    with connect(server_of(postgres15)) as session:
        session.execute(f"DROP ROLE {role}".encode())


def test_a_missing_role_is_named_before_anything_changes_and_no_owner_does_without_it(
    backup_with_a_role: tuple[BackupHistory, str], admin: Server, fresh_target: Server
) -> None:
    made, role = backup_with_a_role
    with pytest.raises(RefusedError, match=f"has no role {role}") as caught:
        DatabaseRestore(filename=made.filename, target=fresh_target).run()
    assert "--no-owner --no-privileges" in caught.value.hint
    assert databases_like(admin, fresh_target) == []

    without = Choices(keep_owners=False, keep_privileges=False)
    assert DatabaseRestore(filename=made.filename, target=fresh_target, choices=without).run().status == "succeeded"


def test_a_damaged_object_is_refused_before_the_target_is_touched(
    backup: BackupHistory, admin: Server, fresh_target: Server, backups_settings: Settings, bucket: str, scratch: Path
) -> None:
    client = s3_client(backups_settings)
    body = bytearray(client.get_object(Bucket=bucket, Key=backup.s3_key)["Body"].read())
    body[len(body) // 2] ^= 4
    client.put_object(Bucket=bucket, Key=backup.s3_key, Body=bytes(body))

    _row, error = fails(ChecksumError, backup, fresh_target)

    assert "Nothing was restored from them" in error.message
    assert backup.checksum in error.detail
    assert_nothing_left(admin, fresh_target, scratch)


def test_another_backup_of_the_same_size_in_its_place_is_refused_before_the_target_is_touched(
    backup: BackupHistory,
    source: Server,
    admin: Server,
    fresh_target: Server,
    backups_settings: Settings,
    bucket: str,
    scratch: Path,
) -> None:
    client = s3_client(backups_settings)
    with connect(source) as session:  # two dumps of the same second would be the same bytes
        session.execute("INSERT INTO event VALUES (0, 'other')")
    other = DatabaseBackup(description="other", database="source").run()
    assert backup.size_bytes is not None
    body = client.get_object(Bucket=bucket, Key=other.s3_key)["Body"].read()[: backup.size_bytes]
    client.put_object(Bucket=bucket, Key=backup.s3_key, Body=body.ljust(backup.size_bytes, b"\0"))

    _row, error = fails(ChecksumError, backup, fresh_target)

    assert "are not the ones that were backed up" in error.message
    assert_nothing_left(admin, fresh_target, scratch)


@pytest.mark.parametrize("change", ["half of it", "one byte more"])
def test_an_object_of_another_size_is_refused_without_reading_it(
    change: str,
    backup: BackupHistory,
    admin: Server,
    fresh_target: Server,
    backups_settings: Settings,
    bucket: str,
    scratch: Path,
) -> None:
    client = s3_client(backups_settings)
    body = client.get_object(Bucket=bucket, Key=backup.s3_key)["Body"].read()
    body = body[: len(body) // 2] if change == "half of it" else body + b"\0"
    client.put_object(Bucket=bucket, Key=backup.s3_key, Body=body)

    with pytest.raises(ChecksumError, match="has not the size"):
        DatabaseRestore(filename=backup.filename, target=fresh_target).run()
    assert_nothing_left(admin, fresh_target, scratch)


@pytest.mark.parametrize("field", ["checksum_sha256", "tables", "database", "key"])
def test_an_edited_manifest_is_refused_before_the_target_is_touched(
    field: str, backup: BackupHistory, admin: Server, fresh_target: Server, backups_settings: Settings, bucket: str
) -> None:
    client, key = s3_client(backups_settings), backup.s3_key + ".json"
    document = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    document["backup"][field] = [] if field == "tables" else "0" * 64
    client.put_object(Bucket=bucket, Key=key, Body=json.dumps(document).encode())

    with pytest.raises(ManifestError, match="signature does not match"):
        DatabaseRestore(filename=backup.filename, target=fresh_target).run()
    assert databases_like(admin, fresh_target) == []


def test_another_backup_in_its_place_is_refused_with_its_manifest_too(
    backup: BackupHistory, admin: Server, fresh_target: Server, backups_settings: Settings, bucket: str
) -> None:
    client = s3_client(backups_settings)
    other = DatabaseBackup(description="other", database="source").run()
    for suffix in ("", ".json"):
        client.copy_object(Bucket=bucket, Key=backup.s3_key + suffix, CopySource=f"{bucket}/{other.s3_key}{suffix}")

    with pytest.raises(ManifestError, match="belongs to another backup"):
        DatabaseRestore(filename=backup.filename, target=fresh_target).run()
    assert databases_like(admin, fresh_target) == []


def test_a_backup_whose_manifest_was_deleted_is_refused(
    backup: BackupHistory, admin: Server, fresh_target: Server, backups_settings: Settings, bucket: str
) -> None:
    s3_client(backups_settings).delete_object(Bucket=bucket, Key=f"{backup.s3_key}.json")
    with pytest.raises(BackupNotFoundError, match="has no manifest"):
        DatabaseRestore(filename=backup.filename, target=fresh_target).run()
    assert databases_like(admin, fresh_target) == []


# A rotated key

KEY_OF_THIS_YEAR = "the key of this year, of 32 characters"


def test_after_the_key_was_rotated_old_backups_still_open_and_new_ones_are_signed_with_the_new_key(
    backup: BackupHistory, fresh_target: Server, backups_settings: Settings
) -> None:
    ours = backups_settings.BACKUPS
    rotated = {"SIGNING_KEY": KEY_OF_THIS_YEAR, "SIGNING_KEY_FALLBACKS": [ours["SIGNING_KEY"]]}
    backups_settings.BACKUPS = {**ours, **rotated}

    assert DatabaseRestore(filename=backup.filename, target=fresh_target).run().status == "succeeded"

    new = DatabaseBackup(description="new", database="source").run()
    backups_settings.BACKUPS = {**ours, "SIGNING_KEY": KEY_OF_THIS_YEAR}
    assert catalog.find(new.filename, environment="testing", database="").manifest.id == new.id


def test_without_the_old_key_an_old_backup_is_refused_and_both_keys_are_named(
    backup: BackupHistory, admin: Server, fresh_target: Server, backups_settings: Settings
) -> None:
    old = backups_settings.BACKUPS["SIGNING_KEY"].encode()
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "SIGNING_KEY": KEY_OF_THIS_YEAR}
    with pytest.raises(ManifestError) as refused:
        DatabaseRestore(filename=backup.filename, target=fresh_target).run()
    assert all(key_id(key) in refused.value.message for key in (old, KEY_OF_THIS_YEAR.encode()))
    assert "BACKUPS_SIGNING_KEY_FALLBACKS" in refused.value.hint
    assert databases_like(admin, fresh_target) == []


# Failing half way


def test_a_pg_restore_that_fails_leaves_no_database_behind(
    backup: BackupHistory, admin: Server, fresh_target: Server, place_program: PlaceProgram, scratch: Path
) -> None:
    place_program('"$real" "$@"; echo "pg_restore: error: the disk is full" >&2; exit 1', name="pg_restore")

    row, error = fails(LoadError, backup, fresh_target)

    assert "exit code 1" in error.message
    assert "the disk is full" in row.error_message
    assert_nothing_left(admin, fresh_target, scratch)


def test_a_killed_pg_restore_leaves_no_database_behind(
    backup: BackupHistory, admin: Server, fresh_target: Server, place_program: PlaceProgram, scratch: Path
) -> None:
    place_program('"$real" "$@" & sleep 0.1; kill -9 $$', name="pg_restore")

    _row, error = fails(LoadError, backup, fresh_target)

    assert "SIGKILL" in error.message
    assert_nothing_left(admin, fresh_target, scratch)


def test_an_empty_target_is_still_empty_when_the_archive_does_not_load(
    source: Server, bucket: str, make_database: Callable[..., Server], admin: Server
) -> None:
    with connect(source) as session:
        body = f"SELECT current_database() = '{source.database}'"  # and nowhere else
        session.execute(f"CREATE FUNCTION here() RETURNS bool LANGUAGE sql AS $$ {body} $$".encode())
        session.execute("CREATE TABLE a_first (secret text CHECK (here())); INSERT INTO a_first VALUES ('DE44 5001')")
    backup = DatabaseBackup(description="does not load", database="source").run()
    target = make_database()

    row, error = fails(LoadError, backup, target)

    assert "a_first" in error.detail
    assert "DE44" not in row.error_message
    assert databases_like(admin, target) == [target.database]
    assert examine(target).is_empty


def test_a_pg_restore_that_loads_too_little_is_found_out_by_the_comparison(
    backup: BackupHistory, admin: Server, fresh_target: Server, place_program: PlaceProgram, scratch: Path
) -> None:
    place_program('exec "$real" --schema-only "$@"', name="pg_restore")

    row, error = fails(ComparisonError, backup, fresh_target)

    assert "public.event has 0 rows; the backup has 5000" in error.detail
    assert not row.comparison_report["equal"]
    assert_nothing_left(admin, fresh_target, scratch)


def test_a_target_that_somebody_else_made_in_the_meantime_stays_his(
    backup: BackupHistory,
    admin: Server,
    fresh_target: Server,
    loading_gate: Gate,
    meanwhile: Callable[..., object],
) -> None:
    def make_it() -> None:
        loading_gate.wait()
        new_database(admin, fresh_target.database)
        with connect(fresh_target) as session:
            session.execute("CREATE TABLE his (id int)")
        loading_gate.open()

    meanwhile(make_it)
    _row, error = fails(BackupsError, backup, fresh_target)
    assert "is another server or database now than when the plan was made" in error.message
    assert databases_like(admin, fresh_target) == [fresh_target.database]
    with connect(fresh_target) as session:
        assert session.execute("SELECT to_regclass('his')::text").fetchone() == ("his",)


# Killed, and cancelled


def restore_command(backup: BackupHistory, target: Server) -> list[str]:
    return ["db_restore", backup.filename, "--target-dbname", target.database]


def test_after_kill_9_there_is_no_target_and_the_next_restore_tidies_up(
    backup: BackupHistory,
    admin: Server,
    fresh_target: Server,
    loading_gate: Gate,
    scratch: Path,
    start_worker: Callable[..., Worker],
) -> None:
    worker = start_worker(*restore_command(backup, fresh_target))
    loading_gate.wait()
    lost = BackupRestore.objects.get()
    assert len(databases_like(admin, fresh_target)) == 1
    worker.kill()
    assert fresh_target.database not in databases_like(admin, fresh_target)
    until(lambda: databases_alive(admin) == set())
    loading_gate.open()

    DatabaseRestore(filename=backup.filename, target=fresh_target).run()

    lost.refresh_from_db()
    assert lost.status == "failed"
    assert "worker was lost" in lost.error_message
    assert databases_like(admin, fresh_target) == [fresh_target.database]
    assert list(scratch.iterdir()) == []


def lost_restore(admin: Server, **given: object) -> BackupRestore:
    """A row that says it is running, of a restore onto the test's server that left its staging database."""
    with connect(admin) as session:
        (cluster,) = session.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone() or ("",)
    like = {"target_host": admin.host, "target_port": admin.port, "target_system_identifier": cluster}
    given = {"target_database": f"t_{uuid4().hex[:12]}", "status": "running"} | like | given
    return BackupRestore.objects.create(**given)  # type: ignore[misc]


def settle(admin: Server, scratch: Path) -> list[BackupRestore]:
    own = BackupRestore.objects.create(target_host=admin.host, target_port=admin.port, target_database="own")
    with databases.restoring(admin, run_id=str(own.id)) as session:
        return settle_lost_restores(session, own, target=admin, scratch=scratch)


@pytest.fixture
def staging_of(admin: Server) -> Iterator[Callable[[BackupRestore], Server]]:
    """Makes the staging database of a restore."""
    made: list[Server] = []

    def make(run: BackupRestore) -> Server:
        made.append(new_database(admin, databases.staging_name(run.target_database, run_id=str(run.id))))
        return made[-1]

    yield make
    for server in made:
        drop_database(server)


def test_a_lost_restore_is_failed_and_its_staging_database_and_scratch_folder_are_removed(
    admin: Server, tmp_path: Path, staging_of: Callable[[BackupRestore], Server]
) -> None:
    lost = lost_restore(admin)
    staging_of(lost)
    scratch_folder(tmp_path, lost).mkdir()

    assert settle(admin, tmp_path) == [lost]

    lost.refresh_from_db()
    assert lost.status == "failed"
    assert "worker was lost" in lost.error_message
    assert databases_like(admin, replace(admin, database=lost.target_database)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_lost_restore_that_left_nothing_is_failed(admin: Server, tmp_path: Path) -> None:
    lost = lost_restore(admin)
    assert settle(admin, tmp_path) == [lost]
    lost.refresh_from_db()
    assert lost.status == "failed"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"target_system_identifier": "7000000000000000000"}, id="another cluster"),
        pytest.param({"target_system_identifier": ""}, id="a cluster that nobody knows"),
        pytest.param({"target_host": "db.example.org"}, id="another host"),
        pytest.param({"target_port": 1}, id="another port"),
    ],
)
def test_a_restore_to_the_same_address_on_another_machine_is_left_alone(
    given: dict[str, object], admin: Server, tmp_path: Path, staging_of: Callable[[BackupRestore], Server]
) -> None:
    """Two machines that share a history have a localhost each."""
    other = lost_restore(admin, **given)
    staging = staging_of(other)

    assert settle(admin, tmp_path) == []

    other.refresh_from_db()
    assert other.status == "running"
    assert databases_like(admin, staging) == [staging.database]


def test_a_staging_database_that_can_not_be_dropped_is_named_and_holds_nobody_up(
    admin: Server, tmp_path: Path, staging_of: Callable[[BackupRestore], Server]
) -> None:
    stuck, after = lost_restore(admin), lost_restore(admin)
    staging = staging_of(stuck)
    try:
        with connect(staging) as session:
            session.execute("CREATE SUBSCRIPTION s CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)")
        assert set(settle(admin, tmp_path)) == {stuck, after}
    finally:
        with connect(staging) as session:
            session.execute("ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s")
    stuck.refresh_from_db()
    after.refresh_from_db()
    assert (stuck.status, after.status) == ("failed", "failed")
    assert f"{staging.database} was left behind; drop it" in stuck.error_message


def databases_alive(admin: Server) -> set[str]:
    with connect(admin) as session:
        return databases.restores_alive(session)  # type: ignore[arg-type]


def test_a_restore_that_is_alive_is_left_alone_by_another_one(
    backup: BackupHistory,
    admin: Server,
    fresh_target: Server,
    loading_gate: Gate,
    scratch: Path,
    backups_settings: Settings,
    start_worker: Callable[..., Worker],
    make_database: Callable[..., Server],
) -> None:
    first = start_worker(*restore_command(backup, fresh_target))
    loading_gate.wait()
    folders = backups_settings.BACKUPS["CLIENT_FOLDERS"][1:]  # without the gate
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "CLIENT_FOLDERS": folders}

    assert DatabaseRestore(filename=backup.filename, target=make_database()).run().status == "succeeded"

    loading_gate.open()
    code, out, err = first.result()
    assert (code, err.count("Traceback")) == (0, 0)
    assert "every row count matches" in out
    assert set(BackupRestore.objects.values_list("status", flat=True)) == {"succeeded"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_a_restore_with_exit_code_130(
    number: signal.Signals,
    backup: BackupHistory,
    admin: Server,
    fresh_target: Server,
    loading_gate: Gate,
    scratch: Path,
    start_worker: Callable[..., Worker],
) -> None:
    worker = start_worker(*restore_command(backup, fresh_target))
    loading_gate.wait()

    worker.send(number)

    code, _out, err = worker.result()
    assert (code, "Traceback" in err) == (130, False)
    assert BackupRestore.objects.get().status == "cancelled"
    assert_nothing_left(admin, fresh_target, scratch)


# The scratch folder


def test_a_scratch_folder_that_can_not_be_made_is_said_before_anything_is_touched(
    backup: BackupHistory, admin: Server, fresh_target: Server, backups_settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "SCRATCH_FOLDER": tmp_path / "file" / "scratch"}
    with pytest.raises(StorageError, match="can't be made") as caught:
        DatabaseRestore(filename=backup.filename, target=fresh_target).run()
    assert "BACKUPS_SCRATCH_FOLDER" in caught.value.hint
    assert databases_like(admin, fresh_target) == []


def test_a_full_disk_under_the_scratch_folder_is_said_and_cleared(
    backup: BackupHistory, admin: Server, fresh_target: Server, scratch: Path, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker(*restore_command(backup, fresh_target))
    worker.let_files_have(bytes_=10_000)

    code, _out, err = worker.result()

    assert (code, "Traceback" in err) == (1, False)
    assert "can't be written to the scratch folder" in err
    assert BackupRestore.objects.get().status == "failed"
    assert_nothing_left(admin, fresh_target, scratch)


@pytest.mark.parametrize("name", ["postgres", "template0", "template1"])
def test_nothing_is_restored_into_a_database_of_the_server_itself(name: str, source: Server, bucket: str) -> None:
    with pytest.raises(RefusedError, match="belongs to the server itself"):
        DatabaseRestore(target=replace(source, database=name))


def test_a_name_that_postgresql_would_cut_is_refused(source: Server, bucket: str) -> None:
    with pytest.raises(UsageError, match="can't be the name"):
        DatabaseRestore(target=replace(source, database="y" * 64))


def test_a_database_with_a_publication_is_not_empty(source: Server, bucket: str, make_database: Callable[..., Server]) -> None:
    DatabaseBackup(description="publication", database="source").run()
    target = make_database()
    with connect(target) as session:
        session.execute("CREATE PUBLICATION everything FOR ALL TABLES")

    with pytest.raises(RefusedError, match="is not empty"):
        DatabaseRestore(target=target, database="source").run()


def test_a_role_that_may_not_create_databases_is_told_before_anything_is_downloaded(
    source: Server, bucket: str, fresh_target: Server
) -> None:
    DatabaseBackup(description="no createdb", database="source").run()
    role = f"r_{uuid4().hex[:12]}"
    with connect(source) as session:
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")  # type: ignore[call-overload]
    try:
        with pytest.raises(RefusedError, match="may not create a database"):
            DatabaseRestore(target=replace(fresh_target, user=role, password="p"), database="source").run()
    finally:
        with connect(source) as session:
            session.execute(f"DROP ROLE {role}")  # type: ignore[call-overload]
