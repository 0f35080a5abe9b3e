"""Swapping databases on real servers that are in use, with processes killed in the middle of it."""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from backups.exceptions import BackupsError, PostgresError, RefusedError
from backups.postgres import databases, marks, movable, properties, renaming, sessions, swap
from backups.postgres.connect import connected
from backups.types import Locale, Server
from ichrisbirch_site.embedded import PROJECT, services
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import connect, server_of, until
from tests.services import new_home

AT = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
RUN = "0a1b2c3d-0000-4000-8000-000000000000"
ROUNDS = 8
WEIRD = "we \"ird'=n\name ü%s --x"
KILLED = """
import json, sys
from datetime import UTC, datetime
from backups.postgres import swap
from backups.types import Server
server, target, oid, run_id = json.load(sys.stdin)
sys.stdin.close()
swap.swap_in(Server(**server), target=target, expected_oid=oid, run_id=run_id, at=datetime.now(UTC))
"""


class World:
    """A server with a target database that holds "old" and a staging database that holds "new"."""

    def __init__(self, admin: Server) -> None:
        self.admin = admin
        self.prefix = f"t{uuid4().hex[:8]}"
        self.target = self.make(f"{self.prefix}_shop", "old")
        self.staging = self.make(f"{self.prefix}_shop_restoring_0a1b2c3d", "new")
        self.roles: list[str] = []

    def make(self, name: str, content: str) -> Server:
        server = replace(self.admin, database=name)
        self.run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with connect(server) as session:
            session.execute(sql.SQL("CREATE TABLE content AS SELECT {}::text AS word").format(sql.Literal(content)))
            session.execute("GRANT SELECT ON content TO PUBLIC")
        return server

    def role(self, options: str = "", *, name: str = "") -> str:
        self.roles.append(name or f"{self.prefix}_r{len(self.roles)}")
        self.run(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'p' " + options).format(sql.Identifier(self.roles[-1])))  # type: ignore[arg-type]
        return self.roles[-1]

    def as_(self, role: str, server: Server) -> Server:
        return replace(server, user=role, password="p")

    def run(self, statement: sql.Composed | str, *names: str) -> None:
        """A statement of the superuser's in the maintenance database; `{}` are names."""
        given = sql.SQL(statement).format(*map(sql.Identifier, names)) if isinstance(statement, str) else statement  # type: ignore[arg-type]
        with connect(self.admin) as session:
            session.execute(given)

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with connect(self.admin) as session:
            return list(session.execute(query.encode(), values))

    def names(self) -> set[str]:
        return {str(name) for (name,) in self.ask("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", self.prefix)}

    def oid(self, server: Server) -> int | None:
        found = self.ask("SELECT oid::bigint FROM pg_database WHERE datname = %s", server.database)
        return int(found[0][0]) if found else None

    def comment(self, name: str) -> str | None:
        query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
        return self.ask(query, name)[0][0]  # type: ignore[no-any-return]

    def content(self, server: Server | None = None) -> str:
        with connect(server or self.target) as session:
            return str((session.execute("SELECT word FROM content").fetchone() or ("",))[0])

    def swap_in(self, **given: Any) -> swap.Swapped:
        staging = given.pop("staging", self.staging)
        values = {"target": self.target.database, "expected_oid": self.oid(self.target), "run_id": RUN, "at": AT} | given
        return swap.swap_in(staging, **values)

    def kept(self, server: Server | None = None) -> tuple[swap.Kept, ...]:
        return tuple(kept for kept in swap.kept_copies(server or self.admin) if kept.database.startswith(self.prefix))

    def is_untouched(self) -> bool:
        present = {self.target.database, self.staging.database}
        return self.names() >= present and self.content() == "old" and not self.kept()

    def clear(self) -> None:
        with connect(self.admin) as session:
            for name in self.names():
                with suppress(psycopg.errors.ObjectInUse):
                    session.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))
                session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            for name in reversed(self.roles):
                session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture(params=[17, 15])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """On PostgreSQL 17 and 15."""
    server = request.getfixturevalue("admin") if request.param == 17 else server_of(request.getfixturevalue("postgres15"))
    made = World(server)
    yield made
    made.clear()


@pytest.fixture
def world17(admin: Server) -> Iterator[World]:
    made = World(admin)
    yield made
    made.clear()


class Pool:
    """Threads that connect, query and connect again, all the time."""

    def __init__(self, server: Server, *, threads: int = 8) -> None:
        self.server = server
        self.seen: list[tuple[float, str]] = []
        self.errors: list[tuple[float, str]] = []  # by when its session was begun: one of before may find out late that it ended
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]

    def __enter__(self) -> "Pool":
        for thread in self._threads:
            thread.start()
        try:
            until(lambda: len(self.seen) > 20)
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            with suppress(psycopg.Error):
                self._session()

    def _session(self) -> None:
        begun = time.monotonic()
        try:
            with connect(self.server) as session:
                while not self._stop.is_set():
                    began = time.monotonic()
                    (word,) = session.execute("SELECT word FROM content").fetchone() or ("",)
                    self.seen.append((began, str(word)))
                    if random.random() < 0.2:
                        return
        except psycopg.Error as error:
            self.errors.append((begun, str(error)))
            raise


# Swapping in


def test_the_staged_database_takes_the_name_and_the_old_one_is_kept(world: World) -> None:
    swapped = world.swap_in()

    assert swapped.kept == f"{world.target.database}_before_20261122T030405"
    assert (world.content(), world.content(replace(world.admin, database=swapped.kept))) == ("new", "old")
    assert world.names() == {world.target.database, swapped.kept}


def test_a_kept_copy_is_known_without_any_history(world: World) -> None:
    oid = world.oid(world.target)

    swapped = world.swap_in()

    (kept,) = world.kept()
    assert kept.size_bytes is not None
    assert kept.size_bytes > 1_000_000
    assert replace(kept, size_bytes=0) == swap.Kept(
        kind="before",
        database=str(swapped.kept),
        replaced=world.target.database,
        restore_id=RUN,
        kept_at=AT,
        size_bytes=0,
        oid=int(oid or 0),
    )


def test_the_comment_stays_with_the_name(world: World) -> None:
    world.run("COMMENT ON DATABASE {} IS 'it''s ours \\ ü'", world.target.database)

    world.swap_in()

    assert world.comment(world.target.database) == "it's ours \\ ü"


def test_without_a_comment_nothing_of_the_staging_is_left_in_it(world: World) -> None:
    swap.mark_staging(world.staging, run_id=RUN)
    assert (world.staging.database, RUN) in swap.stagings(world.admin)

    world.swap_in()

    assert world.comment(world.target.database) is None
    assert world.staging.database not in {name for name, _run in swap.stagings(world.admin)}


def test_where_nothing_was_a_mark_says_who_put_it_there(world: World) -> None:
    fresh = f"{world.prefix}_fresh"

    swapped = world.swap_in(target=fresh, expected_oid=None)

    assert swapped.kept is None
    assert world.content(replace(world.admin, database=fresh)) == "new"
    assert swap.was_swapped_in(world.admin, run_id=RUN)
    assert world.kept() == ()


def test_a_run_that_was_not_swapped_in_is_told_from_one_that_was(world: World) -> None:
    with databases.restoring(world.admin, run_id=RUN):  # else a restore of another test would tidy it away
        swap.mark_staging(world.staging, run_id=RUN)
        assert not swap.was_swapped_in(world.admin, run_id=RUN)

        world.swap_in()

    assert swap.was_swapped_in(world.admin, run_id=RUN)
    assert not swap.was_swapped_in(world.admin, run_id="0a1b2c3d")


def test_the_mark_of_an_earlier_restore_is_still_found_when_it_has_been_replaced_itself(world: World) -> None:
    fresh = f"{world.prefix}_fresh"
    world.swap_in(target=fresh, expected_oid=None, run_id="first")
    target = replace(world.admin, database=fresh)

    world.swap_in(staging=world.target, target=fresh, expected_oid=world.oid(target), run_id="second")

    assert swap.was_swapped_in(world.admin, run_id="first")
    assert world.comment(fresh) is None


def test_names_of_every_kind_are_swapped(world: World) -> None:
    target, staging = world.make(f"{world.prefix}{WEIRD}", "old"), world.make(f"{world.prefix}{WEIRD}_staging", "new")

    swapped = world.swap_in(staging=staging, target=target.database, expected_oid=world.oid(target))

    (kept,) = world.kept()
    assert (world.content(target), kept.database, kept.replaced) == ("new", swapped.kept, target.database)


def test_a_name_of_63_bytes_is_shortened_for_the_copy(world: World) -> None:
    name = world.prefix + "ü" * 27
    assert len(name.encode()) == 63
    target = world.make(name, "old")

    swapped = world.swap_in(target=name, expected_oid=world.oid(target))

    (kept,) = world.kept()
    assert kept.database == swapped.kept
    assert len(kept.database.encode()) <= 63
    assert kept.database.endswith("ü_before_20261122T030405")
    assert kept.replaced == name


def test_a_copy_takes_the_next_second_when_its_name_is_taken(world: World) -> None:
    world.make(f"{world.target.database}_before_20261122T030405", "somebody else's")

    assert world.swap_in().kept == f"{world.target.database}_before_20261122T030406"


def test_another_database_than_the_plan_has_shown_is_not_replaced(world: World) -> None:
    with pytest.raises(RefusedError, match="not the one that the plan has shown"):
        world.swap_in(expected_oid=world.oid(world.staging))

    assert world.is_untouched()


def test_a_database_that_came_up_after_the_plan_is_not_replaced(world: World) -> None:
    with pytest.raises(RefusedError, match="not the one that the plan has shown") as refused:
        world.swap_in(expected_oid=None)

    assert "then" in refused.value.detail
    assert world.is_untouched()


def test_a_missing_staging_database_changes_nothing(world: World) -> None:
    with pytest.raises(RefusedError, match=r"no database .*gone"):
        world.swap_in(staging=replace(world.staging, database=f"{world.prefix}_gone"))

    assert world.is_untouched()


def test_the_server_s_own_database_is_never_replaced(world: World) -> None:
    with pytest.raises(RefusedError, match="belongs to the server itself"):
        world.swap_in(target="postgres", expected_oid=None)


@pytest.fixture
def preparing() -> Iterator[Server]:
    """A server that allows prepared transactions."""
    home = new_home(f"preparing-{uuid4().hex[:6]}")
    postgres = PostgreSQL(replace(home, postgres_settings={**home.postgres_settings, "max_prepared_transactions": "2"}))
    services.ensure([postgres], say=lambda line: None)
    yield server_of(postgres)
    services.stop(postgres)


def test_a_prepared_transaction_is_named_and_nothing_changes(preparing: Server) -> None:
    world = World(preparing)
    with connect(world.target) as session:
        session.execute("BEGIN")
        session.execute("INSERT INTO content VALUES ('more')")
        session.execute("PREPARE TRANSACTION 'half'' done'")

        with pytest.raises(RefusedError, match="prepared transaction") as refused:
            world.swap_in()

        assert "ROLLBACK PREPARED 'half'' done'" in refused.value.hint
        assert world.is_untouched()
        session.execute("ROLLBACK PREPARED 'half'' done'")
    assert world.swap_in().kept


# In use


def test_a_busy_pool_sees_only_the_new_database_after_the_swap(world: World) -> None:
    with Pool(world.target) as pool:
        before = time.monotonic()
        swapped = world.swap_in()
        after = time.monotonic()
        until(lambda: sum(began > after for began, _word in pool.seen) > 50)

    assert {word for began, word in pool.seen if began > after} == {"new"}
    assert {word for began, word in pool.seen if began < before} == {"old"}
    assert not [error for begun, error in pool.errors if begun > after]
    assert swapped.seconds < 1


def test_an_idle_transaction_does_not_hold_a_swap_up(world: World) -> None:
    with connect(world.target) as session:
        session.execute("BEGIN")
        session.execute("INSERT INTO content VALUES ('not committed')")

        swapped = world.swap_in()

        with pytest.raises(psycopg.OperationalError):
            session.execute("COMMIT")
    assert world.content() == "new"
    assert swapped.seconds < 1


def test_somebody_who_looks_into_the_staging_database_is_told_to_go_as_well(world: World) -> None:
    with connect(world.staging) as session:
        session.execute("SELECT 1")
        world.swap_in()

    assert world.content() == "new"


def test_sessions_are_listed_with_who_they_are(world: World) -> None:
    with connect(world.target) as session:
        session.execute("SET application_name = 'the shop'")
        with connected(world.admin, application_name="test") as looking:
            (found,) = sessions.of_users(looking, [world.oid(world.target)])
        pid = session.info.backend_pid

    assert (found.pid, found.user, found.application_name) == (pid, world.admin.user, "the shop")
    assert found.may_end


def test_sessions_are_ended_but_those_of_the_run(world: World) -> None:
    with connect(world.target) as other, connect(world.target) as own:
        own.execute("SELECT set_config('application_name', 'restore:' || %s, false)", [RUN])

        assert swap.end_sessions(world.target, but=RUN) == ()

        assert own.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 1")


def test_a_session_that_we_may_not_end_is_named_and_nobody_is_disturbed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renaming, "PAUSE_SECONDS", 0.01)
    owner = world.role("CREATEDB")
    for server in (world.target, world.staging):
        world.run("ALTER DATABASE {} OWNER TO {}", server.database, owner)
    with connect(world.target) as superusers, connect(world.as_(owner, world.target)) as owners:
        superusers.execute("SET application_name = 'watching'")

        with pytest.raises(RefusedError, match="may not end sessions") as refused:
            world.swap_in(staging=world.as_(owner, world.staging))

        assert f"{world.admin.user} (watching)" in refused.value.detail
        assert owners.execute("SELECT 1").fetchone() == (1,)
    assert world.is_untouched()


def test_a_lock_of_somebody_else_is_waited_for_and_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renaming, "ATTEMPTS", 1)
    with connect(world.admin) as other:
        other.execute("BEGIN")
        other.execute(sql.SQL("COMMENT ON DATABASE {} IS 'a long story'").format(sql.Identifier(world.target.database)))

        with pytest.raises(RefusedError, match="locked") as refused:
            world.swap_in()

        assert str(other.info.backend_pid) in refused.value.detail
    assert world.is_untouched()


def test_of_two_swaps_at_once_one_is_refused(world: World) -> None:
    second = world.make(f"{world.prefix}_second", "second")
    oid = world.oid(world.target)
    outcomes: list[str] = []

    def run(staging: Server, run_id: str) -> None:
        try:
            world.swap_in(staging=staging, expected_oid=oid, run_id=run_id)
            outcomes.append("done")
        except RefusedError:
            outcomes.append("refused")

    threads = [threading.Thread(target=run, args=args) for args in ((world.staging, "first"), (second, "second"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["done", "refused"]
    assert len(world.kept()) == 1
    assert len(world.names()) == 3


def test_a_busy_pool_goes_on_through_swap_after_swap(world17: World) -> None:
    with Pool(world17.target) as pool:
        for number in range(5):
            world17.swap_in()
            assert world17.content() == "new"
            world17.staging = world17.make(f"{world17.prefix}_next{number}", "new")
            seen = len(pool.seen)
            until(lambda seen=seen: len(pool.seen) > seen + 20)  # type: ignore[misc]


# Whose it is


def test_an_owner_without_superuser_swaps(world: World) -> None:
    owner = world.role("CREATEDB")
    for server in (world.target, world.staging):
        world.run("ALTER DATABASE {} OWNER TO {}", server.database, owner)
    with Pool(world.as_(owner, world.target), threads=2):
        swapped = world.swap_in(staging=world.as_(owner, world.staging))

    (kept,) = world.kept(world.as_(owner, world.target))
    assert (world.content(), kept.database) == ("new", swapped.kept)
    swap.undo(world.as_(owner, world.target), kept, at=AT)
    assert world.content() == "old"


def test_a_role_that_does_not_own_the_target_is_refused_before_anything(world: World) -> None:
    role = world.role("CREATEDB")
    world.run("ALTER DATABASE {} OWNER TO {}", world.staging.database, role)
    with connect(world.target) as session:
        with pytest.raises(RefusedError, match="may not rename") as refused:
            world.swap_in(staging=world.as_(role, world.staging))

        assert session.execute("SELECT 1").fetchone() == (1,)
    assert "GRANT" in refused.value.hint
    assert world.is_untouched()


def test_an_owner_without_createdb_is_refused_before_anything(world: World) -> None:
    role = world.role()
    for server in (world.target, world.staging):
        world.run("ALTER DATABASE {} OWNER TO {}", server.database, role)

    with pytest.raises(RefusedError, match="lacks CREATEDB"):
        world.swap_in(staging=world.as_(role, world.staging))

    assert world.is_untouched()


# Undo and discard


def test_undo_brings_the_old_one_back_and_keeps_the_new_one(world: World) -> None:
    world.run("COMMENT ON DATABASE {} IS 'ours'", world.target.database)
    world.swap_in()
    world.run("COMMENT ON DATABASE {} IS 'changed since'", world.target.database)
    (kept,) = world.kept()

    undone = swap.undo(world.admin, kept, at=AT + timedelta(hours=1))

    assert undone.kept == f"{world.target.database}_undone_20261122T040405"
    assert (world.content(), world.comment(world.target.database)) == ("old", "ours")
    (copy,) = world.kept()
    assert (copy.kind, copy.database, copy.replaced) == ("undone", undone.kept, world.target.database)
    assert swap.was_swapped_in(world.admin, run_id=RUN)


def test_what_was_undone_can_be_brought_back(world: World) -> None:
    world.swap_in()
    swap.undo(world.admin, world.kept()[0], at=AT)

    swap.undo(world.admin, world.kept()[0], at=AT)

    (kept,) = world.kept()
    assert (world.content(), kept.kind) == ("new", "before")
    swap.undo(world.admin, kept, at=AT)
    assert world.content() == "old"


def test_undo_works_where_the_present_database_is_gone(world: World) -> None:
    world.run("COMMENT ON DATABASE {} IS 'ours'", world.target.database)
    world.swap_in()
    world.run("DROP DATABASE {}", world.target.database)

    undone = swap.undo(world.admin, world.kept()[0], at=AT)

    assert undone.kept is None
    assert (world.content(), world.comment(world.target.database), world.kept()) == ("old", "ours", ())


def test_undo_is_as_quick_with_a_busy_pool(world: World) -> None:
    world.swap_in()
    with Pool(world.target) as pool:
        undone = swap.undo(world.admin, world.kept()[0], at=AT)
        after = time.monotonic()
        until(lambda: sum(began > after for began, _word in pool.seen) > 20)

    assert {word for began, word in pool.seen if began > after} == {"old"}
    assert undone.seconds < 1


def test_a_copy_of_somebody_else_s_is_not_brought_back(world: World) -> None:
    """Whoever may create databases could mark one of their own as a copy of somebody else's."""
    forger = world.role("CREATEDB")
    forged = world.make(f"{world.prefix}_forged", "forged")
    mark = marks.Mark(icb="kept", database=forged.database, restore=RUN, at=AT, replaced=world.target.database)
    world.run(marks.comment_on(forged.database, mark.text()))
    world.run("ALTER DATABASE {} OWNER TO {}", forged.database, forger)

    with pytest.raises(RefusedError, match="belongs to"):
        swap.undo(world.admin, world.kept()[0], at=AT)

    assert world.content() == "old"


def test_a_kept_copy_is_dropped_when_asked(world: World) -> None:
    world.run("ALTER DATABASE {} IS_TEMPLATE true", world.target.database)
    world.swap_in()

    swap.discard(world.admin, world.kept()[0])

    assert (world.kept(), world.names()) == ((), {world.target.database})


def test_a_copy_that_lost_its_mark_is_not_dropped(world: World) -> None:
    world.swap_in()
    (kept,) = world.kept()
    world.run("COMMENT ON DATABASE {} IS 'mine now'", kept.database)

    with pytest.raises(RefusedError, match="not the copy"):
        swap.discard(world.admin, kept)

    assert kept.database in world.names()


def test_another_database_of_the_same_name_is_not_dropped(world: World) -> None:
    world.swap_in()
    (kept,) = world.kept()
    mark = world.comment(kept.database)
    world.run("DROP DATABASE {}", kept.database)
    world.make(kept.database, "another")
    world.run(marks.comment_on(kept.database, mark))

    for act in (swap.discard, lambda server, kept: swap.undo(server, kept, at=AT)):
        with pytest.raises(RefusedError, match="not the copy"):
            act(world.admin, kept)

    assert kept.database in world.names()


def test_a_copy_that_somebody_has_renamed_by_hand_is_theirs(world: World) -> None:
    world.swap_in()
    (kept,) = world.kept()
    world.run("ALTER DATABASE {} RENAME TO {}", kept.database, f"{world.prefix}_live")

    assert world.kept() == ()
    with pytest.raises(RefusedError):
        swap.discard(world.admin, replace(kept, database=f"{world.prefix}_live"))
    assert f"{world.prefix}_live" in world.names()


def test_a_copy_that_somebody_looks_into_is_not_dropped(world17: World) -> None:
    world17.swap_in()
    (kept,) = world17.kept()
    with connect(replace(world17.admin, database=kept.database)) as session:
        with pytest.raises(RefusedError, match="Somebody is connected") as refused:
            swap.discard(world17.admin, kept)

        assert str(session.info.backend_pid) in refused.value.detail


def test_newer_copies_come_first(world: World) -> None:
    world.swap_in(run_id="first")
    world.staging = world.make(f"{world.prefix}_again", "newer")
    world.swap_in(run_id="second", at=AT + timedelta(days=1))

    assert [kept.restore_id for kept in world.kept()] == ["second", "first"]


@pytest.mark.parametrize(
    "comment",
    [
        "a shop",
        "{}",
        '{"icb"',
        '{"icb": "kept"}',
        '{"icb": "kept", "database": 1, "restore": "r", "replaced": "x", "at": "2026-11-22T03:04:05+00:00"}',
        '{"icb": "kept", "database": "%s", "restore": "r", "replaced": "x", "at": "2026-11-22T03:04:05"}',
        '{"icb": "kept", "database": "%s", "restore": "r", "replaced": "", "at": "2026-11-22T03:04:05+00:00"}',
        '{"icb": "kept", "database": "%s", "restore": "r", "replaced": "\\ud800", "at": "2026-11-22T03:04:05+00:00"}',
        '{"icb": "kept", "database": "%s", "restore": "r", "replaced": "a\\u0000", "at": "2026-11-22T03:04:05+00:00"}',
        '{"icb": "else", "database": "%s", "restore": "r", "replaced": "x", "at": "2026-11-22T03:04:05+00:00"}',
        '{"icb": ["kept"], "database": "%s", "restore": "r", "replaced": "x", "at": "2026-11-22T03:04:05+00:00"}',
        '{"icb": ' + "[" * 100_000,
    ],
    ids=lambda comment: comment[:40],
)
def test_a_comment_that_is_no_mark_is_passed_over(comment: str, world17: World) -> None:
    world17.run(marks.comment_on(world17.target.database, comment.replace("%s", world17.target.database)))

    assert world17.kept() == ()
    assert not swap.was_swapped_in(world17.admin, run_id="r")


# Properties


def test_everything_that_a_database_has_as_a_whole_is_carried_over(world: World) -> None:
    owner, reader, giver = (world.role(name=f"{world.prefix}{WEIRD[:-3]}{n}") for n in range(3))
    target = world.target.database
    world.run("ALTER DATABASE {} OWNER TO {}", target, owner)
    world.run("REVOKE ALL ON DATABASE {} FROM PUBLIC", target)
    world.run("REVOKE TEMPORARY ON DATABASE {} FROM {}", target, owner)
    world.run("GRANT CONNECT, CREATE ON DATABASE {} TO {} WITH GRANT OPTION", target, giver)
    world.run("SET ROLE {}; GRANT CONNECT ON DATABASE {} TO {}", giver, target, reader)
    world.run("ALTER DATABASE {} CONNECTION LIMIT 7", target)
    world.run("ALTER DATABASE {} IS_TEMPLATE true", target)
    world.run("ALTER DATABASE {} SET search_path TO public, \"$user\", 'a, b', {}", target, 'quo"ted')
    world.run("ALTER DATABASE {} SET \"shop.motto\" TO 'x = y,\n \\ it''s \"q\"'", target)
    world.run("ALTER DATABASE {} SET DateStyle TO 'SQL, DMY'", target)
    world.run("ALTER DATABASE {} SET timezone TO 'Europe/Vienna'", target)
    world.run("ALTER DATABASE {} SET work_mem TO '8MB'", target)
    world.run("ALTER DATABASE {} SET temp_tablespaces TO ''", target)
    world.run("ALTER ROLE {} IN DATABASE {} SET search_path TO ''", reader, target)
    world.run("ALTER ROLE {} IN DATABASE {} SET statement_timeout TO 1000", reader, target)
    world.run("ALTER DATABASE {} SET work_mem TO '1MB'", world.staging.database)
    world.run("ALTER ROLE {} IN DATABASE {} SET work_mem TO '1MB'", owner, world.staging.database)

    properties.carry(world.target, world.staging)

    assert whole(world, world.staging) == whole(world, world.target)
    properties.carry(world.target, world.staging)
    assert whole(world, world.staging) == whole(world, world.target)


def test_nothing_is_written_where_nothing_differs(world: World) -> None:
    query = "SELECT xmin::text FROM pg_database WHERE datname = %s"
    before = world.ask(query, world.staging.database)

    properties.carry(world.target, world.staging)

    assert world.ask(query, world.staging.database) == before


def test_defaults_come_back_too(world: World) -> None:
    other = world.role()
    world.run("REVOKE ALL ON DATABASE {} FROM PUBLIC", world.staging.database)
    world.run("GRANT ALL ON DATABASE {} TO {}", world.staging.database, other)
    world.run("ALTER DATABASE {} CONNECTION LIMIT 3", world.staging.database)

    properties.carry(world.target, world.staging)

    assert granted(world, world.staging) == granted(world, world.target)


def test_an_owner_carries_what_is_theirs(world: World) -> None:
    owner, other = world.role("CREATEDB"), world.role()
    for server in (world.target, world.staging):
        world.run("ALTER DATABASE {} OWNER TO {}", server.database, owner)
    world.run("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", world.target.database)
    world.run("GRANT CONNECT ON DATABASE {} TO {}", world.target.database, other)
    world.run("ALTER DATABASE {} SET search_path TO shop, public", world.target.database)

    properties.carry(world.as_(owner, world.target), world.as_(owner, world.staging))

    assert whole(world, world.staging) == whole(world, world.target)


def test_a_setting_that_takes_a_superuser_is_named_and_nothing_is_carried(world: World) -> None:
    owner = world.role("CREATEDB")
    for server in (world.target, world.staging):
        world.run("ALTER DATABASE {} OWNER TO {}", server.database, owner)
    world.run("ALTER DATABASE {} CONNECTION LIMIT 7", world.target.database)
    world.run("ALTER DATABASE {} SET log_statement TO 'all'", world.target.database)
    before = whole(world, world.staging)

    with pytest.raises(RefusedError, match="may not give") as refused:
        properties.carry(world.as_(owner, world.target), world.as_(owner, world.staging))

    assert "log_statement" in refused.value.detail
    assert whole(world, world.staging) == before


def test_carrying_from_a_database_that_is_gone_says_so(world: World) -> None:
    with pytest.raises(PostgresError, match="no database"):
        properties.carry(replace(world.target, database=f"{world.prefix}_gone"), world.staging)


def granted(world: World, server: Server) -> set[tuple[Any, ...]]:
    query = (
        "SELECT a.grantor::regrole::text, a.grantee, a.privilege_type, a.is_grantable"
        " FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a WHERE datname = %s"
    )
    return set(world.ask(query, server.database))


def whole(world: World, server: Server) -> tuple[Any, ...]:
    """Everything of a database as PostgreSQL has it, but its name and its identity."""
    own = "SELECT datdba, datconnlimit, datistemplate, dattablespace FROM pg_database WHERE datname = %s"
    settings = (
        "SELECT setrole::bigint, ARRAY(SELECT unnest(setconfig) ORDER BY 1)"
        " FROM pg_db_role_setting WHERE setdatabase = %s::bigint::oid ORDER BY 1"
    )
    return world.ask(own, server.database), granted(world, server), world.ask(settings, world.oid(server))


# Making the staging database


def test_a_database_is_made_in_the_tablespace_of_the_one_that_it_is_to_replace(world17: World, tmp_path: Path) -> None:
    folder, space = tmp_path / "space", f"{world17.prefix}_space"
    folder.mkdir()
    world17.run(sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(sql.Identifier(space), sql.Literal(str(folder))))
    try:
        server = replace(world17.admin, database=f"{world17.prefix}_made")
        databases.create(server, encoding="UTF8", locale=Locale(collate="C", ctype="C"), tablespace=space)

        query = "SELECT spcname FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = %s"
        assert world17.ask(query, server.database) == [(space,)]
        world17.run("DROP DATABASE {}", server.database)
    finally:
        world17.run("DROP TABLESPACE {}", space)


def test_the_default_tablespace_takes_no_privilege(world: World) -> None:
    role = world.role("CREATEDB")
    server = world.as_(role, replace(world.admin, database=f"{world.prefix}_made"))

    databases.create(server, tablespace="pg_default")

    assert server.database in world.names()


def test_a_tablespace_that_the_role_may_not_use_is_refused_by_name(world17: World, tmp_path: Path) -> None:
    folder, space, role = tmp_path / "space", f"{world17.prefix}_space", world17.role("CREATEDB")
    folder.mkdir()
    world17.run(sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(sql.Identifier(space), sql.Literal(str(folder))))
    try:
        with pytest.raises(RefusedError, match=f"tablespace {space}"):
            databases.create(world17.as_(role, replace(world17.admin, database=f"{world17.prefix}_made")), tablespace=space)
    finally:
        world17.run("DROP TABLESPACE {}", space)


# Killed


def swaps_of(world: World) -> list[tuple[Any, ...]]:
    return world.ask("SELECT pid FROM pg_stat_activity WHERE application_name = %s", renaming.APPLICATION)


def is_whole(world: World, staging: Server, run_id: str) -> str:
    """What is in place: "old" or "new"; all the rest must fit it."""
    word = world.content()
    copies = [kept for kept in world.kept() if kept.restore_id == run_id]
    if word == "new":
        assert staging.database not in world.names()
        assert [world.content(replace(world.admin, database=kept.database)) for kept in copies] == ["old"]
    else:
        assert world.content(staging) == "new"
        assert copies == []
    assert swap.was_swapped_in(world.admin, run_id=run_id) == (word == "new")
    return word


def start_over(world: World, staging: Server, word: str) -> None:
    """The target is old again, with the staging database beside it."""
    if word == "new":
        (kept,) = world.kept()
        undone = swap.undo(world.admin, kept, at=AT)
        world.run("ALTER DATABASE {} RENAME TO {}", str(undone.kept), staging.database)
        world.run(marks.comment_on(staging.database, None))


def test_a_process_that_is_killed_leaves_the_old_one_in_place_or_the_new_one(world: World) -> None:
    """Killed ever later, from before the first connection until after the swap."""
    world.run("COMMENT ON DATABASE {} IS 'ours'", world.target.database)
    with Pool(world.target, threads=2):
        for number in range(ROUNDS):
            run_id = f"run {number}"
            child = subprocess.Popen(
                [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT, text=True
            )
            assert child.stdin is not None
            assert child.stdout is not None
            server = asdict(world.staging) | {"options": []}
            json.dump([server, world.target.database, world.oid(world.target), run_id], child.stdin)
            child.stdin.close()
            child.stdout.readline()
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=(number + random.random()) / ROUNDS * 0.05)
            child.kill()
            child.wait()
            child.stdout.close()
            until(lambda: not swaps_of(world))

            word = is_whole(world, world.staging, run_id)

            assert world.comment(world.target.database) == "ours"
            start_over(world, world.staging, word)


def test_whichever_session_of_a_swap_is_ended_the_answer_is_true(world: World) -> None:
    for number in range(15):
        run_id, failed, is_over = f"run {number}", False, threading.Event()
        until(lambda: not swaps_of(world))
        ender = threading.Thread(target=end_a_session_of_a_swap, args=(world.admin, number % 3, is_over))
        ender.start()
        try:
            world.swap_in(run_id=run_id)
        except BackupsError:
            failed = True
        is_over.set()
        ender.join()
        until(lambda: not swaps_of(world))

        word = is_whole(world, world.staging, run_id)

        assert word == ("old" if failed else "new")
        start_over(world, world.staging, word)


def end_a_session_of_a_swap(server: Server, which: int, is_over: threading.Event) -> None:
    """As soon as there are three, or a little later."""
    later = random.uniform(0, 0.02)
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = %s ORDER BY backend_start"
    with connect(server) as session:
        while not is_over.is_set():
            pids = session.execute(query, [renaming.APPLICATION]).fetchall()
            if len(pids) == 3:
                is_over.wait(later)
                session.execute("SELECT pg_terminate_backend(%s)", pids[which])
                return


def test_a_connection_that_broke_after_the_commit_is_a_success(world17: World) -> None:
    with connected(world17.admin, application_name="test") as session:
        found = marks.found(session, [world17.target.database])[world17.target.database]
    move = movable.Move(database=found, to=f"{world17.prefix}_moved", comment=None)
    lost = psycopg.OperationalError("the connection was lost")

    with pytest.raises(PostgresError, match="Nothing was changed"):
        renaming._require_done_after_all(world17.admin, [move], pid=0, error=lost)
    world17.run("ALTER DATABASE {} RENAME TO {}", found.name, move.to)
    renaming._require_done_after_all(world17.admin, [move], pid=0, error=lost)
