"""The database in which an archive is loaded out of sight."""

import os
from dataclasses import replace
from typing import Any

from backups import interrupts
from backups.exceptions import BackupsError, LoadError
from backups.landing.work import Work
from backups.postgres import databases, parts, swap
from backups.postgres.load import load_archive
from backups.postgres.meter import LoadMeter
from backups.types import Server

MAX_JOBS = 4
_AFTER_A_LOAD = (
    "The target was not touched. Where a role is missing, or may not own something: --no-owner --no-privileges give everything to"
    " the target's user, --map-role OLD=NEW lets another act for it. Where the disk is full: make room, and restore again."
)


class Staging:
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
