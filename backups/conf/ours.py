"""BACKUPS, a dict in Django's settings: what may be in it, and what holds where it says nothing."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from backups import thresholds
from backups.conf import reading
from backups.exceptions import ConfigurationError
from backups.thresholds import Thresholds

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
    "RESTORE_TARGETS": [],  # aliases of the databases onto which the API may restore
    "MAX_RUNNING": 2,  # how many runs may be queued or at work when another is asked for through the web or the API
    "BEHIND_PROXY": False,  # whether every request comes through one proxy, whose X-Forwarded-For tells the client's address
}


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
    restore_targets: tuple[str, ...]
    max_running: int
    behind_proxy: bool


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
        environment=reading.environment(merged["ENVIRONMENT"]),
        time_zone=reading.time_zone(merged["TIME_ZONE"]),
        signing_key=str(merged["SIGNING_KEY"]).encode(),
        signing_key_fallbacks=tuple(str(key).encode() for key in merged["SIGNING_KEY_FALLBACKS"] if key),
        local_folder=reading.folder(merged["LOCAL_FOLDER"]),
        scratch_folder=reading.folder(merged["SCRATCH_FOLDER"]),
        client_folders=tuple(str(folder) for folder in merged["CLIENT_FOLDERS"]),
        lock_timeout_seconds=reading.seconds(merged, "LOCK_TIMEOUT_SECONDS"),
        stall_timeout_seconds=reading.seconds(merged, "STALL_TIMEOUT_SECONDS"),
        application_version=str(merged["APPLICATION_VERSION"]),
        s3_max_parts=reading.parts(merged["S3_MAX_PARTS"]),
        keep_replaced_days=reading.days(merged["KEEP_REPLACED_DAYS"]),
        neutralize_sql=reading.statements(merged["NEUTRALIZE_SQL"]),
        retention=reading.retention(merged["RETENTION"]),
        verify_database=str(merged["VERIFY_DATABASE"]),
        verify_assertions=reading.assertions(merged["VERIFY_ASSERTIONS"]),
        fingerprint=bool(merged["FINGERPRINT"]),
        shrink_warning_percent=reading.percent(merged["SHRINK_WARNING_PERCENT"]),
        guard_migrations=reading.guard(merged["GUARD_MIGRATIONS"]),
        health=thresholds.parse(merged["HEALTH"]),
        metrics_token=str(merged["METRICS_TOKEN"] or ""),
        alert_urls=reading.texts(merged, "ALERT_URLS"),
        alert_emails=reading.texts(merged, "ALERT_EMAILS"),
        ping_url=reading.ping_url(merged["PING_URL"]),
        restore_targets=reading.texts(merged, "RESTORE_TARGETS"),
        max_running=reading.number_of_runs(merged["MAX_RUNNING"]),
        behind_proxy=bool(merged["BEHIND_PROXY"]),
    )


def signing_keys() -> dict[str, Any]:
    """The keys with which manifests are believed, as `manifest.parse` takes them."""
    settings = current()
    return {"signing_key": settings.signing_key, "fallback_keys": settings.signing_key_fallbacks}
