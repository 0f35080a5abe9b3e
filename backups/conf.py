"""Settings in, one frozen object out: `current()` reads Django's BACKUPS, STORAGES["backups"] and DATABASES at each call."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import storages
from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from backups.exceptions import ConfigurationError, UsageError
from backups.types import Server, StoreOptions

DEFAULTS: dict[str, Any] = {
    "ENVIRONMENT": "development",
    "SIGNING_KEY": "",
    "LOCAL_FOLDER": None,
    "SCRATCH_FOLDER": None,
    "CLIENT_FOLDERS": [],
    "LOCK_TIMEOUT_SECONDS": 30,
    "STALL_TIMEOUT_SECONDS": 600,
    "APPLICATION_VERSION": "",
}
# libpq parameters that would let a settings file or a user redirect the connection or run a program.
REFUSED_PARAMETERS = frozenset({"service", "servicefile", "passfile", "options", "dbname", "host", "hostaddr", "port", "user"})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the app may be told. Durations in seconds; folders absolute."""

    environment: str
    signing_key: bytes
    local_folder: Path | None
    scratch_folder: Path | None
    client_folders: tuple[str, ...]
    lock_timeout_seconds: int
    stall_timeout_seconds: int
    application_version: str


def current() -> Settings:
    """The settings as they are now.

    Raises ConfigurationError for a name that is none of ours, so that a typing error is not a silent default.
    """
    given = dict(getattr(settings, "BACKUPS", {}))
    if unknown := sorted(set(given) - set(DEFAULTS)):
        raise ConfigurationError(
            f"BACKUPS has no setting named {', '.join(unknown)}.", hint=f"Known are: {', '.join(sorted(DEFAULTS))}."
        )
    merged = DEFAULTS | given
    return Settings(
        environment=merged["ENVIRONMENT"],
        signing_key=str(merged["SIGNING_KEY"]).encode(),
        local_folder=Path(merged["LOCAL_FOLDER"]).absolute() if merged["LOCAL_FOLDER"] else None,
        scratch_folder=Path(merged["SCRATCH_FOLDER"]).absolute() if merged["SCRATCH_FOLDER"] else None,
        client_folders=tuple(str(folder) for folder in merged["CLIENT_FOLDERS"]),
        lock_timeout_seconds=int(merged["LOCK_TIMEOUT_SECONDS"]),
        stall_timeout_seconds=int(merged["STALL_TIMEOUT_SECONDS"]),
        application_version=str(merged["APPLICATION_VERSION"]),
    )


def server(alias: str) -> Server:
    """The server and database behind an alias of Django's DATABASES.

    Raises UsageError for an unknown alias and ConfigurationError when it is not PostgreSQL.
    """
    try:
        given = connections[alias].settings_dict
    except ConnectionDoesNotExist as error:
        raise UsageError(
            f"There is no database alias {alias!r} in the settings.",
            hint=f"Known are: {', '.join(sorted(connections))}. Add one with DATABASE_URL_{alias.upper()}=postgres://…",
        ) from error
    if connections[alias].vendor != "postgresql":
        raise ConfigurationError(f"The database {alias!r} is not PostgreSQL.")
    options = {name: str(value) for name, value in given.get("OPTIONS", {}).items() if _is_libpq(name, value)}
    return Server(
        host=given["HOST"] or "localhost",
        port=int(given["PORT"] or 5432),
        user=given["USER"],
        password=given["PASSWORD"] or "",
        database=given["NAME"],
        options=tuple(sorted(options.items())),
    )


def _is_libpq(name: str, value: object) -> bool:
    return (name.startswith("ssl") or name in ("connect_timeout", "channel_binding", "gssencmode")) and isinstance(
        value, str | int
    )


def store_options() -> StoreOptions | None:
    """How to reach the bucket: STORAGES["backups"], an S3Storage of django-storages. None when no bucket is named."""
    try:
        storage: Any = storages["backups"]
    except Exception as error:  # django-storages raises what it likes for settings that don't fit
        raise ConfigurationError('STORAGES["backups"] can\'t be used.', detail=str(error)) from error
    if not storage.bucket_name:
        return None
    if storage.location:
        raise ConfigurationError(
            'STORAGES["backups"] sets a location, which backups do not use: their keys begin with the environment.',
            hint="Remove the option `location`, or give backups a bucket of their own.",
        )
    s3 = getattr(storage.client_config, "s3", None) or {}
    return StoreOptions(
        bucket=storage.bucket_name,
        endpoint_url=storage.endpoint_url,
        region=storage.region_name,
        access_key=storage.access_key,
        secret_key=storage.secret_key,
        session_token=storage.security_token,
        profile=storage.session_profile,
        addressing_style=s3.get("addressing_style"),
        signature_version=getattr(storage.client_config, "signature_version", None),
        verify=storage.verify,
        proxies=tuple(sorted((storage.proxies or {}).items())),
        object_parameters=tuple(sorted((storage.object_parameters or {}).items())),
    )
