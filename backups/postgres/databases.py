"""Databases as a whole on a target server: may it have that name, make it, tell who restores to it, drop it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import LiteralString

import psycopg
from psycopg import sql

from backups.exceptions import RefusedError, UsageError
from backups.postgres.connect import Connection, connected, words_of
from backups.types import Locale, Server

MAINTENANCE_DATABASE = "postgres"
SERVER_DATABASES = frozenset({"postgres", "template0", "template1"})
MAX_NAME_BYTES = 63
PROVIDERS: dict[str, LiteralString] = {"c": "libc", "i": "icu", "b": "builtin"}
_LOCALE_WORDS: dict[str, LiteralString] = {"i": "ICU_LOCALE", "b": "BUILTIN_LOCALE"}
_RESTORE_ALIVE, _BACKUP_ALIVE = "restore alive:", "backup alive:"


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


def create(
    server: Server,
    *,
    encoding: str | None = None,
    locale: Locale | None = None,
    tablespace: str | None = None,
    run_id: str = "",
) -> None:
    """Makes the database, empty, from template0, with the encoding and locale of the one that was backed up.

    What is None is template0's. It can't be moved to another tablespace in an instant later, so one that is to replace another
    is made in that one's. `run_id` is of the restore that makes it, and told as the session's name.

    Raises RefusedError where the target server does not have that locale (other rules would sort and compare differently, and
    nobody would notice), or where the role may not use the tablespace.
    """
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(server.database))
    if encoding is not None:
        statement += sql.SQL(" ENCODING {}").format(sql.Literal(encoding))
    with connected(maintenance(server), application_name=f"restore:{run_id}") as connection:
        if locale is not None:
            statement += _locale_clause(locale, server_version=connection.info.server_version)
        # Said or not said is not the same: naming even the default one takes a privilege on it.
        if tablespace is not None and tablespace != _tablespace_of_template0(connection):
            statement += sql.SQL(" TABLESPACE {}").format(sql.Identifier(tablespace))
        try:
            connection.execute(statement)
        except (psycopg.errors.WrongObjectType, psycopg.errors.InvalidParameterValue, psycopg.errors.SyntaxError) as error:
            if locale is None:
                raise
            raise RefusedError(
                f"The target server can't make a database like the one that was backed up: encoding {encoding}, locale"
                f" {locale.name or locale.collate} ({PROVIDERS[locale.provider]}).",
                detail=words_of(error),
                hint="Install the locale there; or create the database yourself, empty, with another locale, and restore.",
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            if tablespace is None:
                raise
            grant = sql.SQL("GRANT CREATE ON TABLESPACE {} TO {}").format(
                sql.Identifier(tablespace), sql.Identifier(connection.info.user)
            )
            raise RefusedError(
                f"The role {connection.info.user} may not create a database in the tablespace {tablespace}.",
                detail=words_of(error),
                hint=f"Let a superuser run: ALTER ROLE … CREATEDB; {grant.as_string(None)}",
            ) from error


def _locale_clause(locale: Locale, *, server_version: int) -> sql.Composed:
    clause = sql.SQL(" LC_COLLATE {} LC_CTYPE {}").format(sql.Literal(locale.collate), sql.Literal(locale.ctype))
    if server_version >= 150000:  # before, libc was the only one
        clause += sql.SQL(" LOCALE_PROVIDER {}").format(sql.SQL(PROVIDERS[locale.provider]))
    if locale.name:
        clause += sql.SQL(" {} {}").format(sql.SQL(_LOCALE_WORDS[locale.provider]), sql.Literal(locale.name))
    return clause


def _tablespace_of_template0(connection: Connection) -> str:
    query = "SELECT spcname FROM pg_tablespace t JOIN pg_database d ON d.dattablespace = t.oid WHERE datname = 'template0'"
    (name,) = connection.execute(query).fetchone() or ("pg_default",)
    return str(name)


@contextmanager
def restoring(server: Server, *, run_id: str) -> Iterator[Connection]:
    """A session in the maintenance database that tells others, for as long as it lasts, that this restore is alive."""
    with connected(maintenance(server), application_name=_RESTORE_ALIVE + run_id) as connection:
        yield connection


def restores_alive(connection: Connection) -> set[str]:
    """Ids of the runs that are `restoring` to this server now."""
    return _alive(connection, _RESTORE_ALIVE)


@contextmanager
def backing_up(server: Server, *, run_id: str) -> Iterator[None]:
    """A session on the server of the history that tells others, for as long as it lasts, that this backup is alive."""
    with connected(maintenance(server), application_name=_BACKUP_ALIVE + run_id):
        yield


def backups_alive(server: Server) -> set[str]:
    """Ids of the runs that are `backing_up` now, as told on the server of the history."""
    with connected(maintenance(server), application_name="who is alive?") as connection:
        return _alive(connection, _BACKUP_ALIVE)


def _alive(connection: Connection, prefix: str) -> set[str]:
    names = connection.execute("SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, %s)", [prefix])
    return {name.removeprefix(prefix) for (name,) in names}


def named(server: Server, database: str) -> Server:
    """Another database of the same server."""
    return replace(server, database=database)


def staging_name(database: str, *, run_id: str) -> str:
    """`<name>_restoring_<id>`, shortened to the 63 bytes that PostgreSQL gives a name."""
    suffix = f"_restoring_{run_id[:8]}"
    return database.encode()[: MAX_NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix


def drop(server: Server) -> None:
    """Drops the database with its sessions; harmless when it is not there."""
    with connected(maintenance(server), application_name="restore: drop") as connection:
        templates = connection.execute("SELECT FROM pg_database WHERE datname = %s AND datistemplate", [server.database])
        if templates.fetchone() is not None:  # as the one is whose place it was to take; a template can't be dropped
            connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(server.database)))
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(server.database)))


def maintenance(server: Server) -> Server:
    """The same server and role, in the database that every cluster has."""
    return replace(server, database=MAINTENANCE_DATABASE)
