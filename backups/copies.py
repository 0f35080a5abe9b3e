"""What each copy of a backup is worth. One that is damaged condemns no other, and one reading condemns no copy."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from backups import conf, stores
from backups.catalog import Copies, Found, Held, read_globals, read_manifest
from backups.catalog.held import AGAIN
from backups.exceptions import ArchiveError, BackupsError, ChecksumError, ManifestError, ScratchError, StorageError
from backups.storage import keys
from backups.storage.store import Store
from backups.verdicts import is_the_backups_fault

READS = 2  # of each copy: what damages a reading may be the network, or this machine's memory
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
class Try:
    """One copy that is to be read, by `read`, which is told which; `suffix` is that of the object at which it is. Where something
    of it `is_missing`, no second reading will find it.
    """

    store: Store
    key: str
    read: Callable[["Try"], Found]
    is_missing: bool = False
    suffix: str = ""

    @property
    def location(self) -> str:
        """Of that object, for people."""
        return self.store.location(self.key + self.suffix)

    @contextmanager
    def object(self, suffix: str) -> Iterator[None]:
        """It stays the one where reading it fails."""
        self.suffix = suffix
        yield
        self.suffix = ""


@dataclass(kw_only=True)
class Reading:
    """Reads copies one after another, and each once more whose bytes are wrong. `told` is what is known of each, also where
    nothing can be had; `wrong` what was met, in its order, that of a first reading too where the second was good.
    """

    told: list[Copy] = field(default_factory=list)
    wrong: list[BackupsError] = field(default_factory=list)
    _errors: list[BackupsError] = field(default_factory=list)

    def first_of(
        self, tries: Iterable[Try], unasked: Iterable[tuple[Store, StorageError]], *, key: str, every: bool = False
    ) -> Found | None:
        """The first copy that is good, None where none is; `every` one is read, or those before that one."""
        good: Found | None = None
        for one in tries:
            if good is not None and not every:
                self.told.append(Copy(where=one.location, worth=Worth.UNREAD))
            else:
                found = self._tried(one)
                good = good or found
        for store, error in unasked:
            self._note(store.location(key), error, reads=0)
        for copy in self.told:
            if good is not None and copy.worth is Worth.DAMAGED:
                copy.hint = _how_to_replace(copy.where, key, good)
        return good

    @property
    def error(self) -> BackupsError:
        """What speaks for all, where none is good: while nobody can tell of one copy, the backup is not bad."""
        return next((error for error in self._errors if not is_the_backups_fault(error)), self._errors[0])

    def _tried(self, one: Try) -> Found | None:
        first: BackupsError | None = None
        for reads in range(1, READS + 1):
            one.suffix = ""
            try:
                found = one.read(one)
            except ScratchError:
                raise
            except _OF_A_COPY as error:
                again = is_the_backups_fault(error) and not one.is_missing
                if not again and isinstance(error, ArchiveError):
                    raise  # of the program
                if again and reads < READS:
                    first = error
                    continue
                self._note(one.location, error, reads=reads)
                return None
            said = ""
            if first is not None:
                self.wrong.append(first)
                said = f"It was damaged when it was first read, and whole when it was read again. {first.message}"
            self.told.append(Copy(where=found.location, worth=Worth.GOOD, reads=reads, said=said))
            return found
        raise AssertionError("no reading")

    def _note(self, where: str, error: BackupsError, *, reads: int) -> None:
        error.scrub(stores.secrets())
        worth = Worth.DAMAGED if is_the_backups_fault(error) else Worth.UNABLE
        self.told.append(Copy(where=where, worth=worth, reads=reads, said=said_of(error), hint=error.hint))
        self.wrong.append(error)
        self._errors.append(error)


@dataclass(kw_only=True)
class Proving(Reading):
    """Reads copies with what lies beside them. `read` proves one as far as is wanted."""

    read: Callable[[Found], None]

    def first_good(self, copies: Copies, *, every: bool) -> Found:
        """The first copy that is good; `every` one of them is read, with what lies beside it, or those before that one.

        Raises what was wrong with the first where none is good; where of one nobody can tell, that.
        """
        tries = [
            Try(one.store, copies.key, partial(self._proven, one, beside=every), is_missing=not one.is_complete)
            for one in copies.held
        ]
        good = self.first_of(tries, copies.unasked, key=copies.key, every=every)
        if good is None:
            raise self._told_of_all()
        return good

    def _proven(self, held: Held, at: Try, *, beside: bool) -> Found:
        with at.object(keys.MANIFEST_SUFFIX):
            if held.manifest is None:
                raise ManifestError(f"The manifest {at.location} is gone; its dump is left.", hint=AGAIN)
            manifest = read_manifest(held.store, at.key)
        if held.dump is None:
            raise ChecksumError(f"The dump {at.location} is gone; its manifest is left.", hint=AGAIN)
        found = Found(manifest, held.store, at.key)
        self.read(found)
        if beside and manifest.globals is not None:
            with at.object(keys.GLOBALS_SUFFIX):
                read_globals(held.store, at.key, manifest)
        return found

    def _told_of_all(self) -> BackupsError:
        error = self.error
        if len(self.told) == 1:
            error.detail = "\n".join(filter(None, (error.detail, f"It was read {_times(self.told[0].reads)}.")))
            return error
        lines = [f"{copy.where} is {copy.worth}, read {_times(copy.reads)}: {_first(copy.said)}" for copy in self.told]
        error.detail = "\n".join(filter(None, (error.detail, *lines)))
        return error


def not_good(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The copies of a row's report that are damaged, or could not be read."""
    return [copy for copy in report.get("copies", []) if copy["worth"] in (Worth.DAMAGED, Worth.UNABLE)]


def said_of(error: BackupsError) -> str:
    """What happened, and what was seen of it."""
    return "\n".join(filter(None, (error.message, error.detail)))


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
