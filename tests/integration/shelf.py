"""Puts backups on the shelf without running pg_dump: a dump, its manifest, a row, any of which may be left out or be wrong."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from backups import conf, history
from backups.carry_over import row_of
from backups.manifest import serialize
from backups.models import BackupHistory, Status
from backups.storage import keys
from backups.storage.s3 import S3Store
from backups.storage.store import Store
from backups.types import Locale, Manifest, Snapshot, StoreOptions, TableRows

NOON = datetime(2024, 1, 15, 12, 0, tzinfo=UTC)
BODY = b"PGDMP" + bytes(1000)
_STORES: dict[StoreOptions, S3Store] = {}
SNAPSHOT = Snapshot(
    tables=(TableRows(schema="public", table="event", rows=5000, bytes=1 << 20),),
    database_size_bytes=9 << 20,
    server_version="17.10",
    server_version_num=170010,
    system_identifier="1",
    encoding="UTF8",
    locale=Locale(collate="C", ctype="C"),
    extensions=(("plpgsql", "1.0"),),
    migrations=(),
    roles=(),
)


def put(
    description: str,
    *,
    at: datetime = NOON,
    minutes: int = 0,
    database: str = "shop",
    environment: str = "testing",
    system_identifier: str = SNAPSHOT.system_identifier,
    dump: bytes | None = BODY,
    manifest: bool = True,
    row: bool = True,
    store: Store | None = None,
    signing_key: bytes | None = None,
    backup_type: str = "manual",
    **fields: object,
) -> str:
    """Makes one; returns its key. `fields` are of the row, which is a succeeded one."""
    where = store or _store()
    at += timedelta(minutes=minutes)
    filename = keys.filename(at=at, description=description)
    key = keys.object_key(environment=environment, filename=filename)
    made = _manifest(
        at=at,
        description=description,
        filename=filename,
        key=key,
        bucket=getattr(where, "bucket", ""),
        database=database,
        environment=environment,
        system_identifier=system_identifier,
        backup_type=backup_type,
    )
    etag = ""
    if dump is not None:
        where.put_new(key, dump)
    if manifest:
        data = serialize(made, signing_key=signing_key or conf.current().signing_key)
        etag = where.put_new(keys.manifest_key(key), data).etag
    if row:
        add_row(made, etag=etag, fields={"backup_type": backup_type, **fields})
    return key


def put_many(number: int, *, store: S3Store, rows: bool = True) -> list[str]:
    """Whole backups, a minute apart, with the fewest requests; their keys, oldest first."""
    made = []
    for minutes in range(number):
        at = NOON + timedelta(minutes=minutes)
        filename = keys.filename(at=at, description="many")
        key = keys.object_key(environment="testing", filename=filename)
        made.append(_manifest(at=at, description="many", filename=filename, key=key, bucket=store.bucket))

    def write(one: Manifest) -> str:
        data = serialize(one, signing_key=conf.current().signing_key)
        store.client.put_object(Bucket=store.bucket, Key=one.key, Body=BODY)
        answer = store.client.put_object(Bucket=store.bucket, Key=keys.manifest_key(one.key), Body=data)
        return answer["ETag"].strip('"')

    with ThreadPoolExecutor(4) as pool:
        etags = list(pool.map(write, made))
    if rows:
        BackupHistory.objects.bulk_create(
            BackupHistory(**row_of(one), manifest_etag=etag) for one, etag in zip(made, etags, strict=True)
        )
    return [one.key for one in made]


def _manifest(
    *,
    at: datetime,
    description: str,
    filename: str,
    key: str,
    bucket: str,
    database: str = "shop",
    environment: str = "testing",
    system_identifier: str = SNAPSHOT.system_identifier,
    backup_type: str = "manual",
) -> Manifest:
    return Manifest(
        id=uuid4(),
        filename=filename,
        description=description,
        backup_type=backup_type,
        environment=environment,
        database=database,
        started_at=at,
        finished_at=at + timedelta(seconds=9),
        size_bytes=len(BODY),
        checksum=hashlib.sha256(BODY).hexdigest(),
        bucket=bucket,
        key=key,
        pg_dump_version="17.10",
        compression="zstd",
        application_version="abc123",
        triggered_by="",
        snapshot=replace(SNAPSHOT, system_identifier=system_identifier),
    )


def add_row(made: Manifest, *, etag: str, fields: dict[str, object]) -> None:
    """The row of a succeeded run, with some fields changed."""
    values = {
        "status": Status.SUCCEEDED,
        "created_at": made.started_at,
        "started_at": made.started_at,
        "finished_at": made.finished_at,
        "duration_seconds": made.duration_seconds,
        "bucket": made.bucket,
        "s3_key": made.key if made.bucket else "",
        "manifest_etag": etag,
        "system_identifier": made.snapshot.system_identifier,
        **history.fields_of(made),
        **fields,
    }
    told = {name: getattr(made, name) for name in ("id", "filename", "description", "environment", "database")}
    assert history.add(BackupHistory(**(told | values)))


def put_again(key: str, *, under: str) -> None:
    """Copies dump and manifest of one backup to another key, as somebody with the right to write could."""
    store = _store()
    for one, other in ((key, under), (keys.manifest_key(key), keys.manifest_key(under))):
        store.put_new(other, store.read(one, limit_bytes=1 << 20))


def _store() -> S3Store:
    """The bucket in use. Making a client of boto3's takes longer than anything else here, so one serves a whole test."""
    options = conf.store_options()
    assert options is not None
    if options not in _STORES:
        _STORES.clear()
        _STORES[options] = S3Store(options)
    return _STORES[options]
