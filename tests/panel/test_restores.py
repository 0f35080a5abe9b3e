"""The list of restores and verifications."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from backups.models import AuditEntry, BackupRestore
from tests.integration.health import made

pytestmark = pytest.mark.usefixtures("history")
LIST = "/admin/backups/backuprestore/"


def some(number: int, **fields: object) -> None:
    given = {"source_key": "a", "target_host": "db1", "target_port": 5432, "target_database": "shop"} | fields
    BackupRestore.objects.bulk_create(
        BackupRestore(**{"target_environment": "testing", "status": "succeeded", "duration_seconds": 61.0} | given)
        for _number in range(number)
    )


def test_each_leads_to_its_page(viewer: Client) -> None:
    some(1)
    row = BackupRestore.objects.get()
    page = viewer.get(LIST).content.decode()
    assert f'href="/admin/backups/restores/{row.id}/"' in page
    assert viewer.get(f"{LIST}{row.id}/change/")["Location"] == f"/admin/backups/restores/{row.id}/"


def test_it_is_filtered_searched_and_turned_over(viewer: Client) -> None:
    some(60)
    some(1, status="failed", target_database="other")
    assert "1 to 50 of 61" in viewer.get(LIST).content.decode()
    assert "51 to 61 of 61" in viewer.get(f"{LIST}?p=2").content.decode()
    assert "1 to 1 of 1" in viewer.get(f"{LIST}?status__exact=failed").content.decode()
    assert "1 to 1 of 1" in viewer.get(f"{LIST}?q=other").content.decode()
    assert "None fits." in viewer.get(f"{LIST}?q=nothing").content.decode()


@pytest.mark.parametrize("asked", ["?p=-1", "?p=7"])
def test_one_page_is_the_page_whatever_is_asked_for(viewer: Client, asked: str) -> None:
    some(2)
    page = viewer.get(LIST + asked).content.decode()
    assert "1 to 2 of 2" in page
    assert 'rel="next"' not in page


def test_whoever_may_not_see_it_is_told_so_and_that_is_noted(browser_of: Callable[..., Client]) -> None:
    assert browser_of().get(LIST).status_code == 403
    assert [(noted.outcome, noted.object) for noted in AuditEntry.objects.all()] == [("refused", LIST)]


@pytest.mark.parametrize(("permission", "status"), [("view_backuphistory", 200), ("view_backuprestore", 403)])
def test_whoever_may_see_backups_sees_restores_and_nobody_else(groups: None, permission: str, status: int) -> None:
    some(1)
    user = get_user_model().objects.create_user("one", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename=permission))
    client = Client(HTTP_ACCEPT="text/html")
    client.force_login(user)
    page = f"/admin/backups/restores/{BackupRestore.objects.get().id}/"
    assert (client.get(LIST).status_code, client.get(page).status_code) == (status, status)


@pytest.mark.parametrize("name", ["backuprestore", "backuphistory"])
@pytest.mark.parametrize("written", ["hex", "upper"])
def test_an_id_leads_to_its_page_however_it_is_written(viewer: Client, name: str, written: str) -> None:
    some(1)
    row = BackupRestore.objects.get() if name == "backuprestore" else made("shop")
    page = f"/admin/backups/{'restores/' if name == 'backuprestore' else ''}{row.pk}/"
    id = row.pk.hex if written == "hex" else str(row.pk).upper()
    assert viewer.get(f"/admin/backups/{name}/{id}/change/")["Location"] == page


def test_it_takes_as_many_queries_for_many_as_for_few(viewer: Client) -> None:
    some(2)
    viewer.get(LIST)
    with CaptureQueriesContext(connection) as few:
        viewer.get(LIST)
    some(48)
    with CaptureQueriesContext(connection) as many:
        viewer.get(LIST)
    assert len(many) == len(few)
    assert not any("comparison_report" in query["sql"] for query in many)


def test_the_way_back_is_told_with_its_last_day(viewer: Client, backups_settings: Settings) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "KEEP_REPLACED_DAYS": 3}
    some(
        1, kept_database="shop_before", finished_at=datetime(2026, 11, 1, tzinfo=UTC), kept_at=datetime(2026, 11, 20, tzinfo=UTC)
    )
    page = viewer.get(LIST).content.decode()
    assert "kept until" in page
    assert "2026-11-23T00:00:00" in page


def test_a_verification_names_no_database_that_somebody_could_take_for_a_target(viewer: Client) -> None:
    some(1, purpose="verification", level="restored", verdict="bad", status="failed", target_database="verify_1a2b3c4d")
    page = viewer.get(LIST).content.decode()
    assert "verify_1a2b3c4d" not in page
    assert "The backup is bad" in page
