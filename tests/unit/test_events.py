"""The titles of messages."""

import pytest

from backups.alerting import events


@pytest.mark.parametrize("event", [*events._WORDS, "some-check"])
@pytest.mark.parametrize("subject", ["", "shop"])
def test_every_title_is_whole_with_a_subject_and_without_one(event: str, subject: str) -> None:
    for title in (events.begins(event, subject), events.ends(event, subject)):
        assert title.strip() == title != ""
        assert "{" not in title


def test_a_title_without_a_subject_says_the_same_of_nobody() -> None:
    assert (events.begins("backup-failed", ""), events.ends("backup-failed", "")) == ("backup failed", "backups work again")
    assert events.ends("receiver-failed", "") == "a receiver takes messages again"


def test_a_subject_with_braces_is_told_as_it_is() -> None:
    assert events.begins("disk", "/a{b}") == "disk nearly full: /a{b}"
