"""What the server tells of an advisory lock: whose it is, and whether it is still ours.

https://www.postgresql.org/docs/current/view-pg-locks.html
"""

from dataclasses import astuple, dataclass

from backups.exceptions import PostgresError
from backups.postgres.connect import Connection, translated

_HELD = """
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
      AND classid = %s::bigint::oid AND objid = %s::bigint::oid AND objsubid = %s
"""
# Of another role's session a role may not see more than the pid.
_HOLDER = """
    SELECT coalesce(a.application_name, ''), l.pid, coalesce(date_trunc('second', clock_timestamp() - a.backend_start)::text, '')
      FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE l.locktype = 'advisory' AND l.granted
        AND l.classid = %s::bigint::oid AND l.objid = %s::bigint::oid AND l.objsubid = %s
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True)
class AdvisoryLock:
    """As pg_locks has it. Two numbers of 32 bits, where `parts` is 2; the halves of one of 64 bits, where it is 1."""

    high: int
    low: int
    parts: int


@dataclass(frozen=True)
class Holder:
    """The session that has a lock: its application name and age, "" where this role may not see them."""

    application_name: str
    pid: int
    age: str

    @property
    def session(self) -> str:
        """For people, in the middle of a sentence."""
        return f"session {self.pid} on the server{f', for {self.age}' if self.age else ''}"


def holder(connection: Connection, lock: AdvisoryLock) -> Holder | None:
    """None where it has just been let go of."""
    found = connection.execute(_HOLDER, astuple(lock)).fetchone()
    return Holder(*found) if found else None


def require_held(connection: Connection, lock: AdvisoryLock) -> None:
    """Raises PostgresError when the lock of this session is gone: with the session, or because a pooler has shuffled it."""
    with translated():
        held = connection.execute(_HELD, astuple(lock)).fetchone() is not None
    if not held:
        raise PostgresError(
            "The lock that keeps two runs apart was lost.",
            hint="Connect to PostgreSQL itself: behind a pooler in transaction mode, sessions keep no locks.",
        )
