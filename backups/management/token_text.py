"""Tokens of the API as text for people and as JSON for machines."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from backups import keyring, words
from backups.tokens import Token


def made(token: Token, text: str) -> str:
    """A new token: the only time that its text is seen."""
    name = words.printable(token.name)
    return "\n".join(
        [
            f"Made the token {name}. It is shown this once; keep it where you keep secrets:",
            "",
            f"  {text}",
            "",
            f"  user     {words.printable(token.user.get_username())}",
            f"  may      {_may(token)}",
            f"  until    {token.expiry:%Y-%m-%d %H:%M} UTC",
            "",
            "Use it, from a file, so that no list of processes shows it:",
            "  (umask 077; printf 'Authorization: Bearer %s\\n' \"$TOKEN\" > token.header)",
            "  curl --fail --header @token.header https://YOUR-SITE/admin/backups/",
            f"Take it back:  icb token revoke {shlex.quote(name)}",
        ]
    )


def every(tokens: Sequence[Token]) -> str:
    """A line each."""
    if not tokens:
        return "No tokens yet. Make one: icb token create deploy --scope run --days 90"
    now = timezone.now()
    rows = [("name", "id", "scope", "user", "state", "last used")]
    rows += [
        (
            words.printable(token.name),
            token.shown,
            token.scope,
            words.printable(token.user.get_username()),
            state(token),
            words.age(token.last_used_at, now=now) if token.last_used_at else "never",
        )
        for token in tokens
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("   ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def state(token: Token) -> str:
    """Whether it still opens anything."""
    if token.revoked_at is not None:
        return f"revoked {token.revoked_at:%Y-%m-%d}"
    if not token.is_valid:
        return f"expired {token.expiry:%Y-%m-%d}"
    return f"until {token.expiry:%Y-%m-%d}" if token.expiry else "without end"


def made_as_json(token: Token, text: str) -> str:
    """With its text."""
    return json.dumps({**_fields(token), "token": text, "may": keyring.actions_of(token)}, indent=2)


def every_as_json(tokens: Sequence[Token]) -> str:
    """Without."""
    return json.dumps([_fields(token) for token in tokens], indent=2)


def _may(token: Token) -> str:
    allowed = [action.replace("_", " ") for action in keyring.actions_of(token)]
    return ", ".join(allowed) if allowed else "nothing: its user has no permission that its scope lets through"


def _fields(token: Token) -> dict[str, Any]:
    times = {name: getattr(token, name) for name in ("created_at", "expires_at", "last_used_at", "revoked_at")}
    return {
        "name": token.name,
        "id": token.shown.rstrip("…"),
        "scope": token.scope,
        "user": token.user.get_username(),
        "is_valid": token.is_valid,
        **{name: at.isoformat() if at else None for name, at in times.items()},
    }
