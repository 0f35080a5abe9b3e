"""What HTTP says of each error."""

import re

import pytest

from backups.exceptions import BackupsError
from backups.statuses import _ANSWERS, KINDS, kind_of, status_of
from ichrisbirch_site.embedded import PROJECT
from tests.unit.test_exceptions import ERRORS

FORESEEN = [kind for kind in ERRORS if kind is not BackupsError]


@pytest.mark.parametrize("kind", FORESEEN)
def test_each_error_of_the_tree_has_an_answer_that_is_not_the_last_resort(kind: type[BackupsError]) -> None:
    assert kind_of(kind()) != "error"
    assert 400 <= status_of(kind()) < 600
    assert status_of(kind()) != 500


def test_what_nobody_has_foreseen_is_500() -> None:
    assert (status_of(BackupsError()), kind_of(BackupsError())) == (500, "error")


@pytest.mark.parametrize("place", range(len(_ANSWERS)))
def test_no_answer_is_hidden_by_one_before_it(place: int) -> None:
    class_, status, kind = _ANSWERS[place]
    assert (status_of(class_()), kind_of(class_())) == (status, kind)


def test_each_word_is_told_in_the_documentation() -> None:
    told = re.findall("`([a-z-]+)`", (PROJECT / "docs" / "api.md").read_text().partition("## Errors")[2])
    assert set(told) >= KINDS
