"""A folder that keeps copies under the same keys: {base}/{bucket}/{environment}/postgres/…

A file is written as `.partial`, synced, and given its name in one step that never overwrites.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from backups.exceptions import ChecksumError, ObjectMissingError, StorageError
from backups.storage import folder_mark
from backups.storage.files import below, give_name, make_folder, reserve, sync_folder, taken, translated
from backups.storage.whole import read_whole
from backups.types import StoredObject, UnfinishedObject

PARTIAL_SUFFIX = ".partial"
PIECE_BYTES = 1 << 20


class LocalStore:
    """A folder, made and marked on first use, that only its owner may read.

    `remembered` gives the paths of copies that were put there, as far as is known: where they say that the folder is in use and
    it does not bear its mark, nothing is written, and nothing is called missing: StorageError.
    """

    def __init__(self, base: Path, *, remembered: folder_mark.Remembered = tuple) -> None:
        self.base = base
        self.remembered = remembered

    def location(self, key: str) -> str:
        """The path of a key."""
        return str(self.path(key))

    def path(self, key: str) -> Path:
        """The path of a key. Raises StorageError for a key that would leave the folder, or be another key's file."""
        parts = key.split("/")
        if "\0" in key or not {"", ".", ".."}.isdisjoint(parts):
            raise StorageError(f"{key!r} is not a key of this folder.")
        if key.endswith(PARTIAL_SUFFIX):
            raise StorageError(f"{key!r} is not a key of this folder: {PARTIAL_SUFFIX} is for unfinished files.")
        return self.base.joinpath(*parts)

    def require_usable(self, *, prefix: str, expected_bytes: int) -> None:
        """Raises StorageError when the folder can't be written, or lacks room for the expected bytes."""
        folder = self._made(self.path(prefix.removesuffix("/")))
        with translated(folder):
            free = shutil.disk_usage(folder).free
        if free < expected_bytes:
            raise StorageError(
                f"There is not enough room for a local copy in {folder}.",
                detail=f"{free:,} bytes are free; the copy may need {expected_bytes:,}.",
                hint="Make room, name another folder in BACKUPS_LOCAL_FOLDER, or leave out --save-local.",
            )

    def open_writer(self, key: str, *, run_id: str, expected_bytes: int, on_upload: Callable[[str], None]) -> "LocalWriter":
        """A writer for a new file."""
        path = self.path(key)
        self._made(path.parent)
        with translated(path):
            if os.path.lexists(path):
                raise taken(path)
            return LocalWriter(key, path)

    def put_new(self, key: str, body: bytes) -> StoredObject:
        """Writes a small file."""
        found = self.head(key)
        if found is not None and found.size_bytes == len(body) and self.read(key, limit_bytes=len(body)) == body:
            return found
        writer = self.open_writer(key, run_id="", expected_bytes=len(body), on_upload=lambda _id: None)
        try:
            writer.write(memoryview(body))
            return writer.commit(checksum=hashlib.sha256(body).hexdigest())
        except BaseException:
            writer.abort()
            raise

    def head(self, key: str) -> StoredObject | None:
        """Size and time of a file; None when it is not there."""
        try:
            with translated(self.path(key)):
                found = self.path(key).stat()
        except ObjectMissingError:
            folder_mark.require_known(self.base, self.remembered)
            return None
        return _stored(key, found) if stat.S_ISREG(found.st_mode) else None

    def read(self, key: str, *, limit_bytes: int) -> bytes:
        """A small file whole."""
        return read_whole(self.stream(key), limit_bytes=limit_bytes, location=self.location(key))

    def read_as(self, key: str, *, limit_bytes: int) -> tuple[bytes, str]:
        """A small file whole, with its ETag while it was read; "" where it changed meanwhile."""
        before = self.head(key)
        data = self.read(key, limit_bytes=limit_bytes)
        return data, before.etag if before is not None and before == self.head(key) else ""

    def stream(self, key: str) -> Iterator[bytes]:
        """A file piece by piece."""
        path = self.path(key)
        with translated(path), path.open("rb", buffering=0) as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def fetch(self, key: str, *, size_bytes: int) -> Iterator[bytes]:
        """The same: a disk is read from one end to the other."""
        return self.stream(key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """Files below a prefix that is empty or ends with a slash, in order of their keys; unfinished ones are left out."""
        for key in sorted(self._keys(prefix)):
            is_ours = key > after and not key.endswith(PARTIAL_SUFFIX) and key != folder_mark.NAME
            found = self.head(key) if is_ours else None
            if found is not None:  # it may have been deleted meanwhile
                yield found

    def delete(self, key: str) -> None:
        """Deletes a file; harmless when it is not there."""
        with translated(self.path(key)):
            self.path(key).unlink(missing_ok=True)

    def unfinished(self, prefix: str) -> Iterator[UnfinishedObject]:
        """Partial files below a prefix. They have no id of their own."""
        for name in sorted(self._keys(prefix)):
            if name.endswith(PARTIAL_SUFFIX):
                with translated(self.base / name):
                    begun_at = datetime.fromtimestamp((self.base / name).lstat().st_mtime, tz=UTC)
                yield UnfinishedObject(key=name.removesuffix(PARTIAL_SUFFIX), upload_id="", begun_at=begun_at)

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Removes what a dead run left of a file."""
        with translated(self.path(key)):
            _partial(self.path(key)).unlink(missing_ok=True)

    def _made(self, folder: Path) -> Path:
        """A folder that can be written, below a base that is the right one and bears its mark."""
        is_known = folder_mark.require_known(self.base, self.remembered)
        make_folder(self.base)
        if is_known:
            folder_mark.make(self.base)
        return make_folder(folder)

    def _keys(self, prefix: str) -> Iterator[str]:
        """Of all files below a prefix, partial ones with their suffix. Raises StorageError where not all can be seen."""
        folder_mark.require_known(self.base, self.remembered)
        folder = self.path(prefix.removesuffix("/")) if prefix else self.base
        return (path.relative_to(self.base).as_posix() for path in below(folder))


class LocalWriter:
    """One file on its way. Raises ObjectExistsError at once while another writer has the same key."""

    def __init__(self, key: str, path: Path) -> None:
        self.key = key
        self.path = path
        self.partial = _partial(path)
        self.size_bytes = 0
        self._file = os.fdopen(reserve(self.partial), "wb", buffering=0)
        self._inode = os.fstat(self._file.fileno()).st_ino

    def write(self, data: memoryview) -> None:
        """Writes the bytes through. Raises StorageError when the disk is full."""
        with translated(self.partial):
            written = 0
            while written < len(data):
                written += self._file.write(data[written:]) or 0
        self.size_bytes += len(data)

    def commit(self, *, checksum: str) -> StoredObject:
        """Syncs, reads everything again, and gives the file its name, which never overwrites."""
        with translated(self.partial):
            os.fsync(self._file.fileno())
            self._file.close()
            self._prove(checksum)
            give_name(self.partial, self.path)
            self.partial.unlink(missing_ok=True)
            sync_folder(self.path.parent)
            return _stored(self.key, self.path.stat())

    def abort(self) -> None:
        """Removes the unfinished file, and the finished one where it is ours."""
        with translated(self.path):
            self._file.close()
            self.partial.unlink(missing_ok=True)
            if self.path.exists() and self.path.stat().st_ino == self._inode:
                self.path.unlink()

    def _prove(self, checksum: str) -> None:
        """The bytes are taken from the disk, not from memory, where the system allows it."""
        with self.partial.open("rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != checksum:
            raise ChecksumError(
                f"The disk gives other bytes back than were written: {self.partial}.",
                detail=f"SHA-256 written {checksum}, read {found}.",
                hint="Look at the disk of BACKUPS_LOCAL_FOLDER, then make the backup again.",
            )


def _partial(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL_SUFFIX)


def _stored(key: str, seen: os.stat_result) -> StoredObject:
    return StoredObject(
        key=key,
        size_bytes=seen.st_size,
        modified_at=datetime.fromtimestamp(seen.st_mtime, tz=UTC),
        etag=f"{seen.st_mtime_ns:x}-{seen.st_ctime_ns:x}",  # anybody who may write can set the first, and nobody the second
    )
