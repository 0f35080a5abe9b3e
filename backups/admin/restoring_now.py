"""How far a restore or a verification is, from what its row tells: its steps, each with the measure that it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from backups import history
from backups.admin import figures
from backups.admin.progress import CANCELLING, SILENT_SECONDS, Step, step_at, took_of, unheard_for
from backups.models import BackupRestore, Level, RestoreMode, RestorePurpose, Status

Stage = tuple[str | Promise, tuple[str, ...]]  # a step in words, and the phases of the run that belong to it

_PROVE = (
    gettext_lazy("Download and prove the bytes: signature and SHA-256, before anything reads them"),
    ("reading", "downloading", "proving"),
)
_COMPARE = (gettext_lazy("Compare with the manifest"), ("comparing",))
_CHECKS = (gettext_lazy("Checks: the backup, the server, the room for it"), ("checking",))
_SWAP: tuple[Stage, ...] = (
    _CHECKS,
    _PROVE,
    (gettext_lazy("Load under another name, beside the target, which goes on working"), ("loading",)),
    _COMPARE,
    (
        gettext_lazy("Make it ready: history carried over, sessions emptied where that was wanted"),
        ("neutralizing", "carrying the history over"),
    ),
    (gettext_lazy("Swap the two names, in one transaction"), ("swapping",)),
)
_IN_PLACE: tuple[Stage, ...] = (
    _CHECKS,
    _PROVE,
    (
        gettext_lazy("Back up what is there, unless that was not wanted"),
        ("backing up what is there", "taking the snapshot", "dumping", "counting rows", "completing"),
    ),
    (gettext_lazy("Drop and load in one transaction, all or nothing"), ("loading in place",)),
    _COMPARE,
)
_BESIDE: tuple[Stage, ...] = (
    _CHECKS,
    _PROVE,
    (gettext_lazy("Load apart from the target"), ("loading",)),
    _COMPARE,
    (gettext_lazy("Put it where it was wanted; no live table is touched"), ("putting them into the schema", "swapping")),
)
_STORED: tuple[Stage, ...] = (
    (gettext_lazy("Find its copies"), ("checking",)),
    (gettext_lazy("Read every copy: size and SHA-256 must be the manifest's"), ("reading",)),
)
_READABLE: tuple[Stage, ...] = (
    _STORED[0],
    _PROVE,
    (gettext_lazy("Decode the whole archive"), ("decoding",)),
)
_RESTORED: tuple[Stage, ...] = (
    *_READABLE,
    (gettext_lazy("Load into a scratch database, which is dropped at the end"), ("loading",)),
    _COMPARE,
    (gettext_lazy("Ask the assertions of the settings, where there are any"), ("asserting",)),
)
_BY_MODE = {RestoreMode.SWAP: _SWAP, RestoreMode.IN_PLACE: _IN_PLACE, RestoreMode.BESIDE: _BESIDE}
_BY_LEVEL = {Level.STORED: _STORED, Level.READABLE: _READABLE, Level.RESTORED: _RESTORED}
_HEADINGS: Mapping[str, str | Promise] = {
    "checking": gettext_lazy("Checking"),
    "reading": gettext_lazy("Reading"),
    "downloading": gettext_lazy("Downloading"),
    "proving": gettext_lazy("Proving the bytes"),
    "decoding": gettext_lazy("Decoding"),
    "loading": gettext_lazy("Loading"),
    "loading in place": gettext_lazy("Loading in place"),
    "comparing": gettext_lazy("Comparing"),
    "asserting": gettext_lazy("Asking the assertions"),
    "neutralizing": gettext_lazy("Emptying sessions and tokens"),
    "carrying the history over": gettext_lazy("Carrying the history over"),
    "swapping": gettext_lazy("Swapping"),
    "backing up what is there": gettext_lazy("Backing up what is there"),
    "taking the snapshot": gettext_lazy("Backing up what is there"),
    "dumping": gettext_lazy("Backing up what is there"),
    "counting rows": gettext_lazy("Backing up what is there"),
    "completing": gettext_lazy("Backing up what is there"),
    "putting them into the schema": gettext_lazy("Putting them into the schema"),
}


@dataclass(frozen=True, kw_only=True)
class Restoring:
    """A restore or verification that is queued or at work, at the moment `now`. Sizes in bytes; None is not measured."""

    row: BackupRestore
    now: datetime

    @property
    def is_restore(self) -> bool:
        """Or a verification."""
        return self.row.purpose == RestorePurpose.RESTORE

    @property
    def is_queued(self) -> bool:
        """Whether nobody has begun it."""
        return self.row.status == Status.PENDING and self.row.started_at is None

    @property
    def is_cancelling(self) -> bool:
        """Whether somebody has asked it to stop."""
        return self.row.cancel_requested_at is not None

    @property
    def is_of_the_history(self) -> bool:
        """Whether it replaces the very database that this page comes from, as far as names tell: users and sessions with it."""
        ours = history.server()
        return self.is_restore and (ours.database, ours.port) == (self.row.target_database, self.row.target_port)

    @property
    def phase(self) -> str:
        """As the run calls it; "" before it has said anything."""
        return str(self._told.get("phase", ""))

    @property
    def done_bytes(self) -> int:
        """Of the step that it is at."""
        return int(self._told.get("done_bytes") or 0)

    @property
    def total_bytes(self) -> int | None:
        """Of the same; None where nothing is counted."""
        return int(self._told.get("total_bytes") or 0) or None

    @property
    def percent(self) -> int | None:
        """Of the bytes of this step."""
        return min(100, 100 * self.done_bytes // self.total_bytes) if self.total_bytes else None

    @property
    def rate(self) -> int | None:
        """Bytes a second, of the last second or so; None where nothing was heard lately: its worker may be gone."""
        told = self._told.get("rate")
        if not told or not self.total_bytes or self.silent_for is not None:
            return None
        return int(told) if int(told) > 0 else None

    @property
    def silent_for(self) -> float | None:
        """Since when (seconds) nothing was heard of it in a step that is counted, where that is too long: others tell nothing."""
        seconds = unheard_for(self._told, now=self.now, otherwise=self._so_far)
        return seconds if self.total_bytes and seconds > SILENT_SECONDS else None

    @property
    def table(self) -> str:
        """The one that is counted or dumped now."""
        return str(self._told.get("table", ""))

    @property
    def heading(self) -> str:
        """The one thing to read: Loading, 65%."""
        if self.is_cancelling or self.phase == CANCELLING:
            return _("Stopping")
        if self.is_queued:
            return _("Queued, waits for a worker")
        known = max((begins for begins in _HEADINGS if self.phase.startswith(begins)), key=len, default="")
        words = str(_HEADINGS[known]) if known else self.phase.capitalize() or _("Starting")
        return words if self.percent is None else _("%(what)s, %(percent)s%%") % {"what": words, "percent": self.percent}

    @property
    def told_so_far(self) -> str:
        """In whole seconds, since it was begun or asked for."""
        return _("%(time)s so far") % {"time": figures.whole(self._so_far)}

    @property
    def told_left(self) -> str:
        """About how long this step still takes, at the rate of the last second; empty where nobody can tell."""
        if not self.rate or not self.total_bytes or self.done_bytes >= self.total_bytes:
            return ""
        seconds = max(1.0, (self.total_bytes - self.done_bytes) / self.rate)
        return _("about %(time)s left of this step") % {"time": figures.whole(seconds)}

    @property
    def said_at(self) -> str:
        """What changes when there is something to say aloud: the step, and each quarter of it."""
        return f"{self.where}.{0 if self.percent is None else self.percent // 25}"

    @property
    def aloud(self) -> str:
        """For a screen reader."""
        if self.percent is None or self.is_cancelling:
            return self.heading
        done, total = figures.size(self.done_bytes), figures.size(self.total_bytes)
        return _("%(heading)s: %(done)s of %(total)s.") % {"heading": self.heading, "done": done, "total": total}

    @property
    def where(self) -> int:
        """Which step it is at; -1 before the first, where it stops, and in a phase that belongs to none."""
        if self.is_queued or self.is_cancelling or self.phase == CANCELLING:
            return -1
        fitting = (place for place, (_text, phases) in enumerate(self._stages) if self.phase.startswith(phases))
        return next(fitting, -1 if self.phase else 0)

    @property
    def steps(self) -> list[Step]:
        """All of them, in their order. Of one that is being stopped, which it had reached is not told any more."""
        return [
            step_at(place - self.where, str(text), took=took_of(self._told, phases))
            for place, (text, phases) in enumerate(self._stages)
        ]

    @property
    def _so_far(self) -> float:
        return max(0.0, (self.now - (self.row.started_at or self.row.created_at)).total_seconds())

    @property
    def _stages(self) -> tuple[Stage, ...]:
        if self.is_restore:
            return _BY_MODE[RestoreMode(self.row.mode)]
        return _BY_LEVEL[Level(self.row.level or Level.RESTORED)]

    @property
    def _told(self) -> Mapping[str, Any]:
        return self.row.progress or {}
