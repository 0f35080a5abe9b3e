"""What a store can do beyond the least that a backup needs: tried on the store itself, with an object of no worth."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import ClientError

from backups.storage.errors import DENIED, FAILURES, PRECONDITION_FAILED, code_of, is_passing
from backups.storage.parts import content_md5

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

NAME = ".probe-"  # what follows the prefix in the key; a catalogue leaves it out, since no backup is named so
BODY = b"Made to see what this store can do. It may be deleted.\n"
ABANDONED = timedelta(hours=1)  # nobody is at it any more


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What makes a backup safer and has a fallback where it is missing. None where the credentials may not find out.

    `conditional_writes`: a write with If-None-Match leaves an object alone that is there; without, a HEAD right before it does.
    `checksums`: bytes that don't fit their Content-MD5 are refused; without, ETags or reading again find them.
    `versioning`: what is overwritten or deleted stays as an older version; without, it is gone.
    """

    conditional_writes: bool | None
    checksums: bool | None
    versioning: bool | None


class Probe:
    """One small object, written up to three times and deleted again.

    Credentials that may write and not delete leave one such object behind, which every later probe uses again.
    """

    def __init__(self, client: "S3Client", *, bucket: str, prefix: str, parameters: dict[str, Any]) -> None:
        self._client = client
        self._bucket = bucket
        self._beginning = prefix + NAME
        self._key = f"{self._beginning}{uuid4()}"
        # Locked like a backup, it could not be deleted. A bucket that locks what it gets wants to be sent the MD5 with it.
        kept = {name: value for name, value in parameters.items() if not name.startswith("ObjectLock")}
        self._request = {**kept, "Body": BODY, "ContentMD5": _md5(BODY)}
        self._is_left_over = self._may_be_there = False
        self._versions: list[str] = []

    def abilities(self) -> Abilities:
        """Raises boto3's errors for a store that can't be used at all."""
        if left_over := self._left_over():
            self._key, self._is_left_over, self._may_be_there = left_over, True, True
        try:
            return Abilities(
                conditional_writes=self._leaves_alone_what_is_there(),
                checksums=self._refuses_changed_bytes(),
                versioning=self._keeps_versions(),
            )
        finally:
            self._delete()

    def _leaves_alone_what_is_there(self) -> bool | None:
        refused = self._write(IfNoneMatch="*") or self._write(IfNoneMatch="*")
        if refused is None or code_of(refused) == "NotImplemented":
            return False
        if code_of(refused) in PRECONDITION_FAILED:
            return True
        if code_of(refused) in DENIED:
            return None
        raise refused

    def _refuses_changed_bytes(self) -> bool | None:
        refused = self._write(ContentMD5=_md5(b"other bytes"))
        return None if refused is not None and code_of(refused) in DENIED else refused is not None

    def _keeps_versions(self) -> bool | None:
        try:
            return self._client.get_bucket_versioning(Bucket=self._bucket).get("Status") == "Enabled"
        except ClientError as error:
            if is_passing(error):
                raise
            return False if code_of(error) == "NotImplemented" else None

    def _write(self, **more: str) -> ClientError | None:
        """What the store answers where it does not write; errors that may pass are raised."""
        before, self._may_be_there = self._may_be_there, True
        try:
            written = self._client.put_object(Bucket=self._bucket, Key=self._key, **{**self._request, **more})
        except ClientError as error:
            if is_passing(error):
                raise
            self._may_be_there = before or code_of(error) in PRECONDITION_FAILED  # by ourselves, if an answer was lost
            return error
        self._versions += filter(None, [written.get("VersionId")])
        return None

    def _delete(self) -> None:
        """For good where versions are kept and may be deleted, else as far as it is allowed. What is not there is not deleted:
        a bucket with versions would keep a marker of that."""
        with suppress(*FAILURES):
            for version in self._versions:
                self._client.delete_object(Bucket=self._bucket, Key=self._key, VersionId=version)
            if self._versions and not self._is_left_over:
                return
        if self._may_be_there:
            with suppress(*FAILURES):
                self._client.delete_object(Bucket=self._bucket, Key=self._key)

    def _left_over(self) -> str | None:
        """The key of an object that an earlier probe could not delete."""
        with suppress(ClientError):  # who may not list can't know
            for found in self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._beginning).get("Contents", []):
                if datetime.now(UTC) - found["LastModified"] > ABANDONED:
                    return found["Key"]
        return None


def _md5(body: bytes) -> str:
    return content_md5(hashlib.md5(body, usedforsecurity=False).digest())
