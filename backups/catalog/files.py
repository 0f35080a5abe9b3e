"""An archive that somebody has as a file: on a disk, from another site, from a bucket's earlier version."""

import stat
from dataclasses import dataclass
from pathlib import Path

from backups import conf
from backups.exceptions import ArchiveError, BackupsError, ChecksumError, RefusedError, StorageError, UsageError
from backups.manifest import LIMIT_BYTES, parse
from backups.postgres.archive import MAGIC
from backups.storage.keys import MANIFEST_SUFFIX
from backups.types import Manifest

TRUST_UNSIGNED = (
    "Only if you know who made this archive: --trust-unsigned restores it without proof. An archive runs SQL of its author's"
    " choice, and in a pg_restore older than 18.7, 17.12, 16.16, 15.20 or 14.25 also programs on this machine (CVE-2026-116314)."
)


@dataclass(frozen=True)
class LocalArchive:
    """An archive in a file; without a manifest it is not proven to be anybody's."""

    path: Path
    manifest: Manifest | None

    @property
    def location(self) -> str:
        """The path, for people."""
        return str(self.path)


def from_file(path: Path, *, trust_unsigned: bool) -> LocalArchive:
    """The archive in a file, with the manifest that lies beside it: PATH.json. Its checksum is not proven here.

    With `trust_unsigned`, a file will do whose manifest is not there or not ours, and comes without one. Otherwise raises
    RefusedError for it. Raises UsageError for what is no file, ArchiveError for one that pg_dump has not made, ChecksumError
    where the file has another size than its manifest tells, and StorageError when it can't be read.
    """
    path = path.absolute()
    size_bytes, beginning = _looked_at(path)
    try:
        manifest = parse(_beside(path), **conf.signing_keys())
    except BackupsError as error:
        if not trust_unsigned:
            raise _unproven(path, error) from error
        if beginning != MAGIC:
            raise ArchiveError(
                f"{path} is no archive as pg_dump --format=custom makes it.",
                detail=f"It begins with {beginning!r}, not with {MAGIC!r}.",
                hint="What is SQL is loaded by psql, an archive in tar format by pg_restore.",
            ) from error
        return LocalArchive(path, None)
    if size_bytes != manifest.size_bytes:
        raise ChecksumError(
            f"{path} is not the file that its manifest describes: it has {size_bytes:,} bytes, not {manifest.size_bytes:,}.",
            hint="Copy it again, or choose another backup: icb db list",
        )
    return LocalArchive(path, manifest)


def _looked_at(path: Path) -> tuple[int, bytes]:
    """Size and first bytes of a file; one line for each thing that it may be instead."""
    try:
        seen = path.stat()
        if stat.S_ISDIR(seen.st_mode):
            raise UsageError(f"{path} is a folder. Name the file in it.")
        if not stat.S_ISREG(seen.st_mode):
            raise UsageError(f"{path} is not a file.")
        with path.open("rb") as file:
            beginning = file.read(len(MAGIC))
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} can't be read: {getattr(error, 'strerror', '') or error}.") from error
    if not beginning:
        raise UsageError(f"{path} is empty.", hint="Copy it again, or choose another backup: icb db list")
    return seen.st_size, beginning


def _beside(path: Path) -> bytes:
    """The bytes of the manifest's file. Raises StorageError."""
    manifest = path.with_name(path.name + MANIFEST_SUFFIX)
    try:
        if not stat.S_ISREG(manifest.stat().st_mode):
            raise StorageError(f"{manifest} is not a file.")
        with manifest.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except FileNotFoundError as error:
        raise StorageError(f"There is no {manifest}.") from error
    except OSError as error:
        raise StorageError(f"{manifest} can't be read: {error.strerror}.") from error
    if len(data) > LIMIT_BYTES:
        raise StorageError(f"{manifest} is larger than {LIMIT_BYTES:,} bytes.")
    return data


def _unproven(path: Path, error: BackupsError) -> RefusedError:
    return RefusedError(
        f"Nothing proves whose archive {path} is. Nothing was touched.",
        detail=f"{error.message}\n{error.detail}",
        hint=f"{error.hint}\n{TRUST_UNSIGNED}",
    )
