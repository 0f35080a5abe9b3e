"""What is different between two snapshots. Pure: nothing is asked here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from backups.types import Snapshot, TableRows


class Kind(StrEnum):
    """What has happened to a table, in the order in which somebody wants to know it."""

    GONE = "gone"
    SHRUNK = "shrunk"
    ADDED = "added"
    GROWN = "grown"
    CHANGED = "changed"  # as many rows, and another fingerprint


ORDER = tuple(Kind)


@dataclass(frozen=True, kw_only=True)
class TableChange:
    """One table whose rows are more, fewer, or others; `before` is None where it was added, `after` where it is gone."""

    kind: Kind
    before: TableRows | None
    after: TableRows | None

    @property
    def name(self) -> str:
        """schema.table, as people read it."""
        table = self.before or self.after
        assert table is not None
        return table.name

    @property
    def rows(self) -> int:
        """How many more rows there are; below zero, how many fewer."""
        return (self.after.rows if self.after else 0) - (self.before.rows if self.before else 0)

    @property
    def bytes(self) -> int:
        """How many more bytes, as `rows`."""
        return (self.after.bytes if self.after else 0) - (self.before.bytes if self.before else 0)

    @property
    def percent(self) -> float | None:
        """By how much it has grown or shrunk, of the rows before; None where there were none."""
        return 100 * self.rows / self.before.rows if self.before and self.before.rows else None


@dataclass(frozen=True, kw_only=True)
class Changes:
    """From one snapshot to another. `unchanged` counts tables with as many rows as before, which need not be the same rows: of
    those, `identical` are known to be the same, by their fingerprints.
    """

    tables: tuple[TableChange, ...]
    unchanged: int
    identical: int
    migrations_added: tuple[str, ...]
    migrations_gone: tuple[str, ...]
    extensions_added: tuple[tuple[str, str], ...]  # name, version
    extensions_gone: tuple[tuple[str, str], ...]
    extensions_changed: tuple[tuple[str, str, str], ...]  # name, version before and after

    def of_kind(self, kind: Kind) -> tuple[TableChange, ...]:
        """The tables to which that has happened."""
        return tuple(change for change in self.tables if change.kind is kind)


def compare(before: Snapshot, after: Snapshot) -> Changes:
    """Everything that a snapshot tells and that is different."""
    tables = compare_tables(before.tables, after.tables)
    old, new = dict(before.extensions), dict(after.extensions)
    return Changes(
        tables=tables,
        unchanged=len(after.tables) - sum(change.after is not None for change in tables),
        identical=len(_fingerprinted(before.tables) & _fingerprinted(after.tables)),
        migrations_added=_not_in(before.migrations, after.migrations),
        migrations_gone=_not_in(after.migrations, before.migrations),
        extensions_added=tuple((name, new[name]) for name in sorted(new) if name not in old),
        extensions_gone=tuple((name, old[name]) for name in sorted(old) if name not in new),
        extensions_changed=tuple((name, old[name], new[name]) for name in sorted(old) if name in new and old[name] != new[name]),
    )


def compare_tables(before: Iterable[TableRows], after: Iterable[TableRows]) -> tuple[TableChange, ...]:
    """The tables that have other numbers of rows, or other fingerprints: what is gone first, then what has shrunk; the most rows
    first.
    """
    old = {(table.schema, table.table): table for table in before}
    new = {(table.schema, table.table): table for table in after}
    found = [change for name in old | new if (change := _change(old.get(name), new.get(name))) is not None]
    return tuple(sorted(found, key=lambda change: (ORDER.index(change.kind), -abs(change.rows), change.name)))


def alarming(changes: Iterable[TableChange], *, percent: int, least_rows: int) -> tuple[TableChange, ...]:
    """Tables that are gone, or have lost more than `percent` of their rows, which are `least_rows` or more."""
    return tuple(change for change in changes if change.kind is Kind.GONE or _has_lost(change, percent, least_rows))


def _has_lost(change: TableChange, percent: int, least_rows: int) -> bool:
    if change.kind is not Kind.SHRUNK or change.before is None:
        return False
    return -change.rows >= least_rows and -change.rows * 100 > percent * change.before.rows


def _change(before: TableRows | None, after: TableRows | None) -> TableChange | None:
    if before is not None and after is not None:
        if before.rows != after.rows:
            kind = Kind.SHRUNK if after.rows < before.rows else Kind.GROWN
        elif before.fingerprint and after.fingerprint and before.fingerprint != after.fingerprint:
            kind = Kind.CHANGED
        else:
            return None
    else:
        kind = Kind.GONE if after is None else Kind.ADDED
    return TableChange(kind=kind, before=before, after=after)


def _fingerprinted(tables: Iterable[TableRows]) -> set[tuple[str, str, int, str]]:
    return {(table.schema, table.table, table.rows, table.fingerprint) for table in tables if table.fingerprint}


def _not_in(known: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """In the order in which they were applied."""
    seen = set(known)
    return tuple(name for name in names if name not in seen)
