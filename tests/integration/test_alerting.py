"""Alerts: from what is wrong to one message, and to one more when it is over; whatever the receivers do meanwhile."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups import alerting, history
from backups.alerting import Looked, look, tell, telling
from backups.backup import DatabaseBackup
from backups.exceptions import BackupsError
from backups.models import BackupHistory, BackupRestore, Incident
from backups.postgres.named_lock import named_lock
from backups.types import Check, Server, State
from tests.conftest import connect
from tests.integration.receiver import TOKEN, HTTPReceiver

pytestmark = pytest.mark.usefixtures("history", "incidents")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def incidents() -> Iterator[None]:
    """None before and after: Django's flush does not see the schema admin."""
    yield
    Incident.objects.all().delete()


@pytest.fixture
def receiver(backups_settings: Settings) -> Iterator[HTTPReceiver]:
    """The one receiver that the settings name."""
    with HTTPReceiver() as entered:
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_URLS": [entered.url]}
        yield entered


def made(status: str = "succeeded", *, ago: timedelta = MINUTE, database: str = "shop", **fields: Any) -> BackupHistory:
    """A row of a backup that ended so long ago, or runs since."""
    at = timezone.now() - ago
    return BackupHistory.objects.create(
        filename=f"backup-{BackupHistory.objects.count()}.dump",
        environment=fields.pop("environment", "testing"),
        database=database,
        status=status,
        alias=fields.pop("alias", "shop"),
        created_at=at - timedelta(seconds=12),
        started_at=at - timedelta(seconds=12),
        finished_at=None if status == "running" else at,
        duration_seconds=12,
        **fields,
    )


def verified(backup: BackupHistory, verdict: str, *, status: str = "failed", **fields: Any) -> BackupRestore:
    return BackupRestore.objects.create(
        backup=backup,
        purpose="verification",
        level="restored",
        verdict=verdict,
        status=status,
        target_environment="testing",
        target_port=1,
        **fields,
    )


def keys() -> list[str]:
    """Of what is open."""
    return sorted(Incident.objects.filter(closed_at=None).values_list("key", flat=True))


# What is seen


def test_a_history_without_failures_opens_nothing() -> None:
    assert look() == Looked()
    made()
    assert look() == Looked()


def test_a_failed_backup_opens_an_incident_and_many_more_failures_only_that_one() -> None:
    made("failed", ago=9 * MINUTE)
    assert look().opened == ["backup-failed:shop"]
    for minutes in (8, 7, 6):
        made("failed", ago=minutes * MINUTE)
        assert look() == Looked(known=1)

    (incident,) = Incident.objects.all()
    assert (incident.times, incident.closed_at) == (4, None)
    assert incident.seen_at > incident.opened_at


def test_a_newer_success_closes_it() -> None:
    made("failed", ago=9 * MINUTE)
    look()
    made()

    assert look().closed == 1
    assert keys() == []


def test_each_database_fails_and_recovers_for_itself() -> None:
    made("failed", database="shop", ago=9 * MINUTE)
    made("failed", database="blog")
    look()
    made(database="shop")
    look()
    assert keys() == ["backup-failed:blog"]


def test_a_run_that_somebody_cancelled_is_neither_a_failure_nor_a_recovery() -> None:
    made("cancelled", database="blog")
    made("failed", database="shop", ago=9 * MINUTE)
    made("cancelled", database="shop")
    look()
    assert keys() == ["backup-failed:shop"]


def test_a_success_that_was_pruned_was_a_success() -> None:
    made("failed", ago=9 * MINUTE)
    made(deleted_at=timezone.now())
    look()
    assert keys() == []


def test_a_run_that_was_refused_because_another_one_works_waits_for_the_end_of_that() -> None:
    working = made("running", ago=9 * MINUTE)
    made("failed")
    assert look() == Looked()

    BackupHistory.objects.filter(pk=working.pk).update(status="failed", finished_at=timezone.now())
    assert look().opened == ["backup-failed:shop"]


def test_of_two_servers_with_a_database_of_one_name_each_fails_and_recovers_for_itself(
    register_alias: Callable[[str, Server], None],
) -> None:
    for alias, port in (("here", 5432), ("there", 54320)):
        register_alias(alias, Server(host="db.invalid", port=port, user="u", password="", database="shop"))
    made(server_address="db.invalid:54320", alias="there")
    made("failed", ago=5 * MINUTE, alias="here")  # it has never come to its server
    look()
    assert keys() == ["backup-failed:shop (here)"]

    made(server_address="db.invalid:54320", alias="there")
    assert look().closed == 0
    made(server_address="db.invalid:5432", alias="here")
    assert look().closed == 1


def test_an_open_incident_stays_open_while_a_refused_run_leaves_it_undecided() -> None:
    made("failed", ago=9 * MINUTE)
    look()
    made("running", ago=5 * MINUTE)
    made("failed")
    assert look().closed == 0
    assert keys() == ["backup-failed:shop"]


def test_a_look_asks_once_which_runs_ended_last() -> None:
    made("failed")
    with CaptureQueriesContext(connection) as asked:
        look()
    assert len([query for query in asked.captured_queries if '"finished_at" DESC NULLS LAST' in query["sql"]]) == 1


def test_another_environment_is_not_ours_to_tell_of() -> None:
    made("failed", environment="production")
    assert look() == Looked()


def test_the_incident_tells_what_failed_what_is_untouched_and_the_next_command() -> None:
    good = made(ago=timedelta(hours=23), verified_at=timezone.now() - timedelta(hours=2))
    made("failed", error_message="The upload failed.\nconnection reset by peer\nTry again.")
    look()

    (incident,) = Incident.objects.all()
    assert incident.message.startswith("The backup of shop in testing failed at ")
    assert incident.detail.splitlines() == [
        *("The upload failed.", "connection reset by peer", "Try again."),
        f"Untouched: {good.filename}, made 23 h ago, verified 2 h ago.",
    ]
    assert incident.hint == "Try again: icb db backup again --database shop"


def test_a_long_cause_keeps_its_first_and_its_last_lines() -> None:
    made("failed", error_message="\n".join(["What failed.", *(f"line {n}" for n in range(500))]))
    look()

    lines = Incident.objects.get().detail.splitlines()
    assert (lines[0], lines[1], lines[-2], lines[-1]) == ("What failed.", "…", "line 499", "There is no good backup of shop.")
    assert len(lines) < 12


def test_a_bad_backup_opens_one_and_its_good_verification_closes_it() -> None:
    backup = made(bad_at=timezone.now())
    verified(backup, "bad", error_message="The restored database differs from the backup in 1 places.")
    look()
    assert keys() == [f"verification-failed:{backup.filename}"]
    assert "differs from the backup" in Incident.objects.get().detail

    BackupHistory.objects.filter(pk=backup.pk).update(bad_at=None)
    assert look().closed == 1


def test_verifications_that_can_not_be_carried_out_are_told_when_there_were_three_in_a_row() -> None:
    backup = made()
    for _ in range(2):
        verified(backup, "unable", error_message="The server lacks something.")
    verified(backup, "unable", status="cancelled")
    assert look() == Looked()
    verified(backup, "unable")
    assert look().opened == ["verification-unable:shop"]
    verified(backup, "good", status="succeeded")
    assert look().closed == 1


def test_a_shrunk_table_is_told_until_a_newer_backup_shrinks_no_further(
    source: Server, bucket: str, receiver: HTTPReceiver
) -> None:
    before = DatabaseBackup(description="before", database="source").run()
    assert look() == Looked()
    with connect(source) as session:
        session.execute("DELETE FROM event WHERE id > 10")
    DatabaseBackup(description="after", database="source").run()

    assert look().opened == [f"shrink:{source.database}"]
    incident = Incident.objects.get()
    assert "public.event has lost 99% of its rows" in incident.detail
    assert f"icb db pin {before.filename}" in incident.hint
    assert f"icb db diff {before.filename} live --database source" in incident.hint
    DatabaseBackup(description="later", database="source").run()
    assert look().closed == 1


def test_a_warning_that_is_about_no_table_is_no_shrinking() -> None:
    made(warnings=["Roles and tablespaces could not be had."])
    assert look() == Looked()


# Checks of health


def check(state: State, id: str = "disk", subject: str = "/srv", text: str = "2 GiB free") -> Check:
    return Check(id=id, subject=subject, state=state, text=text, threshold="less than 5 GiB", hint="Make room.")


def test_a_check_that_is_bad_opens_one_and_only_ok_closes_it() -> None:
    assert look([check(State.BAD)]).opened == ["disk:/srv"]
    assert (look().closed, look([check(State.UNKNOWN)]).closed, look([check(State.BAD, id="worker")]).closed) == (0, 0, 0)
    assert look([check(State.OK)]).closed == 1

    incident = Incident.objects.get(key="disk:/srv")
    assert "2 GiB free" in incident.message
    assert "less than 5 GiB" in incident.detail
    assert "Make room." in incident.hint


def test_a_check_that_could_not_look_opens_nothing() -> None:
    assert look([check(State.UNKNOWN)]) == Looked()


def test_a_subject_that_is_looked_at_no_more_is_closed_with_its_check() -> None:
    look([check(State.BAD, subject="/old")])
    assert look([check(State.OK, subject="/new")]).closed == 1


def test_the_success_rate_follows_from_failures_that_were_told() -> None:
    assert look([check(State.BAD, id="success-rate")]) == Looked()


# What only its finder sees


def test_what_a_prune_finds_is_open_until_a_prune_finds_it_no_more() -> None:
    alerting.opened(event="prune-refused", message="The prune was refused.", hint="icb db prune --dry-run")
    look()
    assert keys() == ["prune-refused:"]
    alerting.over(event="prune-refused")
    assert keys() == []


def test_secrets_are_taken_out_before_an_incident_is_written(receiver: HTTPReceiver) -> None:
    alerting.opened(event="unknown-objects", message=f"Seen: {receiver.url}", detail=TOKEN, hint=f"…{TOKEN}…")
    incident = Incident.objects.get()
    assert TOKEN not in f"{incident.message}{incident.detail}{incident.hint}"


def test_a_subject_too_long_for_a_key_still_opens_one_and_closes_it() -> None:
    for _ in range(2):
        alerting.opened(event="unknown-objects", subject="x" * 500, message="m")
    alerting.opened(event="unknown-objects", subject="x" * 501, message="m")
    assert Incident.objects.count() == 2
    alerting.over(event="unknown-objects", subject="x" * 500)
    assert len(keys()) == 1


def test_an_incident_that_can_not_be_recorded_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    alerting.opened(event="e" * 51, message="too long for its column")
    alerting.opened(event="after", message="the connection still works")
    assert keys() == ["after:"]
    assert "could not be recorded" in caplog.text


def test_ten_at_once_open_one() -> None:
    barrier = threading.Barrier(10)

    def see() -> None:
        barrier.wait()
        alerting.opened(event="unknown-objects", subject="bucket", message="m")

    in_threads(10, see)
    assert Incident.objects.get().times == 10


# Telling


def test_an_incident_is_told_once_and_its_end_once(receiver: HTTPReceiver) -> None:
    made("failed", ago=9 * MINUTE, error_message="The upload failed.")
    for _ in range(3):
        look()
        tell()
    assert receiver.titles == ["testing: backup of shop failed"]
    made()
    for _ in range(3):
        look()
        tell()

    assert receiver.titles == ["testing: backup of shop failed", "testing: backups of shop work again"]
    begun, ended = (got.json["message"].splitlines() for got in receiver.got)
    assert begun[0].startswith("The backup of shop in testing failed at ")
    assert begun[1] == "The upload failed."
    assert begun[-1] == "Try again: icb db backup again --database shop"
    assert ended[0] == f"Over: {begun[0]}"
    assert ended[1].startswith("It lasted ")
    assert [got.json["type"] for got in receiver.got] == ["failure", "success"]


def test_two_that_tell_at_once_send_once(receiver: HTTPReceiver) -> None:
    made("failed")
    look()
    barrier = threading.Barrier(4)

    def at_once() -> None:
        barrier.wait()
        tell()

    in_threads(4, at_once)
    assert receiver.titles == ["testing: backup of shop failed"]


def test_while_another_one_tells_it_is_left_to_that(receiver: HTTPReceiver, admin: Server) -> None:
    made("failed")
    look()
    with named_lock(history.server(), "tell:testing"):
        assert tell().opened == 0
    assert tell().opened == 1


def test_what_ended_before_it_was_told_is_not_told(receiver: HTTPReceiver) -> None:
    made("failed", ago=9 * MINUTE)
    look()
    made()
    look()
    tell()
    assert receiver.got == []


def test_what_no_receiver_took_is_told_when_one_is_back(receiver: HTTPReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "LONGEST_WAIT", timedelta(0))
    receiver.status = 503
    made("failed")
    look()
    told = tell()
    assert (told.opened, len(told.problems)) == (0, 1)
    assert "503" in told.problems[0]
    assert keys() == ["backup-failed:shop", "receiver-failed:json://127.0.0.1 (URL 1)"]
    receiver.status, receiver.got = 200, []

    assert tell().opened == 1

    assert receiver.titles == ["testing: backup of shop failed"]
    assert keys() == ["backup-failed:shop"]
    assert tell().opened == 0


def test_a_receiver_that_is_away_is_tried_again_later_each_time_and_at_once_for_something_new(receiver: HTTPReceiver) -> None:
    receiver.status = 503
    made("failed")
    look()
    for _ in range(3):
        tell()
    assert len(receiver.got) == 1  # a minute has not passed
    wait_out(minutes=1)
    tell()
    assert len(receiver.got) == 2
    wait_out(minutes=1)
    tell()
    assert len(receiver.got) == 2  # now it is two
    made("failed", database="blog")
    look()
    tell()
    assert len(receiver.got) == 4


def test_the_waits_grow_up_to_an_hour() -> None:
    assert [telling.wait(tries) // MINUTE for tries in (1, 2, 3, 6, 7, 500)] == [1, 2, 4, 32, 60, 60]


def test_a_receiver_that_fails_alone_is_told_to_the_others_once(receiver: HTTPReceiver, backups_settings: Settings) -> None:
    with HTTPReceiver(status=500) as broken:
        urls = [receiver.url, broken.url]
        backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_URLS": urls}
        made("failed")
        look()
        for _ in range(3):
            tell()
        assert receiver.titles == [
            "testing: backup of shop failed",
            "testing: nobody heard at json://127.0.0.1 (URL 2)",
        ]
        broken.status, broken.got = 200, []
        made()
        look()
        tell()
        tell()

    assert receiver.titles[2:] == [
        "testing: backups of shop work again",
        "testing: json://127.0.0.1 (URL 2) takes messages again",
    ]
    assert broken.titles == receiver.titles[2:]
    assert TOKEN not in "".join(str(vars(incident)) for incident in Incident.objects.all())


def test_a_receiver_that_nobody_configures_any_more_is_no_problem(receiver: HTTPReceiver) -> None:
    alerting.opened(event="receiver-failed", subject="slack://… (URL 7)", message="m")
    tell()
    assert keys() == []


def test_many_at_once_are_one_message(receiver: HTTPReceiver) -> None:
    databases = ["one", "two", "three", "four"]
    for database in databases:
        made("failed", database=database)
    look()
    tell()

    (got,) = receiver.got
    assert got.json["title"] == "testing: 4 problems"
    assert all(f"- backup of {database} failed" in got.json["message"] for database in databases)
    for database in databases:
        made(database=database, ago=timedelta(0))
    look()
    tell()
    assert receiver.titles[1:] == ["testing: 4 problems over"]


def test_without_a_receiver_nothing_is_told_and_what_is_open_is_told_to_the_first(
    backups_settings: Settings, receiver: HTTPReceiver
) -> None:
    urls = backups_settings.BACKUPS["ALERT_URLS"]
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_URLS": []}
    made("failed")
    look()
    assert tell().opened == 0
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "ALERT_URLS": urls}
    assert tell().opened == 1


def test_an_end_that_could_not_be_told_for_a_day_is_not_told_any_more(receiver: HTTPReceiver) -> None:
    made("failed", ago=9 * MINUTE)
    look()
    tell()
    made()
    look()
    Incident.objects.update(closed_at=timezone.now() - timedelta(hours=25))
    assert tell().ended == 0


def test_a_message_fits_a_phone_and_every_receiver_and_moves_no_cursor(receiver: HTTPReceiver) -> None:
    alerting.opened(event="unknown-objects", subject="s" * 150, message="first \x1b[31mline", detail="x" * 5000, hint="last line")
    tell()

    (got,) = receiver.got
    assert len(got.json["title"]) <= 120
    lines = got.json["message"].splitlines()
    assert len(got.json["message"]) <= 2000
    assert (lines[0], lines[-1]) == ("first \N{REPLACEMENT CHARACTER}[31mline", "last line")


def test_what_a_backup_from_the_command_line_meets_is_told_with_no_secret(
    source: Server, bucket: str, backups_settings: Settings, receiver: HTTPReceiver
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "CLIENT_FOLDERS": []}
    options = backups_settings.STORAGES["backups"]["OPTIONS"]
    backups_settings.STORAGES = {
        **backups_settings.STORAGES,
        "backups": {**backups_settings.STORAGES["backups"], "OPTIONS": {**options, "bucket_name": "not-there"}},
    }
    with pytest.raises(BackupsError):
        DatabaseBackup(description="fails", database="source").run()
    look()
    tell()

    (got,) = receiver.got
    assert source.database in got.json["title"]
    assert not any(secret in got.body for secret in (TOKEN, source.password, options["secret_key"]))


def in_threads(number: int, work: Callable[[], object]) -> None:
    """Does it in so many threads, each with connections of its own. What one of them raises is raised."""

    def one() -> None:
        try:
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        for future in [pool.submit(one) for _ in range(number)]:
            future.result()


def wait_out(*, minutes: int) -> None:
    """As if so much time had passed since the receivers were last tried."""
    for incident in Incident.objects.all():
        moved = {name: getattr(incident, name) - timedelta(minutes=minutes, seconds=1) for name in ("opened_at", "seen_at")}
        Incident.objects.filter(pk=incident.pk).update(**moved)
