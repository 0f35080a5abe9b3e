"""A restore over the database that the site itself lives in, and a site that answers no more, seen by whoever watches."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from backups import queued
from backups.backup import DatabaseBackup
from backups.models import BackupHistory
from backups.undo import RestoreUndo
from tests.browser.furnishing import PANEL
from tests.browser.site import PASSWORD, Site
from tests.browser.walking import SOON


@pytest.fixture
def page(empty_site: Site, browser: Browser) -> Iterator[Page]:
    """A window of its own, in which nobody is signed in."""
    with browser.new_context(base_url=empty_site.url) as context:
        yield context.new_page()


@pytest.fixture
def backup(empty_site: Site) -> Iterator[BackupHistory]:
    """Of the site's own database, which is there again after the test."""
    yield DatabaseBackup(description="own").run()
    connection.close()
    RestoreUndo(target=empty_site.database, confirm=empty_site.database.database).run()
    connection.close()


def sign_in(page: Page, user: str = "restorer") -> None:
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_whoever_watches_it_signs_in_again_and_finds_the_report(empty_site: Site, backup: BackupHistory, page: Page) -> None:
    database = empty_site.database.database
    row = queued.request_restore(target="default", filename=backup.filename, confirm=database, backup=backup)
    address = reverse(f"{PANEL}:restore", args=[row.id])
    page.goto(address)
    sign_in(page)  # after the backup, so that the session is not in it
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Restore onto {database}")
    expect(page.get_by_text("This page could not look again")).to_be_hidden()
    assert settings.SESSION_ENGINE == "django.contrib.sessions.backends.db"

    empty_site.workshop.send("restore", str(row.id))
    expect(page.get_by_label("Username")).to_be_visible(timeout=SOON)
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"{database} was restored")
    assert page.url.endswith(address)


def test_a_page_that_is_not_answered_any_more_says_so_and_asks_no_further(empty_site: Site, page: Page) -> None:
    backup = DatabaseBackup(description="own").run()
    row = queued.request_restore(target="default", filename=backup.filename, confirm="x", backup=backup)
    page.goto(reverse(f"{PANEL}:restore", args=[row.id]))
    sign_in(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Restore onto")
    row.delete()
    expect(page.get_by_text("This page could not look again")).to_be_visible()
    expect(page.get_by_role("link", name="Load this page again")).to_be_visible()
    assert page.locator("[hx-trigger]").count() == 0


def test_a_backup_whose_site_is_gone_is_not_said_to_go_on_and_can_not_be_cancelled(empty_site: Site, page: Page) -> None:
    row = BackupHistory.objects.create(
        filename="backup-watched.dump", environment="testing", database="shop", status="running", started_at=timezone.now()
    )
    page.goto(reverse(f"{PANEL}:backup", args=[row.id]))
    sign_in(page, "operator")
    goes_on, cancel = page.get_by_text("You can close this page"), page.get_by_role("button", name="Cancel this backup")
    expect(goes_on).to_be_visible()
    page.route("**/live/**", lambda route: route.abort("connectionrefused"))
    expect(page.get_by_text("No answer for")).to_be_visible()
    expect(goes_on).to_be_hidden()
    expect(cancel).to_be_hidden()
    page.unroute_all()
    expect(page.get_by_text("No answer for")).to_be_hidden()
    expect(goes_on).to_be_visible()
    expect(cancel).to_be_visible()
