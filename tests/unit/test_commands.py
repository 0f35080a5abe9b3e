"""Command lines of the client programs: built purely, so these tests compare whole tuples."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.postgres import commands
from backups.postgres.connect import connected
from backups.postgres.programs import ClientProgram, choose_pg_dump, choose_pg_restore
from backups.types import Server
from ichrisbirch_site import embedded
from tests.conftest import connect

PG_DUMP = ClientProgram(path="/opt/pg/bin/pg_dump", version="17.10", major=17, has_zstd=True)
PG_RESTORE = ClientProgram(path="/opt/pg/bin/pg_restore", version="17.10", major=17)
SERVER = Server(host="db.example", port=5433, user="icb", password="hunter2", database="shop")
HOME = Path("/run/home")
HOSTILE_NAMES = [
    "--file=x",
    "-f",
    "a=b",
    "host=evil.example dbname=x",
    "postgres://evil.example/x",
    "postgresql:///x?host=/tmp",
    "it's",
    'with "quotes"',
    "back\\slash",
    "new\nline",
    " space ",
    "$(touch x)",
    "; rm x",
    "../up",
    "größe\U0001f40d",
    "x" * 63,
]


def test_pg_dump_is_given_all_it_needs_and_an_environment_from_empty() -> None:
    made = commands.dump(PG_DUMP, SERVER, snapshot_id="00000003-1", run_id="some-id", lock_timeout_seconds=30, home=HOME)

    assert made == commands.Command(
        argv=(
            "/opt/pg/bin/pg_dump",
            "--format=custom",
            "--compress=zstd:1",
            "--snapshot=00000003-1",
            "--lock-wait-timeout=30000",
            "--no-password",
        ),
        env={
            "HOME": "/run/home",
            "LC_ALL": "C",
            "PGAPPNAME": "backup:some-id",
            "PGCONNECT_TIMEOUT": "15",
            "PGDATABASE": "shop",
            "PGHOST": "db.example",
            "PGOPTIONS": "-c client_connection_check_interval=500",
            "PGPASSFILE": "/run/home/pgpass",
            "PGPASSWORD": "hunter2",
            "PGPORT": "5433",
            "PGSERVICEFILE": "/run/home/pg_service.conf",
            "PGSYSCONFDIR": "/run/home",
            "PGUSER": "icb",
        },
    )


def test_pg_restore_is_given_all_it_needs() -> None:
    made = commands.restore(
        PG_RESTORE, SERVER, archive=Path("/scratch/a.dump"), run_id="some-id", jobs=4, extra=("--no-owner",), home=HOME
    )

    assert made.argv == (
        *("/opt/pg/bin/pg_restore", "--exit-on-error", "--no-password", "--dbname", "dbname='shop'"),
        *("--no-owner", "--jobs=4", "/scratch/a.dump"),
    )
    assert made.env == commands.environment(SERVER, application_name="restore:some-id", home=HOME)


def test_a_single_transaction_excludes_jobs() -> None:
    made = commands.restore(PG_RESTORE, SERVER, archive=Path("/a"), run_id="x", jobs=4, single_transaction=True)

    assert "--single-transaction" in made.argv
    assert not [word for word in made.argv if word.startswith("--jobs")]


@pytest.mark.parametrize(
    ("program", "compression"),
    [
        (PG_DUMP, "zstd:1"),
        (replace(PG_DUMP, has_zstd=False), "1"),
        (replace(PG_DUMP, version="15.18", major=15, has_zstd=False), "1"),
        (replace(PG_DUMP, version="16.0", major=16), "zstd:1"),
    ],
)
def test_the_compression_is_zstd_where_the_program_has_it_else_gzip(program: ClientProgram, compression: str) -> None:
    assert commands.compression(program) == compression


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=8))
def test_a_password_is_in_the_environment_alone(password: str) -> None:
    server = replace(SERVER, password=password)
    dump = commands.dump(PG_DUMP, server, snapshot_id="s", run_id="r", lock_timeout_seconds=1)
    restore = commands.restore(PG_RESTORE, server, archive=Path("/a"), run_id="r")

    without = replace(SERVER, password="")
    assert dump.argv == commands.dump(PG_DUMP, without, snapshot_id="s", run_id="r", lock_timeout_seconds=1).argv
    assert restore.argv == commands.restore(PG_RESTORE, without, archive=Path("/a"), run_id="r").argv
    for made in (dump, restore):
        assert made.env["PGPASSWORD"] == password
        assert password not in repr(replace(made, argv=()))
    assert repr(password)[1:-1] not in repr(replace(server, database="", user="", host=""))


def test_without_a_password_none_is_set() -> None:
    assert "PGPASSWORD" not in commands.environment(replace(SERVER, password=""), application_name="x")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_of_a_database_or_user_reaches_no_argument_of_pg_dump(name: str) -> None:
    server = replace(SERVER, database=name, user=name, host=name)
    made = commands.dump(PG_DUMP, server, snapshot_id="s", run_id="r", lock_timeout_seconds=1)

    assert made.argv == commands.dump(PG_DUMP, SERVER, snapshot_id="s", run_id="r", lock_timeout_seconds=1).argv
    assert (made.env["PGDATABASE"], made.env["PGUSER"], made.env["PGHOST"]) == (name, name, name)


def test_the_options_of_a_connection_become_variables_and_others_are_left_out() -> None:
    options = (("sslmode", "verify-full"), ("sslrootcert", "/ca.pem"), ("connect_timeout", "3"), ("service", "evil"), ("x", "y"))
    made = commands.environment(replace(SERVER, options=options), application_name="x", home=HOME)

    plain = commands.environment(SERVER, application_name="x", home=HOME)
    assert made == plain | {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/ca.pem", "PGCONNECT_TIMEOUT": "3"}


def test_nothing_of_our_own_environment_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGSERVICE", "PGHOST", "PGOPTIONS", "PATH", "LD_PRELOAD", "HOME"):
        monkeypatch.setenv(name, "/evil")
    assert "/evil" not in str(commands.environment(SERVER, application_name="x"))


def test_without_a_home_of_its_own_it_gets_one_that_does_not_exist() -> None:
    made = commands.environment(SERVER, application_name="x")
    assert not Path(made["HOME"]).exists()
    assert made["PGPASSFILE"].startswith(made["HOME"])


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_database_of_a_hostile_name_is_the_one_that_is_dumped_and_loaded(
    name: str, make_database: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = name[:55] + uuid4().hex[:8]  # of this worker's own
    source, target = make_database(name), make_database()
    renamed = replace(target, database=name[:50] + " again")
    with connect(source) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
        (snapshot,) = connection.execute("SELECT current_database()").fetchone() or ("",)
        assert snapshot == name
    folders, archive = embedded.client_folders(), tmp_path / "a.dump"
    with connect(source) as holder, holder.transaction():
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        (exported,) = holder.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        dump = commands.dump(
            choose_pg_dump(17, folders=folders), source, snapshot_id=str(exported), run_id="r", lock_timeout_seconds=9
        )
        archive.write_bytes(subprocess.run(dump.argv, env=dump.env, stdout=subprocess.PIPE, check=True).stdout)
    with connect(replace(target, database="postgres")) as connection:
        connection.execute(f"ALTER DATABASE {target.database} RENAME TO {quoted(renamed.database)}".encode())
    try:
        program = choose_pg_restore(archive_major=17, target_major=17, folders=folders)
        load = commands.restore(program, renamed, archive=archive, run_id="r")
        subprocess.run(load.argv, env=load.env, check=True)
        with connected(renamed, application_name="test") as connection:
            assert connection.execute("SELECT n FROM public.t").fetchone() == (7,)
    finally:
        with connect(replace(target, database="postgres")) as connection:
            connection.execute(f"ALTER DATABASE {quoted(renamed.database)} RENAME TO {target.database}".encode())
    assert [path.name for path in tmp_path.iterdir()] == ["a.dump"]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
