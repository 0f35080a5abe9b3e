"""The road back: DatabaseRestore proves a backup's bytes, loads them into a database of their own, and compares.

In this version the target is a database that does not exist or is empty; any other is refused by name.
"""

if __name__ == "__main__":  # python -m backups.restore: the same as manage.py db_restore
    from backups.standalone import main

    raise SystemExit(main("db_restore"))

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any, BinaryIO
from uuid import uuid4

from django.db import Error as DatabaseError
from django.utils import timezone

from backups import catalog, conf, history, interrupts, stores
from backups.exceptions import (
    BackupsError,
    CancelledError,
    ChecksumError,
    ComparisonError,
    HistoryError,
    RefusedError,
    StorageError,
)
from backups.models import BackupHistory, BackupRestore, Status
from backups.postgres import databases
from backups.postgres.compare import Comparison, compare
from backups.postgres.connect import Connection
from backups.postgres.load import load_archive
from backups.postgres.programs import ClientProgram, choose_pg_restore, major_of
from backups.reaping import scratch_folder, settle_lost_restores
from backups.types import OnProgress, Progress, Server, silent

MAX_JOBS = 4
_SCRATCH_HINT = "Make room, or name another folder in BACKUPS_SCRATCH_FOLDER."


class DatabaseRestore:
    """One restore of one backup into one target database.

    `filename` is a backup's, or its beginning, or "latest": the newest whole backup of `database` (an alias) in this
    environment. `keep_owners=False` gives everything to the target's user, for servers that lack the original roles.
    """

    def __init__(
        self,
        *,
        target: Server,
        filename: str = "latest",
        database: str = "default",
        keep_owners: bool = True,
        user: Any = None,
        on_progress: OnProgress = silent,
    ) -> None:
        databases.require_possible_name(target.database)
        self.settings = conf.current()
        self.filename = filename
        self.database = conf.server(database).database
        self.target = target
        self.keep_owners = keep_owners
        self.on_progress = on_progress
        self.staging: Server | None = None
        self._left_behind = ""
        self.problems: list[BackupsError] = []  # what did not stop the restore, but should be told
        self.row = BackupRestore(
            id=uuid4(),
            target_host=target.host,
            target_port=target.port,
            target_database=target.database,
            target_environment=self.settings.environment,
            restored_by=user,
        )
        self.run_id = str(self.row.id)

    def run(self) -> BackupRestore:
        """Restores; returns the row, succeeded, with its comparison report.

        Raises RefusedError before anything is touched, ComparisonError when the loaded database is not the one that was
        backed up, and other BackupsErrors, after what was begun was removed.
        """
        try:
            self._tell("checking")
            found = catalog.find(self.filename, environment=self.settings.environment, database=self.database)
            target = databases.examine(self.target)
            self._require_safe(found, target)
            program = self._program(found, target)
            with databases.restoring(self.target, run_id=self.run_id) as session, self._scratch() as scratch:
                self._record(found, session)
                archive = self._download(found, scratch)
                comparison = self._load(found, archive, program=program, target=target)
                with interrupts.held():  # what is in place is restored, and its row must say so
                    self._place()
                    self._finish(comparison)
        except BaseException as error:
            if self.row.status == Status.SUCCEEDED:  # a signal came when all was done
                return self.row
            self._drop_staging()
            raise self._failed(error) from error
        return self.row

    def _require_safe(self, found: catalog.Found, target: databases.Target) -> None:
        """All reasons against it at once, before anything is downloaded or touched."""
        snapshot = found.manifest.snapshot
        if not target.exists and not target.may_create:
            raise RefusedError(
                f"The role {self.target.user} may not create a database on {self.target.host}:{self.target.port}.",
                hint=f"Let a superuser create {self.target.database}, empty, or run: ALTER ROLE … CREATEDB.",
            )
        if target.objects:
            raise RefusedError(
                f"The database {self.target.database} on {self.target.host}:{self.target.port} is not empty. It was not touched.",
                detail=f"It has, for example: {', '.join(target.objects)}.",
                hint="Restore into a new database: --target-dbname NAME. It is made for you.",
            )
        if target.server_major < snapshot.server_version_num // 10000:
            raise RefusedError(
                f"The backup comes from PostgreSQL {snapshot.server_version}; the target's {target.server_version} is older.",
                hint=f"Restore to a server of PostgreSQL {snapshot.server_version_num // 10000} or newer.",
            )
        missing = sorted(set(snapshot.roles) - target.roles)
        if missing and self.keep_owners:
            raise RefusedError(
                f"The target server has no role {', '.join(missing)}, which owns or may use something in this backup.",
                hint="Create the role there (CREATE ROLE …), or give everything to the target's user with --no-owner.",
            )

    def _program(self, found: catalog.Found, target: databases.Target) -> ClientProgram:
        archive_major = major_of(found.manifest.pg_dump_version)
        return choose_pg_restore(
            archive_major=archive_major, target_major=target.server_major, folders=self.settings.client_folders
        )

    def _record(self, found: catalog.Found, session: Connection) -> None:
        """The row, and final states for lost ones. Where the history is lost, the restore goes on without one, and says so."""
        self.row.source_key = found.location
        try:
            self.row.backup = BackupHistory.objects.filter(id=found.manifest.id).first()
            history.add(self.row)
            history.start(self.row)
            settle_lost_restores(session, self.row, target=self.target, scratch=self._scratch_base())
        except BackupsError as error:
            self._unrecorded(error)
        except DatabaseError as error:
            self._unrecorded(history.unreachable(error))

    def _download(self, found: catalog.Found, scratch: Path) -> Path:
        """The archive in the scratch folder, its SHA-256 proven equal to the manifest's before anyone reads it."""
        size = found.manifest.size_bytes
        if (free := shutil.disk_usage(scratch).free) < size:
            raise StorageError(
                f"There is not enough room in {scratch.parent} for the backup's {size:,} bytes; {free:,} are free.",
                hint=_SCRATCH_HINT,
            )
        digest, done, archive = hashlib.sha256(), 0, scratch / "backup.dump"
        with archive.open("wb", buffering=0) as file:
            for chunk in found.store.stream(found.key):
                digest.update(chunk)
                _write(file, chunk)
                done += len(chunk)
                self.on_progress(Progress(phase="downloading", done_bytes=done, total_bytes=size, stored_bytes=done))
                if done > size:
                    break
        if done != size or digest.hexdigest() != found.manifest.checksum:
            raise ChecksumError(
                f"The bytes of {found.location} are not the ones that were backed up. The target was not touched.",
                detail=f"Expected {size} bytes, SHA-256 {found.manifest.checksum}; got {done} bytes, {digest.hexdigest()}.",
                hint="The object is damaged or was replaced. Choose another backup: icb db list",
            )
        return archive

    def _load(self, found: catalog.Found, archive: Path, *, program: ClientProgram, target: databases.Target) -> Comparison:
        """Into an empty database in one transaction; into a new one under a staging name, which it keeps until it is proven."""
        self._tell("loading")
        if target.exists:
            load_archive(
                program, self.target, archive=archive, run_id=self.run_id, single_transaction=True, keep_owners=self.keep_owners
            )
            self._left_behind = f"{self.target.database} now holds what was loaded, not proven. Drop it before you try again."
            return self._compare(found, self.target)
        self.staging = replace(self.target, database=databases.staging_name(self.target.database, run_id=self.run_id))
        snapshot = found.manifest.snapshot
        with interrupts.held():  # the server would go on making it while we drop what is not there yet
            databases.create(self.staging, encoding=snapshot.encoding, locale=snapshot.locale)
        interrupts.check()
        jobs = min(MAX_JOBS, os.cpu_count() or 1)
        load_archive(program, self.staging, archive=archive, run_id=self.run_id, jobs=jobs, keep_owners=self.keep_owners)
        return self._compare(found, self.staging)

    def _place(self) -> None:
        """Gives the proven staging database its final name."""
        if self.staging is not None:
            self._tell("renaming into place")
            databases.rename(self.staging, to=self.target.database)
            self.staging = None

    def _drop_staging(self) -> None:
        """Drops what was begun. Where that fails, too, the error that led here says so."""
        if self.staging is not None:
            try:
                databases.drop(self.staging)
            except BackupsError as error:
                self._left_behind = f"The database {self.staging.database} was left behind; drop it. {error.message}"

    def _compare(self, found: catalog.Found, loaded: Server) -> Comparison:
        self._tell("comparing")
        comparison = compare(loaded, found.manifest.snapshot.tables)
        self.row.comparison_report = comparison.report()
        if comparison.differences:
            raise ComparisonError(
                f"The restored database differs from the backup in {len(comparison.differences)} tables.",
                detail="\n".join(str(difference) for difference in comparison.differences[:20]),
                hint="Do not use the restored database. Choose another backup: icb db list",
            )
        return comparison

    def _finish(self, comparison: Comparison) -> None:
        try:
            # On a server that had lost its history, it may just have come back.
            if self.row._state.adding:
                history.add(self.row)
            history.succeed(self.row, finished_at=timezone.now(), comparison_report=comparison.report())
            self.problems.clear()
        except HistoryError as error:
            self._unrecorded(error)

    def _failed(self, error: BaseException) -> BackupsError:
        if isinstance(error, BackupsError):
            reason = error
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            reason = CancelledError(
                "The restore was cancelled."
                if self._left_behind
                else "The restore was cancelled. What it had begun was removed; the target is as it was."
            )
        else:
            reason = BackupsError("The restore failed unexpectedly.", detail=f"{type(error).__name__}: {error}")
        reason.detail = f"{reason.detail}\n{self._left_behind}".strip()
        reason.scrub(self._secrets())
        if not self.row._state.adding:
            try:
                history.update(self.row, comparison_report=self.row.comparison_report)
                history.fail(self.row, reason, cancelled=isinstance(reason, CancelledError))
            except HistoryError as unrecorded:
                reason.detail = f"{reason.detail}\nThe history could not be written either: {unrecorded.detail}".strip()
        return reason

    def _unrecorded(self, error: BackupsError) -> None:
        if not self.row._state.adding and self.row.started_at is None:
            self.row._state.adding = True
        self.problems.append(error.scrub(self._secrets()))

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder for the archive, named after the run: where we are killed, the next restore finds and removes it."""
        folder = scratch_folder(self._scratch_base(), self.row)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise StorageError(f"The folder {folder} can't be made.", detail=str(error), hint=_SCRATCH_HINT) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _scratch_base(self) -> Path:
        return self.settings.scratch_folder or Path(gettempdir())

    def _secrets(self) -> list[str]:
        return [*stores.secrets(), self.target.password]

    def _tell(self, phase: str) -> None:
        self.on_progress(Progress(phase=phase))


def _write(file: BinaryIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise StorageError(
            "The archive can't be written to the scratch folder.", detail=str(error), hint=_SCRATCH_HINT
        ) from error
