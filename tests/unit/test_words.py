"""Figures as people read them, at their borders."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups import words

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("size_bytes", "told"),
    [
        (None, "–"),
        (0, "0 B"),
        (1023, "1023 B"),
        (KIB, "1.0 KiB"),
        (MIB - 1, "1.0 MiB"),
        (MIB, "1.0 MiB"),
        (int(285.8 * MIB), "285.8 MiB"),
        (GIB - 1, "1.0 GiB"),
        (78 * GIB, "78.0 GiB"),
        (1 << 50, "1.0 PiB"),
        (5000 << 50, "5000.0 PiB"),
    ],
)
def test_a_size_has_one_decimal_and_the_unit_that_keeps_it_short(size_bytes: int | None, told: str) -> None:
    assert words.size(size_bytes) == told


@given(st.integers(0, 1023 << 50))
def test_no_size_below_1024_pib_has_more_than_four_digits_before_the_point(size_bytes: int) -> None:
    assert float(words.size(size_bytes).split()[0]) < 1024


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "–"),
        (0.0, "0.0 s"),
        (0.84, "0.8 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (185, "3 min 5 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (7800, "2 h 10 min"),
        (200_000, "55 h 33 min"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, told: str) -> None:
    assert words.duration(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-30, "just now"),  # the clock of another machine
        (0, "just now"),
        (59.9, "just now"),
        (60, "1 min ago"),
        (27 * 60, "27 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (48 * 3600 - 1, "47 h ago"),
        (48 * 3600, "2 days ago"),
        (400 * 86400, "400 days ago"),
    ],
)
def test_an_age_has_one_unit(seconds: float, told: str) -> None:
    now = datetime(2024, 3, 31, 1, 30, tzinfo=UTC)
    assert words.age(now - timedelta(seconds=seconds), now=now) == told


def test_counts_have_thousands_separators() -> None:
    assert [words.count(number) for number in (None, 0, 999, 15607)] == ["–", "0", "999", "15,607"]


@given(st.text(max_size=40))
def test_what_is_shown_of_a_name_moves_no_cursor_and_stays_in_its_line(text: str) -> None:
    shown = words.printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
    assert words.printable("größe 'x' [red]") == "größe 'x' [red]"


def test_lines_become_spaces_or_lines_and_no_question_marks() -> None:
    said = "could not connect:\r\n\tno route\n\n  to host\n"
    assert words.one_line(said) == "could not connect: no route to host"
    assert words.lines(said) == ["could not connect:", "        no route", "  to host"]
