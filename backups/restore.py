"""The road back: DatabaseRestore shows its plan, proves a backup, loads it out of sight, and puts it in place at once.

README.md walks along it. `landing.py` has the ways onto the target; `undo.py` is the way back from here.
"""

if __name__ == "__main__":  # python -m backups.restore: the same as manage.py db_restore
    from backups.standalone import main

    raise SystemExit(main("db_restore"))

import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

from backups import catalog, conf, interrupts, stores, words
from backups.backup import DatabaseBackup
from backups.copies import Copy
from backups.exceptions import BackupsError, ComparisonError, RefusedError
from backups.fetching import Fetched, fetch, scratch
from backups.judged import Judged
from backups.kept import drop_kept, expired_of
from backups.landing import Landing, Work, landing_for
from backups.migration_verdict import check_database
from backups.models import BackupRestore, BackupType, RestoreMode, Status
from backups.plan import Choices, Plan, make_plan
from backups.postgres import databases
from backups.postgres.compare import Comparison
from backups.reaping import scratch_folder
from backups.recorded import Recorded
from backups.types import OnProgress, Progress, Server, silent
from backups.watching import claimed, watched

_WITHOUT_BACKUP = "That was the backup of what is in {} now; nothing in it was changed. To go on without it: --no-safety-backup"


class DatabaseRestore:
    """One restore of one backup onto one target database.

    `filename` is a backup's, or its beginning, or "latest": the newest whole backup of `database` (an alias) in `environment`
    (this one's, where none is given). `from_file` is an archive on this machine instead. `confirm` is the target's name, typed
    by whoever restores: needed when there is something in it. `safety_backup` says whether a restore in place first backs up
    what is there. `row` is the queued one that asks for this restore, where one does.
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
        row: BackupRestore | None = None,
        on_progress: OnProgress = silent,
    ) -> None:
        databases.require_possible_name(target.database)
        self.settings = conf.current()
        self.filename = filename
        self.from_file = from_file
        self.trust_unsigned = trust_unsigned
        self.at_hand = conf.server(database)
        self.environment = environment or self.settings.environment
        self.target = target
        self.choices = choices or Choices()
        self.confirm = confirm
        self.safety_backup = safety_backup
        self.on_progress = on_progress
        self.problems: list[str] = []  # what did not stop the restore, but should be told
        self.is_queued = row is not None
        self.row = row or BackupRestore(
            id=uuid4(),
            target_host=target.host,
            target_port=target.port,
            target_database=target.database,
            target_environment=self.settings.environment,
            mode=_mode(self.choices),
            restored_by=user,
        )
        self.run_id = str(self.row.id)
        self.recorded = Recorded(self.row, target)
        self.judged = Judged(self.row, is_of_a_store=from_file is None, has_assertions=bool(self.settings.verify_assertions))
        self._plan: Plan | None = None
        self._left_behind = ""  # by a restore that failed, in words

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

        Raises BegunError where another process has a queued one already, RefusedError before anything is touched,
        ComparisonError when the loaded database is not the one that was backed up, and other BackupsErrors, after what was begun
        was removed.
        """
        with claimed(self.row, self.target) if self.is_queued else nullcontext():
            return self._run()

    def _run(self) -> BackupRestore:
        try:
            plan = self._agreed()
            with (
                watched(self.row, self.on_progress) as self.on_progress,
                databases.restoring(self.target, run_id=self.run_id) as session,
                scratch(scratch_folder(self._scratch_base(), self.row)) as folder,
            ):
                self.recorded.begin(plan, session, scratch=self._scratch_base())
                self._restore(plan, folder)
        except BaseException as error:
            if self.row.status == Status.SUCCEEDED:  # a signal came when all was done
                return self.row
            with interrupts.held():
                raise self.recorded.fail(error, left_behind=self._left_behind, is_bad=self.judged.is_bad) from error
        return self.row

    def _restore(self, plan: Plan, folder: Path) -> None:
        landing: Landing | None = None
        try:
            fetched = self._fetch(plan, folder)
            self.row.source_key = fetched.location
            self.problems += fetched.problems
            self._back_up_first(plan)
            landing = landing_for(
                Work(
                    plan=plan,
                    archive=fetched.archive,
                    folder=folder,
                    run_id=self.run_id,
                    safety_backup=self.row.safety_backup,
                    on_progress=self.on_progress,
                )
            )
            self._land(plan, landing)
        except BaseException:
            if landing is not None and self.row.status != Status.SUCCEEDED:
                with interrupts.held():
                    self._left_behind = landing.clear()
            raise

    def _fetch(self, plan: Plan, folder: Path) -> Fetched:
        told: list[Copy] = []
        try:
            with self.judged.reading():
                return fetch(plan.source, folder, told=told, on_progress=self.on_progress)
        finally:
            self.recorded.note_copies(told)

    def _source(self) -> catalog.Found | catalog.LocalArchive:
        if self.from_file is not None:
            return catalog.from_file(self.from_file, trust_unsigned=self.trust_unsigned)
        at_hand = self.at_hand
        return catalog.find(self.filename, environment=self.environment, database=at_hand.database, server=at_hand)

    def _agreed(self) -> Plan:
        """The plan, with nothing against it and everything decided. Raises RefusedError."""
        plan = self.plan()
        plan.require_possible()
        plan.require_confirmed(self.confirm)
        if self.choices.in_place and (self.choices.neutralize or (plan.asks_neutralize and self.choices.neutralize is None)):
            raise RefusedError(
                "In place, sessions, tokens and scheduled tasks are alive before they can be emptied. Nothing was touched.",
                hint="Restore without --in-place; or say --no-neutralize, where they may be alive.",
            )
        plan.require_decided()
        return plan

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
        with self.judged.loading():
            self._load_and_compare(plan, landing)
        self.problems += landing.prepare(self.recorded.when_done())
        interrupts.check()
        with interrupts.held():  # what is in place is restored, and its row must say so
            swapped = landing.place()
            if swapped is not None:
                self.row.kept_database, self.row.kept_at = swapped.kept or "", swapped.at
            self._finish(landing)

    def _load_and_compare(self, plan: Plan, landing: Landing) -> None:
        began = time.monotonic()
        landing.load()
        self.row.load_seconds = time.monotonic() - began
        comparison = landing.compare()
        self.row.comparison_report |= comparison.report() if comparison else {}
        if comparison is not None:
            self.row.comparison_report |= _migrations(plan, landing)
            if self.choices.schema_only:
                self.row.comparison_report["schema_only"] = True
            if self.choices.into_schema:
                self.row.comparison_report["schema"] = self.choices.into_schema
            _require_equal(comparison, in_place=self.choices.in_place)

    def _finish(self, landing: Landing) -> None:
        self.recorded.succeed()
        self.problems += self.recorded.problems
        for rest in (partial(landing.settle, self.recorded.when_done()), self.recorded.prove, self._let_go_of_expired):
            try:
                self.problems += rest()
            except BackupsError as error:
                self.problems.append(str(error.scrub(stores.secrets(self.target))))
            except Exception as error:  # noqa: BLE001 - the restore has succeeded; what is left to do must not hide that
                self.problems.append(f"Something after the restore failed unexpectedly: {type(error).__name__}: {error}")

    def _let_go_of_expired(self) -> list[str]:
        """What earlier restores of this very database have replaced, and the settings say was kept long enough."""
        expired = expired_of(self.target)
        drop_kept(self.target, expired)
        return [f"Dropped {one.database}, {words.size(one.size_bytes)}: it was kept long enough." for one in expired]

    def _scratch_base(self) -> Path:
        return self.settings.scratch_folder or Path(gettempdir())

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
