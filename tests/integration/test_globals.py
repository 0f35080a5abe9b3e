"""The roles and tablespaces of the cluster come beside each backup, so that a new server can be made ready."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from backups.models import BackupHistory
from backups.types import Server
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import PlaceProgram, connect, s3_client, server_of
from tests.integration.conftest import Run

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def role(admin: Server) -> str:
    """A role of the server, with a password."""
    name = f"keeper_{uuid4().hex[:8]}"
    with connect(admin) as session:
        session.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'nobody should see this'".encode())
    return name


@pytest.fixture(autouse=True)
def _no_role_stays(admin: Server, role: str) -> object:
    yield
    with connect(admin) as session:
        session.execute(f"DROP ROLE {role}".encode())


def test_roles_are_printed_from_the_bucket_without_their_passwords(run: Run, source: Server, bucket: str, role: str) -> None:
    assert run("db_backup", "with roles", "--database", "source").code == 0
    done = run("db_contents", "latest", "--database", "source", "--globals")

    assert done.code == 0, done.err
    assert f"CREATE ROLE {role};" in done.out
    assert "nobody should see this" not in done.out
    assert "SCRAM" not in done.out


def test_they_make_the_roles_on_another_server(run: Run, source: Server, bucket: str, role: str, postgres15: PostgreSQL) -> None:
    assert run("db_backup", "with roles", "--database", "source").code == 0
    sql = run("db_contents", "latest", "--database", "source", "--globals").out
    wanted = [line for line in sql.splitlines() if role in line]
    with connect(server_of(postgres15)) as session:
        for statement in wanted:
            session.execute(statement.encode())
        assert session.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [role]).fetchone() == (True,)
        session.execute(f"DROP ROLE {role}".encode())


def test_other_bytes_than_the_manifest_tells_are_refused(run: Run, backup: BackupHistory, backups_settings: Settings) -> None:
    client, key = s3_client(backups_settings), f"{backup.s3_key}.globals.sql"
    body = client.get_object(Bucket=backup.bucket, Key=key)["Body"].read()
    client.put_object(Bucket=backup.bucket, Key=key, Body=body.replace(b"ROLE", b"RULE"))

    done = run("db_contents", backup.filename, "--globals")
    assert (done.code, done.out) == (1, "")
    assert "are not the ones that were written" in done.err
    assert run("db_verify", backup.filename, "--level", "stored").code == 1


def test_a_backup_without_them_is_a_backup_and_says_so(
    run: Run, source: Server, bucket: str, place_program: PlaceProgram, backups_settings: Settings
) -> None:
    place_program('exec "$real" "$@"')  # a pg_dump with no pg_dumpall beside it
    done = run("db_backup", "without", "--database", "source")

    assert done.code == 0, done.err
    row = BackupHistory.objects.get()
    assert "Roles and tablespaces are not in this backup." in row.warnings[0]
    assert "Roles and tablespaces are not in this backup." in done.out
    assert run("db_contents", "latest", "--database", "source", "--globals").code == 1


def test_the_plan_leads_to_them_where_roles_are_missing(
    run: Run, source: Server, bucket: str, role: str, admin: Server, fresh_target: Server, make_database: Callable[..., Server]
) -> None:
    with connect(source) as session:
        session.execute(f"ALTER TABLE event OWNER TO {role}".encode())
    assert run("db_backup", "owned", "--database", "source").code == 0
    filename = BackupHistory.objects.get().filename
    with connect(source) as session:
        session.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER; ALTER ROLE {role} RENAME TO {role}_away".encode())
    done = run("db_restore", "latest", "--database", "source", "--target-dbname", fresh_target.database, "--dry-run")
    with connect(source) as session:
        session.execute(f"ALTER ROLE {role}_away RENAME TO {role}".encode())
    assert f"icb db contents {filename} --globals" in done.out
