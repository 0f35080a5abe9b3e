"""A role that is no superuser: it is told exactly what it lacks, and with that it makes whole backups."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from psycopg import sql
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.exceptions import LockTimeoutError, UnreadableError
from backups.models import BackupHistory
from backups.restore import DatabaseRestore
from backups.types import Server
from tests.conftest import SOURCE_ROWS, connect, keys_in

pytestmark = pytest.mark.usefixtures("history")

MakeRole = Callable[..., Server]


@pytest.fixture
def make_role(admin: Server, source: Server, register_alias: Callable[[str, Server], None]) -> Iterator[MakeRole]:
    """Makes an ordinary role and gives it the alias "ordinary"; it is dropped with what it was granted."""
    made: list[Server] = []

    def make(name: str = "") -> Server:
        server = replace(source, user=name or f"r_{uuid4().hex[:12]}", password=uuid4().hex)
        with connect(admin) as session:
            statement = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER PASSWORD {}")
            session.execute(statement.format(sql.Identifier(server.user), sql.Literal(server.password)))
        made.append(server)
        register_alias("ordinary", server)
        return server

    yield make
    for server in made:
        for place in (source, admin):
            with connect(place) as session:
                session.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(server.user)))
        with connect(admin) as session:
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(server.user)))


def refusal() -> UnreadableError:
    with pytest.raises(UnreadableError) as caught:
        DatabaseBackup(description="refused", database="ordinary").run()
    return caught.value


def grants(error: UnreadableError) -> list[str]:
    return error.detail.splitlines()


def test_all_that_is_lacking_is_named_before_the_dump_and_with_just_that_the_backup_is_whole(
    source: Server, bucket: str, backups_settings: Settings, make_role: MakeRole, fresh_target: Server
) -> None:
    with connect(source) as session:
        session.execute("CREATE SCHEMA closed; CREATE TABLE closed.box (id int); INSERT INTO closed.box VALUES (1)")
        session.execute("CREATE TABLE tenant (id int, owner text); INSERT INTO tenant VALUES (1, 'a'), (2, 'b')")
        session.execute("ALTER TABLE tenant ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON tenant USING (owner = current_user)")
        session.execute("CREATE TABLE part (id int) PARTITION BY LIST (id)")
        session.execute("CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1)")
        (large,) = session.execute("SELECT lo_from_bytea(0, 'large')").fetchone() or (0,)
    role = make_role().user

    error = refusal()

    # New names in `public` are open to everyone only before PostgreSQL 15; the schema itself is open still.
    assert grants(error) == [
        f'GRANT USAGE ON SCHEMA "closed" TO "{role}";',
        f'GRANT USAGE ON SCHEMA "shop" TO "{role}";',
        f'GRANT SELECT ON "closed"."box" TO "{role}";',
        f'GRANT SELECT ON "public"."event" TO "{role}";',
        f'GRANT SELECT ON "public"."part" TO "{role}";',
        f'GRANT SELECT ON "public"."part_1" TO "{role}";',
        f'GRANT SELECT ON "public"."tenant" TO "{role}";',
        f'GRANT SELECT ON "shop"."customer" TO "{role}";',
        f'GRANT SELECT ON SEQUENCE "shop"."customer_id_seq" TO "{role}";',
        f'GRANT SELECT ON "shop"."purchase" TO "{role}";',
        f'GRANT SELECT ON SEQUENCE "shop"."purchase_id_seq" TO "{role}";',
        f'GRANT SELECT ON LARGE OBJECT {large} TO "{role}";',
        f'ALTER ROLE "{role}" BYPASSRLS; -- row-level security hides rows of "public"."tenant"',
    ]
    assert keys_in(backups_settings, bucket) == []
    assert BackupHistory.objects.get().status == "failed"

    with connect(source) as session:
        for line in grants(error):
            session.execute(line.encode())
    row = DatabaseBackup(description="granted", database="ordinary").run()

    rows = {f"{t['schema']}.{t['table']}": t["rows"] for t in row.table_snapshot["tables"]}
    assert rows == SOURCE_ROWS | {"closed.box": 1, "public.tenant": 2, "public.part_1": 0}
    restored = DatabaseRestore(filename=row.filename, target=fresh_target).run()
    assert restored.comparison_report["equal"]
    with connect(fresh_target) as session:
        assert session.execute("SELECT lo_get(%s)", [large]).fetchone() == (b"large",)


def test_pg_read_all_data_is_enough_where_there_are_no_policies_and_no_large_objects(
    source: Server, bucket: str, admin: Server, make_role: MakeRole
) -> None:
    role = make_role().user
    with connect(admin) as session:
        session.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(role)))

    assert DatabaseBackup(description="read all", database="ordinary").run().table_snapshot["total"]["rows"] == 6200


def test_the_owner_of_everything_needs_no_superuser(source: Server, bucket: str, admin: Server, make_role: MakeRole) -> None:
    """His own policies do not hide rows from him, unless they are forced."""
    owner = make_role()
    with connect(admin) as session:
        session.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(source.database), sql.Identifier(owner.user))
        )
        session.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(owner.user)))
    with connect(owner) as session:
        session.execute("CREATE SCHEMA own; CREATE TABLE own.t (id int); INSERT INTO own.t VALUES (1)")
        session.execute("ALTER TABLE own.t ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON own.t USING (false)")

    assert DatabaseBackup(description="owner", database="ordinary").run().table_snapshot["total"]["rows"] == 6201

    with connect(owner) as session:
        session.execute("ALTER TABLE own.t FORCE ROW LEVEL SECURITY")
    assert 'hides rows of "own"."t"' in refusal().detail
    with connect(admin) as session:
        session.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(source.database), sql.Identifier(admin.user))
        )


def test_a_hostile_name_stays_within_its_statement(source: Server, bucket: str, make_role: MakeRole) -> None:
    """A superuser is going to paste what stands there."""
    evil = 'x\n; DROP TABLE event; --"\\'
    with connect(source) as session:
        session.execute(sql.SQL("CREATE TABLE {} (id int)").format(sql.Identifier(evil)))
        session.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(sql.Identifier(evil)))
    role = make_role('r\n"; --' + uuid4().hex[:8])

    lines = grants(refusal())
    assert len(lines) == 8
    with connect(source) as session:
        for line in lines:
            session.execute(line.encode())
    assert DatabaseBackup(description="granted", database="ordinary").run().database == role.database


def test_with_many_tables_the_first_are_named_and_how_to_open_all(source: Server, bucket: str, make_role: MakeRole) -> None:
    with connect(source) as session:
        session.execute("DO $$ BEGIN FOR n IN 1..100 LOOP EXECUTE format('CREATE TABLE t_%s (id int)', n); END LOOP; END $$")
    role = make_role().user

    lines = grants(refusal())

    assert len(lines) == 21
    assert lines[-1] == f'-- and 86 more. GRANT pg_read_all_data TO "{role}"; opens every schema, table and sequence at once'


def test_an_ordinary_role_is_told_which_session_holds_the_lock_though_not_what_it_does(
    source: Server, bucket: str, backups_settings: Settings, admin: Server, make_role: MakeRole
) -> None:
    role = make_role().user
    with connect(admin) as session:
        session.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(role)))
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "LOCK_TIMEOUT_SECONDS": 1}
    with connect(source) as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE event IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(LockTimeoutError) as caught:
            DatabaseBackup(description="locked", database="ordinary").run()
        pid = blocker.info.backend_pid
    assert caught.value.detail == f"public.event: session {pid} of {source.user} (no application name)"


def test_tables_of_an_extension_are_asked_for_only_where_their_rows_are_dumped(
    source: Server, bucket: str, admin: Server, make_role: MakeRole
) -> None:
    with connect(source) as session:
        session.execute("CREATE TABLE settings (k text); CREATE TABLE secret (k text); CREATE EXTENSION hstore")
        session.execute("ALTER EXTENSION hstore ADD TABLE secret; ALTER EXTENSION hstore ADD TABLE settings")
        query = "UPDATE pg_extension SET extconfig = ARRAY['settings'::regclass::oid], extcondition = '{\"\"}'"
        session.execute(f"{query} WHERE extname = 'hstore'".encode())
    make_role()

    lines = "\n".join(grants(refusal()))

    assert '"settings"' in lines
    assert '"secret"' not in lines
