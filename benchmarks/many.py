"""Fills bucket and history with many small backups, whole ones: `python -m benchmarks.many 1000`."""

import hashlib
import sys
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import django


def main(number: int) -> None:
    """Writes them."""
    django.setup()
    from backups import conf, history
    from backups.manifest import serialize
    from backups.models import BackupHistory, Status
    from backups.storage import keys
    from backups.stores import configured
    from backups.types import Locale, Manifest, Snapshot, TableRows

    settings, store, server = conf.current(), configured().require_s3(), conf.server("default")
    tables = tuple(TableRows(schema="public", table=f"table_{n}", rows=n, bytes=8192 * n) for n in range(60))
    snapshot = Snapshot(
        tables=tables, database_size_bytes=1 << 30, server_version="17.10", server_version_num=170010, system_identifier="1",
        encoding="UTF8", locale=Locale(collate="C", ctype="C"),
        extensions=(("plpgsql", "1.0"),), migrations=("shop.0001_initial",), roles=("icb",),
    )  # fmt: skip
    body = b"PGDMP" + bytes(1000)
    for n in range(number):
        at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n)
        filename = keys.filename(at=at, description="many")
        key = keys.object_key(environment=settings.environment, filename=filename)
        manifest = Manifest(
            id=uuid4(), filename=filename, description="many", backup_type="scheduled", environment=settings.environment,
            database=server.database, started_at=at, finished_at=at + timedelta(seconds=9), size_bytes=len(body),
            checksum=hashlib.sha256(body).hexdigest(), bucket=store.bucket, key=key, pg_dump_version="17.10", compression="zstd",
            application_version="", triggered_by="", snapshot=snapshot,
        )  # fmt: skip
        store.client.put_object(Bucket=store.bucket, Key=key, Body=body)
        stored = store.put_new(keys.manifest_key(key), serialize(manifest, signing_key=settings.signing_key))
        row = BackupHistory(
            id=manifest.id, filename=filename, description="many", backup_type="scheduled", environment=settings.environment,
            database=server.database, status=Status.SUCCEEDED, created_at=at, started_at=at, finished_at=manifest.finished_at,
            duration_seconds=9, bucket=store.bucket, s3_key=key, manifest_etag=stored.etag, **history.fields_of(manifest),
        )  # fmt: skip
        history.add(row)


if __name__ == "__main__":
    main(int(sys.argv[1]))
