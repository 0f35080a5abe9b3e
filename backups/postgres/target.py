"""What is at the target of a restore before it begins: the server, the database, who is connected, what is missing.

Only looks: nothing is created that outlives its transaction.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from backups.exceptions import BackupsError
from backups.postgres.connect import Connection, connected, words_of
from backups.postgres.databases import PROVIDERS, maintenance
from backups.postgres.place import address
from backups.postgres.snapshot import system_identifier
from backups.types import Locale, Server

APPLICATION = "restore: plan"
# Anything of a user's: a relation, a function, a type, a schema or an extension that a new database does not have.
_OBJECTS = """
    SELECT kind, name FROM (
        SELECT CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END
               AS kind, n.nspname || '.' || c.relname AS name
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        UNION ALL SELECT 'function', n.nspname || '.' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        UNION ALL SELECT 'type', n.nspname || '.' || t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        UNION ALL SELECT 'schema', nspname FROM pg_namespace
        WHERE nspname NOT IN ('public', 'information_schema') AND nspname !~ '^pg_'
        UNION ALL SELECT 'extension', extname FROM pg_extension WHERE extname <> 'plpgsql'
        UNION ALL SELECT 'large object', oid::text FROM pg_largeobject_metadata
        UNION ALL SELECT 'publication', pubname FROM pg_publication
        UNION ALL SELECT 'foreign server', srvname FROM pg_foreign_server
        UNION ALL SELECT 'foreign data wrapper', fdwname FROM pg_foreign_data_wrapper
        UNION ALL SELECT 'event trigger', evtname FROM pg_event_trigger
    ) objects ORDER BY 1, 2 LIMIT 5
"""
_SERVER = """
    SELECT current_setting('server_version'), current_setting('server_version_num')::int, r.rolcreatedb OR r.rolsuper,
           pg_is_in_recovery()
    FROM pg_roles r WHERE r.rolname = current_user
"""
# Renaming takes the owner (or a member of the owning role) with CREATEDB, or a superuser.
# https://www.postgresql.org/docs/current/sql-alterdatabase.html
_DATABASE = """
    SELECT d.oid::bigint, pg_get_userbyid(d.datdba), pg_has_role(d.datdba, 'USAGE'), t.spcname,
           CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
                THEN pg_database_size(d.oid) END,
           (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid AND a.pid <> pg_backend_pid()),
           ARRAY(SELECT p.gid FROM pg_prepared_xacts p WHERE p.database = d.datname ORDER BY 1),
           ARRAY(SELECT s.slot_name::text FROM pg_replication_slots s WHERE s.database = d.datname ORDER BY 1),
           has_database_privilege(d.oid, 'CREATE')
    FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = %s
"""
_ABOUT_ROWS = """
    SELECT coalesce(sum(greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)), 0)::bigint
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
"""
_PARTITIONED_KEYS = """
    SELECT EXISTS (SELECT FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
                   WHERE c.relkind = 'p' AND k.contype IN ('p', 'u'))
"""
# The history that lies in the target, where it is an application's own database: which backups were made of this very one?
_HAS_HISTORY = """
    SELECT count(*) = 4 FROM pg_attribute
    WHERE attrelid = to_regclass('admin.backup_history') AND has_table_privilege(attrelid, 'SELECT')
      AND attname IN ('environment', 'database', 'system_identifier', 'server_address')
"""
_ENVIRONMENTS = """
    SELECT DISTINCT environment FROM admin.backup_history
    WHERE database = current_database() AND system_identifier = %(identifier)s
      AND (system_identifier <> '' OR server_address = %(address)s)
"""
_ROLES_OF_OURS = "SELECT rolname FROM pg_roles WHERE pg_has_role(oid, 'MEMBER')"
_ENCODED = "SELECT pg_char_to_encoding(%s) >= 0"


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database that is there. `objects` are the first few of what is in it: none means empty."""

    oid: int
    owner: str
    may_rename: bool
    may_make_schemas: bool
    tablespace: str
    size_bytes: int | None
    about_rows: int
    sessions: int
    prepared: tuple[str, ...]  # ids of prepared transactions
    slots: tuple[str, ...]  # of logical replication, which stay with the database whatever its name
    has_partitioned_keys: bool
    objects: tuple[str, ...]
    environments: tuple[str, ...]  # in which backups of this very database were made, as far as it knows itself


@dataclass(frozen=True, kw_only=True)
class Target:
    """The server of a target, and the database where it exists. `free_bytes` is None where it can't be seen from here."""

    server_version: str
    server_major: int
    system_identifier: str
    is_standby: bool
    may_create: bool
    roles: frozenset[str]
    roles_of_ours: frozenset[str]  # that our role is a member of, or all, as a superuser
    extensions: dict[str, str]  # that can be installed there, with their versions
    free_bytes: int | None
    database: Database | None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to lose."""
        return self.database is None or not self.database.objects


def examine(server: Server) -> Target:
    """What is at the target. Raises ConnectError when the server can't be reached, PostgresError when it refuses to tell."""
    with connected(maintenance(server), application_name=APPLICATION) as connection:
        version, number, may_create, is_standby = _one(connection, _SERVER)
        identifier = system_identifier(connection)
        return Target(
            server_version=version,
            server_major=number // 10000,
            system_identifier=identifier,
            is_standby=is_standby,
            may_create=may_create,
            roles=frozenset(name for (name,) in connection.execute("SELECT rolname FROM pg_roles")),
            roles_of_ours=frozenset(name for (name,) in connection.execute(_ROLES_OF_OURS)),
            extensions=dict(connection.execute("SELECT name, default_version FROM pg_available_extensions").fetchall()),
            free_bytes=_free_bytes(connection),
            database=_database(connection, server, identifier),
        )


def identity(server: Server) -> tuple[str, int | None]:
    """Which cluster it is and which database: its system identifier and the database's oid, None where it does not exist."""
    with connected(maintenance(server), application_name=APPLICATION) as connection:
        found = connection.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", [server.database]).fetchone()
        return system_identifier(connection), found[0] if found else None


def missing_locale(server: Server, *, encoding: str, locale: Locale) -> str:
    """Why the server can't make a database of that encoding and locale; empty when it can.

    Asks by making a collation of that locale, and rolling it back: pg_collation does not know what was installed later.
    """
    with connected(maintenance(server), application_name=APPLICATION) as connection:
        if not _one(connection, _ENCODED, [encoding])[0]:
            return f"It does not know the encoding {encoding}."
        if locale.provider == "b":
            return "" if connection.info.server_version >= 170000 else "The builtin locales came with PostgreSQL 17."
        provider = PROVIDERS[locale.provider]
        for wanted in {locale.name} if locale.provider == "i" else {locale.collate, locale.ctype}:
            if wanted not in ("C", "POSIX") and (said := _refusal_of(connection, provider, wanted)):
                return said
    return ""


def _refusal_of(connection: Connection, provider: LiteralString, wanted: str) -> str:
    statement = sql.SQL("CREATE COLLATION pg_temp.icb_probe (PROVIDER = {}, LOCALE = {})")
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.format(sql.SQL(provider), sql.Literal(wanted)))
    except psycopg.errors.InsufficientPrivilege:
        return ""  # whether it can is seen when the database is made, which is also before anything is touched
    except psycopg.Error as error:
        return words_of(error).split("\n")[0]
    return ""


def _database(connection: Connection, server: Server, identifier: str) -> Database | None:
    row = connection.execute(_DATABASE, [server.database]).fetchone()
    if row is None:
        return None
    oid, owner, is_owner, tablespace, size_bytes, sessions, prepared, slots, may_make_schemas = row
    may_rename = is_owner and bool(_one(connection, _SERVER)[2])
    with connected(server, application_name=APPLICATION) as inside:
        objects = tuple(f"{kind} {name}" for kind, name in inside.execute(_OBJECTS))
        (about_rows,) = _one(inside, _ABOUT_ROWS)
        (has_partitioned_keys,) = _one(inside, _PARTITIONED_KEYS)
        environments = _environments(inside, server, identifier)
    return Database(
        oid=oid,
        owner=owner,
        may_rename=may_rename,
        may_make_schemas=may_make_schemas,
        tablespace=tablespace,
        size_bytes=size_bytes,
        about_rows=about_rows,
        sessions=sessions,
        prepared=tuple(prepared),
        slots=tuple(slots),
        has_partitioned_keys=has_partitioned_keys,
        objects=objects,
        environments=environments,
    )


def _environments(inside: Connection, server: Server, identifier: str) -> tuple[str, ...]:
    (has_history,) = _one(inside, _HAS_HISTORY)
    if not has_history:
        return ()
    known = {"identifier": identifier, "address": address(host=server.host, port=server.port)}
    try:
        return tuple(sorted(str(name) for (name,) in inside.execute(_ENVIRONMENTS, known)))
    except psycopg.Error:  # a table of that name that is none of ours
        return ()


def _free_bytes(connection: Connection) -> int | None:
    """Free bytes where the server keeps its data; None unless that is a folder of this machine."""
    local = connection.info.host.startswith("/") or connection.info.hostaddr in ("127.0.0.1", "::1")
    try:
        folder = Path(str(_one(connection, "SELECT current_setting('data_directory')")[0]))
    except (psycopg.Error, BackupsError):
        return None
    # A container's server answers on this machine's address, but its folder is another's: ours has its own pid file.
    if not local or not (folder / "postmaster.pid").exists():
        return None
    return shutil.disk_usage(folder).free


def _one(connection: Connection, query: LiteralString, values: Sequence[object] | None = None) -> tuple[Any, ...]:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return row
