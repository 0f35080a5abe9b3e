"""Puts backups on the shelf without running pg_dump: a dump, its manifest, a row, any of which may be left out or be wrong."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from backups import conf, history
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
    **fields: object,
) -> str:
    """Makes one; returns its key. `fields` are of the row, which is a succeeded one."""
    where = store or _store()
    at += timedelta(minutes=minutes)
    filename = keys.filename(at=at, description=description)
    key = keys.object_key(environment=environment, filename=filename)
    made = Manifest(
        id=uuid4(),
        filename=filename,
        description=description,
        backup_type="manual",
        environment=environment,
        database=database,
        started_at=at,
        finished_at=at + timedelta(seconds=9),
        size_bytes=len(BODY),
        checksum=hashlib.sha256(BODY).hexdigest(),
        bucket=getattr(where, "bucket", ""),
        key=key,
        pg_dump_version="17.10",
        compression="zstd",
        application_version="abc123",
        triggered_by="",
        snapshot=replace(SNAPSHOT, system_identifier=system_identifier),
    )
    etag = ""
    if dump is not None:
        where.put_new(key, dump)
    if manifest:
        data = serialize(made, signing_key=signing_key or conf.current().signing_key)
        etag = where.put_new(keys.manifest_key(key), data).etag
    if row:
        add_row(made, etag=etag, fields=fields)
    return key


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
