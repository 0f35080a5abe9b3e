"""Figures in the viewer's language. Sizes in bytes, durations in seconds, moments in UTC."""

from datetime import UTC, datetime

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext, pgettext

from backups.sentences import Sentence

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
NO_BREAK = "\N{NO-BREAK SPACE}"
UNKNOWN = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
MINUTE, HOUR, DAY, WEEK = 60, 3600, 86400, 7 * 86400
_TENTHS_BELOW = 9.95  # seconds; from there on they are told whole
_PARTS = ((DAY, gettext_noop("d")), (HOUR, gettext_noop("h")), (MINUTE, gettext_noop("min")), (1, gettext_noop("s")))


def size(count: float | None) -> str:
    """285.8 MiB; a dash for what is not known."""
    if count is None:
        return UNKNOWN
    for unit in UNITS:
        if abs(count) < (1024 if unit == "B" else 1023.95) or unit == UNITS[-1]:
            break
        count /= 1024
    digits = 0 if unit == "B" else 1
    return (
        f"{formats.number_format(round(count, digits), decimal_pos=digits, use_l10n=True, force_grouping=True)}{NO_BREAK}{unit}"
    )


def rows(count: int) -> str:
    """15,607 rows."""
    return ngettext("%(number)s row", "%(number)s rows", count) % {"number": number(count)}


def tables(count: int) -> str:
    """1 table."""
    return ngettext("%(number)s table", "%(number)s tables", count) % {"number": number(count)}


def number(count: float | None) -> str:
    """15,607; a dash for what is not known."""
    return UNKNOWN if count is None else str(formats.number_format(count, use_l10n=True, force_grouping=True))


def duration(seconds: float | None) -> str:
    """0.8 s, 12 s, 3 min 5 s, 2 h 10 min, 3 d 4 h: two units at most; a dash for what is not known."""
    if seconds is None:
        return UNKNOWN
    if seconds < _TENTHS_BELOW:
        return _("%(seconds)s s") % {"seconds": _tenths(seconds)}
    return NO_BREAK.join(f"{amount}{NO_BREAK}{unit}" for amount, unit in parts(round(seconds)))


def amounts(seconds: float) -> list[tuple[int | str, str]]:
    """The same figures with their units: 0.5 and s; 2, h and 10, min."""
    if seconds < _TENTHS_BELOW:
        return [(_tenths(seconds), _("s"))]
    return [*parts(round(seconds))]


def _tenths(seconds: float) -> str:
    return str(formats.number_format(round(max(0.0, seconds), 1), decimal_pos=1))


def span(seconds: float) -> str:
    """27 min, 12 h 57 min, 2 d 13 h: as an age is told, in minutes and more."""
    if seconds < MINUTE:
        return _("less than a minute")
    return duration(seconds - seconds % MINUTE if seconds < DAY else seconds)


def age(moment: datetime, *, now: datetime | None = None) -> str:
    """just now, 27 min, 12 h 57 min, 2 d 13 h."""
    seconds = ((now or timezone.now()) - moment).total_seconds()
    return pgettext("age", "just now") if seconds < MINUTE else span(seconds)


def parts(seconds: int) -> list[tuple[int, str]]:
    """The two largest units of a duration, with their short names."""
    for place, (length, name) in enumerate(_PARTS):
        if seconds >= length:
            found = [(seconds // length, _(name))]
            if place + 1 < len(_PARTS) and (rest := seconds % length // _PARTS[place + 1][0]):
                found.append((rest, _(_PARTS[place + 1][1])))
            return found
    return [(0, _("s"))]


def clock(moment: datetime, *, now: datetime | None = None) -> str:
    """today 14:00, yesterday 01:30, Fri 01:30 within a week, 12 Nov 01:30, 12 Nov 2025; in the current time zone."""
    local, today = timezone.localtime(moment), timezone.localtime(now or timezone.now()).date()
    time, days = formats.date_format(local, "H:i"), (today - local.date()).days
    if days in (-1, 0, 1):
        return {0: _("today %(time)s"), 1: _("yesterday %(time)s"), -1: _("tomorrow %(time)s")}[days] % {"time": time}
    if abs(days) < 7:
        return f"{formats.date_format(local, 'D')} {time}"
    return formats.date_format(local, "j M H:i") if local.year == today.year else formats.date_format(local, "j M Y")


def utc(moment: datetime) -> str:
    """2026-11-22 13:00:04 UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


class Moment(Sentence):
    """A moment as a part of a sentence: in UTC where the sentence is kept or sent, on the viewer's `clock` where it is shown."""

    at: datetime

    @classmethod
    def of(cls, at: datetime) -> "Moment":
        """The part for that moment."""
        made = cls(utc(at))
        made.at = at
        return made

    def translated(self) -> str:
        return clock(self.at)


def change(count: float, kind: str = "number") -> str:
    """+44,210, or with a minus sign; with kind "size" +1.2 MiB; 0 for none."""
    if not count:
        return "0"
    sign = MINUS if count < 0 else "+"
    return sign + (size if kind == "size" else number)(abs(count))


def percent(share: float) -> str:
    """+2.0%, or with a minus sign; +0.05%: two digits where one would say nothing. 0% only for none, 100% less only for all."""
    if not share:
        return "0%"
    amount = abs(share)
    digits = 2 if amount < 0.095 else 1
    told = min(round(amount, digits), 99.9) if -100 < share < 0 else round(amount, digits)
    sign = MINUS if share < 0 else "+"
    return f"{sign}{formats.number_format(max(told, 0.01), decimal_pos=digits, use_l10n=True, force_grouping=True)}%"


def whole(seconds: float) -> str:
    """As `duration`, without tenths of seconds: they change too fast to be read."""
    return NO_BREAK.join(f"{amount}{NO_BREAK}{unit}" for amount, unit in parts(int(seconds)))
