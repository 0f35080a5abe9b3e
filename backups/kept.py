"""Databases that restores have replaced: which there are, until when, and letting go of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from backups import conf, history
from backups.models import BackupRestore
from backups.postgres import swap
from backups.postgres.swap import Kept
from backups.types import Server


def kept_copies(server: Server) -> tuple[Kept, ...]:
    """On that server, newest first. Raises ConnectError, PostgresError."""
    return swap.kept_copies(server)


def kept_of(target: Server) -> tuple[Kept, ...]:
    """What was replaced or undone under the target's name, newest first. Raises as `kept_copies` does."""
    return tuple(kept for kept in kept_copies(target) if kept.replaced == target.database)


def kept_until(kept: Kept | BackupRestore) -> datetime | None:
    """When it, or what that restore has replaced, may be dropped by itself (UTC): a row says the same as its mark. None: never,
    and where nothing is kept.
    """
    days, since = conf.current().keep_replaced_days, _kept_since(kept)
    return since + timedelta(days=days) if days and since else None


def is_expired(kept: Kept | BackupRestore) -> bool:
    """Whether it was kept for as long as the settings say, so that the next restore of its database drops it."""
    until = kept_until(kept)
    return until is not None and until < timezone.now()


def _kept_since(kept: Kept | BackupRestore) -> datetime | None:
    if isinstance(kept, Kept):
        return kept.kept_at
    # Rows that are older than `kept_at` lack it.
    since: datetime | None = kept.kept_at or kept.finished_at
    return since if kept.kept_database else None


def expired_of(target: Server) -> tuple[Kept, ...]:
    """What was kept of the target for longer than the settings say. Another database's may have other settings."""
    return tuple(kept for kept in kept_of(target) if is_expired(kept))


def drop_kept(server: Server, copies: Sequence[Kept]) -> None:
    """Drops them for good, and the history says so. Raises RefusedError where somebody is connected to one, and PostgresError."""
    try:
        swap.discard(server, *copies)
    finally:
        left = {kept.database for kept in kept_copies(server)}
        gone = [kept.database for kept in copies if kept.database not in left]
        history.forget_kept(gone, ids=[kept.restore_id for kept in copies])
