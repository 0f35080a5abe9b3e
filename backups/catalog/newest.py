"""The newest backup of one database. An older one is never taken in its place: it is only named."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from django.db import Error as DatabaseError
from django.db import transaction

from backups.catalog.held import Found, Held, found_in, in_environment, not_whole, prove
from backups.exceptions import BackupNotFoundError, BackupsError, ChecksumError, ManifestError, StorageError
from backups.models import BackupHistory, BackupType
from backups.storage import keys
from backups.storage.store import Store
from backups.types import Manifest

MOST_PASSED_OVER = 20  # on the way to one that can be named: with a wrong signing key there is none


def find_newest(stores: Sequence[Store], *, environment: str, database: str) -> Found:
    """The newest backup of a database: of those with a manifest, as a run that failed has none.

    What a restore in place has backed up before it is no candidate: whoever restores "latest" twice would be back where he was.

    Raises BackupNotFoundError, ManifestError, ChecksumError or StorageError where the newest can't be had, and names the newest
    that can.
    """
    try:
        return _Search(environment, database, in_environment(stores, environment)).newest()
    except ChecksumError:
        raise
    except StorageError as error:
        error.hint = f"{error.hint}\n{_without_the_first(stores, environment, database)}".strip()
        raise


def _without_the_first(stores: Sequence[Store], environment: str, database: str) -> str:
    for store in stores[1:]:
        with suppress(BackupsError):
            found = _Search(environment, database, in_environment([store], environment)).newest()
            return _named("The newest copy that can be had without it", found)
    return ""


def _named(what: str, found: Found) -> str:
    return f"{what} is from {found.manifest.started_at:%Y-%m-%d %H:%M} UTC. Name it instead of latest: {found.manifest.filename}"


@dataclass
class _Search:
    """Goes from the newest on through what the stores hold of an environment."""

    environment: str
    database: str
    held: dict[str, list[Held]]
    others: set[str] = field(default_factory=set)  # databases of what was passed over
    before_restores: set[str] = field(default_factory=set)  # filenames of what was passed over

    def newest(self) -> Found:
        try:
            for together in self._minutes():
                proven = [one for key in together if (one := self._proven(key)) is not None]
                if proven:
                    return self._whole(*max(proven, key=lambda one: one[0].finished_at))
        except (ManifestError, BackupNotFoundError, ChecksumError) as error:
            error.hint = f"{error.hint}\n{self._instead()}".strip()
            raise
        raise self._none_yet()

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

    def _proven(self, key: str) -> tuple[Manifest, Store | None] | None:
        """The manifest and the store with the whole dump; None for what is no candidate. Raises ManifestError, StorageError."""
        try:
            manifest, store = prove(key, self.held[key])
        except ManifestError:
            other = self._by_history.get(keys.filename_of(key), self.database)
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
    def _by_history(self) -> dict[str, str]:
        """The database of each filename, by rows that nobody can write who can only write to the store. Empty without them."""
        try:
            with transaction.atomic():
                rows = BackupHistory.objects.of_environment(self.environment)
                return dict(rows.values_list("filename", "database"))
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
                return _named("The newest that can be trusted", newest)
            if passed_over >= MOST_PASSED_OVER:
                break
        return f"The {passed_over - 1} before it that were looked at can't be had either." if passed_over > 1 else ""

    def _none_yet(self) -> BackupNotFoundError:
        if self.before_restores:
            return BackupNotFoundError(
                f"There is no backup of the database {self.database} in the environment {self.environment} yet,"
                " but of what restores have replaced.",
                hint=f"If you mean that, name it: {max(self.before_restores)}",
            )
        if not self.others:
            return BackupNotFoundError(
                f"There is no backup of the database {self.database} in the environment {self.environment} yet.",
                hint="Make one: icb db backup first",
            )
        return BackupNotFoundError(
            f"There is no backup of the database {self.database} in the environment {self.environment} yet.",
            detail=f"There are backups of {', '.join(sorted(self.others))}:"
            " name one by its filename, or its alias with --database.",
            hint="icb db list shows what there is.",
        )
