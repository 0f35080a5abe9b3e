"""What dead runs left behind, tidied by the next run: a `running` row whose lock is free belongs to nobody alive."""

from django.utils import timezone

from backups import conf, history
from backups.exceptions import BackupsError, ManifestError, ObjectMissingError, StorageError
from backups.manifest import LIMIT_BYTES, parse
from backups.models import BackupHistory
from backups.postgres.connect import Connection
from backups.postgres.lock import end_sessions_of
from backups.storage.keys import manifest_key, object_key
from backups.storage.store import Store
from backups.stores import Stores
from backups.types import Manifest


def settle_lost_runs(session: Connection, *, database: str, environment: str, stores: Stores) -> list[BackupHistory]:
    """Gives every lost run of this database its final state. The caller holds the database's lock on `session`.

    A run that died after its manifest was written is a success; any other is failed, its server sessions ended, its upload
    aborted and its object removed.
    """
    lost = list(BackupHistory.objects.running().filter(database=database, environment=environment))
    for run in lost:
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
    """Removes the upload, and the objects that this run made. What the store would not remove is said, not hidden."""
    key = object_key(environment=run.environment, filename=run.filename)
    problems = []
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
    return "\n".join(problems) or f"Seen at {timezone.now():%Y-%m-%d %H:%M} UTC; its leftovers are removed."


def _stores_of(run: BackupHistory, stores: Stores) -> list[Store]:
    s3: list[Store] = [stores.s3] if stores.s3 is not None and run.s3_key else []
    local: list[Store] = [stores.local] if stores.local is not None and run.local_path else []
    return s3 + local
