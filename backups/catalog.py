"""What backups there are: the manifests of the bucket, joined with the history.

The bucket is the truth and the history an index to it: each is used without the other, and what is in one and not in the
other is marked.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import transaction

from backups import conf
from backups.exceptions import BackupNotFoundError, BackupsError, ManifestError, ObjectMissingError, StorageError, UsageError
from backups.history import unreachable
from backups.manifest import LIMIT_BYTES, parse
from backups.models import BackupHistory, Status
from backups.storage import keys
from backups.storage.store import Store
from backups.stores import Stores, configured
from backups.types import Manifest, StoredObject

READERS = 8


class Mark(StrEnum):
    """What is odd about an entry."""

    NONE = ""
    NOT_IN_HISTORY = "not in history"
    MISSING = "missing in the store"
    NO_MANIFEST = "no manifest: not a backup"
    NO_DUMP = "manifest without its dump"
    REFUSED = "manifest refused"
    CHANGED = "size differs from the manifest"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One backup, or something that looks like one. Sizes in bytes, times in UTC; None is "not known"."""

    filename: str
    environment: str
    key: str
    status: str
    mark: Mark = Mark.NONE
    id: UUID | None = None
    description: str = ""
    backup_type: str = ""
    database: str = ""
    started_at: datetime
    duration_seconds: float | None = None
    size_bytes: int | None = None
    database_size_bytes: int | None = None
    rows: int | None = None
    tables: int | None = None
    checksum: str = ""
    postgres_version: str = ""
    error_message: str = ""
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """Entries newest first, and what could not be asked."""

    entries: list[Entry]
    problems: list[BackupsError] = field(default_factory=list)


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


def list_backups(*, limit: int | None = 20, all_environments: bool = False) -> Listing:
    """The newest backups of this environment, or of all. Works without the history, and without the bucket.

    Costs one request for each thousand objects, and one for each listed manifest that the history does not know.
    """
    settings, stores = conf.current(), configured()
    environment = None if all_environments else settings.environment
    problems: list[BackupsError] = []
    rows = _rows(environment, problems)
    objects = _objects(stores, environment, problems)
    names = sorted(set(rows) | set(objects), key=lambda key: _sort_key(key, rows), reverse=True)[:limit]
    with ThreadPoolExecutor(READERS, thread_name_prefix="manifest") as pool:
        entries = pool.map(
            lambda key: _entry(key, rows.get(key), objects.get(key), stores, signing_key=settings.signing_key), names
        )
        return Listing(sorted(entries, key=lambda entry: entry.started_at, reverse=True), problems)


def find(wanted: str, *, environment: str, database: str) -> Found:
    """The backup with that filename, or its only beginning; for "latest" the newest whole one of that database.

    Raises BackupNotFoundError, with the nearest names, and ManifestError when what is there can't be trusted.
    """
    stores = configured()
    if wanted == "latest":
        return _latest(stores, environment, database)
    filename = keys.filename_of(wanted)
    if not keys.is_filename(filename):
        filename = _completed(wanted, stores, environment)
    key = keys.object_key(environment=environment, filename=filename)
    for store in _stores(stores):
        try:
            return Found(read_manifest(store, key), store, key)
        except ObjectMissingError:
            continue
    raise _not_found(filename, stores, environment)


def read_manifest(store: Store, key: str) -> Manifest:
    """The manifest of the dump at a key, proven: signed by us, and about this very key.

    Raises ManifestError, or ObjectMissingError when there is none.
    """
    data = store.read(keys.manifest_key(key), limit_bytes=LIMIT_BYTES)
    manifest = parse(data, signing_key=conf.current().signing_key)
    if manifest.key != key:
        raise ManifestError(
            f"The manifest at {store.location(keys.manifest_key(key))} belongs to another backup: {manifest.key}.",
            hint="Somebody copied or moved it. Do not restore this backup; choose another one: icb db list",
        )
    return manifest


def _latest(stores: Stores, environment: str, database: str) -> Found:
    """The newest whole backup of that database. A failed run has no manifest, so it is none.

    Names tell the minute; within the newest one the manifests tell which is later.
    """
    keyed = {key: store for store in reversed(_stores(stores)) for key in _with_manifest(store, environment)}
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
            detail=f"There are backups of {', '.join(sorted(others))}: choose with --database." if others else "",
            hint="Make one: icb db backup first",
        )
    return newest


def _with_manifest(store: Store, environment: str) -> Iterator[str]:
    seen = {found.key for found in store.list(keys.prefix(environment))}
    return (key for key in seen if keys.is_filename(keys.filename_of(key)) and keys.manifest_key(key) in seen)


def _completed(wanted: str, stores: Stores, environment: str) -> str:
    """The one filename that begins with what was typed. Raises UsageError when several do."""
    names = _names(stores, environment)
    beginning = [name for name in names if name.startswith(wanted)]
    if len(beginning) == 1:
        return beginning[0]
    if len(beginning) > 1:
        raise UsageError(
            f"{wanted!r} is the beginning of {len(beginning)} filenames.",
            detail="\n".join(beginning[:10]),
            hint="Type more of the one you mean.",
        )
    raise _not_found(wanted, stores, environment)


def _not_found(wanted: str, stores: Stores, environment: str) -> BackupNotFoundError:
    nearest = get_close_matches(wanted, _names(stores, environment), n=3, cutoff=0.3)
    return BackupNotFoundError(
        f"There is no backup {wanted[:120]!r} in the environment {environment}.",
        detail="The nearest are:\n" + "\n".join(nearest) if nearest else "",
        hint="icb db list shows what there is.",
    )


def _names(stores: Stores, environment: str) -> list[str]:
    return sorted(
        {keys.filename_of(key) for store in _stores(stores) for key in _with_manifest(store, environment)},
        key=keys.sortable,
        reverse=True,
    )


def _stores(stores: Stores) -> list[Store]:
    return [store for store in (stores.s3, stores.local) if store is not None]


# The join. Keys are {environment}/postgres/{filename} on both sides.


def _rows(environment: str | None, problems: list[BackupsError]) -> dict[str, BackupHistory]:
    rows = BackupHistory.objects.filter(deleted_at__isnull=True).defer("table_snapshot", "applied_migrations", "extensions")
    rows = rows.totals()
    try:
        with transaction.atomic():
            found = list(rows if environment is None else rows.of_environment(environment))
    except DatabaseError as error:
        problems.append(unreachable(error))
        return {}
    return {keys.prefix(row.environment) + row.filename: row for row in found}


@dataclass(frozen=True)
class _Objects:
    """What the stores hold of one backup."""

    dumps: tuple[tuple[Store, StoredObject], ...] = ()
    manifests: tuple[tuple[Store, StoredObject], ...] = ()


def _objects(stores: Stores, environment: str | None, problems: list[BackupsError]) -> dict[str, _Objects]:
    found: dict[str, _Objects] = {}
    for store in _stores(stores):
        try:
            for item in store.list(keys.prefix(environment) if environment is not None else ""):
                _place(item, store, found)
        except StorageError as error:
            problems.append(error)
    return found


def _place(item: StoredObject, store: Store, found: dict[str, _Objects]) -> None:
    is_manifest = item.key.endswith(keys.DUMP_SUFFIX + keys.MANIFEST_SUFFIX)
    key = item.key.removesuffix(keys.MANIFEST_SUFFIX) if is_manifest else item.key
    if not keys.is_backup_key(key):
        return
    here = found.get(key, _Objects())
    if is_manifest:
        found[key] = replace(here, manifests=(*here.manifests, (store, item)))
    else:
        found[key] = replace(here, dumps=(*here.dumps, (store, item)))


def _sort_key(key: str, rows: dict[str, BackupHistory]) -> tuple[str, str]:
    return keys.sortable(keys.filename_of(key)), key


def _entry(key: str, row: BackupHistory | None, objects: _Objects | None, stores: Stores, *, signing_key: bytes) -> Entry:
    here = objects or _Objects()
    entry = _from_row(key, row) if row is not None else _from_name(key, here)
    where = tuple(store.location(key) for store, _item in here.dumps)
    entry = replace(entry, where=where)
    if row is not None and row.status != Status.SUCCEEDED:
        return entry
    if not here.dumps:
        return replace(entry, mark=Mark.NO_DUMP if here.manifests and row is None else Mark.MISSING)
    if not here.manifests:
        return replace(entry, mark=Mark.NO_MANIFEST)
    if row is not None and _fresh(row, here):
        return entry
    return _from_manifest(entry, key, here, in_history=row is not None)


def _fresh(row: BackupHistory, here: _Objects) -> bool:
    """Whether the row still describes what is stored, so that the manifest need not be read again."""
    same_size = all(item.size_bytes == row.size_bytes for _store, item in here.dumps)
    return bool(same_size and any(item.etag == row.manifest_etag for _store, item in here.manifests))


def _from_manifest(entry: Entry, key: str, here: _Objects, *, in_history: bool) -> Entry:
    store, _item = here.manifests[0]
    try:
        manifest = read_manifest(store, key)
    except (ManifestError, StorageError) as error:
        return replace(entry, mark=Mark.REFUSED, error_message=str(error))
    changed = any(item.size_bytes != manifest.size_bytes for _store, item in here.dumps)
    mark = Mark.CHANGED if changed else Mark.NONE if in_history else Mark.NOT_IN_HISTORY
    return replace(
        entry,
        mark=mark,
        status=Status.SUCCEEDED,
        id=manifest.id,
        description=manifest.description,
        backup_type=manifest.backup_type,
        database=manifest.database,
        started_at=manifest.started_at,
        duration_seconds=manifest.duration_seconds,
        size_bytes=manifest.size_bytes,
        database_size_bytes=manifest.snapshot.database_size_bytes,
        rows=manifest.snapshot.rows,
        tables=len(manifest.snapshot.tables),
        checksum=manifest.checksum,
        postgres_version=manifest.snapshot.server_version,
    )


def _from_row(key: str, row: BackupHistory) -> Entry:
    return Entry(
        filename=row.filename,
        environment=row.environment,
        key=key,
        status=row.status,
        id=row.id,
        description=row.description,
        backup_type=row.backup_type,
        database=row.database,
        started_at=row.started_at or row.created_at,
        duration_seconds=row.duration_seconds,
        size_bytes=row.size_bytes,
        database_size_bytes=row.database_size_bytes,
        rows=getattr(row, "total_rows", None),  # annotated by totals()
        tables=getattr(row, "total_tables", None),
        checksum=row.checksum,
        postgres_version=row.postgres_version,
        error_message=row.error_message,
    )


def _from_name(key: str, here: _Objects) -> Entry:
    filename = keys.filename_of(key)
    items: Iterable[tuple[Store, StoredObject]] = here.dumps or here.manifests
    _store, item = next(iter(items))
    return Entry(
        filename=filename,
        environment=key.partition("/")[0],
        key=key,
        status="unknown",
        started_at=keys.started_at(filename) or item.modified_at,
        size_bytes=item.size_bytes if here.dumps else None,
    )
