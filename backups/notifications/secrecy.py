"""What must never be shown of the addresses to which messages and pings go: nearly all of them are secrets."""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from backups import conf
from backups.exceptions import BackupsError

_BETWEEN_PARTS = re.compile(r"[/?&=@:,;#+]")
_SHORTEST, _LONG = 4, 20


def secrets() -> Iterator[str]:
    """For scrubbing every text by value. Raises ConfigurationError."""
    settings = conf.current()
    for url in (*settings.alert_urls, settings.ping_url):
        yield from secrets_of(url)


def secrets_of(url: str) -> Iterator[str]:
    """The whole URL, its password, and each part that looks made by chance: an ordinary word would leave stars of every text."""
    yield url
    account = url.partition("://")[2].rpartition("@")[0]
    password = account.partition(":")[2]
    yield from filter(None, (password, unquote(password)))
    yield from (part for part in parts_of(url) if _looks_made_by_chance(part))


def parts_of(url: str) -> list[str]:
    """Whatever in a URL may be secret, as it is written and decoded; not its scheme, and not a host's name."""
    found = {form for part in _BETWEEN_PARTS.split(url.partition("://")[2]) for form in (part, unquote(part))}
    return sorted(part for part in found - {host_of(url)} if len(part) >= _SHORTEST)


def host_of(url: str) -> str:
    """The name of a host; empty where something else stands in its place, as tokens do in many of apprise's URLs."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return host if "." in host or host == "localhost" else ""


def scrubbed(text: str, url: str) -> str:
    """What somebody has said about that URL, without any part of it but its host."""
    return BackupsError(text).scrub([url, *secrets_of(url), *parts_of(url)]).message


def _looks_made_by_chance(part: str) -> bool:
    has_both = any(map(str.isdigit, part)) and any(map(str.isalpha, part))
    return len(part) >= _LONG or (len(part) >= 2 * _SHORTEST and has_both)
