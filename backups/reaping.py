"""What dead runs left behind, tidied by the next run: a `running` row whose lock is free belongs to nobody alive."""

import shutil
from dataclasses import replace
from pathlib import Path

from django.utils import timezone

from backups import conf, history
from backups.exceptions import BackupsError, ManifestError, ObjectMissingError, StorageError
from backups.manifest import LIMIT_BYTES, parse
from backups.models import BackupHistory, BackupRestore, RestoreMode, RestorePurpose, Status, Verdict
from backups.postgres import databases, marks
from backups.postgres.connect import Connection
from backups.postgres.lock import end_sessions_of
from backups.postgres.place import Place, address, place_of
from backups.querysets import BackupHistoryQuerySet
from backups.storage.keys import globals_key, manifest_key, object_key
from backups.storage.store import Store
from backups.stores import Stores, secrets
from backups.types import Manifest, Server

_MAY_BE_THERE = {  # what was loaded in one transaction, of which only its end was not told
    str(RestoreMode.IN_PLACE): "It may have been loaded whole before: look what is in the database. ",
    str(RestoreMode.BESIDE): "What it brought may be there whole: look for its schema or database. ",
}


def settle_lost_runs(
    session: Connection, *, database: str, here: Place, stores: Stores, own: BackupHistory | None = None
) -> list[BackupHistory]:
    """Gives every lost run of this database its final state. The caller holds its lock on `session`; its own row, if it has one,
    is `own`.

    A run that died after its manifest was written is a success, and gets the manifest in every store that has its dump; any
    other is failed, its server sessions ended, its upload aborted and its object removed.
    """
    lost = _lost_runs(database, here, own)
    for run in lost:
        if run.server_address:  # else it has never come to a server
            end_sessions_of(session, run_id=str(run.id))
        if run.status == Status.PENDING:
            history.fail(run, _worker_lost("It had not begun."))
            continue
        try:
            found = _manifest_of(run, stores)
            if found is not None:
                _complete(run, *found, stores=stores)
                continue
        except StorageError:
            continue  # the store can't be asked, so nobody knows; the next run looks again
        left = _remove_leftovers(run, stores)
        history.fail(run, _worker_lost(left))
    return lost


def _lost_runs(database: str, here: Place, own: BackupHistory | None) -> list[BackupHistory]:
    """Those whose lock would be ours: our lock says nothing about runs in a database of the same name on another server."""
    ours = BackupHistory.objects.filter(database=database, environment=conf.current().environment)
    begun = [*ours.running(), *checking_and_dead(ours)]
    return [
        run
        for run in begun
        if (own is None or run.id != own.id)
        and (
            here.is_place_of(address=run.server_address, system_identifier=run.system_identifier)
            or (run.status == Status.PENDING and not run.server_address)
        )
    ]


def checking_and_dead(rows: BackupHistoryQuerySet) -> list[BackupHistory]:
    """Runs that had begun to check whether they can be made, and whose process is gone. They have made nothing yet."""
    checking = list(rows.checking())  # before who is alive is asked: whoever has begun was alive before its row said so
    alive = databases.backups_alive(history.server()) if checking else set()
    return [run for run in checking if str(run.id) not in alive]


def remove_orphans(stores: Stores) -> None:
    """Removes uploads that an earlier run of this environment had to leave, because the store was away when it failed.

    What still can't be removed keeps its upload id on its row, for the next time.
    """
    ended = BackupHistory.objects.of_environment(conf.current().environment).filter(status__in=(Status.FAILED, Status.CANCELLED))
    for run in ended.filter(bucket=stores.s3.bucket if stores.s3 else "").exclude(upload_id=""):
        if not _problems_of_removing(run, stores):
            history.update(run, upload_id="")


def settle_lost_restores(session: Connection, own: BackupRestore, *, target: Server, scratch: Path) -> list[BackupRestore]:
    """Gives every lost restore to this server its final state, and drops the staging database that it left.

    A restore lives as long as its session in the maintenance database of the target; `session` is one there.
    """
    rows = list(BackupRestore.objects.begun().exclude(id=own.id))
    marked = marks.stagings(target)  # first these and the rows, then who is alive: whoever has one is alive before
    here, alive = place_of(session, target), databases.restores_alive(session)
    lost = [run for run in rows if str(run.id) not in alive and _went_to(run, here)]
    for run in lost:
        end_sessions_of(session, run_id=str(run.id))  # the server goes on making a database for a client that is gone
        left = _drop_staging(run, target)  # waits for a swap that is being committed, after which there is none
        shutil.rmtree(scratch_folder(scratch, run), ignore_errors=True)
        if marks.was_swapped_in(target, run_id=str(run.id)):  # it died between the swap and its row
            replaced = (kept for kept in marks.kept_copies(target) if kept.kind == "before")
            kept = next((kept for kept in replaced if kept.restore_id == str(run.id)), None)
            beside = {"kept_database": kept.database, "kept_at": kept.kept_at} if kept else {}
            history.succeed(run, finished_at=timezone.now(), **beside)
        else:
            if run.purpose == RestorePurpose.VERIFICATION:
                history.update(run, verdict=Verdict.UNABLE)
            history.fail(run, _worker_lost(f"{_MAY_BE_THERE.get(run.mode, '')}{left}", target))
    for database, restore in marked:  # whose row was lost with its history
        if restore not in alive and restore != str(own.id):
            _drop(replace(target, database=database))
    return lost


def _went_to(run: BackupRestore, here: Place) -> bool:
    place = address(host=run.target_host, port=run.target_port)
    return here.is_place_of(address=place, system_identifier=run.target_system_identifier)


def _drop_staging(run: BackupRestore, target: Server) -> str:
    """Drops the staging database where there is one. What can't be dropped is said, and holds nobody up."""
    return _drop(replace(target, database=databases.staging_name(run.target_database, run_id=str(run.id)))) or _seen()


def _drop(staging: Server) -> str:
    try:
        databases.drop(staging)
    except BackupsError as error:
        return f"The database {staging.database} was left behind; drop it. {error}"
    return ""


def scratch_folder(scratch: Path, run: BackupRestore) -> Path:
    """Where a restore keeps the archive while it needs it."""
    return scratch / f"icb-restore-{run.id}"


def _manifest_of(run: BackupHistory, stores: Stores) -> tuple[Manifest, bytes] | None:
    """The valid manifest that this very run wrote, if it came so far; and its bytes."""
    key = object_key(environment=run.environment, filename=run.filename)
    for store in _stores_of(run, stores):
        try:
            data = store.read(manifest_key(key), limit_bytes=LIMIT_BYTES)
            found = parse(data, **conf.signing_keys())
        except (ObjectMissingError, ManifestError):  # a missing object is a StorageError, too: this one says no
            continue
        dump = store.head(key)
        if found.id == run.id and dump is not None and dump.size_bytes == found.size_bytes:
            return found, data
    return None


def _complete(run: BackupHistory, manifest: Manifest, data: bytes, *, stores: Stores) -> None:
    """What is left to do for a run that died while it wrote its manifests: every dump was proven before the first of them."""
    key = object_key(environment=run.environment, filename=run.filename)
    for store in _stores_of(run, stores):
        dump = store.head(key)
        if dump is not None and dump.size_bytes == manifest.size_bytes and store.head(manifest_key(key)) is None:
            store.put_new(manifest_key(key), data)
    history.succeed(run, finished_at=manifest.finished_at, upload_id="", **history.fields_of(manifest))


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
                store.delete(globals_key(key))
                store.delete(key)
        except StorageError as error:
            problems.append(str(error))
    return problems


def _stores_of(run: BackupHistory, stores: Stores) -> list[Store]:
    s3: list[Store] = [stores.s3] if stores.s3 is not None and run.s3_key and run.bucket == stores.s3.bucket else []
    local: list[Store] = [stores.local] if stores.local is not None and run.local_path else []
    return s3 + local


def _worker_lost(detail: str, *servers: Server) -> BackupsError:
    return BackupsError(
        "The worker was lost: its process ended without a word.",
        detail=detail,
        hint="It was killed, or the machine went down. Its own log and the kernel's (out of memory) may tell.",
    ).scrub(secrets(*servers))


def _seen() -> str:
    return f"Seen at {timezone.now():%Y-%m-%d %H:%M} UTC; its leftovers are removed."
