"""What people do in the panel, each step as they would: by the words on the page. Each page on the way is examined."""

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

    def makes_a_backup(self, description: str, *, key: str) -> BackupHistory:
        """Is told its key while typing, watches it, and sees its page once it has ended."""
        self.window.visit(reverse(f"{PANEL}:new"))
        self.page.get_by_label("What it is for").fill(description)
        expect(self.page.locator("output")).to_contain_text(key)
        self.page.get_by_label("Database", exact=True).select_option(label=SHOP)
        with self.site.holding():
            self.page.get_by_role("button", name="Make this backup").click()
            expect(self.page.locator("main .pills")).to_contain_text("Running", timeout=SOON)
            self.window.examine()
        expect(self.page.locator("main .pills")).to_contain_text("Succeeded", timeout=SOON)
        self.window.examine()
        return BackupHistory.objects.get(description=description)

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
