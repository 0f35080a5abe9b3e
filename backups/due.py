"""Asks for the scheduled backups whose moment has come: each moment once, however often it is looked.

Beat's message is one occasion to look, the tending of each half minute is another. So a message that was lost, a scheduler that
was down, or an hour that the clock jumped over costs no backup, and two schedulers make no second one.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from backups import conf
from backups.backup import DatabaseBackup
from backups.exceptions import BackupsError, BegunError, ConfigurationError
from backups.models import BackupHistory, BackupType, Status
from backups.querysets import BackupHistoryQuerySet
from backups.schedules import Schedule, backup_schedules

# After a backup that failed: how long until it is tried again for the same moment. Then its next moment is waited for.
PAUSES = (timedelta(minutes=10), timedelta(minutes=30))

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Due:
    """Rows that were made, for somebody to carry out; and by the schedule's name, why one could not be asked for."""

    requested: list[BackupHistory] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def request_due(*, fired: str = "") -> Due:
    """Makes a row for each schedule whose latest moment is not served yet. `fired` is the name of the one that beat has just
    fired, "" if none.

    One that can't be asked for holds up no other. Raises what Django's database does.
    """
    due, now = Due(), timezone.now()
    for schedule in backup_schedules():
        try:
            if schedule.problem:
                raise ConfigurationError(schedule.problem, hint="Edit it in the admin: Periodic tasks.")
            if slot := _due_slot(schedule, now, fired=schedule.name == fired):
                due.requested.append(_request(schedule, slot))
        except BegunError:
            pass  # somebody else was faster
        except BackupsError as error:
            due.problems[schedule.name] = str(error)
            logger.error("The schedule %s could not ask for its backup. %s", schedule.name, error)
    return due


def _due_slot(schedule: Schedule, now: datetime, *, fired: bool) -> str:
    """The slot to be served now; "" for none."""
    slot, moment = schedule.latest_slot(now), schedule.latest(now)
    if moment is None:
        return ""
    rows = BackupHistory.objects.of_environment(conf.current().environment).filter(slot__startswith=schedule.slots)
    attempts = list(rows.filter(Q(slot=slot) | Q(slot__startswith=f"{slot} #")).order_by("created_at"))
    if attempts:
        return _next_attempt(slot, attempts, now)
    return slot if fired or _was_missed(schedule, moment, rows) else ""


def _was_missed(schedule: Schedule, moment: datetime, rows: BackupHistoryQuerySet) -> bool:
    """Whether a moment without a backup should have had one: the schedule was as it is already, and nothing newer was made.

    Else whoever adds one, or moves one to another hour, would have a dump at noon.
    """
    if schedule.fired_at is None:
        return moment >= schedule.changed_at
    newest = rows.newest_first().first()
    return newest is None or newest.created_at < moment


def _next_attempt(slot: str, attempts: Sequence[BackupHistory], now: datetime) -> str:
    last, made = attempts[-1], len(attempts)
    failed = last.status == Status.FAILED or (last.status == Status.CANCELLED and last.cancel_requested_at is None)
    if not failed or made > len(PAUSES) or last.finished_at is None or now < last.finished_at + PAUSES[made - 1]:
        return ""
    return f"{slot} #{made + 1}"


def _request(schedule: Schedule, slot: str) -> BackupHistory:
    return DatabaseBackup(
        description=schedule.description,
        database=schedule.database,
        upload_to_s3=schedule.upload_to_s3,
        save_local=schedule.save_local,
        backup_type=BackupType.SCHEDULED,
    ).request(slot=slot)
