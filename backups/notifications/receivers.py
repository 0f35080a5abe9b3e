"""Who gets messages: the URLs of BACKUPS['ALERT_URLS'] through apprise, and the addresses of ALERT_EMAILS by Django's mail.

https://appriseit.com/services/ lists what apprise reaches, and how the URL of each is written.
"""

import logging
import re
import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from django.core import mail

from backups import conf, words
from backups.exceptions import BackupsError
from backups.notifications import secrecy
from backups.notifications.message import Message

if TYPE_CHECKING:
    from apprise import NotifyBase

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}(?=://)")


class Receiver(Protocol):
    """Somebody who can be told. `name` has no secret; `hint` is what to look at when it does not take messages."""

    @property
    def name(self) -> str: ...

    @property
    def hint(self) -> str: ...

    def take(self, message: Message) -> str:
        """Hands a message over. Empty when it was taken, else why not, in words. May hang."""


@dataclass(frozen=True)
class URLReceiver:
    """What apprise reaches at a URL; `number` is its place among ALERT_URLS, from 1."""

    number: int
    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """Scheme, and host where there is one: for many services, what stands in its place is a token."""
        scheme = _SCHEME.match(self.url)
        return f"{scheme[0].lower() if scheme else '?'}://{self._host or '…'} (URL {self.number})"

    @property
    def hint(self) -> str:
        """Where to look."""
        return f"Look at number {self.number} of BACKUPS_ALERT_URLS; https://appriseit.com/services/ tells how it is written."

    def take(self, message: Message) -> str:
        """As it was promised. Without apprise's own threads: whoever calls knows how long to wait."""
        service = self.service()
        if service is None:
            return "apprise can't read this URL."
        result = (
            _apprise()
            .Apprise(service)
            .notify(title=message.title, body=message.body, notify_type=str(message.kind), body_format="text")
        )
        if result:
            return ""
        said = " ".join(dict.fromkeys(entry.message.strip() for entry in result.logs()))
        return words.printable(secrecy.scrubbed(said, self.url)) or "It did not take the message, and did not say why."

    def service(self) -> "NotifyBase | None":
        """apprise's side of it; None where apprise can't read the URL."""
        apprise = _apprise()
        made: NotifyBase | None = apprise.Apprise.instantiate(self.url, asset=apprise.AppriseAsset(service_timeout=0))
        return made

    @property
    def _host(self) -> str:
        service = self.service()
        has_host = service is not None and "host" in type(service).template_tokens
        return secrecy.host_of(self.url) if has_host else ""


@dataclass(frozen=True)
class MailReceiver:
    """One address, so that a server which refuses one of them loses only that."""

    address: str

    @property
    def name(self) -> str:
        """As people know it."""
        return f"mail to {self.address}"

    @property
    def hint(self) -> str:
        """Where to look."""
        return "Look at EMAIL_URL (or EMAIL_HOST and what belongs to it) and at DEFAULT_FROM_EMAIL."

    def take(self, message: Message) -> str:
        """As it was promised."""
        try:
            sent = mail.EmailMessage(message.title, message.body, to=[self.address]).send()
        except Exception as error:  # noqa: BLE001 - each of Django's backends raises its own
            told = BackupsError(f"{type(error).__name__}: {error}").scrub([settings.EMAIL_HOST_PASSWORD or ""])
            return words.printable(told.message)
        return "" if sent else "It was not sent."


def receivers() -> list[Receiver]:
    """Everybody who gets messages, as the settings are now. Raises ConfigurationError."""
    given = conf.current()
    by_url = [URLReceiver(number, url) for number, url in enumerate(given.alert_urls, start=1)]
    return [*by_url, *map(MailReceiver, given.alert_emails)]


@cache
def _apprise() -> Any:
    """The library, without its log: at some level it logs whole URLs. What it says of a failure comes with its result."""
    log = logging.getLogger("apprise")
    log.setLevel(logging.WARNING)
    log.propagate = False
    log.addHandler(logging.NullHandler())
    import apprise

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python, about what some of its services import
        apprise.Apprise.instantiate("json://localhost")  # loads them all, which takes a second
    return apprise
