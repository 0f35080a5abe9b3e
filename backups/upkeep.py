"""What the scheduler does besides backups, and what of it somebody must hear: tending, prune, sync, health."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from django.db import Error as DatabaseError

from backups import alerting, audit, conf, due, health, history, queued, schedules, tending, words
from backups.exceptions import BackupsError, CancelledError, RunningError
from backups.models import BackupHistory, BackupRestore
from backups.prune import BackupPruning, Fate, Pruning
from backups.sync import Agreed, CatalogSync

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
    for row in asked.requested:
        entry = {"action": "run", "object": row.filename, "target": row.database, "detail": row.slot}
        audit.note(**entry, outcome=audit.Outcome.QUEUED, by=audit.By.of_schedule())
    return [*asked.requested]


def look() -> None:
    """Looks at everything that backups depend on, and tells what is wrong. Raises as `tend` does."""
    alerting.look(health.report())
    alerting.tell()


def prune(*, is_scheduled: bool = False) -> None:
    """Lets go of what the retention policy does not keep; that it could not is told. Of one that a schedule wants the audit has
    an entry, too: whoever else asks for one has it already. Raises as BackupPruning does.
    """
    entry: AbstractContextManager[list[str]] = _noted("prune") if is_scheduled else nullcontext([])
    with entry as came_of_it:
        try:
            done = BackupPruning().run()
        except (RunningError, CancelledError):
            raise
        except BackupsError as error:
            alerting.opened(
                event="prune-refused", message=_here("the prune failed"), detail=str(error), hint="icb db prune --dry-run"
            )
            raise
        gone = [one.candidate.filename for one in done.of(Fate.DELETED)]
        came_of_it += [f"{words.things(len(gone), 'backup')} deleted", *gone, *_refusal(done)]
    tell_of_prune(done)


def tell_of_prune(done: Pruning, *, is_by_hand: bool = False) -> None:
    """What it could not do is an incident, and is over once a prune can. By hand nothing is begun: somebody has seen it."""
    _tell_of(
        _refusal(done),
        event="prune-refused",
        message="the prune could not do all that the policy wants",
        hint="icb db prune --dry-run tells the rule for each.",
        only_ends=is_by_hand,
    )


def _refusal(done: Pruning) -> list[str]:
    failed = [f"{one.candidate.filename}: {'; '.join(one.reasons)}" for one in done.of(Fate.FAILED)]
    return [*done.stopped_by, *failed, *done.unfinished]


def sync() -> None:
    """Makes bucket and history agree, as the audit then says; what nobody knows and what is lost is told. Raises as CatalogSync
    does.
    """
    with _noted("sync") as came_of_it:
        found = CatalogSync().run()
        counts = (
            *((len(found.rebuilt), "rebuilt"), (len(found.mended), "mended"), (len(found.missing), "missing")),
            *((len(found.back), "back"), (found.runs, "runs rebuilt"), (len(found.unknown), "unknown")),
            *((len(found.unfinished), "unfinished removed"), (len(found.problems), "problems")),
        )
        came_of_it.append(", ".join(f"{count} {what}" for count, what in counts if count) or "both agreed")
    tell_of_sync(found)


def tell_of_sync(found: Agreed, *, is_by_hand: bool = False) -> None:
    """As `tell_of_prune`."""
    tell = partial(_tell_of, only_ends=is_by_hand)
    tell(
        found.problems,
        event="sync-failed",
        message="the sync could not look everywhere, so it is not known whether bucket and history agree",
        hint="icb db sync --dry-run",
    )
    unknown = [f"{where}: {why}" for where, why in found.unknown]
    tell(
        unknown,
        is_known=not found.problems,
        event="unknown-objects",
        message=f"{len(unknown)} objects among the backups are none that the history or a manifest knows",
        hint="icb db sync --dry-run names them. Nothing deletes them by itself.",
    )
    rows = BackupHistory.objects.of_environment(conf.current().environment).succeeded().filter(missing_at__isnull=False)
    missing = list(rows.newest_first().values_list("filename", flat=True))
    tell(
        missing,
        is_known=not found.problems,
        event="backups-missing",
        message=f"{len(missing)} backups are whole in no store any more, and no prune took them",
        hint="icb db list shows what is left.\n"
        "Bring the objects back (an earlier version, a copy of the bucket), then: icb db sync",
    )


@contextmanager
def _noted(action: str) -> Iterator[list[str]]:
    """An entry of the schedule's in the audit, with the lines that the block adds. One that another is at already is no work."""
    lines: list[str] = []
    entry = partial(audit.note, action=action, object=conf.current().environment, by=audit.By.of_schedule())
    try:
        yield lines
    except RunningError:
        raise
    except BackupsError as error:
        entry(outcome=audit.Outcome.FAILED, detail=str(error))
        raise
    entry(outcome=audit.Outcome.DONE, detail=_some(lines))


def _tell_of(
    found: Sequence[str], *, event: str, message: str, hint: str, is_known: bool = True, only_ends: bool = False
) -> None:
    """It is wrong while something is found; that nothing was found says so only where all could be looked at."""
    if found and not only_ends:
        alerting.opened(event=event, message=_here(message), detail=_some(found), hint=hint)
    elif not found and is_known:
        alerting.over(event=event)


def _here(what: str) -> str:
    return f"{conf.current().environment}: {what}."


def _some(lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more])
