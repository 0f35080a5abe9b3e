"""The road out: DatabaseBackup makes one backup, from preflight to signed manifest. README.md walks along it."""

if __name__ == "__main__":  # python -m backups.backup: the same as manage.py db_backup
    from backups.standalone import main

    raise SystemExit(main("db_backup"))

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self
from uuid import uuid4

from django.utils import timezone

from backups import conf, history, interrupts, naming, stores
from backups.exceptions import BegunError, UsageError
from backups.manifest import serialize
from backups.models import BackupHistory, BackupType, Status
from backups.postgres import commands, snapshot
from backups.postgres.archive import ArchiveReader
from backups.postgres.connect import connected, located
from backups.postgres.dump import Dumped, run_dump
from backups.postgres.lock import require_held, run_lock
from backups.postgres.meter import DumpMeter
from backups.postgres.place import Place, place_of
from backups.postgres.privileges import require_everything_readable
from backups.postgres.programs import ClientProgram, choose_pg_dump
from backups.reaping import remove_orphans, settle_lost_runs
from backups.sealing import manifest_of, write_globals
from backups.signed import key_id
from backups.storage import keys
from backups.storage.store import Store
from backups.types import Globals, OnProgress, Progress, Server, Snapshot, TablesProgress, silent
from backups.unfinished import Unfinished
from backups.watching import alive, watched


class DatabaseBackup:
    """One backup of one database, to S3, to a local folder, or both.

    `database` is an alias of Django's DATABASES; `server` is backed up instead, where it is given. `fingerprints` says whether
    every row is hashed; None means what the settings say. `guards` are the migrations before which it is made ("app.name").

    Raises UsageError when the description breaks its rule, neither destination is chosen, or the alias is unknown.
    """

    def __init__(
        self,
        *,
        description: str,
        database: str = "default",
        server: Server | None = None,
        upload_to_s3: bool = True,
        save_local: bool = False,
        backup_type: BackupType = BackupType.MANUAL,
        user: Any = None,
        fingerprints: bool | None = None,
        guards: Sequence[str] = (),
        on_progress: OnProgress = silent,
    ) -> None:
        keys.slug(description)
        if not upload_to_s3 and not save_local:
            raise UsageError(
                "The backup has nowhere to go: neither S3 nor a local folder is chosen.",
                hint="Leave out --skip-upload, or add --save-local.",
            )
        self.settings = conf.current()
        self.server = server or conf.server(database)
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
            alias=database,
            triggered_by=user,
            guards=list(guards),
        )
        self.is_queued = False
        self.fingerprints = self.settings.fingerprint if fingerprints is None else fingerprints

    @classmethod
    def of_row(cls, row: BackupHistory, *, on_progress: OnProgress = silent) -> Self:
        """The backup that a queued row asks for. Raises as the constructor does."""
        story = cls(
            description=row.description,
            database=row.alias,
            upload_to_s3=bool(row.s3_key),
            save_local=bool(row.local_path),
            backup_type=BackupType(row.backup_type),
            on_progress=on_progress,
        )
        story.row, story.is_queued = row, True
        return story

    @property
    def key(self) -> str:
        """The key of the dump, in S3 and below the local folder."""
        return naming.key_of(self.row)

    @property
    def run_id(self) -> str:
        """By which the server's sessions and the store's objects are known as this run's."""
        return str(self.row.id)

    def request(self, *, slot: str = "") -> BackupHistory:
        """The row of a backup that somebody else makes: `of_row` does. `slot` is the moment of a schedule that it is for.

        Raises BegunError where that moment has its backup already, HistoryError, and ObjectExistsError.
        """
        self.row.slot = slot
        naming.record(self.row, destinations=self.destinations, local=self.stores.local)
        return self.row

    def run(self) -> BackupHistory:
        """Makes the backup; returns its row, succeeded.

        Raises BegunError where another process has a queued one already, else a BackupsError that says what failed, after
        everything unfinished was removed and the row tells the same.
        """
        with alive(self.row), watched(self.row, self.on_progress) as self.on_progress:
            if self.is_queued and not history.claim(self.row):
                raise BegunError(f"{self.row.filename} is being made already, or has ended.", hint="icb db list shows it.")
            self.unfinished = Unfinished(self.row)
            try:
                if not self.is_queued:
                    self.row.started_at = timezone.now()
                    naming.record(self.row, destinations=self.destinations, local=self.stores.local)
                self._make()
            except BaseException as error:
                if self.row.status == Status.SUCCEEDED:  # a signal came when all was done
                    return self.row
                raise self.unfinished.undo(error, server=self.server) from error
        return self.row

    def _make(self) -> None:
        program, table_bytes = self._preflight()
        with run_lock(self.server, run_id=self.run_id) as session:
            here = place_of(session, self.server)
            settle_lost_runs(session, database=self.row.database, here=here, stores=self.stores, own=self.row)
            remove_orphans(self.stores)
            history.start(self.row, **_fields_of(here))
            self._open(expected_bytes=table_bytes)
            self._tell("taking the snapshot")
            timeout = self.settings.lock_timeout_seconds
            with (
                snapshot.exported(self.server, run_id=self.run_id, lock_timeout_seconds=timeout) as opened,
                self._counting(opened) as counting,
            ):
                meter = DumpMeter(opened.tables, session=session, run_id=self.run_id, on_progress=self.on_progress)
                dumped = self._dump(program, opened, counting=counting, meter=meter)
                self._tell("counting rows", stored_bytes=dumped.size_bytes, tables=meter.tables())
                seen = counting.result()
            self._tell("completing", stored_bytes=dumped.size_bytes, tables=meter.tables())
            for _store, writer in self.unfinished.writers:
                writer.commit(checksum=dumped.checksum)
            cluster, lacking = write_globals(
                program, self.server, run_id=self.run_id, key=self.key, destinations=self.destinations
            )
            require_held(session)
            with interrupts.held():  # what has its manifest is a backup, and its row must say so
                self._seal(program, dumped, seen, cluster, [lacking] if lacking else [])

    def _preflight(self) -> tuple[ClientProgram, int]:
        """Whatever would make the backup fail later is found here, in seconds. Returns pg_dump, and the bytes of all tables."""
        self._tell("checking")
        with connected(self.server, application_name=f"backup:{self.run_id}") as connection:
            self.server = located(self.server, connection)
            history.update(self.row, **_fields_of(place_of(connection, self.server)))
            program = choose_pg_dump(connection.info.server_version // 10000, folders=self.settings.client_folders)
            require_everything_readable(connection)
            timeout = self.settings.lock_timeout_seconds
            table_bytes = snapshot.table_bytes(connection, self.server, lock_timeout_seconds=timeout)
        expected_bytes = history.expected_size(self.row, table_bytes=table_bytes)
        for store in self.destinations:
            store.require_usable(prefix=keys.prefix(self.settings.environment), expected_bytes=expected_bytes)
        return program, table_bytes

    def _open(self, *, expected_bytes: int) -> None:
        """A writer for each destination. It comes before every lock, because here it shows whether the bucket can be written."""
        for store in self.destinations:
            writer = store.open_writer(
                self.key, run_id=self.run_id, expected_bytes=expected_bytes, on_upload=self._remember_upload
            )
            self.unfinished.writers.append((store, writer))

    def _remember_upload(self, upload_id: str) -> None:
        history.update(self.row, upload_id=upload_id)

    @contextmanager
    def _counting(self, opened: snapshot.Exported) -> Iterator["Future[Snapshot]"]:
        """Rows are counted while pg_dump runs, in the transaction whose snapshot it has."""
        with ThreadPoolExecutor(1, thread_name_prefix="count") as pool:
            future = pool.submit(snapshot.describe, opened, fingerprints=self.fingerprints)
            try:
                yield future
            finally:
                snapshot.stop(opened, future)

    def _dump(
        self,
        program: ClientProgram,
        opened: snapshot.Exported,
        *,
        counting: "Future[Snapshot]",
        meter: DumpMeter,
    ) -> Dumped:
        """pg_dump in our snapshot, into every destination at once."""

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
            takers=[writer.write for _store, writer in self.unfinished.writers],
            stall_timeout_seconds=self.settings.stall_timeout_seconds,
            look=look,
        )

    def _seal(
        self, program: ClientProgram, dumped: Dumped, seen: Snapshot, cluster: Globals | None, warnings: Sequence[str]
    ) -> None:
        """The manifest, written last, makes it a backup; the row then says so."""
        finished_at = timezone.now()
        manifest = manifest_of(
            self.row,
            key=self.key,
            program=program,
            dumped=dumped,
            seen=seen,
            cluster=cluster,
            warnings=warnings,
            finished_at=finished_at,
        )
        data = serialize(manifest, signing_key=self.settings.signing_key)
        self.unfinished.manifest = data
        stored = [store.put_new(keys.manifest_key(self.key), data) for store in self.destinations]
        self.unfinished.is_sealed = True
        history.succeed(
            self.row,
            finished_at=finished_at,
            upload_id="",
            manifest_etag=stored[0].etag,
            **history.fields_of(manifest),
        )

    def _tell(self, phase: str, *, stored_bytes: int = 0, tables: TablesProgress | None = None) -> None:
        self.on_progress(Progress(phase=phase, stored_bytes=stored_bytes, tables=tables))


def _fields_of(place: Place) -> dict[str, str]:
    return {"server_address": place.address, "system_identifier": place.system_identifier}
