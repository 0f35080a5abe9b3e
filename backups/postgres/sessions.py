"""Who is connected to a database, and telling them to go."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import LiteralString

from backups.postgres.connect import Connection, connected
from backups.postgres.databases import maintenance
from backups.types import Server

APPLICATION = "restore: sessions"
_PATIENCE_SECONDS = 5
# Ending a session takes a superuser for a superuser's, else its role or pg_signal_backend.
# https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-SIGNAL
_SESSIONS = """
    SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''),
           me.rolsuper OR NOT coalesce(owner.rolsuper, true)
             AND (pg_has_role(owner.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')) AS may_end
    FROM pg_stat_activity a JOIN pg_roles me ON me.rolname = current_user LEFT JOIN pg_roles owner ON owner.oid = a.usesysid
"""
# Workers of PostgreSQL's own, such as autovacuum's, have no user: they make way by themselves.
_OF_USERS = " WHERE a.datid = ANY(%s::bigint[]::oid[]) AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL ORDER BY a.pid"
_OF_ANYBODY = (
    " WHERE a.datid = ANY(%s::bigint[]::oid[]) AND a.pid <> pg_backend_pid() AND (a.usesysid IS NOT NULL OR me.rolsuper)"
)


@dataclass(frozen=True, kw_only=True)
class Session:
    """Somebody who is connected. `client_addr` is "" on a Unix socket; `may_end` says whether our role may end it."""

    pid: int
    user: str
    application_name: str
    client_addr: str
    may_end: bool

    def __str__(self) -> str:
        application = f" ({self.application_name})" if self.application_name else ""
        return f"{self.user or 'a worker of the server'}{application} from {self.client_addr or 'a socket'}, session {self.pid}"


def end_sessions(server: Server, *, but: str = "restore:") -> tuple[Session, ...]:
    """Ends the sessions on the database, those excepted whose application name has `but` in it: a restore's own, which hold its
    lock. Waits up to 5 s until they are gone; returns those that stayed because our role may not end them, or did not listen.

    Nobody is kept from coming back.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with connected(maintenance(server), application_name=APPLICATION) as connection:
        oids = _oids(connection, server)
        told = {session.pid for session in of_users(connection, oids) if but not in session.application_name}
        while left := tuple(session for session in of_users(connection, oids) if session.pid in told):
            end(connection, left)
            if not any(session.may_end for session in left) or time.monotonic() > deadline:
                return left
            time.sleep(0.02)
    return ()


def of_users(connection: Connection, oids: Collection[int]) -> tuple[Session, ...]:
    """Sessions of roles on the databases."""
    return _sessions(connection, _SESSIONS + _OF_USERS, oids)


def of_anybody(connection: Connection, oids: Collection[int]) -> tuple[Session, ...]:
    """Also PostgreSQL's own workers, where we are a superuser who may end them."""
    return _sessions(connection, _SESSIONS + _OF_ANYBODY, oids)


def end(connection: Connection, found: Collection[Session]) -> None:
    """Tells those to go that our role may end. It does not wait."""
    pids = [session.pid for session in found if session.may_end]
    if pids:
        connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) pid", [pids])


def _sessions(connection: Connection, query: LiteralString, oids: Collection[int]) -> tuple[Session, ...]:
    return tuple(
        Session(pid=pid, user=user, application_name=application, client_addr=address, may_end=may_end)
        for pid, user, application, address, may_end in connection.execute(query, [list(oids)])
    )


def _oids(connection: Connection, server: Server) -> list[int]:
    found = connection.execute("SELECT oid::bigint FROM pg_database WHERE datname = %s", [server.database])
    return [oid for (oid,) in found]
