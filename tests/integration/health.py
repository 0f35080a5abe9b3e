"""What tests of health and metrics share: rows of runs that were, and the checks that are made of them."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import uuid4

from django.utils import timezone

from backups.models import BackupHistory, BackupRestore
from backups.types import Check


def one(checks: Iterable[Check], id_: str, subject: str = "") -> Check:
    """The only check of that id, and of that subject where one is given."""
    (found,) = [check for check in checks if check.id == id_ and subject in ("", check.subject)]
    return found


def made(database: str, *, hours_ago: float = 1, **fields: object) -> BackupHistory:
    """The row of a backup that began so long ago; it succeeded and took 10 minutes unless something else is said."""
    at = timezone.now() - timedelta(hours=hours_ago)
    given = {
        "status": "succeeded",
        "created_at": at,
        "started_at": at,
        "finished_at": at + timedelta(minutes=10),
        "duration_seconds": 600.0,
        "size_bytes": 1 << 20,
        "database_size_bytes": 8 << 20,
        "table_snapshot": {"tables": [], "total": {"tables": 3, "rows": 6200, "bytes": 1 << 22}},
        **fields,
    }
    told = {"filename": f"{uuid4()}.dump", "description": "made", "environment": "testing", "database": database}
    return BackupHistory.objects.create(**(told | given))


def verified(backup: BackupHistory, *, hours_ago: float = 1, seconds: float = 120) -> BackupRestore:
    """The row of its verification, and what that has left on its own."""
    at = timezone.now() - timedelta(hours=hours_ago)
    BackupHistory.objects.filter(pk=backup.pk).update(verified_at=at)
    return BackupRestore.objects.create(
        backup=backup,
        source_key="k",
        purpose="verification",
        level="restored",
        verdict="good",
        status="succeeded",
        target_host="localhost",
        target_port=5432,
        target_database="scratch",
        target_environment="testing",
        created_at=at,
        started_at=at,
        finished_at=at,
        duration_seconds=seconds,
        load_seconds=seconds / 2,
    )
