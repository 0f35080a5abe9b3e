"""/health/ and /metrics: who may see what, and that the numbers are those of the history."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from backups import probes
from backups.backup import DatabaseBackup
from backups.health import lately
from backups.models import BackupHistory, Heartbeat, Incident
from backups.types import Server
from backups.verify import BackupVerification
from tests.integration.health import made, verified

pytestmark = pytest.mark.usefixtures("history", "nobody_asked_before")
TOKEN = "a token of the tests"


@pytest.fixture
def nobody_asked_before(history: None) -> Iterator[None]:
    """No report is remembered, no heartbeat, no incident."""
    probes.full_report.forget()
    yield
    probes.full_report.forget()
    Heartbeat.objects.all().delete()
    Incident.objects.all().delete()


@pytest.fixture
def stranger() -> Client:
    """Somebody who is not signed in."""
    return Client()


@pytest.fixture
def somebody() -> Callable[..., Client]:
    """A browser of somebody who is signed in."""

    def sign_in(*, is_staff: bool, may_view: bool) -> Client:
        user = get_user_model().objects.create_user(f"u{is_staff}{may_view}", is_staff=is_staff)
        if may_view:
            user.user_permissions.add(Permission.objects.get_or_create(**_view())[0])
        client = Client()
        client.force_login(user)
        return client

    return sign_in


def _view() -> dict[str, Any]:
    from django.contrib.contenttypes.models import ContentType

    return {"codename": "view_backuphistory", "content_type": ContentType.objects.get_for_model(BackupHistory)}


@pytest.fixture
def staff(somebody: Callable[..., Client]) -> Client:
    """Staff who may view backups."""
    return somebody(is_staff=True, may_view=True)


@pytest.fixture
def away() -> Iterator[None]:
    """The database of the history can't be reached."""
    port = connection.settings_dict["PORT"]
    connection.close()
    connection.settings_dict["PORT"] = "1"
    yield
    connection.close()
    connection.settings_dict["PORT"] = port


# /health/


def test_for_everyone_health_is_a_word(stranger: Client) -> None:
    told = stranger.get("/health/")
    assert (told.status_code, told.json()) == (200, {"status": "ok"})
    assert "no-store" in told["Cache-Control"]


@pytest.mark.parametrize(("is_staff", "may_view"), [(False, True), (True, False)])
def test_who_is_no_staff_or_may_not_view_backups_gets_no_more(
    somebody: Callable[..., Client], is_staff: bool, may_view: bool
) -> None:
    assert somebody(is_staff=is_staff, may_view=may_view).get("/health/").json() == {"status": "ok"}


def test_staff_get_the_report(staff: Client, bucket: str) -> None:
    told = staff.get("/health/").json()
    assert (told["status"], told["is_ok"]) == ("ok", False)
    assert "newest-backup" in {check["id"] for check in told["checks"]}
    assert told["answer"].startswith("Not safe: ")


def test_a_process_without_its_database_is_failing_whoever_asks(stranger: Client, staff: Client, away: None) -> None:
    for client in (stranger, staff):
        told = client.get("/health/")
        assert (told.status_code, told.json()) == (503, {"status": "failing"})


def test_a_late_backup_takes_no_process_from_its_load_balancer(stranger: Client, bucket: str) -> None:
    made(str(connection.settings_dict["NAME"]), hours_ago=500)
    assert stranger.get("/health/").status_code == 200


def test_whoever_polls_does_not_keep_the_bucket_busy(staff: Client, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = staff.get("/health/").json()
    made(str(connection.settings_dict["NAME"]))
    assert staff.get("/health/").json() == before
    monkeypatch.setattr(lately, "REPORT_SECONDS", 0.0)
    assert staff.get("/health/").json() != before


def test_health_is_only_read(stranger: Client) -> None:
    assert stranger.post("/health/").status_code == 405


# Who may see /metrics.


@pytest.fixture
def token(backups_settings: Settings) -> str:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "METRICS_TOKEN": TOKEN}
    return TOKEN


def scraped(client: Client, authorization: str = "", **headers: str) -> Any:
    given = {"Authorization": authorization} if authorization else {}
    return client.get("/metrics", headers={**given, **headers})


def test_the_token_opens_the_metrics(stranger: Client, token: str) -> None:
    told = scraped(stranger, f"Bearer {token}")
    assert told.status_code == 200
    assert told["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"])
def test_without_the_right_token_a_stranger_is_told_that_one_is_needed(stranger: Client, token: str, authorization: str) -> None:
    told = scraped(stranger, authorization)
    assert (told.status_code, told["WWW-Authenticate"]) == (401, 'Bearer realm="metrics"')
    assert b"backups_" not in told.content


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer "])
def test_where_there_is_no_token_there_is_nothing_for_a_stranger(stranger: Client, authorization: str) -> None:
    assert scraped(stranger, authorization).status_code == 404


def test_staff_see_the_metrics_with_and_without_a_token(staff: Client, backups_settings: Settings) -> None:
    assert scraped(staff).status_code == 200
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "METRICS_TOKEN": TOKEN}
    assert scraped(staff).status_code == 200


def test_staff_without_the_permission_are_refused(somebody: Callable[..., Client], token: str) -> None:
    assert scraped(somebody(is_staff=True, may_view=False)).status_code == 403
    assert scraped(somebody(is_staff=False, may_view=True)).status_code == 401


def test_without_the_history_there_are_no_numbers(stranger: Client, token: str, away: None) -> None:
    assert scraped(stranger, f"Bearer {token}").status_code == 503
    assert scraped(stranger).status_code == 503


# The numbers.


def numbers(client: Client, token: str) -> dict[tuple[str, ...], float]:
    """Every sample: its name and the values of its labels, sorted by their names."""
    text = scraped(client, f"Bearer {token}").content.decode()
    return {
        (sample.name, *(value for _name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_real_backup_and_its_verification_are_in_the_numbers(stranger: Client, token: str, source: Server, bucket: str) -> None:
    DatabaseBackup(description="good", database="source").run()
    drill = BackupVerification(database="source").run()
    row, name = BackupHistory.objects.get(), source.database

    found = numbers(stranger, token)

    assert row.started_at is not None
    assert found["backups_newest_timestamp_seconds", name] == pytest.approx(row.started_at.timestamp())
    assert found["backups_verified_timestamp_seconds", name] == pytest.approx(row.started_at.timestamp())
    assert 0 < found["backups_newest_age_seconds", name] < 300
    for metric in ("newest_size_bytes", "verified_size_bytes", "stored_bytes"):
        assert found[f"backups_{metric}", name] == row.size_bytes
    assert found["backups_newest_rows", name] == 6200
    assert found["backups_newest_database_size_bytes", name] == row.database_size_bytes
    assert found["backups_newest_duration_seconds", name] == pytest.approx(row.duration_seconds)
    assert found["backups_restore_duration_seconds", name] == pytest.approx(drill.duration_seconds)
    assert found["backups_runs_total", name, "succeeded"] == 1
    assert found["backups_loads_total", "succeeded", "verification"] == 1


def test_runs_are_counted_by_how_they_ended_also_when_their_backup_was_pruned(stranger: Client, token: str) -> None:
    for fields in ({}, {"deleted_at": timezone.now()}, {"status": "failed"}, {"status": "cancelled"}, {"status": "running"}):
        made("shop", **fields)
    made("shop", status="pending", started_at=None)
    made("shop", environment="production")
    found = numbers(stranger, token)
    ended = {key[2]: value for key, value in found.items() if key[:2] == ("backups_runs_total", "shop")}
    assert ended == {"succeeded": 2, "failed": 1, "cancelled": 1}
    assert (found["backups_running", "shop"], found["backups_queued", "shop"]) == (1, 1)
    assert (found["backups_kept", "shop"], found["backups_stored_bytes", "shop"]) == (1, 1 << 20)


def test_what_is_bad_or_missing_is_counted_and_is_not_the_newest(stranger: Client, token: str) -> None:
    good = made("shop", hours_ago=9)
    verified(made("shop", hours_ago=3, bad_at=timezone.now()))
    made("shop", hours_ago=2, missing_at=timezone.now())
    made("shop", hours_ago=1, backup_type="pre-restore")
    found = numbers(stranger, token)
    assert (found["backups_bad", "shop"], found["backups_missing", "shop"]) == (1, 1)
    assert good.started_at is not None
    assert found["backups_newest_timestamp_seconds", "shop"] == pytest.approx(good.started_at.timestamp())
    assert ("backups_verified_timestamp_seconds", "shop") not in found


def test_heartbeats_and_open_incidents_are_told(stranger: Client, token: str) -> None:
    at = timezone.now() - timedelta(minutes=7)
    Heartbeat.objects.create(name="queue:backups", at=at)
    common = {"environment": "testing", "message": "m"}
    Incident.objects.create(key="a", event="backup-failed", **common)
    Incident.objects.create(key="b", event="unknown-objects", detail="one\ntwo", **common)
    Incident.objects.create(key="c", event="shrunk", closed_at=at, **common)
    found = numbers(stranger, token)
    assert found["backups_heartbeat_timestamp_seconds", "queue:backups"] == pytest.approx(at.timestamp())
    assert {key[1]: value for key, value in found.items() if key[0] == "backups_open_incidents"} == {
        "backup-failed": 1,
        "unknown-objects": 1,
    }
    assert found[("backups_unknown_objects",)] == 2


def test_the_limit_of_the_bucket_is_told_where_there_is_one(stranger: Client, token: str, backups_settings: Settings) -> None:
    assert ("backups_bucket_limit_bytes",) not in numbers(stranger, token)
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "HEALTH": {"bucket_limit_bytes": 5000}}
    assert numbers(stranger, token)[("backups_bucket_limit_bytes",)] == 5000


def test_more_databases_take_no_more_queries(
    stranger: Client, token: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    verified(made("shop"))
    for _number in range(2):
        with django_assert_num_queries(11):
            scraped(stranger, f"Bearer {token}")
        for database in ("forum", "wiki", "blog"):
            verified(made(database))


def test_openmetrics_is_given_to_who_asks_for_it(stranger: Client, token: str) -> None:
    told = scraped(stranger, f"Bearer {token}", Accept="application/openmetrics-text; version=1.0.0")
    assert told["Content-Type"].startswith("application/openmetrics-text")
    assert told.content.endswith(b"# EOF\n")


def test_the_text_is_what_prometheus_reads_with_a_help_for_each_name(stranger: Client, token: str) -> None:
    verified(made('a "name" with \\ and \n'))
    text = scraped(stranger, f"Bearer {token}").content
    families = list(text_string_to_metric_families(text.decode()))
    assert all(family.name.startswith("backups_") and family.documentation.endswith(".") for family in families)
    assert numbers(stranger, token)["backups_kept", 'a "name" with \\ and \n'] == 1
    if promtool := shutil.which("promtool"):
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")
