"""Pictures for the documentation, written only where they are asked for: ICB_SCREENSHOTS=1 ./icb test tests/browser"""

from pathlib import Path

import pytest
from django.urls import reverse

from ichrisbirch_site.embedded import PROJECT
from tests.browser import past
from tests.browser.conftest import WindowOf
from tests.browser.furnishing import PANEL
from tests.browser.site import SHOP, Site
from tests.browser.smaller import make_smaller
from tests.browser.walking import Person, damage
from tests.browser.window import LOOKS, Look, Window

FOLDER = PROJECT / "docs" / "screenshots"
LARGEST_BYTES = 200 * 1024
NAMES = {Look("light", 1280): "", Look("dark", 1280): "-dark", Look("light", 360): "-360", Look("dark", 360): "-dark-360"}


def picture(window: Window, name: str, look: Look = LOOKS[0]) -> None:
    window.dress(look)
    window.examine()
    path: Path = FOLDER / f"{name}{NAMES[look]}.png"
    window.picture(path)
    make_smaller(path)
    assert path.stat().st_size < LARGEST_BYTES, path


@pytest.mark.usefixtures("empty_site")
def test_pictures(site: Site, window_of: WindowOf) -> None:
    FOLDER.mkdir(exist_ok=True)
    verified, newest = past.make(site)
    window = window_of("administrator")
    person = Person(window, site)
    window.visit(f"{reverse(f'{PANEL}:overview')}?database={SHOP}")
    for look in LOOKS:
        picture(window, "overview", look)
    window.dress(LOOKS[0])
    for name, address in (
        ("history", reverse("admin:backups_backuphistory_changelist")),
        ("backup", reverse(f"{PANEL}:backup", args=[verified.id])),
        ("compared", reverse(f"{PANEL}:diff", args=[verified.id, newest.id])),
        ("storage", f"{reverse(f'{PANEL}:storage')}?prefix=testing/postgres/"),
    ):
        window.visit(address)
        picture(window, name)
    damage(site)
    window.visit(reverse(f"{PANEL}:restore-backup", args=[verified.id]))
    picture(window, "restore-plan")
    person.opens(verified)
    person.restores_it()
    picture(window, "restored")
    person.opens(verified)
    with person.watching_a_backup("hourly"):
        picture(window, "running")
