"""Backups with a copy in the bucket and one in the local folder: which of them the panel speaks of."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.storage import keys
from backups.types import Server
from tests.conftest import s3_client
from tests.integration.health import made

pytestmark = pytest.mark.usefixtures("history")


@pytest.mark.parametrize("page", ["contents/", "manifest/"])
def test_a_manifest_is_said_to_come_from_where_it_was_read(
    browser_of: Callable[..., Client], source: Server, bucket: str, backups_settings: Settings, tmp_path: Path, page: str
) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "LOCAL_FOLDER": tmp_path}
    row = DatabaseBackup(description="both", database="source", save_local=True).run()
    viewer, address = browser_of("backup viewer"), f"/admin/backups/{row.id}/{page}"
    assert "read just now from the bucket" in viewer.get(address).content.decode()
    for key in (row.s3_key, keys.manifest_key(row.s3_key)):
        s3_client(backups_settings).delete_object(Bucket=bucket, Key=key)
    assert "read just now from the local folder" in viewer.get(address).content.decode()


def test_the_list_tells_of_a_pinned_backup_where_it_is_and_why_it_is_kept(browser_of: Callable[..., Client]) -> None:
    made("shop", s3_key="testing/postgres/x.dump", local_path="/srv/x.dump", pin_reason="for the audit")
    shown = browser_of("backup viewer").get("/admin/backups/backuphistory/").content.decode()
    assert "bucket, local<small>pinned: for the audit</small>" in shown
