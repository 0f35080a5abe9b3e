"""The list of backups as a table for people: as many columns as fit, nothing ever cut off."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from io import StringIO
from typing import TYPE_CHECKING, cast

from django.core.management.base import OutputWrapper
from django.utils import timezone

from backups import next_command, words
from backups.catalog import Entry, Listing
from backups.kept import kept_until
from backups.models import BackupType
from backups.postgres.swap import Kept
from backups.types import Server

if TYPE_CHECKING:
    from rich.console import Console
    from rich.segment import Segment

COLOURS = {"succeeded": "green", "failed": "red", "running": "cyan"}
GAP = 3  # between two columns
NARROW, WIDE = 42, 60  # a filename is given at least the one, and is folded beyond the other where room is scarce
UNLIMITED = 10_000  # where there is no terminal, nothing is folded


@dataclass
class _Column:
    name: str
    cells: list[str]
    is_number: bool = False
    styles: Sequence[str] = ()

    @cached_property
    def width(self) -> int:
        from rich.cells import cell_len

        return max(cell_len(text) for text in (self.name, *self.cells)) + GAP

    def style(self, number: int) -> str:
        return self.styles[number] if self.styles else ""


def print_listing(listing: Listing, out: OutputWrapper) -> None:
    """The table with a line on how far back one would have to go; or what to do when there is nothing."""
    if not listing.entries:
        out.write("Nothing could be listed.\n" if listing.problems else "No backups yet. Make one: icb db backup first\n")
        return
    from rich.console import Console

    on_terminal = out.isatty()
    width = None if on_terminal else UNLIMITED
    console = Console(file=StringIO(), force_terminal=on_terminal, width=width, highlight=False, markup=False)
    _print_entries(listing.entries, console, now=timezone.now())
    text = cast(StringIO, console.file).getvalue()
    out.write("".join(line.rstrip() + "\n" for line in text.splitlines()))


def print_kept(kept: Sequence[Kept], server: Server, out: OutputWrapper) -> None:
    """What restores have replaced on a server, what it costs, and the two ways to go on."""
    if not kept:
        return
    now = timezone.now()
    out.write(f"\nKept from restores, {words.size(sum(one.size_bytes or 0 for one in kept))}:")
    for one in kept:
        what = "what a restore had brought" if one.kind == "undone" else "replaced by a restore"
        name = words.printable(one.database)
        ages = f"{words.age(one.kept_at, now=now)}{words.until(kept_until(one))}"
        out.write(f"  {name}   {words.size(one.size_bytes)}   {what} {ages}")
        out.write(f"    back to it:   {next_command.undo(replace(server, database=one.replaced), kept=one.database)}")
    for replaced in sorted({one.replaced for one in kept}):
        name = words.printable(replaced)
        out.write(f"Let go of what was kept of {name}:   {next_command.discard(replace(server, database=replaced))}")


def _print_entries(entries: Sequence[Entry], console: "Console", *, now: datetime) -> None:
    columns, remarks = _columns(entries, now=now), [_remark(entry) for entry in entries]
    beside = _Column("remarks", remarks, styles=["yellow"] * len(remarks))
    fitting = _fitting(columns, width=console.width)
    has_room = sum(column.width for column in (*fitting, beside)) <= console.width
    if console.width - sum(column.width for column in fitting[1:]) < min(NARROW, fitting[0].width):
        _print_stacked(fitting, console)
    else:
        _print_table([*fitting, beside] if any(remarks) and has_room else fitting, console)
    for entry, remark in zip(entries, remarks, strict=True):
        if remark and not has_room:
            console.print(f"* {entry.filename}: {remark}", style="yellow", soft_wrap=True)
    console.print(_newest(entries, now=now), soft_wrap=True)


def _columns(entries: Sequence[Entry], *, now: datetime) -> list[_Column]:
    """All but the last four are always shown; those as they fit. The database's only where there are several."""
    several = len({(entry.environment, entry.database) for entry in entries}) > 1
    databases = [_Column("database", _databases(entries))] if several else []
    return [
        _Column("backup", [entry.filename for entry in entries]),
        *databases,
        _Column("age", [_age(entry, now=now) for entry in entries]),
        _Column("status", [_status(entry) for entry in entries], styles=[_colour(entry) for entry in entries]),
        _Column("stored", [words.size(entry.size_bytes) for entry in entries], is_number=True),
        _Column(
            "verified", [_proof(entry, now=now) for entry in entries], styles=["red" if one.bad_at else "" for one in entries]
        ),
        _Column("took", [words.duration(entry.duration_seconds) for entry in entries], is_number=True),
        _Column("rows", [words.count(entry.rows) for entry in entries], is_number=True),
        _Column("database size", [words.size(entry.database_size_bytes) for entry in entries], is_number=True),
    ]


def _fitting(columns: Sequence[_Column], *, width: int) -> list[_Column]:
    taken = list(columns[:-4])
    for column in columns[-4:]:
        if min(WIDE, columns[0].width) + sum(one.width for one in (*taken[1:], column)) > width:
            break
        taken.append(column)
    return taken


def _print_table(columns: Sequence[_Column], console: "Console") -> None:
    """In lines of its own: rich's table measures and draws each cell several times, which of ten thousand is most of a list."""
    from rich.segment import Segment, Segments

    widths = [column.width - GAP for column in columns]
    widths[0] = min(widths[0], console.width - sum(column.width for column in columns[1:]))
    drawn = [*_drawn([column.name for column in columns], ["bold"] * len(columns), columns, widths, console)]
    drawn += [Segment("─" * (sum(widths) + GAP * (len(columns) - 1))), Segment.line()]
    for number in range(len(columns[0].cells)):
        cells = [column.cells[number] for column in columns]
        drawn += _drawn(cells, [column.style(number) for column in columns], columns, widths, console)
    console.print(Segments(drawn), soft_wrap=True)
    console.print()


def _drawn(
    cells: Sequence[str], styles: Sequence[str], columns: Sequence[_Column], widths: Sequence[int], console: "Console"
) -> "Iterator[Segment]":
    """A line of the table; where the first cell is too wide for its column, the rest of it below."""
    from rich.cells import cell_len, chop_cells
    from rich.segment import Segment

    first, *below = chop_cells(cells[0], widths[0]) or [""]
    for column, text, style, width in zip(columns, (first, *cells[1:]), styles, widths, strict=True):
        told = Segment(text, console.get_style(style) if style and not console.no_color else None)
        space = Segment(" " * (width - cell_len(text)))
        yield from (space, told) if column.is_number else (told, space)
        yield Segment(" " * GAP)
    yield Segment.line()
    for text in below:
        yield from (Segment(text), Segment.line())


def _print_stacked(columns: Sequence[_Column], console: "Console") -> None:
    """For a narrow terminal: the name on a line of its own, so that it can be copied whole."""
    from rich.text import Text

    for number, name in enumerate(columns[0].cells):
        console.print(name, soft_wrap=True)
        parts = [Text(column.cells[number], style=column.style(number)) for column in columns[1:]]
        console.print(Text("    ") + Text("   ").join(parts), soft_wrap=True)
    console.print()


def _databases(entries: Sequence[Entry]) -> list[str]:
    """Of each entry; with its environment where there are several."""
    several = len({one.environment for one in entries}) > 1
    names = [words.printable(one.database) or "?" for one in entries]
    return [f"{one.environment}: {name}" for one, name in zip(entries, names, strict=True)] if several else names


def _age(entry: Entry, *, now: datetime) -> str:
    """A clock may be a minute ahead of another; what is further ahead has no age."""
    return "in the future" if entry.started_at > now + timedelta(minutes=1) else words.age(entry.started_at, now=now)


def _status(entry: Entry) -> str:
    return f"{entry.status} *" if _remark(entry) else entry.status


def _proof(entry: Entry, *, now: datetime) -> str:
    """Apart from the status: what a run says of itself, and what a restore has proven of its backup."""
    if entry.bad_at:
        return "BAD"
    return words.age(entry.verified_at, now=now) if entry.verified_at else "never"


def _colour(entry: Entry) -> str:
    return "yellow" if entry.mark.is_alarming else COLOURS.get(entry.status, "yellow")


def _remark(entry: Entry) -> str:
    """In one line: what is odd, and the first line of what went wrong; else the first of its warnings."""
    first_line = words.printable(entry.error_message.partition("\n")[0])
    odd = ": ".join(part for part in (str(entry.mark), first_line) if part)
    if odd or not entry.warnings:
        return odd
    more = f" (and {words.things(len(entry.warnings) - 1, 'more warning')})" if len(entry.warnings) > 1 else ""
    return words.printable(entry.warnings[0]) + more


def _newest(entries: Sequence[Entry], *, now: datetime) -> str:
    """How much would be lost, for every database of the list. One that was found bad brings nothing back."""
    newest: dict[str, Entry] = {}
    passed_over = False
    for entry, name in zip(entries, _databases(entries), strict=True):
        if entry.is_whole and entry.backup_type != BackupType.PRE_RESTORE and name not in newest:
            if entry.bad_at is not None:
                passed_over = True
                continue
            newest[name] = entry
    if not newest:
        return (
            "None of these is a whole backup. Older ones: icb db list --limit 0. Make a new one: icb db backup DESCRIPTION"
            if entries
            else "Make one: icb db backup DESCRIPTION"
        )
    ages = {name: words.age(entry.started_at, now=now) for name, entry in newest.items()}
    told = ", ".join(f"{name} {age}" for name, age in ages.items()) if len(ages) > 1 else next(iter(ages.values()))
    which = "latest"
    if len(ages) > 1:
        which = "BACKUP"
    elif passed_over:
        which = shlex.quote(next(iter(newest.values())).filename)
    kind = "Newest backup that is not bad" if passed_over else "Newest whole backup"
    return f"{kind}: {told}. Bring it back: icb db restore {which} --target-dbname NEW"
