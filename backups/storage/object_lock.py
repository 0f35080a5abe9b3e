"""Until when a bucket lets nobody delete an object. https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html"""

from dataclasses import dataclass
from datetime import datetime

from backups.storage.errors import FAILURES, code_of, explained, is_missing, is_passing
from backups.storage.s3 import S3Store

# Everything else that is no answer may be a store where locks are, and where only the question is not allowed.
_NO_LOCKS = frozenset({"ObjectLockConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed"})


@dataclass(frozen=True, kw_only=True)
class ObjectLock:
    """`until` is UTC, None where no date is set. A legal hold has no date: it lasts until somebody lifts it."""

    until: datetime | None = None
    is_legal_hold: bool = False


def may_lock(store: S3Store) -> bool:
    """Whether objects of this bucket can be locked: one request. In doubt they can.

    Raises StorageError when the store does not answer.
    """
    try:
        found = store.client.get_object_lock_configuration(Bucket=store.bucket)
    except FAILURES as error:
        if is_passing(error):
            raise explained(error, doing=f"ask for locks of {store.location('')}", options=store.options) from error
        return code_of(error) not in _NO_LOCKS
    return found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"


def lock_of(store: S3Store, key: str) -> ObjectLock:
    """The lock of an object, by its HEAD; none where there is no such object, or where s3:GetObjectRetention is not granted.

    Raises StorageError. https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    """
    try:
        found = store.client.head_object(Bucket=store.bucket, Key=key)
    except FAILURES as error:
        if is_missing(error):
            return ObjectLock()
        raise explained(error, doing=f"look at {store.location(key)}", options=store.options) from error
    return ObjectLock(until=found.get("ObjectLockRetainUntilDate"), is_legal_hold=found.get("ObjectLockLegalHoldStatus") == "ON")
