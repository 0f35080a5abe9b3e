"""What is proven of a backup, level by level, and the runs that came of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import BooleanField, IntegerField
from django.db.models.fields.json import KT, KeyTransform
from django.db.models.functions import Cast
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from backups.admin import figures
from backups.copies import Worth
from backups.damage import Damage
from backups.models import UNENDED, BackupHistory, BackupRestore, Level, RestorePurpose, Verdict

MOST_RUNS = 20
_COLUMNS = (
    *("id", "backup_id", "purpose", "level", "verdict", "status", "created_at", "started_at", "finished_at", "duration_seconds"),
    *("target_host", "target_database", "error_message", "mode", "undone_at"),
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A restore or verification of it, and in a few words what came of it."""

    row: Any
    report: str

    @property
    def is_verification(self) -> bool:
        """Whether nothing but proof was wanted."""
        return bool(self.row.purpose == RestorePurpose.VERIFICATION)

    @property
    def is_unended(self) -> bool:
        """Whether it is queued or at work."""
        return self.row.status in UNENDED


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One of the levels: when it was last proven, None for never; what that means; how long the run took. It `is_refuted` where
    the backup was found bad after that, or before it was ever proven, and `is_partial` where a copy of a good one is damaged.
    """

    level: str
    title: str
    text: str
    at: datetime | None
    took: float | None = None
    is_refuted: bool = False
    is_partial: bool = False


def runs_of(row: BackupHistory) -> list[Run]:
    """The newest, MOST_RUNS of them and one more where there are more, without their long reports."""
    rows = (
        BackupRestore.objects.filter(backup=row)
        .select_related("restored_by")
        .only(*_COLUMNS, f"restored_by__{get_user_model().USERNAME_FIELD}")
    )
    told = rows.annotate(
        tables=Cast(KT("comparison_report__tables"), IntegerField()),
        is_equal=Cast(KT("comparison_report__equal"), BooleanField()),
        copies=KeyTransform("copies", "comparison_report"),
    )
    return [Run(row=one, report=_report(one)) for one in told.order_by("-created_at")[: MOST_RUNS + 1]]


def ladder(row: BackupHistory, runs: Iterable[Run], damage: Damage | None = None) -> list[Rung]:
    """The three levels, from the least to the one that counts. A damaged copy speaks against the first: the store holds it."""
    runs = list(runs)
    good = [run for run in runs if run.row.verdict == Verdict.GOOD]
    # A restore has no level, and proves the highest.
    last = {str(level): next((run for run in good if (run.row.level or Level.RESTORED) == level), None) for level in Level}
    moments = {Level.STORED: row.stored_at, Level.READABLE: row.readable_at, Level.RESTORED: row.verified_at}
    rungs = []
    for level, (title, question, answer) in _texts().items():
        run, text = last[str(level)], answer if moments[level] else question
        is_refuted = _is_refuted(row, runs, moments[level])
        is_partial = level is Level.STORED and damage is not None and row.bad_at is None
        if is_refuted and moments[level] is None:
            text = _("It was never proven, and the backup was found bad")
        elif is_refuted:
            text = _("It was, before the backup was found bad. That counts no more")
        elif level is Level.RESTORED and run is not None and run.row.tables is not None and moments[level]:
            report = _compared(run.row)
            text = _("Loaded into a scratch database: %(report)s") % {"report": report}
            if not run.is_verification:
                text = _("Restored onto %(database)s: %(report)s") % {"database": run.row.target_database, "report": report}
        elif is_partial and damage is not None:
            text = _partly(damage, is_proven=moments[level] is not None)
        took = run.row.duration_seconds if run is not None else None
        at = moments[level]
        rungs.append(
            Rung(level=str(level), title=title, text=text, at=at, took=took, is_refuted=is_refuted, is_partial=is_partial)
        )
    return rungs


def _is_refuted(row: BackupHistory, runs: list[Run], at: datetime | None) -> bool:
    """What the very run has proven that found it bad, further on, is still so."""
    if row.bad_at is None or at is None:
        return row.bad_at is not None
    found = next((run.row.started_at for run in runs if run.row.verdict == Verdict.BAD), None)
    return at < (found or row.bad_at)


def _texts() -> dict[Level, tuple[str, str, str]]:
    """Of each level its name, what it asks, and what it has shown when it is passed."""
    return {
        Level.STORED: (
            _("Stored"),
            _("Does the store hold the dump, in its size and with its SHA-256?"),
            _("Size and SHA-256 of what the store holds are those of the dump"),
        ),
        Level.READABLE: (
            _("Readable"),
            _("Can the whole archive be decoded, to its last byte?"),
            _("The whole archive was decoded to its last byte"),
        ),
        Level.RESTORED: (
            _("Restored"),
            _("Does it come back? It is loaded into a scratch database, and compared"),
            _("Loaded into a scratch database, and compared with what was backed up"),
        ),
    }


def _partly(damage: Damage, *, is_proven: bool) -> str:
    """Not that the store holds the dump, where it holds it once."""
    told = {"damaged": _damaged(len(damage.copies))}
    if is_proven and damage.has_good:
        return _("%(damaged)s. Another has the size and SHA-256 of the dump") % told
    return _("%(damaged)s. No other was proven") % told


def _damaged(number: int) -> str:
    return ngettext("%(number)s copy is damaged", "%(number)s copies are damaged", number) % {"number": number}


def _report(row: Any) -> str:
    if row.verdict == Verdict.BAD:
        return _("the backup is bad")
    damaged = sum(copy.get("worth") == Worth.DAMAGED for copy in row.copies or ())
    compared = _compared(row)
    if damaged and compared:
        return _("%(compared)s, %(damaged)s") % {"compared": compared, "damaged": _damaged(damaged)}
    if damaged:
        return _damaged(damaged)
    if row.verdict == Verdict.UNABLE:
        return _("could not be verified here")
    if compared:
        return compared
    return {
        Level.STORED: _("size and SHA-256 equal"),
        Level.READABLE: _("decoded to its end"),
    }.get(row.level, "") if row.verdict == Verdict.GOOD else ""  # fmt: skip


def _compared(row: Any) -> str:
    """How what was loaded compares with what was backed up, from whichever copy it came; "" where nothing was loaded."""
    if row.tables is not None and row.is_equal:
        said = ngettext("%(number)s of %(number)s table equal", "%(number)s of %(number)s tables equal", row.tables)
        return said % {"number": figures.number(row.tables)}
    return _("differs") if row.tables is not None and row.is_equal is False else ""
