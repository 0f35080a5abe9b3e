"""The site's uploaded files, which no dump of a database has, in words."""

import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from django.core.files.storage import FileSystemStorage, storages
from django.core.files.storage.handler import InvalidStorageError

from backups import words
from backups.coverage.nouns import Finding, Level

MOST_FILES, MOST_SECONDS = 200_000, 5  # then it is "more than"


def of_media() -> Finding:
    """Where they are, and how much it is."""
    try:
        storage = storages["default"]
    except InvalidStorageError:
        return Finding(Level.FINE, "media", "The site has no place for uploaded files.")
    if not isinstance(storage, FileSystemStorage):
        text = f"Uploaded files are in a {type(storage).__name__}, and in no backup."
        return Finding(Level.KNOW, "media", text, hint="Have that store keep versions, or a copy.")
    if not storage.base_location:  # Django's default: it would be the folder in which the process was started
        return Finding(Level.FINE, "media", "The site has no folder for uploaded files: MEDIA_ROOT is not set.")
    folder = Path(storage.location)
    if not folder.is_dir():
        return Finding(Level.FINE, "media", f"No uploaded files: there is no folder {folder} on this machine.")
    count, size_bytes, is_all = _measured(folder)
    if not count:
        return Finding(Level.FINE, "media", f"No uploaded files: {folder} is empty.")
    more = "" if is_all else "more than "
    text = f"Uploaded files are in no backup: {more}{words.size(size_bytes)} in {more}{words.things(count, 'file')}."
    copy = shlex.join(["tar", "-czf", "media.tar.gz", "-C", str(folder), "."])
    return Finding(Level.ACT, "media", text, str(folder), f"Keep a copy elsewhere: {copy}")


def _measured(folder: Path) -> tuple[int, int, bool]:
    """Files and bytes below a folder, and whether that is all of it."""
    deadline = time.monotonic() + MOST_SECONDS
    count = size_bytes = 0
    for path in _files(folder):
        try:
            size_bytes += path.lstat().st_size
        except OSError:  # deleted meanwhile
            continue
        count += 1
        if count >= MOST_FILES or time.monotonic() > deadline:
            return count, size_bytes, False
    return count, size_bytes, True


def _files(folder: Path) -> Iterator[Path]:
    for parent, _folders, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)
