"""Makes tokens of the API, tells which there are, and takes them back."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import Error as DatabaseError
from django.db import IntegrityError, router, transaction
from django.db.models import Q
from django.utils import timezone
from knox.crypto import hash_token

from backups import access, audit, history
from backups.access import Action, Scope
from backups.exceptions import BackupsError, RefusedError, UsageError
from backups.tokens import PREFIX, SHOWN, Token

LONGEST_NAME = 100
SHORTEST = 8  # characters of a token, its prefix among them, by which it may be named
LONGEST_DAYS = 366  # who takes a token away with him keeps it for so long at most
# Of a token without a user of somebody's: the group of its own, which can do no more than the scope.
GROUPS = {Scope.READ: "backup viewer", Scope.RUN: "backup operator", Scope.RESTORE: "backup restorer"}
ROLES = ("viewer", "operator", "restorer", "pruner", "administrator")


def issue(*, name: str, scope: Scope, days: int, username: str = "", role: str = "", by: audit.By) -> tuple[Token, str]:
    """Makes a token that ends after so many days; returns it with its text, which nothing can tell a second time.

    It is of the user `username`; without one of a user of its own, who can't log in, and is in the group of `role`, else of the
    group that fits the scope. Noted in the audit.

    Raises UsageError, RefusedError, HistoryError.
    """
    try:
        name = _checked(name, days)
        with transaction.atomic(using=router.db_for_write(Token)):
            user = _user(username) if username else _own_user(name, role=role, group=_group(role, scope))
            token, text = _make(name, user=user, scope=scope, days=days)
    except DatabaseError as error:
        raise history.unreachable(error) from error
    except BackupsError as error:
        audit.note(action="token create", outcome=audit.Outcome.REFUSED, object=name, detail=error.message, by=by)
        raise
    detail = f"{token.shown} scope {scope}, of {user.get_username()}, until {token.expiry:%Y-%m-%d}"
    audit.note(action="token create", outcome=audit.Outcome.DONE, object=name, detail=detail, by=by)
    return token, text


def actions_of(token: Token) -> list[Action]:
    """What it can do: its user's permissions, as far as its scope lets them through."""
    return [action for action in Action if access.scope_allows(token.scope, action) and access.may(token.user, action)]


def every() -> list[Token]:
    """All tokens, the newest first; revoked and expired ones, too. Raises HistoryError."""
    try:
        return list(Token.objects.select_related("user"))
    except DatabaseError as error:
        raise history.unreachable(error) from error


def revoke(which: str, *, by: audit.By) -> Token:
    """Takes back a token, by its name or the beginning that `every` shows: from now on it opens nothing. Noted in the audit, also
    where it is refused.

    Raises UsageError where there is none, RefusedError where it is revoked already, HistoryError.
    """
    try:
        token = _named(which)
        if not Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
            raise RefusedError(f"The token {token.name} has been revoked already.", hint="icb token list")
        token.refresh_from_db()
    except DatabaseError as error:
        raise history.unreachable(error) from error
    except BackupsError as error:
        audit.note(action="token revoke", outcome=audit.Outcome.REFUSED, object=_shown(which), detail=error.message, by=by)
        raise
    audit.note(action="token revoke", outcome=audit.Outcome.DONE, object=token.name, detail=token.shown, by=by)
    return token


def _checked(name: str, days: int) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise UsageError(f"A token needs a name, of at most {LONGEST_NAME} characters.", hint="For example: deploy")
    if not 1 <= days <= LONGEST_DAYS:
        raise UsageError(
            f"A token is valid for 1 to {LONGEST_DAYS} days, not for {days}.", hint="Make a new one before it ends: --days 90"
        )
    return name


def _make(name: str, *, user: Any, scope: Scope, days: int) -> tuple[Token, str]:
    try:
        with transaction.atomic(using=router.db_for_write(Token)):
            made: tuple[Token, str] = Token.objects.create(
                user, expiry=timedelta(days=days), prefix=PREFIX, name=name, scope=scope
            )
            return made
    except IntegrityError as error:
        raise UsageError(
            f"There is a token named {name} that is not revoked.",
            hint=f"Revoke it, or take another name: icb token revoke {name}",
        ) from error


def _user(username: str) -> Any:
    model = get_user_model()
    user = model._default_manager.filter(**{model.USERNAME_FIELD: username}).first()
    if user is None:
        raise UsageError(
            f"There is no user {username}.",
            hint="Leave --user out: the token then has a user of its own, who can do nothing else.",
        )
    if not user.is_active:
        raise UsageError(
            f"The user {username} is not active, so the token would open nothing.",
            hint="Make the user active in the admin, or leave --user out: the token then has a user of its own.",
        )
    return user


def _own_user(name: str, *, role: str, group: Group) -> Any:
    """The user of this token alone: the one it had before, where one of the name was revoked or has expired."""
    model = get_user_model()
    slug = "".join(character if character.isascii() and character.isalnum() else "-" for character in name.lower())
    username = f"token-{slug}"[:150]
    named = model._default_manager.filter(**{model.USERNAME_FIELD: username})
    user: Any = named.first()
    if user is None:
        user = model(**{model.USERNAME_FIELD: username})
        user.set_unusable_password()
        try:
            with transaction.atomic(using=router.db_for_write(Token)):
                user.save()
                user.groups.add(group)
            return user
        except IntegrityError:  # somebody else has made it meanwhile
            user = named.get()
    others = user.is_staff or user.is_superuser or user.has_usable_password() or not user.is_active
    if others or set(user.groups.all()) != {group} or user.user_permissions.exists():
        raise RefusedError(
            f"There is a user {username} already, who may do other things than {role or group.name}.",
            hint=f"Say that it is meant: --user {username}. Or take another name.",
        )
    return user


def _group(role: str, scope: Scope) -> Group:
    name = f"backup {role}" if role else GROUPS[scope]
    group = Group.objects.filter(name=name).first()
    if group is None:
        raise UsageError(
            f"There is no group {name} any more, which a migration had made.",
            hint="Make one of that name in the admin, with the permissions that it is to have. Or name a user: --user NAME",
        )
    return group


def _shown(which: str) -> str:
    before, prefix, rest = which.partition(PREFIX)
    most = SHOWN - len(PREFIX)
    return f"{before}{prefix}{rest[:most]}…" if len(rest) > most else which


def _named(which: str) -> Token:
    """By its name, by its beginning as the list shows it, or by the whole token, as it was found where it should not be. Of
    several of a name, the one that is not revoked, else the newest. Errors show no more of what was typed than the list does.
    """
    shown = _shown(which)
    candidates: list[Token] = list(Token.objects.filter(Q(name=which) | Q(digest=hash_token(which))))
    if not candidates and which.startswith(PREFIX) and len(which.rstrip("…")) >= SHORTEST:
        candidates = [token for token in Token.objects.all() if token.shown.startswith(which.rstrip("…"))]
    if not candidates:
        raise UsageError(f"There is no token {shown}.", hint="icb token list")
    alive = [token for token in candidates if token.revoked_at is None]
    if len({token.name for token in alive or candidates}) > 1:
        raise UsageError(f"Several tokens begin with {shown}.", hint="Give the name: icb token list")
    return (alive or candidates)[0]
