"""All backups, newest first: rows of the history and objects of the stores, joined by their key."""

import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from django.db import Error as DatabaseError
from django.db import transaction

from backups import conf
from backups.catalog.entries import Entry, Listing, Mark, describe, from_name, from_row
from backups.catalog.held import Held, by_key, prove
from backups.catalog.proof import in_order, read_manifest
from backups.exceptions import BackupsError, HistoryError, ManifestError, StorageError
from backups.models import BackupHistory, Status
from backups.storage import keys
from backups.storage.store import Store
from backups.stores import Stores, configured
from backups.types import Manifest

READERS = 8
MOST_NAMED = 1000  # in one query; for more, all rows are asked for
AT_ONCE = 100
# https://www.postgresql.org/docs/current/errcodes-appendix.html: no such table, schema, column
_NOT_MIGRATED = frozenset({"42P01", "3F000", "42703"})


def list_backups(*, limit: int | None = 20, all_environments: bool = False) -> Listing:
    """The newest backups of this environment, or of all. Works without the history, and without the bucket.

    Costs one request for each thousand objects, and one for each listed manifest that the history does not know.
    """
    environment = None if all_environments else conf.current().environment
    stores = configured()
    problems: list[BackupsError] = []
    known = _known(environment, problems)
    held, unasked = _held(in_order(stores), environment, problems)
    names = sorted(known | set(held), key=_newness, reverse=True)[:limit]
    rows = _rows(known.intersection(names), problems)
    with ThreadPoolExecutor(READERS, thread_name_prefix="manifest") as pool:
        entries = pool.map(lambda key: _entry(key, rows.get(key), held.get(key, []), stores, unasked), names)
        return Listing(sorted(entries, key=lambda entry: entry.started_at, reverse=True), problems, _etags(held), _pins(held))


def manifests(*, but: Collection[str] = (), only: Collection[str] | None = None) -> Iterator[Manifest]:
    """Of every backup of this environment whose manifest can be read and proven, newest first: what a lost history is made from.

    `but` names files that need not be read, `only` the ones that should. What can't be had is left out, so that a rescue does not
    end there. A few are in memory at a time.
    """
    held, _unasked = _held(in_order(configured()), conf.current().environment, [])
    wanted = (
        key
        for key, copies in held.items()
        if any(one.manifest for one in copies) and (name := keys.filename_of(key)) not in but and (only is None or name in only)
    )
    names = sorted(wanted, key=_newness, reverse=True)
    with ThreadPoolExecutor(READERS, thread_name_prefix="manifest") as pool:
        for start in range(0, len(names), AT_ONCE):
            yield from filter(None, pool.map(lambda key: _proven(key, held[key]), names[start : start + AT_ONCE]))


def _proven(key: str, held: Sequence[Held]) -> Manifest | None:
    with suppress(ManifestError, StorageError):
        return prove(key, held)[0]
    return None


def _etags(held: dict[str, list[Held]]) -> dict[str, str]:
    found = ((key, next((one.manifest.etag for one in copies if one.manifest), "")) for key, copies in held.items())
    return {key: etag for key, etag in found if etag}


def _pins(held: dict[str, list[Held]]) -> dict[str, Store]:
    return {key: one.store for key, copies in held.items() for one in copies if one.pin}


def _newness(key: str) -> tuple[str, str]:
    return keys.sortable(keys.filename_of(key)), key


# The two sides of the join. Keys are {environment}/postgres/{filename} on both.


def _known(environment: str | None, problems: list[BackupsError]) -> set[str]:
    """The keys of all rows, without the rows: of ten thousand, twenty are shown."""
    rows = BackupHistory.objects.filter(deleted_at__isnull=True)
    try:
        with transaction.atomic():
            found = rows if environment is None else rows.of_environment(environment)
            return {keys.prefix(made_in) + filename for made_in, filename in found.values_list("environment", "filename")}
    except DatabaseError as error:
        problems.append(_unread(error))
        return set()


def _rows(wanted: Collection[str], problems: list[BackupsError]) -> dict[str, BackupHistory]:
    """By key."""
    if not wanted:
        return {}
    rows = BackupHistory.objects.filter(deleted_at__isnull=True).defer("table_snapshot", "applied_migrations", "extensions")
    if len(wanted) <= MOST_NAMED:
        rows = rows.filter(filename__in=[keys.filename_of(key) for key in wanted])
    try:
        with transaction.atomic():
            found = {keys.prefix(row.environment) + row.filename: row for row in rows.totals()}
    except DatabaseError as error:
        problems.append(_unread(error))
        return {}
    return {key: row for key, row in found.items() if key in wanted}


def _unread(error: Exception) -> HistoryError:
    if getattr(error.__cause__, "sqlstate", None) in _NOT_MIGRATED:
        hint = "Make its tables with: ./icb manage migrate"
    elif re.search('database ".*" does not exist', str(error)):  # libpq gives no code for what happens while connecting
        hint = "If that database is lost, this brings it back, with its history: icb db restore latest"
    else:
        hint = "Is the site's own database running? A backup can be restored without it: icb db restore FILENAME --target-…"
    return HistoryError("The history could not be read: this list is what the stores tell.", detail=str(error).strip(), hint=hint)


def _held(
    stores: Sequence[Store], environment: str | None, problems: list[BackupsError]
) -> tuple[dict[str, list[Held]], list[Store]]:
    """By key; and the stores that could not be asked, of which half a listing is not used."""
    found: dict[str, list[Held]] = {}
    unasked: list[Store] = []
    for store in stores:
        try:
            items = list(store.list(keys.prefix(environment) if environment is not None else ""))
        except StorageError as error:
            problems.append(error)
            unasked.append(store)
            continue
        for key, one in by_key(items, store).items():
            found.setdefault(key, []).append(one)
    return found, unasked


# One entry of the join.


def _entry(key: str, row: BackupHistory | None, held: Sequence[Held], stores: Stores, unasked: Sequence[Store]) -> Entry:
    entry = from_row(key, row) if row is not None else _from_store(key, held)
    entry = replace(entry, where=tuple(one.store.location(key) for one in held if one.dump))
    whole = [one for one in held if one.is_complete]
    if row is not None and row.status != Status.SUCCEEDED:
        return _from_manifest(entry, key, whole, mark=Mark.BEHIND) if whole else entry
    if not entry.where:
        return replace(entry, mark=_absence(key, row, stores, unasked) if row is not None else Mark.NO_DUMP)
    if not whole:
        return replace(entry, mark=Mark.NO_MANIFEST)
    if row is None:
        return _from_manifest(entry, key, whole, mark=Mark.NOT_IN_HISTORY)
    mark = Mark.ONLY_LOCAL if _left_the_bucket(row, whole, stores, unasked) else Mark.NONE
    return replace(entry, mark=mark) if _fresh(row, whole) else _from_manifest(entry, key, whole, mark=mark)


def _absence(key: str, row: BackupHistory, stores: Stores, unasked: Sequence[Store]) -> Mark:
    """Why nothing of a backup was found that the history calls succeeded."""
    ours: list[Store] = [stores.s3] if row.s3_key and stores.s3 is not None and stores.s3.bucket == row.bucket else []
    if row.local_path and stores.local is not None and stores.local.location(key) == row.local_path:
        ours.append(stores.local)
    if any(store in unasked for store in ours):
        return Mark.UNASKED
    return Mark.MISSING if len(ours) == bool(row.s3_key) + bool(row.local_path) else Mark.ELSEWHERE


def _left_the_bucket(row: BackupHistory, whole: Sequence[Held], stores: Stores, unasked: Sequence[Store]) -> bool:
    if not row.s3_key or stores.s3 is None or stores.s3.bucket != row.bucket or stores.s3 in unasked:
        return False
    return all(one.store is not stores.s3 for one in whole)


def _fresh(row: BackupHistory, whole: Sequence[Held]) -> bool:
    """Whether the row still describes what is stored, so that the manifest need not be read again."""
    same_size = all(one.dump and one.dump.size_bytes == row.size_bytes for one in whole)
    return same_size and any(one.manifest and one.manifest.etag == row.manifest_etag for one in whole)


def _from_manifest(entry: Entry, key: str, whole: Sequence[Held], *, mark: Mark) -> Entry:
    try:
        manifest = read_manifest(whole[0].store, key)
    except (ManifestError, StorageError) as error:
        return replace(entry, mark=Mark.REFUSED, error_message=str(error))
    fitting = sum(one.fits(manifest) for one in whole)
    if fitting < len(whole):
        mark = Mark.ONE_CHANGED if fitting else Mark.CHANGED
    return describe(entry, manifest, mark=mark)


def _from_store(key: str, held: Sequence[Held]) -> Entry:
    dump = next((one.dump for one in held if one.dump), None)
    manifest = next((one.manifest for one in held if one.manifest), None)
    item = dump or manifest
    assert item is not None
    return from_name(key, modified_at=item.modified_at, size_bytes=dump.size_bytes if dump else None)
