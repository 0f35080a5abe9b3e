"""The join of stores and history: rows and objects by their key, {environment}/postgres/{filename} on both sides."""

import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from heapq import nlargest

from django.db import Error as DatabaseError
from django.db import transaction
from django.utils import timezone

from backups.catalog.entries import Entry, Mark, describe, from_name, from_row
from backups.catalog.held import Held, by_key, prove, still_describes, told_stores
from backups.catalog.proof import in_order, read_proven
from backups.exceptions import BackupsError, HistoryError, ManifestError, StorageError
from backups.models import BackupHistory, Status
from backups.storage import keys
from backups.storage.store import Store
from backups.stores import configured
from backups.types import Manifest

READERS = 8
AT_ONCE = 100  # rows in one query; of manifests, which may have a megabyte each, no more than twice as many are in memory
# https://www.postgresql.org/docs/current/errcodes-appendix.html: no such table, schema, column
_NOT_MIGRATED = frozenset({"42P01", "3F000", "42703"})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An entry, and what it was made from.

    `row` comes without its snapshot. `manifest` is there where it was read, and proven; `etag` is then the one under which just
    its bytes are listed, "" where that is not sure. `local_path` is of a copy in the local folder that has its manifest.
    """

    entry: Entry
    row: BackupHistory | None
    manifest: Manifest | None = None
    etag: str = ""
    local_path: str = ""


class Catalogue:
    """All backups of an environment, or of all (None). Making it lists the stores, and asks the history for names only.

    With `limit` it is the newest ones; what is `ahead` comes last. Of one environment, the stores are then not asked for what is
    older than as many rows: a page of a list instead of all pages. What could not be asked is among the `problems`; of a listing
    that breaks off, nothing is used.
    """

    def __init__(self, environment: str | None, *, limit: int | None = None) -> None:
        self.environment = environment
        self.limit = limit
        self.problems: list[BackupsError] = []
        self.stores = configured()
        self.unasked: list[Store] = []
        self.has_history = True
        self.known = self._known()
        self.held = self._held()
        self.ahead = self._ahead()
        self.keys = sorted(self.known | set(self.held), key=lambda key: (key not in self.ahead, newness(key)), reverse=True)[
            :limit
        ]

    @property
    def pins(self) -> dict[str, Store]:
        """By key, a store that has a pin beside the backup."""
        return {key: one.store for key, copies in self.held.items() for one in copies if one.pin}

    def pages(self, *, with_totals: bool = False) -> Iterator[list[Seen]]:
        """The newest first, AT_ONCE at a time: one query each, and a request for each manifest that no row describes.

        `with_totals` has rows and tables counted too, for which the history must open every snapshot. While a page is looked at,
        the manifests of the next are read.
        """
        coming: list[Seen | Future[Seen]] = []
        with ThreadPoolExecutor(READERS, thread_name_prefix="manifest") as pool:
            try:
                for start in range(0, len(self.keys), AT_ONCE):
                    page = self.keys[start : start + AT_ONCE]
                    rows = self._rows(self.known.intersection(page), with_totals=with_totals)
                    there = [key for key in page if key in rows or key in self.held]  # else: pruned since names were asked for
                    page_ahead = [self._seen(key, rows.get(key), pool) for key in there]  # what must be read begins at once
                    if start:
                        yield _all(coming)
                    coming = page_ahead
                if self.keys:
                    yield _all(coming)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # of a list that somebody gives up

    # The two sides.

    def _known(self) -> set[str]:
        """The keys of all rows, without the rows: of ten thousand, twenty are shown."""
        rows = BackupHistory.objects.filter(deleted_at__isnull=True).order_by()
        try:
            with transaction.atomic():
                found = rows if self.environment is None else rows.of_environment(self.environment)
                return {keys.prefix(made_in) + filename for made_in, filename in found.values_list("environment", "filename")}
        except DatabaseError as error:
            self._lost(error)
            return set()

    def _rows(self, wanted: Collection[str], *, with_totals: bool) -> dict[str, BackupHistory]:
        """By key."""
        if not wanted or not self.has_history:
            return {}
        rows = BackupHistory.objects.filter(deleted_at__isnull=True, filename__in=[keys.filename_of(key) for key in wanted])
        rows = rows.defer("table_snapshot", "applied_migrations", "extensions", "progress", "guards").order_by()
        try:
            with transaction.atomic():
                found = {keys.prefix(row.environment) + row.filename: row for row in (rows.totals() if with_totals else rows)}
        except DatabaseError as error:
            self._lost(error)
            return {}
        return {key: row for key, row in found.items() if key in wanted}

    def _lost(self, error: Exception) -> None:
        self.has_history = False
        self.problems.append(_unread(error))

    def _after(self) -> str:
        """The key before which nothing in the stores can be among the newest: as many rows are newer."""
        if self.limit is None or self.environment is None or len(self.known) < self.limit:
            return ""
        oldest = nlargest(self.limit, self.known, key=newness)[-1]
        return keys.prefix(self.environment) + keys.before_minute(keys.filename_of(oldest))

    def _held(self) -> dict[str, list[Held]]:
        found: dict[str, list[Held]] = {}
        prefix, after = keys.prefix(self.environment) if self.environment is not None else "", self._after()
        for store in in_order(self.stores):
            try:
                here = by_key(store.list(prefix, after=after), store)
            except StorageError as error:
                self.problems.append(error)
                self.unasked.append(store)
                continue
            for key, one in here.items():
                found.setdefault(key, []).append(one)
        return found

    def _ahead(self) -> set[str]:
        """What only the stores know, under a name whose moment is still to come, and no manifest proves to be a backup: anybody
        who may write there can give such a name. Of those that claim to be whole no more than AT_ONCE are read.
        """
        now, found = timezone.now(), set()
        for key in self.held.keys() - self.known:
            at = keys.started_at(keys.filename_of(key))
            if at is not None and at > now:
                found.add(key)
        claim = [key for key in sorted(found) if any(one.is_complete for one in self.held[key])][:AT_ONCE]
        if claim:
            with ThreadPoolExecutor(READERS, thread_name_prefix="manifest") as pool:
                found -= {key for key, is_whole in zip(claim, pool.map(self._is_whole, claim), strict=True) if is_whole}
        return found

    def _is_whole(self, key: str) -> bool:
        with suppress(ManifestError, StorageError):
            return prove(key, self.held[key])[1] is not None
        return False

    # One entry of the join.

    def _seen(self, key: str, row: BackupHistory | None, pool: ThreadPoolExecutor) -> "Seen | Future[Seen]":
        """In `pool` where a manifest must be read: of ten thousand that are known, none."""
        held = self.held.get(key, [])
        entry = from_row(key, row) if row is not None else _from_store(key, held)
        entry = replace(entry, where=tuple(one.store.location(key) for one in held if one.dump))
        whole = [one for one in held if one.is_complete]
        if row is not None and row.status != Status.SUCCEEDED:
            return pool.submit(self._read, entry, row, whole, mark=Mark.BEHIND) if whole else Seen(entry=entry, row=row)
        if not entry.where:
            return Seen(entry=replace(entry, mark=self._absence(key, row) if row is not None else Mark.NO_DUMP), row=row)
        if not whole:
            return Seen(entry=replace(entry, mark=Mark.NO_MANIFEST), row=row)
        if row is None:
            return pool.submit(self._read, entry, row, whole, mark=Mark.NOT_IN_HISTORY)
        mark = Mark.ONLY_LOCAL if self._left_the_bucket(row, whole) else Mark.NONE
        if still_describes(row, whole):
            entry = entry if mark is Mark.NONE else replace(entry, mark=mark)
            return Seen(entry=entry, row=row, local_path=self._local_path(whole, key))
        return pool.submit(self._read, entry, row, whole, mark=mark)

    def _read(self, entry: Entry, row: BackupHistory | None, whole: Sequence[Held], *, mark: Mark) -> Seen:
        """The entry as its manifest tells it, or refused."""
        try:
            proven = read_proven(whole[0].store, entry.key)
        except (ManifestError, StorageError) as error:
            return Seen(entry=replace(entry, mark=Mark.REFUSED, error_message=str(error)), row=row)
        fitting = [one for one in whole if one.fits(proven.manifest)]
        if len(fitting) < len(whole):
            mark = Mark.ONE_CHANGED if fitting else Mark.CHANGED
        listed = whole[0].manifest
        return Seen(
            entry=describe(entry, proven.manifest, mark=mark),
            row=row,
            manifest=proven.manifest,
            etag=proven.etag if listed is not None and listed.etag == proven.etag else "",
            local_path=self._local_path(fitting, entry.key),
        )

    def _local_path(self, whole: Sequence[Held], key: str) -> str:
        return next((one.store.location(key) for one in whole if one.store is self.stores.local), "")

    def _absence(self, key: str, row: BackupHistory) -> Mark:
        """Why nothing of a backup was found that the history calls succeeded."""
        ours, are_all = told_stores(key, row, self.stores)
        if any(store in self.unasked for store in ours):
            return Mark.UNASKED
        return Mark.MISSING if are_all else Mark.ELSEWHERE

    def _left_the_bucket(self, row: BackupHistory, whole: Sequence[Held]) -> bool:
        bucket = self.stores.s3
        if not row.s3_key or bucket is None or bucket.bucket != row.bucket or bucket in self.unasked:
            return False
        return all(one.store is not bucket for one in whole)


def _all(page: "Sequence[Seen | Future[Seen]]") -> list[Seen]:
    return [one.result() if isinstance(one, Future) else one for one in page]


def newness(key: str) -> tuple[str, str]:
    """Sorts keys by the moments that their names tell."""
    return keys.sortable(keys.filename_of(key)), key


def _from_store(key: str, held: Sequence[Held]) -> Entry:
    dump = next((one.dump for one in held if one.dump), None)
    manifest = next((one.manifest for one in held if one.manifest), None)
    item = dump or manifest
    assert item is not None
    return from_name(key, modified_at=item.modified_at, size_bytes=dump.size_bytes if dump else None)


def _unread(error: Exception) -> HistoryError:
    if getattr(error.__cause__, "sqlstate", None) in _NOT_MIGRATED:
        hint = "Make its tables with: ./icb manage migrate"
    elif re.search('database ".*" does not exist', str(error)):  # libpq gives no code for what happens while connecting
        hint = "If that database is lost, this brings it back, with its history: icb db restore latest"
    else:
        hint = "Is the site's own database running? A backup can be restored without it: icb db restore FILENAME --target-…"
    return HistoryError("The history could not be read: this list is what the stores tell.", detail=str(error).strip(), hint=hint)
