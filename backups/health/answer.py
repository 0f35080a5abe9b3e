"""The three questions that matter, in a sentence: am I safe now, how much would I lose, how long until I'm back?"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import Error as DatabaseError
from django.utils import timezone

from backups import words
from backups.health.deciding import Standing, reasons, standing
from backups.health.of_backups import Newest, newest
from backups.health.sites import sites
from backups.schedules import backup_schedules
from backups.sentences import joined
from backups.sentences import sentence as _
from backups.sentences import sentences as ngettext
from backups.types import Check, State


def answer(checks: Sequence[Check]) -> str:
    """By what `report` has found, and by the history; where that can't be read, it says so."""
    try:
        if any(check.id == "history" for check in checks):  # it may never answer
            raise DatabaseError
        found = [newest(site) for site in sites(frozenset(schedule.database for schedule in backup_schedules()))]
    except DatabaseError:
        return _("{safe} What would be lost is not known: the history can't be read.", safe=_safe(checks))
    return joined(" ", [_safe(checks), _lost(found, now=timezone.now()), _back(found)])


def as_document(meaning: str, checks: Sequence[Check]) -> dict[str, Any]:
    """All of it for machines: `is_ok`, the answer, and every check with its fields."""
    return {
        "is_ok": all(check.state is State.OK for check in checks),
        "answer": meaning,
        "checks": [asdict(check) for check in checks],
    }


def _safe(checks: Sequence[Check]) -> str:
    total = len(checks)
    if all(check.state is State.OK for check in checks):
        return ngettext("Safe now: all {total} check are OK.", "Safe now: all {total} checks are OK.", total, total=total)
    why = joined(" ", [_amiss(checks), *reasons(checks)])
    answers = {
        Standing.SAFE: _("Safe now, but {why}", why=why),
        Standing.UNKNOWN: _("Not known whether you are safe: {why}", why=why),
        Standing.UNSAFE: _("Not safe: {why}", why=why),
    }
    return answers[standing(checks)]


def _amiss(checks: Sequence[Check]) -> str:
    """How many are not OK, and of how many that is not known."""
    of = ngettext("{total} check", "{total} checks", len(checks), total=len(checks))
    bad, unknown = (sum(check.state is state for check in checks) for state in (State.BAD, State.UNKNOWN))
    told = []
    if bad:
        told.append(ngettext("{bad} of {checks} is not OK.", "{bad} of {checks} are not OK.", bad, bad=bad, checks=of))
    if unknown:
        told.append(
            ngettext(
                "{unknown} of {checks} is not known.", "{unknown} of {checks} are not known.", unknown, unknown=unknown, checks=of
            )
        )
    return joined(" ", told)


def _lost(found: Sequence[Newest], *, now: datetime) -> str:
    what = joined("; ", [_loss(one, now=now, is_alone=len(found) == 1) for one in found])
    return _("If it burned down this minute, you would lose {what}.", what=what)


def _loss(one: Newest, *, now: datetime, is_alone: bool) -> str:
    if one.backup is None:
        return _("everything") if is_alone else _("everything of {database}", database=one.site.name)
    time = words.span(max(0.0, (now - (one.backup.started_at or one.backup.created_at)).total_seconds()))
    if is_alone:
        return _("what changed in the last {time}", time=time)
    return _("what changed of {database} in the last {time}", database=one.site.name, time=time)


def _back(found: Sequence[Newest]) -> str:
    measured = [one.restore_seconds for one in found if one.restore_seconds is not None]
    if not measured:
        return _("How long a restore takes was never measured: icb db verify latest.")
    time = words.duration(sum(measured))
    if len(measured) == len(found):
        return _("You would be back in about {time}.", time=time)
    return _("You would be back in about {time}, as far as it was measured.", time=time)
