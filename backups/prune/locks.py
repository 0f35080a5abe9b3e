"""What the bucket itself lets nobody delete: locks on a backup's objects."""

from dataclasses import replace

from backups.prune.shelf import Standing
from backups.retention import Candidate
from backups.storage.object_lock import ObjectLock, lock_of
from backups.storage.s3 import S3Store


def lock_on(one: Standing, bucket: S3Store) -> ObjectLock:
    """The latest lock among a backup's objects in the bucket: one HEAD each. Raises StorageError."""
    ours = (lying for lying in one.lying if lying.store is bucket)
    locks = [lock_of(bucket, key) for lying in ours for key in (*filter(None, [lying.manifest]), *lying.others)]
    dates = [lock.until for lock in locks if lock.until is not None]
    return ObjectLock(until=max(dates, default=None), is_legal_hold=any(lock.is_legal_hold for lock in locks))


def locked(candidate: Candidate, lock: ObjectLock) -> Candidate:
    """The same backup, as a policy sees it that knows of its lock."""
    pin = candidate.pin or ("legal hold in the bucket" if lock.is_legal_hold else "")
    return replace(candidate, pin=pin, locked_until=lock.until)
