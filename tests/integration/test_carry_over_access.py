"""Audit and incidents survive a restore of the database that they live in, and what was revoked stays revoked."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection as site
from django.db.migrations.loader import MigrationLoader

from backups.carry_over import apply, capture, from_manifests
from backups.postgres.neutralize import neutralize
from backups.types import Server
from tests.conftest import connect


@pytest.fixture
def with_tables(make_database: Callable[..., Server], db: None) -> Callable[[], Server]:
    """Makes a database with an empty history and audit."""
    out = StringIO()
    for name in sorted(name for app, name in MigrationLoader(site).graph.nodes if app == "backups"):
        call_command("sqlmigrate", "backups", name, stdout=out, no_color=True)

    def make() -> Server:
        server = make_database()
        do(server, out.getvalue())
        return server

    return make


@pytest.fixture
def live(with_tables: Callable[[], Server]) -> Server:
    """The database that will be replaced."""
    return with_tables()


@pytest.fixture
def staged(with_tables: Callable[[], Server]) -> Server:
    """The database that will take its place."""
    return with_tables()


def do(server: Server, statement: str) -> None:
    with connect(server) as connection:
        connection.execute(statement.encode())


def asked(server: Server, query: str) -> list[object]:
    with connect(server) as connection:
        return [row[0] for row in connection.execute(query.encode()).fetchall()]


def note(server: Server, *numbers: int) -> None:
    """Entries with ids and objects of these numbers."""
    for number in numbers:
        do(
            server,
            f"""
            INSERT INTO admin.backup_audit
                (id, at, actor, user_id, token_name, address, channel, action, object, target, outcome, detail)
            VALUES ('{number:032x}', now(), 'chris', 7, '', '::1', 'api', 'restore', '{number}', '', 'refused', E'a\\nb')
            """,
        )


def token(server: Server, name: str, *, revoked: bool = False) -> None:
    do(
        server,
        f"""
        INSERT INTO admin.backup_token (digest, token_key, created, expiry, name, scope, revoked_at, user_id)
        VALUES (md5('{name}'), 'icb_', now(), now() + interval '1 day', '{name}', 'run', {"now()" if revoked else "NULL"}, 7)
        """,
    )


OBJECTS = "SELECT object FROM admin.backup_audit ORDER BY object::int"
REVOKED = "SELECT name FROM admin.backup_token WHERE revoked_at IS NOT NULL"


def carry(live: Server, staged: Server, folder: Path, *, in_use: bool = False) -> list[str]:
    return apply(staged, capture(live, folder=folder), own=None, restored=None, in_use=in_use)


def test_entries_of_both_sides_are_there_after_a_restore(live: Server, staged: Server, tmp_path: Path) -> None:
    note(staged, 1, 2)
    note(live, 2, 3, 4)

    assert carry(live, staged, tmp_path) == ["2 entries of the audit: carried over."]
    assert asked(staged, OBJECTS) == ["1", "2", "3", "4"]
    assert carry(live, staged, tmp_path) == []


def test_an_entry_arrives_whole(live: Server, staged: Server, tmp_path: Path) -> None:
    note(live, 3)
    carry(live, staged, tmp_path)
    whole = "SELECT to_jsonb(t.*)::text FROM admin.backup_audit t"
    assert [json.loads(str(row)) for row in asked(staged, whole)] == [json.loads(str(row)) for row in asked(live, whole)]


def test_more_entries_than_are_taken_at_once_are_carried(live: Server, staged: Server, tmp_path: Path) -> None:
    do(
        live,
        """
        INSERT INTO admin.backup_audit (id, at, actor, token_name, address, channel, action, object, target, outcome, detail)
        SELECT gen_random_uuid(), now(), '', '', '', 'web', 'view', n, '', 'refused', '' FROM generate_series(1, 1201) n
        """,
    )
    assert carry(live, staged, tmp_path) == ["1201 entries of the audit: carried over."]
    assert len(asked(staged, OBJECTS)) == 1201


def test_the_audit_can_not_be_changed_afterwards_either(live: Server, staged: Server, tmp_path: Path) -> None:
    note(live, 3)
    carry(live, staged, tmp_path)
    with pytest.raises(Exception, match="only ever added to: DELETE refused"):
        do(staged, "DELETE FROM admin.backup_audit")


def test_a_restored_database_of_before_there_was_an_audit_is_no_obstacle(live: Server, staged: Server, tmp_path: Path) -> None:
    note(live, 3)
    token(live, "deploy", revoked=True)
    do(staged, "DROP TABLE admin.backup_audit, admin.backup_token")
    assert carry(live, staged, tmp_path) == []


def test_a_replaced_database_of_before_there_was_an_audit_is_no_obstacle(live: Server, staged: Server, tmp_path: Path) -> None:
    note(staged, 3)
    do(live, "DROP TABLE admin.backup_audit, admin.backup_token")
    assert carry(live, staged, tmp_path) == []
    assert asked(staged, OBJECTS) == ["3"]


def test_columns_that_one_side_lacks_are_no_obstacle(live: Server, staged: Server, tmp_path: Path) -> None:
    do(staged, "ALTER TABLE admin.backup_audit DROP detail, ADD severity varchar(10) NOT NULL")
    note(live, 3)
    carry(live, staged, tmp_path)
    assert asked(staged, "SELECT severity FROM admin.backup_audit") == [""]


def test_where_the_replaced_database_is_gone_the_audit_is_that_of_the_backup(staged: Server, tmp_path: Path) -> None:
    note(staged, 1)
    assert apply(staged, from_manifests([], folder=tmp_path), own=None, restored=None) == []
    assert asked(staged, OBJECTS) == ["1"]


# Tokens


def test_a_token_that_was_revoked_since_the_backup_does_not_come_back_to_life(
    live: Server, staged: Server, tmp_path: Path
) -> None:
    for name in ("deploy", "dashboard"):
        token(staged, name)
        token(live, name, revoked=name == "deploy")

    assert carry(live, staged, tmp_path) == ["1 token of the API revoked since the backup: revoked here, too."]
    assert asked(staged, REVOKED) == ["deploy"]


def test_a_token_that_was_made_since_stays_behind_and_that_is_told(live: Server, staged: Server, tmp_path: Path) -> None:
    token(live, "new")
    (told,) = carry(live, staged, tmp_path)
    assert told.startswith("1 token of the API made since the backup: not carried over")
    assert asked(staged, "SELECT name FROM admin.backup_token") == []


def test_swapping_back_leaves_the_tokens_of_the_database_that_comes_back(live: Server, staged: Server, tmp_path: Path) -> None:
    token(staged, "kept")  # the restored database, which is swapped out, never knew it
    token(live, "of the restored one")
    assert carry(live, staged, tmp_path, in_use=True) == []
    assert asked(staged, REVOKED) == []


def test_a_harmless_copy_has_no_token_of_the_api(staged: Server) -> None:
    token(staged, "deploy")
    note(staged, 1)
    done = neutralize(replace(staged))
    assert any("backup_token" in line for line in done)
    assert asked(staged, "SELECT name FROM admin.backup_token") == []
    assert asked(staged, OBJECTS) == ["1"]


# Incidents


def incident(server: Server, number: int, key: str, *, is_open: bool = True, told: bool = False) -> None:
    do(
        server,
        f"""
        INSERT INTO admin.backup_incident
            (id, key, event, environment, message, detail, hint, opened_at, seen_at, times, closed_at, told_at)
        VALUES ('{number:032x}', '{key}', 'disk', 'testing', '', '', '', now(), now(), 1, {"NULL" if is_open else "now()"},
            {"now()" if told else "NULL"})
        """,
    )


INCIDENTS = "SELECT key || CASE WHEN closed_at IS NULL THEN '' ELSE ' (over)' END FROM admin.backup_incident ORDER BY id"


@pytest.mark.parametrize("in_use", [False, True])
def test_open_incidents_stay_open_and_told_and_what_is_over_stays_so(
    in_use: bool, live: Server, staged: Server, tmp_path: Path
) -> None:
    incident(staged, 1, "over by now")
    incident(live, 1, "over by now", is_open=False)
    incident(staged, 2, "again")
    incident(live, 3, "again", told=True)
    incident(live, 4, "since the backup")

    carry(live, staged, tmp_path, in_use=in_use)

    assert asked(staged, INCIDENTS) == ["over by now (over)", "again", "since the backup"]
    assert asked(staged, "SELECT key FROM admin.backup_incident WHERE told_at IS NOT NULL") == ["again"]


def test_incidents_get_into_a_database_without_their_table_by_no_means_and_stop_nothing(
    live: Server, staged: Server, tmp_path: Path
) -> None:
    incident(live, 1, "disk")
    do(staged, "DROP TABLE admin.backup_incident")
    carry(live, staged, tmp_path)
    assert asked(staged, "SELECT count(*) FROM admin.backup_audit") == [0]
