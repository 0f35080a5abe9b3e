"""Picks the one backup that a person means, and proves its manifest."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches

from backups.catalog.held import Copies, Found, Held, found_in, in_environment, not_whole, prove, told_stores
from backups.catalog.newest import find_newest
from backups.catalog.proof import in_order
from backups.exceptions import BackupNotFoundError, BackupsError, ConfigurationError, ManifestError, StorageError, UsageError
from backups.models import BackupHistory
from backups.sentences import sentence as _
from backups.storage import keys
from backups.storage.store import Store
from backups.stores import configured
from backups.types import Server

SHOWN = 10


def find(wanted: str, *, environment: str, database: str, server: Server | None = None) -> Found:
    """The backup with that filename, key or path, or whose filename alone begins so; for "latest" the newest of that database,
    on the cluster of `server` where it has any.

    A key that names its environment is looked for there. Of that very backup, a local copy will do where the bucket can't be
    asked or has it no longer whole.

    Raises BackupNotFoundError with the nearest names, UsageError for a beginning of several and for a "latest" of several
    clusters, ManifestError when what is there can't be trusted, ChecksumError when no store has the dump in its size, and
    StorageError when a store can't be asked.
    """
    stores = _stores()
    if wanted == "latest":
        return find_newest(stores, environment=environment, database=database, server=server)
    return _whole(_copies(_key(wanted, stores, environment), stores), stores)


def key_of(row: BackupHistory) -> str:
    """The key of a row's dump, by which `find` takes it and no other, in its own environment. Raises UsageError for a row whose
    filename is none of ours.
    """
    return keys.object_key(environment=row.environment, filename=row.filename)


def is_lost(row: BackupHistory) -> bool:
    """Whether no store has the dump of a row with its manifest any more. Each that the row tells of was asked, else it is not
    lost. Raises as `key_of`, and ConfigurationError.
    """
    key, there = key_of(row), configured()
    ours, are_all = told_stores(key, row, there)
    found = _copies(key, in_order(there))
    is_unclear = not are_all or any(store in ours for store, _error in found.unasked)
    return not is_unclear and not any(one.is_complete for one in found.held)


def copies(wanted: str, *, environment: str, database: str, server: Server | None = None) -> Copies:
    """What each store has of the backup that `find` takes by that name. Nothing of it is proven, but of the latest which it is.

    Raises as `find` does, but for a dump of another size: BackupNotFoundError where no store has a dump with its manifest.
    """
    stores = _stores()
    if wanted == "latest":
        newest = find_newest(stores, environment=environment, database=database, server=server)
        return _copies(newest.key, stores)
    found = _copies(_key(wanted, stores, environment), stores)
    if not any(one.is_complete for one in found.held):
        raise _nowhere(found, stores)
    return found


def _stores() -> list[Store]:
    stores = in_order(configured())
    if not stores:
        raise ConfigurationError(
            _("Neither a bucket nor a local folder is configured, so there is no place to look for backups."),
            hint=_("Set AWS_S3_BACKUP_BUCKET or BACKUPS_LOCAL_FOLDER."),
        )
    return stores


def _key(wanted: str, stores: Sequence[Store], environment: str) -> str:
    typed_environment, filename = keys.split(wanted)
    environment = typed_environment or environment
    if not keys.is_filename(filename):
        filename = _completed(filename, stores, environment)
    return keys.object_key(environment=environment, filename=filename)


def _whole(copies: Copies, stores: Sequence[Store]) -> Found:
    try:
        if any(one.manifest for one in copies.held):
            manifest, store = prove(copies.key, copies.held)
            if store is not None:
                return replace(found_in(store, manifest, copies.held), unasked=copies.unasked)
    except ManifestError as error:
        error.hint = f"{error.hint}\n{_other_copy(copies.key, copies.held)}".strip()
        raise
    raise _nowhere(copies, stores)


def _nowhere(copies: Copies, stores: Sequence[Store]) -> BackupsError:
    """The error for a backup that no store has whole."""
    if copies.unasked:
        return copies.unasked[0][1]
    if copies.held:
        return not_whole(copies.key, copies.held)
    return _not_found(keys.filename_of(copies.key), stores, copies.key.partition("/")[0])


def _copies(key: str, stores: Sequence[Store]) -> Copies:
    held: list[Held] = []
    unasked: list[tuple[Store, StorageError]] = []
    for store in stores:
        try:
            one = Held(store, dump=store.head(key), manifest=store.head(keys.manifest_key(key)))
        except StorageError as error:
            unasked.append((store, error))
            continue
        if one.dump or one.manifest:
            held.append(one)
    return Copies(key, tuple(held), tuple(unasked))


def _other_copy(key: str, held: Sequence[Held]) -> str:
    """Names a copy in another store that can be trusted. It is not taken by itself: somebody should look at the first."""
    for one in held[1:]:
        with suppress(BackupsError):
            _manifest, store = prove(key, [one])
            if store is not None:
                return f"The copy in the local folder can be trusted: --from-file {store.location(key)}"
    return ""


def _completed(beginning: str, stores: Sequence[Store], environment: str) -> str:
    """The one filename that begins with what was typed. Raises UsageError when several do."""
    names = [name for name in _names(stores, environment) if name.startswith(beginning)]
    if len(names) == 1:
        return names[0]
    if not names:
        raise _not_found(beginning, stores, environment)
    more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    raise UsageError(
        _("{beginning} is the beginning of {names} filenames.", beginning=f"{beginning!r}", names=len(names)),
        detail="\n".join(names[:SHOWN] + more),
        hint=_("Type more of the one you mean."),
    )


def _not_found(wanted: str, stores: Sequence[Store], environment: str) -> BackupNotFoundError:
    nearest = get_close_matches(wanted[:200], _names(stores, environment), n=3, cutoff=0.3)
    return BackupNotFoundError(
        _("There is no backup {wanted} in the environment {environment}.", wanted=f"{wanted[:120]!r}", environment=environment),
        detail="The nearest are:\n" + "\n".join(nearest) if nearest else "",
        hint=_("icb db list shows what there is.") if nearest else _("icb db list --all-environments shows what there is."),
    )


def _names(stores: Sequence[Store], environment: str) -> list[str]:
    """Of what some store has with its manifest; newest first."""
    held = in_environment(stores, environment)
    complete = (keys.filename_of(key) for key, copies in held.items() if any(one.is_complete for one in copies))
    return sorted(complete, key=keys.sortable, reverse=True)
