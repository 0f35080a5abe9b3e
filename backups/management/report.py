"""Results as text for people and as JSON for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from backups import documents, next_command, words
from backups.catalog import Listing
from backups.kept import kept_until
from backups.models import BackupHistory, BackupRestore
from backups.postgres.swap import Kept, Swapped
from backups.types import Server
from backups.undo import RestoreUndo


def backup_as_text(row: BackupHistory) -> str:
    """What a backup made, a line each."""
    total = row.table_snapshot["total"]
    lines = [
        ("filename", row.filename),
        ("size", f"{words.size(row.size_bytes)} ({words.count(row.size_bytes)} bytes)"),
        (
            "database",
            f"{words.printable(row.database)}, {words.size(row.database_size_bytes)}, PostgreSQL {row.postgres_version}",
        ),
        ("holds", f"{words.count(total['rows'])} rows in {words.count(total['tables'])} tables"),
        ("took", words.duration(row.duration_seconds)),
    ]
    if row.s3_key:
        lines.append(("S3", f"s3://{row.bucket}/{row.s3_key}"))
    if row.local_path:
        lines.append(("local copy", row.local_path))
    lines += [("SHA-256", row.checksum), ("id", str(row.id))]
    lines += [("warning", words.printable(str(warning))) for warning in row.warnings]
    body = "\n".join(f"  {name:<11} {value}" for name, value in lines)
    return f"Backup made.\n{body}\nTry it: icb db restore {row.filename} --target-dbname rehearsal"


def backup_as_json(row: BackupHistory) -> str:
    """The row, but for what only the machine needs."""
    return _json(documents.backup(row))


def restore_as_text(row: BackupRestore, target: Server) -> str:
    """How a restore compared, a line each, and the way back."""
    name = words.printable(row.target_database)
    place = f"{name} on {row.target_host}:{row.target_port}"
    if schema := row.comparison_report.get("schema"):
        place = f"the schema {schema} of {place}"
    lines = [("backup", row.source_key), ("onto", place), ("compared", _compared(row))]
    if "migrations" in row.comparison_report:
        lines.append(("migrations", row.comparison_report["migrations"]["words"]))
    for remark in row.comparison_report.get("remarks", []):
        lines.append(("remark", "; mend it: ".join(filter(None, (remark["words"], remark["mend"])))))
    lines += [("took", words.duration(row.duration_seconds)), ("id", str(row.id))]
    heading = (
        "Restored, and compared with the backup." if row.comparison_report else "Restored. There was nothing to compare with."
    )
    text = heading + "\n" + "\n".join(f"  {title:<11} {words.printable(value)}" for title, value in lines)
    if row.kept_database:
        text += f"\nWhat was there before is kept as {words.printable(row.kept_database)}{words.until(kept_until(row))}."
        text += f"\nBack to it:     {next_command.undo(target)}\nLet go of it:   {next_command.discard(target)}"
    if row.safety_backup:
        text += f"\nWhat was there before is in the backup {row.safety_backup}."
        text += f"\nBack to it:     {next_command.restore_in_place(row.safety_backup, target)}"
    return text


def _compared(row: BackupRestore) -> str:
    report = row.comparison_report
    if not report:
        return "with nothing: the archive has no manifest of ours"
    if report.get("schema_only"):
        return f"{words.things(report['tables'], 'table')}, without rows, as you chose: all are there"
    return f"{words.things(report['rows'], 'row')} in {words.things(report['tables'], 'table')}: every row count matches"


def restore_as_json(row: BackupRestore) -> str:
    """The row."""
    return _json(documents.restore(row))


def undo_as_text(undo: RestoreUndo, kept: Kept, swapped: Swapped) -> str:
    """What stands where now."""
    name = words.printable(undo.target.database)
    was = "it was before the restore" if kept.kind == "before" else "the restore had brought"
    text = f"Swapped back in {swapped.seconds * 1000:.0f} ms: {name} is again what {was}."
    if swapped.kept:
        text += f"\nWhat was in {name} until now is kept as {words.printable(swapped.kept)}."
        text += f"\nBack to it:     {next_command.undo(undo.target, kept=swapped.kept)}"
        text += f"\nLet go of it:   {next_command.discard(undo.target)}"
    return text


def undo_as_json(undo: RestoreUndo, swapped: Swapped) -> str:
    """The same for machines."""
    return _json(documents.undone(undo.target.database, swapped, undo.problems))


def dropped_as_json(dropped: Sequence[Kept]) -> str:
    """What was let go of."""
    return _json({"dropped": [asdict(kept) for kept in dropped]})


def listing_as_json(listing: Listing, kept: Sequence[Kept]) -> str:
    """Every entry with full precision; `mark` is empty when nothing is odd, `is_whole` tells whether it can be restored."""
    return _json(
        {
            "backups": [asdict(entry) | {"is_whole": entry.is_whole} for entry in listing.entries],
            "kept": [documents.kept(one) for one in kept],
            "problems": [str(problem) for problem in listing.problems],
        }
    )


def _json(document: dict[str, Any]) -> str:
    """Moments as ISO 8601, ids as text."""

    def plain(value: object) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    return json.dumps(document, indent=2, default=plain, ensure_ascii=False)
