"""The signed manifest beside every dump, `<key>.json`: all that the history row knows, so that the bucket alone is enough.

It is the commit mark: written last, and what has no valid manifest is no backup. JSON for people to read; the signature is an
HMAC-SHA256 over the canonical form of `backup` (sorted keys, no spaces, UTF-8), so white space may change and nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from backups.exceptions import ManifestError
from backups.signed import ANOTHER, SignedDocument, fields_of
from backups.types import Globals, Locale, Manifest, Objects, Snapshot, TableRows

FORMAT = "icb-backup-manifest"
VERSION = 1
DOCUMENT = SignedDocument(format=FORMAT, version=VERSION, body="backup", name="manifest")
OPTIONAL = frozenset(
    {"objects", "globals", "warnings", "guards"}
)  # left out where there is nothing to say, and by older versions
LIMIT_BYTES = 64 << 20


def serialize(manifest: Manifest, *, signing_key: bytes) -> bytes:
    """The bytes of the manifest's file. Raises ConfigurationError without a signing key."""
    return DOCUMENT.serialize(_payload(manifest), signing_key=signing_key)


def parse(data: bytes, *, signing_key: bytes, fallback_keys: Sequence[bytes] = ()) -> Manifest:
    """The manifest in a file's bytes, proven to be signed with our key, or one that was ours before, and well formed.

    Raises ManifestError for anything else, naming the key's id where it was signed with another one.
    """
    payload = DOCUMENT.proven(data, signing_keys=(signing_key, *fallback_keys))
    try:
        return _manifest(payload)
    except (TypeError, ValueError, OverflowError) as error:
        raise ManifestError("The manifest is not well formed.", detail=str(error), hint=ANOTHER) from error


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
        "tables": [table.fields() for table in snapshot.tables],
    }
    if manifest.objects is not None:
        payload["objects"] = {one.kind: list(one.names) if len(one.names) == one.count else one.count for one in manifest.objects}
    if manifest.globals is not None:
        payload["globals"] = {"size_bytes": manifest.globals.size_bytes, "checksum_sha256": manifest.globals.checksum}
    if manifest.warnings:
        payload["warnings"] = list(manifest.warnings)
    if manifest.guards:
        payload["guards"] = list(manifest.guards)
    return payload


def _manifest(payload: object) -> Manifest:
    expected = {
        "id", "filename", "description", "backup_type", "environment", "database", "started_at", "finished_at", "size_bytes",
        "checksum_sha256", "bucket", "key", "pg_dump_version", "compression", "application_version", "triggered_by",
        "server_version", "server_version_num", "system_identifier", "database_size_bytes", "encoding", "locale", "extensions",
        "migrations", "roles", "tables",
    }  # fmt: skip
    noted = OPTIONAL.intersection(payload) if isinstance(payload, dict) else frozenset()
    given = fields_of(payload, expected | noted, "The manifest is not well formed: the backup")
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
        checksum=_hex(given["checksum_sha256"], 64),
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
        objects=_objects(given["objects"]) if "objects" in noted else None,
        globals=_globals(given["globals"]) if "globals" in noted else None,
        warnings=tuple(_text(warning) for warning in _list(given.get("warnings", []))),
        guards=tuple(_text(name) for name in _list(given.get("guards", []))),
    )


def _locale(given: object) -> Locale:
    fields = fields_of(given, {"provider", "collate", "ctype", "name"}, "The manifest is not well formed: the locale")
    if fields["provider"] not in ("c", "i", "b"):
        raise ValueError("a locale's provider is c, i or b")
    return Locale(
        provider=fields["provider"], collate=_text(fields["collate"]), ctype=_text(fields["ctype"]), name=_text(fields["name"])
    )


def _table(given: object) -> TableRows:
    noted = {"fingerprint"}.intersection(given) if isinstance(given, dict) else frozenset()
    expected = {"schema", "table", "rows", "bytes"}
    fields = fields_of(given, expected | noted, "The manifest is not well formed: a table")
    return TableRows(
        schema=_text(fields["schema"]),
        table=_text(fields["table"]),
        rows=_number(fields["rows"]),
        bytes=_number(fields["bytes"]),
        fingerprint=_hex(fields["fingerprint"], 16) if noted else "",
    )


def _globals(given: object) -> Globals:
    fields = fields_of(given, {"size_bytes", "checksum_sha256"}, "The manifest is not well formed: the globals")
    return Globals(size_bytes=_number(fields["size_bytes"]), checksum=_hex(fields["checksum_sha256"], 64))


def _objects(given: object) -> tuple[Objects, ...]:
    """By kind, their names; or how many where those were too many."""
    found = []
    for kind, told in _dict(given).items():
        names = () if isinstance(told, int) else tuple(_text(name) for name in _list(told))
        found.append(Objects(kind=_text(kind), count=_number(told) if isinstance(told, int) else len(names), names=names))
    return tuple(sorted(found))


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


def _hex(given: object, digits: int) -> str:
    text = _text(given)
    if len(text) != digits or set(text) - set("0123456789abcdef"):
        raise ValueError(f"{digits} hex digits are expected")
    return text


def _list(given: object) -> list[object]:
    if not isinstance(given, list):
        raise TypeError("a list is expected")
    return given


def _dict(given: object) -> dict[str, object]:
    if not isinstance(given, dict):
        raise TypeError("an object is expected")
    return given
