"""Restores and verifications that somebody asks for and another process carries out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from backups import queued
from backups.cancelling import cancel
from backups.exceptions import BackupNotFoundError, BackupsError, ConnectError, RefusedError, UsageError
from backups.models import BackupHistory, BackupRestore
from backups.tending import tend
from backups.types import Server
from backups.watching import claimed
from tests.conftest import connect, drop_database, until
from tests.faults.conftest import sessions_of
from tests.integration.conftest import databases_beside, rows_of

pytestmark = pytest.mark.usefixtures("history")


def state(row: BackupRestore) -> str:
    row.refresh_from_db()
    return str(row.status)


def test_a_queued_restore_into_a_new_database_is_made_by_whoever_takes_it(backup: BackupHistory, admin: Server) -> None:
    name = f"t_{uuid4().hex[:12]}"
    row = queued.request_restore(target="source", filename=backup.filename, new_database=name, database="source")
    assert state(row) == "pending"
    try:
        done = queued.make_restore(row.id)
        assert done is not None
        assert (state(row), rows_of(replace(admin, database=name), "event")) == ("succeeded", 5000)
        assert (row.backup_id, row.target_database, row.source_key.endswith(backup.filename)) == (backup.id, name, True)
    finally:
        drop_database(replace(admin, database=name))


def test_a_queued_restore_replaces_a_database_only_with_its_name(backup: BackupHistory, live: Server) -> None:
    row = queued.request_restore(target="source", database="source")

    with pytest.raises(RefusedError, match="its name was not given"):
        queued.make_restore(row.id)

    assert state(row) == "failed"
    assert "its name was not given" in row.error_message
    assert rows_of(live, "event") == 5010


def test_a_queued_restore_with_the_name_swaps_the_backup_in(backup: BackupHistory, live: Server, admin: Server) -> None:
    row = queued.request_restore(target="source", database="source", confirm=live.database)
    queued.make_restore(row.id)
    assert (state(row), rows_of(live, "event")) == ("succeeded", 5000)
    assert databases_beside(admin, live) == [row.kept_database]


def test_a_restore_that_is_asked_for_once_is_made_once(backup: BackupHistory, live: Server) -> None:
    row = queued.request_restore(target="source", database="source", confirm=live.database)
    assert queued.make_restore(row.id) is not None
    with connect(live) as session:
        session.execute("INSERT INTO event VALUES (6000, 'after the restore')")
    assert queued.make_restore(row.id) is None
    assert rows_of(live, "event") == 5001


def test_a_restore_that_waited_too_long_is_given_up_and_touches_nothing(backup: BackupHistory, live: Server) -> None:
    row = queued.request_restore(target="source", database="source", confirm=live.database)
    BackupRestore.objects.filter(id=row.id).update(created_at=timezone.now() - timedelta(minutes=16))

    assert queued.waiting_restores() == []

    assert state(row) == "failed"
    assert "No worker took this restore within 15 minutes" in row.error_message
    assert queued.make_restore(row.id) is None
    assert rows_of(live, "event") == 5010


def test_a_late_message_of_a_restore_that_waited_too_long_touches_nothing(backup: BackupHistory, live: Server) -> None:
    row = queued.request_restore(target="source", database="source", confirm=live.database)
    BackupRestore.objects.filter(id=row.id).update(created_at=timezone.now() - timedelta(minutes=16))
    assert queued.make_restore(row.id) is None
    assert (state(row), rows_of(live, "event")) == ("failed", 5010)


def test_a_queued_restore_is_no_dead_one(backup: BackupHistory, live: Server) -> None:
    row = queued.request_restore(target="source", database="source", confirm=live.database)
    assert tend().restores == []
    assert state(row) == "pending"


def test_a_claimed_restore_is_alive_and_failed_when_its_process_is_gone(
    backup: BackupHistory, live: Server, admin: Server
) -> None:
    row = queued.request_restore(target="source", database="source", confirm=live.database)
    with claimed(row, live):
        assert tend().restores == []
    until(lambda: sessions_of(admin, "restore alive:") == 0)
    assert [run.id for run in tend().restores] == [row.id]
    assert state(row) == "failed"


def test_a_queued_restore_that_is_cancelled_never_begins(backup: BackupHistory, live: Server) -> None:
    row = queued.request_restore(target="source", database="source", confirm=live.database)
    assert cancel(str(row.id)).was_queued
    assert queued.make_restore(row.id) is None
    assert (state(row), rows_of(live, "event")) == ("cancelled", 5010)


def test_a_restore_whose_server_is_away_fails_and_says_so(
    backup: BackupHistory, register_alias: Callable[[str, Server], None], source: Server
) -> None:
    register_alias("away", replace(source, port=1))
    row = queued.request_restore(target="away", database="source", new_database="anything")
    with pytest.raises(ConnectError):
        queued.make_restore(row.id)
    assert state(row) == "failed"


def test_a_restore_onto_what_is_not_configured_is_refused_at_once(backup: BackupHistory) -> None:
    with pytest.raises(UsageError, match="no database alias 'nowhere'"):
        queued.request_restore(target="nowhere", database="source")
    assert not BackupRestore.objects.exists()


def test_a_queued_verification_is_carried_out_once(backup: BackupHistory) -> None:
    row = queued.request_verification(filename=backup.filename, database="source")
    assert state(row) == "pending"

    assert queued.make_restore(row.id) is not None
    assert queued.make_restore(row.id) is None

    backup.refresh_from_db()
    assert (state(row), row.verdict, row.backup_id) == ("succeeded", "good", backup.id)
    assert backup.verified_at is not None
    assert BackupRestore.objects.count() == 1


def test_a_queued_verification_of_what_is_gone_fails_and_says_so(backup: BackupHistory) -> None:
    row = queued.request_verification(filename="backup-2020-01-01T0000-gone.dump", database="source")
    with pytest.raises(BackupNotFoundError):
        queued.make_restore(row.id)
    assert state(row) == "failed"
    assert "There is no backup" in row.error_message


def test_what_another_process_has_is_not_failed_by_one_that_can_not_reach_the_server(
    backup: BackupHistory, register_alias: Callable[[str, Server], None], source: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_alias("away", replace(source, port=1))
    row = queued.request_restore(target="away", database="source", new_database="anything")
    before = BackupRestore.objects.get(id=row.id)
    BackupRestore.objects.filter(id=row.id).update(started_at=timezone.now())  # claimed between our look and our try
    monkeypatch.setattr(type(BackupRestore.objects.queued()), "first", lambda _query: before)
    with pytest.raises(BackupsError):
        queued.make_restore(row.id)
    assert state(row) == "pending"
