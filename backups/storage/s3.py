"""A bucket, by boto3's client. https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from backups.exceptions import (
    BackupsError,
    ChecksumError,
    ObjectDeniedError,
    ObjectExistsError,
    ObjectMissingError,
    StorageError,
)
from backups.storage.abilities import Abilities, Probe
from backups.storage.attachment import disposition
from backups.storage.client import Clients
from backups.storage.download import pieces
from backups.storage.errors import DENIED, FAILURES, PRECONDITION_FAILED, Failure, code_of, explained, is_missing
from backups.storage.folders import FolderPage, folder_page
from backups.storage.multipart import MultipartWriter
from backups.storage.parts import content_md5
from backups.storage.ranges import in_ranges
from backups.storage.store import MISSING
from backups.storage.whole import read_whole
from backups.types import StoredObject, StoreOptions, UnfinishedObject

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class S3Store:
    """A bucket of S3 or of anything that speaks its protocol. May be used by many threads. `has_answered` says that it did so
    already, to whoever asked before: see `Clients.steady`.
    """

    def __init__(self, options: StoreOptions, *, has_answered: bool = False) -> None:
        self.options = options
        self.bucket = options.bucket
        self.clients = Clients(options, has_answered=has_answered)

    @property
    def client(self) -> "S3Client":
        """For the road of the bytes."""
        return self.clients.steady

    def location(self, key: str) -> str:
        """s3://bucket/key"""
        return f"s3://{self.bucket}/{key}"

    def require_usable(self, *, prefix: str, expected_bytes: int) -> None:
        """Lists one key: tells a missing bucket, wrong credentials, endpoint and region apart, with the store's own words.

        That writing is allowed shows in the creation of the multipart upload, which is also before the dump.
        """
        with self._translated(f"list {self.location(prefix)}"):
            self.clients.quick.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=1)

    def abilities(self, prefix: str) -> Abilities:
        """What this store can do beyond the least, tried with a small object below the prefix; about seven requests.

        Raises BucketError or StorageError when it can't be used at all.
        """
        with self._translated(f"try what the store can do, at {self.location(prefix)}"):
            parameters = self._object_parameters(content_type="text/plain")
            return Probe(self.clients.quick, bucket=self.bucket, prefix=prefix, parameters=parameters).abilities()

    def open_writer(self, key: str, *, run_id: str, expected_bytes: int, on_upload: Callable[[str], None]) -> MultipartWriter:
        """A multipart upload, begun."""
        if self.head(key) is not None:
            raise self._taken(key)
        with self._translated(f"begin the upload of {self.location(key)}"):
            given = self._object_parameters(content_type="application/octet-stream", metadata={"backup-id": run_id})
            begun = self.client.create_multipart_upload(Bucket=self.bucket, Key=key, **given)
            upload_id = begun.get("UploadId")
            if not upload_id:
                raise ResponseParserError("an upload was begun without an id")
        if begun["ResponseMetadata"].get("RetryAttempts"):
            self._abort_others(key, upload_id)
        try:
            on_upload(upload_id)
        except BaseException as error:
            self._abort_after(error, key, upload_id)
            raise
        return MultipartWriter(self, key=key, upload_id=upload_id, run_id=run_id, expected_bytes=expected_bytes)

    def put_new(self, key: str, body: bytes) -> StoredObject:
        """Writes with If-None-Match where the store has it; where not, looks first, which is as safe as that store can be."""
        if self.head(key) is None:
            self._put(key, body)
        elif not self._holds(key, body):
            raise self._taken(key)
        stored = self.head(key)
        if stored is None or not self._holds(key, body):
            raise ChecksumError(
                f"{self.location(key)} is not what was written.",
                detail=f"HEAD says {stored}.",
                hint="Look at the store, at what is between here and there, and at who else writes there.",
            )
        return stored

    def _put(self, key: str, body: bytes) -> None:
        request: dict[str, Any] = {
            "Bucket": self.bucket,
            "Key": key,
            "Body": body,
            "ContentMD5": content_md5(hashlib.md5(body, usedforsecurity=False).digest()),
            **self._object_parameters(content_type="application/json"),
        }
        with self._translated(f"write {self.location(key)}"):
            try:
                self.client.put_object(**request, IfNoneMatch="*")
            except ClientError as error:
                if code_of(error) == "NotImplemented":
                    self.client.put_object(**request)
                elif code_of(error) not in PRECONDITION_FAILED:
                    raise
                elif not self._holds(key, body):  # it does when an answer was lost and the write repeated
                    raise self._taken(key) from error

    def head(self, key: str) -> StoredObject | None:
        """The object's size, ETag and metadata (names in lower case); None when it is not there."""
        try:
            found = self.client.head_object(Bucket=self.bucket, Key=key)
            if "LastModified" not in found:
                raise ResponseParserError("HEAD was answered without Last-Modified")
        except FAILURES as error:
            if is_missing(error):
                return None
            raise self._explained(error, doing=f"look at {self.location(key)}", key=key) from error
        return StoredObject(
            key=key,
            size_bytes=found["ContentLength"],
            modified_at=found["LastModified"],
            etag=found.get("ETag", "").strip('"'),
            # Servers written in Go answer X-Amz-Meta-Backup-Id, and boto3 keeps a name as it comes.
            metadata=tuple(sorted((name.lower(), value) for name, value in found.get("Metadata", {}).items())),
        )

    def read(self, key: str, *, limit_bytes: int) -> bytes:
        """A small object whole."""
        return self.read_as(key, limit_bytes=limit_bytes)[0]

    def read_as(self, key: str, *, limit_bytes: int) -> tuple[bytes, str]:
        """A small object whole, with the ETag that came with these bytes."""
        etags: list[str] = []
        with self._translated(f"read {self.location(key)}", key=key):
            came = pieces(self.client, bucket=self.bucket, key=key, attempts=self.options.attempts, on_etag=etags.append)
            data = read_whole(came, limit_bytes=limit_bytes, location=self.location(key))
        return data, etags[-1].strip('"')

    def stream(self, key: str) -> Iterator[bytes]:
        """An object piece by piece, of 1 MiB at most; what a broken connection leaves out is fetched again."""
        with self._translated(f"read {self.location(key)}", key=key):
            yield from pieces(self.client, bucket=self.bucket, key=key, attempts=self.options.attempts)

    def fetch(self, key: str, *, size_bytes: int) -> Iterator[bytes]:
        """An object of that size, several ranges at once. One of another size gives other bytes: hash what comes."""
        with self._translated(f"read {self.location(key)}", key=key):
            found = self.client.head_object(Bucket=self.bucket, Key=key)
            if found["ContentLength"] != size_bytes:
                yield from pieces(self.client, bucket=self.bucket, key=key, attempts=self.options.attempts)
                return
            yield from in_ranges(
                self.client,
                bucket=self.bucket,
                key=key,
                size_bytes=size_bytes,
                etag=found.get("ETag", ""),
                attempts=self.options.attempts,
            )

    def list(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """Objects below a prefix, a thousand a request."""
        given: dict[str, Any] = {"Prefix": prefix, **({"StartAfter": after} if after else {})}
        with self._translated(f"list {self.location(prefix)}"):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **given):
                for item in page.get("Contents", []):
                    yield StoredObject(
                        key=item["Key"],
                        size_bytes=item["Size"],
                        modified_at=item["LastModified"],
                        etag=item.get("ETag", "").strip('"'),
                    )

    def folder(self, prefix: str, *, size: int, after: str = "") -> FolderPage:
        """A page of what is directly below a prefix."""
        with self._translated(f"list {self.location(prefix)}"):
            return folder_page(self.client, bucket=self.bucket, prefix=prefix, size=size, after=after)

    def presigned(self, key: str, *, filename: str, seconds: int) -> str:
        """An address by which anybody may fetch the object, as a file of that name, for so long. A secret while it lasts."""
        given = {"Bucket": self.bucket, "Key": key, "ResponseContentDisposition": disposition(filename)}
        with self._translated(f"sign an address of {self.location(key)}"):
            return self.client.generate_presigned_url("get_object", Params=given, ExpiresIn=seconds)

    def delete(self, key: str) -> None:
        """Deletes an object; harmless when it is not there."""
        with self._translated(f"delete {self.location(key)}"):
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def unfinished(self, prefix: str) -> Iterator[UnfinishedObject]:
        """Multipart uploads below a prefix, a thousand a request."""
        with self._translated(f"list the uploads below {self.location(prefix)}"):
            for page in self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=prefix):
                for upload in page.get("Uploads", []):
                    yield UnfinishedObject(key=upload["Key"], upload_id=upload["UploadId"], begun_at=upload["Initiated"])

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Aborts a multipart upload; harmless when it is not there. Gives up within seconds: a later run tries again."""
        try:
            self.clients.quick.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)
        except FAILURES as error:
            if not is_missing(error):
                doing = f"abort the upload {upload_id} of {self.location(key)}"
                raise explained(error, doing=doing, options=self.options) from error

    def _abort_others(self, key: str, upload_id: str) -> None:
        """Ends what an attempt has begun whose answer was lost. Where listing is denied, the lifecycle rule does it later."""
        with suppress(StorageError, *FAILURES):
            found = self.clients.quick.list_multipart_uploads(Bucket=self.bucket, Prefix=key).get("Uploads", [])
            for upload in found:
                if upload["Key"] == key and upload["UploadId"] != upload_id:
                    self.abort_upload(key, upload["UploadId"])

    def _abort_after(self, cause: BaseException, key: str, upload_id: str) -> None:
        """Aborts; what goes wrong is told beside the cause, not instead of it."""
        try:
            self.abort_upload(key, upload_id)
        except StorageError as left:
            if isinstance(cause, BackupsError):
                cause.detail = f"{cause.detail}\nSomething was left behind: {left}".strip()

    def _holds(self, key: str, body: bytes) -> bool:
        found = self.head(key)
        return found is not None and found.size_bytes == len(body) and self.read(key, limit_bytes=len(body)) == body

    def _taken(self, key: str) -> ObjectExistsError:
        return ObjectExistsError(
            f"There is an object at {self.location(key)} already; it was left as it is.",
            hint="Make the backup again: it gets a name of its own.",
        )

    def _object_parameters(self, *, content_type: str, metadata: dict[str, str] | None = None) -> dict[str, Any]:
        """What the settings give every object, with what is ours on top."""
        given = dict(self.options.object_parameters)
        own = {**dict(given.pop("Metadata", {}) or {}), **(metadata or {})}  # type: ignore[call-overload]
        return {**given, "ContentType": content_type, **({"Metadata": own} if own else {})}

    @contextmanager
    def _translated(self, doing: str, *, key: str = "") -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            if key and is_missing(error):
                raise ObjectMissingError(f"{self.location(key)} is not in the bucket.", hint=MISSING) from error
            raise self._explained(error, doing=doing, key=key) from error

    def _explained(self, error: Failure, *, doing: str, key: str) -> StorageError:
        """Of a `key` that was to be read and is denied, a look at the bucket tells which of the two is refused: HEAD has no body,
        so the store gives no reason.
        """
        if key and code_of(error) in DENIED and self._may_list(key):
            return ObjectDeniedError(
                f"The store denies access to the object {self.location(key)}, though not to its bucket.",
                detail=f"Tried to {doing}: {error}",
                hint="Look at it with the store's own tools: at its name, owner and encryption, and whether the policy of these "
                "credentials allows s3:GetObject.",
            )
        return explained(error, doing=doing, options=self.options)

    def _may_list(self, key: str) -> bool:
        try:
            self.clients.quick.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1)
        except FAILURES:
            return False
        return True
