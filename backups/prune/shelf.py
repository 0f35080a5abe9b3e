"""What retention judges: the whole backups of one environment, proven by their manifests, with what the history knows of them.

One listing of each store, a thousand objects a request; a manifest is read only where the history does not know it just so.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from django.db import Error as DatabaseError

from backups.catalog.held import Held, by_key, prove, still_describes
from backups.catalog.proof import in_order, read_pin
from backups.exceptions import HistoryError, ManifestError
from backups.models import BackupHistory, Status
from backups.retention import Candidate, Run
from backups.sentences import sentence as _
from backups.storage import keys
from backups.storage.s3 import S3Store
from backups.storage.store import Store
from backups.stores import Stores
from backups.types import Manifest, StoredObject

READERS = 8
_COLUMNS = (
    *("id", "filename", "environment", "database", "system_identifier", "status", "created_at", "finished_at", "size_bytes"),
    *("manifest_etag", "verified_at", "bad_at", "missing_at", "pin_reason", "s3_key", "deleted_at"),
)


@dataclass(frozen=True)
class Lying:
    """All that one store has of one backup, by key: `others` are the dump, last, and what else begins with its key and a dot."""

    store: Store
    manifest: str | None
    others: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A backup on the shelf. A row with `deleted_at` tells of a prune that died."""

    key: str
    candidate: Candidate
    row: BackupHistory | None
    lying: tuple[Lying, ...]


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """What a prune that died has left: no store has the backup whole, and its row says that it is deleted."""

    key: str
    row: BackupHistory
    lying: tuple[Lying, ...]


@dataclass(kw_only=True)
class Shelf:
    """`left_alone` is what only looks like a backup, with why. `pruned_at` is when a backup of a database was last deleted."""

    standing: list[Standing] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    pruned_at: dict[str, datetime] = field(default_factory=dict)


def look(stores: Stores, *, environment: str) -> Shelf:
    """The shelf as it is. Raises HistoryError when the history can't be read, StorageError when a store can't be asked."""
    rows = _rows(environment)
    held, lying = _stored(in_order(stores), environment)
    shelf = Shelf(runs=list(_runs(rows.values())))
    for found in _judged(held, lying, rows):
        if isinstance(found, Standing):
            shelf.standing.append(found)
        elif isinstance(found, Leftover):
            shelf.leftovers.append(found)
        elif found:
            shelf.left_alone.append(found)
    _note_prunes(shelf, rows)
    return shelf


def remembered(*, environment: str) -> Shelf:
    """The shelf as the history alone tells it; no store is asked. It knows nothing of what only a store has: backups without a
    row, leftovers, pins that lie beside a backup, what was changed or lost since the last sync. Raises HistoryError.
    """
    rows = _rows(environment)
    shelf = Shelf(runs=list(_runs(rows.values())))
    for key, row in rows.items():
        is_whole = row.status == Status.SUCCEEDED and row.finished_at is not None
        if is_whole and row.deleted_at is None and row.missing_at is None:
            shelf.standing.append(
                Standing(
                    key=key, candidate=_as_row_tells(row, pin=row.pin_reason, is_in_bucket=bool(row.s3_key)), row=row, lying=()
                )
            )
    _note_prunes(shelf, rows)
    return shelf


def _note_prunes(shelf: Shelf, rows: Mapping[str, BackupHistory]) -> None:
    unfinished = {one.key for one in shelf.standing}
    for key, row in rows.items():
        if row.deleted_at is not None and key not in unfinished:
            shelf.pruned_at[row.database] = max(row.deleted_at, shelf.pruned_at.get(row.database, row.deleted_at))


def _rows(environment: str) -> dict[str, BackupHistory]:
    try:
        rows = list(BackupHistory.objects.of_environment(environment).only(*_COLUMNS))
    except DatabaseError as error:
        raise HistoryError(
            _("The history can't be read, so nothing is pruned: it alone knows what is verified and what is pinned."),
            detail=str(error).strip(),
            hint=_("Is the site's own database running: icb status? If it is lost, bring it back first: icb db restore latest"),
        ) from error
    return {keys.prefix(environment) + row.filename: row for row in rows}


def _runs(rows: Iterable[BackupHistory]) -> Iterable[Run]:
    for row in rows:
        if row.status in (Status.SUCCEEDED, Status.FAILED):
            yield Run(
                environment=row.environment,
                database=row.database,
                finished_at=row.finished_at or row.created_at,
                succeeded=row.status == Status.SUCCEEDED,
                cluster=row.system_identifier,
            )


def _stored(stores: Sequence[Store], environment: str) -> tuple[dict[str, list[Held]], dict[str, tuple[Lying, ...]]]:
    held: dict[str, list[Held]] = defaultdict(list)
    lying: dict[str, tuple[Lying, ...]] = {}
    for store in stores:
        items = list(store.list(keys.prefix(environment)))
        for key, one in by_key(items, store).items():
            held[key].append(one)
        for key, names in _together(items).items():
            manifest = keys.manifest_key(key)
            others = sorted(names - {key, manifest}) + ([key] if key in names else [])
            lying[key] = (*lying.get(key, ()), Lying(store, manifest if manifest in names else None, tuple(others)))
    return held, lying


def _together(items: Iterable[StoredObject]) -> Mapping[str, set[str]]:
    """Keys of objects, by the key of the dump to which they belong: it is theirs, or theirs begins with it and a dot."""
    found: dict[str, set[str]] = {}
    for item in items:
        beginning, suffix, _rest = item.key.partition(keys.DUMP_SUFFIX + ".")
        key = beginning + keys.DUMP_SUFFIX if suffix else item.key
        if key in found:
            found[key].add(item.key)
        elif keys.is_backup_key(key):
            found[key] = {item.key}
    return found


def _judged(
    held: Mapping[str, Sequence[Held]], lying: Mapping[str, tuple[Lying, ...]], rows: Mapping[str, BackupHistory]
) -> "Iterator[Standing | Leftover | str]":
    """Of each key. Raises StorageError at the first that can't be read; then no more are asked for."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="manifest") as pool:
        try:
            for found in [_judge(key, held.get(key, []), rows.get(key), each, pool) for key, each in lying.items()]:
                yield found.result() if isinstance(found, Future) else found
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _judge(
    key: str, held: Sequence[Held], row: BackupHistory | None, lying: tuple[Lying, ...], pool: ThreadPoolExecutor
) -> Standing | Leftover | str | Future[Standing | str]:
    """What lies there under one key; "" for what is none of ours to judge, or in the making, and is not worth a word. Where a
    store must be asked more than its listing told, `pool` does it: of ten thousand, few.
    """
    whole = [one for one in held if one.is_complete]
    if row is not None and row.status in (Status.PENDING, Status.RUNNING):
        return ""
    if not whole:
        return Leftover(key=key, row=row, lying=lying) if row is not None and row.deleted_at is not None else ""
    if row is not None and _is_told(row, whole) and (row.pin_reason or not any(one.pin for one in held)):
        candidate = _as_row_tells(row, pin=row.pin_reason, is_in_bucket=_is_in_bucket(whole))
        return Standing(key=key, candidate=candidate, row=row, lying=lying)
    return pool.submit(_read, key, held, row, lying)


def _is_told(row: BackupHistory, whole: Sequence[Held]) -> bool:
    return row.finished_at is not None and row.status == Status.SUCCEEDED and still_describes(row, whole)


def _read(key: str, held: Sequence[Held], row: BackupHistory | None, lying: tuple[Lying, ...]) -> Standing | str:
    """The same of a backup with a pin beside it that the row does not know, or with a manifest. Raises StorageError."""
    whole = [one for one in held if one.is_complete]
    pin = row.pin_reason if row is not None and row.pin_reason else _pin_beside(key, held)
    if row is not None and _is_told(row, whole):
        candidate = _as_row_tells(row, pin=pin, is_in_bucket=_is_in_bucket(whole))
        return Standing(key=key, candidate=candidate, row=row, lying=lying)
    try:
        manifest, store = prove(key, whole)
    except ManifestError as error:
        return f"{keys.filename_of(key)}: {error.message}"
    if store is None:
        return f"{keys.filename_of(key)}: the dump has not the size that its manifest tells."
    if manifest.environment != key.partition("/")[0] or (row is not None and row.id != manifest.id):
        return f"{keys.filename_of(key)}: the history knows another backup of this name."
    is_in_bucket = _is_in_bucket([one for one in whole if one.fits(manifest)])
    candidate = _as_manifest_tells(manifest, row, pin=pin, is_in_bucket=is_in_bucket)
    return Standing(key=key, candidate=candidate, row=row, lying=lying)


def _is_in_bucket(whole: Sequence[Held]) -> bool:
    return any(isinstance(one.store, S3Store) for one in whole)


def _pin_beside(key: str, held: Sequence[Held]) -> str:
    """The reason of a pin that only a store remembers, because the history was lost; "" for none. Raises StorageError."""
    return next((read_pin(one.store, key) for one in held if one.pin), "")


def _as_row_tells(row: BackupHistory, *, pin: str, is_in_bucket: bool) -> Candidate:
    assert row.finished_at is not None
    return Candidate(
        id=row.id,
        filename=row.filename,
        environment=row.environment,
        database=row.database,
        finished_at=row.finished_at,
        size_bytes=row.size_bytes or 0,
        cluster=row.system_identifier,
        verified_at=row.verified_at,
        is_bad=row.bad_at is not None,
        pin=pin,
        is_in_bucket=is_in_bucket,
    )


def _as_manifest_tells(manifest: Manifest, row: BackupHistory | None, *, pin: str, is_in_bucket: bool) -> Candidate:
    return Candidate(
        id=manifest.id,
        filename=manifest.filename,
        environment=manifest.environment,
        database=manifest.database,
        finished_at=manifest.finished_at,
        size_bytes=manifest.size_bytes,
        cluster=manifest.snapshot.system_identifier,
        verified_at=row.verified_at if row else None,
        is_bad=row is not None and row.bad_at is not None,
        pin=pin,
        is_in_bucket=is_in_bucket,
    )
