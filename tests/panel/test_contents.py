"""What is in a backup, and the manifest that makes it one."""

import json
from uuid import UUID

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from backups.admin.contents import Manifest
from backups.models import BackupHistory
from backups.storage import keys
from tests.conftest import s3_client
from tests.panel.one_backup import address, words_of

pytestmark = pytest.mark.usefixtures("history")


def test_contents_are_listed_by_name(viewer: Client, backup: BackupHistory) -> None:
    words = words_of(viewer, address(backup, "contents/"))
    for said in ("3 tables, 6,200 rows", "shop.customer customer_pkey", "Sequences 2", "plpgsql"):
        assert said in words


def test_the_manifest_is_read_and_taken_away_as_it_is_stored(viewer: Client, backup: BackupHistory) -> None:
    words = words_of(viewer, address(backup, "manifest/"))
    assert "The signature is ours and fits" in words
    assert "checksum_sha256" in words
    answer = viewer.get(address(backup, "manifest/?as=file"))
    assert json.loads(answer.content)["backup"]["filename"] == backup.filename
    assert answer["Content-Disposition"] == f'attachment; filename="{backup.filename}.json"'


@pytest.mark.parametrize("more", ["", "?as=file"])
def test_a_manifest_that_is_changed_between_two_reads_is_neither_shown_nor_handed_out(
    viewer: Client, backup: BackupHistory, monkeypatch: pytest.MonkeyPatch, backups_settings: Settings, more: str
) -> None:
    find = Manifest.found

    def found_and_then_changed(page: Manifest, id: UUID) -> object:
        found = find(page, id)
        client, where = s3_client(backups_settings), {"Bucket": backup.bucket, "Key": keys.manifest_key(backup.s3_key)}
        told = client.get_object(**where)["Body"].read()
        client.put_object(**where, Body=told.replace(backup.checksum.encode(), b"0" * 64))
        return found

    monkeypatch.setattr(Manifest, "found", found_and_then_changed)
    assert viewer.get(address(backup, f"manifest/{more}")).status_code == 409


def test_a_manifest_that_is_not_ours_is_not_called_ours(viewer: Client, backup: BackupHistory, backups_settings: object) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "SIGNING_KEY": "another key, 32 characters and some more"}  # type: ignore[attr-defined]
    answer = viewer.get(address(backup, "manifest/"))
    assert (answer.status_code, "was signed with another key" in answer.content.decode()) == (409, True)
