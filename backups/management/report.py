"""Results as text for people and as JSON for machines."""

import json
from dataclasses import asdict
from typing import IO, Any, cast

from django.core.management.base import OutputWrapper
from django.utils import timezone

from backups.catalog import Listing, Mark
from backups.management import words
from backups.models import BackupHistory, BackupRestore


def backup_as_text(row: BackupHistory) -> str:
    """What a backup made, a line each."""
    total = row.table_snapshot["total"]
    lines = [
        ("filename", row.filename),
        ("size", f"{words.size(row.size_bytes)} ({words.count(row.size_bytes)} bytes)"),
        ("database", f"{row.database}, {words.size(row.database_size_bytes)}, PostgreSQL {row.postgres_version}"),
        ("holds", f"{words.count(total['rows'])} rows in {words.count(total['tables'])} tables"),
        ("took", words.duration(row.duration_seconds)),
    ]
    if row.s3_key:
        lines.append(("S3", f"s3://{row.bucket}/{row.s3_key}"))
    if row.local_path:
        lines.append(("local copy", row.local_path))
    lines += [("SHA-256", row.checksum), ("id", str(row.id))]
    body = "\n".join(f"  {name:<11} {value}" for name, value in lines)
    return f"Backup made.\n{body}\nTry it: icb db restore {row.filename} --target-dbname rehearsal"


def backup_as_json(row: BackupHistory) -> str:
    """The row, whole."""
    return _json(
        {
            "id": row.id,
            "filename": row.filename,
            "description": row.description,
            "backup_type": row.backup_type,
            "environment": row.environment,
            "database": row.database,
            "status": row.status,
            "created_at": row.created_at,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
            "duration_seconds": row.duration_seconds,
            "size_bytes": row.size_bytes,
            "database_size_bytes": row.database_size_bytes,
            "checksum": row.checksum,
            "bucket": row.bucket,
            "s3_key": row.s3_key,
            "local_path": row.local_path,
            "postgres_version": row.postgres_version,
            "pg_dump_version": row.pg_dump_version,
            "compression": row.compression,
            "table_snapshot": row.table_snapshot,
            "applied_migrations": row.applied_migrations,
            "extensions": row.extensions,
            "application_version": row.application_version,
        }
    )


def restore_as_text(row: BackupRestore) -> str:
    """How a restore compared, a line each."""
    report = row.comparison_report
    lines = [
        ("backup", row.source_key),
        ("into", f"{row.target_database} on {row.target_host}:{row.target_port}"),
        ("compared", f"{words.count(report['rows'])} rows in {words.count(report['tables'])} tables: every table equal"),
        ("took", words.duration(row.duration_seconds)),
        ("id", str(row.id)),
    ]
    return "Restored, and equal to the backup.\n" + "\n".join(f"  {name:<11} {value}" for name, value in lines)


def restore_as_json(row: BackupRestore) -> str:
    """The row, whole."""
    return _json(
        {
            "id": row.id,
            "backup_id": row.backup_id,
            "source": row.source_key,
            "purpose": row.purpose,
            "target_host": row.target_host,
            "target_port": row.target_port,
            "target_database": row.target_database,
            "status": row.status,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
            "duration_seconds": row.duration_seconds,
            "comparison_report": row.comparison_report,
        }
    )


def listing_as_json(listing: Listing) -> str:
    """Every entry with full precision; `mark` is empty when nothing is odd."""
    return _json(
        {
            "backups": [asdict(entry) for entry in listing.entries],
            "problems": [str(problem) for problem in listing.problems],
        }
    )


def print_listing(listing: Listing, out: OutputWrapper) -> None:
    """A table, or what to do when there is none."""
    if not listing.entries:
        out.write("No backups yet. Make one: icb db backup first\n")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    now = timezone.now()
    several = len({(entry.environment, entry.database) for entry in listing.entries}) > 1
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("backup", overflow="fold")
    for name in (("database",) if several else ()) + ("age", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("stored", "database size" if not several else "of", "rows", "took"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("remarks", overflow="fold")
    for entry in listing.entries:
        colour = {"succeeded": "green", "failed": "red", "running": "cyan"}.get(entry.status, "yellow")
        remarks = [str(entry.mark)] if entry.mark else []
        remarks += [entry.error_message.splitlines()[0]] if entry.error_message else []
        cells = [Text(entry.filename)]
        cells += [Text(f"{entry.environment}: {entry.database or '?'}")] if several else []
        cells += [Text(words.age(entry.started_at, now=now)), Text(entry.status, style=colour)]
        cells += [
            Text(words.size(entry.size_bytes)),
            Text(words.size(entry.database_size_bytes), style="dim"),
            Text(words.count(entry.rows)),
            Text(words.duration(entry.duration_seconds)),
            Text("; ".join(remarks), style="yellow"),
        ]
        table.add_row(*cells)
    console = Console(file=cast(IO[str], out), highlight=False, width=None if out.isatty() else 200)
    console.print(table)
    odd = sum(1 for entry in listing.entries if entry.mark not in (Mark.NONE, Mark.NOT_IN_HISTORY))
    if odd:
        console.print(f"{odd} of these are not whole: see the remarks.")


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, default=str, ensure_ascii=False)
