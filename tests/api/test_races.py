"""Two who ask at the same moment: each waits where the other stands, so that nothing hangs on luck."""

import json
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django.fixtures import Settings

from backups import access, queued, tasks
from backups import history as rows
from backups.backup import DatabaseBackup
from backups.models import AuditEntry, BackupHistory, BackupRestore
from backups.types import Server
from tests.api.conftest import JSON, Messages, in_a_thread, problem
from tests.conftest import connect, drop_database, until

pytestmark = pytest.mark.usefixtures("history")
LIST = "/admin/backups/"


def waiting(what: str) -> int:
    """Sessions that wait for a lock of that kind."""
    with connect(rows.server()) as session:
        (number,) = session.execute("SELECT count(*) FROM pg_locks WHERE locktype = %s AND NOT granted", [what]).fetchone() or (
            0,
        )
    return int(str(number))


def post(client: Client, url: str, body: object, **headers: str) -> Any:
    return client.post(url, json.dumps(body), content_type="application/json", headers=headers)


def test_the_same_key_at_the_same_moment_is_one_backup(
    bucket: str, source: Server, alive: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(tasks, "make_backup", Messages(sent.append))
    user = get_user_model().objects.create_superuser("deploy")

    def ask() -> Any:
        client = Client(**JSON)
        client.force_login(user)
        return post(client, LIST, {"description": "x", "database": "source"}, **{"Idempotency-Key": "deploy 7"})

    with connect(rows.server()) as session:
        session.execute("SELECT pg_advisory_lock(%s)", [access._ROOM])
        both = [in_a_thread(ask), in_a_thread(ask)]
        until(lambda: waiting("advisory") == 2)  # each has found that the key is new
    answers = [one.result(timeout=60) for one in both]
    row = BackupHistory.objects.get()
    assert [(answer.status_code, answer.json()["id"]) for answer in answers] == [(202, str(row.id))] * 2
    assert sent == [str(row.id)]


def test_while_an_undo_is_at_work_no_restore_onto_the_same_database_is_queued_and_no_other_undo_begins(
    admin_client: Client,
    source: Server,
    bucket: str,
    alive: None,
    backups_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["source"]}
    monkeypatch.setattr(tasks, "restore", Messages(lambda _id: None))
    backup = DatabaseBackup(description="good", database="source").run()
    order = {"target": "source", "confirm": source.database}
    done = post(admin_client, f"{LIST}{backup.id}/restore/", order).json()
    queued.make_restore(done["id"])
    undo = f"{LIST}restores/{done['id']}/undo/"

    with connect(replace(source, database="postgres")) as session:
        session.execute("BEGIN")
        session.execute(f'COMMENT ON DATABASE "{source.database}" IS NULL')  # the swap waits for this lock
        undoing = in_a_thread(lambda: post(admin_client, undo, {"confirm": source.database}))
        until(lambda: waiting("object") == 1)
        for url, body in ((f"{LIST}{backup.id}/restore/", order), (undo, {"confirm": source.database})):
            problem(post(admin_client, url, body), 409, "running")
        session.execute("ROLLBACK")
    undone = undoing.result(timeout=60)
    assert (undone.status_code, BackupRestore.objects.count()) == (200, 1)
    drop_database(replace(source, database=undone.json()["kept_database"]))


def test_an_undo_where_the_history_lies_in_the_target_ends_its_own_turn_and_is_done_all_the_same(
    admin_client: Client, bucket: str, alive: None, backups_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "RESTORE_TARGETS": ["default"]}
    monkeypatch.setattr(tasks, "restore", Messages(lambda _id: None))
    backup, own = DatabaseBackup(description="own").run(), rows.server()
    order = {"target": "default", "confirm": own.database, "neutralize": False}
    done = post(admin_client, f"{LIST}{backup.id}/restore/", order).json()
    queued.make_restore(done["id"])
    undone = post(admin_client, f"{LIST}restores/{done['id']}/undo/", {"confirm": own.database})
    assert (undone.status_code, undone.json()["database"]) == (200, own.database)
    assert AuditEntry.objects.get(action="undo").outcome == "done"
    assert BackupRestore.objects.get().undone_at is not None
    again = post(admin_client, f"{LIST}restores/{done['id']}/undo/", {"confirm": own.database})
    problem(again, 409, "refused")  # and nobody has the turn
    drop_database(replace(own, database=undone.json()["kept_database"]))


def test_a_row_that_could_not_be_written_is_an_error_and_not_a_broker_that_is_away(
    admin_client: Client, bucket: str, source: Server, alive: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise PermissionError("the folder of the room")

    monkeypatch.setattr(access, "require_room", fail)
    problem(post(admin_client, LIST, {"description": "x", "database": "source"}), 500, "error")


def test_a_broker_that_is_away_loses_nothing(
    admin_client: Client, bucket: str, source: Server, alive: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_id: str) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(tasks, "make_backup", Messages(fail))
    assert post(admin_client, LIST, {"description": "x", "database": "source"}).status_code == 202
    assert BackupHistory.objects.get().status == "pending"
