"""What the charts show: 90 days of one database's backups, asked for by day, so that their number does not matter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from django.db.models import Count, Max, Min, Q
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from backups import conf
from backups.admin import charts, figures
from backups.admin.charts import Calendar, Day, Plot
from backups.changes import TableChange, alarming, compare_tables
from backups.health import of_backups
from backups.health.sites import Site
from backups.models import BackupHistory, Status
from backups.shrinking import LEAST_ROWS
from backups.types import TableRows

DAYS = 90
_MOVERS = 7
_COUNTS = ("runs", "good", "proven", "bad", "failed", "first_at", "at", "last_at")
_GOOD = Q(status=Status.SUCCEEDED, bad_at__isnull=True)
_ENDED = Q(status__in=(Status.SUCCEEDED, Status.FAILED))  # by themselves, as the success rate of health counts them


@dataclass(frozen=True, kw_only=True)
class Mover:
    """A table whose rows are more or fewer than in the backup before. The bar is in per cent of the width, from its middle."""

    name: str
    rows: int
    change: int
    percent: float | None
    x: str
    width: str
    is_alarming: bool

    @property
    def told_percent(self) -> str:
        """+2.0%; new, where there was no row before."""
        return _("new") if self.percent is None else figures.percent(self.percent)


@dataclass(frozen=True, kw_only=True)
class Trends:
    """The four charts, and the sentences beside them."""

    days: list[Day]
    sizes: Plot
    durations: Plot
    calendar: Calendar
    size_words: str
    size_told: str
    usual: float | None
    longest: float | None
    last: float | None
    span: int
    runs: int
    failed: int
    bad: int
    good_days: int
    proven_days: int
    failed_days: int
    idle_days: int
    counted_days: int
    gap: float | None
    is_gap_open: bool
    proven: int
    movers: list[Mover]
    moved: tuple[BackupHistory, BackupHistory] | None  # the two that are compared, the older first


def trends_of(site: Site, *, now: datetime) -> Trends:
    """Raises what Django's database does."""
    days = _days(site, now)
    shown = charts.shown(days)
    seconds = [day.seconds for day in shown if day.seconds is not None]
    usual = median(seconds) if seconds else None
    counted = days[next((place for place, day in enumerate(days) if day.runs), len(days)) :]
    gap, is_open = gap_of(days, now=now)
    moved, movers = _movers(site)
    return Trends(
        days=days,
        sizes=charts.size_plot(shown),
        durations=charts.duration_plot(shown, usual=usual),
        calendar=charts.calendar(days),
        size_words=size_words(shown),
        size_told=_size_told(shown),
        usual=usual,
        longest=max(seconds, default=None),
        last=seconds[-1] if seconds else None,
        span=len(shown),
        runs=sum(day.runs for day in days),
        failed=sum(day.failed for day in days),
        bad=sum(day.bad for day in days),
        good_days=sum(bool(day.good) for day in counted),
        proven_days=sum(bool(day.proven) for day in counted),
        failed_days=sum(day.kind == "failed" for day in counted),
        idle_days=sum(day.kind == "nothing" for day in counted),
        counted_days=len(counted),
        gap=gap,
        is_gap_open=is_open,
        proven=sum(day.proven for day in days),
        movers=movers,
        moved=moved,
    )


def size_words(days: Sequence[Day]) -> str:
    """285.4 MiB stored, 9.0 MiB more each week: on average, where two weeks or more lie between the first and the last."""
    sized = [(place, day.size) for place, day in enumerate(days) if day.size is not None]
    if not sized:
        return ""
    (first, before), (last, after) = sized[0], sized[-1]
    words = {"size": figures.size(after)}
    if last - first < 14:
        return _("%(size)s stored") % words
    weekly = (after - before) / (last - first) * 7
    words["weekly"] = figures.size(abs(round(weekly)))
    if abs(weekly) < after / 1000:
        return _("%(size)s stored, about the same each week") % words
    return (
        _("%(size)s stored, %(weekly)s more each week") if weekly > 0 else _("%(size)s stored, %(weekly)s less each week")
    ) % words


def gap_of(days: Sequence[Day], *, now: datetime) -> tuple[float | None, bool]:
    """The longest time without a new backup, in seconds, and whether it lasts still: from the last of a day to the first of the
    next that has one. What is shorter than a day may have been longer within one.
    """
    moments = [(day.first_at, day.at) for day in days if day.first_at is not None and day.at is not None]
    if not moments:
        return None, False
    closed = max(((first - last).total_seconds() for (_one, last), (first, _other) in pairwise(moments)), default=0.0)
    still = (now - moments[-1][1]).total_seconds()
    return max(closed, still), still >= closed


def movers_of(changes: Sequence[TableChange], *, alarm_percent: int) -> list[Mover]:
    """Those with the most rows more or fewer."""
    moved = sorted((change for change in changes if change.rows), key=lambda change: (-abs(change.rows), change.name))[:_MOVERS]
    largest = max((abs(change.rows) for change in moved), default=1)
    lost = alarming(moved, percent=alarm_percent, least_rows=LEAST_ROWS)
    found = []
    for change in moved:
        width = 50 * abs(change.rows) / largest
        found.append(
            Mover(
                name=change.name,
                rows=change.after.rows if change.after else 0,
                change=change.rows,
                percent=change.percent,
                x=f"{50 if change.rows > 0 else 50 - width:.1f}",
                width=f"{width:.1f}",
                is_alarming=change in lost,
            )
        )
    return found


def _days(site: Site, now: datetime) -> list[Day]:
    """The last 90 of the viewer's calendar, today included."""
    zone, today = timezone.get_current_timezone(), timezone.localdate(now)
    first = today - timedelta(days=DAYS - 1)
    rows = (
        site.runs()
        .filter(created_at__gte=datetime.combine(first, time(), zone))
        .annotate(day=TruncDate("created_at", tzinfo=zone))
    )
    counted = (
        rows.order_by("day")
        .values("day")
        .annotate(
            runs=Count("pk", filter=_ENDED),
            good=Count("pk", filter=_GOOD),
            proven=Count("pk", filter=_GOOD & Q(verified_at__isnull=False)),
            bad=Count("pk", filter=Q(status=Status.SUCCEEDED, bad_at__isnull=False)),
            failed=Count("pk", filter=Q(status=Status.FAILED)),
            first_at=Min("created_at", filter=_GOOD),
            at=Max("created_at", filter=_GOOD),
            last_at=Max("created_at", filter=Q(status=Status.SUCCEEDED)),
        )
    )
    fields: dict[date, dict[str, Any]] = {
        day: dict(zip(_COUNTS, counts, strict=True)) for day, *counts in counted.values_list("day", *_COUNTS)
    }
    moments = {at for counts in fields.values() for at in (counts["at"], counts["last_at"]) if at is not None}
    told = ("day", "created_at", "bad_at", "size_bytes", "duration_seconds", "verified_at")
    last = rows.filter(status=Status.SUCCEEDED, created_at__in=moments).values_list(*told)
    for day, at, bad_at, size, seconds, verified_at in last:
        if at == fields[day]["last_at"]:
            fields[day]["seconds"] = seconds
        if bad_at is None and at == fields[day]["at"]:
            fields[day] |= {"size": size, "is_proven": verified_at is not None}
    for counts in fields.values():
        del counts["last_at"]
    return [Day(date=day, **fields.get(day, {})) for day in (first + timedelta(days=n) for n in range(DAYS))]


def _movers(site: Site) -> tuple[tuple[BackupHistory, BackupHistory] | None, list[Mover]]:
    """Between the two newest whole backups that say what was in them."""
    fields = ("id", "filename", "description", "created_at", "started_at", "table_snapshot")
    newest = list(of_backups.whole(site).filter(table_snapshot__has_key="tables").only(*fields)[:2])
    if len(newest) < 2:
        return None, []
    after, before = newest
    changes = compare_tables(_tables(before), _tables(after))
    return (before, after), movers_of(changes, alarm_percent=conf.current().shrink_warning_percent)


def _tables(row: BackupHistory) -> list[TableRows]:
    return [TableRows(**table) for table in row.table_snapshot["tables"]]


def _size_told(days: Sequence[Day]) -> str:
    """For who does not see the drawing."""
    sizes = [day.size for day in days if day.size is not None]
    if not sizes:
        return _("No backup in these days.")
    return ngettext(
        "Stored size of the last backup of %(days)s day, from %(least)s to %(most)s.",
        "Stored size of the last backup of each of %(days)s days, from %(least)s to %(most)s.",
        len(days),
    ) % {
        "days": len(days),
        "least": figures.size(min(sizes)),
        "most": figures.size(max(sizes)),
    }
