"""The newest backup of one database. An older one is never taken in its place: it is only named.

Two clusters may each have a database of that name. The one at hand goes first; without a backup of it, that of the only other;
of several others none is guessed. docs/decisions/0011 tells why.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice

from django.db import Error as DatabaseError
from django.db import transaction

from backups.catalog.held import Found, Held, found_in, in_environment, not_whole, prove
from backups.catalog.whose import READERS, cluster_of
from backups.exceptions import (
    BackupNotFoundError,
    BackupsError,
    ChecksumError,
    ManifestError,
    ObjectMissingError,
    StorageError,
    UsageError,
)
from backups.models import BackupHistory, BackupType
from backups.sentences import sentence as _
from backups.storage import keys
from backups.storage.store import Store
from backups.types import Manifest, Server

MOST_PASSED_OVER = 20  # on the way to one that can be named: with a wrong signing key there is none
LOOKED_BACK = 1000  # manifests that are read for the clusters of a database, where the history does not tell
MINUTES_AT_ONCE = 64
Proven = tuple[Manifest, Store | None]


def find_newest(stores: Sequence[Store], *, environment: str, database: str, server: Server | None) -> Found:
    """The newest backup of a database: of those with a manifest, as a run that failed has none.

    `server` is the one at hand; it is asked which cluster it is, and need not answer. What a restore in place has backed up
    before it is no candidate: whoever restores "latest" twice would be back where he was.

    Raises UsageError where there are backups of several clusters and none of this; BackupNotFoundError, ManifestError,
    ChecksumError or StorageError where the newest can't be had, and names the newest that can.
    """
    try:
        return _Search(environment, database, server, in_environment(stores, environment)).newest()
    except ChecksumError:
        raise
    except StorageError as error:
        error.hint = f"{error.hint}\n{_without_the_first(stores, environment, database, server)}".strip()
        raise


def _without_the_first(stores: Sequence[Store], environment: str, database: str, server: Server | None) -> str:
    for store in stores[1:]:
        with suppress(BackupsError):
            found = _Search(environment, database, server, in_environment([store], environment)).newest()
            return _named("The newest copy that can be had without it", found)
    return ""


def _named(what: str, found: Found) -> str:
    return f"{what} is from {found.manifest.started_at:%Y-%m-%d %H:%M} UTC. Name it instead of latest: {found.manifest.filename}"


@dataclass
class _Search:
    """Goes from the newest on through what the stores hold of an environment."""

    environment: str
    database: str
    server: Server | None
    held: dict[str, list[Held]]
    others: set[str] = field(default_factory=set)  # databases of what was passed over
    before_restores: set[str] = field(default_factory=set)  # filenames of what was passed over

    def newest(self) -> Found:
        try:
            for together in self._minutes():
                proven = [one for key in together if (one := self._proven(key)) is not None]
                if proven:
                    return self._whole(*self._of_this_cluster(max(proven, key=_finished)))
        except (ManifestError, BackupNotFoundError, ChecksumError) as error:
            error.hint = f"{error.hint}\n{self._instead()}".strip()
            raise
        raise self._none_yet()

    def _of_this_cluster(self, first: Proven) -> Proven:
        """The newest of the cluster at hand, or of the only one there is; `first` is the newest of any."""
        ours = self._ours
        newest = {_cluster(first): first}
        if ours not in newest:
            for one in self._others(newest, ours):
                newest.setdefault(_cluster(one), one)
                if ours in newest:
                    break
        if ours in newest:
            return newest[ours]
        if len(newest) > 1:
            raise self._several(newest)
        return first

    @cached_property
    def _ours(self) -> str | None:
        return cluster_of(self.server) if self.server is not None else None

    def _others(self, known: dict[str, Proven], ours: str | None) -> Iterator[Proven]:
        """Backups of this database on clusters that are not known yet, newest first: LOOKED_BACK manifests are read for them."""
        read, minutes = 0, self._minutes()
        told = self._by_history  # here: a thread would open a connection of its own
        with ThreadPoolExecutor(READERS, thread_name_prefix="manifest") as pool:
            while read < LOOKED_BACK and (some := list(islice(minutes, MINUTES_AT_ONCE))):
                wanted = [[key for key in together if self._may_be_of_another(key, known)] for together in some]
                read += sum(map(len, wanted))
                for proven in pool.map(lambda keys_: [self._read(key, told, ours) for key in keys_], wanted):
                    yield from sorted((one for one in proven if one is not None), key=_finished, reverse=True)

    def _may_be_of_another(self, key: str, known: Mapping[str, Proven]) -> bool:
        """Whether its manifest must be read: the history does not know it, or knows a cluster that is not known yet."""
        database, cluster = self._by_history.get(keys.filename_of(key), (self.database, None))
        is_read = any(manifest.key == key for manifest, _store in known.values())
        return database == self.database and cluster not in known and not is_read

    def _read(self, key: str, told: dict[str, tuple[str, str]], ours: str | None) -> Proven | None:
        """As `_proven`. A refused manifest of which nobody knows that it is this cluster's says nothing: it is not the newest."""
        try:
            one = prove(key, self.held[key])
        except ManifestError:
            if ours is not None and told.get(keys.filename_of(key)) == (self.database, ours):
                raise
            return None
        except ObjectMissingError:  # a prune was quicker
            return None
        return one if one[0].database == self.database and one[0].backup_type != BackupType.PRE_RESTORE else None

    def _several(self, newest: dict[str, Proven]) -> UsageError:
        found = sorted((manifest for manifest, _store in newest.values()), key=lambda one: one.started_at, reverse=True)
        lines = (
            f"{one.filename}, {one.started_at:%Y-%m-%d %H:%M} UTC, cluster {one.snapshot.system_identifier or 'not told'}"
            for one in found
        )
        return UsageError(
            _(
                "Which latest backup of {database}? {found} clusters have a database of that name,"
                " and none of them is the one that the settings lead to.",
                database=self.database,
                found=len(found),
            ),
            detail="The newest of each:\n" + "\n".join(lines),
            hint=_("Name the one you mean instead of latest, for example: {filename}", filename=found[0].filename),
        )

    def _minutes(self) -> Iterator[list[str]]:
        """Keys, newest first. Names tell the minute; within one the manifests tell which is the later."""
        candidates = [key for key, held in self.held.items() if any(one.manifest for one in held)]
        together: list[str] = []
        for key in sorted(candidates, key=lambda key: keys.sortable(keys.filename_of(key)), reverse=True):
            if together and not keys.same_minute(key, together[0]):
                yield together
                together = []
            together.append(key)
        if together:
            yield together

    def _proven(self, key: str) -> Proven | None:
        """The manifest and the store with the whole dump; None for what is no candidate. Raises ManifestError, StorageError."""
        try:
            manifest, store = prove(key, self.held[key])
        except ManifestError:
            other, _its_cluster = self._by_history.get(keys.filename_of(key), (self.database, ""))
            if other == self.database:
                raise
            self.others.add(other)
            return None
        if manifest.database != self.database:
            self.others.add(manifest.database)
            return None
        if manifest.backup_type == BackupType.PRE_RESTORE:
            self.before_restores.add(manifest.filename)
            return None
        return manifest, store

    @cached_property
    def _by_history(self) -> dict[str, tuple[str, str]]:
        """Of each filename, by rows that nobody can write who can only write to the store. Empty without them."""
        try:
            with transaction.atomic():
                rows = BackupHistory.objects.of_environment(self.environment)
                told = rows.values_list("filename", "database", "system_identifier")
                return {filename: (database, cluster) for filename, database, cluster in told}
        except DatabaseError:
            return {}

    def _whole(self, manifest: Manifest, store: Store | None) -> Found:
        if store is None:
            raise not_whole(manifest.key, self.held[manifest.key])
        return found_in(store, manifest, self.held[manifest.key])

    def _instead(self) -> str:
        """Names the newest that can be had, or says how many can't."""
        passed_over = 0
        for together in self._minutes():
            whole = []
            for key in together:
                try:
                    if (one := self._proven(key)) is not None:
                        whole.append(self._whole(*one))
                except (ManifestError, BackupNotFoundError, ChecksumError):
                    passed_over += 1
                except StorageError:
                    return ""
            if whole:
                newest = max(whole, key=lambda found: found.manifest.finished_at)
                is_ours = self._ours in (None, newest.manifest.snapshot.system_identifier)
                return _named(f"The newest that can be trusted{'' if is_ours else ', of another cluster,'}", newest)
            if passed_over >= MOST_PASSED_OVER:
                break
        return f"The {passed_over - 1} before it that were looked at can't be had either." if passed_over > 1 else ""

    def _none_yet(self) -> BackupNotFoundError:
        if self.before_restores:
            return BackupNotFoundError(
                _(
                    "There is no backup of the database {database} in the environment {environment} yet,"
                    " but of what restores have replaced.",
                    database=self.database,
                    environment=self.environment,
                ),
                hint=_("If you mean that, name it: {before_restores}", before_restores=max(self.before_restores)),
            )
        if not self.others:
            return BackupNotFoundError(
                _(
                    "There is no backup of the database {database} in the environment {environment} yet.",
                    database=self.database,
                    environment=self.environment,
                ),
                hint=_("Make one: icb db backup first"),
            )
        return BackupNotFoundError(
            _(
                "There is no backup of the database {database} in the environment {environment} yet.",
                database=self.database,
                environment=self.environment,
            ),
            detail=f"There are backups of {', '.join(sorted(self.others))}:"
            " name one by its filename, or its alias with --database.",
            hint=_("icb db list shows what there is."),
        )


def _cluster(one: Proven) -> str:
    return one[0].snapshot.system_identifier


def _finished(one: Proven) -> datetime:
    return one[0].finished_at
