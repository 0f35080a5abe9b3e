"""How far a backup is, from what its row tells: nothing here is guessed but the time that is left, which is called so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from backups.admin import figures
from backups.admin.table_lines import DumpedTable, line_of
from backups.models import BackupHistory, Status

DUMPING, CANCELLING = "dumping", "cancelling"
_PHASES = ("checking", "taking the snapshot", DUMPING, "counting rows", "completing")  # as DatabaseBackup tells them
SILENT_SECONDS = 15  # it tells each second while bytes come; after so many without a word somebody should know
_FEW_SECONDS = 5
_EARLY_SECONDS = 3  # of what has run for less, nobody can tell how long it takes


@dataclass(frozen=True, kw_only=True)
class Step:
    """One of the steps: `mark` and `state` say where it is ("done", "now", "to do")."""

    mark: str
    state: str
    kind: str
    text: str
    detail: str = ""
    took: str = ""  # of one that is over, where it was measured


@dataclass(frozen=True, kw_only=True)
class Making:
    """A backup that is queued or at work, at the moment `now`. Sizes in bytes, durations in seconds, None for what is not
    measured.
    """

    row: BackupHistory
    now: datetime

    @property
    def is_queued(self) -> bool:
        """Whether nobody has begun it."""
        return self.row.status == Status.PENDING and self.row.started_at is None

    @property
    def is_cancelling(self) -> bool:
        """Whether somebody has asked it to stop."""
        return self.row.cancel_requested_at is not None

    @property
    def phase(self) -> str:
        """As the run calls it; "" before it has said anything."""
        return str(self._told.get("phase", ""))

    @property
    def so_far(self) -> float:
        """Since it was begun, or since it was asked for."""
        return max(0.0, (self.now - (self.row.started_at or self.row.created_at)).total_seconds())

    @property
    def done_bytes(self) -> int | None:
        """Of the tables, as they are on the server: what is dumped."""
        return self._number("done_bytes") if self.phase == DUMPING else None

    @property
    def total_bytes(self) -> int | None:
        """Of all tables."""
        return self._number("total_bytes") or None if self.phase == DUMPING else None

    @property
    def percent(self) -> int | None:
        """Of the tables that is dumped; None while no table is."""
        return min(100, 100 * (self.done_bytes or 0) // self.total_bytes) if self.total_bytes else None

    @property
    def is_before_the_dump(self) -> bool:
        """Whether nobody has told yet which tables there are."""
        return not self.is_cancelling and self.phase in ("", *_PHASES[: _PHASES.index(DUMPING)])

    @property
    def is_dumped(self) -> bool:
        """Whether every table is through, and only the end is to come."""
        return self.phase in _PHASES[_PHASES.index(DUMPING) + 1 :]

    @property
    def rate(self) -> int | None:
        """Bytes of tables a second, of the last second or so; None where nothing was heard lately."""
        is_told = self.phase == DUMPING and self._told.get("rate") is not None and self.silent_for is None
        return self._number("rate") if is_told else None

    @property
    def stored_bytes(self) -> int | None:
        """What is written of the dump so far."""
        return self._number("stored_bytes") or None

    @property
    def table(self) -> str:
        """The one that is dumped now."""
        return str(self._told.get("table", "")) if self.phase == DUMPING else ""

    @property
    def tables(self) -> tuple[int, int]:
        """How many are dumped, of how many; (0, 0) before the run has told it."""
        told = self._told.get("tables") or {}
        return int(told.get("done") or 0), int(told.get("total") or 0)

    @property
    def largest(self) -> list[DumpedTable]:
        """The largest tables, by their size."""
        return [line_of(one) for one in (self._told.get("tables") or {}).get("largest") or ()]

    @property
    def left(self) -> float | None:
        """About how long until every table is dumped, if it goes on as fast as so far; None where nothing was heard lately."""
        if self.silent_for is not None or not self.done_bytes or not self.total_bytes or self.so_far < _EARLY_SECONDS:
            return None
        return self.so_far * max(0, self.total_bytes - self.done_bytes) / self.done_bytes

    @property
    def told_left(self) -> str:
        """The same in words; empty where nobody can tell."""
        if self.left is None:
            return ""
        if self.left < _FEW_SECONDS:
            return _("a few seconds left")
        return _("about %(time)s left") % {"time": figures.whole(self.left)}

    @property
    def told_so_far(self) -> str:
        """In whole seconds."""
        return _("%(time)s so far") % {"time": figures.whole(self.so_far)}

    @property
    def silent_for(self) -> float | None:
        """Since when nothing was heard of it while it dumps, where that is too long: in other phases it has nothing to tell."""
        seconds = unheard_for(self._told, now=self.now, otherwise=self.so_far)
        return seconds if self.phase == DUMPING and seconds > SILENT_SECONDS else None

    @property
    def quarter(self) -> int:
        """What is worth saying aloud: 0 before the dump, 1 to 4 in each quarter of it, 5 after it."""
        if self.is_dumped:
            return 5
        return 1 + min(3, self.percent // 25) if self.percent is not None else 0

    @property
    def aloud(self) -> str:
        """For a screen reader, at each quarter."""
        if self.is_dumped:
            return _("Every table is dumped. Completing.")
        if self.percent is None:
            return ""
        if not self.told_left:
            return _("%(percent)s percent dumped.") % {"percent": self.percent}
        return _("%(percent)s percent dumped, %(left)s.") % {"percent": self.percent, "left": self.told_left}

    @property
    def heading(self) -> str:
        """The one thing to read: 65%, or in words what it does."""
        if self.is_queued:
            return _("Queued, waits for a worker")
        if self.percent is not None:
            return _("%(percent)s%%") % {"percent": self.percent}
        return {
            "checking": _("Checking"),
            "taking the snapshot": _("Taking the snapshot"),
            DUMPING: _("Dumping"),
            "counting rows": _("Dumped; rows are still being counted"),
            "completing": _("Dumped; completing"),
            CANCELLING: _("Stopping"),
        }.get(self.phase, _("Starting"))

    @property
    def steps(self) -> list[Step]:
        """All of them, in their order."""
        where = self._where
        told = (
            (_("Checks: role, client program, room and rights in the store"), ""),
            (_("One snapshot of the database"), ""),
            (_("Dump and upload") if self.row.s3_key else _("Dump"), self._destinations),
            (_("Rows of every table counted in that snapshot"), ""),
            (_("Size and SHA-256 compared with the store; the manifest signed and written last"), ""),
        )
        return [
            step_at(place - where, text, detail, took=took_of(self._told, (_PHASES[place],)))
            for place, (text, detail) in enumerate(told)
        ]

    @property
    def _destinations(self) -> str:
        if not self.row.s3_key:
            return _("to the local folder")
        told = {"bucket": self.row.bucket}
        if not self.row.local_path:
            return _("to the bucket %(bucket)s") % told
        return _("to the bucket %(bucket)s and the local folder at once") % told

    @property
    def _where(self) -> int:
        """Which step it is at; -1 before the first."""
        if self.phase in _PHASES:
            return _PHASES.index(self.phase)
        return -1 if self.phase or self.is_queued or self.is_cancelling else 0

    @property
    def _told(self) -> Mapping[str, Any]:
        return self.row.progress or {}

    def _number(self, name: str) -> int:
        return int(self._told.get(name) or 0)


def unheard_for(told: Mapping[str, Any], *, now: datetime, otherwise: float) -> float:
    """Seconds since a run has told something to its row; `otherwise` where it did not tell when."""
    at = parse_datetime(str(told.get("at", "")))
    return (now - at).total_seconds() if at is not None and at.tzinfo is not None else otherwise


def took_of(told: Mapping[str, Any], phases: Sequence[str]) -> str:
    """How long these phases took together, as the run has told it; "" where it has not."""
    measured = told.get("took") or {}
    seconds = [measured[phase] for phase in phases if phase in measured]
    return figures.duration(sum(seconds)) if seconds else ""


def step_at(distance: int, text: str, detail: str = "", *, took: str = "") -> Step:
    """One that is so many steps ahead of where the run is; negative for one that is done."""
    if distance < 0:
        return Step(mark="check", state=_("done"), kind="", text=text, took=took)
    if distance == 0:
        return Step(mark="turn", state=_("now"), kind="now", text=text, detail=detail)
    return Step(mark="ring", state=_("to do"), kind="todo", text=text)
