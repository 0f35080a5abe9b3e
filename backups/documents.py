"""Results as documents for machines: what commands print with --json and the API answers, under the same names."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from backups.cancelling import Cancelled
from backups.changes import Kind, TableChange
from backups.diff import Difference, Side
from backups.kept import kept_until
from backups.models import BackupHistory, BackupRestore
from backups.plan import Plan
from backups.postgres.swap import Kept, Swapped
from backups.prune import Pinned
from backups.types import Manifest, Objects, TableRows

BACKUP = (
    *("id", "filename", "description", "backup_type", "environment", "database", "status", "created_at", "started_at"),
    *("finished_at", "duration_seconds", "size_bytes", "database_size_bytes", "checksum", "bucket", "s3_key", "local_path"),
    *("postgres_version", "pg_dump_version", "compression", "table_snapshot", "applied_migrations", "extensions"),
    *("application_version", "warnings"),
)
RESTORE = (
    *("id", "backup_id", "purpose", "mode", "target_host", "target_port", "target_database", "target_system_identifier"),
    *("kept_database", "safety_backup", "status", "started_at", "finished_at", "duration_seconds", "load_seconds"),
    *("size_bytes", "comparison_report"),
)


def backup(row: BackupHistory) -> dict[str, Any]:
    """The row of a backup, but for what only the machine needs."""
    return {name: getattr(row, name) for name in BACKUP}


def restore(row: BackupRestore) -> dict[str, Any]:
    """The row of a restore. `kept_until` is null where nothing is kept, or for ever."""
    told = {name: getattr(row, name) for name in RESTORE} | {"kept_until": kept_until(row)}
    return {"id": told.pop("id"), "backup_id": told.pop("backup_id"), "source": row.source_key, **told}


def kept(one: Kept) -> dict[str, Any]:
    """A database that was replaced; `kept_until` as of a restore."""
    return asdict(one) | {"kept_until": kept_until(one)}


def undone(database: str, swapped: Swapped, problems: Iterable[str]) -> dict[str, Any]:
    """What stands where after an undo. `kept_database` is what was in the target until then, None if nothing was; `problems` are
    what went wrong beside.
    """
    told = {"database": database, "kept_database": swapped.kept, "seconds": swapped.seconds}
    return told | {"problems": list(dict.fromkeys(problems))}


def pinned(found: Pinned) -> dict[str, Any]:
    """What a pin now says."""
    return {"filename": found.filename, "is_pinned": bool(found.reason), "reason": found.reason, "before": found.before}


def cancelled(found: Cancelled) -> dict[str, Any]:
    """What was asked to stop."""
    return {"id": str(found.id), "kind": found.kind, "name": found.name, "was_queued": found.was_queued}


def plan(made: Plan) -> dict[str, Any]:
    """What a restore would do."""
    manifest, found = made.manifest, made.there.database
    return {
        "source": made.source.location,
        "backup": manifest and {
            "id": str(manifest.id),
            "filename": manifest.filename,
            "started_at": manifest.started_at.isoformat(),
            "size_bytes": manifest.size_bytes,
            "rows": manifest.snapshot.rows,
            "tables": len(manifest.snapshot.tables),
            "postgres_version": manifest.snapshot.server_version,
            "restored_at": made.restored_at and made.restored_at.isoformat(),
            "verified_at": made.verified_at and made.verified_at.isoformat(),
        },
        "target": {
            "host": made.target.host,
            "port": made.target.port,
            "database": made.target.database,
            "system_identifier": made.there.system_identifier,
            "postgres_version": made.there.server_version,
            "exists": found is not None,
            "is_empty": made.there.is_empty,
            "size_bytes": found.size_bytes if found else None,
            "about_rows": found.about_rows if found else None,
            "connections": found.sessions if found else 0,
        },
        "checks": [
            {"level": str(check.level), "text": check.text, "detail": check.detail, "hint": check.hint} for check in made.checks
        ],
        "needs_name": made.needs_name,
        "asks_neutralize": made.asks_neutralize,
        "expected_seconds": made.expected_seconds,
        "measured_restores": made.measured_restores,
    }  # fmt: skip


def contents(manifest: Manifest) -> dict[str, Any]:
    """What is in a backup. `objects` is null where they were not noted, `names` where they were too many."""
    snapshot = manifest.snapshot
    return {
        "filename": manifest.filename,
        "environment": manifest.environment,
        "database": manifest.database,
        "started_at": manifest.started_at.isoformat(),
        "size_bytes": manifest.size_bytes,
        "database_size_bytes": snapshot.database_size_bytes,
        "server_version": snapshot.server_version,
        "total": {"tables": len(snapshot.tables), "rows": snapshot.rows, "bytes": snapshot.table_bytes},
        "tables": [
            {"schema": table.schema, "table": table.table, "rows": table.rows, "bytes": table.bytes}
            for table in biggest_first(snapshot.tables)
        ],
        "extensions": [{"name": name, "version": version} for name, version in snapshot.extensions],
        "objects": None
        if manifest.objects is None
        else {one.kind: {"count": one.count, "names": list(one.names) if is_told(one) else None} for one in manifest.objects},
    }


def difference(found: Difference) -> dict[str, Any]:
    """What changed between two snapshots. `before` or `after` of a table is null where it does not exist."""
    changes = found.changes
    return {
        "before": _side(found.before),
        "after": _side(found.after),
        "remarks": list(found.remarks),
        "tables": {
            **{str(kind): [_change(change) for change in changes.of_kind(kind)] for kind in Kind},
            "unchanged": changes.unchanged,
            "identical": changes.identical,
        },
        "migrations": {"added": list(changes.migrations_added), "gone": list(changes.migrations_gone)},
        "extensions": {
            "added": [{"name": name, "version": version} for name, version in changes.extensions_added],
            "gone": [{"name": name, "version": version} for name, version in changes.extensions_gone],
            "changed": [{"name": name, "before": old, "after": new} for name, old, new in changes.extensions_changed],
        },
    }


def biggest_first(tables: tuple[TableRows, ...]) -> list[TableRows]:
    """As they are told."""
    return sorted(tables, key=lambda table: (-table.bytes, table))


def is_told(objects: Objects) -> bool:
    """Whether the names of a kind are known, and not only how many there are."""
    return len(objects.names) == objects.count


def _side(side: Side) -> dict[str, Any]:
    seen = side.snapshot
    return {
        "name": side.name,
        "environment": side.environment,
        "database": side.database,
        "at": side.at.isoformat(),
        "rows": seen.rows,
        "tables": len(seen.tables),
        "table_bytes": seen.table_bytes,
        "database_size_bytes": seen.database_size_bytes,
        "server_version": seen.server_version,
        "system_identifier": seen.system_identifier,
    }


def _change(change: TableChange) -> dict[str, Any]:
    table = change.before or change.after
    assert table is not None
    sides = {"before": change.before, "after": change.after}
    told = {name: side and {"rows": side.rows, "bytes": side.bytes} for name, side in sides.items()}
    return {"schema": table.schema, "table": table.table, **told}
