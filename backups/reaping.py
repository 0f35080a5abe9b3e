"""What dead runs left behind, tidied by the next run: a `running` row whose lock is free belongs to nobody alive."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from backups import conf, history
from backups.exceptions import BackupsError, ManifestError, ObjectMissingError, StorageError
from backups.manifest import LIMIT_BYTES, parse
from backups.models import BackupHistory, BackupRestore, Status
from backups.postgres import databases
from backups.postgres.connect import Connection
from backups.postgres.lock import end_sessions_of
from backups.storage.keys import manifest_key, object_key
from backups.storage.store import Store
from backups.stores import Stores
from backups.types import Manifest, Server

# A run is pending while it checks whether it can be made, which takes seconds, and is bounded by the timeouts of the store.
PREFLIGHT_LIMIT = timedelta(hours=1)


def settle_lost_runs(session: Connection, own: BackupHistory, *, system_identifier: str, stores: Stores) -> list[BackupHistory]:
    """Gives every lost run of this database its final state. The caller, whose row is `own`, holds its lock on `session`.

    A run that died after its manifest was written is a success; any other is failed, its server sessions ended, its upload
    aborted and its object removed.
    """
    ours = BackupHistory.objects.filter(database=own.database, environment=own.environment).exclude(id=own.id)
    # Another cluster may have a database of the same name; our lock says nothing about its runs.
    running = ours.running().filter(system_identifier__in=("", system_identifier))
    for run in (lost := [*running, *ours.pending_since(timezone.now() - PREFLIGHT_LIMIT)]):
        end_sessions_of(session, run_id=str(run.id))
        try:
            manifest = _manifest_of(run, stores)
        except StorageError:
            continue  # the store can't be asked, so nobody knows; the next run looks again
        if manifest is not None:
            history.succeed(run, finished_at=manifest.finished_at, upload_id="", **history.fields_of(manifest))
            continue
        left = _remove_leftovers(run, stores)
        history.fail(run, BackupsError("The worker was lost: its process ended without a word.", detail=left))
    return lost


def remove_orphans(own: BackupHistory, *, stores: Stores) -> None:
    """Removes uploads that an earlier run of this environment had to leave, because the store was away when it failed.

    What still can't be removed keeps its upload id on its row, for the next time.
    """
    left = BackupHistory.objects.filter(
        environment=own.environment, bucket=own.bucket, status__in=(Status.FAILED, Status.CANCELLED)
    ).exclude(upload_id="")
    for run in left:
        if not _problems_of_removing(run, stores):
            history.update(run, upload_id="")


def settle_lost_restores(session: Connection, own: BackupRestore, *, target: Server, scratch: Path) -> list[BackupRestore]:
    """Gives every lost restore to this server its final state, and drops the staging database that it left.

    A restore lives as long as its session in the maintenance database of the target; `session` is one there.
    """
    rows = BackupRestore.objects.filter(status=Status.RUNNING, target_host=target.host, target_port=target.port)
    alive = databases.restores_alive(session)
    for run in (lost := [run for run in rows.exclude(id=own.id) if str(run.id) not in alive]):
        databases.drop(replace(target, database=databases.staging_name(run.target_database, run_id=str(run.id))))
        shutil.rmtree(scratch_folder(scratch, run), ignore_errors=True)
        history.fail(run, BackupsError("The worker was lost: its process ended without a word.", detail=_seen()))
    return lost


def scratch_folder(scratch: Path, run: BackupRestore) -> Path:
    """Where a restore keeps the archive while it needs it."""
    return scratch / f"icb-restore-{run.id}"


def _manifest_of(run: BackupHistory, stores: Stores) -> Manifest | None:
    """The valid manifest that this very run wrote, if it came so far."""
    key = object_key(environment=run.environment, filename=run.filename)
    for store in _stores_of(run, stores):
        try:
            found = parse(store.read(manifest_key(key), limit_bytes=LIMIT_BYTES), signing_key=conf.current().signing_key)
        except (ObjectMissingError, ManifestError):  # a missing object is a StorageError, too: this one says no
            continue
        dump = store.head(key)
        if found.id == run.id and dump is not None and dump.size_bytes == found.size_bytes:
            return found
    return None


def _remove_leftovers(run: BackupHistory, stores: Stores) -> str:
    """Removes what the run made. What the store would not remove is said, not hidden, and its upload id stays on the row."""
    problems = _problems_of_removing(run, stores)
    if not problems:
        run.upload_id = ""
    return "\n".join(problems) or _seen()


def _problems_of_removing(run: BackupHistory, stores: Stores) -> list[str]:
    """Removes the upload, and the objects that this run made, where they have no manifest."""
    key = object_key(environment=run.environment, filename=run.filename)
    problems = []
    if run.s3_key and (stores.s3 is None or stores.s3.bucket != run.bucket):
        problems.append(
            f"The bucket {run.bucket} is not configured any more; look there for {key} and its upload {run.upload_id}."
        )
    for store in _stores_of(run, stores):
        try:
            if run.upload_id or store is stores.local:
                store.abort_upload(key, run.upload_id)
            stored = store.head(key)
            ours = stored is not None and (store is stores.local or dict(stored.metadata).get("backup-id") == str(run.id))
            if ours and store.head(manifest_key(key)) is None:
                store.delete(key)
        except StorageError as error:
            problems.append(str(error))
    return problems


def _stores_of(run: BackupHistory, stores: Stores) -> list[Store]:
    s3: list[Store] = [stores.s3] if stores.s3 is not None and run.s3_key and run.bucket == stores.s3.bucket else []
    local: list[Store] = [stores.local] if stores.local is not None and run.local_path else []
    return s3 + local


def _seen() -> str:
    return f"Seen at {timezone.now():%Y-%m-%d %H:%M} UTC; its leftovers are removed."
