"""Results as text for people and as JSON for machines."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from backups.catalog import Listing
from backups.management import words
from backups.models import BackupHistory, BackupRestore


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
        ("into", f"{words.printable(row.target_database)} on {row.target_host}:{row.target_port}"),
        ("compared", f"{words.count(report['rows'])} rows in {words.count(report['tables'])} tables: every row count matches"),
        ("took", words.duration(row.duration_seconds)),
        ("id", str(row.id)),
    ]
    return "Restored, and compared with the backup.\n" + "\n".join(f"  {name:<11} {value}" for name, value in lines)


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
    """Every entry with full precision; `mark` is empty when nothing is odd, `is_whole` tells whether it can be restored."""
    return _json(
        {
            "backups": [asdict(entry) | {"is_whole": entry.is_whole} for entry in listing.entries],
            "problems": [str(problem) for problem in listing.problems],
        }
    )


def _json(document: dict[str, Any]) -> str:
    """Moments as ISO 8601, ids as text."""

    def plain(value: object) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    return json.dumps(document, indent=2, default=plain, ensure_ascii=False)
