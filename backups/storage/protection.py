"""What a bucket itself does for what lies in it: four questions of S3, of which other stores know some.

A store that does not know a question, or answers it with nothing, tells nothing; that is no fault of the bucket.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from backups.storage.errors import DENIED, FAILURES, code_of, explained
from backups.storage.s3 import S3Store

# What S3 itself answers where the bucket has no such thing; https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_NONE_SET = frozenset(
    {"ObjectLockConfigurationNotFoundError", "NoSuchPublicAccessBlockConfiguration", "NoSuchLifecycleConfiguration"}
)
# What stores say that do not know a question: with 400 they may mean much else, expired credentials for example.
_UNKNOWN = frozenset({"NotImplemented", "MethodNotAllowed", "InvalidRequest", "InvalidArgument", "UnsupportedOperation"})
_UNKNOWN_STATUS = frozenset({404, 405, 501})


class Answer(StrEnum):
    """What a bucket has. UNTOLD: the store does not know the question. DENIED: it does, and we may not ask it."""

    YES = "yes"
    NO = "no"
    UNTOLD = "untold"
    DENIED = "denied"


@dataclass(frozen=True, kw_only=True)
class Contact:
    """That a store answers: how long it took (seconds), and its clock against ours (seconds ahead), where it tells the time."""

    seconds: float
    clock_ahead_seconds: float | None


def contact(store: S3Store, prefix: str) -> Contact:
    """Lists one key. Raises BucketError or StorageError, within seconds, as `require_usable` does."""
    began = datetime.now(UTC)
    try:
        found = store.clients.quick.list_objects_v2(Bucket=store.bucket, Prefix=prefix, MaxKeys=1)
    except FAILURES as error:
        raise explained(error, doing=f"list {store.location(prefix)}", options=store.options) from error
    ended = datetime.now(UTC)
    return Contact(
        seconds=(ended - began).total_seconds(),
        clock_ahead_seconds=_ahead(found["ResponseMetadata"]["HTTPHeaders"].get("date", ""), ended),
    )


def _ahead(date: str, now: datetime) -> float | None:
    try:
        return (parsedate_to_datetime(date).astimezone(UTC) - now).total_seconds()
    except (ValueError, TypeError):
        return None


def has_versioning(store: S3Store) -> Answer:
    """Whether what is overwritten or deleted stays as a version. Raises StorageError.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html: a bucket that never had it answers with nothing.
    """
    return _asked(store, "get_bucket_versioning", lambda told: _yes(told.get("Status") == "Enabled"))


def has_object_lock(store: S3Store) -> Answer:
    """Whether objects can be locked against everybody. Raises StorageError."""

    def read(told: dict[str, Any]) -> Answer:
        return _yes(told.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    return _asked(store, "get_object_lock_configuration", read)


def blocks_public_access(store: S3Store) -> Answer:
    """Whether all four blocks of public access are set. Raises StorageError."""

    def read(told: dict[str, Any]) -> Answer:
        blocks = told.get("PublicAccessBlockConfiguration") or {}
        return _yes(len(blocks) == 4 and all(blocks.values())) if blocks else Answer.UNTOLD

    return _asked(store, "get_public_access_block", read)


def ends_unfinished_uploads(store: S3Store) -> Answer:
    """Whether a lifecycle rule aborts uploads that nobody completes. Raises StorageError."""

    def read(told: dict[str, Any]) -> Answer:
        rules = told.get("Rules") or []
        aborting = [rule for rule in rules if rule.get("Status") == "Enabled" and "AbortIncompleteMultipartUpload" in rule]
        return _yes(bool(aborting)) if rules else Answer.UNTOLD

    return _asked(store, "get_bucket_lifecycle_configuration", read)


def used_bytes(store: S3Store) -> int:
    """What the newest versions of all objects in the bucket come to: a request for each thousand. Raises StorageError."""
    return sum(item.size_bytes for item in store.list(""))


def _asked(store: S3Store, operation: str, read: Callable[[dict[str, Any]], Answer]) -> Answer:
    try:
        return read(getattr(store.clients.quick, operation)(Bucket=store.bucket))
    except FAILURES as error:
        if (code := code_of(error)) in _NONE_SET:
            return Answer.NO
        if code in DENIED:
            return Answer.DENIED
        if isinstance(error, ClientError) and _is_unknown(error, code):
            return Answer.UNTOLD
        raise explained(error, doing=f"ask for {operation} of {store.location('')}", options=store.options) from error


def _is_unknown(error: ClientError, code: str) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return code in _UNKNOWN or (status in _UNKNOWN_STATUS and code != "NoSuchBucket")


def _yes(is_so: bool) -> Answer:
    return Answer.YES if is_so else Answer.NO
