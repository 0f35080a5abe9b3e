"""The tables of a backup as its page shows them: sorted as one likes, beside what they were in the backup before."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from backups import conf
from backups.admin import figures
from backups.changes import Kind, TableChange, alarming, compare_tables
from backups.models import BackupHistory
from backups.shrinking import LEAST_ROWS
from backups.types import TableRows

FIRST, MOST = 12, 2000  # rows: what is shown at first, and what a browser can be asked to draw
ALL = "all"
_COLUMNS: dict[str, "str | Promise"] = {"name": _("Table"), "rows": _("Rows"), "change": _("Change"), "size": _("Size")}
_DEFAULT = "-size"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A head of the table. `aria` says how it is sorted by it; "" where it is not."""

    name: str
    label: "str | Promise"
    address: str
    aria: str


@dataclass(frozen=True, kw_only=True)
class TableLine:
    """One table; `table` is None where it is gone, `change` where it is as in the backup before."""

    name: str
    table: TableRows | None
    change: TableChange | None
    has_fallen: bool
    share: str  # of the width that the biggest table has: an attribute of SVG

    @property
    def rows(self) -> int | None:
        """Now; None where it is gone."""
        return self.table.rows if self.table else None

    @property
    def bytes(self) -> int | None:
        """Now; None where it is gone."""
        return self.table.bytes if self.table else None

    @property
    def changed(self) -> int:
        """By how many rows."""
        return self.change.rows if self.change else 0

    def measured(self, by: str) -> int:
        """What it is sorted by."""
        return {"rows": self.rows or 0, "change": self.changed, "size": self.bytes or 0}[by]

    @property
    def told_change(self) -> str:
        """+4,118; empty where the rows are as many."""
        return figures.change(self.changed) if self.changed else ""

    @property
    def told_percent(self) -> "str | Promise":
        """+0.1%, or that it is new or gone."""
        if self.change is None:
            return ""
        if self.change.kind is Kind.GONE:
            return _("gone")
        if self.change.percent is None:
            return _("new")
        return figures.percent(self.change.percent) if self.changed else ""


@dataclass(frozen=True)
class Tables:
    """Those of a backup; `previous` is the one before it, None for the first. `sort` is a column, with "-" the other way."""

    row: BackupHistory
    previous: BackupHistory | None
    sort: str = _DEFAULT
    shown: str = ""

    @cached_property
    def changes(self) -> Sequence[TableChange]:
        """Since the backup before."""
        return compare_tables(_of(self.previous), self.all) if self.previous is not None else ()

    @cached_property
    def alarming(self) -> set[str]:
        """The tables that are gone, or have lost too much."""
        limit = conf.current().shrink_warning_percent
        return {change.name for change in alarming(self.changes, percent=limit, least_rows=LEAST_ROWS)}

    @cached_property
    def all(self) -> list[TableRows]:
        """As they were counted."""
        return _of(self.row)

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.all)

    @property
    def rows(self) -> int:
        """In all of them."""
        return sum(table.rows for table in self.all)

    @property
    def bytes(self) -> int:
        """Of all of them."""
        return sum(table.bytes for table in self.all)

    @property
    def counts(self) -> dict[str, int]:
        """How many are gone, shrunk, added, grown or changed."""
        return {str(kind): sum(change.kind is kind for change in self.changes) for kind in Kind}

    @cached_property
    def lines(self) -> list[TableLine]:
        """Those that are shown, in the order that is asked for."""
        changed = {change.name: change for change in self.changes}
        biggest = max((table.bytes for table in self.all), default=0)
        found = [self._line(table.name, table, changed.get(table.name), biggest) for table in self.all]
        found += [self._line(one.name, None, one, biggest) for one in self.changes if one.after is None]
        return self._sorted(found)[: MOST if self.shown == ALL else FIRST]

    @property
    def more(self) -> int:
        """How many tables are not shown."""
        return self.number + self.counts[Kind.GONE] - len(self.lines)

    @property
    def columns(self) -> dict[str, Column]:
        """The heads, by name."""
        return {name: self._column(name, label) for name, label in _COLUMNS.items()}

    @property
    def all_address(self) -> str:
        """Of all tables, sorted as now."""
        return "?" + urlencode({"sort": self._by, "tables": ALL}) + "#tables"

    @property
    def _by(self) -> str:
        return self.sort if self.sort.removeprefix("-") in _COLUMNS else _DEFAULT

    def _column(self, name: str, label: "str | Promise") -> Column:
        is_by, is_down = self._by.removeprefix("-") == name, self._by.startswith("-")
        other = name if (is_down if is_by else name == "name") else f"-{name}"
        query = {"sort": other} | ({"tables": ALL} if self.shown == ALL else {})
        aria = ("descending" if is_down else "ascending") if is_by else ""
        return Column(name=name, label=label, address=f"?{urlencode(query)}#tables", aria=aria)

    def _line(self, name: str, table: TableRows | None, change: TableChange | None, biggest: int) -> TableLine:
        share = 100 * table.bytes / biggest if table and biggest else 0
        return TableLine(name=name, table=table, change=change, has_fallen=name in self.alarming, share=f"{share:.1f}%")

    def _sorted(self, lines: list[TableLine]) -> list[TableLine]:
        by, is_down = self._by.removeprefix("-"), self._by.startswith("-")
        if by == "name":
            return sorted(lines, key=lambda line: line.name, reverse=is_down)
        sign = -1 if is_down else 1
        return sorted(lines, key=lambda line: (sign * line.measured(by), line.name))


def _of(row: BackupHistory) -> list[TableRows]:
    return [TableRows(**table) for table in row.table_snapshot.get("tables", [])]
