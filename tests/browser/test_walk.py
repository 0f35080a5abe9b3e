"""What the panel is for, from the first page to the last: as somebody of each group, in each look."""

from hashlib import sha256

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from backups.verify import BackupVerification
from tests.browser.conftest import WindowOf
from tests.browser.furnishing import UNKNOWN, Furnished, backed_up
from tests.browser.site import SHOP, Site
from tests.browser.walking import Person, damage, events
from tests.browser.window import LOOKS, Look


@pytest.mark.parametrize("look", [LOOKS[0], LOOKS[3]], ids=str)
def test_an_administrator_makes_a_backup_proves_it_and_brings_the_shop_back(
    empty_site: Site, window_of: WindowOf, look: Look
) -> None:
    person = Person(window_of("administrator", look), empty_site)
    before = person.makes_a_backup("Before release 4-2", key="-before-release-4-2.dump")
    person.verifies_it()
    damage(empty_site)
    after = person.makes_a_backup("after it", key="-after-it.dump")
    person.compares(before, after)
    person.browses_to(before)
    person.restores_it()
    assert events(empty_site) == 5000
    person.undoes_it()
    assert events(empty_site) == 0


def test_an_operator_makes_a_backup_and_proves_it(empty_site: Site, window_of: WindowOf) -> None:
    person = Person(window_of("operator", Look("dark", 1280)), empty_site)
    person.makes_a_backup("nightly", key="-nightly.dump")
    person.verifies_it()


def test_a_restorer_brings_the_shop_back_and_undoes_it(empty_site: Site, window_of: WindowOf) -> None:
    person = Person(window_of("restorer", Look("light", 360)), empty_site)
    row = backed_up("nightly")
    person.opens(row)
    assert sha256(person.downloads_it()).hexdigest() == row.checksum
    damage(empty_site)
    person.restores_it()
    assert events(empty_site) == 5000
    person.undoes_it()
    assert events(empty_site) == 0


def test_what_is_selected_in_the_list_is_downloaded(empty_site: Site, window_of: WindowOf) -> None:
    person = Person(window_of("restorer", Look("dark", 1280)), empty_site)
    rows = backed_up("one"), backed_up("two")
    person.opens(rows[0])
    assert [sha256(data).hexdigest() for data in person.downloads_those_selected(*rows)] == [row.checksum for row in rows]


def test_a_pruner_keeps_one_backup_and_deletes_another(empty_site: Site, window_of: WindowOf) -> None:
    person = Person(window_of("pruner", Look("dark", 360)), empty_site)
    old, newest = backed_up("old"), backed_up("newest")
    BackupVerification(filename=newest.filename, database=SHOP).run()  # the newest proven one has to stay
    person.opens(old)
    person.pins_it("the audit of March")
    person.unpins_it()
    person.deletes_it(old)
    old.refresh_from_db()
    assert old.deleted_at is not None


def test_a_pruner_deletes_what_belongs_to_no_backup(empty_site: Site, window_of: WindowOf) -> None:
    empty_site.put(UNKNOWN, b"-- somebody's own")
    Person(window_of("pruner", Look("light", 1280)), empty_site).deletes_the_unknown(UNKNOWN)


def test_a_viewer_gets_everywhere_by_the_panel_s_own_links(furnished: Furnished, site: Site, window_of: WindowOf) -> None:
    person = Person(window_of("viewer", Look("light", 360)), site)
    person.opens(furnished.verified)
    for tab in ("Overview", "Backups", "Storage", "Restores"):
        person.follows(tab)
    person.browses_to(furnished.verified)


@pytest.mark.parametrize("look", [LOOKS[0], LOOKS[3]], ids=str)
@pytest.mark.usefixtures("furnished")
def test_a_filter_is_closed_by_escape_or_a_click_elsewhere(window_of: WindowOf, look: Look) -> None:
    page = window_of("viewer", look).visit(reverse("admin:backups_backuphistory_changelist"))
    menu = page.locator("details.facet").first
    for close in (lambda: page.keyboard.press("Escape"), lambda: page.get_by_role("heading", level=1).click()):
        menu.locator("summary").click()
        expect(menu.get_by_role("link").first).to_be_visible()
        menu.get_by_role("link").first.focus()
        close()
        expect(menu.get_by_role("link").first).to_be_hidden()
        assert menu.locator("summary").evaluate("(summary) => summary === document.activeElement")
