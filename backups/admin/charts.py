"""Drawings as numbers: what the templates write into SVG. Pure: nothing is asked here.

x is in per cent of the width and y in pixels from the top, so that text and marks keep their size at any width. Coordinates are
texts, written with a point in every language: a decimal comma breaks SVG.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from django.utils import formats
from django.utils.translation import get_language, gettext_noop
from django.utils.translation import gettext as _

from backups.admin import figures

TOP, HEIGHT = 16, 112  # of the plot, in pixels; its base is at 128
BASE = TOP + HEIGHT
CELL, STEP, LEFT, UP = 13, 18, 34, 18  # of the calendar
_FEWEST_DAYS = 14  # that a plot spans: two points are no trend
_MOST_GRID = 4
_TOLD = {
    "proven": gettext_noop("%(day)s: verified"),
    "unproven": gettext_noop("%(day)s: succeeded, not verified"),
    "failed": gettext_noop("%(day)s: every run failed"),
    "bad": gettext_noop("%(day)s: no backup that was not found bad"),
    "nothing": gettext_noop("%(day)s: no backup"),
}
_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, kw_only=True)
class Day:
    """What was run on one day of the viewer's calendar. `runs` have ended by themselves: they `failed`, or made a backup, which
    is `good` or was found `bad` later. `size` (bytes) is of the last good one, made `at`, as the first was `first_at`; `seconds`
    are of the last run that made any. None without one.
    """

    date: date
    runs: int = 0
    good: int = 0
    proven: int = 0
    bad: int = 0
    failed: int = 0
    size: int | None = None
    seconds: float | None = None
    is_proven: bool = False
    first_at: datetime | None = None
    at: datetime | None = None

    @property
    def kind(self) -> str:
        """The class of its mark."""
        if self.good:
            return "proven" if self.proven else "unproven"
        return "failed" if self.failed or self.bad else "nothing"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One day in a plot or in the calendar. `height` is of a bar."""

    x: str
    y: str
    kind: str
    title: str
    width: str = ""
    height: str = ""


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text beside the plot, or below it, where a line may be, too."""

    at: str
    text: str
    line: str = ""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A curve or bars over days. `curve` and `area` are points in an inner drawing of 100 by 112 units."""

    marks: list[Mark]
    grid: list[Label]
    ticks: list[Label]
    curve: str = ""
    area: str = ""
    usual: str = ""


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """A mark for each day, weeks in columns, Monday first."""

    marks: list[Mark]
    months: list[Label]
    weekdays: list[Label]


def shown(days: Sequence[Day]) -> list[Day]:
    """Those of a plot: from the first on which something was run, and two weeks at least."""
    first = next((place for place, day in enumerate(days) if day.runs), len(days))
    return list(days[min(first, max(0, len(days) - _FEWEST_DAYS)) :])


def size_plot(days: Sequence[Day]) -> Plot:
    """Stored size, from zero, so that only a real change looks like one."""
    grid, top = _grid_of_sizes(max((day.size or 0 for day in days), default=0))
    points, marks = [], []
    for place, day in enumerate(days):
        x = _x(place, days)
        if day.size is not None:
            y = HEIGHT - day.size / top * HEIGHT
            points.append((x, y))
            kind = "proven" if day.is_proven else "unproven"
            words = _("%(day)s: %(size)s, verified") if day.is_proven else _("%(day)s: %(size)s, succeeded, not verified")
            title = words % {"day": _short(day.date), "size": figures.size(day.size)}
            marks.append(Mark(x=_text(x), y=_text(y + TOP), kind=kind, title=title))
        elif day.kind == "failed":
            marks.append(_failure(x, day))
    curve = " ".join(f"{_text(x)},{_text(y)}" for x, y in points)
    area = f"{_text(points[0][0])},{HEIGHT} {curve} {_text(points[-1][0])},{HEIGHT}" if points else ""
    return Plot(marks=marks, grid=grid, ticks=_ticks(days), curve=curve, area=area)


def duration_plot(days: Sequence[Day], *, usual: float | None) -> Plot:
    """How long the last run of each day took that made a backup, and what is usual."""
    longest = max((day.seconds or 0.0 for day in days), default=0.0)
    step = next((step for step in _SECONDS if longest <= step * 3), _SECONDS[-1] * (int(longest / _SECONDS[-1] / 3) + 1))
    grid, top = _grid(longest, step, figures.duration)
    width = 66 / max(1, len(days))
    marks = []
    for place, day in enumerate(days):
        x = _x(place, days)
        if day.seconds is not None:
            height = max(1.0, day.seconds / top * HEIGHT)
            title = _("%(day)s: %(duration)s") % {"day": _short(day.date), "duration": figures.duration(day.seconds)}
            left, y = _text(x - width / 2), _text(BASE - height)
            marks.append(Mark(x=left, y=y, width=_text(width), height=_text(height), kind="done", title=title))
        elif day.failed:
            marks.append(_failure(x, day))
    line = _text(BASE - usual / top * HEIGHT) if usual is not None else ""
    return Plot(marks=marks, grid=grid, ticks=_ticks(days), usual=line)


def calendar(days: Sequence[Day]) -> Calendar:
    """Of days in a row."""
    first = days[0].date
    monday = first - timedelta(days=first.weekday())
    marks, months = [], []
    for day in days:
        week, weekday = divmod((day.date - monday).days, 7)
        x, y = LEFT + week * STEP, UP + weekday * STEP
        marks.append(Mark(x=str(x), y=str(y), kind=day.kind, title=_told(day)))
        if day.date.day == 1:
            months.append(Label(at=str(x if weekday == 0 else x + STEP), text=formats.date_format(day.date, "M")))
    last = LEFT + ((days[-1].date - monday).days // 7) * STEP
    weekdays = [
        Label(at=str(UP + place * STEP + 10), text=formats.date_format(monday + timedelta(days=place), "D"))
        for place in (0, 2, 4, 6)
    ]
    return Calendar(marks=marks, months=[month for month in months if int(month.at) <= last], weekdays=weekdays)


def _told(day: Day) -> str:
    kind = "bad" if day.kind == "failed" and day.bad else day.kind
    return _(_TOLD[kind]) % {"day": _written(get_language(), day.date, "l j F")}


def _failure(x: float, day: Day) -> Mark:
    title = _("%(day)s: found bad") if day.bad else _("%(day)s: failed")
    return Mark(x=_text(x), y="121", kind="failed", title=title % {"day": _short(day.date)})


def _grid_of_sizes(largest: int) -> tuple[list[Label], float]:
    """In whole numbers of the unit that fits."""
    unit = 1
    while largest / unit >= 1024:
        unit *= 1024
    steps = (factor * power * unit for power in (1, 10, 100, 1000) for factor in (1, 2, 5))
    step = next((step for step in steps if largest <= step * _MOST_GRID), 1000 * unit)
    return _grid(largest, step, _whole_size)


def _whole_size(count: float) -> str:
    """300 MiB: without decimals."""
    unit = 0
    while count >= 1024 and unit < len(figures.UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{formats.number_format(round(count), use_l10n=True)}{figures.NO_BREAK}{figures.UNITS[unit]}"


def _grid(largest: float, step: float, words: Callable[[float], str]) -> tuple[list[Label], float]:
    """Lines at whole steps, and the value of the topmost."""
    count = max(1, -(-int(largest * 1000) // int(step * 1000)))
    top = count * step
    labels = []
    for place in range(count, -1, -1):
        y = BASE - place / count * HEIGHT
        labels.append(Label(at=_text(y + 4), text=words(place * step) if place else "0", line=_text(y) if place else ""))
    return labels, top


def _ticks(days: Sequence[Day]) -> list[Label]:
    """Five dates at most, the last day among them."""
    count = min(5, len(days))
    gap = (len(days) - 1) // max(1, count - 1) or 1
    places = [place for place in range(len(days) - 1, -1, -gap) if _x(place, days) >= 4][:5]
    return [Label(at=_text(_x(place, days)), text=_short(days[place].date)) for place in reversed(places)]


def _x(place: int, days: Sequence[Day]) -> float:
    """The middle of a day."""
    return (place + 0.5) / len(days) * 100


def _short(day: date) -> str:
    return _written(get_language(), day, "j M")


@lru_cache(maxsize=1024)
def _written(_language: str | None, day: date, form: str) -> str:
    """Three charts write the same 90 days whenever the page is asked for, and Django takes its time for each."""
    return formats.date_format(day, form)


def _text(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
