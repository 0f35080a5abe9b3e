"""One value each of BACKUPS. All raise ConfigurationError for what can't be meant, by the name of the setting."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings

from backups.exceptions import ConfigurationError
from backups.types import ENVIRONMENT_NAME

GUARDS = ("off", "destructive", "always")


def environment(given: object) -> str:
    """The first part of every key."""
    if not isinstance(given, str) or not ENVIRONMENT_NAME.fullmatch(given):
        raise ConfigurationError(
            f"BACKUPS['ENVIRONMENT'] is {given!r}, which can't be the name of a folder in a bucket.",
            hint="Use letters, digits, - and _, at most 50: production, for example.",
        )
    return given


def time_zone(given: object) -> str:
    """A name of the IANA time zone database; Django's where none is given."""
    name = str(given or settings.TIME_ZONE)
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"BACKUPS['TIME_ZONE'] is {given!r}, which is no time zone.", hint="For example: Europe/Berlin"
        ) from error


def parts(given: object) -> int:
    """How many parts an upload may have."""
    if not isinstance(given, int) or not 1 <= given <= 10_000:
        raise ConfigurationError(
            f"BACKUPS['S3_MAX_PARTS'] is {given!r}; an upload has 1 to 10,000 parts.",
            hint="Use what the documentation of your store says, or leave it out.",
        )
    return given


def days(given: object) -> int | None:
    """A number of days, or None."""
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given >= 1):
        return given
    raise ConfigurationError(f"BACKUPS['KEEP_REPLACED_DAYS'] is {given!r}; it must be a number of days, 1 or more, or None.")


def percent(given: object) -> int:
    """A whole number from 1 to 100."""
    if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= 100:
        return given
    raise ConfigurationError(f"BACKUPS['SHRINK_WARNING_PERCENT'] is {given!r}; it must be a whole number from 1 to 100.")


def number_of_runs(given: object) -> int:
    """A whole number, 1 or more."""
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return given
    raise ConfigurationError(f"BACKUPS['MAX_RUNNING'] is {given!r}; it must be a number of runs, 1 or more.")


def guard(given: object) -> str:
    """One of GUARDS."""
    if isinstance(given, str) and given in GUARDS:
        return given
    raise ConfigurationError(f"BACKUPS['GUARD_MIGRATIONS'] is {given!r}; it must be one of {', '.join(GUARDS)}.")


def assertions(given: object) -> tuple[dict[str, Any], ...]:
    """A list of dicts; `assertions` understands them."""
    if not isinstance(given, list | tuple) or not all(isinstance(one, dict) for one in given):
        raise ConfigurationError(
            "BACKUPS['VERIFY_ASSERTIONS'] must be a list of dicts.",
            hint='For example: [{"name": "orders", "sql": "SELECT count(*) FROM shop_order", "at_least": 1000}]',
        )
    return tuple(dict(one) for one in given)


def retention(given: object) -> dict[str, Any]:
    """A dict of rules; `prune.rules` understands them."""
    if not isinstance(given, dict):
        raise ConfigurationError(
            f"BACKUPS['RETENTION'] is {given!r}; it must be a dict of rules.", hint='For example: {"keep_last": 7, "daily": 14}'
        )
    return dict(given)


def statements(given: object) -> tuple[str, ...]:
    """Statements of SQL."""
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise ConfigurationError("BACKUPS['NEUTRALIZE_SQL'] must be a list of SQL statements, a text each.")
    return tuple(given)


def texts(merged: dict[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts."""
    given = merged[name]
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) and one.strip() for one in given):
        raise ConfigurationError(f"BACKUPS[{name!r}] must be a list of texts, none of them empty.")
    return tuple(one.strip() for one in given)


def ping_url(given: object) -> str:
    """An address of the web, or nothing."""
    if isinstance(given, str) and (not given or given.startswith(("https://", "http://"))):
        return given
    raise ConfigurationError("BACKUPS['PING_URL'] is no URL that begins with https:// or http://.")


def folder(given: Any) -> Path | None:
    """An absolute path, or None."""
    return Path(given).absolute() if given else None


def seconds(merged: dict[str, Any], name: str) -> int:
    """A number of seconds, 1 or more."""
    try:
        seconds = int(merged[name])
    except (TypeError, ValueError):
        seconds = 0
    if seconds < 1:
        raise ConfigurationError(f"BACKUPS[{name!r}] is {merged[name]!r}; it must be a number of seconds, 1 or more.")
    return seconds
