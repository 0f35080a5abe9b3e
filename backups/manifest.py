"""The signed manifest beside every dump, `<key>.json`: all that the history row knows, so that the bucket alone is enough.

It is the commit mark: written last, and what has no valid manifest is no backup. JSON for people to read; the signature is an
HMAC-SHA256 over the canonical form of `backup` (sorted keys, no spaces, UTF-8), so white space may change and nothing else.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NoReturn
from uuid import UUID

from backups.exceptions import ConfigurationError, ManifestError
from backups.types import Locale, Manifest, Objects, Snapshot, TableRows

FORMAT = "icb-backup-manifest"
VERSION = 1
ALGORITHM = "HMAC-SHA256"
LIMIT_BYTES = 64 << 20


def serialize(manifest: Manifest, *, signing_key: bytes) -> bytes:
    """The bytes of the manifest's file. Raises ConfigurationError without a signing key."""
    payload = _payload(manifest)
    signature = {"algorithm": ALGORITHM, "key_id": key_id(signing_key), "value": _sign(payload, signing_key)}
    document = {"format": FORMAT, "version": VERSION, "backup": payload, "signature": signature}
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def parse(data: bytes, *, signing_key: bytes, fallback_keys: Sequence[bytes] = ()) -> Manifest:
    """The manifest in a file's bytes, proven to be signed with our key, or one that was ours before, and well formed.

    Raises ManifestError for anything else, naming the key's id where it was signed with another one.
    """
    document = _fields(_loads(data), {"format", "version", "backup", "signature"}, "the manifest")
    if document["format"] != FORMAT or document["version"] != VERSION or isinstance(document["version"], bool):
        raise ManifestError(
            f"The manifest's format {_shown(document['format'])}, version {_shown(document['version'])} is unknown.",
            hint=f"This version of the backup system reads {FORMAT} version {VERSION}. Was it made by a newer one?",
        )
    signature = _fields(document["signature"], {"algorithm", "key_id", "value"}, "the signature")
    payload = document["backup"]
    _require_signature(payload, signature, (signing_key, *fallback_keys))
    try:
        return _manifest(payload)
    except (TypeError, ValueError, OverflowError) as error:
        raise ManifestError("The manifest is not well formed.", detail=str(error)) from error


def key_id(signing_key: bytes) -> str:
    """A name for a signing key that does not tell the key: 16 hex digits."""
    if not signing_key:
        raise ConfigurationError(
            "There is no signing key, so no backup could ever be proven to be ours.",
            hint="Set BACKUPS_SIGNING_KEY to a long random text, and keep it somewhere else than the backups.",
        )
    return hmac.new(signing_key, b"icb manifest key id", hashlib.sha256).hexdigest()[:16]


def _require_signature(payload: object, signature: dict[str, Any], signing_keys: Sequence[bytes]) -> None:
    if signature["algorithm"] != ALGORITHM:
        raise ManifestError(f"The manifest's signature is not {ALGORITHM}.")
    ours = {key_id(key): key for key in reversed(signing_keys)}
    if not isinstance(signature["key_id"], str) or signature["key_id"] not in ours:
        raise ManifestError(
            f"The manifest was signed with another key: {_shown(signature['key_id'])};"
            f" ours is {', '.join(_shown(key_id(key)) for key in signing_keys)}.",
            hint="If it is a key that this site had before, add it to BACKUPS_SIGNING_KEY_FALLBACKS. If another site made the"
            " backup, set BACKUPS_SIGNING_KEY, for this one command, to its key; that is in its settings, never in the bucket.",
        )
    try:
        expected = _sign(payload, ours[signature["key_id"]])
    except (UnicodeEncodeError, RecursionError) as error:
        raise ManifestError("The manifest is not well formed.", detail=type(error).__name__) from error
    given = signature["value"]
    if not isinstance(given, str) or not given.isascii() or not hmac.compare_digest(given, expected):
        raise ManifestError(
            "The manifest's signature does not match: it was changed after the backup was made, or is damaged.",
            hint="Do not restore this backup. Choose another one: icb db list",
        )


def _sign(payload: object, signing_key: bytes) -> str:
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return hmac.new(signing_key, canonical, hashlib.sha256).hexdigest()


def _payload(manifest: Manifest) -> dict[str, Any]:
    snapshot = manifest.snapshot
    payload = {
        "id": str(manifest.id),
        "filename": manifest.filename,
        "description": manifest.description,
        "backup_type": manifest.backup_type,
        "environment": manifest.environment,
        "database": manifest.database,
        "started_at": manifest.started_at.astimezone(UTC).isoformat(),
        "finished_at": manifest.finished_at.astimezone(UTC).isoformat(),
        "size_bytes": manifest.size_bytes,
        "checksum_sha256": manifest.checksum,
        "bucket": manifest.bucket,
        "key": manifest.key,
        "pg_dump_version": manifest.pg_dump_version,
        "compression": manifest.compression,
        "application_version": manifest.application_version,
        "triggered_by": manifest.triggered_by,
        "server_version": snapshot.server_version,
        "server_version_num": snapshot.server_version_num,
        "system_identifier": snapshot.system_identifier,
        "database_size_bytes": snapshot.database_size_bytes,
        "encoding": snapshot.encoding,
        "locale": asdict(snapshot.locale),
        "extensions": dict(snapshot.extensions),
        "migrations": list(snapshot.migrations),
        "roles": list(snapshot.roles),
        "tables": [{"schema": t.schema, "table": t.table, "rows": t.rows, "bytes": t.bytes} for t in snapshot.tables],
    }
    if manifest.objects is not None:
        payload["objects"] = {one.kind: list(one.names) if len(one.names) == one.count else one.count for one in manifest.objects}
    return payload


def _manifest(payload: object) -> Manifest:
    expected = {
        "id", "filename", "description", "backup_type", "environment", "database", "started_at", "finished_at", "size_bytes",
        "checksum_sha256", "bucket", "key", "pg_dump_version", "compression", "application_version", "triggered_by",
        "server_version", "server_version_num", "system_identifier", "database_size_bytes", "encoding", "locale", "extensions",
        "migrations", "roles", "tables",
    }  # fmt: skip
    noted = {"objects"} if isinstance(payload, dict) and "objects" in payload else set()  # older backups have it not
    given = _fields(payload, expected | noted, "the backup")
    text: Callable[[str], str] = lambda name: _text(given[name])  # noqa: E731
    number: Callable[[str], int] = lambda name: _number(given[name])  # noqa: E731
    return Manifest(
        id=UUID(text("id")),
        filename=text("filename"),
        description=text("description"),
        backup_type=text("backup_type"),
        environment=text("environment"),
        database=text("database"),
        started_at=_moment(given["started_at"]),
        finished_at=_moment(given["finished_at"]),
        size_bytes=number("size_bytes"),
        checksum=_checksum(given["checksum_sha256"]),
        bucket=text("bucket"),
        key=text("key"),
        pg_dump_version=text("pg_dump_version"),
        compression=text("compression"),
        application_version=text("application_version"),
        triggered_by=text("triggered_by"),
        snapshot=Snapshot(
            tables=tuple(_table(table) for table in _list(given["tables"])),
            database_size_bytes=number("database_size_bytes"),
            server_version=text("server_version"),
            server_version_num=number("server_version_num"),
            system_identifier=text("system_identifier"),
            encoding=text("encoding"),
            locale=_locale(given["locale"]),
            extensions=tuple(sorted((_text(name), _text(version)) for name, version in _dict(given["extensions"]).items())),
            migrations=tuple(_text(name) for name in _list(given["migrations"])),
            roles=tuple(_text(name) for name in _list(given["roles"])),
        ),
        objects=_objects(given["objects"]) if noted else None,
    )


def _loads(data: bytes) -> object:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a name stands twice")
        return made

    def refuse(text: str) -> NoReturn:
        raise ValueError(f"{text} is not a number of JSON")

    try:
        return json.loads(data, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        detail = "" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ManifestError(
            "The manifest can't be read: it is not JSON as we write it.",
            detail=detail,
            hint="It is damaged, or not ours. Choose another backup: icb db list",
        ) from error


def _fields(given: object, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(given, dict) or set(given) != names:
        raise ManifestError(f"The manifest is not well formed: {what} has not the fields it should have.")
    return given


def _locale(given: object) -> Locale:
    fields = _fields(given, {"provider", "collate", "ctype", "name"}, "the locale")
    if fields["provider"] not in ("c", "i", "b"):
        raise ValueError("a locale's provider is c, i or b")
    return Locale(
        provider=fields["provider"], collate=_text(fields["collate"]), ctype=_text(fields["ctype"]), name=_text(fields["name"])
    )


def _table(given: object) -> TableRows:
    fields = _fields(given, {"schema", "table", "rows", "bytes"}, "a table")
    return TableRows(
        schema=_text(fields["schema"]), table=_text(fields["table"]), rows=_number(fields["rows"]), bytes=_number(fields["bytes"])
    )


def _objects(given: object) -> tuple[Objects, ...]:
    """By kind, their names; or how many where those were too many."""
    found = []
    for kind, told in _dict(given).items():
        names = () if isinstance(told, int) else tuple(_text(name) for name in _list(told))
        found.append(Objects(kind=_text(kind), count=_number(told) if isinstance(told, int) else len(names), names=names))
    return tuple(sorted(found))


def _shown(given: object) -> str:
    """For a message: of anything but a short text or number only its kind, as it may be huge or deep."""
    return repr(given) if isinstance(given, str | int | float) and len(repr(given)) <= 64 else f"(a {type(given).__name__})"


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise TypeError(f"a text is expected, not {type(given).__name__}")
    return given


def _number(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise TypeError("a whole number, 0 or more, is expected")
    return given


def _moment(given: object) -> datetime:
    moment = datetime.fromisoformat(_text(given))
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment.astimezone(UTC)


def _checksum(given: object) -> str:
    text = _text(given)
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise ValueError("a SHA-256 is 64 hex digits")
    return text


def _list(given: object) -> list[object]:
    if not isinstance(given, list):
        raise TypeError("a list is expected")
    return given


def _dict(given: object) -> dict[str, object]:
    if not isinstance(given, dict):
        raise TypeError("an object is expected")
    return given
