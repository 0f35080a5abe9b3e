"""A lock with a name: one process at a time does a certain thing, whichever machine it is on.

It is a session's, so it ends with its process. https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from backups.exceptions import RunningError
from backups.postgres import advisory
from backups.postgres.advisory import AdvisoryLock
from backups.postgres.connect import Connection, connect, translated
from backups.types import Server

_HALF = (1 << 32) - 1


@contextmanager
def named_lock(server: Server, name: str, *, taken: str = "", hint: str = "") -> Iterator[Connection]:
    """Holds the lock for the length of the block; the session's application name is `name`.

    Raises RunningError when somebody else has it: in the words of `taken` and `hint`, with the session that has it as detail.
    ConnectError when the server can't be reached.
    """
    connection = connect(server, application_name=name)
    try:
        with translated():
            (got,) = connection.execute("SELECT pg_try_advisory_lock(%s)", [_number(name)]).fetchone() or (False,)
            holder = None if got else advisory.holder(connection, _lock(name))
        if not got:
            raise RunningError(
                taken or f"Another one is at it: {name}.",
                detail=f"{holder.session.capitalize()}." if holder else "",
                hint=hint or "Wait until it has ended.",
            )
        yield connection
    finally:
        connection.close()


def require_held(connection: Connection, name: str) -> None:
    """Raises PostgresError when the lock of this session is gone, as `advisory.require_held` does."""
    advisory.require_held(connection, _lock(name))


def _lock(name: str) -> AdvisoryLock:
    number = _number(name)
    return AdvisoryLock(high=number >> 32 & _HALF, low=number & _HALF, parts=1)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
