"""A bucket, by boto3's client. https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from backups.exceptions import ObjectExistsError, ObjectMissingError, StorageError
from backups.storage.errors import code_of, explained, is_missing
from backups.storage.multipart import MultipartWriter
from backups.types import StoredObject, StoreOptions

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

STREAM_BYTES = 1 << 20
# "standard" backs off exponentially, up to 20 seconds between two attempts; so a store that is gone for good is given up after
# about two minutes. https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html
STEADY_ATTEMPTS, QUICK_ATTEMPTS = 8, 2


class S3Store:
    """A bucket of S3 or of anything that speaks its protocol."""

    def __init__(self, options: StoreOptions) -> None:
        self.options = options
        self.bucket = options.bucket

    @cached_property
    def client(self) -> "S3Client":
        """Patient: for the road of the bytes."""
        return _client(self.options, attempts=STEADY_ATTEMPTS, read_timeout=60)

    @cached_property
    def _quick_client(self) -> "S3Client":
        return _client(self.options, attempts=QUICK_ATTEMPTS, read_timeout=15)

    def location(self, key: str) -> str:
        """s3://bucket/key"""
        return f"s3://{self.bucket}/{key}"

    def require_usable(self, *, prefix: str, expected_bytes: int) -> None:
        """Lists one key: tells a missing bucket, wrong credentials, endpoint and region apart, with the store's own words.

        That writing is allowed shows in the creation of the multipart upload, which is also before the dump.
        """
        with self._translated(f"list {self.location(prefix)}"):
            self._quick_client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=1)

    def open_writer(self, key: str, *, run_id: str, expected_bytes: int, on_upload: Callable[[str], None]) -> MultipartWriter:
        """A multipart upload, begun."""
        if self.head(key) is not None:
            raise ObjectExistsError(f"There is an object at {self.location(key)} already; it was left as it is.")
        with self._translated(f"begin the upload of {self.location(key)}"):
            created = self.client.create_multipart_upload(
                Bucket=self.bucket,
                Key=key,
                Metadata={"backup-id": run_id},
                ContentType="application/octet-stream",
                **self._object_parameters,
            )
        upload_id = created["UploadId"]
        try:
            on_upload(upload_id)
        except BaseException:
            self.abort_upload(key, upload_id)
            raise
        return MultipartWriter(self, key=key, upload_id=upload_id, run_id=run_id, expected_bytes=expected_bytes)

    def put_new(self, key: str, body: bytes) -> StoredObject:
        """Writes with If-None-Match where the store has it; where not, looks first, which is as safe as that store can be."""
        existing = self.head(key)
        if existing is None:
            self._put(key, body)
        elif self.read(key, limit_bytes=len(body) + 1) != body:
            raise ObjectExistsError(f"There is an object at {self.location(key)} already; it was left as it is.")
        stored = self.head(key)
        if stored is None or stored.size_bytes != len(body):
            raise StorageError(f"{self.location(key)} is not what was written.", detail=f"HEAD says {stored}.")
        return stored

    def _put(self, key: str, body: bytes) -> None:
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        try:
            self.client.put_object(
                Bucket=self.bucket, Key=key, Body=body, ContentMD5=digest, ContentType="application/json", IfNoneMatch="*",
                **self._object_parameters,
            )  # fmt: skip
        except ClientError as error:
            if code_of(error) in ("PreconditionFailed", "412"):
                # Ours, when an answer was lost and the write repeated.
                if self.read(key, limit_bytes=len(body) + 1) == body:
                    return
                raise ObjectExistsError(f"There is an object at {self.location(key)} already.") from error
            if code_of(error) != "NotImplemented":
                raise explained(error, doing=f"write {self.location(key)}", options=self.options) from error
            with self._translated(f"write {self.location(key)}"):
                self.client.put_object(
                    Bucket=self.bucket, Key=key, Body=body, ContentMD5=digest, ContentType="application/json",
                    **self._object_parameters,
                )  # fmt: skip
        except BotoCoreError as error:
            raise explained(error, doing=f"write {self.location(key)}", options=self.options) from error

    def head(self, key: str) -> StoredObject | None:
        """The object's size, ETag and metadata; None when it is not there."""
        try:
            found = self.client.head_object(Bucket=self.bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            if is_missing(error):
                return None
            raise explained(error, doing=f"look at {self.location(key)}", options=self.options) from error
        return StoredObject(
            key=key,
            size_bytes=found["ContentLength"],
            modified_at=found["LastModified"],
            etag=found["ETag"].strip('"'),
            metadata=tuple(sorted(found.get("Metadata", {}).items())),
        )

    def read(self, key: str, *, limit_bytes: int) -> bytes:
        """A small object whole."""
        with self._translated(f"read {self.location(key)}", key=key):
            body = self.client.get_object(Bucket=self.bucket, Key=key)["Body"]
            with body:
                taken: bytes = body.read(limit_bytes + 1)
        if len(taken) > limit_bytes:
            raise StorageError(f"{self.location(key)} is larger than {limit_bytes} bytes.")
        return taken

    def stream(self, key: str) -> Iterator[bytes]:
        """An object piece by piece, of 1 MiB."""
        with self._translated(f"read {self.location(key)}", key=key):
            body = self.client.get_object(Bucket=self.bucket, Key=key)["Body"]
            with body:
                yield from body.iter_chunks(STREAM_BYTES)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Objects below a prefix, a thousand a request."""
        with self._translated(f"list {self.location(prefix)}"):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for item in page.get("Contents", []):
                    yield StoredObject(
                        key=item["Key"],
                        size_bytes=item["Size"],
                        modified_at=item["LastModified"],
                        etag=item.get("ETag", "").strip('"'),
                    )

    def delete(self, key: str) -> None:
        """Deletes an object; harmless when it is not there."""
        with self._translated(f"delete {self.location(key)}"):
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Aborts a multipart upload; harmless when it is not there."""
        try:
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)
        except (ClientError, BotoCoreError) as error:
            if not is_missing(error):
                raise explained(error, doing=f"abort the upload of {self.location(key)}", options=self.options) from error

    @property
    def _object_parameters(self) -> dict[str, Any]:
        return dict(self.options.object_parameters)

    @contextmanager
    def _translated(self, doing: str, *, key: str = "") -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            if key and is_missing(error):
                raise ObjectMissingError(f"{self.location(key)} is not in the bucket.") from error
            raise explained(error, doing=doing, options=self.options) from error


def _client(options: StoreOptions, *, attempts: int, read_timeout: int) -> "S3Client":
    session = boto3.session.Session(
        aws_access_key_id=options.access_key,
        aws_secret_access_key=options.secret_key,
        aws_session_token=options.session_token,
        region_name=options.region,
        profile_name=options.profile,
    )
    config = Config(
        s3=cast(Any, {"addressing_style": options.addressing_style} if options.addressing_style else None),
        signature_version=options.signature_version,
        proxies=dict(options.proxies) or None,
        connect_timeout=5,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=16,
        # The default sends checksums in trailers, which many S3-compatible stores answer with an error. Content-MD5 and the
        # ETag do the same work here. https://docs.aws.amazon.com/sdkref/latest/guide/feature-dataintegrity.html
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return session.client("s3", endpoint_url=options.endpoint_url, verify=options.verify, config=config)
