"""What a verification has found, as text for people and as JSON for machines."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from backups import words
from backups.copies import Worth, not_good
from backups.models import BackupRestore, Level, Verdict

SAID = {
    Level.STORED: "the store holds the bytes that were written",
    Level.READABLE: "the whole archive can be read",
    Level.RESTORED: "restored, and compared with what was backed up",
}


def as_text(row: BackupRestore) -> str:
    """The verdict in a line, and why."""
    name = words.printable(row.source_key.rpartition("/")[2])
    took = words.duration(row.duration_seconds)
    if row.verdict == Verdict.GOOD:
        return "\n".join([f"Good: {name}. {_said(row)}; it took {took}.", *_about_copies(row)])
    heading = "BAD" if row.verdict == Verdict.BAD else "Unable to tell"
    lines = [words.printable(line.expandtabs()) for line in row.error_message.split("\n")]
    return "\n".join([f"{heading}: {name}. {lines[0]}", *(f"    {line}" for line in lines[1:])])


def _about_copies(row: BackupRestore) -> list[str]:
    """Those that were not good when they were first read. The good ones are not worth a line."""
    lines: list[str] = []
    for copy in row.comparison_report.get("copies", []):
        if copy["worth"] in (Worth.DAMAGED, Worth.UNABLE):
            heading = "DAMAGED COPY" if copy["worth"] == Worth.DAMAGED else "A copy that could not be read"
            lines += [f"{heading}: {copy['where']}", *f"{copy['said']}\n{copy['hint']}".strip().split("\n")]
        elif copy["worth"] == Worth.GOOD and copy["said"]:
            lines += [f"{copy['where']}: {copy['said']}"]
    return [f"    {words.printable(line.expandtabs())}" for line in lines]


def _said(row: BackupRestore) -> str:
    said = SAID[Level(row.level)]
    report = row.comparison_report
    if row.level != Level.RESTORED or "rows" not in report:
        return said[0].upper() + said[1:]
    counted = f"{words.things(report['rows'], 'row')} in {words.things(report['tables'], 'table')}"
    back = f"; loading took {words.duration(row.load_seconds)}" if row.load_seconds else ""
    return f"{said[0].upper()}{said[1:]}: {counted}{back}"


def summary(failed: Sequence[BackupRestore], *, total: int) -> str:
    """What must be done about those that did not pass."""
    bad = sum(row.verdict == Verdict.BAD for row in failed)
    good = [row for row in failed if row.verdict == Verdict.GOOD and not_good(row.comparison_report)]
    if len(good) == len(failed):
        return f"{len(good)} of {total} good, but for a copy that is damaged or could not be read. What to do is told above."
    if not bad:
        return (
            f"{len(failed)} of {total} could not be verified here; that says nothing about them. Mend the cause, and try again."
        )
    return f"{bad} of {total} can't be trusted. Make a new one now: icb db backup DESCRIPTION"


def as_json(rows: Sequence[BackupRestore]) -> str:
    """Every verdict with full precision."""
    return json.dumps({"verifications": [_document(row) for row in rows]}, indent=2, default=_plain, ensure_ascii=False)


def _document(row: BackupRestore) -> dict[str, Any]:
    names = ("id", "backup_id", "source_key", "level", "verdict", "status", "started_at", "finished_at", "duration_seconds")
    more = ("load_seconds", "size_bytes", "error_message", "comparison_report")
    return {name: getattr(row, name) for name in (*names, *more)}


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
