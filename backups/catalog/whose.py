"""Whose a database is, by the backups that were made of it; and which cluster a server is."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from backups.catalog.held import by_key
from backups.catalog.proof import in_order
from backups.exceptions import BackupsError
from backups.manifest import LIMIT_BYTES
from backups.postgres.connect import connected
from backups.postgres.databases import maintenance
from backups.postgres.snapshot import system_identifier as identifier_of
from backups.storage import keys
from backups.storage.store import Store
from backups.stores import configured
from backups.types import Server

LOOKED_AT = 20
READERS = 8
PATIENCE_SECONDS = 3  # for a server that is only asked who it is


def cluster_of(server: Server) -> str | None:
    """The system identifier of a server, "" where it hides that; None where it can't be asked. Raises nothing."""
    quick = replace(maintenance(server), options=(("connect_timeout", str(PATIENCE_SECONDS)), *server.options))
    try:
        with connected(quick, application_name="which cluster?") as connection:
            return identifier_of(connection)
    except BackupsError:
        return None


def is_database_of(environment: str, *, system_identifier: str, database: str) -> bool:
    """Whether one of an environment's newest backups is of that database on that cluster. Only good for refusing: signatures
    are not looked at, since another site's key is not ours to have.

    Raises nothing: what can't be read says nothing, and neither does a server that hides its identifier ("").
    """
    if not system_identifier:
        return False
    stores: list[Store] = []
    with suppress(BackupsError):
        stores = in_order(configured())
    with ThreadPoolExecutor(READERS, thread_name_prefix="manifest") as pool:
        told = pool.map(lambda place: _told(*place), _newest(stores, environment))
        return (system_identifier, database) in told


def _newest(stores: Sequence[Store], environment: str) -> list[tuple[Store, str]]:
    """Where the newest manifests are, in every store that has them."""
    places: dict[str, list[Store]] = {}
    for store in stores:
        with suppress(BackupsError):
            for key, one in by_key(store.list(keys.prefix(environment)), store).items():
                if one.manifest:
                    places.setdefault(key, []).append(store)
    newest = sorted(places, key=lambda key: keys.sortable(keys.filename_of(key)), reverse=True)[:LOOKED_AT]
    return [(store, key) for key in newest for store in places[key]]


def _told(store: Store, key: str) -> tuple[object, object]:
    """System identifier and database that a manifest tells, of whatever version and signature."""
    try:
        backup = json.loads(store.read(keys.manifest_key(key), limit_bytes=LIMIT_BYTES))["backup"]
        return backup["system_identifier"], backup["database"]
    except (BackupsError, ValueError, TypeError, LookupError, RecursionError):
        return None, None
