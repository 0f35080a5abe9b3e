"""Databases that restores have replaced: which there are, until when, and letting go of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from backups import conf, history
from backups.postgres import swap
from backups.postgres.swap import Kept
from backups.types import Server


def kept_copies(server: Server) -> tuple[Kept, ...]:
    """On that server, newest first. Raises ConnectError, PostgresError."""
    return swap.kept_copies(server)


def kept_of(target: Server) -> tuple[Kept, ...]:
    """What was replaced or undone under the target's name, newest first. Raises as `kept_copies` does."""
    return tuple(kept for kept in kept_copies(target) if kept.replaced == target.database)


def kept_until(kept: Kept) -> datetime | None:
    """When it may be dropped by itself; None for never."""
    days = conf.current().keep_replaced_days
    return kept.kept_at + timedelta(days=days) if days else None


def expired_of(target: Server) -> tuple[Kept, ...]:
    """What was kept of the target for longer than the settings say. Another database's may have other settings."""
    now = timezone.now()
    return tuple(kept for kept in kept_of(target) if (until := kept_until(kept)) is not None and until < now)


def drop_kept(server: Server, copies: Sequence[Kept]) -> None:
    """Drops them for good, and the history says so. Raises RefusedError where somebody is connected to one, and PostgresError."""
    try:
        swap.discard(server, *copies)
    finally:
        left = {kept.database for kept in kept_copies(server)}
        gone = [kept.database for kept in copies if kept.database not in left]
        history.forget_kept(gone, ids=[kept.restore_id for kept in copies])
