"""Small signed records beside the backups, of every restore and verification that ended: so that the bucket alone tells what is
proven, when the history is lost. {environment}/records/2024-01-15T120000-verification-<id>.json

They are no part of a backup: one that can't be written is told, and one that can't be read is left out.
"""

import re
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from backups import conf
from backups.catalog.joining import AT_ONCE, READERS
from backups.catalog.proof import in_order
from backups.exceptions import BackupsError
from backups.models import BackupRestore, Level, RestorePurpose, Status, Verdict
from backups.signed import SignedDocument, fields_of
from backups.storage.store import Store
from backups.stores import configured

DOCUMENT = SignedDocument(format="icb-run-record", version=1, body="run", name="record")
LIMIT_BYTES = 1 << 20
TEXTS = ("source_key", "purpose", "level", "verdict", "mode", "target_host", "target_database", "target_environment", "status")
TIMES = ("created_at", "started_at", "finished_at")
NUMBERS = ("duration_seconds", "load_seconds")
WHOLE = ("size_bytes", "target_port")
_NAME = re.compile(r"[0-9T-]{15,20}-(?:restore|verification)-([0-9a-f-]{36})\.json")


def prefix(environment: str) -> str:
    """Where an environment's records are."""
    return f"{environment}/records/"


def write(run: BackupRestore) -> None:
    """The record of a run that has ended. Raises StorageError, ConfigurationError."""
    settings, stores = conf.current(), in_order(configured())
    if not stores:
        return
    moment = run.started_at or run.created_at
    key = f"{prefix(settings.environment)}{moment:%Y-%m-%dT%H%M%S}-{run.purpose}-{run.id}.json"
    stores[0].put_new(key, DOCUMENT.serialize(_payload(run), signing_key=settings.signing_key))


def pages(environment: str, *, but: Collection[UUID]) -> Iterator[list[BackupRestore]]:
    """Runs of an environment as their records tell them, oldest first, not saved; without those in `but`, which are not read.

    AT_ONCE at a time. What can't be proven is left out. Raises StorageError when the store can't be asked.
    """
    with ThreadPoolExecutor(READERS, thread_name_prefix="record") as pool:
        for store in in_order(configured()):
            found = (
                (item.key, _NAME.fullmatch(item.key.removeprefix(prefix(environment))))
                for item in store.list(prefix(environment))
            )
            unread = ((key, UUID(match[1])) for key, match in found if match is not None)
            wanted = iter([(store, key, id) for key, id in unread if id not in but])
            while page := list(islice(wanted, AT_ONCE)):
                yield [run for run in pool.map(lambda one: _read(*one), page) if run is not None]


def _read(store: Store, key: str, id: UUID) -> BackupRestore | None:
    with suppress(BackupsError, ValueError, TypeError):
        ours = conf.signing_keys()
        data = store.read(key, limit_bytes=LIMIT_BYTES)
        return _run(DOCUMENT.proven(data, signing_keys=(ours["signing_key"], *ours["fallback_keys"])), expected_id=id)
    return None


def _payload(run: BackupRestore) -> dict[str, Any]:
    payload: dict[str, Any] = {"id": str(run.id), "backup_id": str(run.backup_id) if run.backup_id else None}
    payload |= {name: str(getattr(run, name)) for name in TEXTS}
    payload |= {name: moment.isoformat() if (moment := getattr(run, name)) else None for name in TIMES}
    payload |= {name: getattr(run, name) for name in (*NUMBERS, *WHOLE)}
    copies = run.comparison_report.get("copies")
    return payload | {"error_message": run.error_message[:10_000]} | ({"copies": copies} if copies else {})


def _run(payload: object, *, expected_id: UUID) -> BackupRestore:
    names = {"id", "backup_id", "error_message", *TEXTS, *TIMES, *NUMBERS, *WHOLE}
    names |= {"copies"} & set(payload if isinstance(payload, dict) else ())  # only verifications tell of them
    given = fields_of(payload, names, "The record is not well formed: the run")
    if UUID(str(given["id"])) != expected_id:
        raise ValueError("the record of another run")
    values: dict[str, Any] = {name: _text(given[name]) for name in (*TEXTS, "error_message")}
    values |= {name: datetime.fromisoformat(given[name]) if given[name] is not None else None for name in TIMES}
    values |= {name: float(given[name]) if given[name] is not None else None for name in NUMBERS}
    values |= {name: int(given[name]) if given[name] is not None else None for name in WHOLE}
    RestorePurpose(values["purpose"]), Status(values["status"])  # ValueError for what is none
    for kind, name in ((Level, "level"), (Verdict, "verdict")):
        if values[name]:
            kind(values[name])
    backup_id = UUID(given["backup_id"]) if given["backup_id"] is not None else None
    if "copies" in given:
        values["comparison_report"] = {"copies": [_copy(one) for one in given["copies"]]}
    return BackupRestore(id=expected_id, backup_id=backup_id, **values)


def _copy(given: object) -> dict[str, Any]:
    told = fields_of(given, {"where", "worth", "reads", "said", "hint"}, "The record is not well formed: a copy")
    return {name: int(value) if name == "reads" else _text(value) for name, value in told.items()}


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise TypeError("a text is expected")
    return given
