"""Settings in, one frozen object out: `current()` reads Django's BACKUPS, STORAGES["backups"] and DATABASES at each call."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.core.files.storage import storages
from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from backups import thresholds
from backups.exceptions import ConfigurationError, UsageError
from backups.thresholds import Thresholds
from backups.types import ENVIRONMENT_NAME, Server, StoreOptions

DEFAULTS: dict[str, Any] = {
    "ENVIRONMENT": "development",
    "TIME_ZONE": "",  # of the schedules that the first migration makes, a name as Europe/Berlin; empty is Django's TIME_ZONE
    "SIGNING_KEY": "",
    "SIGNING_KEY_FALLBACKS": [],  # keys that were ours before: what they have signed is still believed
    "LOCAL_FOLDER": None,
    "SCRATCH_FOLDER": None,
    "CLIENT_FOLDERS": [],
    "LOCK_TIMEOUT_SECONDS": 30,
    "STALL_TIMEOUT_SECONDS": 600,
    "APPLICATION_VERSION": "",
    "S3_MAX_PARTS": 10_000,  # of a multipart upload; some S3-compatible stores take fewer
    "KEEP_REPLACED_DAYS": None,  # of a database that a restore has replaced; None keeps it until somebody lets go of it
    "NEUTRALIZE_SQL": [],  # statements for a copy of production, after sessions, tokens and scheduled tasks
    "RETENTION": {},  # the fields of retention.Policy; empty keeps everything
    "VERIFY_DATABASE": "default",  # the alias on whose server backups are restored to prove them
    "VERIFY_ASSERTIONS": [],  # of dicts: name, sql, and what it must give: equals, at_least or at_most (default: equals true)
    "FINGERPRINT": False,  # whether backups hash every row, so that a changed one shows where the count is the same
    "SHRINK_WARNING_PERCENT": 20,  # a table that has lost more of its rows since the last backup is a warning
    "GUARD_MIGRATIONS": "destructive",  # before which migrations manage.py migrate makes a backup: off, destructive, always
    "HEALTH": {},  # the fields of thresholds.Thresholds
    "METRICS_TOKEN": "",  # whoever brings it as a bearer token may read /metrics; empty leaves them to staff
    "ALERT_URLS": [],  # apprise's URLs of whom to tell when something is wrong; nearly all of each is secret
    "ALERT_EMAILS": [],  # addresses, told by Django's mail
    "PING_URL": "",  # of a service that calls when it hears nothing; a secret, too
}
# libpq parameters that say where a connection goes, or as whom. A backup takes those from HOST, PORT, USER, PASSWORD and NAME
# alone; with one of these in OPTIONS, Django would be connected to one database while another one is backed up.
REFUSED_PARAMETERS = frozenset({"service", "servicefile", "passfile", "dbname", "host", "hostaddr", "port", "user", "password"})
MAX_PORT = 65535
GUARDS = ("off", "destructive", "always")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the app may be told. Durations in seconds; folders absolute."""

    environment: str
    time_zone: str
    signing_key: bytes = field(repr=False)
    signing_key_fallbacks: tuple[bytes, ...] = field(repr=False)
    local_folder: Path | None
    scratch_folder: Path | None
    client_folders: tuple[str, ...]
    lock_timeout_seconds: int
    stall_timeout_seconds: int
    application_version: str
    s3_max_parts: int
    keep_replaced_days: int | None
    neutralize_sql: tuple[str, ...]
    retention: dict[str, Any]
    verify_database: str
    verify_assertions: tuple[dict[str, Any], ...]
    fingerprint: bool
    shrink_warning_percent: int
    guard_migrations: str
    health: Thresholds
    metrics_token: str = field(repr=False)
    alert_urls: tuple[str, ...] = field(repr=False)
    alert_emails: tuple[str, ...]
    ping_url: str = field(repr=False)


def current() -> Settings:
    """The settings as they are now.

    Raises ConfigurationError for a name that is none of ours, so that a typing error is not a silent default, and for a value
    that can't be meant.
    """
    given = dict(getattr(settings, "BACKUPS", {}))
    if unknown := sorted(set(given) - set(DEFAULTS)):
        raise ConfigurationError(
            f"BACKUPS has no setting named {', '.join(unknown)}.", hint=f"Known are: {', '.join(sorted(DEFAULTS))}."
        )
    merged = DEFAULTS | given
    return Settings(
        environment=_environment(merged["ENVIRONMENT"]),
        time_zone=_time_zone(merged["TIME_ZONE"]),
        signing_key=str(merged["SIGNING_KEY"]).encode(),
        signing_key_fallbacks=tuple(str(key).encode() for key in merged["SIGNING_KEY_FALLBACKS"] if key),
        local_folder=_folder(merged["LOCAL_FOLDER"]),
        scratch_folder=_folder(merged["SCRATCH_FOLDER"]),
        client_folders=tuple(str(folder) for folder in merged["CLIENT_FOLDERS"]),
        lock_timeout_seconds=_seconds(merged, "LOCK_TIMEOUT_SECONDS"),
        stall_timeout_seconds=_seconds(merged, "STALL_TIMEOUT_SECONDS"),
        application_version=str(merged["APPLICATION_VERSION"]),
        s3_max_parts=_parts(merged["S3_MAX_PARTS"]),
        keep_replaced_days=_days(merged["KEEP_REPLACED_DAYS"]),
        neutralize_sql=_statements(merged["NEUTRALIZE_SQL"]),
        retention=_retention(merged["RETENTION"]),
        verify_database=str(merged["VERIFY_DATABASE"]),
        verify_assertions=_assertions(merged["VERIFY_ASSERTIONS"]),
        fingerprint=bool(merged["FINGERPRINT"]),
        shrink_warning_percent=_percent(merged["SHRINK_WARNING_PERCENT"]),
        guard_migrations=_guard(merged["GUARD_MIGRATIONS"]),
        health=thresholds.parse(merged["HEALTH"]),
        metrics_token=str(merged["METRICS_TOKEN"] or ""),
        alert_urls=_texts(merged, "ALERT_URLS"),
        alert_emails=_texts(merged, "ALERT_EMAILS"),
        ping_url=_ping_url(merged["PING_URL"]),
    )


def signing_keys() -> dict[str, Any]:
    """The keys with which manifests are believed, as `manifest.parse` takes them."""
    settings = current()
    return {"signing_key": settings.signing_key, "fallback_keys": settings.signing_key_fallbacks}


def _environment(given: object) -> str:
    if not isinstance(given, str) or not ENVIRONMENT_NAME.fullmatch(given):
        raise ConfigurationError(
            f"BACKUPS['ENVIRONMENT'] is {given!r}, which can't be the name of a folder in a bucket.",
            hint="Use letters, digits, - and _, at most 50: production, for example.",
        )
    return given


def _time_zone(given: object) -> str:
    name = str(given or settings.TIME_ZONE)
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"BACKUPS['TIME_ZONE'] is {given!r}, which is no time zone.", hint="For example: Europe/Berlin"
        ) from error


def _parts(given: object) -> int:
    if not isinstance(given, int) or not 1 <= given <= 10_000:
        raise ConfigurationError(
            f"BACKUPS['S3_MAX_PARTS'] is {given!r}; an upload has 1 to 10,000 parts.",
            hint="Use what the documentation of your store says, or leave it out.",
        )
    return given


def _days(given: object) -> int | None:
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given >= 1):
        return given
    raise ConfigurationError(f"BACKUPS['KEEP_REPLACED_DAYS'] is {given!r}; it must be a number of days, 1 or more, or None.")


def _percent(given: object) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= 100:
        return given
    raise ConfigurationError(f"BACKUPS['SHRINK_WARNING_PERCENT'] is {given!r}; it must be a whole number from 1 to 100.")


def _guard(given: object) -> str:
    if isinstance(given, str) and given in GUARDS:
        return given
    raise ConfigurationError(f"BACKUPS['GUARD_MIGRATIONS'] is {given!r}; it must be one of {', '.join(GUARDS)}.")


def _assertions(given: object) -> tuple[dict[str, Any], ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(one, dict) for one in given):
        raise ConfigurationError(
            "BACKUPS['VERIFY_ASSERTIONS'] must be a list of dicts.",
            hint='For example: [{"name": "orders", "sql": "SELECT count(*) FROM shop_order", "at_least": 1000}]',
        )
    return tuple(dict(one) for one in given)


def _retention(given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ConfigurationError(f"BACKUPS['RETENTION'] is {given!r}; it must be a dict of rules.", hint="icb db prune --help")
    return dict(given)


def _statements(given: object) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise ConfigurationError("BACKUPS['NEUTRALIZE_SQL'] must be a list of SQL statements, a text each.")
    return tuple(given)


def _texts(merged: dict[str, Any], name: str) -> tuple[str, ...]:
    given = merged[name]
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) and one.strip() for one in given):
        raise ConfigurationError(f"BACKUPS[{name!r}] must be a list of texts, none of them empty.")
    return tuple(one.strip() for one in given)


def _ping_url(given: object) -> str:
    if isinstance(given, str) and (not given or given.startswith(("https://", "http://"))):
        return given
    raise ConfigurationError("BACKUPS['PING_URL'] is no URL that begins with https:// or http://.")


def _folder(given: Any) -> Path | None:
    return Path(given).absolute() if given else None


def _seconds(merged: dict[str, Any], name: str) -> int:
    try:
        seconds = int(merged[name])
    except (TypeError, ValueError):
        seconds = 0
    if seconds < 1:
        raise ConfigurationError(f"BACKUPS[{name!r}] is {merged[name]!r}; it must be a number of seconds, 1 or more.")
    return seconds


def server(alias: str) -> Server:
    """The server and database behind an alias of Django's DATABASES. What is empty there is empty here: libpq's to choose, as it
    is for Django's own connection.

    Raises UsageError for an unknown alias, and ConfigurationError when it is not PostgreSQL or not named plainly.
    """
    try:
        given = connections[alias].settings_dict
    except ConnectionDoesNotExist as error:
        raise UsageError(
            f"There is no database alias {alias!r} in the settings.",
            hint=f"Known are: {', '.join(sorted(connections))}. Add one with DATABASE_URL_{alias.upper()}=postgres://…",
        ) from error
    if connections[alias].vendor != "postgresql":
        raise ConfigurationError(
            f"The database {alias!r} is not PostgreSQL.", hint="Only PostgreSQL is backed up. Choose another with --database."
        )
    if refused := sorted(REFUSED_PARAMETERS & set(given.get("OPTIONS", {}))):
        raise ConfigurationError(
            f"The OPTIONS of the database {alias!r} set {', '.join(refused)}, so it is not clear what would be backed up.",
            hint="Name it with HOST, PORT, USER, PASSWORD and NAME.",
        )
    if "," in str(given["HOST"]):
        raise ConfigurationError(
            f"The HOST of the database {alias!r} names several servers; a backup must be of one.",
            hint="Name the one that is to be backed up.",
        )
    if not given["NAME"]:
        raise ConfigurationError(f"The database {alias!r} has no NAME in the settings.")
    options = {name: str(value) for name, value in given.get("OPTIONS", {}).items() if _is_libpq(name, value)}
    return Server(
        host=given["HOST"] or "",
        port=_port(alias, given["PORT"]),
        user=given["USER"] or "",
        password=given["PASSWORD"] or "",
        database=given["NAME"],
        options=tuple(sorted(options.items())),
    )


def _port(alias: str, given: object) -> int:
    text = str(given or "0").strip()
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise ConfigurationError(
            f"The PORT of the database {alias!r} is {given!r}.",
            hint=f"Use one number from 1 to {MAX_PORT}, or leave it empty for libpq's default.",
        )
    return int(text)


def _is_libpq(name: str, value: object) -> bool:
    return (name.startswith("ssl") or name in ("connect_timeout", "channel_binding", "gssencmode")) and isinstance(
        value, str | int
    )


def store_options() -> StoreOptions | None:
    """How to reach the bucket: STORAGES["backups"], an S3Storage of django-storages. None when no bucket is named."""
    if "backups" not in settings.STORAGES:
        return None
    try:
        storage: Any = storages["backups"]
    except Exception as error:  # django-storages raises what it likes for settings that don't fit
        raise ConfigurationError('STORAGES["backups"] can\'t be used.', detail=str(error)) from error
    if not hasattr(storage, "client_config"):
        raise ConfigurationError(
            f'STORAGES["backups"] is a {type(storage).__name__}; backups need storages.backends.s3.S3Storage.',
            hint="To keep local copies only, leave it out or give it no bucket_name, and set BACKUPS['LOCAL_FOLDER'].",
        )
    if not storage.bucket_name:
        return None
    if storage.location:
        raise ConfigurationError(
            'STORAGES["backups"] sets a location, which backups do not use: their keys begin with the environment.',
            hint="Remove the option `location`, or give backups a bucket of their own.",
        )
    config = storage.client_config
    s3 = getattr(config, "s3", None) or {}
    attempts = (getattr(config, "retries", None) or {}).get("total_max_attempts")
    return StoreOptions(
        bucket=storage.bucket_name,
        endpoint_url=storage.endpoint_url,
        region=storage.region_name,
        access_key=storage.access_key,
        secret_key=storage.secret_key,
        session_token=storage.security_token,
        profile=storage.session_profile,
        addressing_style=s3.get("addressing_style"),
        signature_version=getattr(config, "signature_version", None),
        verify=storage.verify,
        proxies=tuple(sorted((storage.proxies or {}).items())),
        object_parameters=_object_parameters(storage.object_parameters or {}),
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
        max_parts=current().s3_max_parts,
        **({"attempts": attempts} if attempts else {}),
    )


def _object_parameters(given: dict[str, object]) -> tuple[tuple[str, object], ...]:
    # The store keeps no such key, so it would be needed again for every part, HEAD and GET; and whoever restores may not have it.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
    if refused := sorted(name for name in given if name.startswith("SSECustomer")):
        raise ConfigurationError(
            f'The object_parameters of STORAGES["backups"] set {", ".join(refused)}; backups do not work with keys of your own'
            " (SSE-C).",
            hint='Let the store keep the key: {"ServerSideEncryption": "AES256"} is SSE-S3, "aws:kms" is SSE-KMS.',
        )
    return tuple(sorted(given.items()))
