"""The mark of a local folder, by which it is known again: an unmounted folder is still there, and looks empty.

A folder that the history says has copies, and that has neither its mark nor any of them, is not an empty folder: it is
another one.
"""

import os
import shlex
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from backups.exceptions import StorageError
from backups.storage.files import reserve, translated

NAME = ".icb-store"
TEXT = b"""Local copies of PostgreSQL backups. By this file icb knows the folder: where it is missing, the folder is taken for a
mount point without its disk, and nothing is written there. Leave it here.
"""

Remembered = Callable[[], Iterable[str] | None]


def require_known(base: Path, remembered: Remembered) -> bool:
    """Whether nothing speaks against the folder. False where nobody remembers: then it may be used, and must not be marked.

    Raises StorageError for a folder that can't be the one in which the copies at the `remembered` paths were put.

    A folder from before there were marks has its mark from now on, if only one of those copies is there. `remembered` is asked
    only where there is no mark.
    """
    if _is_there(base / NAME):
        return True
    first, paths = "", remembered()
    if paths is None:
        return False
    for path in paths:
        if _is_there(Path(path)):
            with suppress(StorageError):  # a folder that can only be read can be asked all the same
                make(base)
            return True
        first = first or path
    if first:
        raise StorageError(
            f"The local folder {base} is not the one that it was: it has neither its mark {NAME} nor any of its copies.",
            detail=f"The history tells of {first}, among others. Most likely the folder's disk is not mounted.",
            hint="Mount it. If what was there is lost for good, make it anew, and let the history know:\n"
            f"mkdir -p {shlex.quote(str(base))} && touch {shlex.quote(str(base / NAME))}\nicb db sync",
        )
    return True


def make(base: Path) -> None:
    """Marks a folder that is there; harmless when it is marked. Raises StorageError."""
    path = base / NAME
    with translated(path):
        if not path.exists():
            with os.fdopen(reserve(path), "wb") as file:
                file.write(TEXT)


def _is_there(path: Path) -> bool:
    """Path.exists would say False as well where nobody can tell. Raises StorageError."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StorageError(
            f"{path} can't be looked at: {error.strerror}.", hint="Look at the disk of BACKUPS_LOCAL_FOLDER, and at its owner."
        ) from error
    return True
