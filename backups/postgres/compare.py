"""Holds a loaded database against the snapshot that it was made from."""

from dataclasses import dataclass
from typing import Any

from backups.postgres.connect import connected
from backups.postgres.snapshot import count_rows, tables_of
from backups.types import Server, TableRows


@dataclass(frozen=True, order=True)
class Difference:
    """A table whose rows differ; None where the table is not there at all."""

    table: str
    expected: int | None
    found: int | None

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.table} is missing; the backup has it with {self.expected} rows"
        if self.expected is None:
            return f"{self.table} is not in the backup, but here it is with {self.found} rows"
        return f"{self.table} has {self.found} rows; the backup has {self.expected}"


@dataclass(frozen=True)
class Comparison:
    """What was compared, and where it differs."""

    tables: int
    rows: int
    differences: tuple[Difference, ...]

    def report(self) -> dict[str, Any]:
        """For the history: JSON."""
        return {
            "tables": self.tables,
            "rows": self.rows,
            "equal": not self.differences,
            "differences": [{"table": d.table, "expected": d.expected, "found": d.found} for d in self.differences],
        }


def compare(loaded: Server, expected: tuple[TableRows, ...]) -> Comparison:
    """Counts every table of the loaded database."""
    with connected(loaded, application_name="restore: compare") as connection:
        found = count_rows(connection, tables_of(connection))
    ours, theirs = _by_name(expected), _by_name(found)
    names = sorted(set(ours) | set(theirs))
    differences = [Difference(_dotted(name), ours.get(name), theirs.get(name)) for name in names]
    return Comparison(
        tables=len(found),
        rows=sum(theirs.values()),
        differences=tuple(d for d in differences if d.expected != d.found),
    )


def _by_name(tables: tuple[TableRows, ...]) -> dict[tuple[str, str], int]:
    return {(table.schema, table.table): table.rows for table in tables}


def _dotted(name: tuple[str, str]) -> str:
    return ".".join(name)
