"""What Prometheus may know, read from the history at each scrape: the same from every web process, and after a restart.

https://prometheus.io/docs/practices/naming/. The number of queries does not depend on how much there is.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, Q, Sum
from django.utils import timezone
from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backups import conf
from backups.models import (
    BackupHistory,
    BackupRestore,
    BackupType,
    Heartbeat,
    Incident,
    Level,
    RestorePurpose,
    Status,
    Verdict,
)
from backups.querysets import BackupHistoryQuerySet

UNKNOWN_OBJECTS = "unknown-objects"  # the event of an incident, with a line of its detail for each object, up to …
_MORE = re.compile(r"and (\d+) more")  # … so many in the last one
_OUTCOMES = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
_SUCCEEDED = Q(status=Status.SUCCEEDED, deleted_at=None)
_WHOLE = _SUCCEEDED & Q(missing_at=None, bad_at=None)
_QUEUED = Q(status=Status.PENDING, started_at=None)
_RUNNING = Q(status=Status.RUNNING) | Q(status=Status.PENDING, started_at__isnull=False)


def registry() -> CollectorRegistry:
    """A registry of one scrape."""
    made = CollectorRegistry(auto_describe=False)
    made.register(HistoryCollector())
    return made


class HistoryCollector(Collector):
    """All metrics of this environment. Times are in seconds, sizes in bytes; `database` is its name on the server."""

    def collect(self) -> Iterator[Metric]:
        """Raises what Django's database does."""
        rows = BackupHistory.objects.of_environment(conf.current().environment)
        restores = BackupRestore.objects.filter(target_environment=conf.current().environment)
        now = timezone.now()
        yield from _newest(rows, now=now)
        yield from _verified(rows, now=now)
        yield from _by_database(rows)
        yield from _drills(restores)
        yield from _runs(rows, restores)
        yield from _machinery()


def _newest(rows: BackupHistoryQuerySet, *, now: datetime) -> Iterator[Metric]:
    found = list(_newest_of_each(rows.filter(_WHOLE)).totals().values("database", "total_rows", *_FIELDS))
    about = "of the newest whole backup"
    yield _gauge("newest_timestamp_seconds", f"When the making {about} began, Unix time.", found, lambda row: _unix(_made(row)))
    yield _gauge("newest_age_seconds", f"The age {about}.", found, lambda row: (now - _made(row)).total_seconds())
    yield _gauge("newest_size_bytes", f"The stored size {about}.", found, lambda row: row["size_bytes"])
    yield _gauge("newest_duration_seconds", f"How long the making {about} took.", found, lambda row: row["duration_seconds"])
    yield _gauge("newest_rows", f"Rows {about}.", found, lambda row: row["total_rows"])
    about = "The size of the database when its newest whole backup was made."
    yield _gauge("newest_database_size_bytes", about, found, lambda row: row["database_size_bytes"])


def _verified(rows: BackupHistoryQuerySet, *, now: datetime) -> Iterator[Metric]:
    found = list(_newest_of_each(rows.filter(_WHOLE, verified_at__isnull=False)).values("database", *_FIELDS))
    about = "of the newest backup that a restore has proven"
    yield _gauge("verified_timestamp_seconds", f"When the making {about} began, Unix time.", found, lambda row: _unix(_made(row)))
    yield _gauge("verified_age_seconds", f"The age {about}.", found, lambda row: (now - _made(row)).total_seconds())
    yield _gauge("verified_size_bytes", f"The stored size {about}.", found, lambda row: row["size_bytes"])


def _by_database(rows: BackupHistoryQuerySet) -> Iterator[Metric]:
    counted = (
        rows.order_by()
        .values("database")
        .annotate(
            kept=Count("pk", filter=_SUCCEEDED & Q(missing_at=None)),
            stored_bytes=Sum("size_bytes", filter=_SUCCEEDED & Q(missing_at=None)),
            bad=Count("pk", filter=_SUCCEEDED & Q(bad_at__isnull=False)),
            missing=Count("pk", filter=_SUCCEEDED & Q(missing_at__isnull=False)),
            last_proof=Max("verified_at"),
            running=Count("pk", filter=_RUNNING),
            queued=Count("pk", filter=_QUEUED),
        )
    )
    found: list[dict[str, Any]] = [dict(row) for row in counted]
    yield _gauge("kept", "Backups that are kept.", found, lambda row: row["kept"])
    yield _gauge("stored_bytes", "The stored size of the backups that are kept.", found, lambda row: row["stored_bytes"] or 0)
    yield _gauge("bad", "Backups that a verification has found bad.", found, lambda row: row["bad"])
    yield _gauge("missing", "Backups that no store has whole any more.", found, lambda row: row["missing"])
    about = "When a backup was last proven by a restore, Unix time."
    yield _gauge("last_verification_timestamp_seconds", about, found, lambda row: _unix(row["last_proof"]))
    yield _gauge("running", "Backups that are being made.", found, lambda row: row["running"])
    yield _gauge("queued", "Backups that wait for a worker.", found, lambda row: row["queued"])
    limit = GaugeMetricFamily("backups_bucket_limit_bytes", "What the bucket may hold, where a limit is set.")
    if (most := conf.current().health.bucket_limit_bytes) is not None:
        limit.add_metric([], most)
    yield limit


def _drills(restores: Any) -> Iterator[Metric]:
    """How long the newest good verification of each database took."""
    good = restores.filter(
        *(Q(purpose=RestorePurpose.VERIFICATION), Q(level=Level.RESTORED), Q(verdict=Verdict.GOOD)),
        *(Q(status=Status.SUCCEEDED), Q(backup__isnull=False)),
    )
    newest = good.order_by("backup__database", "-finished_at").distinct("backup__database")
    found = list(newest.values("duration_seconds", "load_seconds", database=F("backup__database")))
    about = "How long the newest verification took, from the first byte fetched to the last row compared."
    yield _gauge("restore_duration_seconds", about, found, lambda row: row["duration_seconds"])
    about = "How long pg_restore took in the newest verification."
    yield _gauge("restore_load_seconds", about, found, lambda row: row["load_seconds"])


def _runs(rows: BackupHistoryQuerySet, restores: Any) -> Iterator[Metric]:
    made = CounterMetricFamily("backups_runs", "Backups by how they ended.", labels=["database", "outcome"])
    counted = dict.fromkeys(rows.values_list("database", flat=True).distinct().order_by(), None)
    by_outcome = {
        (database, status): count
        for database, status, count in rows.filter(status__in=_OUTCOMES)
        .order_by()
        .values_list("database", "status")
        .annotate(Count("pk"))
    }
    for database in sorted(counted):
        for outcome in _OUTCOMES:  # also those that never were: a rate of what is not there is nothing
            made.add_metric([database, str(outcome)], by_outcome.get((database, outcome), 0))
    yield made
    loaded = CounterMetricFamily("backups_loads", "Restores and verifications by how they ended.", labels=["purpose", "outcome"])
    ended = {
        (purpose, status): count
        for purpose, status, count in restores.order_by().values_list("purpose", "status").annotate(Count("pk"))
    }
    for purpose in RestorePurpose:
        for outcome in _OUTCOMES:
            loaded.add_metric([str(purpose), str(outcome)], ended.get((purpose, outcome), 0))
    yield loaded


def _machinery() -> Iterator[Metric]:
    beats = GaugeMetricFamily(
        "backups_heartbeat_timestamp_seconds",
        "When the scheduler or a queue's worker last was alive, Unix time.",
        labels=["name"],
    )
    for name, at in Heartbeat.objects.order_by("name").values_list("name", "at"):
        beats.add_metric([name], at.timestamp())
    yield beats
    opened = GaugeMetricFamily("backups_open_incidents", "Incidents that nobody has ended yet.", labels=["event"])
    unknown = GaugeMetricFamily("backups_unknown_objects", "Objects in the stores that nobody knows, while there are any.")
    found = list(Incident.objects.filter(environment=conf.current().environment, closed_at=None).values_list("event", "detail"))
    for event in sorted({event for event, _detail in found}):
        opened.add_metric([event], sum(one == event for one, _detail in found))
    if lines := [line for event, detail in found if event == UNKNOWN_OBJECTS for line in detail.split("\n") if line]:
        more = _MORE.fullmatch(lines[-1])
        unknown.add_metric([], len(lines) - 1 + int(more[1]) if more else len(lines))
    yield from (opened, unknown)


_FIELDS = ("created_at", "started_at", "size_bytes", "duration_seconds", "database_size_bytes")


def _newest_of_each(rows: BackupHistoryQuerySet) -> BackupHistoryQuerySet:
    """Of each database one; of what restores have replaced none. Two queries: in one, all rows would be read whole."""
    chosen = rows.exclude(backup_type=BackupType.PRE_RESTORE).order_by("database", "-created_at").distinct("database")
    found: BackupHistoryQuerySet = rows.filter(pk__in=list(chosen.values_list("pk", flat=True))).order_by("database")
    return found


def _gauge(name: str, about: str, rows: Iterable[dict[str, Any]], value: Callable[[dict[str, Any]], float | None]) -> Metric:
    """One sample for each database; none where nothing is known."""
    metric = GaugeMetricFamily(f"backups_{name}", about, labels=["database"])
    for row in rows:
        if (known := value(row)) is not None:
            metric.add_metric([row["database"]], known)
    return metric


def _made(row: dict[str, Any]) -> datetime:
    made: datetime = row["started_at"] or row["created_at"]
    return made


def _unix(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None
