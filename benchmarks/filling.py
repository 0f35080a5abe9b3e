"""Fills bucket and history with many small backups, whole ones: `python -m benchmarks.filling 1000`."""

import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING
from uuid import uuid4

import django

if TYPE_CHECKING:
    from backups.storage.s3 import S3Store
    from backups.types import Manifest

BODY = b"PGDMP" + bytes(1000)
GLOBALS = b"CREATE ROLE icb;\n"
WRITERS = 8


def main(number: int) -> None:
    """Writes them."""
    django.setup()
    from backups import carry_over, conf
    from backups.models import BackupHistory
    from backups.stores import configured

    store, key = configured().require_s3(), conf.current().signing_key
    with ThreadPoolExecutor(WRITERS) as pool:
        manifests = _manifests(number, bucket=store.bucket)
        while some := list(islice(manifests, 500)):
            etags = pool.map(lambda one: _put(store, one, signing_key=key), some)
            rows = [BackupHistory(**carry_over.row_of(one), manifest_etag=etag) for one, etag in zip(some, etags, strict=True)]
            BackupHistory.objects.bulk_create(rows)


def _manifests(number: int, *, bucket: str) -> "Iterator[Manifest]":
    """One an hour, of a database with 60 tables."""
    from backups import conf
    from backups.storage import keys
    from backups.types import Globals, Locale, Manifest, Snapshot, TableRows

    environment, database = conf.current().environment, conf.server("default").database
    tables = tuple(TableRows(schema="public", table=f"table_{n}", rows=n, bytes=8192 * n) for n in range(60))
    snapshot = Snapshot(
        tables=tables, database_size_bytes=1 << 30, server_version="17.10", server_version_num=170010, system_identifier="1",
        encoding="UTF8", locale=Locale(collate="C", ctype="C"),
        extensions=(("plpgsql", "1.0"),), migrations=("shop.0001_initial",), roles=("icb",),
    )  # fmt: skip
    cluster = Globals(size_bytes=len(GLOBALS), checksum=hashlib.sha256(GLOBALS).hexdigest())
    for n in range(number):
        at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n)
        filename = keys.filename(at=at, description="many")
        yield Manifest(
            id=uuid4(), filename=filename, description="many", backup_type="scheduled", environment=environment,
            database=database, started_at=at, finished_at=at + timedelta(seconds=9), size_bytes=len(BODY),
            checksum=hashlib.sha256(BODY).hexdigest(), bucket=bucket,
            key=keys.object_key(environment=environment, filename=filename),
            pg_dump_version="17.10", compression="zstd", application_version="", triggered_by="",
            snapshot=snapshot, globals=cluster,
        )  # fmt: skip


def _put(store: "S3Store", manifest: "Manifest", *, signing_key: bytes) -> str:
    """Its three objects; returns the ETag of the manifest's."""
    from backups.manifest import serialize
    from backups.storage import keys

    for key, body in ((manifest.key, BODY), (keys.globals_key(manifest.key), GLOBALS)):
        store.client.put_object(Bucket=store.bucket, Key=key, Body=body)
    data = serialize(manifest, signing_key=signing_key)
    answer = store.client.put_object(Bucket=store.bucket, Key=keys.manifest_key(manifest.key), Body=data)
    return answer["ETag"].strip('"')


if __name__ == "__main__":
    main(int(sys.argv[1]))
