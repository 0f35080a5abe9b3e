"""Databases that are to get another name, and what must be so before anybody is told to go for that."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from backups import interrupts
from backups.exceptions import CancelledError, RefusedError
from backups.postgres import sessions
from backups.postgres.connect import Connection, quoted
from backups.postgres.marks import Found
from backups.postgres.sessions import Session

UNTOUCHED = "Nothing was changed."
_MAY_CREATE = "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
_PREPARED = "SELECT gid, database FROM pg_prepared_xacts WHERE database = ANY(%s) ORDER BY 1"


@dataclass(frozen=True, kw_only=True)
class Move:
    """One database that gets another name and another comment."""

    database: Found
    to: str
    comment: str | None


Moves = Sequence[Move]


class BusyError(RefusedError):
    """The database is in use."""


def require_wanted(moves: Moves) -> None:
    """Raises CancelledError after a signal, also a held one."""
    if interrupts.came():
        raise CancelledError(f"Cancelled before {names(moves)} was renamed. {UNTOUCHED}")


def require_rights(watcher: Connection, moves: Moves) -> None:
    """The owner with CREATEDB, or a superuser, as https://www.postgresql.org/docs/current/sql-alterdatabase.html has it.

    Raises RefusedError.
    """
    role = quoted(_role(watcher))
    for move in moves:
        if not move.database.is_ours:
            owner = quoted(move.database.owner)
            raise RefusedError(
                f"The role {role} may not rename {move.database.name}, which belongs to {owner}. {UNTOUCHED}",
                hint=f"Let a superuser run: GRANT {owner} TO {role}; or connect as {owner} or as a superuser.",
            )
    if watcher.execute(_MAY_CREATE).fetchone() != (True,):
        raise RefusedError(
            f"The role {role} may not rename databases: it lacks CREATEDB. {UNTOUCHED}",
            hint=f"Let a superuser run: ALTER ROLE {role} CREATEDB",
        )


def require_free(watcher: Connection, moves: Moves) -> None:
    """Before anybody is told to go: is there somebody who will not? Raises RefusedError, and BusyError for sessions."""
    require_nothing_prepared(watcher, moves)
    require_endable(watcher, moves, sessions.of_users(watcher, oids(moves)))


def require_nothing_prepared(watcher: Connection, moves: Moves) -> None:
    """A transaction that waits for its COMMIT PREPARED belongs to no session that could be ended. Raises RefusedError."""
    prepared = watcher.execute(_PREPARED, [[move.database.name for move in moves]]).fetchall()
    if prepared:
        gid, database = prepared[0]
        raise RefusedError(
            f"A prepared transaction keeps {database} from being renamed. {UNTOUCHED}",
            detail=", ".join(str(gid) for gid, _database in prepared),
            hint=f"In {database}, run COMMIT PREPARED {_quoted(gid)} or ROLLBACK PREPARED {_quoted(gid)}, and try again.",
        )


def require_endable(watcher: Connection, moves: Moves, found: Sequence[Session]) -> None:
    """Whether our role may end these sessions. Raises BusyError."""
    staying = [session for session in found if not session.may_end]
    if staying:
        role = quoted(_role(watcher))
        raise BusyError(
            f"The role {role} may not end sessions that are connected to {names(moves)}. {UNTOUCHED}",
            detail="\n".join(map(str, staying)),
            hint=f"Close them, or let a superuser run GRANT pg_signal_backend TO {role}: it may end all but a superuser's then.",
        )


def _role(connection: Connection) -> str:
    (name,) = connection.execute("SELECT current_user").fetchone() or ("",)
    return str(name)


def oids(moves: Moves) -> list[int]:
    """Of the databases."""
    return [move.database.oid for move in moves]


def names(moves: Moves) -> str:
    """Of the databases, for a sentence."""
    return " or ".join(move.database.name for move in moves)


def _quoted(text: str) -> str:
    return sql.Literal(text).as_string(None)
