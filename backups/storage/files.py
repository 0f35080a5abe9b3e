"""What the local store asks of the file system, with its refusals in our words."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backups.exceptions import ObjectExistsError, ObjectMissingError, StorageError
from backups.storage.store import MISSING

# What link(2) says where the file system has no hard links (FAT, some network and FUSE ones).
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The system's words for what it would not do with a path, in ours."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ObjectMissingError(f"{path} is not there.", detail=str(error), hint=MISSING) from error
    except OSError as error:
        raise StorageError(
            f"{path} can't be used: {error.strerror}.",
            detail=str(error),
            hint="Make room, or look at its owner and disk. BACKUPS_LOCAL_FOLDER names another folder.",
        ) from error


def below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, if it is there. Raises StorageError for a part that can't be looked into: rglob would leave it
    out, and whatever is in it would seem to be gone.
    """

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            with translated(folder):
                raise error

    for inside, _folders, names in os.walk(folder, onerror=fail):
        yield from (Path(inside, name) for name in names)


def make_folder(folder: Path) -> Path:
    """Makes a folder and what is missing above it, each for its owner only: mkdir(parents=True) would open those above."""
    try:
        for path in (*reversed(folder.parents), folder):
            if not path.is_dir():
                path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The folder {folder} can't be made.", detail=str(error), hint="Check BACKUPS_LOCAL_FOLDER."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"The folder {folder} can't be written.", hint="Check its owner and BACKUPS_LOCAL_FOLDER.")
    return folder


def give_name(partial: Path, path: Path) -> None:
    """Names a file with link(2), which fails where rename(2) would overwrite; the other name stays. Raises ObjectExistsError."""
    try:
        os.link(partial, path)
    except FileExistsError as error:
        raise taken(path) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(reserve(path))
        partial.rename(path)


def reserve(path: Path) -> int:
    """Makes an empty file for its owner only, open for writing; returns its descriptor. Raises ObjectExistsError."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise taken(path) from error


def taken(path: Path) -> ObjectExistsError:
    """The error for a name that is in use."""
    return ObjectExistsError(
        f"There is a file {path} already; it was left as it is.", hint="Make the backup again: it gets a name of its own."
    )


def sync_folder(folder: Path) -> None:
    """The new name is on the disk only when its folder is. https://man7.org/linux/man-pages/man2/fsync.2.html"""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
