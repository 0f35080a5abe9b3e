"""The dead-man's switch: a service elsewhere hears when a scheduled backup begins, succeeds or fails, and calls when it hears
nothing.

The convention is that of healthchecks.io, and of what is made after it: URL/start, URL, URL/fail, by POST, with a text.
https://healthchecks.io/docs/http_api/
"""

import logging
from urllib.parse import urlsplit, urlunsplit

from backups import conf
from backups.exceptions import BackupsError
from backups.notifications import secrecy
from backups.notifications.bounded import together

TRIES = 2
CONNECT_SECONDS, READ_SECONDS = 4.0, 4.0
PATIENCE_SECONDS = 12.0
LONGEST_TEXT = 10_000

logger = logging.getLogger(__name__)


def ping_started() -> None:
    """A scheduled backup begins. As all of these: does nothing where no URL is set, raises nothing, and ends in seconds."""
    _ping("start", "")


def ping_succeeded(text: str = "") -> None:
    """A scheduled backup was made; `text` says which."""
    _ping("", text)


def ping_failed(text: str = "") -> None:
    """A scheduled backup could not be made; `text` says why, without secrets."""
    _ping("fail", text)


def url_of(url: str, kind: str) -> str:
    """The URL for one kind of ping: its word comes after the path, before a query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path="/".join(filter(None, (parts.path.rstrip("/"), kind)))))


def _ping(kind: str, text: str) -> None:
    try:
        url = conf.current().ping_url
    except BackupsError:
        return  # whatever else reads the settings says so
    if not url:
        return
    results = together({"ping": lambda: _sent(url_of(url, kind), text)}, seconds=PATIENCE_SECONDS)
    problem = results.get("ping", "It did not answer in time.")
    if problem:
        logger.warning("The ping %r to BACKUPS_PING_URL was not taken. %s", kind or "success", secrecy.scrubbed(problem, url))


def _sent(url: str, text: str) -> str:
    """Empty when it was taken, else why not."""
    import requests

    problem = ""
    for _attempt in range(TRIES):
        try:
            answer = requests.post(url, data=text[:LONGEST_TEXT].encode(), timeout=(CONNECT_SECONDS, READ_SECONDS))
        except Exception as error:  # noqa: BLE001 - its words have the URL, its kind says enough
            problem = f"{type(error).__name__}."
            continue
        if answer.ok:
            return ""
        problem = f"It answered {answer.status_code}."
    return problem
