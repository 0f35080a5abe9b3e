"""The three questions that matter, in a sentence: am I safe now, how much would I lose, how long until I'm back?"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import Error as DatabaseError
from django.utils import timezone

from backups import words
from backups.health.of_backups import Newest, newest
from backups.health.sites import sites
from backups.schedules import backup_schedules
from backups.types import Check, State

# Without these there may be nothing to restore, or nothing that is known to restore.
_SAFETY = frozenset({"history", "newest-backup", "verification", "bucket-reachable", "backup-role"})


def answer(checks: Sequence[Check]) -> str:
    """By what `report` has found, and by the history; where that can't be read, it says so."""
    try:
        if any(check.id == "history" for check in checks):  # it may never answer
            raise DatabaseError
        found = [newest(site) for site in sites(frozenset(schedule.database for schedule in backup_schedules()))]
    except DatabaseError:
        return f"{_safe(checks)} What would be lost is not known: the history can't be read."
    return f"{_safe(checks)} {_lost(found, now=timezone.now())} {_back(found)}"


def as_document(meaning: str, checks: Sequence[Check]) -> dict[str, Any]:
    """All of it for machines: `is_ok`, the answer, and every check with its fields."""
    return {
        "is_ok": all(check.state is State.OK for check in checks),
        "answer": meaning,
        "checks": [asdict(check) for check in checks],
    }


def _safe(checks: Sequence[Check]) -> str:
    amiss = [check for check in checks if check.state is not State.OK]
    if not amiss:
        return f"Safe now: all {words.things(len(checks), 'check')} are OK."
    told = f"{len(amiss)} of {words.things(len(checks), 'check')} {'is' if len(amiss) == 1 else 'are'} not OK."
    return f"Not safe: {told}" if any(check.id in _SAFETY for check in amiss) else f"Safe now, but {told}"


def _lost(found: Sequence[Newest], *, now: datetime) -> str:
    told = [_loss(one, now=now, is_alone=len(found) == 1) for one in found]
    return f"If it burned down this minute, you would lose {'; '.join(told)}."


def _loss(one: Newest, *, now: datetime, is_alone: bool) -> str:
    of_whom = "" if is_alone else f" of {one.site.name}"
    if one.backup is None:
        return f"everything{of_whom}"
    seconds = max(0.0, (now - (one.backup.started_at or one.backup.created_at)).total_seconds())
    return f"what changed{of_whom} in the last {words.span(seconds)}"


def _back(found: Sequence[Newest]) -> str:
    measured = [one.restore_seconds for one in found if one.restore_seconds is not None]
    if not measured:
        return "How long a restore takes was never measured: icb db verify latest."
    more = "" if len(measured) == len(found) else ", as far as it was measured"
    return f"You would be back in about {words.duration(sum(measured))}{more}."
