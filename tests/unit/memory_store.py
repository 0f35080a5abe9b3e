"""A Store without a network and without a disk, for unit tests. It keeps the promises of backups/storage/store.py."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Lock

from backups.exceptions import ChecksumError, ObjectExistsError, ObjectMissingError, StorageError
from backups.storage.whole import read_whole
from backups.types import StoredObject

PIECE_BYTES = 1 << 16


class MemoryStore:
    """Objects in a dict. What `fault` is set to is raised by the next calls, as by a store that has gone."""

    def __init__(self, bucket: str = "memory") -> None:
        self.bucket = bucket
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, str] = {}  # upload id -> key
        self.fault: StorageError | None = None
        self._stored: dict[str, StoredObject] = {}
        self._lock = Lock()
        self._begun = 0

    def location(self, key: str) -> str:
        return f"memory://{self.bucket}/{key}"

    def require_usable(self, *, prefix: str, expected_bytes: int) -> None:
        self._fail_if_told()

    def open_writer(self, key: str, *, run_id: str, expected_bytes: int, on_upload: Callable[[str], None]) -> "MemoryWriter":
        self._fail_if_told()
        self._require_free(key)
        with self._lock:
            self._begun += 1
            upload_id = f"upload-{self._begun}"
            self.uploads[upload_id] = key
        on_upload(upload_id)
        return MemoryWriter(self, key, run_id=run_id, upload_id=upload_id)

    def put_new(self, key: str, body: bytes) -> StoredObject:
        self._fail_if_told()
        if self.objects.get(key) != body:
            self._require_free(key)
            self.keep(key, body)
        return self._stored[key]

    def head(self, key: str) -> StoredObject | None:
        self._fail_if_told()
        return self._stored.get(key) if key in self.objects else None

    def read(self, key: str, *, limit_bytes: int) -> bytes:
        return read_whole(self.stream(key), limit_bytes=limit_bytes, location=self.location(key))

    def read_as(self, key: str, *, limit_bytes: int) -> tuple[bytes, str]:
        return self.read(key, limit_bytes=limit_bytes), self._stored[key].etag

    def stream(self, key: str) -> Iterator[bytes]:
        self._fail_if_told()
        if key not in self.objects:
            raise ObjectMissingError(f"{self.location(key)} is not there.")
        body = self.objects[key]
        yield from (body[start : start + PIECE_BYTES] for start in range(0, len(body), PIECE_BYTES))

    def fetch(self, key: str, *, size_bytes: int) -> Iterator[bytes]:
        return self.stream(key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        self._fail_if_told()
        yield from (self._stored[key] for key in sorted(self.objects) if key.startswith(prefix) and key > after)

    def delete(self, key: str) -> None:
        self._fail_if_told()
        self.objects.pop(key, None)

    def abort_upload(self, key: str, upload_id: str) -> None:
        self._fail_if_told()
        self.uploads.pop(upload_id, None)

    def keep(self, key: str, body: bytes, *, metadata: dict[str, str] | None = None) -> StoredObject:
        """Puts an object there, over another one if need be: for tests that tamper."""
        self.objects[key] = body
        self._stored[key] = StoredObject(
            key=key,
            size_bytes=len(body),
            modified_at=datetime.now(UTC),
            etag=hashlib.md5(body).hexdigest(),
            metadata=tuple(sorted((metadata or {}).items())),
        )
        return self._stored[key]

    def _require_free(self, key: str) -> None:
        if key in self.objects:
            raise ObjectExistsError(f"There is an object at {self.location(key)} already; it was left as it is.")

    def _fail_if_told(self) -> None:
        if self.fault is not None:
            raise self.fault


class MemoryWriter:
    """Bytes on their way into a MemoryStore."""

    def __init__(self, store: MemoryStore, key: str, *, run_id: str, upload_id: str) -> None:
        self.store, self.key, self.upload_id = store, key, upload_id
        self._run_id = run_id
        self._body = bytearray()

    def write(self, data: memoryview) -> None:
        self.store._fail_if_told()
        self._body += data

    def commit(self, *, checksum: str) -> StoredObject:
        self.store._fail_if_told()
        self.store._require_free(self.key)
        body = bytes(self._body)
        if hashlib.sha256(body).hexdigest() != checksum:
            raise ChecksumError(f"Other bytes were written to {self.store.location(self.key)}.")
        self.store.uploads.pop(self.upload_id, None)
        return self.store.keep(self.key, body, metadata={"backup-id": self._run_id})

    def abort(self) -> None:
        self.store.abort_upload(self.key, self.upload_id)
        stored = self.store.head(self.key)
        if stored is not None and dict(stored.metadata).get("backup-id") == self._run_id:
            self.store.delete(self.key)
