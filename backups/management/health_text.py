"""Whether all is well, as text for people."""

from collections.abc import Sequence

from django.core.management.base import OutputWrapper

from backups import words
from backups.types import Check, State

COLOURS = {State.OK: "\033[32m", State.BAD: "\033[31m", State.UNKNOWN: "\033[33m"}
PLAIN = "\033[0m"
WIDTH = max(map(len, State)) + 2


def as_text(answer: str, checks: Sequence[Check], *, coloured: bool) -> str:
    """The answer, and a line for each check, with what to do below where it is not OK."""
    return "\n".join([*words.lines(answer), "", *(line for check in checks for line in _lines(check, coloured=coloured))])


def is_coloured(out: OutputWrapper) -> bool:
    """Whether there are people at a terminal who did not ask for plain text."""
    from rich.console import Console

    return bool(out.isatty()) and not Console().no_color


def _lines(check: Check, *, coloured: bool) -> list[str]:
    mark = f"{check.state.upper():<{WIDTH}}"
    if coloured:
        mark = f"{COLOURS[check.state]}{mark}{PLAIN}"
    threshold = f"  [{words.one_line(check.threshold)}]" if check.threshold else ""
    subject = f"{check.subject}: " if check.subject else ""
    told = [f"{mark}{words.one_line(subject + check.text)}{threshold}"]
    hints = words.lines(check.hint) if check.state is not State.OK else []
    return told + [f"{'':<{WIDTH - 2}}> {line}" for line in hints]
