"""Renames databases that are in use, all of them in one transaction, in an instant.

ALTER DATABASE … RENAME takes the lock that every new session waits for, and then wants to be alone: it looks ten times a
second for 5 s (CountOtherDBBackends). So a second session first holds a weaker lock, which lets sessions in; the rename queues
behind it, and behind the rename everybody who would connect. A third one ends the sessions that are left. When there are none,
the second lets go, and the rename finds nobody. https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/commands/dbcommands.c
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

import psycopg
from psycopg import sql

from backups.exceptions import ConnectError, PostgresError, RefusedError
from backups.postgres import sessions
from backups.postgres.connect import Connection, connected, words_of
from backups.postgres.databases import maintenance
from backups.postgres.marks import comment_on
from backups.postgres.movable import (
    UNTOUCHED,
    BusyError,
    Moves,
    names,
    oids,
    require_endable,
    require_free,
    require_nothing_prepared,
    require_rights,
    require_wanted,
)
from backups.types import Server

APPLICATION = "restore: swap"
ATTEMPTS = 4
PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 5.0  # for sessions that are told to go, in each attempt; as long as PostgreSQL waits itself
TICK_SECONDS = 0.002
# The lock on a database as a whole: https://www.postgresql.org/docs/current/view-pg-locks.html
_LOCKS = """
    SELECT coalesce(bool_or(pid = %(mover)s AND NOT granted), false),
           coalesce(array_agg(pid) FILTER (WHERE granted AND pid NOT IN (%(mover)s, %(barrier)s)), '{}')
    FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND objid = ANY(%(oids)s::bigint[]::oid[])
"""

# Looks at the databases and says what should become of them. Raises RefusedError.
Plan = Callable[[Connection], Moves]


def rename_all(server: Server, plan: Plan) -> tuple[Moves, float]:
    """Carries the plan out, all of it or nothing; returns it, with the seconds for which nobody could connect.

    Raises RefusedError where our role may not rename, where sessions or prepared transactions don't go away, and what the plan
    raises, and CancelledError after a signal, also a held one; then nothing has changed. Raises PostgresError.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _attempt(server, plan)
        except BusyError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _attempt(server: Server, plan: Plan) -> tuple[Moves, float]:
    place = maintenance(server)
    with (
        connected(place, application_name=APPLICATION) as watcher,
        connected(place, application_name=APPLICATION) as barrier,
        connected(place, application_name=APPLICATION) as mover,
    ):
        moves = plan(watcher)
        require_wanted(moves)
        require_rights(watcher, moves)
        require_free(watcher, moves)
        _raise_barrier(barrier, watcher, moves)
        try:
            if plan(watcher) != moves:
                raise BusyError(f"Somebody else is renaming {names(moves)}. {UNTOUCHED}", hint="Try again.")
            return moves, _rename(moves, watcher=watcher, barrier=barrier, mover=mover, server=server)
        finally:
            with suppress(psycopg.Error):
                barrier.rollback()


def _raise_barrier(barrier: Connection, watcher: Connection, moves: Moves) -> None:
    """COMMENT takes a lock on the database that stands in the way of a rename and of nobody who connects. It is rolled back."""
    barrier.execute("SET lock_timeout = '5s'")
    barrier.execute("BEGIN")
    try:
        for move in moves:
            barrier.execute(comment_on(move.database.name, move.database.comment))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise _locked_by_others(watcher, moves, barrier=barrier, mover=barrier) from error


def _rename(moves: Moves, *, watcher: Connection, barrier: Connection, mover: Connection, server: Server) -> float:
    mover.execute("SET lock_timeout = '10s'")
    pid = mover.info.backend_pid  # a broken connection has none
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=1) as thread:
        done = thread.submit(_in_one_transaction, mover, moves)
        try:
            _clear_the_way(moves, done, watcher=watcher, barrier=barrier, mover=mover)
        except BaseException as error:
            _call_off(done, mover)
            if not isinstance(error, Exception) or (done.exception() is not None and not _was_cut_off(done.exception(), mover)):
                raise
        seconds = time.monotonic() - started
    try:
        done.result()
    except psycopg.Error as error:
        if _was_cut_off(error, mover):
            mover.close()
            _require_done_after_all(server, moves, pid=pid, error=error)
        else:
            raise _explained(error, watcher, moves, barrier=barrier, mover=mover) from error
    return seconds


def _was_cut_off(error: BaseException | None, mover: Connection) -> bool:
    """Whether the session ended, and nobody has told what became of its transaction. The server's last words, that it ends the
    session, may be here before the end: https://www.postgresql.org/docs/current/errcodes-appendix.html, class 57.
    """
    return mover.broken or str(getattr(error, "sqlstate", "")).startswith("57P")


def _in_one_transaction(mover: Connection, moves: Moves) -> None:
    statements = [
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(move.database.name), sql.Identifier(move.to))
        for move in moves
    ]
    statements += [comment_on(move.to, move.comment) for move in moves]
    with mover.transaction():
        mover.execute(sql.SQL("; ").join(statements))  # at once: whoever connects waits for every round trip
        if not _is_done(mover, moves):  # whoever had the lock before us may have given the names to others
            raise psycopg.errors.ObjectInUse("the names belong to other databases now")


def _is_done(connection: Connection, moves: Moves) -> bool:
    rows = connection.execute("SELECT oid::bigint, datname FROM pg_database WHERE oid = ANY(%s::bigint[]::oid[])", [oids(moves)])
    return set(rows) == {(move.database.oid, move.to) for move in moves}


def _clear_the_way(moves: Moves, done: Future[None], *, watcher: Connection, barrier: Connection, mover: Connection) -> None:
    """Ends sessions until the rename is through. Lets it go when it is next in line and nobody is left."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    is_open = False
    while not done.done():
        require_wanted(moves)
        # First the locks: who connects has one until the list of sessions shows it.
        is_queued, holders = _locks(watcher, moves, barrier=barrier, mover=mover)
        left = sessions.of_anybody(watcher, oids(moves))
        require_endable(watcher, moves, left)
        sessions.end(watcher, left)
        if is_queued and not left and not holders and not is_open:
            barrier.rollback()
            is_open = True
        if time.monotonic() > deadline:
            raise _in_use(watcher, moves) if left else _locked_by_others(watcher, moves, barrier=barrier, mover=mover)
        wait([done], timeout=TICK_SECONDS)


def _call_off(done: Future[None], mover: Connection) -> None:
    """Cancels the rename, again and again: between two statements it does not hear. Waits for its end."""
    while not done.done():
        with suppress(psycopg.Error):
            mover.cancel_safe(timeout=1)
        wait([done], timeout=0.05)


def _require_done_after_all(server: Server, moves: Moves, *, pid: int, error: psycopg.Error) -> None:
    """The connection broke, perhaps after the commit. Asks the server, as soon as it answers, what has become of it."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with connected(maintenance(server), application_name=APPLICATION) as connection:
                query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = %s AND application_name = %s"
                connection.execute(query, [pid, APPLICATION])
                is_done = _is_done(connection, moves)
                break
        except (ConnectError, PostgresError) as lost:
            if time.monotonic() > deadline:
                raise PostgresError(
                    f"The connection broke while {names(moves)} was renamed: either all of it was done or nothing.",
                    detail=str(lost),
                    hint="icb db list shows the databases that were kept, as soon as the server answers.",
                ) from error
            time.sleep(0.5)
    if not is_done:
        raise PostgresError(
            f"The connection broke while {names(moves)} was renamed. {UNTOUCHED}", detail=words_of(error), hint="Try again."
        )


def _explained(
    error: psycopg.Error, watcher: Connection, moves: Moves, *, barrier: Connection, mover: Connection
) -> RefusedError | PostgresError:
    match error:
        case psycopg.errors.ObjectInUse():
            return _in_use(watcher, moves)
        case psycopg.errors.LockNotAvailable() | psycopg.errors.DeadlockDetected():
            return _locked_by_others(watcher, moves, barrier=barrier, mover=mover)
        case psycopg.errors.DuplicateDatabase() | psycopg.errors.InvalidCatalogName() | psycopg.errors.QueryCanceled():
            return BusyError(f"{names(moves)} could not be renamed. {UNTOUCHED}", detail=words_of(error), hint="Try again.")
        case _:
            return PostgresError(f"{names(moves)} could not be renamed. {UNTOUCHED}", detail=words_of(error))


def _in_use(watcher: Connection, moves: Moves) -> RefusedError:
    """What PostgreSQL's "is being accessed by other users" does not say: by whom."""
    with suppress(psycopg.Error):
        require_nothing_prepared(watcher, moves)
    return BusyError(
        f"Sessions that are connected to {names(moves)} did not go when they were told to. {UNTOUCHED}",
        detail="\n".join(map(str, sessions.of_users(watcher, oids(moves)))),
        hint="Stop what connects there, and try again.",
    )


def _locked_by_others(watcher: Connection, moves: Moves, *, barrier: Connection, mover: Connection) -> BusyError:
    _queued, holders = _locks(watcher, moves, barrier=barrier, mover=mover)
    return BusyError(
        f"Another session has locked {names(moves)}. {UNTOUCHED}",
        detail=f"Sessions of the server: {', '.join(map(str, holders))}" if holders else "",
        hint="Wait until it has ended (SELECT * FROM pg_stat_activity WHERE pid = …), and try again.",
    )


def _locks(watcher: Connection, moves: Moves, *, barrier: Connection, mover: Connection) -> tuple[bool, list[int]]:
    """Whether the rename waits for its lock, and who else has one."""
    values = {"mover": mover.info.backend_pid, "barrier": barrier.info.backend_pid, "oids": oids(moves)}
    is_queued, holders = watcher.execute(_LOCKS, values).fetchone() or (False, [])
    return is_queued, holders
