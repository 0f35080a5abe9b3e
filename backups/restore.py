"""The road back: DatabaseRestore shows its plan, proves a backup, loads it out of sight, and puts it in place at once.

README.md walks along it. `landing.py` has the ways onto the target; `undo.py` is the way back from here.
"""

if __name__ == "__main__":  # python -m backups.restore: the same as manage.py db_restore
    from backups.standalone import main

    raise SystemExit(main("db_restore"))

import time
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

from django.db import Error as DatabaseError
from django.utils import timezone

from backups import catalog, conf, history, interrupts, stores
from backups.backup import DatabaseBackup
from backups.exceptions import BackupsError, CancelledError, ComparisonError, HistoryError, RefusedError
from backups.fetching import fetch, scratch
from backups.landing import Landing, Work, landing_for
from backups.migration_verdict import check_database
from backups.models import BackupHistory, BackupRestore, BackupType, RestoreMode, Status
from backups.plan import Choices, Plan, make_plan
from backups.postgres import databases
from backups.postgres.compare import Comparison
from backups.postgres.connect import Connection
from backups.reaping import scratch_folder, settle_lost_restores
from backups.types import OnProgress, Progress, Server, silent

_WITHOUT_BACKUP = "That was the backup of what is in {} now; nothing in it was changed. To go on without it: --no-safety-backup"


class DatabaseRestore:
    """One restore of one backup onto one target database.

    `filename` is a backup's, or its beginning, or "latest": the newest whole backup of `database` (an alias) in `environment`
    (this one's, where none is given). `from_file` is an archive on this machine instead. `confirm` is the target's name, typed
    by whoever restores: needed when there is something in it. `safety_backup` says whether a restore in place first backs up
    what is there.
    """

    def __init__(
        self,
        *,
        target: Server,
        filename: str = "latest",
        from_file: Path | None = None,
        trust_unsigned: bool = False,
        database: str = "default",
        environment: str = "",
        choices: Choices | None = None,
        confirm: str = "",
        safety_backup: bool = True,
        user: Any = None,
        on_progress: OnProgress = silent,
    ) -> None:
        databases.require_possible_name(target.database)
        self.settings = conf.current()
        self.filename = filename
        self.from_file = from_file
        self.trust_unsigned = trust_unsigned
        self.database = conf.server(database).database
        self.environment = environment or self.settings.environment
        self.target = target
        self.choices = choices or Choices()
        self.confirm = confirm
        self.safety_backup = safety_backup
        self.on_progress = on_progress
        self.problems: list[str] = []  # what did not stop the restore, but should be told
        self._not_written: list[str] = []  # why the history does not know of it
        self.row = BackupRestore(
            id=uuid4(),
            target_host=target.host,
            target_port=target.port,
            target_database=target.database,
            target_environment=self.settings.environment,
            mode=_mode(self.choices),
            restored_by=user,
        )
        self.run_id = str(self.row.id)
        self._plan: Plan | None = None

    def plan(self) -> Plan:
        """What it would do. Looked up once; changes nothing.

        Raises BackupNotFoundError, ManifestError, StorageError and ConnectError where there is nothing to plan with.
        """
        if self._plan is None:
            self._tell("checking")
            self._plan = make_plan(
                self._source(),
                self.target,
                choices=self.choices,
                environment=self.settings.environment,
                scratch=self._scratch_base(),
                client_folders=self.settings.client_folders,
            )
            self.target = self._plan.target
        return self._plan

    def decide(self, *, neutralize: bool) -> None:
        """What nobody had said when the plan was made."""
        self.choices = replace(self.choices, neutralize=neutralize)
        if self._plan is not None:
            self._plan = replace(self._plan, choices=self.choices)

    def run(self) -> BackupRestore:
        """Restores; returns the row, succeeded, with its comparison report.

        Raises RefusedError before anything is touched, ComparisonError when the loaded database is not the one that was
        backed up, and other BackupsErrors, after what was begun was removed.
        """
        landing: Landing | None = None
        try:
            plan = self._agreed()
            with (
                databases.restoring(self.target, run_id=self.run_id) as session,
                scratch(scratch_folder(self._scratch_base(), self.row)) as folder,
            ):
                self._record(plan, session)
                archive = fetch(plan.source, folder, on_progress=self.on_progress)
                self._back_up_first(plan)
                landing = landing_for(
                    Work(
                        plan=plan,
                        archive=archive,
                        folder=folder,
                        run_id=self.run_id,
                        safety_backup=self.row.safety_backup,
                        on_progress=self.on_progress,
                    )
                )
                self._land(plan, landing)
        except BaseException as error:
            if self.row.status == Status.SUCCEEDED:  # a signal came when all was done
                return self.row
            raise self._failed(error, left_behind=landing.clear() if landing else "") from error
        return self.row

    def _source(self) -> catalog.Found | catalog.LocalArchive:
        if self.from_file is not None:
            return catalog.from_file(self.from_file, trust_unsigned=self.trust_unsigned)
        return catalog.find(self.filename, environment=self.environment, database=self.database)

    def _agreed(self) -> Plan:
        """The plan, with nothing against it and everything decided. Raises RefusedError."""
        plan = self.plan()
        plan.require_possible()
        plan.require_confirmed(self.confirm)
        if plan.asks_neutralize and self.choices.neutralize is None:
            raise RefusedError(
                "This is a backup of production, and this is not: shall its sessions, tokens and scheduled tasks be alive here?",
                hint="Say --neutralize to empty and disable them, or --no-neutralize to keep them.",
            )
        return plan

    def _record(self, plan: Plan, session: Connection) -> None:
        """The row, and final states for lost ones. Where the history is lost, the restore goes on without one, and says so."""
        row = self.row
        row.source_key = plan.source.location
        row.target_host, row.target_port = plan.target.host, plan.target.port
        row.target_system_identifier = plan.there.system_identifier
        row.size_bytes = plan.size_bytes
        try:
            row.backup = BackupHistory.objects.filter(id=plan.manifest.id).first() if plan.manifest else None
            history.add(row)
            history.start(row)
            settle_lost_restores(session, row, target=self.target, scratch=self._scratch_base())
        except BackupsError as error:
            self._unrecorded(error)
        except DatabaseError as error:
            self._unrecorded(history.unreachable(error))
        row.started_at = row.started_at or timezone.now()

    def _back_up_first(self, plan: Plan) -> None:
        """In place there is no database to go back to, so what is there is backed up before."""
        if not self.choices.in_place or plan.there.is_empty or not self.safety_backup:
            return
        self._tell("backing up what is there")
        has_bucket = stores.configured().s3 is not None
        story = DatabaseBackup(
            description="before restore",
            server=self.target,
            upload_to_s3=has_bucket,
            save_local=not has_bucket,
            backup_type=BackupType.PRE_RESTORE,
            user=self.row.restored_by,
            on_progress=self.on_progress,
        )
        try:
            self.row.safety_backup = story.run().filename
        except BackupsError as error:
            error.hint = f"{error.hint}\n{_WITHOUT_BACKUP.format(plan.target.database)}".strip()
            raise

    def _land(self, plan: Plan, landing: Landing) -> None:
        began = time.monotonic()
        landing.load()
        self.row.load_seconds = time.monotonic() - began
        comparison = landing.compare()
        self.row.comparison_report = comparison.report() if comparison else {}
        if comparison is not None:
            self.row.comparison_report |= _migrations(plan, landing)
            if self.choices.schema_only:
                self.row.comparison_report["schema_only"] = True
            if self.choices.into_schema:
                self.row.comparison_report["schema"] = self.choices.into_schema
            _require_equal(comparison, in_place=self.choices.in_place)
        self.problems += landing.prepare(self._own_row())
        interrupts.check()
        with interrupts.held():  # what is in place is restored, and its row must say so
            self.row.kept_database = landing.place()
            self._finish(landing)

    def _finish(self, landing: Landing) -> None:
        try:
            if self.row._state.adding:  # the history was lost, and may just have come back, with this row in it or without
                history.add(self.row)
                self.row._state.adding = False
            history.succeed(
                self.row,
                finished_at=timezone.now(),
                comparison_report=self.row.comparison_report,
                kept_database=self.row.kept_database,
                safety_backup=self.row.safety_backup,
                load_seconds=self.row.load_seconds,
            )
            self._not_written.clear()
        except HistoryError as error:
            self.row.status = Status.SUCCEEDED
            self._unrecorded(error)
        self.problems += self._not_written
        try:
            self.problems += landing.settle(self._own_row())
        except BackupsError as error:
            self.problems.append(str(error.scrub(self._secrets())))

    def _own_row(self) -> dict[str, Any]:
        """The row as it will be when the restore has succeeded, by column: it must be in the history that is swapped in."""
        now = timezone.now()
        values = {str(field.column): getattr(self.row, field.attname) for field in self.row._meta.concrete_fields}
        started = self.row.started_at or self.row.created_at
        return values | {
            "status": Status.SUCCEEDED.value,
            "finished_at": now,
            "duration_seconds": (now - started).total_seconds(),
        }

    def _failed(self, error: BaseException, *, left_behind: str) -> BackupsError:
        if isinstance(error, BackupsError):
            reason = error
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            reason = CancelledError(
                "The restore was cancelled."
                if left_behind
                else "The restore was cancelled. What it had begun was removed; the target is as it was."
            )
        else:
            reason = BackupsError("The restore failed unexpectedly.", detail=f"{type(error).__name__}: {error}")
        reason.detail = f"{reason.detail}\n{left_behind}".strip()
        reason.scrub(self._secrets())
        if not self.row._state.adding:
            try:
                history.update(self.row, comparison_report=self.row.comparison_report, safety_backup=self.row.safety_backup)
                history.fail(self.row, reason, cancelled=isinstance(reason, CancelledError))
            except HistoryError as unrecorded:
                reason.detail = f"{reason.detail}\nThe history could not be written either: {unrecorded.detail}".strip()
        return reason

    def _unrecorded(self, error: BackupsError) -> None:
        if not self.row._state.adding and self.row.started_at is None:
            self.row._state.adding = True
        self._not_written = [str(error.scrub(self._secrets()))]

    def _scratch_base(self) -> Path:
        return self.settings.scratch_folder or Path(gettempdir())

    def _secrets(self) -> list[str]:
        return stores.secrets(self.target)

    def _tell(self, phase: str) -> None:
        self.on_progress(Progress(phase=phase))


def _require_equal(comparison: Comparison, *, in_place: bool) -> None:
    if comparison.differences:
        raise ComparisonError(
            f"The restored database differs from the backup in {len(comparison.differences)} places.",
            detail="\n".join(str(difference) for difference in comparison.differences[:20]),
            hint="" if in_place else "It was not put in place. Choose another backup: icb db list",
        )


def _migrations(plan: Plan, landing: Landing) -> dict[str, Any]:
    """How the migrations in the loaded database fit this code, where it is this project's: told, no reason to fail."""
    if plan.manifest is None or plan.choices.tables or plan.choices.schema_only:
        return {}
    try:
        verdict = check_database(landing.loaded, application_version=plan.manifest.application_version)
    except BackupsError:
        return {}
    return {"migrations": verdict.report()} if verdict.is_ours else {}


def _mode(choices: Choices) -> RestoreMode:
    if choices.in_place:
        return RestoreMode.IN_PLACE
    return RestoreMode.BESIDE if choices.into_schema or choices.tables or choices.schema_only else RestoreMode.SWAP
