"""However long the history is, however full the bucket: each page asks the database as often."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backups import audit, health
from backups.models import BackupHistory
from tests.integration import shelf
from tests.integration.health import verified

PANEL = "backups_panel"
OF_NOTHING = ("overview", "health", "checks", "new", "prune", "schedules", "storage", "running")
OF_A_BACKUP = ("backup", "contents", "manifest", "delete", "restore-backup")
LISTS = ("backuphistory", "backuprestore", "auditentry")
PAGES = (*OF_NOTHING, *OF_A_BACKUP, *LISTS, "diff", "downloads", "restore", "folder of the bucket", "prune, after", "plan")

pytestmark = pytest.mark.usefixtures("history", "bucket")


def grow(number: int) -> None:
    """So many more of everything: backups that are there, each with a verification and a note of the audit."""
    there = BackupHistory.objects.count()
    for place in range(there, there + number):
        shelf.put(f"n{place}", at=timezone.now() - timedelta(days=300), minutes=place)
    for row in BackupHistory.objects.filter(restores=None):
        verified(row)
        audit.note(action="verify", outcome=audit.Outcome.DONE, object=row.filename, by=audit.By(channel=audit.Channel.WEB))


def address_of(page: str) -> str:
    newest, before = BackupHistory.objects.order_by("-created_at")[:2]
    if page in LISTS:
        return reverse(f"admin:backups_{page}_changelist")
    if page in OF_A_BACKUP:
        return reverse(f"{PANEL}:{page}", args=[newest.pk])
    others = {
        "diff": lambda: reverse(f"{PANEL}:diff", args=[before.pk, newest.pk]),
        "downloads": lambda: f"{reverse(f'{PANEL}:downloads')}?id={before.pk}&id={newest.pk}",
        "restore": lambda: reverse(f"{PANEL}:restore", args=[newest.restores.get().pk]),
        "folder of the bucket": lambda: f"{reverse(f'{PANEL}:storage')}?prefix=testing/postgres/",
        "prune, after": lambda: f"{reverse(f'{PANEL}:prune')}?bucket=1&now=1",
        "plan": lambda: f"{reverse(f'{PANEL}:restore-backup', args=[newest.pk])}?now=1",
    }
    return others[page]() if page in others else reverse(f"{PANEL}:{page}")


def queries(client: Client, page: str) -> int:
    address = address_of(page)
    health.full_report.forget()
    client.get(address)  # what is asked once in each process
    health.full_report.forget()
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code in (200, 302)
    return len(asked)


def test_each_page_asks_the_database_as_often_however_much_there_is(browser_of: Callable[..., Client]) -> None:
    administrator = browser_of("backup administrator")
    grow(3)
    few = {page: queries(administrator, page) for page in PAGES}
    grow(60)
    assert {page: queries(administrator, page) for page in PAGES} == few
