"""The seam: what a destination of backups can do. S3Store and LocalStore do it for real, MemoryStore in unit tests."""

from collections.abc import Callable, Iterator
from typing import Protocol

from backups.types import StoredObject, UnfinishedObject

MISSING = "It was deleted or moved. Choose another backup: icb db list"  # what to do where an object is not there


class Writer(Protocol):
    """One object on its way. Nothing can be seen at its key before `commit`."""

    def write(self, data: memoryview) -> None:
        """Takes the next bytes; blocks while the store is slower than the source. The view may be reused afterwards."""

    def commit(self, *, checksum: str) -> StoredObject:
        """Makes the object visible and proves that the store holds what was written (SHA-256 hex `checksum`).

        Raises UploadError or ChecksumError; `abort` then removes what there is.
        """

    def abort(self) -> None:
        """Leaves nothing behind, whether or not it was committed. Raises StorageError when the store would not have it."""


class Store(Protocol):
    """A place of objects with keys."""

    def location(self, key: str) -> str:
        """Where an object is, for people: s3://bucket/key or a path."""

    def require_usable(self, *, prefix: str, expected_bytes: int) -> None:
        """Raises BucketError or StorageError, within seconds, when nothing could be written here."""

    def open_writer(self, key: str, *, run_id: str, expected_bytes: int, on_upload: Callable[[str], None]) -> Writer:
        """A writer for a new object. `on_upload` is told the id of the upload before the first byte is sent.

        Raises ObjectExistsError when the key is taken.
        """

    def put_new(self, key: str, body: bytes) -> StoredObject:
        """Writes a small object at once. Raises ObjectExistsError when the key is taken by anything else."""

    def head(self, key: str) -> StoredObject | None:
        """The object without its bytes; None when it is not there."""

    def read(self, key: str, *, limit_bytes: int) -> bytes:
        """A small object whole. Raises ObjectMissingError, or StorageError when it is larger than the limit."""

    def read_as(self, key: str, *, limit_bytes: int) -> tuple[bytes, str]:
        """The same, with the ETag under which just these bytes are listed; "" where the store tells none."""

    def stream(self, key: str) -> Iterator[bytes]:
        """An object piece by piece. Raises ObjectMissingError."""

    def fetch(self, key: str, *, size_bytes: int) -> Iterator[bytes]:
        """The same for a large object whose size is known: as fast as the store allows."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """Objects below a prefix, in order of their keys; with `after` only those whose keys come later than that text."""

    def delete(self, key: str) -> None:
        """Deletes an object; harmless when it is not there."""

    def unfinished(self, prefix: str) -> Iterator[UnfinishedObject]:
        """What was begun below a prefix and not ended, by runs that are alive or dead."""

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Removes an upload that a dead run left; harmless when it is not there."""
