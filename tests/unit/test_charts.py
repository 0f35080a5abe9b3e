"""Drawings as numbers."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from django.utils import translation

from backups.admin import charts
from backups.admin.charts import Day
from backups.admin.trends import gap_of, movers_of, size_words
from backups.changes import compare_tables
from backups.types import TableRows

FIRST = date(2026, 8, 25)  # a Tuesday
MIB = 1 << 20


def days(*sizes: int | None) -> list[Day]:
    """A backup of each size in MiB, a day apart; None is a day on which every run failed."""
    made = []
    for place, size in enumerate(sizes):
        day, at = FIRST + timedelta(days=place), datetime(2026, 8, 25, 1, 30, tzinfo=UTC) + timedelta(days=place)
        if size is None:
            made.append(Day(date=day, runs=1, failed=1))
        else:
            made.append(Day(date=day, runs=1, good=1, proven=1, size=size * MIB, seconds=size, is_proven=True, at=at))
    return made


def rows(**counts: int) -> list[TableRows]:
    return [TableRows(schema="public", table=name, rows=count, bytes=1) for name, count in counts.items()]


def test_size_begins_at_zero_and_ends_at_a_whole_step() -> None:
    plot = charts.size_plot(days(150, 300))
    assert [line.text.replace("\xa0", " ") for line in plot.grid] == ["300 MiB", "200 MiB", "100 MiB", "0"]
    assert [(mark.x, mark.y) for mark in plot.marks] == [("25", "72"), ("75", "16")]


def test_a_size_that_fills_its_unit_is_drawn_in_the_same() -> None:
    assert [line.text.replace("\xa0", " ") for line in charts.size_plot(days(1023)).grid][-2:] == ["500 MiB", "0"]


def test_a_day_on_which_all_failed_is_a_cross_and_the_curve_goes_on() -> None:
    plot = charts.size_plot(days(100, None, 100))
    assert [mark.kind for mark in plot.marks] == ["proven", "failed", "proven"]
    assert len(plot.curve.split()) == 2


def test_coordinates_have_a_point_in_a_language_with_commas() -> None:
    with translation.override("de"):
        plot = charts.size_plot(days(*range(100, 107)))
    assert all(re.fullmatch(r"[\d.]+", mark.x + mark.y) for mark in plot.marks)


def test_without_a_backup_there_is_nothing_to_draw() -> None:
    plot = charts.size_plot([Day(date=FIRST)])
    assert (plot.marks, plot.curve, plot.area) == ([], "", "")


def test_a_bar_is_as_high_as_its_run_was_long() -> None:
    plot = charts.duration_plot(days(30, 60), usual=45)
    assert [mark.height for mark in plot.marks] == ["56", "112"]
    assert plot.usual == "44"


def test_a_calendar_begins_its_weeks_on_monday() -> None:
    calendar = charts.calendar(days(*[1] * 7))
    assert [(mark.x, mark.y) for mark in calendar.marks[:1] + calendar.marks[-2:]] == [("34", "36"), ("34", "126"), ("52", "18")]


def test_a_day_is_verified_where_one_of_its_backups_is() -> None:
    kinds = [Day(date=FIRST, good=2, proven=1).kind, Day(date=FIRST, good=1, failed=1).kind, Day(date=FIRST, failed=1).kind]
    assert [*kinds, Day(date=FIRST).kind] == ["proven", "unproven", "failed", "nothing"]


def test_a_day_whose_only_backup_was_found_bad_is_a_cross_that_says_so() -> None:
    day = Day(date=FIRST, runs=1, bad=1, seconds=1.0)
    (mark,) = charts.calendar([day]).marks
    assert (mark.kind, mark.title) == ("failed", "Tuesday 25 August: no backup that was not found bad")
    assert [mark.title for mark in charts.size_plot([day]).marks] == ["25 Aug: found bad"]
    assert [mark.kind for mark in charts.duration_plot([day], usual=None).marks] == ["done"]  # it took its time


def test_a_plot_spans_two_weeks_at_least_and_nothing_from_before_the_first_run() -> None:
    idle = [Day(date=FIRST - timedelta(days=n)) for n in range(80, 0, -1)]
    assert len(charts.shown([*idle, *days(1, 2)])) == 14
    assert len(charts.shown([*idle, *days(*range(1, 21))])) == 20


def test_growth_is_told_only_over_two_weeks_or_more() -> None:
    assert size_words(days(100, 200)).replace("\xa0", " ") == "200.0 MiB stored"
    assert size_words(days(*range(100, 115))).replace("\xa0", " ") == "114.0 MiB stored, 7.0 MiB more each week"


def test_the_largest_movers_come_first_and_a_table_that_has_lost_much_is_alarming() -> None:
    changes = compare_tables(rows(orders=1000, coupons=100, same=5), rows(orders=1100, coupons=62, same=5))
    movers = movers_of(changes, alarm_percent=20)
    assert [(mover.name, mover.change, mover.is_alarming) for mover in movers] == [
        ("public.orders", 100, False),
        ("public.coupons", -38, True),
    ]
    assert (movers[0].x, movers[0].width, movers[1].x) == ("50.0", "50.0", "31.0")


def test_a_table_that_has_lost_a_few_rows_is_not_alarming_however_many_per_cent_they_are() -> None:
    changes = compare_tables(rows(few=4, many=400, gone=4), rows(few=2, many=200))
    assert {mover.name: mover.is_alarming for mover in movers_of(changes, alarm_percent=20)} == {
        "public.few": False,
        "public.many": True,
        "public.gone": True,
    }


def test_a_table_that_was_empty_is_new_and_has_no_per_cent() -> None:
    (mover,) = movers_of(compare_tables(rows(a=0), rows(a=7)), alarm_percent=20)
    assert mover.told_percent == "new"


def test_the_longest_gap_is_from_the_last_of_a_day_to_the_first_of_the_next_and_may_last_still() -> None:
    made = [replace(day, first_at=day.at) for day in days(1, 1, None, None, 1)]
    assert made[-1].at is not None
    assert gap_of(made, now=made[-1].at + timedelta(hours=1)) == (3 * 86400, False)
    assert gap_of(made, now=made[-1].at + timedelta(days=4)) == (4 * 86400, True)
    assert gap_of([Day(date=FIRST)], now=datetime(2026, 9, 1, tzinfo=UTC)) == (None, False)
