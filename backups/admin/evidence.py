"""What the history tells of each database, for the verdict: a fixed number of questions for each, whatever its length."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from backups import conf
from backups.admin.moments import following
from backups.admin.safety import Copy, Facts
from backups.health import of_backups, of_schedule
from backups.health.sites import Site
from backups.models import BackupHistory, Status
from backups.schedules import Schedule

_COPY = ("id", "description", "created_at", "started_at", "verified_at")


def facts_of(site: Site, schedules: Sequence[Schedule], *, now: datetime) -> Facts:
    """Raises what Django's database does."""
    found = of_backups.newest(site)
    limits = conf.current().health
    grace = of_backups.grace(site, limits, now=now)
    due = of_schedule.due(schedules, alias=site.alias, now=now, grace=grace)
    checks = {check.id: check for check in of_backups.checks_of(found, limits, due=due, now=now)}
    newest = _copy(found.backup)
    proven = _copy(of_backups.in_bucket(site).filter(verified_at__isnull=False).only(*_COPY).first())
    failed, failure, was_any = _failed(site)
    return Facts(
        alias=site.alias,
        database=site.name,
        environment=conf.current().environment,
        checks=checks,
        newest=newest,
        proven=proven,
        last_proof_at=found.verified_at,
        is_proof_lost=found.is_proof_lost,
        restore_seconds=found.restore_seconds,
        restored_at=found.drill.finished_at if found.drill else None,
        load_seconds=found.drill.load_seconds if found.drill else None,
        is_by_restore=found.is_by_restore,
        late_at=late_at(newest.made_at, schedules, site.alias, grace=grace) if newest is not None else None,
        failed=failed,
        failure=failure,
        was_any=was_any,
        is_newest_bad=found.is_newer_bad,
        is_local_alone=found.is_local_alone,
    )


def late_at(made_at: datetime, schedules: Sequence[Schedule], alias: str, *, grace: timedelta) -> datetime:
    """When a backup that was made then is too old: the next moment of its database's schedules, and the grace; without a
    schedule, by its age.
    """
    own = [one for one in schedules if one.database == alias and not one.problem]
    moments = [
        moment
        for one in own
        if (moment := following(one.when, zone=one.time_zone, after=made_at if one.fired_at else max(made_at, one.changed_at)))
    ]
    if not moments:
        return made_at + timedelta(hours=conf.current().health.backup_age_hours)
    return min(moments) + grace


def _copy(row: BackupHistory | None) -> Copy | None:
    if row is None:
        return None
    made_at = row.started_at or row.created_at
    return Copy(id=row.id, description=row.description, made_at=made_at, verified_at=row.verified_at)


def _failed(site: Site) -> tuple[int, UUID | None, bool]:
    """How many runs failed since the last success, the newest of them, and whether there was a success."""
    good = site.runs().filter(status=Status.SUCCEEDED).newest_first().values_list("created_at", flat=True).first()
    failures = site.runs().filter(status=Status.FAILED)
    if good is not None:
        failures = failures.filter(created_at__gt=good)
    newest = failures.newest_first().values_list("id", flat=True).first()
    return failures.count() if newest is not None else 0, newest, good is not None
