"""A stream of unknown length into one object: a multipart upload with few parts in memory."""

import hashlib
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from backups.exceptions import ChecksumError, ObjectExistsError, UploadError
from backups.storage.download import pause
from backups.storage.errors import FAILURES, Failure, code_of, explained, is_passing
from backups.storage.parts import Part, PartBody, content_md5, first_part_size, multipart_etag, part_size
from backups.types import StoredObject

if TYPE_CHECKING:
    from backups.storage.s3 import S3Store

IN_FLIGHT = 2


class MultipartWriter:
    """Fills one part while at most `IN_FLIGHT` others are on their way; blocks when the store is the slower one."""

    def __init__(self, store: "S3Store", *, key: str, upload_id: str, run_id: str, expected_bytes: int = 0) -> None:
        self.store = store
        self.key = key
        self.upload_id = upload_id
        self.size_bytes = 0
        self._run_id = run_id
        self._max_parts = store.options.max_parts
        self._first_part_bytes = first_part_size(expected_bytes, max_parts=self._max_parts)
        self._cancelled = Event()
        self._number = 1
        self._spare: list[PartBody] = []
        self._body = self._next_body()
        self._uploads: deque[tuple[Future[Part], PartBody]] = deque()
        self._parts: list[Part] = []
        self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="part")
        self._etags_are_md5 = False  # of this store, as far as one part has shown
        self._asked_to_complete = False

    def write(self, data: memoryview) -> None:
        """Copies the bytes into the current part, and sends it when it is full. Parts are filled exactly."""
        while self._uploads and self._uploads[0][0].done():
            self._collect()
        position = 0
        while position < len(data):
            position += self._body.take(data[position:])
            if self._body.is_full:
                self._send()
        self.size_bytes += len(data)

    def commit(self, *, checksum: str) -> StoredObject:
        """Sends the rest, completes, and proves the object by size and ETag, or by reading it again."""
        if not self._body.is_empty or self._number == 1:
            self._send()
        while self._uploads:
            self._collect()
        self._pool.shutdown()
        self._complete()
        stored = self.store.head(self.key)
        if stored is None:
            raise UploadError(
                f"The store completed the upload of {self.store.location(self.key)}, but the object is not there.",
                hint="Look at the store, then make the backup again.",
            )
        if stored.size_bytes != self.size_bytes:
            raise ChecksumError(
                f"The store holds {stored.size_bytes} bytes at {self.store.location(self.key)}; {self.size_bytes} were sent.",
                hint="The object is removed. Look at the store, then make the backup again.",
            )
        if not (all(part.is_proven for part in self._parts) and stored.etag == multipart_etag(self._parts)):
            self._read_again(checksum)
        return stored

    def abort(self) -> None:
        """Ends the uploads, aborts, and deletes the object if it is there and ours.

        Waits for what is on its way, for one time-out at most: a part that arrives after the abort would stay.
        """
        self._cancelled.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        try:
            self.store.abort_upload(self.key, self.upload_id)
        finally:
            if self._asked_to_complete and self._is_ours(self.store.head(self.key)):
                self.store.delete(self.key)

    def _send(self) -> None:
        if self._number > self._max_parts:
            raise UploadError(
                f"The backup is larger than an object of {self._max_parts:,} parts can be.",
                detail=f"{self.size_bytes:,} bytes were sent.",
                hint="Look at the store's limits.",
            )
        while len(self._uploads) >= IN_FLIGHT:
            self._collect()
        self._uploads.append((self._pool.submit(self._upload_part, self._number, self._body), self._body))
        self._number += 1
        self._body = self._next_body()

    def _next_body(self) -> PartBody:
        size = part_size(self._number, first_part_bytes=self._first_part_bytes, max_parts=self._max_parts)
        self._spare = [body for body in self._spare if body.is_of(size)]
        return self._spare.pop().emptied() if self._spare else PartBody(size, cancelled=self._cancelled)

    def _collect(self) -> None:
        upload, body = self._uploads.popleft()
        self._parts.append(upload.result())
        self._spare.append(body)

    def _upload_part(self, number: int, body: PartBody) -> Part:
        """Sends a part; a second time when it seems to have arrived changed. Then what other parts have shown decides."""
        part = self._upload_once(number, body)
        if part.is_suspect:
            part = self._upload_once(number, body)
        if part.is_suspect and self._etags_are_md5:
            raise ChecksumError(
                f"Part {number} of {self.key} arrived changed, twice.",
                detail=f"The store's ETag is {part.etag}; the MD5 of what was sent is {part.md5.hex()}.",
                hint="Something between here and the store changes bytes (a proxy, a network card). Nothing was kept.",
            )
        self._etags_are_md5 = self._etags_are_md5 or part.is_proven
        return part

    def _upload_once(self, number: int, body: PartBody) -> Part:
        md5 = body.md5()
        body.seek(0)
        try:
            answer: Any = self.store.client.upload_part(
                Bucket=self.store.bucket,
                Key=self.key,
                UploadId=self.upload_id,
                PartNumber=number,
                Body=cast(Any, body),
                ContentMD5=content_md5(md5),
            )
        except FAILURES as error:
            raise explained(error, doing=f"send part {number} of {self.key}", options=self.store.options) from error
        encrypted = "aws:kms" in str(answer.get("ServerSideEncryption", ""))
        return Part(number, str(answer["ETag"]).strip('"'), md5, may_be_md5=not encrypted)

    def _complete(self) -> None:
        """Looks, then asks, again and again while the store only says "not now".

        The look comes first at each attempt: an answer may be lost though the store has done it; and there are stores that
        ignore If-None-Match and would overwrite.
        """
        reason: Failure | None = None
        for failures in range(self.store.options.attempts):
            if reason is not None:
                time.sleep(pause(failures))
            if self._is_there():
                return
            try:
                self._ask_to_complete()
                return
            except FAILURES as error:
                reason = error
            if not is_passing(reason):
                break
        if reason is not None and not self._is_there():
            raise explained(reason, doing=f"complete the upload of {self.key}", options=self.store.options) from reason

    def _ask_to_complete(self) -> None:
        self._asked_to_complete = True
        request: dict[str, Any] = {
            "Bucket": self.store.bucket,
            "Key": self.key,
            "UploadId": self.upload_id,
            "MultipartUpload": {"Parts": [{"PartNumber": part.number, "ETag": f'"{part.etag}"'} for part in self._parts]},
        }
        try:
            self.store.clients.once.complete_multipart_upload(**request, IfNoneMatch="*")
        except ClientError as error:
            if code_of(error) != "NotImplemented":
                raise
            self.store.clients.once.complete_multipart_upload(**request)

    def _is_there(self) -> bool:
        """Whether the object is there, from this run. Raises ObjectExistsError when it is another's."""
        stored = self.store.head(self.key)
        if stored is not None and not self._is_ours(stored):
            raise ObjectExistsError(
                f"There is an object at {self.store.location(self.key)} already; it was left as it is.",
                hint="Make the backup again: it gets a name of its own.",
            )
        return stored is not None

    def _is_ours(self, stored: StoredObject | None) -> bool:
        return stored is not None and dict(stored.metadata).get("backup-id") == self._run_id

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
