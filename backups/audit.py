"""Notes who did what, from where, and what came of it: refusals, too. A note that can't be written stops nobody; the log has it.

Each is a line of the log `backups.audit` as well, so that it can be kept where this database's owner can't reach it.
"""

import getpass
import ipaddress
import logging
import socket
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from backups import conf
from backups.audited import AuditEntry, Channel, Outcome
from backups.tokens import Token

LOG = logging.getLogger(__name__)
LONGEST_DETAIL = 2_000  # characters: what somebody sends may come back in a refusal, and the entry is kept for good
REFUSALS_A_MINUTE = 30  # of one address that nobody is known of: so many are kept, and answered with their reason

__all__ = ["By", "Channel", "Outcome", "address_of", "note", "refusals_of"]


@dataclass(frozen=True, kw_only=True)
class By:
    """Who, from where, and by which way. `actor` is what the entry calls them when the user is gone."""

    channel: Channel
    user: Any = field(default=None, repr=False)
    actor: str = ""
    token_name: str = ""
    address: str = ""

    @classmethod
    def of_request(cls, request: Any, *, channel: Channel | None = None) -> "By":
        """Whoever makes a request, of Django's or of the REST framework's: by the API where that has authenticated it."""
        user, auth = getattr(request, "user", None), getattr(request, "auth", None)
        known = user if user is not None and user.is_authenticated else None
        is_api = hasattr(request, "successful_authenticator")
        return cls(
            channel=channel or (Channel.API if is_api else Channel.WEB),
            user=known,
            actor=known.get_username() if known is not None else "",
            token_name=auth.name if isinstance(auth, Token) else "",
            address=address_of(request),
        )

    @classmethod
    def of_command(cls) -> "By":
        """The account of the operating system, on this host."""
        try:
            actor = getpass.getuser()
        except (OSError, KeyError):  # an account without a name, as in containers
            actor = ""
        return cls(channel=Channel.COMMAND, actor=actor, address=socket.gethostname())

    @classmethod
    def of_schedule(cls) -> "By":
        """The scheduler."""
        return cls(channel=Channel.SCHEDULE, actor="schedule", address=socket.gethostname())


def address_of(request: Any) -> str:
    """From where a request came: what the connection says, and behind a proxy what that one saw. Never what the client claims.

    Empty where nothing says it, as with a socket of Unix.
    """
    given = str(request.META.get("REMOTE_ADDR") or "")
    if conf.current().behind_proxy:
        # A proxy adds to the end what it saw; what stands before that came from the client.
        given = str(request.META.get("HTTP_X_FORWARDED_FOR") or given).rpartition(",")[2]
    try:
        return str(ipaddress.ip_address(given.strip()))
    except ValueError:
        return ""


def note(*, action: str, outcome: Outcome | str, object: str = "", target: str = "", detail: str = "", by: By) -> None:
    """Adds an entry. Raises nothing.

    Of refusals to somebody unknown, REFUSALS_A_MINUTE of an address are kept each minute: a flood fills no disk. The log has all.
    """
    entry = AuditEntry(
        actor=by.actor[:200],
        user_id=getattr(by.user, "pk", None),
        token_name=by.token_name[:100],
        address=by.address[:64],
        channel=by.channel,
        action=_plain(action)[:30],
        object=_plain(str(object))[:300],
        target=_plain(str(target))[:300],
        outcome=outcome,
        detail=_short(_plain(detail)),
    )
    try:
        LOG.info("%s", _line(entry))
        if by.user is None and entry.outcome == Outcome.REFUSED and refusals_of(by.address) >= REFUSALS_A_MINUTE:
            return
        with transaction.atomic():
            entry.save()
    except Exception:
        LOG.exception("This could not be noted in the audit: %s", _line(entry))


def refusals_of(address: str) -> int:
    """How many refusals of an address, to somebody unknown, were noted in the last minute."""
    since = timezone.now() - timedelta(minutes=1)
    return AuditEntry.objects.filter(address=address, at__gt=since, outcome=Outcome.REFUSED, user__isnull=True).count()


def _plain(text: str) -> str:
    return text.replace("\0", "�")


def _short(detail: str) -> str:
    return detail if len(detail) <= LONGEST_DETAIL else f"{detail[: LONGEST_DETAIL - 1]}…"


def _line(entry: AuditEntry) -> str:
    """One line: what a user has typed is quoted, so that it can't look like another entry."""
    facts = {
        "actor": entry.actor,
        "token": entry.token_name,
        "address": entry.address,
        "channel": str(entry.channel),
        "object": entry.object,
        "target": entry.target,
        "detail": entry.detail,
    }
    return " ".join([f"{entry.action} {entry.outcome}", *(f"{name}={value!r}" for name, value in facts.items() if value)])
