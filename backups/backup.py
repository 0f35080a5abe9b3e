"""The road out: DatabaseBackup makes one backup, from preflight to signed manifest. README.md walks along it."""

if __name__ == "__main__":  # python -m backups.backup: the same as manage.py db_backup
    from backups.standalone import main

    raise SystemExit(main("db_backup"))

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

from django.utils import timezone

from backups import conf, history, interrupts, stores
from backups.exceptions import (
    BackupsError,
    CancelledError,
    HistoryError,
    ObjectExistsError,
    RunningError,
    StorageError,
    UsageError,
)
from backups.manifest import LIMIT_BYTES, key_id, serialize
from backups.models import BackupHistory, BackupType, Status
from backups.postgres import commands, snapshot
from backups.postgres.archive import ArchiveReader
from backups.postgres.connect import Connection, connected
from backups.postgres.dump import Dumped, run_dump
from backups.postgres.lock import require_held, run_lock
from backups.postgres.meter import DumpMeter
from backups.postgres.privileges import require_everything_readable
from backups.postgres.programs import ClientProgram, choose_pg_dump
from backups.reaping import remove_orphans, settle_lost_runs
from backups.storage import keys
from backups.storage.store import Store, Writer
from backups.types import Manifest, OnProgress, Progress, Snapshot, silent


class DatabaseBackup:
    """One backup of one database, to S3, to a local folder, or both.

    Raises UsageError when the description breaks its rule, neither destination is chosen, or the alias is unknown.
    """

    def __init__(
        self,
        *,
        description: str,
        database: str = "default",
        upload_to_s3: bool = True,
        save_local: bool = False,
        backup_type: BackupType = BackupType.MANUAL,
        user: Any = None,
        on_progress: OnProgress = silent,
    ) -> None:
        keys.slug(description)
        if not upload_to_s3 and not save_local:
            raise UsageError(
                "The backup has nowhere to go: neither S3 nor a local folder is chosen.",
                hint="Leave out --skip-upload, or add --save-local.",
            )
        self.settings = conf.current()
        self.server = conf.server(database)
        self.stores = stores.configured()
        self.destinations: list[Store] = []
        if upload_to_s3:
            self.destinations.append(self.stores.require_s3())
        if save_local:
            self.destinations.append(self.stores.require_local())
        key_id(self.settings.signing_key)
        self.description = description
        self.on_progress = on_progress
        self.row = BackupHistory(
            id=uuid4(),
            description=description,
            backup_type=backup_type,
            environment=self.settings.environment,
            database=self.server.database,
            bucket=self.stores.require_s3().bucket if upload_to_s3 else "",
            application_version=self.settings.application_version,
            triggered_by=user,
        )
        self.run_id = str(self.row.id)
        self._seal_data = b""  # the manifest, once one may have been written
        self._sealed = False  # every destination has its manifest

    @property
    def key(self) -> str:
        """The key of the dump, in S3 and below the local folder."""
        return keys.object_key(environment=self.settings.environment, filename=self.row.filename)

    def run(self) -> BackupHistory:
        """Makes the backup; returns its row, succeeded.

        Raises a BackupsError that says what failed, after everything unfinished was removed and the row tells the same.
        """
        writers: list[Writer] = []
        try:
            self._record()
            self._make(writers)
        except BaseException as error:
            if self.row.status == Status.SUCCEEDED:  # a signal came when all was done
                return self.row
            raise self._undone(error, writers) from error
        return self.row

    def _make(self, writers: list[Writer]) -> None:
        program = self._preflight()
        with run_lock(self.server, run_id=self.run_id) as session:
            cluster = snapshot.system_identifier(session)
            settle_lost_runs(session, self.row, system_identifier=cluster, stores=self.stores)
            remove_orphans(self.row, stores=self.stores)
            history.start(self.row, system_identifier=cluster)
            self._tell("taking the snapshot")
            timeout = self.settings.lock_timeout_seconds
            with snapshot.exported(self.server, run_id=self.run_id, lock_timeout_seconds=timeout) as opened:
                self._open(writers, expected_bytes=opened.table_bytes)
                with self._counting(opened) as counting:
                    dumped = self._dump(program, opened, writers, counting=counting, session=session)
                    self._tell("counting rows", stored_bytes=dumped.size_bytes)
                    seen = counting.result()
            self._tell("completing", stored_bytes=dumped.size_bytes)
            for writer in writers:
                writer.commit(checksum=dumped.checksum)
            require_held(session)
            with interrupts.held():  # what has its manifest is a backup, and its row must say so
                self._seal(program, dumped, seen)

    def _preflight(self) -> ClientProgram:
        """Whatever would make the backup fail later is found here, in seconds."""
        self._tell("checking")
        with connected(self.server, application_name=f"backup:{self.run_id}") as connection:
            program = choose_pg_dump(connection.info.server_version // 10000, folders=self.settings.client_folders)
            require_everything_readable(connection)
            timeout = self.settings.lock_timeout_seconds
            table_bytes = snapshot.table_bytes(connection, self.server, lock_timeout_seconds=timeout)
        expected_bytes = history.expected_size(self.row, table_bytes=table_bytes)
        for store in self.destinations:
            store.require_usable(prefix=keys.prefix(self.settings.environment), expected_bytes=expected_bytes)
        return program

    def _record(self) -> None:
        """The row, with a filename that no row, object or file has: the minute, else the second."""
        for with_seconds in (False, True):
            moment = timezone.now()
            self.row.filename = keys.filename(at=moment, description=self.description, with_seconds=with_seconds)
            self.row.created_at = moment
            self.row.s3_key = self.key if self.row.bucket else ""
            local = self.stores.local
            self.row.local_path = local.location(self.key) if local is not None and local in self.destinations else ""
            if not self._taken() and history.add(self.row):
                return
        raise ObjectExistsError(
            f"There is a backup {self.row.filename} already.", hint="Choose another description, or wait a second."
        )

    def _taken(self) -> bool:
        """Whether a destination has the key already. One that can't be asked is left to the preflight, which has the words."""
        for store in self.destinations:
            try:
                if store.head(self.key) is not None or store.head(keys.manifest_key(self.key)) is not None:
                    return True
            except StorageError:
                continue
        return False

    def _open(self, writers: list[Writer], *, expected_bytes: int) -> None:
        for store in self.destinations:
            writers.append(
                store.open_writer(self.key, run_id=self.run_id, expected_bytes=expected_bytes, on_upload=self._remember_upload)
            )

    def _remember_upload(self, upload_id: str) -> None:
        history.update(self.row, upload_id=upload_id)

    @contextmanager
    def _counting(self, opened: snapshot.Exported) -> Iterator["Future[Snapshot]"]:
        """Rows are counted while pg_dump runs, in the transaction whose snapshot it has."""
        with ThreadPoolExecutor(1, thread_name_prefix="count") as pool:
            future = pool.submit(snapshot.describe, opened)
            try:
                yield future
            finally:
                snapshot.stop(opened, future)

    def _dump(
        self,
        program: ClientProgram,
        opened: snapshot.Exported,
        writers: Sequence[Writer],
        *,
        counting: "Future[Snapshot]",
        session: Connection,
    ) -> Dumped:
        """pg_dump in our snapshot, into every destination at once."""
        meter = DumpMeter(opened.tables, session=session, run_id=self.run_id, on_progress=self.on_progress)

        def look(archive: ArchiveReader, size_bytes: int) -> None:
            meter.look(archive, stored_bytes=size_bytes)
            if counting.done():
                counting.result()  # raises what went wrong there, without waiting for the end of the dump

        command = commands.dump(
            program,
            self.server,
            snapshot_id=opened.id,
            run_id=self.run_id,
            lock_timeout_seconds=self.settings.lock_timeout_seconds,
        )
        return run_dump(
            command,
            takers=[writer.write for writer in writers],
            stall_timeout_seconds=self.settings.stall_timeout_seconds,
            look=look,
        )

    def _seal(self, program: ClientProgram, dumped: Dumped, seen: Snapshot) -> None:
        """The manifest, written last, makes it a backup; the row then says so."""
        finished_at = timezone.now()
        manifest = self._manifest(program, dumped, seen, finished_at=finished_at)
        data = serialize(manifest, signing_key=self.settings.signing_key)
        self._seal_data = data
        stored = [store.put_new(keys.manifest_key(self.key), data) for store in self.destinations]
        self._sealed = True
        history.succeed(
            self.row, finished_at=finished_at, upload_id="", manifest_etag=stored[0].etag, **history.fields_of(manifest)
        )

    def _manifest(self, program: ClientProgram, dumped: Dumped, seen: Snapshot, *, finished_at: datetime) -> Manifest:
        assert self.row.started_at is not None
        return Manifest(
            id=self.row.id,
            filename=self.row.filename,
            description=self.row.description,
            backup_type=str(self.row.backup_type),
            environment=self.row.environment,
            database=self.row.database,
            started_at=self.row.started_at,
            finished_at=finished_at,
            size_bytes=dumped.size_bytes,
            checksum=dumped.checksum,
            bucket=self.row.bucket,
            key=self.key,
            pg_dump_version=program.version,
            compression=dumped.compression,
            application_version=self.row.application_version,
            triggered_by=self.row.triggered_by.get_username() if self.row.triggered_by else "",
            snapshot=seen,
        )

    def _undone(self, error: BaseException, writers: Sequence[Writer]) -> BackupsError:
        """Removes everything unfinished, writes the row's final state; returns the error to raise."""
        reason = self._reason(error)
        if self._sealed:
            return HistoryError(
                f"The backup {self.row.filename} is whole and has its manifest, but the history does not know it yet.",
                detail=str(reason),
                hint="Nothing is lost: icb db list shows it, and it can be restored.",
            )
        problems = [problem for store in self.destinations if (problem := _attempt(partial(self._unseal, store)))]
        problems += [problem for writer in writers if (problem := _attempt(writer.abort))]
        if not problems:
            self.row.upload_id = ""
        reason.detail = "\n".join(filter(None, [reason.detail, *problems]))
        if self.row._state.adding:  # there was no history to write to
            return reason
        try:
            history.fail(self.row, reason, cancelled=isinstance(reason, CancelledError | RunningError))
        except HistoryError as unrecorded:
            reason.detail = f"{reason.detail}\nThe history could not be written either: {unrecorded.detail}".strip()
        return reason

    def _reason(self, error: BaseException) -> BackupsError:
        if isinstance(error, BackupsError):
            reason = error
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            reason = CancelledError("The backup was cancelled. Nothing of it was kept; earlier backups are untouched.")
        else:
            reason = BackupsError("The backup failed unexpectedly.", detail=f"{type(error).__name__}: {error}")
        return reason.scrub([*stores.secrets(), self.server.password])

    def _unseal(self, store: Store) -> None:
        """Takes away a manifest of ours, whose answer may have been lost: without it the dump is no backup."""
        key = keys.manifest_key(self.key)
        if not self._seal_data or store.head(key) is None:
            return
        if store.read(key, limit_bytes=LIMIT_BYTES) == self._seal_data:
            store.delete(key)

    def _tell(self, phase: str, *, stored_bytes: int = 0) -> None:
        self.on_progress(Progress(phase=phase, stored_bytes=stored_bytes))


def _attempt(step: Callable[[], None]) -> str:
    """Takes one step of the tidying; what goes wrong comes back as text, so that the other steps follow."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - whatever it is, the rest must be tidied too
        return f"Something was left behind: {error}"
    return ""
