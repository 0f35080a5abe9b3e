"""The whole report, kept for a moment: whoever polls does not keep bucket and servers busy."""

import threading
import time
from collections.abc import Callable
from typing import Any

from backups.health.answer import answer, as_document
from backups.health.asking import report

REPORT_SECONDS = 15.0
WHILE_ASKING_SECONDS = 120.0  # a server that says nothing is asked for up to a minute


class _Kept:
    """What was asked for last, for a while. Of several who ask at once, one does; meanwhile the others get what he was told last,
    and only where that is too old, too, do they wait for him: or a silent bucket would keep every thread of the site.
    """

    def __init__(self, ask: Callable[[], dict[str, Any]]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._told: tuple[float, dict[str, Any]] | None = None

    def get(self) -> dict[str, Any]:
        if (told := self._younger_than(REPORT_SECONDS)) is not None:
            return told
        if not self._lock.acquire(blocking=False):
            if (told := self._younger_than(WHILE_ASKING_SECONDS)) is not None:
                return told
            self._lock.acquire()
        try:
            if (told := self._younger_than(REPORT_SECONDS)) is None:
                told = self._ask()
                self._told = (time.monotonic(), told)
            return told
        finally:
            self._lock.release()

    def _younger_than(self, seconds: float) -> dict[str, Any] | None:
        kept = self._told
        return kept[1] if kept is not None and time.monotonic() - kept[0] <= seconds else None

    def forget(self) -> None:
        """The next one asks anew."""
        self._told = None


def _document() -> dict[str, Any]:
    checks = report()
    return as_document(answer(checks), checks)


full_report = _Kept(_document)
