"""What a restore or a verification has found, from what its row tells: the verdict, how it compared, the way back, what to do."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from backups import conf, kept, next_command
from backups.admin import figures
from backups.copies import Worth, not_good
from backups.exceptions import BackupsError
from backups.fallback import instead_of
from backups.models import BackupHistory, BackupRestore, Level, RestoreMode, RestorePurpose, Status, Verdict
from backups.types import Server


@dataclass(frozen=True, kw_only=True)
class ReportLine:
    """Something that was compared: a pill, what it is, what is to be said of it, and its figure."""

    kind: str
    icon: str
    label: str
    text: str
    detail: str = ""
    figure: str = ""


@dataclass(frozen=True)
class Report:
    """What the page says of a row that has ended, beside its fields."""

    row: BackupRestore

    @property
    def is_restore(self) -> bool:
        """Or a verification."""
        return self.row.purpose == RestorePurpose.RESTORE

    @property
    def seal(self) -> str:
        """The verdict's mark: ok, bad; none where nothing is decided."""
        if self.is_restore:
            decided = {Status.SUCCEEDED: "ok", Status.FAILED: "bad"}
            return "none" if self.row.undone_at else decided.get(Status(self.row.status), "none")
        if self.row.verdict == Verdict.GOOD:
            return "bad" if self.copies else "ok"
        return "bad" if self.row.verdict == Verdict.BAD else "none"

    @property
    def heading(self) -> str:
        """The sentence that comes first."""
        return self._of_restore() if self.is_restore else self._of_verification()

    def _of_restore(self) -> str:
        told = {"database": self.row.target_database}
        if self.row.undone_at:
            return _("%(database)s was put back to what it was before this restore") % told
        if self.row.status == Status.SUCCEEDED:
            return _("%(database)s was restored") % told
        if self.row.status == Status.CANCELLED:
            return _("The restore onto %(database)s was cancelled") % told
        return _("The restore onto %(database)s failed") % told

    def _of_verification(self) -> str:
        if self.row.verdict == Verdict.BAD:
            return _("The backup is bad")
        if self.row.status == Status.CANCELLED:
            return _("The verification was cancelled")
        if self.row.verdict != Verdict.GOOD:
            return _("The backup could not be verified here")
        if self.copies:
            return _("The backup is good, but one of its copies is not")
        return {
            Level.STORED: _("The store holds the bytes that were backed up"),
            Level.READABLE: _("The whole archive can be read"),
        }.get(Level(self.row.level or Level.RESTORED), _("The backup is good"))

    @property
    def lead(self) -> str:
        """What that means, in a sentence or two."""
        if not self.is_restore and self.row.verdict == Verdict.BAD:
            return _("It can't be relied on. Make a new one now, then see what is wrong with this one.")
        if not self.is_restore and self.row.verdict != Verdict.GOOD:
            return _("That says nothing about the backup: mend the cause, and try again.")
        if not self.is_restore and self.copies:
            return _("Another copy is, and that is enough to restore from. What to do about this one is told below.")
        if not self.is_restore and self.row.level != Level.RESTORED:
            return _("That does not prove yet that it can be restored.")
        if not self.compared:
            return "" if self.row.status != Status.SUCCEEDED else _("The archive has no manifest of ours: nothing was compared.")
        told = {name: figures.number(self.compared.get(name)) for name in ("tables", "rows")}
        if not self.compared.get("equal"):
            return _("What was loaded is not what was backed up. It was not put in place.") if self._was_apart else ""
        if self.row.undone_at:
            said = ngettext(
                "Its one table held exactly the rows that the backup counted, %(rows)s, until it was undone.",
                "All %(tables)s tables held exactly the rows that the backup counted, %(rows)s, until it was undone.",
                int(self.compared["tables"]),
            )
            return said % told
        if self.compared.get("schema_only"):
            said = ngettext(
                "Its one table is there, without rows, as was chosen.",
                "All %(tables)s tables are there, without rows, as was chosen.",
                int(self.compared["tables"]),
            )
            return said % told
        said = ngettext(
            "Its one table holds exactly the rows that the backup counted: %(rows)s.",
            "All %(tables)s tables hold exactly the rows that the backup counted: %(rows)s.",
            int(self.compared["tables"]),
        )
        return said % told

    @property
    def compared(self) -> Mapping[str, Any]:
        """How it compared; empty where nothing was compared."""
        report = self.row.comparison_report or {}
        return report if "tables" in report else {}

    @property
    def _was_apart(self) -> bool:
        return self.row.mode != RestoreMode.IN_PLACE

    @property
    def compared_when(self) -> str:
        """The heading of the report."""
        was_swapped = self.is_restore and self.row.mode == RestoreMode.SWAP and self.row.status == Status.SUCCEEDED
        return _("Compared before the swap") if was_swapped else _("Compared with the manifest")

    @property
    def lines(self) -> list[ReportLine]:
        """What was compared, each with how it matched."""
        return list(self._lines()) if self.compared else []

    def _lines(self) -> Iterator[ReportLine]:
        compared = self.compared
        differences = list(compared.get("differences", []))
        wrong = {one.get("kind", "table") for one in differences}
        tables, rows = figures.tables(int(compared["tables"])), figures.rows(int(compared.get("rows") or 0))
        if "table" in wrong or "contents" in wrong:
            yield _bad(_("Rows of every table"), figure=f"{tables}, {rows}")
        elif compared.get("schema_only"):
            yield _ok(_("Tables"), _("without rows, as was chosen"), tables)
        else:
            yield _ok(_("Rows of every table"), _("each has as many as the backup counted"), f"{tables}, {rows}")
        if self._was_apart:  # in place they are left as they are
            yield _bad(_("Extensions")) if "extension" in wrong else _ok(_("Extensions"), _("each of the backup's is there"))
        yield _bad(_("Indexes")) if "index" in wrong else _ok(_("Indexes"), _("none is invalid"))
        for difference in differences:
            yield _bad(str(difference.get("words", "")))
        for remark in compared.get("remarks", []):
            yield _warn(str(remark.get("words", "")), str(remark.get("mend") or ""))
        migrations = compared.get("migrations")
        if migrations:
            fits = not migrations.get("behind") and not migrations.get("unknown")
            yield (_ok if fits else _warn)(_("Migrations"), str(migrations.get("words", "")))

    @property
    def copies(self) -> list[dict[str, Any]]:
        """Copies that are damaged, or that could not be read, each with what was said and what to do."""
        return not_good(self.row.comparison_report or {})

    @property
    def good_copies(self) -> list[dict[str, Any]]:
        """Those that were proven."""
        report = self.row.comparison_report or {}
        return [copy for copy in report.get("copies", []) if copy["worth"] == Worth.GOOD]

    @property
    def said(self) -> tuple[str, str]:
        """What went wrong: its first line, and the rest."""
        first, _newline, rest = self.row.error_message.partition("\n")
        return first, rest

    @property
    def untouched(self) -> str:
        """What a failed or cancelled one has left as it was."""
        if self.row.started_at is None:
            return _("Everything: it had not begun.")
        if not self.is_restore:
            return _("A verification only reads. The backup and every database are as they were.")
        if self.row.mode == RestoreMode.IN_PLACE:
            return _("It runs in one transaction: unless the words above say otherwise, all of the target is as it was.")
        if self.row.mode == RestoreMode.BESIDE:
            return _("No live table: what was wanted is loaded apart from them.")
        return _("The target is as it was: a restore loads beside it, and this one never came to the swap.")

    @property
    def is_of_another(self) -> bool:
        """Whether another backup is to be taken: this one is bad, or what was loaded from it was not what it should hold."""
        is_bad = self.row.verdict == Verdict.BAD or (self.row.backup is not None and self.row.backup.bad_at is not None)
        return self.is_restore and (is_bad or (bool(self.compared) and not self.compared.get("equal")))

    @cached_property
    def other(self) -> BackupHistory | None:
        """The newest other backup of the same database that nothing speaks against: of the verified, else of any."""
        return instead_of(self.row.backup) if self.row.backup is not None else None

    @property
    def again(self) -> str:
        """The next command: tries it once more, or restores another backup; "" where what was chosen is not known."""
        if self.is_of_another and (self.other is None or self.row.mode == RestoreMode.BESIDE):
            return "icb db list"
        backup = self.other if self.is_of_another else self.row.backup
        name = backup.filename if backup else self.row.source_key.rpartition("/")[2]
        if not name or (self.is_restore and self.row.mode == RestoreMode.BESIDE):
            return ""
        if not self.is_restore:
            level = self.row.level or Level.RESTORED
            return shlex.join(["icb", "db", "verify", name, *([] if level == Level.RESTORED else ["--level", level])])
        try:
            command = next_command.restore(name, self._target())
        except BackupsError:  # the settings that would lead there are wrong, or gone
            return ""
        return f"{command} --in-place" if self.row.mode == RestoreMode.IN_PLACE else command

    def _target(self) -> Server:
        """As the site's settings lead there, if they do. Raises ConfigurationError."""
        alias = str((self.row.request or {}).get("target") or "default")
        server, site = conf.server(alias), conf.server("default")
        host, port, database = self.row.target_host, self.row.target_port, self.row.target_database
        is_it = (server.host or host, server.port or port, server.database) == (host, port, database)
        return server if is_it else replace(site, host=host, port=port, database=database)

    @property
    def is_kept(self) -> bool:
        """Whether what was replaced is still there, as far as the history tells."""
        return bool(self.is_restore and self.row.kept_database and self.row.status == Status.SUCCEEDED)

    @property
    def kept_until(self) -> datetime | None:
        """When what was replaced may be dropped by itself; None for never."""
        return kept.kept_until(self.row)

    @property
    def is_overdue(self) -> bool:
        """Whether the next restore onto the target drops it."""
        return kept.is_expired(self.row)

    @property
    def back_in_place(self) -> str:
        """The command that brings back what a restore in place has replaced; "" where nothing was backed up of it."""
        if not self.is_restore or not self.row.safety_backup or self.row.status != Status.SUCCEEDED:
            return ""
        try:
            return next_command.restore_in_place(self.row.safety_backup, self._target())
        except BackupsError:
            return ""


def _ok(text: str, detail: str = "", figure: str = "") -> ReportLine:
    return ReportLine(kind="ok", icon="check", label=_("OK"), text=text, detail=detail, figure=figure)


def _warn(text: str, detail: str = "") -> ReportLine:
    return ReportLine(kind="warn", icon="bang", label=_("Warn"), text=text, detail=detail)


def _bad(text: str, figure: str = "") -> ReportLine:
    return ReportLine(kind="bad", icon="cross", label=_("Bad"), text=text, figure=figure)
