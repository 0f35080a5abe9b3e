"""Figures as people read them. Sizes in bytes, durations in seconds, moments in UTC."""

from datetime import datetime

from backups.sentences import sentence as _

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: float | None) -> str:
    """285.8 MiB; a dash for what is not known."""
    if count is None:
        return "–"
    for unit in UNITS:
        if abs(count) < (1024 if unit == "B" else 1023.95) or unit == UNITS[-1]:  # 1023.96 KiB would be shown as 1024.0
            break
        count /= 1024
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """0.8 s, 12 s, 3 min 5 s, 2 h 10 min; a dash for what is not known."""
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return _("{seconds} s", seconds=f"{seconds:.1f}")
    whole = round(seconds)
    if whole < 60:
        return _("{seconds} s", seconds=whole)
    if whole < 3600:
        return _("{minutes} min {seconds} s", minutes=whole // 60, seconds=whole % 60)
    return _("{hours} h {minutes} min", hours=whole // 3600, minutes=whole % 3600 // 60)


def age(moment: datetime, *, now: datetime) -> str:
    """just now, 27 min ago, 5 h ago, 3 days ago."""
    seconds = (now - moment).total_seconds()
    return _("just now") if seconds < 60 else _("{time} ago", time=span(seconds))


def span(seconds: float) -> str:
    """minute, 27 min, 5 h, 3 days: as far back as somebody has to think."""
    if seconds < 60:
        return _("minute")
    if seconds < 3600:
        return _("{minutes} min", minutes=int(seconds // 60))
    if seconds < 48 * 3600:
        return _("{hours} h", hours=int(seconds // 3600))
    return _("{days} days", days=int(seconds // 86400))


def until(moment: datetime | None) -> str:
    """The end of a sentence: `, until 2026-11-27 09:00 UTC`; nothing for what has no end."""
    return f", until {moment:%Y-%m-%d %H:%M} UTC" if moment else ""


def count(number: int | None) -> str:
    """15,607; a dash for what is not known."""
    return "–" if number is None else f"{number:,}"


def things(number: int, one: str, many: str = "") -> str:
    """1 table, 1,234 tables."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


_STATUSES = {
    "pending": _("pending"),
    "queued": _("queued"),
    "running": _("running"),
    "succeeded": _("succeeded"),
    "failed": _("failed"),
    "cancelled": _("cancelled"),
}


def status(name: str) -> str:
    """What became of a run, by its status, in the middle of a sentence."""
    return _STATUSES.get(name, name)


def printable(text: str) -> str:
    """A name or message that moves no cursor and stays in its line: what can't be seen is shown as a question mark."""
    if text.isprintable():  # as nearly all is: a list of ten thousand asks a hundred thousand times
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def one_line(text: str) -> str:
    """What may have several lines, as one, and `printable`."""
    return printable(" ".join(text.split()))


def lines(text: str) -> list[str]:
    """Those that say something, each `printable`."""
    return [printable(line.expandtabs()) for line in text.splitlines() if line.strip()]
