"""Lost rows beside the live ones: tables of a staging database, in a new schema of a database that is in use."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from psycopg import sql

from backups.exceptions import DumpError, RefusedError, UsageError
from backups.postgres import commands
from backups.postgres.connect import Connection, connected
from backups.postgres.databases import MAX_NAME_BYTES
from backups.postgres.load import load_archive
from backups.postgres.process import Process, describe_exit
from backups.postgres.programs import ClientProgram
from backups.types import Server

Name = tuple[str, str]  # schema, table


def require_free_schema(target: Server, *, schema: str) -> None:
    """Raises UsageError for what can't be the name of a new schema, RefusedError when the target has a schema of that name."""
    if not schema or len(schema.encode()) > MAX_NAME_BYTES or "\0" in schema or schema.startswith("pg_"):
        raise UsageError(
            f"{schema[:80]!r} can't be the name of a new schema.",
            detail="A name has 1 to 63 bytes, and does not begin with pg_, which is PostgreSQL's own.",
            hint="For example: --into-schema rescue",
        )
    with connected(target, application_name="restore: plan") as connection:
        if connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema]).fetchone() is not None:
            raise RefusedError(
                f"The database {target.database} has a schema {schema} already. Nothing was touched.",
                hint="Choose another name: --into-schema NAME; or drop that schema yourself, if nothing in it is needed.",
            )


def dump_gathered(
    program: ClientProgram, staging: Server, *, schema: str, tables: Iterable[Name], folder: Path, run_id: str
) -> Path:
    """Gathers tables of the staging database in a new schema there, and dumps it into `folder`; returns the dump.

    They bring their partitions, rows, indexes, constraints and own sequences. Foreign keys, triggers and rules stay behind, so
    that nothing will refer to the live tables. Types, functions and sequences of other schemas are not brought.

    Raises UsageError when two tables would have the same name, PostgresError when the staging database can't be rearranged, and
    DumpError.
    """
    with connected(staging, application_name=f"restore:{run_id}") as connection, connection.transaction():
        _gather(connection, tables, schema=schema)
    file = folder / "beside.dump"
    with Process(commands.dump_schema(program, staging, schema=schema, file=file, run_id=run_id)) as process:
        process.drain()
        code = process.wait()
        if code != 0:
            raise DumpError(f"pg_dump {describe_exit(code)}. The target was not touched.", detail=process.stderr_tail())
    return file


def load_schema(program: ClientProgram, dump: Path, *, target: Server, run_id: str) -> None:
    """Loads the dump into the live target, in one transaction: all or nothing. All of it belongs to the target's user.

    Raises LoadError, as where the target lacks a type that a column has: then the target is as it was.
    """
    load_archive(
        program,
        target,
        archive=dump,
        run_id=run_id,
        single_transaction=True,
        keep_owners=False,
        keep_privileges=False,
    )


_TABLES = """
    SELECT n.nspname, c.relname, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p')
"""
_WITH_PARTITIONS = """
    WITH RECURSIVE chosen AS (
        SELECT unnest(%s::oid[]) AS oid
        UNION SELECT i.inhrelid FROM chosen JOIN pg_inherits i ON i.inhparent = chosen.oid
        JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
    )
    SELECT oid FROM chosen
"""
_FOREIGN_KEYS = """
    SELECT conrelid, conname FROM pg_constraint
    WHERE contype = 'f' AND conparentid = 0 AND (conrelid = ANY(%(chosen)s) OR confrelid = ANY(%(chosen)s))
"""
_TRIGGERS = "SELECT tgrelid, tgname FROM pg_trigger WHERE tgrelid = ANY(%(chosen)s) AND NOT tgisinternal AND tgparentid = 0"
_RULES = "SELECT ev_class, rulename FROM pg_rewrite WHERE ev_class = ANY(%(chosen)s)"
# All that ALTER TABLE … SET SCHEMA takes along, and that shares the names of its schema.
_MOVING = """
    SELECT c.relname, array_agg(format('%%I.%%I', n.nspname, c.relname) ORDER BY n.nspname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = ANY(%(chosen)s)
       OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = ANY(%(chosen)s))
       OR c.relkind = 'S' AND c.oid IN (
            SELECT objid FROM pg_depend
            WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
              AND refobjid = ANY(%(chosen)s) AND deptype IN ('a', 'i')
       )
    GROUP BY c.relname HAVING count(*) > 1
"""
_NAME = "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s"


def _gather(connection: Connection, tables: Iterable[Name], *, schema: str) -> None:
    """Moves tables with their partitions into a new schema, freed of what refers to others."""
    there = {(in_schema, name): oid for in_schema, name, oid in connection.execute(_TABLES)}
    wanted = set(tables)
    if missing := wanted - set(there):
        raise UsageError(
            f"{', '.join('.'.join(name) for name in sorted(missing))}: not among the tables that were loaded.",
            hint="icb db contents tells the tables of a backup.",
        )
    found = connection.execute(_WITH_PARTITIONS, [[there[name] for name in wanted]]).fetchall()
    chosen = [oid for (oid,) in found]
    _require_different_names(connection, chosen)
    for query, word in ((_FOREIGN_KEYS, "CONSTRAINT"), (_TRIGGERS, "TRIGGER"), (_RULES, "RULE")):
        for table, name in connection.execute(query, {"chosen": chosen}).fetchall():
            on = _identifier(connection, table)
            statement = "ALTER TABLE {on} DROP CONSTRAINT {name}" if word == "CONSTRAINT" else "DROP {word} {name} ON {on}"
            connection.execute(sql.SQL(statement).format(on=on, name=sql.Identifier(name), word=sql.SQL(word)))
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    for table in chosen:
        connection.execute(sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(_identifier(connection, table), sql.Identifier(schema)))


def _require_different_names(connection: Connection, tables: Sequence[int]) -> None:
    twice = connection.execute(_MOVING, {"chosen": list(tables)}).fetchall()
    if twice:
        raise UsageError(
            "Chosen tables, or their indexes or sequences, have the same name, and one schema can't have both.",
            detail="\n".join(" and ".join(full) for _name, full in twice[:10]),
            hint="Restore them one after the other, each into a schema of its own.",
        )


def _identifier(connection: Connection, table: int) -> sql.Identifier:
    row = connection.execute(_NAME, [table]).fetchone()
    assert row is not None
    return sql.Identifier(*row)
