"""The proof: BackupVerification reads a backup as far as it was asked to, and remembers what it has found.

Three levels, each with the ones before it: the store holds the bytes that were written; the archive can be read to its end; it
was restored into a scratch database and is what was backed up. Only the last is called verified.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

from django.db import Error as DatabaseError
from django.utils import timezone

from backups import catalog, conf, history, interrupts, records, stores
from backups.assertions import failed_assertions
from backups.copies import Proving, not_good
from backups.exceptions import (
    BackupNotFoundError,
    BackupsError,
    CancelledError,
    ChecksumError,
    ComparisonError,
    HistoryError,
    LostError,
    ManifestError,
    UnableError,
    unexpected,
)
from backups.fetching import ARCHIVE, download, prove, scratch
from backups.landing import Landing, Work, landing_for
from backups.models import BackupHistory, BackupRestore, Level, RestorePurpose, Status, Verdict
from backups.plan import Choices, Plan, make_plan
from backups.postgres import databases
from backups.postgres.connect import located
from backups.postgres.load import decode_archive
from backups.postgres.programs import choose_pg_restore, major_of
from backups.postgres.snapshot import system_identifier
from backups.reaping import scratch_folder, settle_lost_restores
from backups.recorded import FOUND_OUT
from backups.storage import keys
from backups.types import OnProgress, Progress, Server, silent
from backups.verdicts import is_the_backups_fault
from backups.watching import claimed, watched

LEVELS = [str(level) for level in Level]


class BackupVerification:
    """One verification of one backup. `filename`, `environment` and `row` are taken as DatabaseRestore takes them."""

    def __init__(
        self,
        *,
        filename: str = "latest",
        database: str = "default",
        environment: str = "",
        level: str = Level.RESTORED,
        user: Any = None,
        row: BackupRestore | None = None,
        on_progress: OnProgress = silent,
    ) -> None:
        self.settings = conf.current()
        self.filename = filename
        self.at_hand = conf.server(database)
        self.environment = environment or self.settings.environment
        self.level = Level(level)
        self.on_progress = on_progress
        self.problems: list[str] = []
        self.proving = Proving(read=self._read)
        self.is_queued = row is not None
        self.row = row or BackupRestore(
            id=uuid4(),
            purpose=RestorePurpose.VERIFICATION,
            level=self.level,
            source_key=filename,
            target_environment=self.settings.environment,
            restored_by=user,
        )
        self.run_id = str(self.row.id)
        self.server = self._server()
        self.row.target_host, self.row.target_port = self.server.host, self.server.port
        self.row.target_database = self.server.database

    def run(self) -> BackupRestore:
        """Verifies; returns the row with its verdict: good, bad, or unable to tell, and why. The report tells what each copy is
        worth: the backup is good while one of them is.

        Raises BegunError where another process has a queued one already, BackupNotFoundError and UsageError where it is not
        clear what is to be verified, HistoryError and ConnectError where nothing could be remembered, and CancelledError.
        """
        with claimed(self.row, self.server) if self.is_queued else nullcontext():
            return self._run()

    def _run(self) -> BackupRestore:
        found = self._found()
        with (
            databases.restoring(self.server, run_id=self.run_id) as session,
            watched(self.row, self.on_progress) as self.on_progress,
        ):
            self.row.target_system_identifier = system_identifier(session)
            here = located(self.server, session)  # as whoever settles this run will know it, if it dies
            self.row.target_host, self.row.target_port = here.host, here.port
            self._record(found)
            settle_lost_restores(session, self.row, target=self.server, scratch=self._scratch_base())
            try:
                if isinstance(found, BackupsError):
                    raise found
                self._verify(found)
            except BaseException as error:
                with interrupts.held():
                    self._end(error)
                if not isinstance(error, Exception):
                    raise CancelledError("The verification was cancelled. What it had begun was removed.") from error
            else:
                with interrupts.held():
                    self._end(None)
        return self.row

    def _server(self) -> Server:
        """Where it is restored to; for the lower levels the server of the history, so that others see that it is alive."""
        server = conf.server(self.settings.verify_database) if self.level is Level.RESTORED else history.server()
        return databases.named(server, f"verify_{self.run_id[:8]}")

    def _found(self) -> catalog.Copies | BackupsError:
        try:
            at_hand = self.at_hand
            return catalog.copies(self.filename, environment=self.environment, database=at_hand.database, server=at_hand)
        except (ManifestError, ChecksumError) as error:  # that is what a verification has to tell
            return error
        except BackupNotFoundError as error:
            if not self._is_lost():
                raise
            filename = keys.split(self.filename)[1]
            return LostError(f"No store has {filename} whole any more.", detail=error.message, hint=error.hint)

    def _is_lost(self) -> bool:
        """Whether the history knows it, and no store has it any more."""
        environment, filename = keys.split(self.filename)
        rows = BackupHistory.objects.of_environment(environment or self.environment).succeeded().filter(filename=filename)
        try:
            row = rows.filter(deleted_at=None).first()
        except DatabaseError as error:
            raise history.unreachable(error) from error
        return row is not None and catalog.is_lost(row)

    def _record(self, found: catalog.Copies | BackupsError) -> None:
        filename = keys.split(self.filename)[1] if isinstance(found, BackupsError) else keys.filename_of(found.key)
        if not isinstance(found, BackupsError):
            self.row.source_key = found.held[0].store.location(found.key)
        try:
            self.row.backup = BackupHistory.objects.filter(filename=filename).first()
        except DatabaseError as error:
            raise history.unreachable(error) from error
        if not self.is_queued:
            self.row.started_at = timezone.now()  # else it would look as if it were queued
            history.add(self.row)
        history.start(self.row, **{name: getattr(self.row, name) for name in FOUND_OUT})

    def _verify(self, copies: catalog.Copies) -> None:
        """*Stored* reads every copy, the higher levels the first that is good."""
        if self.level is Level.STORED:
            self.proving.first_good(copies, every=True)
            return
        with scratch(scratch_folder(self._scratch_base(), self.row)) as self.folder:
            found = self.proving.first_good(copies, every=False)
            if self.level is Level.RESTORED:
                self._restore(found, self.folder / ARCHIVE, self.folder)
                self._passed(Level.RESTORED)

    def _read(self, found: catalog.Found) -> None:
        """One copy, as far as can be told without restoring it."""
        self._is_of(found)
        if self.level is Level.STORED:
            prove(found, on_progress=self.on_progress)
            self._passed(Level.STORED)
            return
        archive = download(found, self.folder, on_progress=self.on_progress)
        self._passed(Level.STORED)
        self._tell("decoding")
        major = major_of(found.manifest.pg_dump_version)
        program = choose_pg_restore(archive_major=major, target_major=major, folders=self.settings.client_folders)
        decode_archive(program, archive, run_id=self.run_id)
        self._passed(Level.READABLE)

    def _is_of(self, found: catalog.Found) -> None:
        self.row.source_key, self.row.size_bytes = found.location, found.manifest.size_bytes
        if self.row.backup_id != found.manifest.id:  # the history has another one of that name
            self.row.backup = None

    def _restore(self, found: catalog.Found, archive: Path, folder: Path) -> None:
        plan = self._plan(found)
        work = Work(plan=plan, archive=archive, folder=folder, run_id=self.run_id, safety_backup="", on_progress=self.on_progress)
        with self._loaded(landing_for(work)) as landing:
            comparison = landing.compare()
            assert comparison is not None
            self.row.comparison_report = comparison.report()
            if comparison.differences:
                raise ComparisonError(
                    f"The restored database differs from the backup in {len(comparison.differences)} places.",
                    detail="\n".join(str(difference) for difference in comparison.differences[:20]),
                )
            if self.settings.verify_assertions:
                self._tell("asserting")
                failed = failed_assertions(
                    landing.loaded,
                    self.settings.verify_assertions,
                    started_at=found.manifest.started_at,
                    timeout_seconds=self.settings.stall_timeout_seconds,
                )
                if failed:
                    raise ComparisonError(
                        f"{len(failed)} of your assertions failed.",
                        detail="\n".join(failed),
                        hint="Look whether the data is wrong, or BACKUPS['VERIFY_ASSERTIONS']; then verify it again.",
                    )

    def _plan(self, found: catalog.Found) -> Plan:
        """For a database that nobody has. Raises UnableError with everything that the server lacks."""
        plan = make_plan(
            found,
            self.server,
            choices=Choices(keep_owners=False, keep_privileges=False),
            environment=self.settings.environment,
            scratch=self._scratch_base(),
            client_folders=self.settings.client_folders,
        )
        if plan.blocking:
            raise UnableError(
                "The server on which it should be restored lacks something.",
                detail="\n".join(" ".join(filter(None, (check.text, check.detail, check.hint))) for check in plan.blocking),
                hint="Another server can be named in BACKUPS_VERIFY_DATABASE: an alias of DATABASE_URL_<ALIAS>.",
            )
        return plan

    @contextmanager
    def _loaded(self, landing: Landing) -> Iterator[Landing]:
        """The backup in a scratch database, which is dropped whatever happens."""
        began = timezone.now()
        try:
            landing.load()
            self.row.load_seconds = (timezone.now() - began).total_seconds()
            yield landing
        finally:
            with interrupts.held():
                if left := landing.clear():
                    self.problems.append(left)

    def _passed(self, level: Level) -> None:
        """It is remembered at once: the next level may take hours, or fail for want of something else."""
        if self.row.backup is not None:
            history.proven(self.row.backup, level=level, at=timezone.now())

    def _end(self, error: BaseException | None) -> None:
        """The verdict into the row, and into that of the backup where it is bad."""
        try:
            if error is None:
                history.update(self.row, verdict=Verdict.GOOD, **self._found_out())
                history.succeed(self.row, finished_at=timezone.now())
            else:
                self._fail(error)
        except HistoryError as unrecorded:
            self.problems.append(str(unrecorded))
        try:
            records.write(self.row)
        except BackupsError as unwritten:
            told = unwritten.scrub(stores.secrets(self.server))
            self.problems.append(f"The record of this verification could not be written. {told}")

    def _fail(self, error: BaseException) -> None:
        reason = error if isinstance(error, BackupsError) else _unexpected(error)
        reason.scrub(stores.secrets(self.server))
        is_bad = is_the_backups_fault(reason)
        try:  # the backup's row first: whoever dies after it leaves a backup that is known as bad
            if is_bad and self.row.backup is not None:
                history.update(self.row.backup, bad_at=timezone.now())
        finally:
            history.update(self.row, verdict=Verdict.BAD if is_bad else Verdict.UNABLE, **self._found_out())
            history.fail(self.row, reason, cancelled=not isinstance(error, Exception))

    def _found_out(self) -> dict[str, Any]:
        report = self.row.comparison_report | {"copies": [copy.report() for copy in self.proving.told]}
        names = ("source_key", "size_bytes", "backup", "load_seconds")
        return {"comparison_report": report, **{name: getattr(self.row, name) for name in names}}

    def _scratch_base(self) -> Path:
        return self.settings.scratch_folder or Path(gettempdir())

    def _tell(self, phase: str) -> None:
        self.on_progress(Progress(phase=phase))


def _unexpected(error: BaseException) -> BackupsError:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return CancelledError("The verification was cancelled.")
    return unexpected("The verification failed unexpectedly.", error)


def is_good(row: BackupRestore) -> bool:
    """Whether the backup has passed, and no copy of it is damaged or could not be read."""
    return row.status == Status.SUCCEEDED and row.verdict == Verdict.GOOD and not not_good(row.comparison_report)
