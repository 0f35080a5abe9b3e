"""Pictures for the documentation, written only where they are asked for: ICB_SCREENSHOTS=1 ./icb test tests/browser"""

import re
import shutil

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from ichrisbirch_site.embedded import PROJECT
from tests.browser import past
from tests.browser.conftest import WindowOf
from tests.browser.furnishing import PANEL
from tests.browser.site import SHOP, Site
from tests.browser.smaller import make_smaller
from tests.browser.walking import SOON, Person, damage
from tests.browser.window import LOOKS, Look, Window

FOLDER = PROJECT / "docs" / "screenshots"
LARGEST_BYTES = 200 * 1024
HIGHEST = {1280: 2600, 360: 2400}  # pixels
LISTED = 900  # of a list of many
NAMES = {Look("light", 1280): "", Look("dark", 1280): "-dark", Look("light", 360): "-360", Look("dark", 360): "-dark-360"}


def picture(window: Window, name: str, look: Look = LOOKS[0], *, highest: int = 0) -> None:
    window.dress(look)
    window.examine()
    window.picture(FOLDER / f"{name}{NAMES[look]}.png", highest=highest or HIGHEST[look.width])


@pytest.mark.usefixtures("empty_site")
def test_pictures(site: Site, window_of: WindowOf) -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    verified, newest = past.make(site)
    window = window_of("administrator")
    person = Person(window, site)
    window.visit(f"{reverse(f'{PANEL}:overview')}?database={SHOP}")
    for look in LOOKS:
        picture(window, "overview", look)
    window.dress(LOOKS[0])
    for name, address in (
        ("backup", reverse(f"{PANEL}:backup", args=[verified.id])),
        ("compared", reverse(f"{PANEL}:diff", args=[verified.id, newest.id])),
        ("storage", f"{reverse(f'{PANEL}:storage')}?prefix=testing/postgres/"),
    ):
        window.visit(address)
        picture(window, name)
    window.visit(reverse("admin:backups_backuphistory_changelist"))
    picture(window, "history", highest=LISTED)
    damage(site)
    window.visit(reverse(f"{PANEL}:restore-backup", args=[verified.id]))
    picture(window, "restore-plan")
    person.opens(verified)
    person.restores_it()
    picture(window, "restored")
    person.opens(verified)
    past.grow(site)
    person.asks_for_a_backup("hourly")
    expect(window.page.get_by_role("heading", level=2, name=re.compile(r"^[3-7]\d%"))).to_be_visible(timeout=SOON)
    window.picture(FOLDER / "running.png", highest=HIGHEST[1280])  # at once: it goes on
    expect(window.page.locator("main .pills")).to_contain_text("Succeeded", timeout=SOON)
    for path in FOLDER.glob("*.png"):
        make_smaller(path)
        assert path.stat().st_size < LARGEST_BYTES, path
