"""The audit: who did what, from where, and what came of it; only ever added to."""

import logging
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import DatabaseError, connection, transaction
from django.test import RequestFactory
from pytest_django.fixtures import Settings
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from backups import audit
from backups.audit import By, Channel, Outcome, note
from backups.audited import AppendOnlyError
from backups.models import AuditEntry, BackupHistory
from backups.types import Server
from tests.conftest import PlaceProgram
from tests.integration.conftest import Run, restore_over

pytestmark = pytest.mark.django_db

BY = By(channel=Channel.WEB, actor="chris", address="203.0.113.7")


def entry(**given: Any) -> AuditEntry:
    note(**({"action": "restore", "outcome": Outcome.DONE, "by": BY} | given))
    return AuditEntry.objects.latest("at")


def test_an_entry_has_who_when_from_where_what_on_what_and_what_came_of_it() -> None:
    user = User.objects.create_user("chris")
    by = By(channel=Channel.API, user=user, actor="chris", token_name="deploy", address="203.0.113.7")
    made = entry(object="backup-x.dump", target="shop", outcome=Outcome.REFUSED, detail="Not its name.", by=by)
    made.refresh_from_db()

    assert (made.user_id, made.actor, made.token_name, made.address, made.channel) == (
        *(user.pk, "chris", "deploy", "203.0.113.7", "api"),
    )
    assert (made.action, made.object, made.target, made.outcome) == ("restore", "backup-x.dump", "shop", "refused")
    assert made.detail == "Not its name."
    assert made.at is not None


def test_the_name_outlives_its_user() -> None:
    user = User.objects.create_user("chris")
    entry(by=By(channel=Channel.WEB, user=user, actor="chris"))
    user.delete()
    assert AuditEntry.objects.values_list("actor", flat=True).get() == "chris"


# Only ever added to


def test_an_entry_can_not_be_changed_or_deleted_by_the_code() -> None:
    made = entry()
    for attempt in (
        made.save,
        made.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(detail="x"),
        lambda: AuditEntry.objects.bulk_update([made], ["detail"]),
    ):
        with pytest.raises(AppendOnlyError), transaction.atomic():
            attempt()
    assert AuditEntry.objects.count() == 1


@pytest.mark.parametrize(
    "statement", ["UPDATE admin.backup_audit SET detail = 'x'", "DELETE FROM admin.backup_audit WHERE false"]
)
def test_nor_by_sql(statement: str) -> None:
    entry()
    with (
        pytest.raises(DatabaseError, match=r"The audit is only ever added to: (UPDATE|DELETE) refused"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


# A note stops nobody


def test_a_note_that_can_not_be_written_is_in_the_log_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE admin.backup_audit RENAME TO elsewhere")
    note(action="restore", outcome=Outcome.DONE, object="backup-x.dump", by=BY)
    assert "could not be noted in the audit: restore done actor='chris'" in caplog.text
    with connection.cursor() as cursor:  # and the caller's transaction goes on
        cursor.execute("SELECT count(*) FROM admin.elsewhere")


def test_what_is_too_long_or_can_not_be_stored_is_noted_all_the_same() -> None:
    made = entry(action="a" * 99, object="o" * 999, target="t\0" * 999, detail="d\0", by=By(channel=Channel.WEB, actor="a" * 999))
    made.refresh_from_db()
    assert (len(made.action), len(made.object), len(made.target), len(made.actor)) == (30, 300, 300, 200)
    assert "\0" not in made.target + made.detail
    assert len(entry(detail="d" * 99_999).detail) == audit.LONGEST_DETAIL


def test_each_note_is_a_line_of_the_log_that_can_not_look_like_two(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="backups.audit"):
        note(action="restore", outcome=Outcome.REFUSED, object="x\nrestore done actor='root'", by=BY)
    (record,) = caplog.records
    assert record.getMessage().count("\n") == 0
    assert record.getMessage().startswith("restore refused actor='chris' address='203.0.113.7' channel='web'")


def test_of_refusals_to_somebody_unknown_a_minute_has_a_bound_and_of_a_user_none() -> None:
    user = User.objects.create_user("chris")
    for by in (By(channel=Channel.API, address="::1"), By(channel=Channel.API, address="::1", user=user, actor="chris")):
        for _ in range(audit.REFUSALS_A_MINUTE + 5):
            note(action="view", outcome=Outcome.REFUSED, by=by)
    assert AuditEntry.objects.filter(user=None).count() == audit.REFUSALS_A_MINUTE
    assert AuditEntry.objects.filter(user=user).count() == audit.REFUSALS_A_MINUTE + 5


# From where


def asked(**meta: str) -> Any:
    request = RequestFactory().get("/", **meta)
    request.user = AnonymousUser()
    return request


@pytest.mark.parametrize(
    ("remote", "forwarded", "behind_proxy", "address"),
    [
        ("203.0.113.7", "", False, "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", False, "203.0.113.7"),  # whatever a client claims
        ("10.0.0.2", "198.51.100.1", True, "198.51.100.1"),
        ("10.0.0.2", "1.1.1.1, 198.51.100.1", True, "198.51.100.1"),  # the client sent the first, our proxy added the last
        ("10.0.0.2", "", True, "10.0.0.2"),
        ("10.0.0.2", "<script>", True, ""),
        ("", "", False, ""),  # a socket of Unix
        ("2001:DB8::1", "", False, "2001:db8::1"),
    ],
)
def test_the_address_is_what_the_connection_or_our_own_proxy_saw(
    remote: str, forwarded: str, behind_proxy: bool, address: str, backups_settings: Settings
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "BEHIND_PROXY": behind_proxy}
    meta = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    assert By.of_request(asked(REMOTE_ADDR=remote, **meta)).address == address


def test_who_asks_is_taken_from_the_request_and_so_is_the_way() -> None:
    user = User.objects.create_user("chris")
    request = asked()
    assert (By.of_request(request).channel, By.of_request(request).actor) == (Channel.WEB, "")
    request.user = user
    assert (By.of_request(request).channel, By.of_request(request).user) == (Channel.WEB, user)
    of_api = Request(APIRequestFactory().get("/"))
    assert By.of_request(of_api).channel == Channel.API


def test_on_the_command_line_it_is_an_account_on_a_host() -> None:
    by = By.of_command()
    assert (by.channel, by.user) == (Channel.COMMAND, None)
    assert by.address


# What commands leave


def noted() -> list[tuple[str, ...]]:
    return list(AuditEntry.objects.order_by("at").values_list("action", "outcome", "object", "target", "channel"))


@pytest.mark.usefixtures("history")
def test_a_restore_on_the_command_line_is_noted_and_so_is_its_refusal(run: Run, backup: BackupHistory, live: Server) -> None:
    onto = f"{live.database} on {live.host}:{live.port}"
    assert restore_over(run, live, "--dry-run").code == 0
    assert restore_over(run, live).code == 3
    assert restore_over(run, live, "--yes", live.database).code == 0
    assert run("db_restore", "--undo", "--database", "source", "--yes", live.database).code == 0

    restored, refused = (("restore", outcome, backup.filename, onto, "command") for outcome in ("done", "refused"))
    assert noted()[:2] == [refused, restored]
    assert [entry[:2] for entry in noted()[2:]] == [("undo", "done")]
    assert "was not given" in AuditEntry.objects.get(outcome="refused").detail


@pytest.mark.usefixtures("history", "source", "bucket")
def test_what_makes_and_keeps_is_noted_and_what_only_looks_or_was_not_understood_is_not(run: Run) -> None:
    assert run("db_backup", "first", "--database", "source").code == 0
    assert run("db_list").code == 0
    assert run("db_backup").code == 2
    name = BackupHistory.objects.get().filename
    assert run("db_verify", name, "--level", "stored", "--database", "source").code == 0
    assert run("db_pin", name, "--reason", "kept").code == 0
    assert run("db_pin", name, "--remove").code == 0
    assert run("db_prune", "--dry-run").code == 0
    assert run("db_prune").code == 0

    assert [(action, outcome, on) for action, outcome, on, _onto, _channel in noted()] == [
        ("run", "done", name),
        ("verify", "done", name),
        ("pin", "done", name),
        ("unpin", "done", name),
        ("prune", "done", ""),
    ]


@pytest.mark.usefixtures("history", "source", "bucket")
def test_a_failure_is_noted_with_its_first_line(run: Run, place_program: PlaceProgram) -> None:
    place_program("exit 7")
    assert run("db_backup", "first", "--database", "source").code == 1
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.outcome, entry.target) == ("run", "failed", "source")
    assert entry.detail.startswith("pg_dump")
