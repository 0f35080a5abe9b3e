"""Who a request of the API is from, where it brings a token: `Authorization: Bearer icb_…` (knox's `Token icb_…` does, too)."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import SessionAuthentication as FrameworkSessionAuthentication
from rest_framework.authentication import get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied, Throttled
from rest_framework.request import Request

from backups import audit
from backups.tokens import PREFIX, Token

WORDS = (b"bearer", b"token")
LONGEST = 200  # bytes; ours are shorter
NO_LONGER = "This token is not valid."  # the same for one that never was, so that nobody learns which there are
USED_EVERY = timedelta(minutes=1)


class TokenAuthentication(KnoxTokenAuthentication):  # type: ignore[misc]  # knox has no types
    """Leaves the token on `request.auth`. One that is wrong, expired or revoked is answered with 401, and noted in the audit."""

    def authenticate(self, request: Request) -> tuple[Any, Token] | None:
        """The user and the token; None where the request brings none. Raises AuthenticationFailed; Throttled for a flood."""
        if not has_token(request):
            return None
        words = get_authorization_header(request).split()
        token = self._token(words[1]) if len(words) == 2 and len(words[1]) <= LONGEST else None
        reason = _what_is_wrong(token)
        if token is None or reason:
            self._refuse(request, token, reason)
            raise AuthenticationFailed(NO_LONGER)
        self._used(token)
        return token.user, token

    def authenticate_header(self, _request: Request) -> str:
        """What a client that got 401 is told."""
        return 'Bearer realm="backups"'

    def _token(self, given: bytes) -> Token | None:
        try:
            text = given.decode("ascii")
        except UnicodeDecodeError:
            return None
        if not text.startswith(PREFIX):
            return None
        # By its whole hash: how long the look takes tells nothing about a token of 256 random bits.
        found: Token | None = Token.objects.filter(digest=hash_token(text)).select_related("user").first()
        return found

    def _used(self, token: Token) -> None:
        now = timezone.now()
        if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
            Token.objects.filter(pk=token.pk).update(last_used_at=now)

    def _refuse(self, request: Request, token: Token | None, reason: str) -> None:
        by = audit.By(channel=audit.Channel.API, token_name=token.name if token else "", address=audit.address_of(request))
        if audit.refusals_of(by.address) >= audit.REFUSALS_A_MINUTE:
            raise Throttled(wait=60)
        audit.note(action="authenticate", outcome=audit.Outcome.REFUSED, object=request.path, detail=reason, by=by)


class SessionAuthentication(FrameworkSessionAuthentication):
    """The admin's session. Where a request may be forged (CSRF) it is nobody's; the audit has whose session it came with."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        """The user; None without a session. Raises PermissionDenied."""
        try:
            return super().authenticate(request)
        except PermissionDenied:
            request.session_of = request._request.user  # type: ignore[attr-defined]
            raise


def forged_name(request: Request) -> str:
    """The name of the user with whose session a request came that was taken for a forged one; empty for any other."""
    user = getattr(request, "session_of", None)
    return str(user.get_username()) if user is not None else ""


def has_token(request: Request) -> bool:
    """Whether a request brings one, right or wrong. The case of the scheme is nobody's: RFC 9110, section 11.1."""
    words = get_authorization_header(request).split(maxsplit=1)
    return bool(words) and words[0].lower() in WORDS


def _what_is_wrong(token: Token | None) -> str:
    """In words, for the audit; empty where nothing is."""
    if token is None:
        return "No such token."
    if token.revoked_at is not None:
        return f"Revoked on {token.revoked_at:%Y-%m-%d %H:%M} UTC."
    if not token.is_valid:
        return f"Expired on {token.expiry:%Y-%m-%d %H:%M} UTC."
    if not token.user.is_active:
        return "Its user is not active."
    return ""
