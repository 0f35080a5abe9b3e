"""The road out, on a real PostgreSQL and real S3 protocols."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.models import BackupHistory
from backups.types import Server
from tests.conftest import SOURCE_ROWS, keys_in, keys_of, s3_client, uploads_in

pytestmark = pytest.mark.usefixtures("history")


def test_a_backup_is_an_object_with_a_signed_manifest_and_a_row_that_agree(
    source: Server, any_bucket: str, backups_settings: Settings
) -> None:
    row = DatabaseBackup(description="pre migration", database="source").run()

    client = s3_client(backups_settings)
    body = client.get_object(Bucket=any_bucket, Key=row.s3_key)["Body"].read()
    manifest = json.loads(client.get_object(Bucket=any_bucket, Key=row.s3_key + ".json")["Body"].read())["backup"]
    assert keys_in(backups_settings, any_bucket) == keys_of(row)
    assert body.startswith(b"PGDMP")
    assert (len(body), hashlib.sha256(body).hexdigest()) == (row.size_bytes, row.checksum)
    assert (manifest["size_bytes"], manifest["checksum_sha256"]) == (row.size_bytes, row.checksum)
    assert {f"{t['schema']}.{t['table']}": t["rows"] for t in manifest["tables"]} == SOURCE_ROWS
    assert row.status == "succeeded"
    assert row.table_snapshot["total"]["rows"] == sum(SOURCE_ROWS.values())
    assert uploads_in(backups_settings, any_bucket) == []


def test_a_server_that_no_alias_names_is_backed_up_as_well(
    source: Server, bucket: str, make_database: Callable[..., Server]
) -> None:
    server = make_database()

    row = DatabaseBackup(description="before restore", server=server).run()

    assert (row.database, row.status) == (server.database, "succeeded")
    assert row.server_address == f"{server.host}:{server.port}"


def test_a_local_copy_is_the_same_bytes_in_the_same_place_below_its_folder(
    source: Server, bucket: str, backups_settings: Settings, local_folder: Path
) -> None:
    row = DatabaseBackup(description="both", database="source", save_local=True).run()

    path = local_folder / bucket / row.s3_key
    assert str(path) == row.local_path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == row.checksum
    assert sorted(p.name for p in path.parent.iterdir()) == [row.filename + suffix for suffix in ("", ".globals.sql", ".json")]


def test_the_row_is_there_with_its_reason_when_the_bucket_is_not(source: Server, use_bucket, backups_settings: Settings) -> None:
    use_bucket(make=False)
    with pytest.raises(Exception, match="does not exist"):
        DatabaseBackup(description="no bucket", database="source").run()

    row = BackupHistory.objects.get()
    assert row.status == "failed"
    assert "does not exist" in row.error_message
