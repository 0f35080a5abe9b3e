"""A folder that keeps copies under the same keys: {base}/{bucket}/{environment}/postgres/…

A file is written as `.partial`, synced, and given its name in one step that never overwrites.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from backups.exceptions import ObjectExistsError, ObjectMissingError, StorageError
from backups.types import StoredObject

PARTIAL_SUFFIX = ".partial"
STREAM_BYTES = 1 << 20


class LocalStore:
    """A folder, made on first use, that only its owner may read."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def location(self, key: str) -> str:
        """The path of a key."""
        return str(self.path(key))

    def path(self, key: str) -> Path:
        """The path of a key. Raises StorageError for a key that would leave the folder."""
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or "\0" in key or ".." in parts:
            raise StorageError(f"{key!r} is not a key of this folder.")
        return self.base.joinpath(*parts)

    def require_usable(self, *, prefix: str, expected_bytes: int) -> None:
        """Raises StorageError when the folder can't be written, or lacks room for the expected bytes."""
        folder = self._make_folder(self.path(prefix))
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
        self._make_folder(path.parent)
        if path.exists():
            raise ObjectExistsError(f"There is a file {path} already; it was left as it is.")
        return LocalWriter(path)

    def put_new(self, key: str, body: bytes) -> StoredObject:
        """Writes a small file."""
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
            seen = self.path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _stored(key, seen)

    def read(self, key: str, *, limit_bytes: int) -> bytes:
        """A small file whole."""
        with self._open(key) as file:
            taken = file.read(limit_bytes + 1)
        if len(taken) > limit_bytes:
            raise StorageError(f"{self.location(key)} is larger than {limit_bytes} bytes.")
        return taken

    def stream(self, key: str) -> Iterator[bytes]:
        """A file piece by piece."""
        with self._open(key) as file:
            while chunk := file.read(STREAM_BYTES):
                yield chunk

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Files below a prefix that ends with a slash, in order of their keys; unfinished ones are left out."""
        folder = self.path(prefix)
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != PARTIAL_SUFFIX)
        for path in paths:
            yield _stored(path.relative_to(self.base).as_posix(), path.stat())

    def delete(self, key: str) -> None:
        """Deletes a file; harmless when it is not there."""
        self.path(key).unlink(missing_ok=True)

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Removes what a dead run left of a file."""
        _partial(self.path(key)).unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StorageError(
                f"The folder {folder} can't be made.", detail=str(error), hint="Check BACKUPS_LOCAL_FOLDER."
            ) from error
        if not os.access(folder, os.W_OK):
            raise StorageError(f"The folder {folder} can't be written.", hint="Check its owner and BACKUPS_LOCAL_FOLDER.")
        return folder

    def _open(self, key: str) -> BinaryIO:
        try:
            return self.path(key).open("rb")
        except FileNotFoundError as error:
            raise ObjectMissingError(f"{self.location(key)} is not there.") from error


class LocalWriter:
    """One file on its way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = _partial(path)
        self.size_bytes = 0
        self._committed = False
        self._file = os.fdopen(os.open(self.partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0)

    def write(self, data: memoryview) -> None:
        """Writes the bytes through. Raises StorageError when the disk is full."""
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:]) or 0
        except OSError as error:
            raise StorageError(
                f"{self.partial} can't be written.", detail=str(error), hint="Make room, or leave out --save-local."
            ) from error
        self.size_bytes += len(data)

    def commit(self, *, checksum: str) -> StoredObject:
        """Syncs, then gives the file its name with link(2), which fails where rename(2) would overwrite."""
        os.fsync(self._file.fileno())
        self._file.close()
        if (size := self.partial.stat().st_size) != self.size_bytes:
            raise StorageError(f"{self.partial} has {size} bytes; {self.size_bytes} were written.")
        try:
            os.link(self.partial, self.path)
        except FileExistsError as error:
            raise ObjectExistsError(f"There is a file {self.path} already; it was left as it is.") from error
        except OSError:  # a file system without hard links
            self.partial.rename(self.path)
        self._committed = True
        self.partial.unlink(missing_ok=True)
        _sync_folder(self.path.parent)
        return _stored(self.path.name, self.path.stat())

    def abort(self) -> None:
        """Removes the unfinished file, and the finished one where it is ours."""
        self._file.close()
        self.partial.unlink(missing_ok=True)
        if self._committed:
            self.path.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL_SUFFIX)


def _stored(key: str, seen: os.stat_result) -> StoredObject:
    return StoredObject(
        key=key, size_bytes=seen.st_size, modified_at=datetime.fromtimestamp(seen.st_mtime, tz=UTC), etag=str(seen.st_mtime_ns)
    )


def _sync_folder(folder: Path) -> None:
    """The new name is on the disk only when its folder is. https://man7.org/linux/man-pages/man2/fsync.2.html"""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
