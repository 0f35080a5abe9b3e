"""Asks a run to stop: a queued one never begins, one at work hears it within seconds and removes what it had begun."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast
from django.utils import timezone

from backups import conf, history
from backups.exceptions import BackupNotFoundError, BackupsError, CancelledError, RefusedError, UsageError
from backups.models import UNENDED, BackupHistory, BackupRestore, Status
from backups.sentences import sentence as _

_MOST_SHOWN = 5
LATEST = "latest"


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """What was asked to stop. `was_queued`: it had not begun, and never will."""

    id: UUID
    kind: str  # backup, restore or verification
    name: str
    was_queued: bool


def cancel(which: str) -> Cancelled:
    """Cancels the one unended run of this environment whose filename or id begins so; LATEST is the newest that has not ended.

    Raises BackupNotFoundError where there is none, UsageError where several fit, RefusedError where it has ended, and
    HistoryError.
    """
    if not which.strip():
        raise UsageError(_("Which run is to be cancelled?"), hint=_("icb db list shows what runs."))
    try:
        run = _latest() if which.strip() == LATEST else _found(which.strip())
        now = timezone.now()
        same = type(run)._default_manager.filter(pk=run.pk, status__in=UNENDED)
        never = CancelledError(_("It was cancelled before it began."))
        was_queued = bool(
            same.filter(status=Status.PENDING, started_at=None).update(
                status=Status.CANCELLED, cancel_requested_at=now, finished_at=now, error_message=str(never)
            )
        )
        if not was_queued and not same.update(cancel_requested_at=now):
            raise _ended(run)
    except DatabaseError as error:
        raise history.unreachable(error) from error
    return Cancelled(id=run.id, kind=_kind(run), name=_name(run), was_queued=was_queued)


def _latest() -> BackupHistory | BackupRestore:
    environment = conf.current().environment
    backups = BackupHistory.objects.of_environment(environment).filter(status__in=UNENDED).order_by("-created_at")
    restores = BackupRestore.objects.filter(target_environment=environment, status__in=UNENDED).order_by("-created_at")
    runs: list[BackupHistory | BackupRestore] = [*backups[:1], *restores[:1]]
    if not runs:
        raise BackupNotFoundError(
            _(
                "Nothing runs or is queued in the environment {environment}, so there is nothing to cancel.",
                environment=environment,
            ),
            hint=_("icb db list shows how the last ones ended."),
        )
    return max(runs, key=lambda run: run.created_at)


def _found(which: str) -> BackupHistory | BackupRestore:
    environment = conf.current().environment
    backups = _fitting(BackupHistory.objects.of_environment(environment), which, Q(filename__startswith=which))
    restores = _fitting(BackupRestore.objects.filter(target_environment=environment), which, Q())
    runs = [*backups, *restores]
    unended = [run for run in runs if run.status in UNENDED]
    if len(unended) > 1:
        raise UsageError(
            _("{unended} runs fit {which}.", unended=len(unended), which=which),
            detail="\n".join(f"{_kind(run)} {_name(run)}  {run.id}" for run in unended[:_MOST_SHOWN]),
            hint=_("Say more of it, or the whole id."),
        )
    if unended:
        return unended[0]
    if runs:
        raise _ended(runs[0])
    raise BackupNotFoundError(
        _("No run of the environment {environment} is called {which}.", environment=environment, which=which),
        hint=_("icb db list shows what runs, by filename."),
    )


def _fitting(rows: QuerySet[Any], which: str, by_name: Q) -> list[BackupHistory | BackupRestore]:
    """Those whose id or name begins so, of which the unended come first."""
    named = rows.annotate(id_text=Cast("id", CharField())).filter(by_name | Q(id_text__startswith=which.lower()))
    return [*named.filter(status__in=UNENDED), *named.exclude(status__in=UNENDED).order_by("-created_at")[:1]]


def _ended(run: BackupHistory | BackupRestore) -> BackupsError:
    name = _name(run)
    said = {
        "backup": _("The backup {name} is not running: it has ended.", name=name),
        "restore": _("The restore {name} is not running: it has ended.", name=name),
        "verification": _("The verification {name} is not running: it has ended.", name=name),
    }
    return RefusedError(said[_kind(run)], hint=_("icb db list shows how."))


def _kind(run: BackupHistory | BackupRestore) -> str:
    return "backup" if isinstance(run, BackupHistory) else str(run.purpose)


def _name(run: BackupHistory | BackupRestore) -> str:
    return run.filename if isinstance(run, BackupHistory) else run.target_database
