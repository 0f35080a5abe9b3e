"""Brings an archive to this machine and proves its bytes, before any program that reads archives is given them."""

import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from backups.catalog import Found, LocalArchive
from backups.exceptions import ChecksumError, ScratchError, StorageError
from backups.types import OnProgress, Progress

READ_BYTES = 1 << 20
FOLDER_PREFIX = "icb-"
ARCHIVE = "backup.dump"  # in the scratch folder
YOUNG_SECONDS = 60
READS = 2  # of each copy: what damages a reading may be the network, or this machine's memory
_HINT = "Make room, or name another folder in BACKUPS_SCRATCH_FOLDER."


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder for the length of the block, for its owner's eyes only. Removes those that dead runs have left beside it.

    Raises StorageError when it can't be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sweep(folder.parent)
        folder.mkdir(mode=0o700)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # and not a file in it: a folder without its lock would be swept
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise StorageError(f"The folder {folder} can't be made.", detail=str(error), hint=_HINT) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(base: Path) -> None:
    """A folder of ours that nobody has locked belongs to nobody alive. One that was just made is given time to be locked."""
    for folder in base.glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError):
            seen = folder.lstat()
            if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or time.time() - seen.st_mtime < YOUNG_SECONDS:
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def prove(found: Found, *, on_progress: OnProgress) -> None:
    """Reads what the store holds, and keeps nothing of it: size and SHA-256 must be the manifest's. Raises ChecksumError,
    StorageError.
    """
    size, digest, done = found.manifest.size_bytes, hashlib.sha256(), 0
    for chunk in found.store.fetch(found.key, size_bytes=size):
        digest.update(chunk)
        done += len(chunk)
        on_progress(Progress(phase="reading", done_bytes=done, total_bytes=size))
        if done > size:
            break
    _require_equal(found.location, size, found.manifest.checksum, done=done, digest=digest.hexdigest())


def download(found: Found, folder: Path, *, on_progress: OnProgress) -> Path:
    """The archive of this one copy as a file in `folder`, proven. Raises ChecksumError, StorageError, and ScratchError where it
    can't be written.
    """
    archive, size = folder / ARCHIVE, found.manifest.size_bytes
    digest, done = hashlib.sha256(), 0
    with archive.open("wb", buffering=0) as file:
        for chunk in found.store.fetch(found.key, size_bytes=size):
            digest.update(chunk)
            _write(file, chunk)
            done += len(chunk)
            on_progress(Progress(phase="downloading", done_bytes=done, total_bytes=size, stored_bytes=done))
            if done > size:
                break
    _require_equal(found.location, size, found.manifest.checksum, done=done, digest=digest.hexdigest())
    return archive


def take(source: LocalArchive, folder: Path, *, on_progress: OnProgress) -> Path:
    """The archive of a file that has a manifest as a file in `folder`, proven. Raises as `download` does."""
    assert source.manifest is not None
    archive = folder / ARCHIVE
    size = source.manifest.size_bytes
    digest, done = hashlib.sha256(), 0
    with archive.open("wb", buffering=0) as copy:
        for chunk in _pieces(source):
            digest.update(chunk)
            _write(copy, chunk)
            done += len(chunk)
            on_progress(Progress(phase="proving", done_bytes=done, total_bytes=size, stored_bytes=done))
            if done > size:
                break
    _require_equal(source.location, size, source.manifest.checksum, done=done, digest=digest.hexdigest())
    return archive


def _pieces(source: LocalArchive) -> Iterator[bytes]:
    try:
        with source.path.open("rb", buffering=0) as file:
            while chunk := file.read(READ_BYTES):
                yield chunk
    except OSError as error:
        raise StorageError(f"{source.location} can't be read.", detail=str(error)) from error


def _require_equal(location: str, size: int, checksum: str, *, done: int, digest: str) -> None:
    if done != size or digest != checksum:
        raise ChecksumError(
            f"The bytes of {location} are not the ones that were backed up. Nothing was restored from them.",
            detail=f"Expected {size} bytes, SHA-256 {checksum}; got {done} bytes, {digest}.",
            hint="The object is damaged or was replaced. Choose another backup: icb db list",
        )


def _write(file: BinaryIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise ScratchError("The archive can't be written to the scratch folder.", detail=str(error), hint=_HINT) from error
