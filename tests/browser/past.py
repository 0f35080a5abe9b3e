"""A shop with a past, to be pictured: three months of backups in the history, the last ones real."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from backups import conf
from backups.manifest import LIMIT_BYTES, parse, serialize
from backups.models import BackupHistory, BackupRestore, BackupType
from backups.schedules import TASK
from backups.storage import keys
from backups.stores import configured
from backups.verify import BackupVerification
from tests.browser.furnishing import UNKNOWN, backed_up
from tests.browser.site import SHOP, Site
from tests.conftest import connect

DAYS = 90
FAILED, NONE = {19, 47, 48}, {63}  # days ago: backups that failed, and days without any
# Thousands of rows of each table, and about how many bytes each row has.
TABLES = {
    "address": (24, 60),
    "cart_line": (61, 40),
    "invoice": (18, 90),
    "payment": (18, 50),
    "product": (4, 300),
    "review": (9, 400),
}
# What the shop has grown to when its dump is to be seen halfway: megabytes of each table.
LARGER = {"order_line": 300, "stock_movement": 180, "visit": 140, "invoice_line": 90, "mail_sent": 60, "picture": 40}
FILLING = "CREATE TABLE shop.{0} AS SELECT n AS id, repeat(md5(n::text), {2}) AS body FROM generate_series(1, {1}) n"


def make(site: Site) -> tuple[BackupHistory, BackupHistory]:
    """Makes it; the newest verified backup, and the newest of all."""
    PeriodicTask.objects.filter(task=TASK).update(kwargs=json.dumps({"database": SHOP, "description": "daily"}))
    with connect(site.shop) as session:
        for name, (thousands, size) in TABLES.items():
            session.execute(FILLING.format(name, thousands * 1000, 1 + size // 32).encode())
    user = get_user_model().objects.get(username="administrator")
    verified = backed_up("daily", backup_type=BackupType.SCHEDULED)
    BackupVerification(filename=verified.filename, database=SHOP).run()
    with connect(site.shop) as session:
        session.execute("INSERT INTO event SELECT n, md5(n::text) FROM generate_series(5001, 5480) n")
        session.execute("INSERT INTO shop.review SELECT n, repeat(md5(n::text), 13) FROM generate_series(9001, 9140) n")
        session.execute("DELETE FROM shop.cart_line WHERE id > 52000")
    newest = backed_up("before release 4-2", user=user)
    site.put(UNKNOWN, b"-- somebody's own" * 4000)
    own = backed_up("daily", database="default")
    BackupVerification(filename=own.filename).run()
    now = timezone.now()
    for row, ago in (
        (verified, timedelta(hours=7, minutes=12)),
        (newest, timedelta(minutes=27)),
        (own, timedelta(minutes=14)),
    ):
        _move(row, now - ago)
    days = [day for day in range(1, DAYS) if day not in NONE]
    rows = BackupHistory.objects.bulk_create(_daily(verified, days_ago=day) for day in days)
    BackupRestore.objects.bulk_create(_proof(row) for row in rows if row.verified_at)
    return verified, newest


def grow(site: Site) -> None:
    """The shop becomes so large that a backup of it takes seconds."""
    with connect(site.shop) as session:
        for name, megabytes in LARGER.items():
            session.execute(FILLING.format(name, megabytes * 1000, 30).encode())


def _move(row: BackupHistory, at: datetime) -> None:
    """It was made then, by its name, its manifest and its row; and so was what has proven it."""
    row.refresh_from_db()
    store, signing_key = configured().require_s3(), conf.current().signing_key
    made = parse(store.read(keys.manifest_key(row.s3_key), limit_bytes=LIMIT_BYTES), signing_key=signing_key)
    by, filename = at - made.started_at, keys.filename(at=at, description=row.description)
    key = keys.object_key(environment=row.environment, filename=filename)
    moved = replace(made, filename=filename, key=key, started_at=at, finished_at=made.finished_at + by)
    for before, after in ((made.key, key), (keys.globals_key(made.key), keys.globals_key(key))):
        store.put_new(after, store.read(before, limit_bytes=LIMIT_BYTES))
        store.delete(before)
    store.delete(keys.manifest_key(made.key))
    etag = store.put_new(keys.manifest_key(key), serialize(moved, signing_key=signing_key)).etag
    _write(row, by, filename=filename, s3_key=key, manifest_etag=etag)
    for run in row.restores.all():
        _write(run, by, source_key=key)


def _write(run: BackupHistory | BackupRestore, by: timedelta, **values: str) -> None:
    """These values, and its times moved by so much."""
    for name in ("created_at", "started_at", "finished_at", "stored_at", "readable_at", "verified_at"):
        if known := getattr(run, name, None):
            setattr(run, name, known + by)
    for name, value in values.items():
        setattr(run, name, value)
    run.save()


def _daily(newest: BackupHistory, *, days_ago: int) -> BackupHistory:
    """As the newest, that many days before, when the shop was smaller."""
    at = newest.created_at - timedelta(days=days_ago, seconds=days_ago * 7 % 50)
    share = 1 - 0.3 * days_ago / DAYS
    filename = keys.filename(at=at, description="daily")
    row = BackupHistory(
        filename=filename,
        description="daily",
        backup_type="scheduled",
        environment=newest.environment,
        database=newest.database,
        system_identifier=newest.system_identifier,
        server_address=newest.server_address,
        created_at=at,
        started_at=at,
    )
    if days_ago in FAILED:
        row.status, row.duration_seconds = "failed", 3.1
        row.error_message = "pg_dump ended with exit code 1.\npg_dump: error: could not open relation: too many open files"
        row.finished_at = at + timedelta(seconds=3)
        return row
    took = (newest.duration_seconds or 1) * share * (1 + days_ago * 5 % 7 / 20)
    snapshot = newest.table_snapshot
    tables = [one | {"rows": round(one["rows"] * share), "bytes": round(one["bytes"] * share)} for one in snapshot["tables"]]
    total = {"tables": len(tables), "rows": sum(one["rows"] for one in tables), "bytes": sum(one["bytes"] for one in tables)}
    row.status, row.duration_seconds, row.finished_at = "succeeded", took, at + timedelta(seconds=took)
    row.size_bytes = round((newest.size_bytes or 0) * share)
    row.database_size_bytes = round((newest.database_size_bytes or 0) * share)
    row.bucket, row.s3_key = newest.bucket, keys.object_key(environment=newest.environment, filename=filename)
    row.table_snapshot = {**snapshot, "tables": tables, "total": total}
    row.stored_at = row.readable_at = row.verified_at = row.finished_at + timedelta(minutes=2) if days_ago % 3 else None
    return row


def _proof(of: BackupHistory) -> BackupRestore:
    at = of.verified_at
    assert at is not None
    return BackupRestore(
        backup=of,
        source_key=of.s3_key,
        purpose="verification",
        level="restored",
        verdict="good",
        target_host="127.0.0.1",
        target_port=5432,
        target_database=of.database,
        target_environment=of.environment,
        status="succeeded",
        created_at=at,
        started_at=at,
        finished_at=at + timedelta(seconds=2),
        duration_seconds=2,
        size_bytes=of.size_bytes,
        load_seconds=1.4,
    )
