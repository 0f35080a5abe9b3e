"""Figures of the panel, in the viewer's language."""

import pytest

from backups.admin import figures


@pytest.mark.parametrize(("count", "told"), [(1019, "1,019 B"), (285.86 * 2**20, "285.9 MiB"), (1023.96 * 2**10, "1.0 MiB")])
def test_a_size_is_rounded_as_the_commands_round_it(count: float, told: str) -> None:
    assert figures.size(count).replace(figures.NO_BREAK, " ") == told


def test_one_row_and_one_table_are_told_in_the_singular() -> None:
    assert (figures.rows(1), figures.rows(6200), figures.tables(1), figures.tables(0)) == (
        "1 row",
        "6,200 rows",
        "1 table",
        "0 tables",
    )


@pytest.mark.parametrize("seconds", [0.5, 9.94, 9.96, 61, 7260])
def test_a_duration_taken_apart_is_rounded_as_in_a_sentence(seconds: float) -> None:
    apart = " ".join(f"{amount} {unit}" for amount, unit in figures.amounts(seconds))
    assert apart == figures.duration(seconds).replace(figures.NO_BREAK, " ")


@pytest.mark.parametrize(("seconds", "told"), [(0.96, "1.0 s"), (9.94, "9.9 s"), (9.96, "10 s")])
def test_a_short_duration_is_rounded_to_a_tenth(seconds: float, told: str) -> None:
    assert figures.duration(seconds).replace(figures.NO_BREAK, " ") == told


@pytest.mark.parametrize(
    ("share", "told"),
    [(0, "0%"), (2, "+2.0%"), (0.03, "+0.03%"), (0.0001, "+0.01%"), (12.36, "+12.4%"), (3400, "+3,400.0%"), (-38, "-38.0%")],
)
def test_a_change_is_told_in_as_many_digits_as_say_something(share: float, told: str) -> None:
    assert figures.percent(share).replace(figures.MINUS, "-") == told


@pytest.mark.parametrize(("share", "told"), [(-99.99, "-99.9%"), (-100, "-100.0%"), (99.99, "+100.0%")])
def test_all_is_lost_only_where_nothing_is_left(share: float, told: str) -> None:
    assert figures.percent(share).replace(figures.MINUS, "-") == told
