"""What makes a dump a backup, written beside it: the cluster's roles and tablespaces, and last the signed manifest."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from backups import shrinking, stores
from backups.exceptions import DumpError
from backups.models import BackupHistory
from backups.postgres.cluster import dump_globals
from backups.postgres.dump import Dumped
from backups.postgres.programs import ClientProgram
from backups.storage import keys
from backups.storage.store import Store
from backups.types import Globals, Manifest, Server, Snapshot


def write_globals(
    program: ClientProgram, server: Server, *, run_id: str, key: str, destinations: Sequence[Store]
) -> tuple[Globals | None, str]:
    """Roles and tablespaces in an object beside the dump; or None, and in words why not: a backup without them is a backup.

    `program` is pg_dump; the pg_dumpall beside it is used. Raises StorageError.
    """
    try:
        data = dump_globals(program, server, run_id=run_id)
    except DumpError as error:
        error.scrub(stores.secrets(server))
        return None, f"Roles and tablespaces are not in this backup. {error.message} {error.detail}".strip()
    for store in destinations:
        store.put_new(keys.globals_key(key), data)
    return Globals(size_bytes=len(data), checksum=hashlib.sha256(data).hexdigest()), ""


def manifest_of(
    row: BackupHistory,
    *,
    key: str,
    program: ClientProgram,
    dumped: Dumped,
    seen: Snapshot,
    cluster: Globals | None,
    warnings: Sequence[str],
    finished_at: datetime,
) -> Manifest:
    """All that is known of a finished dump, with a warning for each table that has shrunk since the backup before."""
    assert row.started_at is not None
    return Manifest(
        id=row.id,
        filename=row.filename,
        description=row.description,
        backup_type=str(row.backup_type),
        environment=row.environment,
        database=row.database,
        started_at=row.started_at,
        finished_at=finished_at,
        size_bytes=dumped.size_bytes,
        checksum=dumped.checksum,
        bucket=row.bucket,
        key=key,
        pg_dump_version=program.version,
        compression=dumped.compression,
        application_version=row.application_version,
        triggered_by=row.triggered_by.get_username() if row.triggered_by else "",
        snapshot=seen,
        objects=dumped.objects,
        globals=cluster,
        warnings=(*warnings, *shrinking.warnings_of(row, seen)),
        guards=tuple(row.guards),
    )
