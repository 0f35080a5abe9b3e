"""Reads the frame of pg_dump's custom format while it streams by, so that half an archive is recognised as half.

The format, as src/bin/pg_dump/pg_backup_archiver.c and pg_backup_custom.c of PostgreSQL write it to a pipe: a header, a
table of contents, then one block of data for every entry that has data (a type, the entry's id, chunks of a length and
bytes, and a chunk of length 0). Nothing marks the end of the file; an archive is whole when each entry with data has had
its block and the last block is closed. Compressed bytes are not looked into: the SHA-256 of the manifest guards those.
"""

import codecs
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import IntEnum

from backups.exceptions import ArchiveError

MAGIC = b"PGDMP"
OLDEST_VERSION = (1, 12)  # pg_dump 9.0
NEWEST_VERSION = (1, 16)  # pg_dump 17 and 18
CUSTOM_FORMAT = 1
BLOCK_DATA, BLOCK_LARGE_OBJECTS = 1, 3
NO_DATA = 3  # an entry's offset state when it has none
COMPRESSIONS = {0: "none", 1: "gzip", 2: "lz4", 3: "zstd"}
MAX_STRING_BYTES = 1 << 30
_ENCODING = re.compile(
    r"SET client_encoding = '(UTF8|LATIN\d+|WIN\d+|ISO_8859_\d|EUC_[A-Z]+|EUC_JIS_2004|KOI8[RU]|SJIS|SHIFT_JIS_2004"
    r"|BIG5|GBK|UHC|GB18030|JOHAB)';"
)

# A parser asks for a number of bytes by yielding it, and is sent exactly those. A negative number asks to skip.
_Parser = Generator[int, bytes, None]


class Section(IntEnum):
    """When an entry is restored; ACLs and comments follow the entry they belong to, so have none. As teSection in pg_backup.h."""

    NONE = 1
    PRE_DATA = 2
    DATA = 3
    POST_DATA = 4


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of the table of contents: "TABLE", "TABLE DATA", "INDEX", … `dependencies` are ids of other entries."""

    id: int
    kind: str
    schema: str
    name: str
    section: int = Section.NONE
    dependencies: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else f"{self.kind} {self.name}"


class ArchiveReader:
    """Is fed an archive piece by piece; knows which table the stream is in, and whether the archive is whole.

    `on_entry` is given every entry of the table of contents once, in the archive's order.
    """

    def __init__(self, *, on_entry: Callable[[Entry], None] | None = None) -> None:
        self.format_version: tuple[int, int] = (0, 0)
        self.compression = ""
        self.pg_dump_version = ""
        self.finished: list[Entry] = []
        self.current: Entry | None = None
        self.has_read_contents = False
        self._on_entry = on_entry
        self._encoding = "utf-8"
        self._expected: dict[int, Entry] = {}
        self._buffer = bytearray()
        self._skip = 0
        self._parser = self._parse()
        self._need = next(self._parser)
        self._at_boundary = False
        self._where = "in its header"
        self._refused: ArchiveError | None = None

    def feed(self, data: bytes | memoryview) -> None:
        """Takes the next bytes of the archive. Raises ArchiveError, then at every call, when they can't be pg_dump's."""
        if self._refused is not None:
            raise self._refused
        view = memoryview(data)
        position = 0
        while position < len(view):
            if self._skip:
                step = min(self._skip, len(view) - position)
                self._skip -= step
                position += step
                if self._skip == 0:
                    self._advance(b"")
                continue
            step = min(self._need - len(self._buffer), len(view) - position)
            self._buffer += view[position : position + step]
            position += step
            if len(self._buffer) == self._need:
                taken = bytes(self._buffer)
                self._buffer.clear()
                self._advance(taken)

    def close(self) -> None:
        """The archive has ended. Raises ArchiveError unless it is whole."""
        if self._refused is not None:
            raise self._refused
        if not self._at_boundary:
            raise ArchiveError("Not a complete archive: it ends too early.", detail=f"It ends {self._where}.")
        if self._expected:
            names = ", ".join(str(entry) for entry in list(self._expected.values())[:5])
            raise ArchiveError(
                "Not a complete archive: it ends too early.",
                detail=f"The data of {len(self._expected)} entries is missing: {names}.",
            )

    def _advance(self, taken: bytes) -> None:
        try:
            need = self._parser.send(taken)
        except ArchiveError as error:
            self._refused = error
            raise
        self._need, self._skip = (need, 0) if need >= 0 else (0, -need)

    # The parser. `yield from` reads like a file; it only ever sees what it asked for.

    def _parse(self) -> _Parser:
        yield from self._header()
        self._where = "in its table of contents"
        yield from self._table_of_contents()
        self.has_read_contents = True
        while True:
            self._where, self._at_boundary = "between the data of two entries", True
            kind = (yield 1)[0]
            self._at_boundary = False
            yield from self._block(kind)

    def _header(self) -> _Parser:
        if (yield 5) != MAGIC:
            raise ArchiveError("Not an archive of pg_dump in custom format.", detail="It does not begin with PGDMP.")
        major, minor, _revision, self._int_size, self._offset_size, file_format = yield 6
        self.format_version = (major, minor)
        if not OLDEST_VERSION <= self.format_version <= NEWEST_VERSION:
            raise ArchiveError(
                f"The archive's format {major}.{minor} is unknown.",
                detail=f"Known are {OLDEST_VERSION[0]}.{OLDEST_VERSION[1]} to {NEWEST_VERSION[0]}.{NEWEST_VERSION[1]}.",
                hint="Use a pg_dump of PostgreSQL 14 to 18.",
            )
        if file_format != CUSTOM_FORMAT or self._int_size not in (4, 8) or self._offset_size not in (4, 8):
            raise ArchiveError("Not an archive of pg_dump in custom format.")
        if self.format_version >= (1, 15):
            self.compression = COMPRESSIONS.get((yield 1)[0], "unknown")
        else:
            level = yield from self._int()
            self.compression = "gzip" if level else "none"
        for _part in ("second", "minute", "hour", "day", "month", "year", "is daylight saving time"):
            yield from self._int()
        yield from self._string()  # database
        yield from self._string()  # version of the server
        self.pg_dump_version = yield from self._string()

    def _table_of_contents(self) -> _Parser:
        count = yield from self._int()
        if count < 1:  # pg_dump always writes the encoding
            raise ArchiveError("Not an archive of pg_dump: its table of contents is empty.")
        for _number in range(count):
            entry, has_data = yield from self._entry()
            if has_data:
                self._expected[entry.id] = entry
            if self._on_entry is not None:
                self._on_entry(entry)

    def _entry(self) -> Generator[int, bytes, tuple[Entry, bool]]:
        entry_id = yield from self._int()
        yield from self._int()  # whether it had a dumper
        yield from self._strings(2)  # catalogue and object ids
        name, kind = yield from self._strings(2)
        section = yield from self._int()
        definition, _drop, _copy = yield from self._strings(3)
        if kind == "ENCODING":  # the first of all entries; what follows is in that encoding
            self._encoding = _codec(definition)
        (schema,) = yield from self._strings(1)
        yield from self._strings(2 if self.format_version >= (1, 14) else 1)  # tablespace, access method
        if self.format_version >= (1, 16):
            yield from self._int()  # relkind
        yield from self._strings(2)  # owner, with oids
        dependencies = yield from self._dependencies()
        state = (yield 1)[0]
        yield self._offset_size
        entry = Entry(id=entry_id, kind=kind, schema=schema, name=name, section=section, dependencies=dependencies)
        return entry, state != NO_DATA

    def _dependencies(self) -> Generator[int, bytes, tuple[int, ...]]:
        """Ids as texts, ended by a null."""
        found = []
        while text := (yield from self._string()):
            if len(text) > 20 or not text.isdecimal():
                raise ArchiveError("Not an archive of pg_dump: a dependency is no number.")
            found.append(int(text))
        return tuple(found)

    def _block(self, kind: int) -> _Parser:
        entry_id = yield from self._int()
        if kind not in (BLOCK_DATA, BLOCK_LARGE_OBJECTS) or entry_id not in self._expected:
            raise ArchiveError("Not an archive of pg_dump: a block of data has no entry in the table of contents.")
        self.current = self._expected.pop(entry_id)
        self._where = f"in the data of {self.current}"
        if kind == BLOCK_DATA:
            yield from self._chunks()
        else:
            while (yield from self._int()):  # the id of a large object; 0 ends them
                yield from self._chunks()
        self.finished.append(self.current)
        self.current = None

    def _chunks(self) -> _Parser:
        while length := (yield from self._int()):
            if length < 0:
                raise ArchiveError("Not an archive of pg_dump: a chunk of negative length.")
            yield -length

    def _int(self) -> Generator[int, bytes, int]:
        taken = yield 1 + self._int_size
        value = int.from_bytes(taken[1:], "little")
        return -value if taken[0] else value

    def _string(self) -> Generator[int, bytes, str]:
        length = yield from self._int()
        if length <= 0:
            return ""
        if length > MAX_STRING_BYTES:
            raise ArchiveError("Not an archive of pg_dump: a name or definition of more than 1 GiB.")
        return (yield length).decode(self._encoding, errors="replace")

    def _strings(self, count: int) -> Generator[int, bytes, list[str]]:
        taken = []
        for _number in range(count):
            taken.append((yield from self._string()))
        return taken


def _codec(definition: str) -> str:
    """Python's name of the encoding that an ENCODING entry sets; UTF-8 where Python has none (SQL_ASCII, MULE_INTERNAL).

    https://www.postgresql.org/docs/current/multibyte.html#MULTIBYTE-CHARSET-SUPPORTED
    """
    match = _ENCODING.match(definition)
    name = match[1] if match else ""
    for candidate in (name, name.replace("WIN", "cp"), name.replace("KOI8", "koi8_")):
        try:
            return codecs.lookup(candidate).name
        except LookupError:
            continue
    return "utf-8"
