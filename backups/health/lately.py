"""The whole report, kept for a moment: whoever polls does not keep bucket and servers busy."""

import threading
import time
from collections.abc import Callable
from typing import Any

from backups.health.answer import answer, as_document
from backups.health.asking import report

REPORT_SECONDS = 15.0


class _Kept:
    """What was asked for last, for a while. Of several who ask at once, one does; the others wait for what he is told."""

    def __init__(self, ask: Callable[[], dict[str, Any]]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._told: tuple[float, dict[str, Any]] | None = None

    def get(self) -> dict[str, Any]:
        with self._lock:
            if self._told is None or time.monotonic() - self._told[0] > REPORT_SECONDS:
                told = self._ask()
                self._told = (time.monotonic(), told)
            return self._told[1]

    def forget(self) -> None:
        """The next one asks anew."""
        self._told = None


def _document() -> dict[str, Any]:
    checks = report()
    return as_document(answer(checks), checks)


full_report = _Kept(_document)
