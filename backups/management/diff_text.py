"""What changed between two snapshots, as text for people and as JSON for machines."""

import json
from collections.abc import Sequence

from django.utils import timezone

from backups import documents, words
from backups.changes import Changes, Kind, TableChange
from backups.diff import LIVE, Difference, Side


def as_text(found: Difference) -> str:
    """What matters first: tables gone, then shrunk, added, grown; then what is around them."""
    before, after = found.before, found.after
    width = max(len(side.name) for side in (before, after))
    lines = ["What changed", f"  from {_side(before, width)}", f"  to   {_side(after, width)}"]
    lines += [f"  ! {words.printable(remark)}" for remark in found.remarks]
    lines += ["", *_tables(found.changes), *_migrations(found.changes), *_extensions(found.changes), ""]
    return "\n".join([*lines, *_whole(before, after)])


def as_json(found: Difference) -> str:
    """The same with full precision."""
    return json.dumps(documents.difference(found), indent=2, ensure_ascii=False)


def _side(side: Side, width: int) -> str:
    database = f"{words.printable(side.database)} ({side.environment})"
    if side.name == LIVE:
        return f"{side.name:<{width}}  {database}, as it is now"
    return f"{side.name:<{width}}  {database}, {words.age(side.at, now=timezone.now())}"


def _tables(changes: Changes) -> list[str]:
    same = f"{words.things(changes.unchanged, 'table')} with as many rows as before"
    if changes.identical:
        same += f", {words.count(changes.identical)} of them with the very same rows"
    if not changes.tables:
        return [f"No table has more rows, or fewer: {same}." if changes.unchanged else "There are no tables in either."]
    rows = [_row(change) for change in changes.tables]
    return [*_aligned(rows), *([f"and {same}."] if changes.unchanged else [])]


def _row(change: TableChange) -> tuple[str, str, str, str]:
    by = f" ({_percent(change.percent)})" if change.kind in (Kind.SHRUNK, Kind.GROWN) and change.percent is not None else ""
    sides = [side for side in (change.before, change.after) if side is not None]
    rows = " → ".join(words.count(side.rows) for side in sides) + f" {'row' if sides[-1].rows == 1 else 'rows'}{by}"
    sizes = " → ".join(words.size(side.bytes) for side in sides)
    return change.kind.upper() if change.kind in (Kind.GONE, Kind.SHRUNK) else str(change.kind), change.name, rows, sizes


def _percent(percent: float) -> str:
    """-98%, +12%, +3400%; never -100% of a table that has rows left."""
    whole = int(percent)
    return f"{whole:+,}%" if whole else f"{'+' if percent > 0 else '-'}<1%"


def _aligned(rows: Sequence[tuple[str, str, str, str]]) -> list[str]:
    from rich.cells import cell_len

    cells = [tuple(words.printable(cell) for cell in row) for row in rows]
    widths = [max(cell_len(row[number]) for row in cells) for number in range(4)]
    padded = ((cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return ["   ".join(row).rstrip() for row in padded]


def _migrations(changes: Changes) -> list[str]:
    told = [f"  + {name}" for name in changes.migrations_added] + [f"  - {name}" for name in changes.migrations_gone]
    return _section("migrations", told)


def _extensions(changes: Changes) -> list[str]:
    told = [f"  - {name} {version}" for name, version in changes.extensions_gone]
    told += [f"  + {name} {version}" for name, version in changes.extensions_added]
    told += [f"    {name} {old} → {new}" for name, old, new in changes.extensions_changed]
    return _section("extensions", told)


def _section(heading: str, told: Sequence[str]) -> list[str]:
    return ["", heading, *map(words.printable, told)] if told else []


def _whole(before: Side, after: Side) -> list[str]:
    old, new = before.snapshot, after.snapshot
    lines = [
        ("rows", f"{words.count(old.rows)} → {words.count(new.rows)} in all tables"),
        ("database", f"{words.size(old.database_size_bytes)} → {words.size(new.database_size_bytes)} with its indexes"),
    ]
    if old.server_version != new.server_version:
        lines.append(("PostgreSQL", words.printable(f"{old.server_version} → {new.server_version}")))
    return [f"{name:<11} {value}" for name, value in lines]
