"""The backups of one database: how old the newest is, whether it was proven, how long a restore takes, how often they fail."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Avg, Count, Q

from backups import words
from backups.health.sites import Site
from backups.models import BackupHistory, BackupRestore, Level, RestorePurpose, Status, Verdict
from backups.querysets import BackupHistoryQuerySet
from backups.sentences import joined
from backups.sentences import sentence as _
from backups.sentences import sentences as ngettext
from backups.thresholds import Thresholds
from backups.types import Check, State

LOCAL_ALONE = Q(s3_key="") & ~Q(local_path="")  # where it is: lost with its machine
DAYS_OF_DURATION = 30  # the usual duration is that of the backups of so many days


@dataclass(frozen=True, kw_only=True)
class Newest:
    """The newest whole backup of a database in a bucket that nothing speaks against, and the newest verification of any; None
    without.

    `drill` is that verification, with its times only; where there is none, the newest restore that has proven as much.
    `is_newer_bad`: one that was made after `backup` was found bad. `is_local_alone`: there is none in a bucket, but in the local
    folder, which is lost with its machine. `is_proof_lost`: what was verified is all bad by now.
    """

    site: Site
    backup: BackupHistory | None
    verified_at: datetime | None
    drill: BackupRestore | None
    is_newer_bad: bool
    is_local_alone: bool
    is_proof_lost: bool

    @property
    def is_by_restore(self) -> bool:
        """Whether no verification has measured it, and a restore has."""
        return self.drill is not None and self.drill.purpose == RestorePurpose.RESTORE

    @property
    def restore_seconds(self) -> float | None:
        """What that took, from the first byte fetched to the last row compared."""
        return self.drill.duration_seconds if self.drill is not None else None


def newest(site: Site) -> Newest:
    """Raises what Django's database does."""
    drills = BackupRestore.objects.filter(
        *(Q(verdict=Verdict.GOOD), Q(status=Status.SUCCEEDED), Q(duration_seconds__isnull=False)),
        backup__in=site.runs().values("pk"),
    )
    drills = drills.order_by("-finished_at").only("duration_seconds", "load_seconds", "finished_at", "purpose")
    verification = drills.filter(purpose=RestorePurpose.VERIFICATION, level=Level.RESTORED).first()
    proven = site.runs().filter(verified_at__isnull=False)
    verified_at = proven.filter(bad_at__isnull=True).order_by("-verified_at").values_list("verified_at", flat=True).first()
    backup = _light(in_bucket(site)).first()
    return Newest(
        site=site,
        backup=backup,
        verified_at=verified_at,
        drill=verification or drills.filter(purpose=RestorePurpose.RESTORE).first(),
        is_newer_bad=backup is not None and _newer(site, backup).filter(missing_at=None).exclude(bad_at=None).exists(),
        is_local_alone=backup is None and whole(site).exists(),
        is_proof_lost=verified_at is None and proven.exists(),
    )


def whole(site: Site) -> BackupHistoryQuerySet:
    """Backups that could be restored, as far as is known; the newest first."""
    rows: BackupHistoryQuerySet = site.runs().succeeded().filter(missing_at__isnull=True, bad_at__isnull=True).newest_first()
    return rows


def in_bucket(site: Site) -> BackupHistoryQuerySet:
    """Those of them that are there when this machine is lost."""
    rows: BackupHistoryQuerySet = whole(site).exclude(LOCAL_ALONE)
    return rows


def checks(site: Site, limits: Thresholds, *, due: datetime | None, now: datetime) -> Iterator[Check]:
    """Of one database. `due` is the moment of its schedule since when there must be a backup; None without a schedule."""
    yield from checks_of(newest(site), limits, due=due, now=now)


def checks_of(found: Newest, limits: Thresholds, *, due: datetime | None, now: datetime) -> Iterator[Check]:
    """The same, where it is known already."""
    yield _age(found, limits, due=due, now=now)
    yield _proof(found, limits, now=now)
    yield _restore(found, limits)
    yield from _success(found.site, limits, now=now)


def grace(site: Site, limits: Thresholds, *, now: datetime) -> timedelta:
    """How long after its moment a scheduled backup may end: twice the usual, and at least what the threshold says."""
    recent = site.runs().succeeded().filter(created_at__gte=now - timedelta(days=DAYS_OF_DURATION))
    usual = recent.aggregate(seconds=Avg("duration_seconds"))["seconds"] or 0
    return max(timedelta(minutes=limits.backup_grace_minutes), timedelta(seconds=2 * usual))


def _age(found: Newest, limits: Thresholds, *, due: datetime | None, now: datetime) -> Check:
    site, row = found.site, found.backup
    if due is None:
        oldest, threshold = (
            now - timedelta(hours=limits.backup_age_hours),
            _("older than {backup_age_hours} h", backup_age_hours=f"{limits.backup_age_hours:g}"),
        )
    else:
        oldest, threshold = due, _("older than its schedule: {due} UTC", due=f"{due:%Y-%m-%d %H:%M}")
    if found.is_local_alone:
        state, text = State.BAD, _("no backup that would outlive this machine")
    elif row is None:
        state, text = State.BAD, _("no backup yet that could be restored")
    else:
        state = State.OK if _made_at(row) >= oldest and not found.is_newer_bad else State.BAD
        text = _(
            "newest backup {age}, {size_bytes}", age=words.age(_made_at(row), now=now), size_bytes=words.size(row.size_bytes)
        )
    if later := _better_not(site, row):
        text = joined("; ", (text, later))
    hint = _("icb db list tells what became of the runs since. Make one now: icb db backup now{option}", option=site.option())
    first = _("Make one: icb db backup first{option}", option=site.option())
    return Check(
        id="newest-backup",
        subject=site.name,
        state=state,
        text=text,
        threshold=threshold,
        hint="" if state is State.OK else first if row is None else hint,
    )


def _better_not(site: Site, row: BackupHistory | None) -> str:
    """What is newer and does not count: a backup that is bad or gone, or would be lost with this machine."""
    is_sound = Q(missing_at=None, bad_at=None)
    counts = _newer(site, row).aggregate(unsound=Count("pk", filter=~is_sound), local=Count("pk", filter=is_sound & LOCAL_ALONE))
    unsound, local = counts["unsound"], counts["local"]
    told = []
    if unsound:
        told.append(
            ngettext(
                "{count} newer one is bad or missing",
                "{count} newer ones are bad or missing",
                unsound,
                count=words.count(unsound),
            )
        )
    if local:
        told.append(
            ngettext(
                "{count} newer one is in the local folder alone",
                "{count} newer ones are in the local folder alone",
                local,
                count=words.count(local),
            )
        )
    return joined(", ", told)


def _newer(site: Site, row: BackupHistory | None) -> BackupHistoryQuerySet:
    rows: BackupHistoryQuerySet = site.runs().succeeded()
    return rows if row is None else rows.filter(created_at__gt=row.created_at)


def _proof(found: Newest, limits: Thresholds, *, now: datetime) -> Check:
    threshold, at = (
        _("longer ago than {verification_age_days} days", verification_age_days=f"{limits.verification_age_days:g}"),
        found.verified_at,
    )
    is_recent = at is not None and now - at <= timedelta(days=limits.verification_age_days)
    if at is not None:
        text = _("last proven by a restore {age}", age=words.age(at, now=now))
    elif found.is_proof_lost:
        text = _("no backup is proven by a restore any more: what was proven was found bad")
    else:
        text = _("no backup was ever proven by a restore")
    return Check(
        id="verification",
        subject=found.site.name,
        state=State.OK if is_recent else State.BAD,
        text=text,
        threshold=threshold,
        hint="" if is_recent else f"icb db verify latest{found.site.option()}",
    )


def _restore(found: Newest, limits: Thresholds) -> Check:
    most, seconds = limits.restore_minutes, found.restore_seconds
    threshold = _("longer than {most} min", most=f"{most:g}") if most else ""
    if seconds is None:
        state, text = State.UNKNOWN, _("how long a restore takes was never measured")
    else:
        state = State.BAD if most and seconds > most * 60 else State.OK
        took = words.duration(seconds)
        if found.is_by_restore:
            text = _("back in about {seconds}, as the last restore took", seconds=took)
        else:
            text = _("back in about {seconds}, as the last verification took", seconds=took)
    hints = {
        State.UNKNOWN: f"icb db verify latest{found.site.option()}",
        State.BAD: _("A faster store or server, or a higher restore_minutes in BACKUPS_HEALTH."),
    }
    return Check(
        id="restore-duration", subject=found.site.name, state=state, text=text, threshold=threshold, hint=hints.get(state, "")
    )


def _success(site: Site, limits: Thresholds, *, now: datetime) -> Iterator[Check]:
    """Of the runs that ended by themselves; whether there were any is the newest backup's matter."""
    recent = site.runs().filter(created_at__gte=now - timedelta(days=limits.success_days))
    counts = recent.aggregate(
        good=Count("pk", filter=Q(status=Status.SUCCEEDED)), failed=Count("pk", filter=Q(status=Status.FAILED))
    )
    good, total = counts["good"], counts["good"] + counts["failed"]
    if not total:
        return
    is_bad = total >= limits.success_runs and good * 100 < limits.success_percent * total
    yield Check(
        id="success-rate",
        subject=site.name,
        state=State.BAD if is_bad else State.OK,
        text=ngettext(
            "{good} of {total} run in {success_days} days succeeded",
            "{good} of {total} runs in {success_days} days succeeded",
            total,
            good=words.count(good),
            total=words.count(total),
            success_days=limits.success_days,
        ),
        threshold=_(
            "fewer than {success_percent}%, of {success_runs} or more",
            success_percent=limits.success_percent,
            success_runs=limits.success_runs,
        ),
        hint=_("icb db list --limit 0 tells why the others failed.") if is_bad else "",
    )


def _made_at(row: BackupHistory) -> datetime:
    """As of when its data is, at the earliest."""
    return row.started_at or row.created_at


def _light(rows: BackupHistoryQuerySet) -> BackupHistoryQuerySet:
    light: BackupHistoryQuerySet = rows.defer("table_snapshot", "applied_migrations", "extensions", "warnings", "progress")
    return light
