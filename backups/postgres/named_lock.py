"""A lock with a name: one process at a time does a certain thing, whichever machine it is on.

It is a session's, so it ends with its process. https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from backups.exceptions import PostgresError, RunningError
from backups.postgres.connect import Connection, connect, translated
from backups.types import Server

# The locks with one number of 64 bits are others than those with two of 32, of which `lock.py` has one.
_HELD = """
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() AND objsubid = 1
      AND (classid::bigint << 32) | objid::bigint = %s
"""
_HOLDER = """
    SELECT l.pid, coalesce(host(a.client_addr), 'the server itself'), to_char(a.backend_start AT TIME ZONE 'UTC', 'HH24:MI:SS')
      FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND a.datid = l.database AND a.datname = current_database()
      WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND (l.classid::bigint << 32) | l.objid::bigint = %s
"""


@contextmanager
def named_lock(server: Server, name: str) -> Iterator[Connection]:
    """Holds the lock for the length of the block; the session's application name is `name`.

    Raises RunningError when somebody else has it, whose session is its detail; ConnectError when the server can't be reached.
    """
    connection = connect(server, application_name=name)
    try:
        with translated():
            (got,) = connection.execute("SELECT pg_try_advisory_lock(%s)", [_number(name)]).fetchone() or (False,)
        if not got:
            raise RunningError(
                f"Another one is at it: {name}.", detail=_holder(connection, name), hint="Wait until it has ended."
            )
        yield connection
    finally:
        connection.close()


def require_held(connection: Connection, name: str) -> None:
    """Raises PostgresError when the lock of this session is gone: with the session, or because a pooler has shuffled it."""
    with translated():
        held = connection.execute(_HELD, [_number(name)]).fetchone() is not None
    if not held:
        raise PostgresError(
            "The lock that keeps two runs apart was lost.",
            hint="Connect to PostgreSQL itself: behind a pooler in transaction mode, sessions keep no locks.",
        )


def _holder(connection: Connection, name: str) -> str:
    """Whose session has the lock; "" where it has just let go, or this role may not see."""
    with translated():
        found = connection.execute(_HOLDER, [_number(name)]).fetchone()
    return "Session {} on the server, from {}, since {} UTC.".format(*found) if found else ""


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
