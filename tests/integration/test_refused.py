"""A manifest that is refused is refused each time: nothing that was noted of it lets it pass for a proven one."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from backups import catalog
from backups.catalog import Mark
from backups.catalog.held import still_describes
from backups.manifest import parse, serialize
from backups.models import BackupHistory
from backups.prune import BackupPruning
from backups.storage.keys import manifest_key
from backups.stores import configured
from backups.sync import CatalogSync
from tests.conftest import s3_client
from tests.integration import shelf

pytestmark = pytest.mark.usefixtures("history")

Tamper = Callable[[bytes], bytes]


def changed(data: bytes) -> bytes:
    return data.replace(b'"rows": 5000', b'"rows": 5001')


def signed_by_another(data: bytes) -> bytes:
    ours = b"a signing key of the tests, 32 characters and more"
    return serialize(parse(data, signing_key=ours), signing_key=b"mallory")


def looked_at() -> tuple[list[Mark], list[str], int]:
    """What list, sync and prune say, one after the other."""
    found = CatalogSync().run()
    pruning = BackupPruning().plan()
    assert pruning.backups == []
    return [one.mark for one in catalog.list_backups().entries], [what for _where, what in found.unknown], len(pruning.left_alone)


@pytest.mark.parametrize("noted", ["its own", "nothing"])
@pytest.mark.parametrize("tamper", [changed, signed_by_another])
def test_a_manifest_that_was_replaced_is_refused_by_list_sync_and_prune_each_time(
    bucket: str, backups_settings: Settings, tamper: Tamper, noted: str
) -> None:
    key = manifest_key(shelf.put("good"))
    client = s3_client(backups_settings)
    client.put_object(Bucket=bucket, Key=key, Body=tamper(client.get_object(Bucket=bucket, Key=key)["Body"].read()))
    if noted == "nothing":  # as of a row that came back from a manifest
        BackupHistory.objects.update(manifest_etag="")
    before = BackupHistory.objects.get().manifest_etag

    for _time in range(3):
        assert looked_at() == ([Mark.REFUSED], ["manifest refused"], 1)
    assert BackupHistory.objects.get().manifest_etag == before


def test_a_manifest_that_is_put_back_is_believed_again(bucket: str, backups_settings: Settings) -> None:
    key = manifest_key(shelf.put("good"))
    client = s3_client(backups_settings)
    good = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    client.put_object(Bucket=bucket, Key=key, Body=changed(good))
    assert looked_at()[0] == [Mark.REFUSED]
    client.put_object(Bucket=bucket, Key=key, Body=good)
    CatalogSync().run()
    assert [one.mark for one in catalog.list_backups().entries] == [Mark.NONE]


def test_a_local_manifest_that_was_replaced_is_refused_though_its_time_was_set_back(bucket: str) -> None:
    store = configured().require_local()
    path = Path(store.location(manifest_key(shelf.put("good", store=store))))
    seen, data = path.stat(), path.read_bytes()
    assert len(changed(data)) == len(data)
    path.write_bytes(changed(data))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))

    for _time in range(2):
        assert looked_at() == ([Mark.REFUSED], ["manifest refused"], 1)


def test_the_proof_of_a_local_copy_does_not_vouch_for_the_bucket_s(bucket: str, backups_settings: Settings) -> None:
    """The bucket loses the backup, a sync notes the local copy; then somebody puts another manifest into the bucket."""
    key = shelf.put("good")
    store = configured().require_s3()
    data = store.read(manifest_key(key), limit_bytes=1 << 20)
    local = configured().require_local()
    local.put_new(key, shelf.BODY)
    local.put_new(manifest_key(key), data)
    store.delete(manifest_key(key))
    CatalogSync().run()
    assert [one.mark for one in catalog.list_backups().entries] == [Mark.ONLY_LOCAL]

    s3_client(backups_settings).put_object(Bucket=bucket, Key=manifest_key(key), Body=changed(data))
    for _time in range(2):
        assert looked_at() == ([Mark.REFUSED], ["manifest refused"], 1)


def test_an_etag_that_a_store_does_not_tell_is_no_proof(bucket: str) -> None:
    """Neither side knows one: they are equal, and say nothing."""
    key = shelf.put("good")
    BackupHistory.objects.update(manifest_etag="")
    row = BackupHistory.objects.get()
    catalogue = catalog.Catalogue("testing")
    (held,) = catalogue.held[key]
    assert held.manifest is not None
    held.manifest = replace(held.manifest, etag="")
    assert not still_describes(row, [held])
