"""Brings an archive to this machine and proves its bytes, before any program that reads archives is given them."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from backups.catalog import Found, LocalArchive
from backups.exceptions import ChecksumError, StorageError
from backups.types import OnProgress, Progress

READ_BYTES = 1 << 20
_HINT = "Make room, or name another folder in BACKUPS_SCRATCH_FOLDER."


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder for the length of the block, for its owner's eyes only. Raises StorageError when it can't be made."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise StorageError(f"The folder {folder} can't be made.", detail=str(error), hint=_HINT) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fetch(source: Found | LocalArchive, folder: Path, *, on_progress: OnProgress) -> Path:
    """The archive as a file, its size and SHA-256 equal to the manifest's. A file that is here already is only read.

    Raises ChecksumError, StorageError. The archive of a LocalArchive without manifest is not proven: there is nothing to hold
    it against.
    """
    if isinstance(source, LocalArchive):
        _prove_file(source, on_progress=on_progress)
        return source.path
    return _download(source, folder / "backup.dump", on_progress=on_progress)


def _download(found: Found, archive: Path, *, on_progress: OnProgress) -> Path:
    size = found.manifest.size_bytes
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


def _prove_file(source: LocalArchive, *, on_progress: OnProgress) -> None:
    if source.manifest is None:
        return
    size = source.manifest.size_bytes
    digest, done = hashlib.sha256(), 0
    try:
        with source.path.open("rb", buffering=0) as file:
            while chunk := file.read(READ_BYTES):
                digest.update(chunk)
                done += len(chunk)
                on_progress(Progress(phase="proving", done_bytes=done, total_bytes=size))
    except OSError as error:
        raise StorageError(f"{source.location} can't be read.", detail=str(error)) from error
    _require_equal(source.location, size, source.manifest.checksum, done=done, digest=digest.hexdigest())


def _require_equal(location: str, size: int, checksum: str, *, done: int, digest: str) -> None:
    if done != size or digest != checksum:
        raise ChecksumError(
            f"The bytes of {location} are not the ones that were backed up. The target was not touched.",
            detail=f"Expected {size} bytes, SHA-256 {checksum}; got {done} bytes, {digest}.",
            hint="The object is damaged or was replaced. Choose another backup: icb db list",
        )


def _write(file: BinaryIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise StorageError("The archive can't be written to the scratch folder.", detail=str(error), hint=_HINT) from error
