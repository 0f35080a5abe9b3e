"""Bucket and history, made to agree: CatalogSync rebuilds what the history has lost, and marks what the bucket has lost.

Nothing that is a backup is ever deleted here. What goes is what dead runs have begun and not ended, after a day.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import Error as DatabaseError
from django.db.models import Q
from django.utils import timezone

from backups import catalog, conf, history, records
from backups.carry_over import row_of
from backups.catalog import Entry, Mark
from backups.catalog.proof import in_order
from backups.exceptions import BackupsError, HistoryError, StorageError
from backups.kept import kept_copies
from backups.models import BackupHistory, BackupRestore, Level, RestorePurpose, Status, Verdict
from backups.postgres.swap import Kept
from backups.storage import keys
from backups.storage.store import Store
from backups.stores import configured
from backups.types import Manifest, UnfinishedObject

PATIENCE = timedelta(days=1)  # the longest that a run is believed to take
BATCH = 500
# Of an entry: neither the history nor a manifest says what it is.
_UNKNOWN = frozenset({Mark.NO_MANIFEST, Mark.NO_DUMP, Mark.REFUSED, Mark.CHANGED})


@dataclass
class Agreed:
    """What was found, and done unless it was a dry run. Filenames, or locations where there is no row."""

    rebuilt: list[str] = field(default_factory=list)  # rows made from manifests
    mended: list[str] = field(default_factory=list)  # rows that said less than the manifest proves
    missing: list[str] = field(default_factory=list)  # rows whose backup no store has any more
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
        """Looks at every object and every row; returns what was found and done.

        Raises HistoryError when there is no history to write to. A store that can't be asked is a problem that is told, and
        nothing that it should have is called missing.
        """
        try:
            BackupHistory.objects.exists()
        except DatabaseError as error:
            raise _no_history(error) from error
        listing = catalog.list_backups(limit=None)
        self.found.problems += [str(problem) for problem in listing.problems if not isinstance(problem, HistoryError)]
        self._rebuild(listing.entries)
        self._mark(listing.entries)
        self._note_etags(listing)
        self._pin(listing)
        self._rebuild_runs()
        for store in in_order(configured()):
            self._sweep(store)
        self._look_at_kept()
        return self.found

    def _rebuild(self, entries: list[Entry]) -> None:
        """Rows from manifests: of backups that have none, and of runs that did not hear of their own success."""
        wanted = {entry.filename: entry.mark for entry in entries if entry.mark in (Mark.NOT_IN_HISTORY, Mark.BEHIND)}
        if not wanted:
            return
        for manifest in catalog.manifests(only=wanted):
            row = BackupHistory(**row_of(manifest))
            behind = wanted[manifest.filename] == Mark.BEHIND
            present = BackupHistory.objects.filter(id=manifest.id).first()
            if present is not None and present.status in (Status.PENDING, Status.RUNNING):
                continue  # it may be about to write that itself; if it is dead, the next backup settles it
            if self.dry_run or (_corrected(present, manifest) if present is not None else history.add(row)):
                (self.found.mended if behind else self.found.rebuilt).append(manifest.filename)
            else:
                self.found.problems.append(f"{manifest.filename}: the history has another backup of that name.")

    def _mark(self, entries: list[Entry]) -> None:
        """Rows whose backup is gone, rows whose backup is there again, and objects that nobody knows."""
        now = timezone.now()
        by_mark: dict[bool, list[Entry]] = {True: [], False: []}
        for entry in entries:
            if entry.mark in _UNKNOWN:
                self.found.unknown.append((", ".join(entry.where) or entry.key, str(entry.mark)))
            if entry.id is not None and entry.status == Status.SUCCEEDED:
                by_mark[entry.mark == Mark.MISSING].append(entry)
        gone = [entry for entry in by_mark[True] if not self._came_meanwhile(entry, now)]
        self.found.missing = self._set(gone, Q(missing_at__isnull=True), missing_at=now)
        self.found.back = self._set([e for e in by_mark[False] if e.is_whole], Q(missing_at__isnull=False), missing_at=None)

    def _came_meanwhile(self, entry: Entry, now: datetime) -> bool:
        """Whether a young backup is there after all: it was completed after the stores were listed. In doubt it is."""
        if entry.started_at < now - PATIENCE:
            return False
        try:
            return any(store.head(keys.manifest_key(entry.key)) is not None for store in in_order(configured()))
        except StorageError as error:
            self.found.problems.append(str(error))
            return True

    def _set(self, entries: list[Entry], where: Q, **values: object) -> list[str]:
        changed: list[str] = []
        for start in range(0, len(entries), BATCH):
            rows = BackupHistory.objects.filter(where, id__in=[entry.id for entry in entries[start : start + BATCH]])
            changed += rows.values_list("filename", flat=True)
            if not self.dry_run:
                rows.update(**values)
        return sorted(changed)

    def _note_etags(self, listing: catalog.Listing) -> None:
        """Of rows that were not there when their manifests were written: so that the next listing need not read those again."""
        if self.dry_run:
            return
        rows = list(BackupHistory.objects.of_environment(self.environment).succeeded().filter(manifest_etag="").only("filename"))
        for row in rows:
            row.manifest_etag = listing.etags.get(keys.prefix(self.environment) + row.filename, "")
        BackupHistory.objects.bulk_update([row for row in rows if row.manifest_etag], ["manifest_etag"], batch_size=BATCH)

    def _pin(self, listing: catalog.Listing) -> None:
        """What somebody pinned stays pinned for the history that was lost meanwhile, or comes from an older backup."""
        prefix = keys.prefix(self.environment)
        pinned = {keys.filename_of(key): (store, key) for key, store in listing.pins.items() if key.startswith(prefix)}
        rows = BackupHistory.objects.of_environment(self.environment).filter(pin_reason="", deleted_at=None)
        names = list(rows.filter(filename__in=pinned).values_list("filename", flat=True))
        for name in [*names, *(made for made in self.found.rebuilt if self.dry_run and made in pinned)]:
            try:
                reason = catalog.read_pin(*pinned[name])
            except StorageError as error:
                self.found.problems.append(str(error))
                continue
            if not self.dry_run:
                rows.filter(filename=name).update(pin_reason=reason)
            self.found.pinned.append(f"{name}: {reason}")

    def _rebuild_runs(self) -> None:
        """Restores and verifications from their records, and from them what is proven."""
        known: set[UUID] = set(BackupRestore.objects.values_list("id", flat=True))
        backups = set(BackupHistory.objects.values_list("id", flat=True))
        try:
            for run in records.read(self.environment, but=known):
                self.found.runs += 1
                if self.dry_run:
                    continue
                if run.backup_id not in backups:
                    run.backup_id = None
                if history.add(run) and run.backup_id is not None and run.purpose == RestorePurpose.VERIFICATION:
                    _remember(run)
        except StorageError as error:
            self.found.problems.append(str(error))

    def _sweep(self, store: Store) -> None:
        """What was begun more than a day ago and does not belong to a run that is under way."""
        alive = set(BackupHistory.objects.running().exclude(upload_id="").values_list("upload_id", flat=True))
        writing = set(BackupHistory.objects.running().values_list("filename", flat=True))
        self._told(lambda: self._remove(store, alive=alive, writing=writing))

    def _remove(self, store: Store, *, alive: set[str], writing: set[str]) -> None:
        oldest = timezone.now() - PATIENCE
        for one in store.unfinished(keys.prefix(self.environment)):
            if one.begun_at > oldest or one.upload_id in alive or keys.filename_of(one.key) in writing:
                continue
            if not self.dry_run:
                store.abort_upload(one.key, one.upload_id)
            self.found.unfinished.append((store.location(one.key), one))

    def _look_at_kept(self) -> None:
        def look() -> None:
            self.found.kept = kept_copies(history.server())

        self._told(look)

    def _told(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BackupsError as error:
            self.found.problems.append(str(error))


def _corrected(row: BackupHistory, manifest: Manifest) -> bool:
    """What the manifest tells, onto a row that said less. What only the row knows (pins, proof, who made it) stays."""
    keep = ("id", "triggered_by_id", "created_at")
    history.update(row, **{name: value for name, value in row_of(manifest).items() if name not in keep})
    return True


def _remember(run: BackupRestore) -> None:
    """What a verification has proven, on the backup's row, where nothing newer stands there."""
    backup, at = run.backup, run.finished_at
    if backup is None or at is None:
        return
    backup.refresh_from_db()
    if run.verdict == Verdict.BAD and (backup.verified_at is None or backup.verified_at < at):
        history.update(backup, bad_at=at)
    if run.verdict != Verdict.GOOD:
        return
    passed = {Level.STORED: ["stored_at"], Level.READABLE: ["stored_at", "readable_at"]}
    names = passed.get(Level(run.level), ["stored_at", "readable_at", "verified_at"])
    values: dict[str, object] = {name: at for name in names if getattr(backup, name) is None or getattr(backup, name) < at}
    if "verified_at" in values and backup.bad_at is not None and backup.bad_at < at:
        values["bad_at"] = None
    if values:
        history.update(backup, **values)


def _no_history(error: Exception) -> HistoryError:
    made = history.unreachable(error)
    if 'database "' in str(error) and "does not exist" in str(error):
        made.message = "The site's own database does not exist, so there is nowhere to write the history."
        made.hint = "Bring it back; its history comes with it: icb db restore latest. Or make an empty one, and migrate it."
    return made
