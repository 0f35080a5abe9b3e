"""Holds a loaded database against the snapshot that it was made from.

A difference means that the load was not whole: rows, an extension, an index. What may just as well have been so in the source is
a remark (`remarks.py`): it is told, and does not fail a restore.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from backups.postgres.connect import Connection, connected
from backups.postgres.remarks import Remark, remarks_on
from backups.postgres.snapshot import Name, count_rows, tables_of
from backups.types import Server, Snapshot, TableRows
from backups.words import printable

OnTable = Callable[[str, int, int], None]  # the table that is counted now, bytes of those before it, bytes of all
# pg_dump leaves out indexes that are not valid, so one that is here was broken by the load. Those of partitioned tables are
# dumped, valid or not: https://www.postgresql.org/docs/current/sql-createindex.html (CONCURRENTLY, and ONLY)
_INVALID_INDEXES = """
    SELECT n.nspname, i.relname, t.nspname, c.relname
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
    JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace t ON t.oid = c.relnamespace
    WHERE NOT x.indisvalid AND i.relkind = 'i' AND c.relpersistence <> 't'
      AND t.nspname <> 'information_schema' AND t.nspname !~ '^pg_'
    ORDER BY 1, 2
"""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Where the loaded database is not the one that was backed up.

    `kind` is "table", whose number of rows differs, "contents", whose fingerprint does, "extension", whose version is expected,
    or "index", which is not valid; `name` is schema.name as people read it. `expected` and `found` are None where it is not
    there at all.
    """

    kind: str
    name: str
    expected: int | str | None
    found: int | str | None

    def __str__(self) -> str:
        name = printable(self.name)
        if self.kind == "index":
            return f"the index {name} is not valid: it was not built to its end"
        if self.kind == "contents":
            return f"{name} has as many rows as the backup, but not the same ones (fingerprint {self.found}, not {self.expected})"
        if self.kind == "extension":
            return f"the extension {name} is missing; the backup has it in version {self.expected}"
        if self.found is None:
            return f"{name} is missing; the backup has it with {self.expected} rows"
        if self.expected is None:
            return f"{name} is not in the backup, but here it is with {self.found} rows"
        return f"{name} has {self.found} rows; the backup has {self.expected}"

    def report(self) -> dict[str, Any]:
        """For the history: JSON. A table is named by `table`, too."""
        table = {"table": self.name} if self.kind in ("table", "contents") else {}
        return table | {
            "kind": self.kind,
            "name": self.name,
            "expected": self.expected,
            "found": self.found,
            "words": str(self),
        }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was compared, where it differs, and what should be told beside."""

    tables: int
    rows: int
    differences: tuple[Difference, ...]
    remarks: tuple[Remark, ...] = ()

    def report(self) -> dict[str, Any]:
        """For the history: JSON."""
        return {
            "tables": self.tables,
            "rows": self.rows,
            "equal": not self.differences,
            "differences": [difference.report() for difference in self.differences],
            "remarks": [remark.report() for remark in self.remarks],
        }


def _unseen(_table: str, _done: int, _total: int) -> None:
    """The OnTable of a caller who doesn't look."""


def compare(
    loaded: Server,
    expected: Snapshot,
    *,
    tables: Collection[Name] | None = None,
    on_table: OnTable = _unseen,
) -> Comparison:
    """Counts every table of the loaded database, and looks at its extensions, indexes, sequences, constraints and locale.

    With `tables`, only those and what hangs on them; other tables and the extensions are not looked at. `on_table` hears of each
    table before it is counted, and once with an empty name at the end. Raises PostgresError.
    """
    chosen = None if tables is None else frozenset(tables)
    with connected(loaded, application_name="restore: compare") as connection:
        fingerprinted = {(table.schema, table.table) for table in expected.tables if table.fingerprint}
        found = _counted(connection, chosen, fingerprinted, on_table)
        differences = [
            *_rows(_by_name(expected.tables, chosen), _by_name(found, chosen)),
            *_contents(_by_name(expected.tables, chosen), _by_name(found, chosen)),
            *(_missing_extensions(connection, expected) if chosen is None else ()),
            *_invalid_indexes(connection, chosen),
        ]
        remarks = tuple(remarks_on(connection, expected, tables=chosen))
    return Comparison(tables=len(found), rows=sum(t.rows for t in found), differences=tuple(differences), remarks=remarks)


def _counted(
    connection: Connection, chosen: Collection[Name] | None, fingerprinted: Collection[Name], on_table: OnTable
) -> tuple[TableRows, ...]:
    """One after the other: PostgreSQL reads a large table with several processes as it is."""
    tables = [table for table in tables_of(connection) if chosen is None or table[:2] in chosen]
    total, done = sum(size for _schema, _table, size in tables), 0
    counted: list[TableRows] = []
    for schema, table, size in tables:
        on_table(f"{schema}.{table}", done, total)
        counted += count_rows(connection, [(schema, table, size)], fingerprints=(schema, table) in fingerprinted)
        done += size
    on_table("", total, total)
    return tuple(counted)


def _rows(expected: Mapping[Name, TableRows], found: Mapping[Name, TableRows]) -> list[Difference]:
    rows = {name: tuple(side[name].rows if name in side else None for side in (expected, found)) for name in {*expected, *found}}
    return [
        Difference(kind="table", name=_dotted(name), expected=before, found=after)
        for name, (before, after) in sorted(rows.items())
        if before != after
    ]


def _contents(expected: Mapping[Name, TableRows], found: Mapping[Name, TableRows]) -> list[Difference]:
    """Where the rows are as many, and others."""
    return [
        Difference(kind="contents", name=_dotted(name), expected=before.fingerprint, found=found[name].fingerprint)
        for name, before in sorted(expected.items())
        if before.fingerprint
        and name in found
        and before.rows == found[name].rows
        and before.fingerprint != found[name].fingerprint
    ]


def _missing_extensions(connection: Connection, expected: Snapshot) -> list[Difference]:
    there = {name for (name,) in connection.execute("SELECT extname FROM pg_extension")}
    return [
        Difference(kind="extension", name=name, expected=version, found=None)
        for name, version in expected.extensions
        if name not in there
    ]


def _invalid_indexes(connection: Connection, chosen: Collection[Name] | None) -> list[Difference]:
    return [
        Difference(kind="index", name=_dotted((schema, index)), expected="valid", found="not valid")
        for schema, index, *table in connection.execute(_INVALID_INDEXES)
        if chosen is None or tuple(table) in chosen
    ]


def _by_name(tables: Collection[TableRows], chosen: Collection[Name] | None) -> dict[Name, TableRows]:
    return {(t.schema, t.table): t for t in tables if chosen is None or (t.schema, t.table) in chosen}


def _dotted(name: Name) -> str:
    return ".".join(name)
