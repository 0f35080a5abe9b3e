"""How a proven archive gets onto its target: loaded beside it and swapped in, in place, or as a schema beside the live ones.

Whichever way: what is at the target stays as it is until the loaded data has been compared with the backup, but for `InPlace`,
which is all or nothing.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from django.utils import timezone

from backups import carry_over, catalog, conf, history, interrupts, next_command
from backups.exceptions import BackupsError, LoadError
from backups.plan import HistoryPlace, Plan
from backups.postgres import beside, databases, in_place, parts, properties, roles, swap
from backups.postgres import target as at_target
from backups.postgres.compare import Comparison, compare
from backups.postgres.load import load_archive
from backups.postgres.lock import run_lock
from backups.postgres.meter import LoadMeter
from backups.postgres.neutralize import neutralize
from backups.postgres.programs import ClientProgram, choose_pg_dump
from backups.types import OnProgress, Progress, Server, Snapshot

MAX_JOBS = 4
HISTORY_SCHEMA = "admin"
_AFTER_A_LOAD = (
    "The target was not touched. Where a role is missing, or may not own something: --no-owner --no-privileges give everything to"
    " the target's user, --map-role OLD=NEW lets another act for it. Where the disk is full: make room, and restore again."
)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every way is given. `folder` is the run's own scratch folder, `safety_backup` the filename of what was backed up of
    the target just before, if that was done.
    """

    plan: Plan
    archive: Path
    folder: Path
    run_id: str
    safety_backup: str
    on_progress: OnProgress

    @property
    def program(self) -> ClientProgram:
        """pg_restore; a plan without one is not carried out."""
        assert self.plan.program is not None
        return self.plan.program

    def tell(self, phase: str) -> None:
        """The phase that begins."""
        self.on_progress(Progress(phase=phase))


class Landing(Protocol):
    """One way onto the target. The calls come in this order; `clear` in every case that is not a success."""

    loaded: Server  # where the archive is loaded

    def load(self) -> None:
        """Loads the archive, where nobody else sees it if that can be had."""

    def compare(self) -> Comparison | None:
        """Holds what was loaded against the manifest; None where there is none."""

    def prepare(self, own_row: dict[str, Any]) -> list[str]:
        """Everything between proof and place; returns what should be told. `own_row` is the restore's row as it will be."""

    def place(self) -> str:
        """Puts it in place; returns the name under which the replaced database stays, if one does."""

    def settle(self, own_row: dict[str, Any]) -> list[str]:
        """What is left to do once it is in place; returns what should be told."""

    def clear(self) -> str:
        """Removes what was begun; returns what had to be left behind, in words."""


def landing_for(work: Work) -> Landing:
    """The way that was chosen."""
    if work.plan.choices.in_place:
        return InPlace(work)
    if work.plan.choices.into_schema:
        return Beside(work)
    return Swapped(work)


class _Staging:
    """A database of the run's own on the target's server, `<name>_restoring_<id>`."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.plan = work.plan
        name = databases.staging_name(work.plan.target.database, run_id=work.run_id)
        self.server: Server = replace(work.plan.target, database=name)
        self.exists = False
        self.tables: tuple[tuple[str, str], ...] = ()  # that were chosen, with their partitions; none means all

    def make(self) -> None:
        """Makes it, with the encoding and locale that were backed up, and a mark by which it is known as ours."""
        snapshot, there = self.plan.snapshot, self.plan.there.database
        with interrupts.held():  # the server would go on making it while we drop what is not there yet
            self.exists = True
            databases.create(
                self.server,
                encoding=snapshot.encoding if snapshot else None,
                locale=snapshot.locale if snapshot else None,
                tablespace=there.tablespace if there else None,
                run_id=self.work.run_id,
            )
            swap.mark_staging(self.server, run_id=self.work.run_id)
        interrupts.check()

    def load(self) -> None:
        """The archive, or the chosen parts of it."""
        work, choices = self.work, self.plan.choices
        work.tell("loading")
        common: dict[str, Any] = {
            "archive": work.archive,
            "run_id": work.run_id,
            "jobs": min(MAX_JOBS, os.cpu_count() or 1),
            "keep_owners": choices.keep_owners,
            "keep_privileges": choices.keep_privileges,
        }
        try:
            if choices.tables:
                self.tables = parts.load_tables(work.program, self.server, tables=choices.tables, folder=work.folder, **common)
            else:
                total = self.plan.snapshot.database_size_bytes if self.plan.snapshot else 0
                meter = LoadMeter(self.server, total_bytes=total, on_progress=work.on_progress)
                load_archive(work.program, self.server, schema_only=choices.schema_only, each_second=meter.look, **common)
        except LoadError as error:
            error.hint = _AFTER_A_LOAD
            raise

    def drop(self) -> str:
        """Drops it; in words what could not be dropped."""
        if not self.exists:
            return ""
        try:
            databases.drop(self.server)
        except BackupsError as error:
            return f"The database {self.server.database} was left behind; drop it. {error.message}"
        self.exists = False
        return ""


class Swapped:
    """Loaded beside the target, compared, and swapped in by two renames in one transaction."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.plan = work.plan
        self.staging = _Staging(work)
        self.loaded = self.staging.server
        self.lock = ExitStack()
        self._placed = ""
        self._captured: carry_over.Captured | None = None

    def load(self) -> None:
        if self.plan.there.database is not None:  # no backup is made of it while it is being replaced
            self.lock.enter_context(run_lock(self.plan.target, run_id=self.work.run_id, doing="restore"))
        self.plan.require_unchanged()
        for old, new in self.plan.choices.map_roles:
            roles.stand_in(self.plan.target, role=old, by=new)
        self.staging.make()
        self.staging.load()

    def compare(self) -> Comparison | None:
        return _compared(self.work, self.loaded, tables=self.staging.tables)

    def prepare(self, own_row: dict[str, Any]) -> list[str]:
        self.plan.require_unchanged()
        told: list[str] = []
        choices = self.plan.choices
        if choices.neutralize:
            self.work.tell("neutralizing")
            told += neutralize(self.staging.server, statements=conf.current().neutralize_sql)
        told += self._carry_history(own_row)
        if self.plan.there.database is not None:
            properties.carry(self.plan.target, self.staging.server)
        return told

    def _carry_history(self, own_row: dict[str, Any]) -> list[str]:
        if self.plan.choices.tables or self.plan.choices.schema_only:
            return []
        self.work.tell("carrying the history over")
        if self.plan.history is HistoryPlace.ELSEWHERE:
            return carry_over.apply(self.loaded, None, own=None, restored=self.plan.manifest)
        told, known = [], frozenset[str]()
        if self.plan.history is HistoryPlace.TARGET:
            captured = carry_over.capture(self.plan.target, folder=self.work.folder)
            told += carry_over.apply(self.loaded, captured, own=own_row, restored=self.plan.manifest)
            known = history.filenames()
        # What the history that is replaced does not know, because it was made anew after a loss, the bucket does.
        if manifests := catalog.manifests(but=known):
            captured = carry_over.from_manifests(manifests, folder=self.work.folder)
            own = None if self.plan.history is HistoryPlace.TARGET else own_row
            told += carry_over.apply(self.loaded, captured, own=own, restored=self.plan.manifest, in_use=own is None)
        return told

    def place(self) -> str:
        self.work.tell("swapping")
        self.plan.require_unchanged()
        self.lock.close()  # its session is on the database that is renamed
        found = self.plan.there.database
        swapped = swap.swap_in(
            self.staging.server,
            target=self.plan.target.database,
            expected_oid=found.oid if found else None,
            run_id=self.work.run_id,
            at=timezone.now(),
        )
        self.staging.exists = False
        self._placed = swapped.kept or ""
        if self.plan.history is not HistoryPlace.ELSEWHERE:
            history.reconnect()
        return "" if self.plan.there.is_empty else self._placed

    def settle(self, own_row: dict[str, Any]) -> list[str]:
        """Rows written to the history between carrying over and swap lie in the kept database, and nobody adds to it now."""
        if self._placed and self.plan.there.is_empty:
            return self._let_go_of_nothing()
        if not self._placed or self.plan.history is not HistoryPlace.TARGET:
            return []
        kept = replace(self.plan.target, database=self._placed)
        captured = carry_over.capture(kept, folder=self.work.folder)
        return carry_over.apply(self.plan.target, captured, own=own_row, restored=self.plan.manifest, in_use=True)

    def _let_go_of_nothing(self) -> list[str]:
        """The database that was replaced was empty: nobody needs it kept, unless somebody has used it in the meantime."""
        kept = next(kept for kept in swap.kept_copies(self.plan.target) if kept.database == self._placed)
        if not at_target.examine(replace(self.plan.target, database=kept.database)).is_empty:
            return [f"{kept.database} was empty when the restore began and is not any more, so it is kept."]
        swap.discard(self.plan.target, kept)
        return []

    def clear(self) -> str:
        self.lock.close()
        return self.staging.drop()


class InPlace:
    """For servers where no database can be created: dropped and made again in a single transaction, all or nothing."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.plan = work.plan
        self.loaded = work.plan.target
        self.lock = ExitStack()
        self._is_loaded = False

    def load(self) -> None:
        target, choices = self.plan.target, self.plan.choices
        self.lock.enter_context(run_lock(target, run_id=self.work.run_id, doing="restore"))
        self.plan.require_unchanged()
        self.work.tell("loading in place")
        use_list = parts.list_in_place(
            self.work.archive,
            staying=in_place.containers(target),
            without_schema=HISTORY_SCHEMA if self.plan.history is HistoryPlace.TARGET else "",  # the history stays as it is
            folder=self.work.folder,
        )
        swap.end_sessions(target, but=self.work.run_id)
        try:
            load_archive(
                self.work.program,
                target,
                archive=self.work.archive,
                run_id=self.work.run_id,
                single_transaction=True,
                clean=True,
                use_list=use_list,
                keep_owners=choices.keep_owners,
                keep_privileges=choices.keep_privileges,
            )
        except LoadError as error:
            error.hint = (
                f"It was one transaction: {target.database} is as it was. What is newer than the backup and depends on what is in"
                " it stands in the way; drop that first, or restore without --in-place, as a role that may create databases."
            )
            raise
        self._is_loaded = True

    def compare(self) -> Comparison | None:
        """Only what the backup has: tables that are newer stay, and so does the history where it lies here."""
        snapshot = self.plan.snapshot
        names = tuple((table.schema, table.table) for table in snapshot.tables) if snapshot else ()
        if self.plan.history is HistoryPlace.TARGET:
            names = tuple(name for name in names if name[0] != HISTORY_SCHEMA)
        return _compared(self.work, self.loaded, tables=names, only=True)

    def prepare(self, own_row: dict[str, Any]) -> list[str]:
        if self.plan.choices.neutralize:
            return list(neutralize(self.plan.target, statements=conf.current().neutralize_sql))
        return []

    def place(self) -> str:
        self.lock.close()
        return ""

    def settle(self, own_row: dict[str, Any]) -> list[str]:
        return []

    def clear(self) -> str:
        self.lock.close()
        if not self._is_loaded:
            return ""
        target, backup = self.plan.target, self.work.safety_backup
        told = f"{target.database} now holds what was loaded, not proven."
        if not backup:
            return f"{told} What was there before was not backed up just before, as you chose; icb db list shows what there is."
        return f"{told} What was there before comes back with: {next_command.restore_in_place(backup, target)}"


class Beside:
    """Chosen tables in a schema of their own beside the live ones, to fetch lost rows from with plain SQL."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.plan = work.plan
        self.staging = _Staging(work)
        self.loaded = self.staging.server

    def load(self) -> None:
        self.plan.require_unchanged()
        beside.require_free_schema(self.plan.target, schema=self.plan.choices.into_schema)
        self.staging.make()
        self.staging.load()

    def compare(self) -> Comparison | None:
        return _compared(self.work, self.loaded, tables=self.staging.tables)

    def prepare(self, own_row: dict[str, Any]) -> list[str]:
        return []

    def place(self) -> str:
        self.work.tell(f"putting them into the schema {self.plan.choices.into_schema}")
        beside.move_beside(
            choose_pg_dump(self.plan.there.server_major, folders=conf.current().client_folders),
            self.work.program,
            staging=self.staging.server,
            target=self.plan.target,
            schema=self.plan.choices.into_schema,
            tables=self.staging.tables,
            folder=self.work.folder,
            run_id=self.work.run_id,
        )
        return ""

    def settle(self, own_row: dict[str, Any]) -> list[str]:
        left = self.staging.drop()
        return [left] if left else []

    def clear(self) -> str:
        return self.staging.drop()


def _compared(work: Work, loaded: Server, *, tables: tuple[tuple[str, str], ...] = (), only: bool = False) -> Comparison | None:
    """With `only`, what else is in the loaded database does not matter."""
    expected = _expected(work.plan, tables)
    if expected is None:
        return None
    work.tell("comparing")
    return compare(
        loaded,
        expected,
        tables=tables if only else None,
        on_table=lambda name, done, total: work.on_progress(
            Progress(phase="comparing", table=name, done_bytes=done, total_bytes=total)
        ),
    )


def _expected(plan: Plan, chosen: tuple[tuple[str, str], ...]) -> Snapshot | None:
    """What the loaded database should hold: the chosen tables, without rows where only definitions were asked for."""
    snapshot = plan.snapshot
    if snapshot is None:
        return None
    tables = snapshot.tables
    if chosen:
        tables = tuple(table for table in tables if (table.schema, table.table) in chosen)
    if plan.choices.schema_only:
        tables = tuple(replace(table, rows=0) for table in tables)
    return replace(snapshot, tables=tables)
