"""One backup: while it is made how far it is, then what is proven of it, what is in it, what can be done with it."""

import shlex
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import urlencode
from uuid import UUID

from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse

from backups import catalog, conf, damage, next_command, shrinking, words
from backups.admin import obstacles, proof
from backups.admin.page import found
from backups.admin.tables import Tables
from backups.admin.watching import Watched
from backups.damage import Damage
from backups.exceptions import BackupsError
from backups.fallback import instead_of
from backups.models import UNENDED, BackupHistory, Status
from backups.storage import keys
from backups.types import Server


class Backup(Watched):
    """The page of one."""

    def get(self, request: HttpRequest, id: UUID) -> HttpResponse:
        """As it runs, or what became of it."""
        row = found(BackupHistory.objects.select_related("triggered_by"), id)
        if row.status in UNENDED:
            return self.as_it_runs(row)
        facts = Facts(row)
        if row.status != Status.SUCCEEDED:
            return self.show("backups/ended.html", row=row, facts=facts)
        runs = proof.runs_of(row)
        previous = shrinking.previous(row)
        tables = Tables(row, previous, request.GET.get("sort", ""), request.GET.get("tables", ""))
        return self.show(
            "backups/backup.html",
            row=row,
            facts=facts,
            longest_reason=catalog.LONGEST_REASON,
            ladder=proof.ladder(row, runs, facts.damage),
            runs=runs[: proof.MOST_RUNS],
            has_more_runs=len(runs) > proof.MOST_RUNS,
            bad=next((run for run in runs if run.row.verdict == "bad"), None) if row.bad_at else None,
            verifying=next((run for run in runs if run.is_verification and run.is_unended), None),
            tables=tables,
            largest=max((abs(change.rows) for change in tables.changes), default=0),
        )


@dataclass(frozen=True)
class Facts:
    """What the page says of a row beside its fields."""

    row: BackupHistory

    @property
    def is_there(self) -> bool:
        """Whether it can be had: whole, and neither deleted nor missing, as far as the history knows."""
        return self.row.status == Status.SUCCEEDED and self.row.deleted_at is None and self.row.missing_at is None

    @property
    def is_ours(self) -> bool:
        """Whether it is of this site's environment."""
        return self.row.environment == conf.current().environment

    @cached_property
    def damage(self) -> Damage | None:
        """Of one that can be had and was not found bad: which of its copies are damaged or gone."""
        return damage.of_backup(self.row.pk) if self.is_there and self.row.bad_at is None else None

    @property
    def is_kept_here(self) -> bool:
        """Whether this site may download, pin and delete it."""
        return self.is_there and self.is_ours

    @property
    def total_bytes(self) -> int | None:
        """Of all tables, uncompressed."""
        total: int | None = self.row.table_snapshot.get("total", {}).get("bytes")
        return total

    @property
    def rate(self) -> float | None:
        """Bytes of tables a second, from its first step to the last."""
        return self.total_bytes / self.row.duration_seconds if self.total_bytes and self.row.duration_seconds else None

    @property
    def stored_percent(self) -> int | None:
        """How much of the database's size is stored."""
        size, whole = self.row.size_bytes, self.row.database_size_bytes
        return round(100 * size / whole) if size is not None and whole else None

    @property
    def shrunk(self) -> int:
        """How many of its warnings are of tables that have shrunk or are gone."""
        return len(shrinking.among(self.row.warnings))

    @property
    def odd(self) -> int:
        """How many of them are of something else."""
        return len(self.row.warnings) - self.shrunk

    @property
    def restore_command(self) -> str:
        """Brings it back onto the database that it is of; "" where the settings can't tell."""
        name = self.row.filename if self.is_ours else catalog.key_of(self.row)
        try:
            return next_command.restore(name, _server_of(self.row.database))
        except BackupsError:
            return ""

    @property
    def again_command(self) -> str:
        """Makes such a backup anew."""
        options = [*(["--save-local"] if self.row.local_path else []), *([] if self.row.s3_key else ["--skip-upload"])]
        options += ["--database", self.row.alias] if self.row.alias != "default" else []
        return words.printable(shlex.join(["icb", "db", "backup", self.row.description, *options]))

    @property
    def again_address(self) -> str:
        """The form for a new one, filled in with the same."""
        given = {"description": self.row.description, "database": self.row.alias}
        given |= {"upload_to_s3": "on"} if self.row.s3_key else {}
        given |= {"save_local": "on"} if self.row.local_path else {}
        return f"{reverse('backups_panel:new')}?{urlencode(given)}"

    @property
    def folder_address(self) -> str:
        """Where it is in the bucket, in the panel's browser of it."""
        return f"{reverse('backups_panel:storage')}?{urlencode({'prefix': keys.prefix(self.row.environment)})}"

    @property
    def said(self) -> tuple[str, str]:
        """What went wrong: in one line, and what else was said of it."""
        message, _newline, more = self.row.error_message.partition("\n")
        return message, more

    @property
    def is_clean(self) -> bool:
        """Whether nothing of it was left behind: what could not be aborted keeps its id on the row, or is said."""
        return not self.row.upload_id and "left behind" not in self.row.error_message

    @property
    def is_lost(self) -> bool:
        """Whether no store has it any more, so that another one is to be taken."""
        return obstacles.is_lost(self.row)

    @cached_property
    def other(self) -> BackupHistory | None:
        """What there is to fall back on, as the incident names it."""
        return instead_of(self.row)


def _server_of(database: str) -> Server:
    """The server of the alias that has a database of that name; else the site's own. Raises ConfigurationError."""
    for alias in connections:
        try:
            server = conf.server(alias)
        except BackupsError:
            continue
        if server.database == database:
            return server
    return replace(conf.server("default"), database=database)


urlpatterns = [path("<uuid:id>/", Backup.as_page(), name="backup")]
