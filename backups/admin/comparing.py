"""Two backups compared: what has become of the tables, from the one to the other, and what is around them."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from backups import catalog, conf, words
from backups.admin import figures, obstacles
from backups.admin.page import Page, found
from backups.changes import Changes, Kind, TableChange
from backups.diff import Difference, difference
from backups.exceptions import UsageError
from backups.models import BackupHistory
from backups.sentences import sentence

ALIKE = 200  # so many tables of one kind are shown


@dataclass(frozen=True, kw_only=True)
class Swing:
    """A table with its change. Its bar goes from the middle to the left where rows were lost; x and width in per cent."""

    name: str
    before: int | None
    after: int | None
    rows: int
    percent: str
    bytes: int
    x: str
    width: str

    @property
    def has_lost(self) -> bool:
        """Whether there are fewer rows."""
        return self.rows < 0


@dataclass(frozen=True, kw_only=True)
class Group:
    """Tables to which the same has happened; `more` of them are not shown."""

    kind: Kind
    title: str
    tables: Sequence[Swing]
    more: int

    @property
    def number(self) -> int:
        """How many there are, shown or not."""
        return len(self.tables) + self.more


class Diff(Page):
    """From the first to the other, by their manifests alone."""

    tab = "backups"

    def get(self, request: HttpRequest, id: UUID, other: UUID) -> HttpResponse:
        """As a page."""
        rows = BackupHistory.objects.only("id", "filename", "environment", "description", "status", "deleted_at")
        before, after = found(rows, id), found(rows, other)
        if before == after:
            raise UsageError(
                sentence(
                    gettext_noop("{filename} can't be compared with itself: nothing would differ."), filename=before.filename
                ),
                hint=sentence(gettext_noop("Tick two backups in the history, then compare them.")),
            )
        for row in (before, after):
            obstacles.require_usable(row)
        told = difference(catalog.key_of(before), catalog.key_of(after))
        return self.show(
            "backups/diff.html",
            before=before,
            after=after,
            told=told,
            groups=groups_of(told.changes),
            summary=summary_of(told.changes),
            command=bring_back(told),
        )


def groups_of(changes: Changes) -> list[Group]:
    """What matters first; the bars of all are to one scale."""
    largest = max((abs(change.rows) for change in changes.tables), default=0)
    titles = {
        Kind.GONE: _("Gone"),
        Kind.SHRUNK: _("Shrunk"),
        Kind.ADDED: _("Added"),
        Kind.GROWN: _("Grown"),
        Kind.CHANGED: _("As many rows, but others"),
    }
    found = [(kind, changes.of_kind(kind)) for kind in Kind]
    return [
        Group(
            kind=kind,
            title=titles[kind],
            tables=[_swing(change, largest=largest) for change in tables[:ALIKE]],
            more=max(0, len(tables) - ALIKE),
        )
        for kind, tables in found
        if tables
    ]


def summary_of(changes: Changes) -> str:
    """1 table is gone, 2 have shrunk, 1 was added; 60 have as many rows as before."""
    count = {kind: len(changes.of_kind(kind)) for kind in Kind}
    texts = {
        Kind.GONE: ngettext("%(number)s table is gone", "%(number)s tables are gone", count[Kind.GONE]),
        Kind.SHRUNK: ngettext("%(number)s has shrunk", "%(number)s have shrunk", count[Kind.SHRUNK]),
        Kind.ADDED: ngettext("%(number)s was added", "%(number)s were added", count[Kind.ADDED]),
        Kind.GROWN: ngettext("%(number)s has grown", "%(number)s have grown", count[Kind.GROWN]),
        Kind.CHANGED: ngettext("%(number)s has other rows", "%(number)s have other rows", count[Kind.CHANGED]),
    }
    told = [text % {"number": figures.number(count[kind])} for kind, text in texts.items() if count[kind]]
    same = ngettext(
        "%(number)s table has as many rows as before", "%(number)s tables have as many rows as before", changes.unchanged
    ) % {"number": figures.number(changes.unchanged)}
    if changes.identical:
        same += ", " + _("%(number)s of them the very same rows") % {"number": figures.number(changes.identical)}
    if not told:
        return f"{same}."
    return f"{', '.join(told)}; {same}." if changes.unchanged else f"{', '.join(told)}."


def bring_back(told: Difference) -> str:
    """The command that puts what was lost beside the live tables, from the first; "" where no table has lost rows."""
    lost = [*told.changes.of_kind(Kind.GONE), *told.changes.of_kind(Kind.SHRUNK)]
    if not lost or told.before.at > told.after.at:
        return ""
    change = lost[0]
    side, here = told.before, conf.current().environment
    command = ["icb", "db", "restore", side.name, "--table", change.name, "--into-schema", "rescued"]
    command += ["--environment", side.environment] if side.environment != here else []
    command += ["--target-dbname", side.database] if side.database != conf.server("default").database else []
    return words.printable(shlex.join(command))


def _swing(change: TableChange, *, largest: int) -> Swing:
    share = 50 * abs(change.rows) / largest if largest else 0.0
    return Swing(
        name=change.name,
        before=change.before.rows if change.before else None,
        after=change.after.rows if change.after else None,
        rows=change.rows,
        percent=_percent(change),
        bytes=change.bytes,
        x=f"{50 - share if change.rows < 0 else 50.0:.2f}",
        width=f"{share:.2f}",
    )


def _percent(change: TableChange) -> str:
    """\N{MINUS SIGN}98.3%, +12.0%; empty where the table has come, gone, or had no row."""
    return figures.percent(change.percent) if change.kind in (Kind.SHRUNK, Kind.GROWN) and change.percent is not None else ""


urlpatterns = [
    path("<uuid:id>/diff/<uuid:other>/", Diff.as_page(), name="diff"),
]
