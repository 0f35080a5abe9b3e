"""Brings an archive to this machine and proves its bytes, before any program that reads archives is given them."""

import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from backups.catalog import Found, LocalArchive
from backups.copies import Copy, Reading, Try, said_of
from backups.exceptions import ChecksumError, ScratchError, StorageError
from backups.types import OnProgress, Progress

READ_BYTES = 1 << 20
FOLDER_PREFIX = "icb-"
ARCHIVE = "backup.dump"  # in the scratch folder
YOUNG_SECONDS = 60
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


@dataclass(frozen=True)
class Fetched:
    """An archive on this machine, and where it is from. `problems` tell of copies that could not be taken, in words."""

    archive: Path
    location: str
    problems: tuple[str, ...] = ()


def fetch(source: Found | LocalArchive, folder: Path, *, told: list[Copy], on_progress: OnProgress) -> Fetched:
    """The archive as a file in `folder`, its size and SHA-256 equal to the manifest's: what was proven is what will be loaded.

    A copy whose bytes are wrong is read once more; then the copies of the other stores are taken. What each is worth is added to
    `told`, also where this raises. Raises ChecksumError and StorageError where none will do; where of one nobody can tell, that.
    The archive of a LocalArchive without manifest is not proven and stays where it is: there is nothing to hold it against.
    """
    if isinstance(source, Found):
        return _first_good(source, folder, Reading(told=told), on_progress=on_progress)
    if source.manifest is None:
        return Fetched(source.path, source.location)
    return Fetched(_copy(source, folder / ARCHIVE, on_progress=on_progress), source.location)


def _first_good(source: Found, folder: Path, reading: Reading, *, on_progress: OnProgress) -> Fetched:
    def downloaded(one: Found, _at: Try) -> Found:
        download(one, folder, on_progress=on_progress)
        return one

    tries = [Try(one.store, one.key, partial(downloaded, one)) for one in source.copies()]
    good = reading.first_of(tries, source.unasked, key=source.key)
    said = list(dict.fromkeys(map(said_of, reading.wrong)))
    if good is None:
        error = reading.error
        others = (text for text in said if text != said_of(error))
        error.detail = "\n".join(dict.fromkeys([error.detail, *others])).strip()
        raise error
    if said:
        said.append(
            f"It was read from {good.location}, whose bytes are proven. What each copy is worth, and how one is"
            f" replaced: icb db verify {good.manifest.filename} --level stored"
        )
    return Fetched(folder / ARCHIVE, good.location, tuple(said))


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


def _copy(source: LocalArchive, archive: Path, *, on_progress: OnProgress) -> Path:
    assert source.manifest is not None
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
        raise StorageError(
            f"{source.location} can't be read.", detail=str(error), hint="Look at its owner and disk, or copy it again."
        ) from error


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
