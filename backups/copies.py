"""What each copy of a backup is worth. One that is damaged condemns no other, and one reading condemns no copy."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from backups import conf, stores
from backups.catalog import Copies, Found, Held, LocalArchive, read_globals, read_manifest
from backups.exceptions import ArchiveError, BackupsError, ChecksumError, ManifestError, ScratchError, StorageError
from backups.fetching import READS, download, take
from backups.storage import keys
from backups.storage.store import Store
from backups.types import OnProgress
from backups.verdicts import is_the_backups_fault

_OF_A_COPY = (ManifestError, StorageError, ArchiveError)  # what another copy may do better


class Worth(StrEnum):
    """What reading a copy has told."""

    GOOD = "good"
    DAMAGED = "damaged"
    UNABLE = "unable"  # to tell: its store can't be asked, or nobody here knows its signature
    UNREAD = "not read"  # another copy is good, and that is enough for what was asked


@dataclass(kw_only=True)
class Copy:
    """One copy, as the report of a verification has it. `where` is the object that is damaged, or the dump; `said` why it was
    read again, or is not good; `hint` what to do about it.
    """

    where: str
    worth: Worth
    reads: int = 0
    said: str = ""
    hint: str = ""

    def report(self) -> dict[str, Any]:
        """For the row."""
        return asdict(self) | {"worth": str(self.worth)}


@dataclass
class Proving:
    """Reads copies. `read` proves one as far as is wanted; `told` is what is known of each, also where nothing can be had."""

    read: Callable[[Found], None]
    told: list[Copy] = field(default_factory=list)
    _errors: list[BackupsError] = field(default_factory=list)

    def first_good(self, copies: Copies, *, every: bool) -> Found:
        """The first copy that is good; `every` one of them is read, with what lies beside it, or those before that one.

        Raises what was wrong with the first where none is good; where of one nobody can tell, that.
        """
        good: Found | None = None
        for held in copies.held:
            if good is not None and not every:
                self.told.append(Copy(where=held.store.location(copies.key), worth=Worth.UNREAD))
            else:
                found = self._tried(copies.key, held, beside=every)
                good = good or found
        for store, error in copies.unasked:
            self._note(store.location(copies.key), error, reads=0)
        if good is None:
            raise self._error()
        for copy in self.told:
            if copy.worth is Worth.DAMAGED:
                copy.hint = _how_to_replace(copy.where, copies.key, good)
        return good

    def _tried(self, key: str, held: Held, *, beside: bool) -> Found | None:
        first: BackupsError | None = None
        for reads in range(1, READS + 1):
            at = _At(held.store, key)
            try:
                found = self._proven(held, at, beside=beside)
            except ScratchError:
                raise
            except _OF_A_COPY as error:
                again = is_the_backups_fault(error) and held.is_complete
                if not again and isinstance(error, ArchiveError):
                    raise  # of the program
                if again and reads < READS:
                    first = error
                    continue
                self._note(at.location, error, reads=reads)
                return None
            self.told.append(Copy(where=found.location, worth=Worth.GOOD, reads=reads, said=_read_again(first) if first else ""))
            return found
        raise AssertionError("no reading")

    def _proven(self, held: Held, at: "_At", *, beside: bool) -> Found:
        with at.object(keys.MANIFEST_SUFFIX):
            if held.manifest is None:
                raise ManifestError(f"The manifest {at.location} is gone; its dump is left.")
            manifest = read_manifest(held.store, at.key)
        if held.dump is None:
            raise ChecksumError(f"The dump {at.location} is gone; its manifest is left.")
        found = Found(manifest, held.store, at.key)
        self.read(found)
        if beside and manifest.globals is not None:
            with at.object(keys.GLOBALS_SUFFIX):
                read_globals(held.store, at.key, manifest)
        return found

    def _note(self, where: str, error: BackupsError, *, reads: int) -> None:
        self.told.append(_worth_of(where, error, reads=reads))
        self._errors.append(error)

    def _error(self) -> BackupsError:
        """What speaks for all: while nobody can tell of one copy, the backup is not bad."""
        open_ = [error for error in self._errors if not is_the_backups_fault(error)]
        error = (open_ or self._errors)[0]
        if len(self.told) == 1:
            error.detail = "\n".join(filter(None, (error.detail, f"It was read {_times(self.told[0].reads)}.")))
            return error
        lines = [f"{copy.where} is {copy.worth}, read {_times(copy.reads)}: {_first(copy.said)}" for copy in self.told]
        error.detail = "\n".join(filter(None, (error.detail, *lines)))
        return error


@dataclass
class _At:
    """Which object of a copy is being read."""

    store: Store
    key: str
    suffix: str = ""

    @property
    def location(self) -> str:
        return self.store.location(self.key + self.suffix)

    @contextmanager
    def object(self, suffix: str) -> Iterator[None]:
        """It stays the one where reading it fails."""
        self.suffix = suffix
        yield
        self.suffix = ""


@dataclass(frozen=True)
class Fetched:
    """An archive on this machine, and where it is from. `problems` tell of copies that could not be taken, in words."""

    archive: Path
    location: str
    problems: tuple[str, ...] = ()


def fetch(source: Found | LocalArchive, folder: Path, *, told: list[Copy], on_progress: OnProgress) -> Fetched:
    """The archive as a file in `folder`, its size and SHA-256 equal to the manifest's: what was proven is what will be loaded.

    A copy whose bytes are wrong is read once more; then the copies of the other stores are taken. What each is worth is added to
    `told`, also where this raises. Raises ChecksumError and StorageError where none will do; where of one nobody can tell, that.
    The archive of a LocalArchive without manifest is not proven and stays where it is: there is nothing to hold it against.
    """
    if isinstance(source, Found):
        return _Reading(source, folder, told, on_progress).first_good()
    if source.manifest is None:
        return Fetched(source.path, source.location)
    return Fetched(take(source, folder, on_progress=on_progress), source.location)


@dataclass
class _Reading:
    """Reads the copies of one backup for a restore, until one is good."""

    found: Found
    folder: Path
    told: list[Copy]
    on_progress: OnProgress
    _errors: list[StorageError] = field(default_factory=list)

    def first_good(self) -> Fetched:
        good: tuple[Found, Path] | None = None
        for one in self.found.copies():
            if good is not None:
                self.told.append(Copy(where=one.location, worth=Worth.UNREAD))
            elif (archive := self._read(one)) is not None:
                good = one, archive
        for store, error in self.found.unasked:
            self._note(store.location(self.found.key), error, reads=0)
        said = list(dict.fromkeys(_said(error) for error in self._errors))
        if good is None:
            raise self._error(said)
        for copy in self.told:
            if copy.worth is Worth.DAMAGED:
                copy.hint = _how_to_replace(copy.where, self.found.key, good[0])
        if said:
            said.append(
                f"It was read from {good[0].location}, whose bytes are proven. What each copy is worth, and how one is"
                f" replaced: icb db verify {self.found.manifest.filename} --level stored"
            )
        return Fetched(good[1], good[0].location, tuple(said))

    def _read(self, one: Found) -> Path | None:
        wrong: list[StorageError] = []
        for reads in range(1, READS + 1):
            try:
                archive = download(one, self.folder, on_progress=self.on_progress)
            except ScratchError:
                raise
            except StorageError as error:
                wrong.append(error)
                if reads < READS and is_the_backups_fault(error):
                    continue
                self._note(one.location, error, reads=reads)
                return None
            self._errors += wrong
            self.told.append(Copy(where=one.location, worth=Worth.GOOD, reads=reads, said=_read_again(wrong[0]) if wrong else ""))
            return archive
        raise AssertionError("no reading")

    def _note(self, where: str, error: StorageError, *, reads: int) -> None:
        self.told.append(_worth_of(where, error, reads=reads))
        self._errors.append(error)

    def _error(self, said: list[str]) -> StorageError:
        error = next((one for one in self._errors if not is_the_backups_fault(one)), self._errors[0])
        error.detail = "\n".join(dict.fromkeys([error.detail, *(text for text in said if text != _said(error))])).strip()
        return error


def not_good(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The copies of a row's report that are damaged, or could not be read."""
    return [copy for copy in report.get("copies", []) if copy["worth"] in (Worth.DAMAGED, Worth.UNABLE)]


def _worth_of(where: str, error: BackupsError, *, reads: int) -> Copy:
    """Of one that could not be read, or not as it was written."""
    error.scrub(stores.secrets())
    worth = Worth.DAMAGED if is_the_backups_fault(error) else Worth.UNABLE
    return Copy(where=where, worth=worth, reads=reads, said=_said(error), hint=error.hint)


def _said(error: BackupsError) -> str:
    return "\n".join(filter(None, (error.message, error.detail)))


def _read_again(first: BackupsError) -> str:
    return f"It was damaged when it was first read, and whole when it was read again. {first.message}"


def _how_to_replace(where: str, key: str, good: Found) -> str:
    suffix = where.rpartition(key)[2]
    command = ["aws", "s3", "cp", good.store.location(key + suffix), where]
    options = conf.store_options()
    if options is not None and options.endpoint_url and "@" not in options.endpoint_url:  # which may hold a password
        command += ["--endpoint-url", options.endpoint_url]
    return (
        "Find out why, as what damaged it may damage the next one, too. Then put the good one in its place, and prove it:\n"
        f"{shlex.join(command)}\nicb db verify {keys.filename_of(key)} --level stored"
    )


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _first(text: str) -> str:
    return text.partition("\n")[0]
