"""Whose fault an error is: the backup's, or that of the place where it was tried. Pure."""

from collections.abc import Mapping
from typing import Any

from backups.exceptions import (
    ArchiveError,
    BackupsError,
    ChecksumError,
    ComparisonError,
    LoadError,
    LostError,
    ManifestError,
    UnknownSignatureError,
)

# The backup is bad when one of these is raised; whatever else goes wrong says nothing about it.
_BAD = (ManifestError, ChecksumError, ArchiveError, LoadError, ComparisonError, LostError)
# What pg_restore and the server say where the archive, and not the server, is the reason. Whatever else they say, in whatever
# language, tells nothing about the backup: its SHA-256 was proven, and servers lack a thousand things.
_OF_THE_ARCHIVE = (
    *("input file", "could not read from", "unexpected end of file", "corrupt", "could not uncompress", "syntax error"),
    *("violates ", "could not create unique index", "invalid input syntax", "invalid byte sequence", "malformed "),
)
_OF_THE_PROGRAM = ("was killed by", "does not support compression")


def is_of_the_server(error: BackupsError, report: Mapping[str, Any]) -> bool:
    """Whether nothing differs but extensions, by the report of the comparison: another server may have others of them."""
    return isinstance(error, ComparisonError) and all(one["kind"] == "extension" for one in report.get("differences", []))


def is_the_backups_fault(error: BackupsError) -> bool:
    """Whether it proves that the backup, or the copy that was read, is bad. In doubt it does not."""
    said = f"{error.message}\n{error.detail}"
    if isinstance(error, UnknownSignatureError) or any(text in said for text in _OF_THE_PROGRAM):
        return False
    if isinstance(error, LoadError):
        return any(text in said for text in _OF_THE_ARCHIVE)
    return isinstance(error, _BAD)
