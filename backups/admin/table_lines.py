"""The largest tables while they are dumped, a line each, from what the run has told to its row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from backups.admin import figures


@dataclass(frozen=True, kw_only=True)
class DumpedTable:
    """A table while it is dumped: `share` of its bar, in percent; `took` in words."""

    name: str
    state: str
    bytes: int
    share: int
    took: str


def line_of(told: Mapping[str, Any]) -> DumpedTable:
    """Of one table. What a worker of another version has not told is 0, "", or waits."""
    size, done, seconds = int(told.get("bytes") or 0), int(told.get("done_bytes") or 0), told.get("seconds")
    state = str(told.get("state") or "waits")
    share = 100 if state == "done" else min(100, 100 * done // size) if size else 0
    if state == "waits":
        took = _("waits")
    elif state == "now":
        took = _("%(time)s so far") % {"time": figures.whole(seconds or 0)}
    else:
        took = _("done") if seconds is None else figures.duration(seconds)
    return DumpedTable(name=str(told.get("name") or ""), state=state, bytes=size, share=share, took=took)
