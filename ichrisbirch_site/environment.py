"""Environment variables, read so that a typing error is said by the name of its variable and without its value."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ
from django.core.exceptions import ImproperlyConfigured

# What may also be given as the path of a file that has it: SECRET_KEY_FILE=/run/secrets/secret_key.
SECRETS = (
    *("SECRET_KEY", "DATABASE_URL", "POSTGRES_PASSWORD", "REDIS_URL", "REDIS_PASSWORD"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("BACKUPS_SIGNING_KEY", "BACKUPS_SIGNING_KEY_FALLBACKS", "BACKUPS_METRICS_TOKEN"),
    *("BACKUPS_ALERT_URLS", "BACKUPS_PING_URL", "EMAIL_URL", "EMAIL_HOST_PASSWORD"),
)


def with_secrets_of_files(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the content of the files that NAME_FILE names as NAME, without the newline at its end, for SECRETS.

    Raises ImproperlyConfigured where both are given, or the file can't be read.
    """
    laid = dict(environ)
    for name in SECRETS:
        path = laid.pop(f"{name}_FILE", "")
        if not path:
            continue
        if environ.get(name):
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set. Unset one of them.")
        try:
            laid[name] = Path(path).read_text().rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a text"
            raise ImproperlyConfigured(f"{name}_FILE names {path}, which can't be read: {reason}.") from error
        if not laid[name]:
            raise ImproperlyConfigured(f"{name}_FILE names {path}, which is empty.")
    return laid


def with_password(url: str, password: str) -> str:
    """A URL like redis://redis:6379/0 with a password, where it has none of its own."""
    scheme, separator, rest = url.partition("://")
    if not password or not separator or "@" in rest.partition("/")[0]:
        return url
    return f"{scheme}://:{quote(password, safe='')}@{rest}"


class Environment(environ.Env):  # type: ignore[misc]
    """django-environ's Env."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        """Raises ImproperlyConfigured for a value that is not of the kind that is asked for."""
        try:
            return super().get_value(var, *args, **kwargs)
        except (ValueError, TypeError) as error:
            raise ImproperlyConfigured(f"{var} can't be read: it is not what README.md says it may be.") from error

    def at_least(self, var: str, least: int, *, default: int) -> int:
        """A whole number that is not smaller than `least`."""
        number: int = self.int(var, default=default)
        if number < least:
            raise ImproperlyConfigured(f"{var} is {number}; it must be {least} or more.")
        return number

    def one_of(self, var: str, choices: tuple[str, ...], *, default: str) -> str:
        """One of these words."""
        word: str = self.str(var, default=default)
        if word not in choices:
            raise ImproperlyConfigured(f"{var} is {word!r}; it must be one of {', '.join(choices)}.")
        return word

    def json_object(self, var: str, *, example: str) -> dict[str, Any]:
        """A JSON object; empty where nothing is set. `example` is one that could be meant."""
        try:
            made = self.json(var, default={}) if self.ENVIRON.get(var) else {}
        except ImproperlyConfigured as error:
            raise ImproperlyConfigured(f"{var} is no JSON. It must be an object, for example {example}") from error
        if not isinstance(made, dict):
            raise ImproperlyConfigured(f"{var} must be a JSON object, for example {example}")
        return made

    def json_list(self, var: str) -> list[str]:
        """A JSON list of texts; empty where nothing is set."""
        made = self.json(var, default=[]) if self.ENVIRON.get(var) else []
        if not isinstance(made, list) or not all(isinstance(one, str) for one in made):
            raise ImproperlyConfigured(f"{var} must be a JSON list of texts.")
        return made

    def json_objects(self, var: str) -> list[dict[str, Any]]:
        """A JSON list of objects; empty where nothing is set."""
        made = self.json(var, default=[]) if self.ENVIRON.get(var) else []
        if not isinstance(made, list) or not all(isinstance(one, dict) for one in made):
            raise ImproperlyConfigured(f"{var} must be a JSON list of objects.")
        return made

    def urls(self, var: str) -> list[str]:
        """URLs, one a line or with commas between; a comma within a URL is its own."""
        between = re.compile(r"(?:\s*,\s*|\s+)(?=[A-Za-z0-9+.-]+://)")
        return [url.strip(", \n") for url in between.split(self.str(var, default="").strip()) if url.strip(", \n")]

    def time_zone(self, var: str, *, default: str) -> str:
        """A name of the IANA time zone database."""
        name: str = self.str(var, default=default)
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ImproperlyConfigured(f"{var} is {name!r}, which is no time zone. For example: Europe/Berlin") from error
        return name
