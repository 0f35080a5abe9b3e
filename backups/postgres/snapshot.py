"""One transaction sees one instant: exports its snapshot for pg_dump, and counts in it what the dump will hold.

https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from backups.exceptions import LockTimeoutError, PostgresError
from backups.postgres.connect import Connection, connect, translated, words_of
from backups.types import Server, Snapshot, TableRows

# Tables whose rows pg_dump dumps: ordinary ones (partitions too), not those that belong to an extension, and not partitioned
# parents, whose rows are in their partitions.
_TABLES = """
    SELECT n.nspname, c.relname, pg_table_size(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""
_FACTS = """
    SELECT pg_database_size(d.oid), current_setting('server_version'), current_setting('server_version_num')::int,
           s.system_identifier::text, pg_encoding_to_char(d.encoding), d.datcollate
    FROM pg_database d, pg_control_system() s WHERE d.datname = current_database()
"""
_EXTENSIONS = "SELECT extname, extversion FROM pg_extension ORDER BY extname"
_MIGRATIONS = "SELECT app || '.' || name FROM public.django_migrations ORDER BY id"
# Owners of what is dumped, and every role that is named in an ACL, a policy or default privileges.
_ROLES = """
    SELECT r.rolname FROM pg_roles r WHERE r.oid IN (
        SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        UNION SELECT p.proowner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
        UNION SELECT n.nspowner FROM pg_namespace n WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        UNION SELECT s.refobjid FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid
        WHERE d.datname = current_database() AND s.refclassid = 'pg_authid'::regclass
    ) AND r.rolname !~ '^pg_' ORDER BY r.rolname
"""
LOCK_BATCH = 200


@dataclass(frozen=True)
class Exported:
    """An open snapshot: its id for pg_dump, and the transaction that keeps it alive."""

    id: str
    connection: Connection
    tables: tuple[tuple[str, str, int], ...]  # schema, table, bytes

    @property
    def table_bytes(self) -> int:
        """Bytes of all tables, without indexes: what a dump has before it."""
        return sum(size for _schema, _table, size in self.tables)


@contextmanager
def exported(server: Server, *, run_id: str, lock_timeout_seconds: int) -> Iterator[Exported]:
    """A REPEATABLE READ, READ ONLY transaction with its snapshot exported and every table locked in ACCESS SHARE mode.

    The locks are what makes counts and dump agree: TRUNCATE ignores snapshots, and can't come between the two now.

    Raises LockTimeoutError naming who holds the lock that was not to be had.
    """
    with connect(server, application_name=f"backup:{run_id}", autocommit=False) as connection, translated():
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        tables = tuple(connection.execute(_TABLES).fetchall())
        _lock(connection, server, tables=tables, timeout_seconds=lock_timeout_seconds)
        (snapshot_id,) = _one(connection, "SELECT pg_export_snapshot()")
        yield Exported(id=snapshot_id, connection=connection, tables=tables)
        connection.rollback()


def describe(open_snapshot: Exported) -> Snapshot:
    """What the snapshot holds: rows of every table counted, sizes, versions, extensions, migrations, roles.

    Counting reads every table once; pg_dump may run at the same time.
    """
    connection = open_snapshot.connection
    with translated():
        size, version, number, identifier, encoding, locale = _one(connection, _FACTS)
        return Snapshot(
            tables=count_rows(connection, open_snapshot.tables),
            database_size_bytes=size,
            server_version=version,
            server_version_num=number,
            system_identifier=identifier,
            encoding=encoding,
            locale=locale,
            extensions=tuple((name, extension) for name, extension in connection.execute(_EXTENSIONS).fetchall()),
            migrations=_migrations(connection),
            roles=tuple(role for (role,) in connection.execute(_ROLES).fetchall()),
        )


def stop(open_snapshot: Exported, counting: "Future[Snapshot]") -> None:
    """Ends a `describe` that runs in another thread. A cancel request between two queries is lost, so it is repeated."""
    while not counting.done():
        with suppress(psycopg.Error):
            open_snapshot.connection.cancel_safe(timeout=5)
        wait([counting], timeout=0.2)


def tables_of(connection: Connection) -> tuple[tuple[str, str, int], ...]:
    """Schema, table and bytes of every table whose rows a dump holds."""
    return tuple(connection.execute(_TABLES).fetchall())


def count_rows(connection: Connection, tables: Sequence[tuple[str, str, int]]) -> tuple[TableRows, ...]:
    """Counts the rows of each table, children of inheritance apart."""
    counted = []
    for schema, table, size in tables:
        (rows,) = _one(connection, sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, table)))
        counted.append(TableRows(schema=schema, table=table, rows=rows, bytes=size))
    return tuple(counted)


def _lock(connection: Connection, server: Server, *, tables: Sequence[tuple[str, str, int]], timeout_seconds: int) -> None:
    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(timeout_seconds * 1000))
    for start in range(0, len(tables), LOCK_BATCH):
        batch = [sql.Identifier(schema, table) for schema, table, _size in tables[start : start + LOCK_BATCH]]
        statement = sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.SQL(", ONLY ").join(batch))
        try:
            connection.execute(statement)
        except psycopg.errors.LockNotAvailable as error:
            raise _named_blocker(server, _names(tables[start : start + LOCK_BATCH]), timeout_seconds) from error
        except psycopg.errors.UndefinedTable as error:
            raise PostgresError(
                "A table was dropped at the moment when the backup began.", detail=words_of(error), hint="Start it again."
            ) from error
    connection.execute("SET LOCAL lock_timeout = 0")


def _names(tables: Sequence[tuple[str, str, int]]) -> list[str]:
    return [f"{schema}.{table}" for schema, table, _size in tables]


def _named_blocker(server: Server, names: Sequence[str], timeout_seconds: int) -> LockTimeoutError:
    """Who holds ACCESS EXCLUSIVE on one of the tables, looked up on a connection of its own: ours is in a failed transaction."""
    query = """
        SELECT n.nspname || '.' || c.relname, a.pid, a.usename, a.application_name, a.state, left(a.query, 120),
               date_trunc('second', clock_timestamp() - a.xact_start)::text
        FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.granted AND l.mode = 'AccessExclusiveLock' AND n.nspname || '.' || c.relname = ANY(%s)
    """
    with connect(server, application_name="backup: who holds the lock?") as connection:
        found = connection.execute(query, [list(names)]).fetchall()
    lines = [
        f"{table}: session {pid} of {user} ({application or 'no application name'}), {state} for {age}: {query}"
        for table, pid, user, application, state, query, age in found
    ]
    first = found[0][1] if found else None
    return LockTimeoutError(
        f"A table is locked by another session; the backup waited {timeout_seconds} seconds.",
        detail="\n".join(lines),
        hint=f"Wait until it has ended, or end it: SELECT pg_terminate_backend({first})." if first else "Make it again later.",
    )


def _migrations(connection: Connection) -> tuple[str, ...]:
    (readable,) = _one(connection, "SELECT has_table_privilege(to_regclass('public.django_migrations'), 'SELECT')")
    return tuple(name for (name,) in connection.execute(_MIGRATIONS).fetchall()) if readable else ()


def _one(connection: Connection, query: LiteralString | sql.Composed) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row
