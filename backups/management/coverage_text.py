"""What is in no backup, as text for people and as JSON for machines."""

import json

from backups import words
from backups.coverage import Coverage, Finding, Level

MARKS = {Level.ACT: "ACT  ", Level.KNOW: "KNOW ", Level.FINE: "OK   "}


def as_text(found: Coverage) -> str:
    """What to do something about first; under each finding what it is about, and what to do."""
    names = ", ".join(words.printable(name) for name in found.databases.values()) or "none"
    lines = [f"What the backups of {found.environment} leave out. Databases: {names}.", ""]
    for finding in found.findings:
        lines += _lines(finding)
    return "\n".join([*lines, "", _sum(found)])


def as_json(found: Coverage) -> str:
    """The same. `level` is act, know this, or fine; `topic` a name that stays."""
    document = {
        "environment": found.environment,
        "databases": [{"alias": alias, "database": name} for alias, name in found.databases.items()],
        "findings": [
            {
                "level": str(finding.level),
                "topic": finding.topic,
                "text": finding.text,
                "detail": finding.detail,
                "hint": finding.hint,
            }
            for finding in found.findings
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _lines(finding: Finding) -> list[str]:
    told = [f"{MARKS[finding.level]}{words.one_line(finding.text)}"]
    told += [f"       {line}" for line in words.lines(finding.detail)]
    return told + [f"     > {line}" for line in words.lines(finding.hint)]


def _sum(found: Coverage) -> str:
    counts = {level: sum(finding.level is level for finding in found.findings) for level in Level}
    return f"{counts[Level.ACT]} to act on, {counts[Level.KNOW]} to know, {counts[Level.FINE]} fine. Nothing was changed."
