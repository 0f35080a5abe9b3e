"""Lists: all backups, newest first, and all manifests."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from backups import conf
from backups.catalog.entries import Listing
from backups.catalog.held import Held, by_key, prove
from backups.catalog.joining import AT_ONCE, READERS, Catalogue, newness
from backups.catalog.proof import in_order
from backups.exceptions import ManifestError, StorageError
from backups.storage import keys
from backups.stores import configured
from backups.types import Manifest


def list_backups(*, limit: int | None = 20, all_environments: bool = False) -> Listing:
    """The newest backups of this environment, or of all. Works without the history, and without the bucket.

    Costs one request for each thousand objects that are as new as the oldest one listed, and one for each listed manifest that
    the history does not know. What bears a name of the future, and is proven by no manifest, comes last.
    """
    catalogue = Catalogue(None if all_environments else conf.current().environment, limit=limit)
    entries = [seen.entry for page in catalogue.pages(with_totals=True) for seen in page]
    entries.sort(key=lambda entry: (entry.key not in catalogue.ahead, entry.started_at), reverse=True)
    return Listing(entries, catalogue.problems)


def manifests(*, but: Collection[str] = ()) -> Iterator[Manifest]:
    """Of every backup of this environment whose manifest can be read and proven, newest first: what a lost history is made from.

    `but` names files that need not be read. What can't be had is left out, so that a rescue does not end there. A few are in
    memory at a time.
    """
    held: dict[str, list[Held]] = {}
    for store in in_order(configured()):
        with suppress(StorageError):
            for key, one in by_key(store.list(keys.prefix(conf.current().environment)), store).items():
                held.setdefault(key, []).append(one)
    wanted = (key for key, copies in held.items() if any(one.manifest for one in copies) and keys.filename_of(key) not in but)
    names = sorted(wanted, key=newness, reverse=True)
    with ThreadPoolExecutor(READERS, thread_name_prefix="manifest") as pool:
        for start in range(0, len(names), AT_ONCE):
            yield from filter(None, pool.map(lambda key: _proven(key, held[key]), names[start : start + AT_ONCE]))


def _proven(key: str, held: Sequence[Held]) -> Manifest | None:
    with suppress(ManifestError, StorageError):
        return prove(key, held)[0]
    return None
