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

from backups.exceptions import LockTimeoutError
from backups.postgres.connect import Connection, connect, translated
from backups.postgres.fingerprint import fingerprint
from backups.types import Locale, Server, Snapshot, TableRows

# Tables whose rows pg_dump dumps: ordinary ones (partitions too), not those that belong to an extension, and not partitioned
# parents, whose rows are in their partitions.
_TABLES = """
    SELECT n.nspname, c.relname, coalesce(pg_table_size(c.oid), 0)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""
# Those, and their partitioned parents: whatever pg_dump locks.
_LOCKED = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""
_FACTS = """
    SELECT pg_database_size(d.oid), current_setting('server_version'), current_setting('server_version_num')::int,
           pg_encoding_to_char(d.encoding), coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), d.datcollate, d.datctype,
           coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', '') -- of 17 and newer, of 15 and 16
    FROM pg_database d WHERE d.datname = current_database()
"""
_EXTENSIONS = "SELECT extname, extversion FROM pg_extension ORDER BY extname"
_HAS_MIGRATIONS = """
    SELECT count(*) FROM pg_attribute
    WHERE attrelid = to_regclass('public.django_migrations') AND has_table_privilege(attrelid, 'SELECT')
      AND (attname, atttypid) IN (('app', 'varchar'::regtype), ('name', 'varchar'::regtype))
      AND EXISTS (SELECT FROM pg_class WHERE oid = attrelid AND relkind = 'r') -- a view would run functions of its owner's
"""
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
LOCK_ATTEMPTS = 5
Name = tuple[str, str]  # schema, table


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
def exported(server: Server, *, run_id: str, lock_timeout_seconds: int, doing: str = "backup") -> Iterator[Exported]:
    """A REPEATABLE READ, READ ONLY transaction with its snapshot exported and every table locked in ACCESS SHARE mode.

    The locks are what makes counts and dump agree: TRUNCATE and an ALTER TABLE that rewrites a table ignore snapshots. They come
    before the snapshot, because to an older snapshot such a table looks empty, and would be backed up so.
    https://www.postgresql.org/docs/current/mvcc-caveats.html

    Raises LockTimeoutError naming who holds the lock that was not to be had.
    """
    with connect(server, application_name=f"{doing}:{run_id}", autocommit=False) as connection, translated():
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        locked = _lock_all(connection, server, timeout_seconds=lock_timeout_seconds)
        tables = tables_of(connection)  # the first query of the transaction: here its snapshot is taken
        _lock(connection, server, _names(connection) - locked, timeout_seconds=lock_timeout_seconds)  # made in between
        (snapshot_id,) = _one(connection, "SELECT pg_export_snapshot()")
        yield Exported(id=snapshot_id, connection=connection, tables=tables)
        connection.rollback()


def describe(open_snapshot: Exported, *, fingerprints: bool = False) -> Snapshot:
    """What the snapshot holds: rows of every table counted, sizes, versions, extensions, migrations, roles.

    Counting reads every table once, and hashes every row where `fingerprints` are wanted; pg_dump may run at the same time.
    """
    connection = open_snapshot.connection
    with translated():
        size, version, number, encoding, provider, collate, ctype, name = _one(connection, _FACTS)
        return Snapshot(
            tables=count_rows(connection, open_snapshot.tables, fingerprints=fingerprints),
            database_size_bytes=size,
            server_version=version,
            server_version_num=number,
            system_identifier=system_identifier(connection),
            encoding=encoding,
            locale=Locale(provider=provider, collate=collate, ctype=ctype, name=name),
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


def table_bytes(connection: Connection, server: Server, *, lock_timeout_seconds: int) -> int:
    """Bytes of all tables, without indexes. Even asking for that waits for locks: raises LockTimeoutError, as `exported` does."""
    connection.execute(sql.SQL("SET lock_timeout = {}").format(lock_timeout_seconds * 1000))
    try:
        return sum(size for _schema, _table, size in tables_of(connection))
    except psycopg.errors.LockNotAvailable as error:
        raise _named_blocker(server, sorted(_names(connection)), lock_timeout_seconds) from error


def tables_of(connection: Connection) -> tuple[tuple[str, str, int], ...]:
    """Schema, table and bytes of every table whose rows a dump holds."""
    return tuple(connection.execute(_TABLES).fetchall())


def system_identifier(connection: Connection) -> str:
    """Tells one PostgreSQL cluster from all others. Empty where the role may not know it, as on some hosted servers."""
    (allowed,) = _one(connection, "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')")
    return str(_one(connection, "SELECT system_identifier FROM pg_control_system()")[0]) if allowed else ""


def count_rows(
    connection: Connection, tables: Sequence[tuple[str, str, int]], *, fingerprints: bool = False
) -> tuple[TableRows, ...]:
    """Counts the rows of each table, children of inheritance apart; takes their fingerprints where wanted."""
    counted = []
    for schema, table, size in tables:
        taken = ""
        if fingerprints:
            rows, taken = fingerprint(connection, schema=schema, table=table)
        else:
            (rows,) = _one(connection, sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, table)))
        counted.append(TableRows(schema=schema, table=table, rows=rows, bytes=size, fingerprint=taken))
    return tuple(counted)


def _lock_all(connection: Connection, server: Server, *, timeout_seconds: int) -> set[Name]:
    """Locks every table, in a new transaction that has no snapshot yet. One that is dropped meanwhile makes it look again."""
    for attempt in range(LOCK_ATTEMPTS):
        names = _names(connection)
        connection.rollback()
        try:
            _lock(connection, server, names, timeout_seconds=timeout_seconds)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            connection.rollback()
            if attempt == LOCK_ATTEMPTS - 1:
                raise
        else:
            return names
    raise AssertionError("unreachable")


def _lock(connection: Connection, server: Server, names: set[Name], *, timeout_seconds: int) -> None:
    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(timeout_seconds * 1000))
    ordered = sorted(names)
    for start in range(0, len(ordered), LOCK_BATCH):
        batch = ordered[start : start + LOCK_BATCH]
        statement = sql.SQL(", ONLY ").join(sql.Identifier(*name) for name in batch)
        try:
            connection.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(statement))
        except psycopg.errors.LockNotAvailable as error:
            raise _named_blocker(server, batch, timeout_seconds) from error
    connection.execute("SET LOCAL lock_timeout = 0")


def _names(connection: Connection) -> set[Name]:
    return {(schema, table) for schema, table in connection.execute(_LOCKED)}


# Whoever has ACCESS EXCLUSIVE on one of the tables; and whoever waits for it, because we wait behind him.
_BLOCKERS = """
    SELECT n.nspname || '.' || c.relname, l.granted, l.pid, a.usename, a.application_name, a.state, left(a.query, 120),
           date_trunc('second', clock_timestamp() - a.xact_start)::text, array_to_string(pg_blocking_pids(l.pid), ', ')
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.mode = 'AccessExclusiveLock' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (n.nspname, c.relname) IN (SELECT * FROM unnest(%s::name[], %s::name[]))
    ORDER BY l.granted DESC, l.pid
"""


def _named_blocker(server: Server, names: Sequence[Name], timeout_seconds: int) -> LockTimeoutError:
    """Looked up on a connection of its own: ours is in a failed transaction."""
    with connect(server, application_name="backup: who holds the lock?") as connection:
        found = connection.execute(_BLOCKERS, [list(part) for part in zip(*names, strict=True)]).fetchall()
    end = next((pid for _table, _granted, pid, *_rest in found if pid), None)
    return LockTimeoutError(
        f"A table is locked by another session; the backup waited {timeout_seconds} seconds.",
        detail="\n".join(_told(*row) for row in found),
        hint=f"Wait until it has ended, or end it: SELECT pg_terminate_backend({end})." if end else "Make it again later.",
    )


def _told(
    table: str, granted: bool, pid: int | None, user: str, application: str, state: str, query: str, age: str, behind: str
) -> str:
    if pid is None:
        return f"{table}: a prepared transaction; see pg_prepared_xacts"
    # What an ordinary role may not see of others is null.
    doing = f", {state} for {age}: {query}" if state else ""
    waiting = "" if granted else f" waits for it behind session {behind}"
    return f"{table}: session {pid} of {user or 'another role'} ({application or 'no application name'}){waiting}{doing}"


def _migrations(connection: Connection) -> tuple[str, ...]:
    (columns,) = _one(connection, _HAS_MIGRATIONS)
    return tuple(name for (name,) in connection.execute(_MIGRATIONS).fetchall()) if columns == 2 else ()


def _one(connection: Connection, query: LiteralString | sql.Composed) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row
