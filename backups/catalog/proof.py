"""Reads what stands beside a dump, and believes it only with our signature and in its own place."""

import hashlib
from dataclasses import dataclass

from backups import conf
from backups.exceptions import BackupNotFoundError, ChecksumError, ManifestError
from backups.manifest import LIMIT_BYTES, parse
from backups.sentences import sentence as _
from backups.storage import keys
from backups.storage.store import Store
from backups.stores import Stores
from backups.types import Manifest

LONGEST_REASON = 200  # characters of a pin's
PIN_BYTES = 4096


@dataclass(frozen=True)
class Proven:
    """A manifest, and the ETag of the very bytes that prove it; "" where the store tells none."""

    manifest: Manifest
    etag: str


def read_manifest(store: Store, key: str) -> Manifest:
    """The manifest of the dump at a key, proven: signed by us, and about this very key.

    Raises ManifestError, or ObjectMissingError when there is none.
    """
    return read_proven(store, key).manifest


def read_proven(store: Store, key: str) -> Proven:
    """The same, with its ETag. Raises as `read_manifest` does."""
    place = store.location(keys.manifest_key(key))
    data, etag = store.read_as(keys.manifest_key(key), limit_bytes=LIMIT_BYTES)
    try:
        manifest = parse(data, **conf.signing_keys())
    except ManifestError as error:
        error.detail = "\n".join(filter(None, [f"It is {place}{_elsewhere(key)}.", error.detail]))
        raise
    if manifest.key != key:
        raise ManifestError(
            _("The manifest {place} belongs to another backup: {key}.", place=place, key=manifest.key),
            hint=_("Somebody copied or moved it. Do not restore this backup; choose another one: icb db list"),
        )
    return Proven(manifest, etag)


def read_globals(store: Store, key: str, manifest: Manifest) -> bytes:
    """The SQL of roles and tablespaces beside a dump, proven by its manifest.

    Raises BackupNotFoundError where the backup has none, ChecksumError where it is another, and StorageError.
    """
    told = manifest.globals
    if told is None:
        raise BackupNotFoundError(
            _("Roles and tablespaces are not beside {filename}.", filename=manifest.filename),
            hint=_("Its manifest names the roles that it needs: icb db restore FILENAME --dry-run"),
        )
    place = keys.globals_key(key)
    data = store.read(place, limit_bytes=max(told.size_bytes, 1))
    if hashlib.sha256(data).hexdigest() != told.checksum:
        raise ChecksumError(
            _("The bytes of {place} are not the ones that were written.", place=store.location(place)),
            hint=_("It was replaced or is damaged. Choose another backup: icb db list"),
        )
    return data


def read_pin(store: Store, key: str) -> str:
    """The reason of the pin beside a dump; never empty. Raises StorageError."""
    text = store.read(keys.pin_key(key), limit_bytes=PIN_BYTES).decode(errors="replace")
    return " ".join(text.split())[:LONGEST_REASON] or "no reason is told"


def _elsewhere(key: str) -> str:
    """Another environment may have a signing key of its own, and whoever reads this at night may not think of it."""
    made, ours = key.partition("/")[0], conf.current().environment
    return "" if made == ours else f", of the environment {made}, and this process is of {ours}"


def in_order(stores: Stores) -> list[Store]:
    """The configured stores, the bucket first."""
    return [store for store in (stores.s3, stores.local) if store is not None]
