"""Health of backups, of their schedule and of what carries it out: judged by the history alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab
from django.utils import timezone

from backups import conf
from backups.health import of_backups, of_schedule
from backups.health.sites import Site, sites
from backups.models import BackupHistory, BackupRestore, Heartbeat
from backups.schedules import Schedule
from backups.thresholds import Thresholds
from backups.types import Check, Server, State
from tests.integration.health import made, one, verified

pytestmark = pytest.mark.usefixtures("history")
LIMITS = Thresholds()
NIGHTLY = Schedule(
    id=1,
    name="nightly",
    when=crontab(hour="1", minute="30"),
    time_zone=ZoneInfo("UTC"),
    fired_at=datetime(2026, 11, 24, 1, 30, tzinfo=UTC),
    changed_at=datetime(2026, 11, 1, tzinfo=UTC),
    database="source",
)


@pytest.fixture(autouse=True)
def _no_heartbeats(history: None) -> Iterator[None]:
    yield
    Heartbeat.objects.all().delete()


@pytest.fixture
def site(source: Server) -> Site:
    """The database `source`."""
    return Site(alias="source", server=source, is_namesake=False)


def checks(site: Site, limits: Thresholds = LIMITS, *, due: datetime | None = None) -> list[Check]:
    return list(of_backups.checks(site, limits, due=due, now=timezone.now()))


# The newest backup.


def test_without_a_backup_the_command_that_makes_one_is_told(site: Site) -> None:
    found = one(checks(site), "newest-backup", site.name)
    assert (found.state, found.hint) == (State.BAD, "Make one: icb db backup first --database source")


def test_a_young_backup_is_told_with_its_age_its_size_and_the_threshold(site: Site) -> None:
    made(site.server.database, hours_ago=0.46)
    found = one(checks(site), "newest-backup")
    assert (found.state, found.text, found.threshold) == (State.OK, "newest backup 27 min ago, 1.0 MiB", "older than 26 h")


def test_without_a_schedule_a_backup_is_too_old_after_26_hours(site: Site) -> None:
    made(site.server.database, hours_ago=26.1)
    assert one(checks(site), "newest-backup").state is State.BAD
    assert one(checks(site, Thresholds(backup_age_hours=27)), "newest-backup").state is State.OK


def test_a_backup_in_the_local_folder_alone_does_not_count_as_it_is_lost_with_its_machine(site: Site) -> None:
    made(site.server.database, hours_ago=1, local_path="/backups/one.dump")
    found = one(checks(site), "newest-backup")
    assert (found.state, found.text.partition(";")[0]) == (State.BAD, "no backup that would outlive this machine")

    made(site.server.database, hours_ago=30, s3_key="testing/postgres/old.dump", local_path="/backups/old.dump")
    found = one(checks(site), "newest-backup")
    assert found.text == "newest backup 30 h ago, 1.0 MiB; 1 newer one is in the local folder alone"
    assert found.state is State.BAD


@pytest.mark.parametrize("field", ["bad_at", "missing_at"])
def test_a_backup_that_could_not_be_restored_does_not_count(site: Site, field: str) -> None:
    made(site.server.database, hours_ago=30)
    made(site.server.database, hours_ago=1, **{field: timezone.now()})
    found = one(checks(site), "newest-backup")
    assert (found.state, found.text) == (State.BAD, "newest backup 30 h ago, 1.0 MiB; 1 newer one is bad or missing")


def test_a_newest_backup_that_is_bad_is_no_safety_however_young_the_one_before_is(site: Site) -> None:
    made(site.server.database, hours_ago=2)
    made(site.server.database, hours_ago=1, bad_at=timezone.now())
    found = one(checks(site), "newest-backup")
    assert (found.state, found.hint) == (
        State.BAD,
        "icb db list tells what became of the runs since. Make one now: icb db backup now --database source",
    )


@pytest.mark.parametrize(
    "fields",
    [{"status": "failed"}, {"deleted_at": timezone.now()}, {"backup_type": "pre-restore"}, {"environment": "production"}],
)
def test_what_is_no_backup_of_this_database_as_it_lives_does_not_count(site: Site, fields: dict[str, object]) -> None:
    made(site.server.database, **fields)
    assert one(checks(site), "newest-backup").text == "no backup yet that could be restored"


def test_where_two_servers_have_a_database_of_one_name_each_has_its_own_backups(site: Site) -> None:
    here = Site(alias="source", server=site.server, is_namesake=True)
    made(site.server.database, server_address="elsewhere:5432")
    assert one(checks(here), "newest-backup", here.name).state is State.BAD
    made(site.server.database, server_address=f"{site.server.host}:{site.server.port}")
    assert one(checks(here), "newest-backup").state is State.OK


# The schedule it should follow.


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(now: str, *, schedule: Schedule = NIGHTLY, alias: str = "source") -> datetime | None:
    return of_schedule.due([schedule], alias=alias, now=utc(now), grace=timedelta(hours=1))


def test_a_scheduled_backup_is_due_when_its_grace_is_over() -> None:
    assert due("2026-11-25T02:29") == utc("2026-11-24T01:30")
    assert due("2026-11-25T02:31") == utc("2026-11-25T01:30")


def test_a_schedule_of_another_database_makes_nothing_due() -> None:
    assert due("2026-11-25T12:00", alias="default") is None


def test_a_schedule_that_was_made_after_its_last_moment_makes_nothing_due_yet() -> None:
    young = Schedule(**{**vars(NIGHTLY), "fired_at": None, "changed_at": utc("2026-11-25T12:00")})
    assert due("2026-11-25T13:00", schedule=young) is None
    assert due("2026-11-26T03:00", schedule=young) == utc("2026-11-26T01:30")


def test_the_schedule_is_the_threshold_where_there_is_one(site: Site) -> None:
    since = timezone.now() - timedelta(hours=2)
    made(site.server.database, hours_ago=3)
    late = one(checks(site, due=since), "newest-backup")
    assert (late.state, late.threshold) == (State.BAD, f"older than its schedule: {since:%Y-%m-%d %H:%M} UTC")
    made(site.server.database, hours_ago=1.9)
    assert one(checks(site, due=since), "newest-backup").state is State.OK


def test_grace_is_twice_the_usual_duration_and_an_hour_at_least(site: Site) -> None:
    def grace() -> timedelta:
        return of_backups.grace(site, LIMITS, now=timezone.now())

    made(site.server.database, duration_seconds=60)
    assert grace() == timedelta(hours=1)
    made(site.server.database, duration_seconds=3 * 3600 - 60)
    assert grace() == timedelta(hours=3)


def test_databases_are_looked_at_that_have_a_schedule_or_a_backup(source: Server) -> None:
    def aliases(*scheduled: str) -> set[str]:
        return {site.alias for site in sites(frozenset(scheduled))}

    assert aliases() == {"default"}
    assert aliases("source") == {"default", "source"}
    made(source.database)
    assert aliases() == {"default", "source"}


# Proof and success.


def test_a_verification_is_told_with_its_age_and_how_long_it_took(site: Site) -> None:
    verified(made(site.server.database), hours_ago=3, seconds=185)
    found = checks(site)
    assert (one(found, "verification").state, one(found, "restore-duration").state) == (State.OK, State.OK)
    assert one(found, "verification").text == "last proven by a restore 3 h ago"
    assert one(found, "restore-duration").text == "back in about 3 min 5 s, as the last verification took"


def test_a_backup_that_was_proven_and_is_bad_by_now_is_not_called_never_proven(site: Site) -> None:
    backup = made(site.server.database)
    assert one(checks(site), "verification").text == "no backup was ever proven by a restore"
    verified(backup, hours_ago=3)
    BackupHistory.objects.filter(pk=backup.pk).update(bad_at=timezone.now())
    assert one(checks(site), "verification").text == ("no backup is proven by a restore any more: what was proven was found bad")


def test_a_verification_is_too_old_after_eight_days(site: Site) -> None:
    verified(made(site.server.database, hours_ago=200), hours_ago=8 * 24 + 1)
    found = one(checks(site), "verification")
    assert (found.state, found.threshold) == (State.BAD, "longer ago than 8 days")
    assert found.hint == "icb db verify latest --database source"


def test_without_a_verification_nobody_knows_how_long_a_restore_takes(site: Site) -> None:
    made(site.server.database)
    found = checks(site)
    assert one(found, "verification").state is State.BAD
    assert one(found, "restore-duration").state is State.UNKNOWN


def test_a_restore_that_takes_longer_than_promised_is_bad(site: Site) -> None:
    verified(made(site.server.database), seconds=185)
    assert one(checks(site, Thresholds(restore_minutes=3)), "restore-duration").state is State.BAD
    assert one(checks(site, Thresholds(restore_minutes=4)), "restore-duration").state is State.OK


def test_the_success_rate_is_judged_when_there_are_enough_runs(site: Site) -> None:
    for _number in range(4):
        made(site.server.database, status="failed")
    assert one(checks(site), "success-rate").state is State.OK
    made(site.server.database)
    found = one(checks(site), "success-rate")
    assert (found.state, found.text) == (State.BAD, "1 of 5 runs in 30 days succeeded")


def test_runs_that_were_cancelled_or_are_long_ago_do_not_spoil_the_success_rate(site: Site) -> None:
    made(site.server.database)
    made(site.server.database, status="cancelled")
    made(site.server.database, status="failed", hours_ago=31 * 24)
    assert one(checks(site), "success-rate").text == "1 of 1 run in 30 days succeeded"


# The machinery.


def machinery(*schedules: Schedule) -> list[Check]:
    return list(of_schedule.checks(LIMITS, schedules=schedules, now=timezone.now()))


def test_what_has_never_run_is_bad_where_backups_are_scheduled(source: Server) -> None:
    found = [check for check in machinery(NIGHTLY) if check.id in ("scheduler", "worker")]
    assert {(check.id, check.subject) for check in found} == {("scheduler", ""), ("worker", "backups"), ("worker", "upkeep")}
    assert {(check.state, check.hint) for check in found} == {(State.BAD, "Start it: icb up")}


def test_what_has_never_run_is_not_missed_where_nothing_is_scheduled() -> None:
    found = machinery()
    assert [check.id for check in found] == ["schedule", "queue"]
    assert one(found, "schedule").text == "no backup is scheduled"


def test_a_sign_of_life_counts_for_five_minutes() -> None:
    now = timezone.now()
    Heartbeat.objects.create(name="scheduler", at=now - timedelta(minutes=4))
    Heartbeat.objects.create(name="queue:backups", at=now - timedelta(minutes=6))
    found = machinery()
    assert one(found, "scheduler").state is State.OK
    silent = one(found, "worker", "backups")
    assert (silent.state, silent.text, silent.threshold) == (State.BAD, "worker alive 6 min ago", "silent for 5 min")


def test_a_schedule_that_can_not_be_followed_is_bad() -> None:
    lost = Schedule(**{**vars(NIGHTLY), "database": "nowhere"})
    found = one(machinery(lost), "schedule")
    assert found.state is State.BAD
    assert "nowhere" in found.text


@pytest.mark.parametrize("kind", ["backup", "restore"])
def test_a_run_that_nobody_takes_is_told(source: Server, kind: str) -> None:
    def wait(minutes: int) -> Check:
        at = timezone.now() - timedelta(minutes=minutes)
        if kind == "backup":
            BackupHistory.objects.all().delete()
            made(source.database, status="pending", created_at=at, started_at=None)
        else:
            BackupRestore.objects.all().delete()
            names = {"target_host": "h", "target_port": 1, "target_database": "d"}
            BackupRestore.objects.create(target_environment=conf.current().environment, created_at=at, **names)
        return one(machinery(), "queue")

    assert wait(9).state is State.OK
    late = wait(11)
    assert late.state is State.BAD
    assert late.text.startswith("1 run waits, the first for 11 min")
