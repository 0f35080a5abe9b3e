"""Environment variables, read so that a typing error is said by the name of its variable and without its value."""

import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ
from django.core.exceptions import ImproperlyConfigured


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

    def json_object(self, var: str) -> dict[str, Any]:
        """A JSON object; empty where nothing is set."""
        made = self.json(var, default={}) if self.ENVIRON.get(var) else {}
        if not isinstance(made, dict):
            raise ImproperlyConfigured(f'{var} must be a JSON object, for example {{"StorageClass": "STANDARD_IA"}}.')
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
