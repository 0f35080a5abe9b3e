"""What each store holds of a backup, and which store has it whole."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from backups.catalog.proof import in_order, read_manifest
from backups.exceptions import BackupNotFoundError, ChecksumError, StorageError
from backups.models import BackupHistory
from backups.sentences import sentence as _
from backups.storage import keys
from backups.storage.store import Store
from backups.stores import Stores
from backups.types import Manifest, StoredObject

ANOTHER_ONE = "Choose another one: icb db list"
AGAIN = f"{ANOTHER_ONE}. Where the bucket keeps versions, what is lost or was replaced can be had again."


@dataclass(frozen=True)
class Found:
    """A backup that can be restored: its manifest, proven to be ours, and the store that has it. `others` have a dump of its
    size, too: the manifest proves its bytes wherever they lie. Those that can't be asked are `unasked`, with their errors.
    """

    manifest: Manifest
    store: Store
    key: str
    others: tuple[Store, ...] = ()
    unasked: tuple[tuple[Store, StorageError], ...] = ()

    @property
    def location(self) -> str:
        """Where the dump is, for people."""
        return self.store.location(self.key)

    def copies(self) -> list[Self]:
        """The same backup in each of its stores."""
        return [replace(self, store=store, others=(), unasked=()) for store in (self.store, *self.others)]


@dataclass(slots=True)
class Held:
    """What one store holds of one backup."""

    store: Store
    dump: StoredObject | None = None
    manifest: StoredObject | None = None
    pin: StoredObject | None = None

    @property
    def is_complete(self) -> bool:
        """Whether both are there. What they are worth is another question."""
        return self.dump is not None and self.manifest is not None

    def fits(self, manifest: Manifest) -> bool:
        """Whether the dump is there, with its manifest beside it and of its size."""
        return self.is_complete and self.dump is not None and self.dump.size_bytes == manifest.size_bytes


@dataclass(frozen=True)
class Copies:
    """What each store has of one backup, the bucket first; and the errors of those that can't be asked."""

    key: str
    held: tuple[Held, ...]
    unasked: tuple[tuple[Store, StorageError], ...] = ()


def found_in(store: Store, manifest: Manifest, held: Sequence[Held]) -> Found:
    """A backup that one store has whole; `held` is what all have of it."""
    sized = (one.store for one in held if one.dump is not None and one.dump.size_bytes == manifest.size_bytes)
    return Found(manifest, store, manifest.key, tuple(other for other in sized if other is not store))


def by_key(items: Iterable[StoredObject], store: Store) -> dict[str, Held]:
    """The dumps and manifests among a store's objects, and the pins beside them, by the key of the dump."""
    found: dict[str, Held] = {}
    pins: list[StoredObject] = []
    for item in items:
        if item.key.endswith(keys.PIN_SUFFIX):
            pins.append(item)
            continue
        key = item.key.removesuffix(keys.MANIFEST_SUFFIX)
        one = found.get(key)
        if one is None:
            if not keys.is_backup_key(key):
                continue
            one = found[key] = Held(store)
        if key == item.key:
            one.dump = item
        else:
            one.manifest = item
    for item in pins:
        if (pinned := found.get(item.key.removesuffix(keys.PIN_SUFFIX))) is not None:
            pinned.pin = item
    return found


def still_describes(row: BackupHistory, whole: Sequence[Held]) -> bool:
    """Whether the row tells of just what is stored, so that its manifest need not be read again.

    The manifest that would be read is the first one. A row has the ETag of no manifest but one that its own run has written, or
    that was read and proven: so the same ETag is the same proof.
    """
    first = whole[0].manifest
    same_size = all(one.dump is not None and one.dump.size_bytes == row.size_bytes for one in whole)
    return bool(row.manifest_etag) and first is not None and first.etag == row.manifest_etag and same_size


def told_stores(key: str, row: BackupHistory, stores: Stores) -> tuple[list[Store], bool]:
    """The configured stores that have a backup by its row, and whether these are all that it tells of; where it tells of none,
    all of them.
    """
    ours: list[Store] = []
    if row.s3_key and stores.s3 is not None and stores.s3.bucket == row.bucket:
        ours.append(stores.s3)
    if row.local_path and stores.local is not None and stores.local.location(key) == row.local_path:
        ours.append(stores.local)
    told = bool(row.s3_key) + bool(row.local_path)
    return ours if told else in_order(stores), not told or len(ours) == told


def in_environment(stores: Sequence[Store], environment: str) -> dict[str, list[Held]]:
    """All that the stores hold of an environment, by key. Raises StorageError when one can't be asked."""
    found: dict[str, list[Held]] = {}
    for store in stores:
        for key, one in by_key(store.list(keys.prefix(environment)), store).items():
            found.setdefault(key, []).append(one)
    return found


def prove(key: str, held: Sequence[Held]) -> tuple[Manifest, Store | None]:
    """The manifest, proven, and the first store that has the dump whole; None where none has it. One store has a manifest.

    Raises ManifestError, and StorageError when a store can't be asked and no other has the backup whole.
    """
    manifest: Manifest | None = None
    unasked: list[StorageError] = []
    for one in sorted((one for one in held if one.manifest), key=lambda one: not one.is_complete):
        try:
            manifest = read_manifest(one.store, key)
        except StorageError as error:
            unasked.append(error)
            continue
        if one.fits(manifest):
            return manifest, one.store
    if unasked:
        raise unasked[0]
    assert manifest is not None
    return manifest, None


def not_whole(key: str, held: Sequence[Held]) -> BackupNotFoundError | ChecksumError:
    """The error for a backup that no store has whole: which store has what."""
    filename = keys.filename_of(key)
    detail = "\n".join(_told(key, one) for one in held)
    if any(one.is_complete for one in held):
        return ChecksumError(
            _(
                "The dump of {filename} has not the size that its manifest tells: it was changed or cut off afterwards.",
                filename=filename,
            ),
            detail=detail,
            hint=AGAIN,
        )
    if all(one.manifest is None for one in held):
        return BackupNotFoundError(
            _("{key} has no manifest, so it is not a backup.", key=held[0].store.location(key)),
            detail="Its run did not end, or somebody deleted the manifest: nothing proves what the dump holds.",
            hint=ANOTHER_ONE,
        )
    if all(one.dump is None for one in held):
        return BackupNotFoundError(
            _("The dump of {filename} is gone; its manifest is left.", filename=filename), detail=detail, hint=AGAIN
        )
    return BackupNotFoundError(_("No store has {filename} whole.", filename=filename), detail=detail, hint=AGAIN)


def _told(key: str, one: Held) -> str:
    place = one.store.location(key)
    if one.dump is None:
        return f"{place}: only the manifest"
    return f"{place}: {one.dump.size_bytes:,} bytes, {'with its' if one.manifest else 'without'} manifest"
