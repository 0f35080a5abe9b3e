"""Databases as a whole on a target server: is it there, is it empty, make it, rename it, drop it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import LiteralString

import psycopg
from psycopg import sql

from backups.exceptions import RefusedError, UsageError
from backups.postgres.connect import Connection, connected, words_of
from backups.types import Locale, Server

MAINTENANCE_DATABASE = "postgres"
SERVER_DATABASES = frozenset({"postgres", "template0", "template1"})
MAX_NAME_BYTES = 63
_PROVIDERS: dict[str, LiteralString] = {"c": "libc", "i": "icu", "b": "builtin"}
_LOCALE_WORDS: dict[str, LiteralString] = {"i": "ICU_LOCALE", "b": "BUILTIN_LOCALE"}
_ALIVE = "restore alive:"
# Anything of a user's: a relation, a function, a type, a schema or an extension that a new database does not have.
_OBJECTS = """
    SELECT kind, name FROM (
        SELECT 'table or view' AS kind, n.nspname || '.' || c.relname AS name
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
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


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target database as it is now. `objects` are the first few of what is in it: none means empty."""

    exists: bool
    objects: tuple[str, ...]
    server_version: str
    server_major: int
    roles: frozenset[str]
    may_create: bool


def require_possible_name(database: str) -> None:
    """Raises UsageError for a name that PostgreSQL would cut, RefusedError for a database that belongs to the server itself.

    What is in template1 would be in every database that is made from then on.
    """
    if len(database.encode()) > MAX_NAME_BYTES or not database or "\0" in database:
        raise UsageError(f"{database[:80]!r} can't be the name of a database.", detail="A name has 1 to 63 bytes.")
    if database in SERVER_DATABASES:
        raise RefusedError(
            f"{database} belongs to the server itself; nothing is restored into it.",
            hint="Restore into a new database: --target-dbname NAME. It is made for you.",
        )


def examine(server: Server) -> Target:
    """What is at the target. Raises ConnectError when the server can't be reached."""
    with connected(maintenance(server), application_name="restore: plan") as connection:
        version, number = _row(connection, "SELECT current_setting('server_version'), current_setting('server_version_num')::int")
        roles = frozenset(name for (name,) in connection.execute("SELECT rolname FROM pg_roles"))
        exists = connection.execute("SELECT FROM pg_database WHERE datname = %s", [server.database]).fetchone() is not None
        may_create = connection.execute(
            "SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreatedb)"
        ).fetchone()
    objects: tuple[str, ...] = ()
    if exists:
        with connected(server, application_name="restore: plan") as connection:
            objects = tuple(f"{kind} {name}" for kind, name in connection.execute(_OBJECTS))
    return Target(
        exists=exists,
        objects=objects,
        server_version=version,
        server_major=number // 10000,
        roles=roles,
        may_create=may_create is not None,
    )


def create(server: Server, *, encoding: str, locale: Locale) -> None:
    """Makes the database, empty, from template0, with the encoding and locale of the one that was backed up.

    Raises RefusedError where the target server does not have that locale: other rules would sort and compare differently,
    and nobody would notice.
    """
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}").format(
        sql.Identifier(server.database), sql.Literal(encoding), sql.Literal(locale.collate), sql.Literal(locale.ctype)
    )
    with connected(maintenance(server), application_name="restore: create") as connection:
        if connection.info.server_version >= 150000:  # before, libc was the only one
            statement += sql.SQL(" LOCALE_PROVIDER {}").format(sql.SQL(_PROVIDERS[locale.provider]))
        if locale.name:
            statement += sql.SQL(" {} {}").format(sql.SQL(_LOCALE_WORDS[locale.provider]), sql.Literal(locale.name))
        try:
            connection.execute(statement)
        except (psycopg.errors.WrongObjectType, psycopg.errors.InvalidParameterValue, psycopg.errors.SyntaxError) as error:
            raise RefusedError(
                f"The target server can't make a database like the one that was backed up: encoding {encoding}, locale"
                f" {locale.name or locale.collate} ({_PROVIDERS[locale.provider]}).",
                detail=words_of(error),
                hint="Install the locale there; or create the database yourself, empty, with another locale, and restore.",
            ) from error


@contextmanager
def restoring(server: Server, *, run_id: str) -> Iterator[Connection]:
    """A session in the maintenance database that tells others, for as long as it lasts, that this restore is alive."""
    with connected(maintenance(server), application_name=_ALIVE + run_id) as connection:
        yield connection


def restores_alive(connection: Connection) -> set[str]:
    """Ids of the runs that are `restoring` to this server now."""
    names = connection.execute("SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, %s)", [_ALIVE])
    return {name.removeprefix(_ALIVE) for (name,) in names}


def staging_name(database: str, *, run_id: str) -> str:
    """`<name>_restoring_<id>`, shortened to the 63 bytes that PostgreSQL gives a name."""
    suffix = f"_restoring_{run_id[:8]}"
    return database.encode()[: 63 - len(suffix)].decode(errors="ignore") + suffix


def rename(server: Server, *, to: str) -> None:
    """Gives the database another name. PostgreSQL refuses while anyone is connected to it, or if the name is taken."""
    with connected(maintenance(server), application_name="restore: rename") as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(server.database), sql.Identifier(to)))


def drop(server: Server) -> None:
    """Drops the database with its sessions; harmless when it is not there."""
    with connected(maintenance(server), application_name="restore: drop") as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(server.database)))


def maintenance(server: Server) -> Server:
    """The same server and role, in the database that every cluster has."""
    return replace(server, database=MAINTENANCE_DATABASE)


def _row(connection: Connection, query: str) -> tuple[str, int]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0], row[1]
