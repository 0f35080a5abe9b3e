"""What the scheduler does besides backups, and what of it somebody must hear: tending, prune, sync, health."""

import logging
from collections.abc import Sequence

from django.db import Error as DatabaseError

from backups import alerting, conf, due, health, history, queued, schedules, tending
from backups.exceptions import BackupsError, CancelledError, RunningError
from backups.models import BackupHistory, BackupRestore
from backups.prune import BackupPruning, Fate, Pruning
from backups.sync import CatalogSync

Row = BackupHistory | BackupRestore
SHOWN = 10
SCHEDULE_FAILED = "schedule-failed"  # another than health's check of the schedules, which tells the same
SCHEDULE_UNFOLLOWED = "schedule-unfollowed"  # of another task than a backup
EDIT = "Edit it in the admin: Periodic tasks."

logger = logging.getLogger(__name__)


def tend() -> list[Row]:
    """Ends what died, finds what nobody has taken, tells what is wrong. Returns the queued rows that need a message to a worker.

    Raises HistoryError, ConnectError and ConfigurationError.
    """
    for problem in tending.tend().problems:
        logger.warning("%s", problem)
    wanted: list[Row] = [*queued.waiting_backups(), *queued.waiting_restores()]
    alerting.look()
    alerting.tell()
    return wanted


def ask_for_due(*, fired: str = "") -> list[Row]:
    """Queued rows for the schedules whose moment has come; `fired` is the one that beat has just fired. Raises HistoryError."""
    try:
        asked, others = due.request_due(fired=fired), schedules.unfollowable()
    except DatabaseError as error:
        raise history.unreachable(error) from error
    alerting.over_but_for(asked.problems, event=SCHEDULE_FAILED)
    for name, problem in asked.problems.items():
        alerting.opened(
            event=SCHEDULE_FAILED,
            subject=name,
            message=f"{conf.current().environment}: the schedule {name} could not ask for its backup.",
            detail=problem,
            hint=EDIT,
        )
    alerting.over_but_for(others, event=SCHEDULE_UNFOLLOWED)
    for name, problem in others.items():
        message = _here(f"the schedule {name} can't be followed, so what it is for does not happen")
        alerting.opened(event=SCHEDULE_UNFOLLOWED, subject=name, message=message, detail=problem, hint=EDIT)
    return [*asked.requested]


def look() -> None:
    """Looks at everything that backups depend on, and tells what is wrong. Raises as `tend` does."""
    alerting.look(health.report())
    alerting.tell()


def prune() -> None:
    """Lets go of what the retention policy does not keep; that it could not is told. Raises as BackupPruning does."""
    try:
        refusal = _refusal(BackupPruning().run())
    except (RunningError, CancelledError):
        raise
    except BackupsError as error:
        alerting.opened(
            event="prune-refused", message=_here("the prune failed"), detail=str(error), hint="icb db prune --dry-run"
        )
        raise
    _tell_of(
        refusal,
        event="prune-refused",
        message="the prune could not do all that the policy wants",
        hint="icb db prune --dry-run tells the rule for each.",
    )


def _refusal(done: Pruning) -> list[str]:
    failed = [f"{one.candidate.filename}: {'; '.join(one.reasons)}" for one in done.of(Fate.FAILED)]
    return [*done.stopped_by, *failed, *done.unfinished]


def sync() -> None:
    """Makes bucket and history agree; what nobody knows and what is lost is told. Raises as CatalogSync does."""
    found = CatalogSync().run()
    _tell_of(
        found.problems,
        event="sync-failed",
        message="the sync could not look everywhere, so it is not known whether bucket and history agree",
        hint="icb db sync --dry-run",
    )
    unknown = [f"{where}: {why}" for where, why in found.unknown]
    _tell_of(
        unknown,
        is_known=not found.problems,
        event="unknown-objects",
        message=f"{len(unknown)} objects among the backups are none that the history or a manifest knows",
        hint="icb db sync --dry-run names them. Nothing deletes them by itself.",
    )
    rows = BackupHistory.objects.of_environment(conf.current().environment).succeeded().filter(missing_at__isnull=False)
    missing = list(rows.newest_first().values_list("filename", flat=True))
    _tell_of(
        missing,
        is_known=not found.problems,
        event="backups-missing",
        message=f"{len(missing)} backups are gone from the store, and no prune took them",
        hint="Bring the objects back (an earlier version, a copy of the bucket), then: icb db sync",
    )


def _tell_of(found: Sequence[str], *, event: str, message: str, hint: str, is_known: bool = True) -> None:
    """It is wrong while something is found; that nothing was found says so only where all could be looked at."""
    if found:
        alerting.opened(event=event, message=_here(message), detail=_some(found), hint=hint)
    elif is_known:
        alerting.over(event=event)


def _here(what: str) -> str:
    return f"{conf.current().environment}: {what}."


def _some(lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more])
