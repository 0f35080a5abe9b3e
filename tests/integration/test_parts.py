"""Parts of a backup, with the real programs: what is taken, what is left out, and that nothing else is touched."""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backups.exceptions import LoadError, RefusedError, UsageError
from backups.postgres import beside, commands, in_place, parts
from backups.postgres.contents import read_contents
from backups.postgres.load import load_archive
from backups.types import Server
from tests.conftest import connect, drop_database, new_database, server_of
from tests.unit.test_archive import programs

Loaded = tuple[Server, tuple[parts.Name, ...]]  # the database, and what is in it
RUN = "0a1b2c3d-0000-4000-8000-000000000000"
SHOP = """
    CREATE EXTENSION pg_trgm;
    CREATE SCHEMA shop; CREATE SCHEMA "we ird";
    CREATE TYPE shop.mood AS ENUM ('glad', 'sad');
    CREATE DOMAIN shop.price AS numeric; ALTER DOMAIN shop.price ADD CONSTRAINT paid CHECK (VALUE >= 0) NOT VALID;
    CREATE FUNCTION shop.upper_name(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT upper($1)';
    CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE FUNCTION shop.refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''never''; END';
    CREATE TABLE shop.customer (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, mood shop.mood DEFAULT 'glad',
        loud text GENERATED ALWAYS AS (shop.upper_name(name)) STORED
    );
    CREATE TABLE shop.purchase (id serial PRIMARY KEY, customer int REFERENCES shop.customer, price shop.price, details text);
    CREATE TABLE shop.review (id int PRIMARY KEY, purchase int REFERENCES shop.purchase, above int REFERENCES shop.review);
    CREATE INDEX purchase_details ON shop.purchase USING gin (details gin_trgm_ops);
    CREATE TRIGGER noted BEFORE INSERT OR UPDATE ON shop.customer FOR EACH ROW EXECUTE FUNCTION shop.note();
    CREATE RULE kept AS ON DELETE TO shop.customer DO INSTEAD NOTHING;
    CREATE POLICY all_of_it ON shop.customer USING (true);
    CREATE STATISTICS shop.known ON id, details FROM shop.purchase;
    COMMENT ON INDEX shop.purchase_details IS 'for the search'; COMMENT ON TABLE shop.review IS 'of a purchase';
    CREATE SEQUENCE shop.lone; CREATE TABLE shop.ticket (n int DEFAULT nextval('shop.lone'), body text);
    CREATE TABLE "we ird"."a b" (n int PRIMARY KEY); CREATE TABLE "we ird"."a
b" (n int PRIMARY KEY);
    CREATE TABLE "we ird"."a "" . b" (n int PRIMARY KEY);
    CREATE TABLE measured (at date, value int, PRIMARY KEY (at, value)) PARTITION BY RANGE (at);
    CREATE TABLE measured_2023 PARTITION OF measured FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') PARTITION BY RANGE (at);
    CREATE TABLE measured_2023a PARTITION OF measured_2023 FOR VALUES FROM ('2023-01-01') TO ('2023-07-01');
    CREATE TABLE measured_2024 PARTITION OF measured FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE INDEX measured_value ON measured (value);
    CREATE TABLE parent (n int); CREATE TABLE heir (m int) INHERITS (parent);
    CREATE TABLE of_row (id int, whole shop.review);
    CREATE VIEW seen AS SELECT id, name FROM shop.customer GROUP BY id;
    CREATE MATERIALIZED VIEW kept AS SELECT * FROM shop.purchase; CREATE INDEX kept_id ON kept (id);
    CREATE PUBLICATION p FOR TABLE shop.customer;
    SELECT lo_create(0);

    INSERT INTO shop.customer (name) SELECT 'customer ' || n FROM generate_series(1, 200) n;
    INSERT INTO shop.purchase (customer, price, details) SELECT 1 + n % 200, n, 'number ' || n FROM generate_series(1, 1000) n;
    INSERT INTO shop.review SELECT n, n, NULLIF(n - 1, 0) FROM generate_series(1, 50) n;
    INSERT INTO shop.ticket (body) SELECT 'ticket' FROM generate_series(1, 30);
    INSERT INTO "we ird"."a b" SELECT generate_series(1, 1); INSERT INTO "we ird"."a
b" SELECT generate_series(1, 2);
    INSERT INTO "we ird"."a "" . b" SELECT generate_series(1, 3);
    INSERT INTO measured SELECT '2023-01-01'::date + n, n FROM generate_series(1, 100) n;
    INSERT INTO measured SELECT '2024-01-01'::date + n, n FROM generate_series(1, 50) n;
    INSERT INTO parent VALUES (1); INSERT INTO heir VALUES (1, 2), (3, 4);
    CREATE EVENT TRIGGER refusing ON ddl_command_start WHEN TAG IN ('ALTER TABLE', 'DROP TABLE', 'CREATE SCHEMA')
        EXECUTE FUNCTION shop.refuse();
"""
_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1, 2
"""
PARTITIONS = {("public", name) for name in ("measured", "measured_2023", "measured_2023a", "measured_2024")}


def dumped(server: Server, file: Path, *, major: int = 17) -> Path:
    pg_dump, _pg_restore = programs(major)
    env = commands.environment(server, application_name="test")
    subprocess.run([pg_dump.path, "-Fc", f"--file={file}"], env=env, check=True)
    return file


@pytest.fixture(scope="module")
def archive(embedded_home: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The shop's backup, by pg_dump 17."""
    from ichrisbirch_site.embedded.postgres import PostgreSQL

    server = new_database(server_of(PostgreSQL(embedded_home)))  # type: ignore[arg-type]
    with connect(server) as connection:
        connection.execute(SHOP.encode())
    yield dumped(server, tmp_path_factory.mktemp("archive") / "shop.dump")
    drop_database(server)


@pytest.fixture
def load(
    archive: Path, make_database: Callable[..., Server], tmp_path: Path
) -> Callable[..., tuple[Server, tuple[parts.Name, ...]]]:
    """Loads chosen tables into a database of their own."""

    def load(*tables: parts.Name, archive: Path = archive) -> tuple[Server, tuple[parts.Name, ...]]:
        staging = make_database()
        _pg_dump, pg_restore = programs(17)
        return staging, parts.load_tables(
            pg_restore, staging, archive=archive, tables=tables, folder=tmp_path, run_id=RUN, jobs=2
        )

    return load


def listed(server: Server) -> set[tuple[object, ...]]:
    """Tables and views of a database."""
    with connect(server) as connection:
        return set(connection.execute(_TABLES.encode()).fetchall())


def asked(server: Server, query: str) -> list[tuple[object, ...]]:
    with connect(server) as connection:
        return connection.execute(query.encode()).fetchall()


def as_sql(server: Server, *options: str) -> list[str]:
    """What pg_dump says of a whole database, but for its random key."""
    pg_dump, _pg_restore = programs(17)
    env = commands.environment(server, application_name="test")
    said = subprocess.run([pg_dump.path, *options], env=env, stdout=subprocess.PIPE, check=True).stdout.decode()
    return [line for line in said.splitlines() if not re.match(r"\\(un)?restrict ", line)]


# Choosing


def test_the_real_program_lists_what_was_chosen_in_the_archives_order(archive: Path, tmp_path: Path) -> None:
    choice = parts.choose(read_contents(archive), tables=[("shop", "purchase")])
    file = tmp_path / "list"
    file.write_text(choice.as_list())
    said = subprocess.run(
        [programs(17)[1].path, "--list", f"--use-list={file}", str(archive)], stdout=subprocess.PIPE, check=True
    ).stdout.decode()

    chosen = re.findall(r"^\d+; \d+ \d+ (.*) \S*$", said, re.MULTILINE)
    after = chosen[chosen.index("TABLE DATA shop purchase") :]
    assert after == [
        "TABLE DATA shop purchase",
        "SEQUENCE SET shop customer_id_seq",
        "SEQUENCE SET shop lone",
        "SEQUENCE SET shop purchase_id_seq",
        "CHECK CONSTRAINT shop price paid",
        "CONSTRAINT shop purchase purchase_pkey",
        "INDEX shop purchase_details",
        "COMMENT shop INDEX purchase_details",
        "STATISTICS shop known",
    ]
    assert {"EXTENSION - pg_trgm", "TYPE shop mood", "TABLE shop customer"} <= set(chosen)


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [(("shop", "costumer"), "shop.customer"), (("public", "customer"), "shop.customer"), (("shop", "seen"), "The nearest")],
)
def test_a_table_that_is_not_in_the_backup_is_wrong_usage_with_the_nearest_names(
    archive: Path, wanted: parts.Name, nearest: str
) -> None:
    with pytest.raises(UsageError) as refused:
        parts.choose(read_contents(archive), tables=[("shop", "purchase"), wanted])

    assert refused.value.message == f"{'.'.join(wanted)}: not among the backup's tables."
    assert nearest in refused.value.detail


def test_choosing_no_table_is_wrong_usage(archive: Path) -> None:
    with pytest.raises(UsageError, match="No table was chosen"):
        parts.choose(read_contents(archive), tables=[])


# Loading


def test_only_the_chosen_table_arrives_with_its_rows_indexes_and_sequences(load) -> None:
    staging, tables = load(("shop", "purchase"))

    assert set(tables) == listed(staging) == {("shop", "purchase")}
    assert asked(staging, "SELECT count(*), sum(price) FROM shop.purchase") == [(1000, 500500)]
    assert asked(staging, "SELECT nextval('shop.purchase_id_seq')") == [(1001,)]
    assert asked(
        staging, "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'shop.purchase'::regclass ORDER BY 1"
    ) == [
        ("shop.purchase_details",),
        ("shop.purchase_pkey",),
    ]
    assert asked(staging, "SELECT obj_description('shop.purchase_details'::regclass)") == [("for the search",)]
    assert asked(staging, "SELECT conname FROM pg_constraint WHERE contype = 'f'") == []


def test_types_functions_triggers_and_policies_of_a_chosen_table_come_with_it(load) -> None:
    staging, _tables = load(("shop", "customer"))

    assert listed(staging) == {("shop", "customer")}
    assert asked(staging, "SELECT loud, mood::text FROM shop.customer WHERE id = 1") == [("CUSTOMER 1", "glad")]
    assert asked(staging, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == [("noted",)]
    assert asked(staging, "SELECT polname FROM pg_policy") == [("all_of_it",)]
    assert asked(staging, "SELECT rulename FROM pg_rules WHERE schemaname = 'shop'") == [("kept",)]
    assert asked(staging, "SELECT pubname FROM pg_publication UNION ALL SELECT evtname FROM pg_event_trigger") == []


def test_a_foreign_key_comes_only_with_both_of_its_tables(load) -> None:
    staging, _tables = load(("shop", "purchase"), ("shop", "review"))

    keys = asked(staging, "SELECT conname FROM pg_constraint WHERE contype = 'f' ORDER BY 1")
    assert keys == [("review_above_fkey",), ("review_purchase_fkey",)]


def test_a_partitioned_table_comes_with_all_its_partitions(load) -> None:
    staging, tables = load(("public", "measured"))

    assert set(tables) == listed(staging) == PARTITIONS
    assert asked(staging, "SELECT count(*) FROM measured") == [(150,)]
    assert asked(staging, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
    assert asked(staging, "SELECT count(*) FROM pg_index WHERE indrelid::regclass::text LIKE 'measured%'") == [(8,)]


def test_a_single_partition_comes_as_a_table_of_its_own(load) -> None:
    staging, tables = load(("public", "measured_2024"))

    assert set(tables) == listed(staging) == {("public", "measured_2024")}
    assert asked(staging, "SELECT count(*) FROM measured_2024") == [(50,)]
    assert asked(staging, "SELECT count(*) FROM pg_index WHERE indrelid = 'measured_2024'::regclass") == [(2,)]


def test_an_heir_comes_without_its_parent(load) -> None:
    staging, _tables = load(("public", "heir"))

    assert listed(staging) == {("public", "heir")}
    assert asked(staging, "SELECT n, m FROM heir ORDER BY n") == [(1, 2), (3, 4)]


def test_a_default_of_a_sequence_on_its_own_keeps_counting(load) -> None:
    staging, _tables = load(("shop", "ticket"))
    assert asked(staging, "INSERT INTO shop.ticket (body) VALUES ('new') RETURNING n") == [(31,)]


@pytest.mark.parametrize(("name", "rows"), [("a b", 1), ("a\nb", 2), ('a " . b', 3)])
def test_names_that_a_list_shows_alike_are_told_apart(load, name: str, rows: int) -> None:
    staging, _tables = load(("we ird", name))

    assert listed(staging) == {("we ird", name)}
    quoted = name.replace('"', '""')
    assert asked(staging, f'SELECT count(*) FROM "we ird"."{quoted}"') == [(rows,)]


def test_a_table_that_would_lose_a_column_is_refused_by_its_name(load) -> None:
    with pytest.raises(RefusedError) as refused:
        load(("public", "of_row"))
    assert refused.value.detail == "public.of_row.whole"


def test_a_table_that_needs_the_row_of_another_comes_with_that_one(load) -> None:
    staging, _tables = load(("public", "of_row"), ("shop", "review"))
    assert listed(staging) == {("public", "of_row"), ("shop", "review")}


def test_an_archive_of_pg_dump_15_is_taken_apart_too(postgres15, make_database, tmp_path: Path) -> None:
    server, staging = new_database(server_of(postgres15)), new_database(server_of(postgres15))
    with connect(server) as connection:
        connection.execute(SHOP.encode())
    archive = dumped(server, tmp_path / "shop15.dump", major=15)
    for table, rows in ((("shop", "purchase"), 1000), (("public", "measured"), 150), (("we ird", "a\nb"), 2)):
        program = programs(15)[1]
        tables = parts.load_tables(program, staging, archive=archive, tables=[table], folder=tmp_path, run_id=RUN)
        assert set(tables) == listed(staging) == (PARTITIONS if table[1] == "measured" else {table})
        quoted = ".".join(f'"{part}"' for part in table)
        assert asked(staging, f"SELECT count(*) FROM {quoted}") == [(rows,)]
        drop_database(staging)
        staging = new_database(server_of(postgres15), staging.database)
    drop_database(staging)
    drop_database(server)


def test_a_table_of_a_database_in_another_encoding_is_found(admin: Server, make_database, load, tmp_path: Path) -> None:
    name = make_database().database + "_latin"
    with connect(admin) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'".encode())
    server = replace(admin, database=name)
    with connect(server) as connection:
        connection.execute("CREATE TABLE größe (n int); INSERT INTO größe VALUES (1); CREATE TABLE other ()")
    staging, _tables = load(("public", "größe"), archive=dumped(server, tmp_path / "latin.dump"))
    drop_database(server)

    assert listed(staging) == {("public", "größe")}


# Beside the live tables


@pytest.fixture
def live(archive: Path, make_database: Callable[..., Server]) -> Server:
    """A database in use, which lost some rows; its event trigger is gone as well."""
    server = make_database()
    load_archive(programs(17)[1], server, archive=archive, run_id=RUN)
    with connect(server) as connection:
        connection.execute("DROP EVENT TRIGGER refusing; TRUNCATE shop.ticket; DROP TABLE shop.review CASCADE")
        connection.execute("ALTER TABLE shop.customer DISABLE RULE kept; DELETE FROM shop.purchase WHERE id % 2 = 0")
    return server


def move_beside(pg_dump, pg_restore, *, staging: Server, target: Server, schema: str, tables, folder: Path, run_id: str) -> None:
    beside.require_free_schema(target, schema=schema)
    dump = beside.dump_gathered(pg_dump, staging, schema=schema, tables=tables, folder=folder, run_id=run_id)
    beside.load_schema(pg_restore, dump, target=target, run_id=run_id)


@pytest.fixture
def rescue(load, live: Server, tmp_path: Path) -> Callable[..., None]:
    """Loads chosen tables and moves them beside the live ones."""

    def rescue(*tables: parts.Name, schema: str = "rescue") -> None:
        staging, loaded = load(*tables)
        pg_dump, pg_restore = programs(17)
        move_beside(pg_dump, pg_restore, staging=staging, target=live, schema=schema, tables=loaded, folder=tmp_path, run_id=RUN)

    return rescue


EVERYTHING = [
    *(("shop", name) for name in ("customer", "purchase", "review", "ticket")),
    *(("public", name) for name in ("measured", "parent", "heir", "of_row")),
    *(("we ird", name) for name in ("a\nb", 'a " . b')),
]


def test_nothing_but_the_new_schema_is_changed_in_the_target(rescue, live: Server) -> None:
    before = as_sql(live)
    rescue(*EVERYTHING)

    assert as_sql(live, "--exclude-schema=rescue") == before


def test_nothing_in_the_new_schema_refers_to_the_live_tables(rescue, live: Server) -> None:
    rescue(*EVERYTHING)

    said = as_sql(live, "--schema=rescue", "--schema-only")
    refers = [line for line in said if re.search(r'\b(shop|public|"we ird")\.', line)]
    assert sorted({word for line in refers for word in re.findall(r"(?:shop|public)\.\w+", line)}) == [
        "public.gin_trgm_ops",
        "shop.lone",
        "shop.mood",
        "shop.price",
        "shop.upper_name",
    ]
    assert not [line for line in said if re.search("FOREIGN KEY|CREATE TRIGGER|CREATE RULE", line)]


def test_lost_rows_can_be_fetched_with_plain_sql(rescue, live: Server) -> None:
    rescue(("shop", "purchase"), ("public", "measured"), schema='it\'s "1" of 2.*')

    rows = asked(
        live, 'INSERT INTO shop.purchase SELECT * FROM "it\'s ""1"" of 2.*".purchase ON CONFLICT DO NOTHING RETURNING id'
    )
    assert len(rows) == 500
    assert asked(live, 'SELECT count(*) FROM "it\'s ""1"" of 2.*".measured') == [(150,)]


def test_sequences_of_the_tables_move_with_them_and_others_stay(rescue, live: Server) -> None:
    rescue(("shop", "purchase"), ("shop", "ticket"))

    assert asked(live, "SELECT nextval('rescue.purchase_id_seq'), pg_get_serial_sequence('rescue.purchase', 'id')") == [
        (1001, "rescue.purchase_id_seq")
    ]
    assert asked(live, "SELECT to_regclass('rescue.lone'), last_value FROM shop.lone") == [(None, 30)]


def test_a_schema_that_is_there_is_refused_and_stays(rescue, live: Server) -> None:
    with connect(live) as connection:
        connection.execute("CREATE SCHEMA rescue; CREATE TABLE rescue.precious (n int)")
    before = as_sql(live)

    with pytest.raises(RefusedError, match="has a schema rescue already"):
        rescue(("shop", "purchase"))
    assert as_sql(live) == before


@pytest.mark.parametrize("schema", ["", "pg_mine", "x" * 64, "a\0b"])
def test_what_can_not_be_a_schemas_name_is_wrong_usage(live: Server, schema: str) -> None:
    with pytest.raises(UsageError, match="can't be the name of a new schema"):
        beside.require_free_schema(live, schema=schema)


def test_two_tables_of_the_same_name_are_refused_before_the_target_is_touched(
    make_database, live: Server, tmp_path: Path
) -> None:
    staging = make_database()
    with connect(staging) as connection:
        connection.execute("CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t (n int); CREATE TABLE b.t (n int)")
        connection.execute("CREATE TABLE a.u (n int); CREATE INDEX same ON a.u (n); CREATE TABLE b.same (n int)")
    before = as_sql(live)

    for tables, told in (
        ([("a", "t"), ("b", "t")], "a.t and b.t"),
        ([("a", "u"), ("b", "same")], "a.same and b.same"),
    ):
        with pytest.raises(UsageError, match="same name") as refused:
            move_beside(*programs(17), staging=staging, target=live, schema="rescue", tables=tables, folder=tmp_path, run_id=RUN)
        assert refused.value.detail == told
    assert as_sql(live) == before
    assert ("a", "t") in listed(staging)


def test_a_server_of_postgresql_15_takes_them_beside_the_live_ones_too(postgres15, tmp_path: Path) -> None:
    staging, target = new_database(server_of(postgres15)), new_database(server_of(postgres15))
    with connect(staging) as connection:
        connection.execute("CREATE TABLE t (id serial PRIMARY KEY, n int); INSERT INTO t (n) SELECT generate_series(1, 5)")
    move_beside(
        *programs(15), staging=staging, target=target, schema="rescue", tables=[("public", "t")], folder=tmp_path, run_id=RUN
    )

    assert asked(target, "SELECT count(*), nextval('rescue.t_id_seq') FROM rescue.t") == [(5, 6)]
    drop_database(staging)
    drop_database(target)


def test_a_table_that_was_not_loaded_is_named(make_database, live: Server, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"shop\.purchase: not among the tables that were loaded"):
        move_beside(
            *programs(17),
            staging=make_database(),
            target=live,
            schema="rescue",
            tables=[("shop", "purchase")],
            folder=tmp_path,
            run_id=RUN,
        )


def test_where_the_target_lacks_a_type_nothing_is_left_of_the_attempt(rescue, live: Server) -> None:
    with connect(live) as connection:
        connection.execute("DROP SCHEMA shop CASCADE")
    before = as_sql(live)

    with pytest.raises(LoadError) as failed:
        rescue(("public", "measured"), ("shop", "customer"))
    assert 'schema "shop" does not exist' in failed.value.detail
    assert as_sql(live) == before


# Options of pg_restore


def test_definitions_alone_bring_no_rows(archive: Path, make_database) -> None:
    server = make_database()
    load_archive(programs(17)[1], server, archive=archive, run_id=RUN, jobs=2, schema_only=True)

    assert asked(server, "SELECT count(*) FROM shop.purchase") == [(0,)]
    assert asked(server, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == [(3,)]


def test_dropping_what_is_there_without_a_single_transaction_is_wrong_usage(archive: Path, admin: Server) -> None:
    with pytest.raises(UsageError):
        load_archive(programs(17)[1], admin, archive=archive, run_id=RUN, clean=True)


def test_a_list_without_a_table_restores_in_place_all_but_that_table(archive: Path, make_database, tmp_path: Path) -> None:
    server = make_database()
    load_archive(programs(17)[1], server, archive=archive, run_id=RUN)
    with connect(server) as connection:
        connection.execute("DROP EVENT TRIGGER refusing; DROP TABLE measured; DELETE FROM shop.ticket")
        connection.execute('INSERT INTO "we ird"."a b" VALUES (99)')
    use_list = parts.list_in_place(archive, staying=(("SCHEMA", "we ird"),), without=[("we ird", "a b")], folder=tmp_path)
    load_archive(programs(17)[1], server, archive=archive, run_id=RUN, single_transaction=True, clean=True, use_list=use_list)

    assert asked(server, 'SELECT count(*) FROM "we ird"."a b"') == [(2,)]
    assert asked(server, "SELECT count(*) FROM shop.ticket") == [(30,)]


def test_a_list_in_place_leaves_schemas_and_extensions_where_they_are(archive: Path, make_database, tmp_path: Path) -> None:
    server = make_database()
    load_archive(programs(17)[1], server, archive=archive, run_id=RUN)
    with connect(server) as connection:
        connection.execute("DROP EVENT TRIGGER refusing; DROP TABLE measured; DELETE FROM shop.ticket")
        connection.execute("CREATE TABLE shop.newer (id int)")
    use_list = parts.list_in_place(archive, staying=in_place.containers(server), without=(), folder=tmp_path)
    load_archive(programs(17)[1], server, archive=archive, run_id=RUN, single_transaction=True, clean=True, use_list=use_list)

    assert asked(server, "SELECT count(*) FROM shop.ticket") == [(30,)]
    assert asked(server, "SELECT count(*) FROM shop.newer") == [(0,)]


def test_pg_restore_can_not_clean_partitions_with_a_primary_key_and_leaves_all_as_it_was(archive: Path, make_database) -> None:
    """It drops the partition's constraint before the parent's, which PostgreSQL refuses. All or nothing makes it nothing."""
    server = make_database()
    load_archive(programs(17)[1], server, archive=archive, run_id=RUN)
    with connect(server) as connection:
        connection.execute("DROP EVENT TRIGGER refusing")
    before = as_sql(server)

    with pytest.raises(LoadError) as failed:
        load_archive(programs(17)[1], server, archive=archive, run_id=RUN, single_transaction=True, clean=True)
    assert "cannot drop inherited constraint" in failed.value.detail
    assert as_sql(server) == before
