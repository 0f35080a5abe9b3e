"""What people do in the panel, each step as they would: by the words on the page. Each page on the way is examined."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.urls import reverse
from playwright.sync_api import Page, expect

from backups.models import BackupHistory
from tests.browser.furnishing import PANEL
from tests.browser.site import SHOP, Site
from tests.browser.window import Window
from tests.conftest import connect

SOON = 60_000  # milliseconds: the bound of what a worker does meanwhile


@dataclass
class Person:
    """Somebody at a window."""

    window: Window
    site: Site

    @property
    def page(self) -> Page:
        """What they see."""
        return self.window.page

    def opens(self, row: BackupHistory) -> None:
        """The page of a backup."""
        self.window.visit(reverse(f"{PANEL}:backup", args=[row.id]))

    def makes_a_backup(self, description: str, *, key: str = "") -> BackupHistory:
        """Is told its key while typing, watches it, and sees its page once it has ended."""
        with self.watching_a_backup(description, key=key):
            pass
        expect(self.page.locator("main .pills")).to_contain_text("Succeeded", timeout=SOON)
        self.window.examine()
        return BackupHistory.objects.get(description=description)

    @contextmanager
    def watching_a_backup(self, description: str, *, key: str = "") -> Iterator[None]:
        """It is at work, for the length of the block."""
        with self.site.holding():
            self.asks_for_a_backup(description, key=key)
            expect(self.page.locator("main .pills")).to_contain_text("Running", timeout=SOON)
            self.window.examine()
            yield

    def asks_for_a_backup(self, description: str, *, key: str = "") -> None:
        """Is told its key while typing, and sends the form."""
        self.window.visit(reverse(f"{PANEL}:new"))
        self.page.get_by_label("What it is for").fill(description)
        expect(self.page.locator("output")).to_contain_text(key)
        self.page.get_by_label("Database", exact=True).select_option(label=SHOP)
        self.page.get_by_role("button", name="Make this backup").click()

    def verifies_it(self) -> None:
        """On the page of a backup: until it was restored and compared; then back on that page."""
        self.page.get_by_role("button", name="Verify", exact=True).click()
        self.sees("The backup is good")
        self.page.locator("main").get_by_role("link", name="The backup", exact=True).click()
        expect(self.page.locator("main .pills")).to_contain_text("Verified")
        self.window.examine()

    def restores_it(self) -> None:
        """On the page of a backup: reads the plan, types the name, watches, reads the report."""
        self.page.get_by_role("link", name="Restore this…").click()
        self.sees("Put shop back to")
        self.page.get_by_label("Type the database").fill(self.site.shop.database)
        self.page.get_by_role("button", name="Restore onto shop").click()
        self.sees("shop was restored")

    def undoes_it(self) -> None:
        """On the page of a restore."""
        self.page.get_by_label("Type shop").fill(self.site.shop.database)
        self.page.get_by_role("button", name="Put the old one back").click()
        self.sees("shop was put back to what it was before this restore")

    def compares(self, one: BackupHistory, other: BackupHistory) -> None:
        """Selects two in the list."""
        self.follows("Backups")
        for row in (one, other):
            self.page.get_by_label(f"Select {row.description}, {row.filename}").check()
        self.page.get_by_role("button", name="Compare two").click()
        self.sees("What changed from")

    def browses_to(self, row: BackupHistory) -> None:
        """Its object in the bucket, folder by folder; and from there to its page."""
        self.follows("Storage")
        for folder in row.s3_key.split("/")[:-1]:
            if not self.page.get_by_role("listitem").filter(has_text=folder).count():
                self.page.locator("main table").get_by_role("link", name=folder).click()
                self.window.examine()
        line = self.page.get_by_role("row").filter(has_text=row.filename)
        line.get_by_role("link", name=row.description, exact=True).click()
        self.sees(row.description)

    def pins_it(self, reason: str) -> None:
        """On the page of a backup."""
        self.page.get_by_label("Why it must be kept").fill(reason)
        self.page.get_by_role("button", name="Pin this backup").click()
        expect(self.page.locator("main .pills")).to_contain_text("Pinned")
        self.window.examine()

    def unpins_it(self) -> None:
        """On the page of a backup."""
        self.page.get_by_role("button", name="Unpin this backup").click()
        expect(self.page.locator("main .pills")).not_to_contain_text("Pinned")
        self.window.examine()

    def deletes_it(self, row: BackupHistory) -> None:
        """On its page, by its typed name."""
        self.page.get_by_role("link", name="Delete this backup…").click()
        self.sees("for good?")
        self.page.get_by_label(row.filename).fill(row.filename)
        self.page.get_by_role("button", name="Delete for good").click()
        self.sees("Backups")
        expect(self.page.get_by_role("row").filter(has_text=row.filename)).to_contain_text("Deleted")

    def deletes_the_unknown(self, key: str) -> None:
        """An object that no backup has, by its typed name."""
        folder, _slash, name = key.rpartition("/")
        self.window.visit(f"{reverse(f'{PANEL}:storage')}?prefix={folder}/")
        self.page.get_by_role("link", name=f"Delete… {name}").click()
        self.sees("Delete this object?")
        self.page.get_by_label("Type its name").fill(name)
        self.page.get_by_role("button", name="Delete this object").click()
        self.sees("Storage")
        expect(self.page.get_by_role("row").filter(has_text=name)).to_have_count(0)

    def downloads_it(self) -> bytes:
        """On the page of a backup: what the browser saves."""
        with self.page.expect_download() as begun:
            self.page.locator("main .acts").get_by_role("link", name="Download").click()
        return begun.value.path().read_bytes()

    def downloads_those_selected(self, *rows: BackupHistory) -> list[bytes]:
        """Selects them in the list, and follows the link of each."""
        self.follows("Backups")
        for row in rows:
            self.page.get_by_label(f"Select {row.description}, {row.filename}").check()
        self.page.get_by_role("button", name="Download").click()
        self.sees("Download")
        return [self._saved(row) for row in rows]

    def _saved(self, row: BackupHistory) -> bytes:
        with self.page.expect_download() as begun:
            self.page.locator("main").get_by_role("link", name=row.filename).click()
        return begun.value.path().read_bytes()

    def follows(self, tab: str) -> None:
        """One of the panel's own links, which each page has."""
        self.page.get_by_role("navigation", name="Backups").get_by_role("link", name=tab, exact=True).click()
        self.window.examine()

    def sees(self, heading: str) -> None:
        """That page, sooner or later."""
        expect(self.page.get_by_role("heading", level=1)).to_contain_text(heading, timeout=SOON)
        self.window.examine()


def damage(site: Site) -> None:
    """Somebody forgets a WHERE."""
    with connect(site.shop) as session:
        session.execute("DELETE FROM event; DROP TABLE shop.purchase")


def events(site: Site) -> int:
    """How many there are in the shop."""
    with connect(site.shop) as session:
        row = session.execute("SELECT count(*) FROM event").fetchone()
    assert row is not None
    return int(str(row[0]))
