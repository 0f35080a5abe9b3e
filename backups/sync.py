"""Bucket and history, made to agree: CatalogSync rebuilds what the history has lost, and marks what the bucket has lost.

Nothing that is a backup is ever deleted here. What goes is what dead runs have begun and not ended, after a day.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import Error as DatabaseError
from django.db.models import Case, Value, When
from django.utils import timezone

from backups import catalog, conf, history, rebuilding, records
from backups.catalog import Entry, Mark, Seen
from backups.catalog.joining import READERS
from backups.catalog.proof import in_order
from backups.exceptions import BackupsError, HistoryError, StorageError
from backups.kept import kept_copies
from backups.models import BackupHistory, Status
from backups.postgres.swap import Kept
from backups.storage import keys
from backups.storage.store import Store
from backups.stores import configured
from backups.types import UnfinishedObject

PATIENCE = timedelta(days=1)  # the longest that a run is believed to take
# Of an entry: neither the history nor a manifest says what it is.
_UNKNOWN = frozenset({Mark.NO_MANIFEST, Mark.NO_DUMP, Mark.REFUSED, Mark.CHANGED})
# Of a row: no store has its backup whole. One whose manifest is refused may be good by a key that is lacking here.
_LOST = frozenset({Mark.MISSING, Mark.NO_MANIFEST, Mark.CHANGED})


@dataclass
class Agreed:
    """What was found, and done unless it was a dry run. Filenames, or locations where there is no row."""

    rebuilt: list[str] = field(default_factory=list)  # rows made from manifests
    mended: list[str] = field(default_factory=list)  # rows that said less than the manifest proves
    missing: list[str] = field(default_factory=list)  # rows whose backup no store has whole any more
    back: list[str] = field(default_factory=list)  # rows that were missing, and are not
    pinned: list[str] = field(default_factory=list)  # rows that did not know the pin beside their backup
    runs: int = 0  # restores and verifications made from records
    unknown: list[tuple[str, str]] = field(default_factory=list)  # where, and what is odd about it
    unfinished: list[tuple[str, UnfinishedObject]] = field(default_factory=list)  # where; removed
    kept: tuple[Kept, ...] = ()
    problems: list[str] = field(default_factory=list)

    @property
    def is_nothing(self) -> bool:
        """Whether both sides agreed already."""
        return not (self.rebuilt or self.mended or self.missing or self.back or self.pinned or self.runs or self.unfinished)


class CatalogSync:
    """One reconciliation of this environment. With `dry_run` it only tells."""

    def __init__(self, *, dry_run: bool = False) -> None:
        self.environment = conf.current().environment
        self.dry_run = dry_run
        self.found = Agreed()

    def run(self) -> Agreed:
        """Looks at every object and every row, a page of backups at a time; returns what was found and done.

        Asks the stores for their lists, and for what no row describes: manifests, pins and records, each once. Raises
        HistoryError when there is no history to write to. A store that can't be asked is a problem that is told, and nothing that
        it should have is called missing.
        """
        try:
            BackupHistory.objects.exists()
        except DatabaseError as error:
            raise _no_history(error) from error
        catalogue = catalog.Catalogue(self.environment)
        was_missing = self._missing_before()
        for page in catalogue.pages():
            self._rebuild(page)
            self._note(page)
            self._mark([seen.entry for seen in page], was_missing)
        for problem in catalogue.problems:
            self._trouble(problem)
        self._pin(catalogue)
        self._rebuild_runs()
        for store in in_order(catalogue.stores):
            self._sweep(store)
        self._look_at_kept()
        return self.found

    def _missing_before(self) -> frozenset[UUID]:
        rows = BackupHistory.objects.of_environment(self.environment).filter(missing_at__isnull=False, deleted_at__isnull=True)
        return frozenset(rows.values_list("id", flat=True))

    def _rebuild(self, page: Sequence[Seen]) -> None:
        """Rows from manifests: of backups that have none, and of runs that did not hear of their own success."""
        wanted = [
            seen
            for seen in page
            if seen.manifest is not None and seen.entry.is_whole and (seen.row is None or seen.row.status != Status.SUCCEEDED)
        ]
        if not wanted:
            return
        plan = rebuilding.plan(wanted, oldest=timezone.now() - PATIENCE)
        if not self.dry_run:
            rebuilding.carry_out(plan)
        self.found.rebuilt += [row.filename for row in plan.new]
        self.found.mended += [row.filename for row in plan.behind]
        self.found.problems += [f"{name}: the history has another backup of that name." for name in plan.taken]

    def _note(self, page: Sequence[Seen]) -> None:
        """What a row did not know of copies that are proven: so that the next listing need not read their manifests again."""
        if not self.dry_run:
            rebuilding.note(page)

    def _mark(self, entries: Sequence[Entry], was_missing: frozenset[UUID]) -> None:
        """Rows whose backup is gone, rows whose backup is there again, and objects that nobody knows."""
        now = timezone.now()
        self.found.unknown += [
            (", ".join(entry.where) or entry.key, str(entry.mark)) for entry in entries if entry.mark in _UNKNOWN
        ]
        ours = [entry for entry in entries if entry.id is not None and entry.status == Status.SUCCEEDED]
        gone = [one for one in ours if one.mark in _LOST and one.id not in was_missing and not self._came_meanwhile(one, now)]
        back = [one for one in ours if one.is_whole and one.id in was_missing]
        self.found.missing += self._set(gone, missing_at=now)
        self.found.back += self._set(back, missing_at=None)

    def _came_meanwhile(self, entry: Entry, now: datetime) -> bool:
        """Whether a young backup is there after all: it was completed after the stores were listed. In doubt it is."""
        if entry.started_at < now - PATIENCE:
            return False
        try:
            return any(_has_whole(store, entry) for store in in_order(configured()))
        except StorageError as error:
            self._trouble(error)
            return True

    def _set(self, entries: Sequence[Entry], **values: object) -> list[str]:
        if entries and not self.dry_run:
            BackupHistory.objects.filter(id__in=[entry.id for entry in entries]).update(**values)
        return [entry.filename for entry in entries]

    def _pin(self, catalogue: catalog.Catalogue) -> None:
        """What somebody pinned stays pinned for the history that was lost meanwhile, or comes from an older backup."""
        prefix = keys.prefix(self.environment)
        pinned = {keys.filename_of(key): (store, key) for key, store in catalogue.pins.items() if key.startswith(prefix)}
        if not pinned:
            return
        rows = BackupHistory.objects.of_environment(self.environment).filter(filename__in=pinned, deleted_at=None)
        known = dict(rows.values_list("filename", "pin_reason"))
        would_be = {name: "" for name in (*self.found.rebuilt, *self.found.mended) if name in pinned}
        names = sorted(name for name, reason in (would_be | known).items() if not reason)
        with ThreadPoolExecutor(READERS, thread_name_prefix="pin") as pool:
            reasons = dict(zip(names, pool.map(lambda name: self._reason(*pinned[name]), names), strict=True))
        read = {name: reason for name, reason in reasons.items() if reason}
        if read and not self.dry_run:
            each = [When(filename=name, then=Value(reason)) for name, reason in read.items()]
            rows.filter(filename__in=read, pin_reason="").update(pin_reason=Case(*each))
        self.found.pinned += [f"{name}: {reason}" for name, reason in read.items()]

    def _reason(self, store: Store, key: str) -> str:
        try:
            return catalog.read_pin(store, key)
        except StorageError as error:
            self._trouble(error)
            return ""

    def _rebuild_runs(self) -> None:
        """Restores and verifications from their records, and from them what is proven."""

        def rebuild() -> None:
            for page in records.pages(self.environment, but=rebuilding.known_runs()):
                self.found.runs += len(page)
                if not self.dry_run:
                    rebuilding.add_runs(page)

        self._told(rebuild)

    def _sweep(self, store: Store) -> None:
        """What was begun more than a day ago and does not belong to a run that is under way."""
        running = list(BackupHistory.objects.running().values_list("filename", "upload_id"))
        writing, alive = {name for name, _id in running}, {upload_id for _name, upload_id in running if upload_id}

        def sweep() -> None:
            for prefix in (keys.prefix(self.environment), records.prefix(self.environment)):
                self._remove(store, prefix, alive=alive, writing=writing)

        self._told(sweep)

    def _remove(self, store: Store, prefix: str, *, alive: set[str], writing: set[str]) -> None:
        oldest = timezone.now() - PATIENCE
        for one in store.unfinished(prefix):
            if one.begun_at > oldest or one.upload_id in alive or keys.filename_of(one.key) in writing:
                continue
            if not self.dry_run:
                store.abort_upload(one.key, one.upload_id)
            self.found.unfinished.append((store.location(one.key), one))

    def _look_at_kept(self) -> None:
        try:
            self.found.kept = kept_copies(history.server())
        except BackupsError as error:
            self._trouble(error)

    def _told(self, step: Callable[[], None]) -> None:
        try:
            step()
        except StorageError as error:
            self._trouble(error)

    def _trouble(self, error: BackupsError) -> None:
        """Each once: a store that is away is asked for several things."""
        if str(error) not in self.found.problems:
            self.found.problems.append(str(error))


def _has_whole(store: Store, entry: Entry) -> bool:
    dump = store.head(entry.key)
    return dump is not None and dump.size_bytes == entry.size_bytes and store.head(keys.manifest_key(entry.key)) is not None


def _no_history(error: Exception) -> HistoryError:
    made = history.unreachable(error)
    if 'database "' in str(error) and "does not exist" in str(error):
        made.message = "The site's own database does not exist, so there is nowhere to write the history."
        made.hint = "Bring it back; its history comes with it: icb db restore latest. Or make an empty one, and migrate it."
    return made
