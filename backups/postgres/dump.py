"""One pass over pg_dump's output: hashed, counted, looked at for its frame, and handed on."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backups.exceptions import ArchiveError
from backups.postgres.archive import ArchiveReader
from backups.postgres.commands import Command
from backups.postgres.contents import Contents
from backups.postgres.process import Process, read_dump
from backups.types import Objects

Take = Callable[[memoryview], None]
Look = Callable[[ArchiveReader, int], None]


@dataclass(frozen=True)
class Dumped:
    """What the pass found: a whole archive of that size. `checksum` is SHA-256 in hex."""

    size_bytes: int
    checksum: str
    compression: str
    objects: tuple[Objects, ...]


def run_dump(command: Command, *, takers: Sequence[Take], stall_timeout_seconds: float, look: Look) -> Dumped:
    """Runs pg_dump and gives every byte to every taker, once. `look` is called after each piece with the bytes so far.

    A taker that blocks slows pg_dump down; one that raises ends it. Returns only for a whole archive.

    Raises DumpError, StalledError, ArchiveError, and what takers and `look` raise. pg_dump is gone in every case.
    """
    digest, size_bytes, contents = hashlib.sha256(), 0, Contents()
    archive = ArchiveReader(on_entry=contents.take)
    try:
        with Process(command) as process:
            for view in read_dump(process, stall_timeout_seconds=stall_timeout_seconds):
                digest.update(view)
                size_bytes += len(view)
                archive.feed(view)
                for take in takers:
                    take(view)
                look(archive, size_bytes)
        archive.close()
    except ArchiveError as error:
        error.hint = f"Nothing was kept, whatever pg_dump said. Look at {command.argv[0]} and the disk it is on."
        raise
    return Dumped(size_bytes=size_bytes, checksum=digest.hexdigest(), compression=archive.compression, objects=contents.objects())
