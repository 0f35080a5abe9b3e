"""What is in an archive, by its table of contents alone: noted while a dump streams by, or read from a file."""

from collections import defaultdict
from pathlib import Path

from backups.postgres.archive import ArchiveReader, Entry
from backups.types import Objects

MAX_NAMES = 50_000
MAX_NAMES_BYTES = 4 << 20  # a function is named with its arguments, of which it may have a hundred
READ_BYTES = 1 << 16
# What is no thing of its own, but data, a setting, or a detail of another entry.
DETAILS = frozenset({
    *("ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES"),
    *("TABLE DATA", "SEQUENCE SET", "MATERIALIZED VIEW DATA", "STATISTICS DATA", "BLOB", "BLOB METADATA", "BLOBS"),
    *("ACL", "DEFAULT ACL", "COMMENT", "SECURITY LABEL", "ROW SECURITY"),
    *("DEFAULT", "TABLE ATTACH", "INDEX ATTACH", "SEQUENCE OWNED BY"),
})  # fmt: skip


class Contents:
    """Is given every entry of an archive; keeps their names by kind, or only how many there are where those are too many."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = defaultdict(int)
        self._names: dict[str, list[str]] = defaultdict(list)
        self._left, self._left_bytes = MAX_NAMES, MAX_NAMES_BYTES

    def take(self, entry: Entry) -> None:
        """The next entry."""
        if entry.kind in DETAILS:
            return
        name = f"{entry.schema}.{entry.name}" if entry.schema else entry.name
        self._counts[entry.kind] += 1
        self._left -= 1
        self._left_bytes -= len(name.encode())
        if self._left < 0 or self._left_bytes < 0:
            self._names.clear()
        else:
            self._names[entry.kind].append(name)

    def objects(self) -> tuple[Objects, ...]:
        """What there is, sorted."""
        return tuple(
            Objects(kind=kind, count=count, names=tuple(sorted(self._names.get(kind, ()))))
            for kind, count in sorted(self._counts.items())
        )


def read_contents(archive: Path) -> list[Entry]:
    """Every entry of an archive in a file, in its order; only the table of contents is read.

    Raises ArchiveError when it is no archive in custom format, or ends before its data begins.
    """
    entries: list[Entry] = []
    reader = ArchiveReader(on_entry=entries.append)
    with archive.open("rb") as file:
        while not reader.has_read_contents:
            piece = file.read(READ_BYTES)
            if not piece:
                reader.close()
                break
            reader.feed(piece)
    return entries
