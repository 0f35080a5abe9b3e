"""Who may do what: the permission that each action needs, what a token's scope lets through, and whether there is room."""

import hashlib
from enum import StrEnum
from typing import Any

from django.db import connections, router

from backups import conf
from backups.exceptions import NoRoomError
from backups.models import BackupHistory, BackupRestore, Status
from backups.sentences import sentence as _
from backups.tokens import Scope, Token

__all__ = ["Action", "Scope", "actor_key", "hold_room", "may", "permission_of", "require_room", "scope_allows"]


class Action(StrEnum):
    """What can be done, by the permission that it needs."""

    VIEW = "view"
    RUN = "run"
    VERIFY = "verify"
    DOWNLOAD = "download"
    RESTORE = "restore"
    PRUNE = "prune"
    SEE_AUDIT = "see_audit"


_PERMISSIONS = {
    Action.VIEW: "backups.view_backuphistory",
    Action.RUN: "backups.run_backup",
    Action.VERIFY: "backups.verify_backup",
    Action.DOWNLOAD: "backups.download_backup",
    Action.RESTORE: "backups.restore_backup",
    Action.PRUNE: "backups.prune_backup",
    Action.SEE_AUDIT: "backups.view_auditentry",
}
_READ = frozenset({Action.VIEW})
_RUN = _READ | {Action.RUN, Action.VERIFY}
# A download and a restore both give the data away; a pin that is removed lets a backup go. The audit is for people, not tokens.
_SCOPES = {Scope.READ: _READ, Scope.RUN: _RUN, Scope.RESTORE: _RUN | {Action.DOWNLOAD, Action.RESTORE, Action.PRUNE}}
_ROOM = 0x69636272  # the key of an advisory lock, held while somebody looks for room


def permission_of(action: Action) -> str:
    """Django's name of the permission: backups.run_backup."""
    return _PERMISSIONS[action]


def scope_allows(scope: Scope | str, action: Action) -> bool:
    """Whether a token of that scope may be used for it. Raises ValueError for a scope that there is none of."""
    return action in _SCOPES[Scope(scope)]


def may(request_or_user: Any, action: Action) -> bool:
    """Whether a user, or whoever makes a request, may do it. A request's user needs the permission, and where it came with a
    token, the token's scope has to allow it, too. Whatever else a request was authenticated with allows nothing.
    """
    if hasattr(request_or_user, "has_perm"):
        return _has_permission(request_or_user, action)
    user, auth = getattr(request_or_user, "user", None), getattr(request_or_user, "auth", None)
    if auth is not None and not (isinstance(auth, Token) and auth.is_valid and scope_allows(auth.scope, action)):
        return False
    return user is not None and _has_permission(user, action)


def _has_permission(user: Any, action: Action) -> bool:
    return bool(user.is_active and user.has_perm(permission_of(action)))


def require_room() -> None:
    """That fewer runs than MAX_RUNNING are queued or at work in this environment: backups, restores and verifications.

    Ask in the transaction that writes the new row: until its end no other request finds the same last place.

    Raises NoRoomError.
    """
    settings = conf.current()
    hold_room()
    unfinished = (Status.PENDING, Status.RUNNING)
    backups = BackupHistory.objects.filter(environment=settings.environment, status__in=unfinished).count()
    restores = BackupRestore.objects.filter(target_environment=settings.environment, status__in=unfinished).count()
    if backups + restores >= settings.max_running:
        raise NoRoomError(
            _(
                "{backups} runs are queued or at work, and {max_running} may be.",
                backups=backups + restores,
                max_running=settings.max_running,
            ),
            hint=_("Wait until one has ended, or cancel one. BACKUPS_MAX_RUNNING lets more run at once."),
        )


def hold_room() -> None:
    """Others who ask for a run wait from here to the end of the transaction."""
    with connections[router.db_for_write(BackupHistory)].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ROOM])


def actor_key(request: Any, key: str) -> str:
    """An Idempotency-Key as BackupHistory.idempotency_key keeps it: of this user and this token alone, whatever others send.

    64 characters; empty for an empty one.
    """
    if not key:
        return ""
    auth = getattr(request, "auth", None)
    token = auth.digest if isinstance(auth, Token) else ""
    return hashlib.sha256("\0".join((str(request.user.pk), token, key)).encode()).hexdigest()
