"""One run per database at a time: a session-level advisory lock on a connection of its own.

The lock ends with its session, so a run whose lock is free is dead, whatever its row says.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Literal

from backups.exceptions import RunningError
from backups.postgres import advisory
from backups.postgres.advisory import AdvisoryLock, Holder
from backups.postgres.connect import Connection, connect, translated
from backups.types import Server

LOCK = AdvisoryLock(high=0x1CB, low=1, parts=2)  # "icb"; they are per database, so one pair of numbers serves every database
TIDYING_SECONDS = 60  # within which whoever tidies up after dead runs has let go of it


@contextmanager
def run_lock(server: Server, *, run_id: str, doing: Literal["backup", "restore", "tidy"] = "backup") -> Iterator[Connection]:
    """Holds the lock for the length of the block. The connection is in autocommit and free for short queries; its application
    name is `<doing>:<run_id>`. Who only tidies up after dead runs has it for moments, so a run waits for that.

    Raises RunningError naming the run that holds it.
    """
    connection = connect(server, application_name=f"{doing}:{run_id}")
    patience = monotonic() + TIDYING_SECONDS
    try:
        with translated():
            while not _try_lock(connection):
                holder = advisory.holder(connection, LOCK)
                is_let_go = holder is None or holder.application_name.startswith("tidy:")  # just now, or in a moment
                if doing == "tidy" or not is_let_go or monotonic() > patience:
                    raise _held_by(server, holder)
                sleep(0.1)
        yield connection
    finally:
        connection.close()


def require_held(connection: Connection) -> None:
    """Raises PostgresError when the lock of this session is gone: then another run may have begun to tidy up after this one."""
    advisory.require_held(connection, LOCK)


def end_sessions_of(connection: Connection, *, run_id: str) -> int:
    """Ends what a dead run left in this database: its sessions carry its id as application name. Waits; returns how many."""
    query = (
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE application_name IN (%s, %s) AND pid <> pg_backend_pid() AND datname = current_database()"
    )
    with translated():
        (ended,) = connection.execute(query, [f"backup:{run_id}", f"restore:{run_id}"]).fetchone() or (0,)
    return int(ended)


def _try_lock(connection: Connection) -> bool:
    (got,) = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK.high, LOCK.low]).fetchone() or (False,)
    return bool(got)


def _held_by(server: Server, holder: Holder | None) -> RunningError:
    name = holder.application_name if holder else ""
    return RunningError(
        f"A restore onto {server.database} is running."
        if name.startswith("restore:")
        else f"A backup of {server.database} is already running.",
        detail=f"{name or 'another role'}, {holder.session}." if holder else "",
        hint="Wait until it has ended." if name.startswith("restore:") else "Wait until it has ended: icb db list shows it.",
    )
