"""A copy that is damaged is told on the page of its backup, which is good by another one."""

import re

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from backups.backup import DatabaseBackup
from backups.models import BackupHistory, BackupRestore
from backups.stores import configured
from backups.types import Server
from backups.verify import BackupVerification
from tests.conftest import s3_client
from tests.integration.health import made, verified
from tests.integration.test_copies import damage_object
from tests.panel.one_backup import address, words_of

pytestmark = pytest.mark.usefixtures("history")


@pytest.fixture
def twice(source: Server, bucket: str) -> BackupHistory:
    """A backup in the bucket and in the local folder."""
    return DatabaseBackup(description="twice", database="source", save_local=True).run()


def proven(row: BackupHistory, level: str = "stored") -> BackupRestore:
    return BackupVerification(filename=row.filename, database="source", level=level).run()


def test_a_damaged_copy_of_a_good_backup_is_told_on_its_page_until_all_are_proven_good(
    viewer: Client, twice: BackupHistory, backups_settings: Settings
) -> None:
    whole = configured().require_s3().read(twice.s3_key, limit_bytes=1 << 20)
    damage_object(backups_settings, twice.s3_key)
    run = proven(twice)
    page = viewer.get(address(twice)).content.decode()
    notice = re.sub(r"\s+", " ", page.partition('<div class="notice warn">')[2].partition("</div>")[0])
    assert "A copy of this backup is damaged or gone. Found " in notice
    assert f'<p class="key">s3://{twice.bucket}/{twice.s3_key}</p>' in notice
    assert "Another copy is good: restores and downloads take that one" in notice
    assert f'href="/admin/backups/restores/{run.id}/"' in notice
    assert "1 copy is damaged. Another has the size and SHA-256 of the dump" in page
    assert page.count('<li class="partial">') == 1

    s3_client(backups_settings).put_object(Bucket=twice.bucket, Key=twice.s3_key, Body=whole)
    proven(twice)
    said = words_of(viewer, address(twice))
    assert "damaged or gone" not in said
    assert "Size and SHA-256 of what the store holds are those of the dump" in said


def test_under_the_tick_of_what_was_restored_stands_how_it_compared(
    viewer: Client, twice: BackupHistory, backups_settings: Settings
) -> None:
    damage_object(backups_settings, twice.s3_key)
    proven(twice, "restored")
    said = words_of(viewer, address(twice))
    assert "Loaded into a scratch database: 3 of 3 tables equal" in said
    assert "3 of 3 tables equal, 1 copy is damaged" in said  # in the list of its runs


def test_of_several_damaged_copies_one_that_was_read_since_and_is_good_is_told_no_more(viewer: Client) -> None:
    row = made("shop", stored_at=timezone.now())
    for hours_ago, worths in ((2, ("damaged", "damaged")), (1, ("good", "not read"))):
        run = verified(row, hours_ago=hours_ago)
        copies = [
            {"where": where, "worth": worth, "reads": 2, "said": "", "hint": ""}
            for where, worth in zip(("s3://b/k", "/folder/k"), worths, strict=True)
        ]
        BackupRestore.objects.filter(pk=run.pk).update(comparison_report={"copies": copies})
    page = viewer.get(address(row)).content.decode()
    assert '<p class="key">/folder/k</p>' in page
    assert '<p class="key">s3://b/k</p>' not in page
