"""A stream of unknown length into one object: a multipart upload with few parts in memory.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html: parts of 5 MiB to 5 GiB, at most 10,000 of them.
"""

import base64
import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from backups.exceptions import ChecksumError, ObjectExistsError, UploadError
from backups.storage.errors import code_of, explained
from backups.types import StoredObject

if TYPE_CHECKING:
    from backups.storage.s3 import S3Store

MIN_PART_BYTES = 8 << 20
MAX_PART_BYTES = 5 << 30
MAX_PARTS = 10_000
IN_FLIGHT = 2


def part_size(number: int, *, first_part_bytes: int = MIN_PART_BYTES, max_parts: int = MAX_PARTS) -> int:
    """Bytes of part `number` (from 1). The first half of the parts has one size; then it doubles every twentieth of them.

    So memory is flat up to 40 GiB even if nobody knew the size, and 10,000 parts reach past 5 TiB.
    """
    doublings = -(-max(0, number - max_parts // 2) // max(1, max_parts // 20))
    return min(first_part_bytes << min(doublings, 40), MAX_PART_BYTES)


def first_part_size(expected_bytes: int, *, max_parts: int = MAX_PARTS) -> int:
    """A size of parts with which the expected bytes fit into the first half of them, in whole MiB."""
    needed = -(-expected_bytes // max(1, max_parts // 2))
    return min(max(MIN_PART_BYTES, -(-needed // (1 << 20)) << 20), MAX_PART_BYTES)


class MultipartWriter:
    """Fills one part while at most `IN_FLIGHT` others are on their way; blocks when the store is the slower one."""

    def __init__(self, store: "S3Store", *, key: str, upload_id: str, run_id: str, expected_bytes: int = 0) -> None:
        self.store = store
        self.key = key
        self.upload_id = upload_id
        self.size_bytes = 0
        self._run_id = run_id
        self._first_part_bytes = first_part_size(expected_bytes)
        self._number = 1
        self._buffer = bytearray()
        self._uploads: deque[Future[tuple[int, str, bytes]]] = deque()
        self._parts: list[tuple[int, str, bytes]] = []  # number, ETag, MD5
        self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="part")
        self._etags_are_md5 = True

    def write(self, data: memoryview) -> None:
        """Copies the bytes into the current part, and sends it when it is full. Parts are filled exactly."""
        position = 0
        while position < len(data):
            room = part_size(self._number, first_part_bytes=self._first_part_bytes) - len(self._buffer)
            taken = data[position : position + room]
            self._buffer += taken
            position += len(taken)
            if len(taken) == room:
                self._send()
        self.size_bytes += len(data)

    def commit(self, *, checksum: str) -> StoredObject:
        """Sends the rest, completes, and proves the object by size and ETag, or by reading it again."""
        if self._buffer or self._number == 1:
            self._send()
        while self._uploads:
            self._collect()
        self._complete()
        stored = self.store.head(self.key)
        if stored is None:
            raise UploadError(f"The store completed the upload of {self.store.location(self.key)}, but the object is not there.")
        if stored.size_bytes != self.size_bytes:
            raise ChecksumError(
                f"The store holds {stored.size_bytes} bytes at {self.store.location(self.key)}; {self.size_bytes} were sent.",
                hint="The object is removed. Look at the store, then make the backup again.",
            )
        if not (self._etags_are_md5 and stored.etag == self._expected_etag()):
            self._read_again(checksum)
        return stored

    def abort(self) -> None:
        """Ends the uploads, aborts, and deletes the object if it is there and ours."""
        for upload in self._uploads:
            upload.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.store.abort_upload(self.key, self.upload_id)
        if self._committed():
            self.store.delete(self.key)

    def _send(self) -> None:
        while len(self._uploads) >= IN_FLIGHT:
            self._collect()
        body, self._buffer = self._buffer, bytearray()
        self._uploads.append(self._pool.submit(self._upload_part, self._number, body))
        self._number += 1
        if self._number > MAX_PARTS + 1:
            raise UploadError("The backup is larger than an object can be.")

    def _collect(self) -> None:
        part = self._uploads.popleft().result()
        self._parts.append(part)
        _number, etag, md5 = part
        self._etags_are_md5 = self._etags_are_md5 and etag == md5.hex()

    def _upload_part(self, number: int, body: bytearray) -> tuple[int, str, bytes]:
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        try:
            answer: Any = self.store.client.upload_part(
                Bucket=self.store.bucket,
                Key=self.key,
                UploadId=self.upload_id,
                PartNumber=number,
                Body=cast(bytes, body),  # boto3 takes a bytearray as it is; a copy would double the memory
                ContentMD5=base64.b64encode(md5).decode(),
            )
        except (ClientError, BotoCoreError) as error:
            raise explained(error, doing=f"send part {number} of {self.key}", options=self.store.options) from error
        etag = str(answer["ETag"]).strip('"')
        encrypted = "aws:kms" in str(answer.get("ServerSideEncryption", "")) or answer.get("SSECustomerAlgorithm")
        if len(etag) == 32 and not encrypted and etag != md5.hex():
            raise ChecksumError(
                f"Part {number} of {self.key} arrived changed: the store's ETag is {etag}, the MD5 of what was sent {md5.hex()}.",
                hint="Something between here and the store changes bytes (a proxy, a network card). Nothing was kept.",
            )
        return number, etag, md5

    def _complete(self) -> None:
        self._parts.sort()
        request: dict[str, Any] = {
            "Bucket": self.store.bucket,
            "Key": self.key,
            "UploadId": self.upload_id,
            "MultipartUpload": {"Parts": [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag, _md5 in self._parts]},
        }
        try:
            try:
                self.store.client.complete_multipart_upload(**request, IfNoneMatch="*")
            except ClientError as error:
                if code_of(error) != "NotImplemented":
                    raise
                if self.store.head(self.key) is not None:
                    raise ObjectExistsError(f"There is an object at {self.store.location(self.key)} already.") from error
                self.store.client.complete_multipart_upload(**request)
        except (ClientError, BotoCoreError) as error:
            # The answer may be lost though the store has done it; and a repeated request then finds the key taken.
            if self._committed():
                return
            if code_of(error) in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
                raise ObjectExistsError(f"There is an object at {self.store.location(self.key)} already.") from error
            raise explained(error, doing=f"complete the upload of {self.key}", options=self.store.options) from error

    def _committed(self) -> bool:
        """Whether the object at the key is the one that this run sent."""
        stored = self.store.head(self.key)
        return stored is not None and dict(stored.metadata).get("backup-id") == self._run_id

    def _expected_etag(self) -> str:
        together = b"".join(md5 for _number, _etag, md5 in self._parts)
        return f"{hashlib.md5(together, usedforsecurity=False).hexdigest()}-{len(self._parts)}"

    def _read_again(self, checksum: str) -> None:
        """For stores whose ETags prove nothing (SSE-KMS, some S3-compatible ones): every byte is read back once."""
        digest = hashlib.sha256()
        for chunk in self.store.stream(self.key):
            digest.update(chunk)
        if digest.hexdigest() != checksum:
            raise ChecksumError(
                f"The store gives other bytes back than were sent: {self.store.location(self.key)}.",
                detail=f"SHA-256 sent {checksum}, read {digest.hexdigest()}.",
                hint="The object is removed. Look at the store, then make the backup again.",
            )
