"""What the panel is for, from the first page to the last: as somebody of each group, in each look."""

import pytest

from tests.browser.conftest import WindowOf
from tests.browser.furnishing import backed_up
from tests.browser.site import Site
from tests.browser.walking import Person, damage, events
from tests.browser.window import LOOKS, Look


@pytest.mark.parametrize("look", [LOOKS[0], LOOKS[3]], ids=str)
def test_an_administrator_makes_a_backup_proves_it_and_brings_the_shop_back(
    empty_site: Site, window_of: WindowOf, look: Look
) -> None:
    person = Person(window_of("administrator", look), empty_site)
    person.makes_a_backup("Before release 4-2", key="-before-release-4-2.dump")
    person.verifies_it()
    damage(empty_site)
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
    person.opens(backed_up("nightly"))
    damage(empty_site)
    person.restores_it()
    assert events(empty_site) == 5000
    person.undoes_it()
    assert events(empty_site) == 0
