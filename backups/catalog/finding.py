"""Picks the one backup that a person means, and proves its manifest."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches

from backups.catalog.proof import in_order, read_manifest
from backups.exceptions import BackupNotFoundError, BackupsError, ConfigurationError, ObjectMissingError, StorageError, UsageError
from backups.storage import keys
from backups.storage.store import Store
from backups.stores import configured
from backups.types import Manifest

SHOWN = 10


@dataclass(frozen=True)
class Found:
    """A backup that can be restored: its manifest, proven to be ours, and the store that has it."""

    manifest: Manifest
    store: Store
    key: str

    @property
    def location(self) -> str:
        """Where the dump is, for people."""
        return self.store.location(self.key)


def find(wanted: str, *, environment: str, database: str) -> Found:
    """The backup with that filename, key or path, or whose filename alone begins so; for "latest" the newest of that database.

    A key that names its environment is looked for there. Where the bucket can't be asked, a local copy of that very filename
    will do.

    Raises BackupNotFoundError with the nearest names, UsageError for a beginning of several, ManifestError when what is there
    can't be trusted, and StorageError when a store can't be asked.
    """
    stores = in_order(configured())
    if not stores:
        raise ConfigurationError(
            "Neither a bucket nor a local folder is configured, so there is no place to look for backups.",
            hint="Set AWS_S3_BACKUP_BUCKET or BACKUPS_LOCAL_FOLDER.",
        )
    if wanted == "latest":
        return _latest(stores, environment, database)
    typed_environment, filename = keys.split(wanted)
    environment = typed_environment or environment
    if not keys.is_filename(filename):
        filename = _completed(filename, stores, environment)
    return _of_filename(filename, stores, environment)


def _of_filename(filename: str, stores: Sequence[Store], environment: str) -> Found:
    key = keys.object_key(environment=environment, filename=filename)
    unasked: list[StorageError] = []
    for store in stores:
        try:
            return Found(read_manifest(store, key), store, key)
        except ObjectMissingError:
            continue
        except StorageError as error:
            unasked.append(error)
    if unasked:
        raise unasked[0]
    for store in stores:
        if store.head(key) is not None:
            raise BackupNotFoundError(
                f"{store.location(key)} has no manifest, so it is not a backup.",
                detail="Its run did not end, or somebody deleted the manifest: nothing proves what the dump holds.",
                hint="Choose another one: icb db list",
            )
    raise _not_found(filename, stores, environment)


def _latest(stores: Sequence[Store], environment: str, database: str) -> Found:
    """The newest whole backup of that database. An older one is never taken because a store is away: it is only named."""
    try:
        return _newest(stores, environment, database)
    except StorageError as error:
        for store in stores[1:]:
            with suppress(BackupsError):
                found = _newest([store], environment, database)
                error.hint += (
                    f"\nThe newest copy that can be had without it is from {found.manifest.started_at:%Y-%m-%d %H:%M} UTC."
                    f" Name it instead of latest: {found.manifest.filename}"
                )
        raise


def _newest(stores: Sequence[Store], environment: str, database: str) -> Found:
    """A failed run has no manifest, so it is none. Names tell the minute; within the newest one the manifests tell the later."""
    keyed = {key: store for store in reversed(stores) for key in _with_manifest(store, environment)}
    newest: Found | None = None
    others = set()
    for key in sorted(keyed, key=lambda key: keys.sortable(keys.filename_of(key)), reverse=True):
        if newest is not None and not keys.same_minute(key, newest.key):
            break
        found = Found(read_manifest(keyed[key], key), keyed[key], key)
        if found.manifest.database != database:
            others.add(found.manifest.database)
        elif newest is None or found.manifest.finished_at > newest.manifest.finished_at:
            newest = found
    if newest is None:
        raise BackupNotFoundError(
            f"There is no backup of the database {database} in the environment {environment} yet.",
            detail=f"There are backups of {', '.join(sorted(others))}: name one by its filename, or its alias with --database."
            if others
            else "",
            hint="icb db list shows what there is." if others else "Make one: icb db backup first",
        )
    return newest


def _with_manifest(store: Store, environment: str) -> list[str]:
    seen = {found.key for found in store.list(keys.prefix(environment))}
    return [key for key in seen if keys.is_backup_key(key) and keys.manifest_key(key) in seen]


def _completed(beginning: str, stores: Sequence[Store], environment: str) -> str:
    """The one filename that begins with what was typed. Raises UsageError when several do."""
    names = [name for name in _names(stores, environment) if name.startswith(beginning)]
    if len(names) == 1:
        return names[0]
    if not names:
        raise _not_found(beginning, stores, environment)
    more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    raise UsageError(
        f"{beginning!r} is the beginning of {len(names)} filenames.",
        detail="\n".join(names[:SHOWN] + more),
        hint="Type more of the one you mean.",
    )


def _not_found(wanted: str, stores: Sequence[Store], environment: str) -> BackupNotFoundError:
    nearest = get_close_matches(wanted[:200], _names(stores, environment), n=3, cutoff=0.3)
    return BackupNotFoundError(
        f"There is no backup {wanted[:120]!r} in the environment {environment}.",
        detail="The nearest are:\n" + "\n".join(nearest) if nearest else "",
        hint="icb db list shows what there is." if nearest else "icb db list --all-environments shows what there is.",
    )


def _names(stores: Sequence[Store], environment: str) -> list[str]:
    """Newest first."""
    return sorted(
        {keys.filename_of(key) for store in stores for key in _with_manifest(store, environment)},
        key=keys.sortable,
        reverse=True,
    )
