"""Puts a proven database in the place of another, keeps the other one, and brings it back: in one transaction each time.

PostgreSQL does all of a swap or nothing, whoever dies in the middle; the comments that it leaves (`marks`) tell which, without
any history.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from backups.exceptions import RefusedError
from backups.postgres import databases, marks
from backups.postgres.connect import Connection, connected, quoted
from backups.postgres.marks import Found, Kept, Mark, kept_copies, mark_staging, stagings, was_swapped_in
from backups.postgres.movable import BusyError, Move, Moves
from backups.postgres.renaming import rename_all
from backups.postgres.sessions import Session, end_sessions, of_users
from backups.types import Server

__all__ = [
    "Kept",
    "Session",
    "Swapped",
    "discard",
    "end_sessions",
    "kept_copies",
    "mark_staging",
    "stagings",
    "swap_in",
    "undo",
    "was_swapped_in",
]
APPLICATION = "restore: discard"
_UNTOUCHED = "Nothing was changed."


@dataclass(frozen=True, kw_only=True)
class Swapped:
    """A swap that was done. `kept` is the name under which the replaced database stays, None where there was none; `at` is the
    moment (UTC) that stands in its mark; nobody could connect to it for `seconds`.
    """

    kept: str | None
    at: datetime
    seconds: float


def swap_in(staging: Server, *, target: str, expected_oid: int | None, run_id: str, at: datetime) -> Swapped:
    """Gives the staging database the name `target`, and the comment of the database that had it, which stays beside it.

    `expected_oid` is the target's pg_database.oid in the plan that was agreed to, None for a database that was not there.
    Sessions on both are ended, and new ones wait. Raises RefusedError, naming what is in the way, and PostgresError; then
    nothing has changed.
    """
    databases.require_possible_name(target)

    def plan(connection: Connection) -> Moves:
        found = marks.found(connection, [staging.database, target])
        staged, present = found.get(staging.database), found.get(target)
        if staged is None:
            raise RefusedError(f"There is no database {staging.database} to put in place. {_UNTOUCHED}", hint="Restore again.")
        _require_expected(target, present, expected_oid)
        if present is None:
            mark = Mark(icb="restored", database=target, restore=run_id, at=at)
            return (Move(database=staged, to=target, comment=mark.text()),)
        kept = _free_name(connection, target, "before", at)
        mark = Mark(icb="kept", database=kept, restore=run_id, at=at, replaced=target, comment=present.comment)
        return (
            Move(database=present, to=kept, comment=mark.text()),
            Move(database=staged, to=target, comment=None if marks.read(present.comment) else present.comment),
        )

    return _swapped(*rename_all(staging, plan), at=at)


def undo(server: Server, kept: Kept, *, at: datetime) -> Swapped:
    """Gives a kept database its name and its comment again, whether or not there is a database of that name now, which then stays
    beside it as `<name>_undone_<time>`; or as `<name>_before_<time>`, where that which was undone is brought back.

    Raises RefusedError where `kept` is not what it was or belongs to somebody else than the present one, and as `swap_in` does.
    """
    databases.require_possible_name(kept.replaced)

    def plan(connection: Connection) -> Moves:
        found = marks.found(connection, [kept.database, kept.replaced])
        copy, mark = _require_still_kept(found.get(kept.database), kept)
        present = found.get(kept.replaced)
        back = Move(database=copy, to=kept.replaced, comment=mark.comment)
        if present is None:
            return (back,)
        _require_same_owner(copy, present)
        is_undone = kept.kind == "before"
        name = _free_name(connection, kept.replaced, "undone" if is_undone else "before", at)
        aside = Mark(
            icb="undone" if is_undone else "kept",
            database=name,
            restore=kept.restore_id,
            at=at,
            replaced=kept.replaced,
            comment=present.comment,
        )
        return (Move(database=present, to=name, comment=aside.text()), back)

    return _swapped(*rename_all(server, plan), at=at)


def discard(server: Server, *copies: Kept) -> None:
    """Drops kept databases for good: all of them, or what could be dropped before somebody connected to the next.

    Raises RefusedError where one is not what it was any more or where somebody is connected to it, and PostgresError.
    """
    with connected(databases.maintenance(server), application_name=APPLICATION) as connection:
        found = marks.found(connection, [kept.database for kept in copies])
        for kept in copies:
            _require_still_kept(found.get(kept.database), kept)
            if connected_to := of_users(connection, [kept.oid]):
                raise _still_used(kept, "\n".join(map(str, connected_to)))
        for kept in copies:
            _drop(connection, kept)


def _drop(connection: Connection, kept: Kept) -> None:
    name = sql.Identifier(kept.database)
    _require_still_kept(marks.found(connection, [kept.database]).get(kept.database), kept)
    is_template = connection.execute("SELECT FROM pg_database WHERE oid = %s::bigint::oid AND datistemplate", [kept.oid])
    if is_template.fetchone() is not None:  # as the one was that it was the database of; a template can't be dropped
        connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(name))
    try:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name))
    except psycopg.errors.ObjectInUse as error:
        raise _still_used(kept, error.diag.message_detail or "") from error


def _still_used(kept: Kept, detail: str) -> BusyError:
    return BusyError(
        f"Somebody is connected to {kept.database}. It was not dropped.",
        detail=detail,
        hint="Close the session, and try again.",
    )


def _swapped(moves: Moves, seconds: float, *, at: datetime) -> Swapped:
    return Swapped(kept=moves[0].to if len(moves) > 1 else None, at=at, seconds=seconds)


def _require_expected(target: str, present: Found | None, expected_oid: int | None) -> None:
    oid = present.oid if present else None
    if oid != expected_oid:
        raise RefusedError(
            f"The database {target} is not the one that the plan has shown. {_UNTOUCHED}",
            detail=f"pg_database.oid: {oid or 'none'} now, {expected_oid or 'none'} then.",
            hint="Somebody has made, dropped or renamed it meanwhile. Look, and restore again.",
        )


def _require_still_kept(copy: Found | None, kept: Kept) -> tuple[Found, Mark]:
    mark = marks.read(copy.comment) if copy else None
    is_it = (
        mark is not None
        and marks.is_kept(mark, kept.database)
        and (mark.restore, mark.replaced) == (kept.restore_id, kept.replaced)
    )
    if copy is None or mark is None or copy.oid != kept.oid or not is_it:
        raise RefusedError(
            f"The database {kept.database} is not the copy that was kept of {kept.replaced}. {_UNTOUCHED}",
            detail="Its comment has no such mark any more, or it is another database, or none." if copy else "It does not exist.",
            hint="icb db list shows what is kept now.",
        )
    return copy, mark


def _require_same_owner(copy: Found, present: Found) -> None:
    """Whoever may create databases could mark one of their own as a kept copy of somebody else's."""
    if copy.owner != present.owner:
        raise RefusedError(
            f"The database {copy.name} belongs to {copy.owner}, and {present.name} to {present.owner}. {_UNTOUCHED}",
            hint=f"If it is the right one, run: ALTER DATABASE {quoted(copy.name)} OWNER TO {quoted(present.owner)}",
        )


def _free_name(connection: Connection, database: str, word: str, at: datetime) -> str:
    """`<name>_<word>_<time in UTC>` in the 63 bytes that PostgreSQL gives a name; the next second's where that one is taken."""
    while True:
        suffix = f"_{word}_{at.astimezone(UTC):%Y%m%dT%H%M%S}"
        name = database.encode()[: databases.MAX_NAME_BYTES - len(suffix)].decode(errors="ignore") + suffix
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            return name
        at += timedelta(seconds=1)
