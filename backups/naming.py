"""A name for a new backup, and its row: no other row, object or file has it."""

import time
from collections.abc import Sequence

from django.utils import timezone

from backups import history
from backups.exceptions import BegunError, ObjectExistsError, StorageError
from backups.models import BackupHistory
from backups.storage import keys
from backups.storage.store import Store

ATTEMPTS = 5  # seconds to try, where others make backups of the same description


def record(row: BackupHistory, *, destinations: Sequence[Store], local: Store | None) -> None:
    """Adds the row to the history, with a filename that nothing has: the minute, else the second, or one of the next.

    `local` is the local folder, where there is one. Raises BegunError where the moment of a schedule has its backup already,
    HistoryError, and ObjectExistsError.
    """
    for attempt in range(1 + ATTEMPTS):
        moment = timezone.now()
        row.filename = keys.filename(at=moment, description=row.description, with_seconds=attempt > 0)
        row.created_at = moment
        key = key_of(row)
        row.s3_key = key if row.bucket else ""
        row.local_path = local.location(key) if local is not None and local in destinations else ""
        if not _taken(key, destinations) and history.add(row):
            return
        if row.slot and history.has_slot(row):
            raise BegunError(f"The backup of {row.database} for {row.slot} was asked for already.", hint="icb db list shows it.")
        if 0 < attempt < ATTEMPTS:
            time.sleep(1 - moment.microsecond / 1e6)
    raise ObjectExistsError(f"There is a backup {row.filename} already.", hint="Choose another description, or wait a second.")


def key_of(row: BackupHistory) -> str:
    """The key of the dump, in S3 and below the local folder."""
    return keys.object_key(environment=row.environment, filename=row.filename)


def _taken(key: str, destinations: Sequence[Store]) -> bool:
    """Whether a destination has the key already. One that can't be asked is left to the preflight, which has the words."""
    for store in destinations:
        try:
            if store.head(key) is not None or store.head(keys.manifest_key(key)) is not None:
                return True
        except StorageError:
            continue
    return False
