"""Asks for runs on behalf of people, by the panel or the API: only where somebody will carry them out, and nothing is in the way.

A face says who may; here it is decided whether it can be now, and the row is queued.
"""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from celery import current_app
from django.db import router, transaction
from django_celery_beat.models import PeriodicTask
from kombu.exceptions import OperationalError as BrokerError

from backups import access, conf, health, history, prune, queued, schedules, stores, targets, tasks, words
from backups.backup import DatabaseBackup
from backups.exceptions import InTheWayError, KeyReusedError, NoWorkerError, RefusedError, UsageError
from backups.heartbeats import BACKUPS
from backups.models import UNENDED, BackupHistory, BackupRestore, Level, RestorePurpose, Status
from backups.plan import Choices
from backups.postgres.named_lock import named_lock
from backups.postgres.swap import Swapped
from backups.restore import DatabaseRestore
from backups.sentences import sentence as _
from backups.types import Server, State
from backups.undo import RestoreUndo

PRUNE_EXPIRES_SECONDS = 3600
_SCHEDULE_FORM = _("Correct it in its form.")


def for_backup(
    *,
    description: str,
    database: str = "default",
    upload_to_s3: bool = True,
    save_local: bool = False,
    user: Any,
    key: str = "",
    digest: str = "",
) -> tuple[BackupHistory, bool]:
    """The queued row of the backup that is wanted, and whether it is new. `database` is an alias. The same `key` (of
    `access.actor_key`; "" for none) of the same user is the same backup; `digest` tells whether it is the same request.

    Raises InTheWayError, NoRoomError, NoWorkerError, KeyReusedError, and as DatabaseBackup does.
    """
    if (known := _known(user, key, digest)) is not None:
        return known, False
    story = DatabaseBackup(
        description=description, database=database, upload_to_s3=upload_to_s3, save_local=save_local, user=user
    )
    require_worker()
    with transaction.atomic(using=router.db_for_write(BackupHistory)):
        access.hold_room()  # from here to the end of the transaction, others who ask wait
        if (known := _known(user, key, digest)) is not None:
            return known, False
        _require_no_backup_of(story.row.database)
        access.require_room()
        story.row.idempotency_key, story.row.idempotency_digest = key, digest if key else ""
        tasks.hand_out([story.request()])
    return story.row, True


def for_verification(row: BackupHistory, *, level: str = Level.RESTORED, user: Any) -> BackupRestore:
    """The queued row of a verification of that backup. Raises RefusedError where there is nothing to verify, InTheWayError while
    it is verified already, NoRoomError, NoWorkerError, and as BackupVerification does.
    """
    if row.status != Status.SUCCEEDED or row.deleted_at is not None:
        if row.deleted_at is not None:
            why = _("{filename} was deleted, so there is nothing to verify.", filename=row.filename)
        else:
            why = _(
                "{filename} is no whole backup: it is {status}, so there is nothing to verify.",
                filename=row.filename,
                status=words.status(row.status),
            )
        raise RefusedError(why, hint=_("Choose one that has succeeded."))
    require_worker()
    with transaction.atomic(using=router.db_for_write(BackupHistory)):
        access.hold_room()
        _require_no_verification_of(row)
        access.require_room()
        made = queued.request_verification(filename=row.filename, environment=row.environment, level=level, user=user, backup=row)
        tasks.hand_out([made])
    return made


def restore_of(row: BackupHistory, *, target: str, neutralize: bool | None = None) -> DatabaseRestore:
    """The story of a restore of that backup onto the alias `target`; its `plan()` tells what it would do. Nothing is touched.

    Raises TargetNotAllowedError for a target that RESTORE_TARGETS does not name, and as DatabaseRestore does.
    """
    return DatabaseRestore(
        target=targets.allowed(target),
        filename=row.filename,
        environment=row.environment,
        choices=Choices(neutralize=neutralize),
    )


def for_restore(row: BackupHistory, *, target: str, confirm: str, neutralize: bool | None = None, user: Any) -> BackupRestore:
    """The queued row of a restore of that backup onto the alias `target`, whose database `confirm` names. What stands against it
    is said before it is queued.

    Raises UsageError for another name, InTheWayError, RunningError while an undo is at work there, NoRoomError, NoWorkerError,
    TargetNotAllowedError, and as DatabaseRestore and its plan do.
    """
    story = restore_of(row, target=target, neutralize=neutralize)
    require_named(story.target, confirm)
    with stores.for_a_page():  # whoever asks waits for the answer
        plan = story.plan()
    plan.require_possible()
    plan.require_decided()
    require_worker()
    with _turn(story.target), transaction.atomic(using=router.db_for_write(BackupHistory)):
        access.hold_room()
        _require_no_restore_onto(story.target.database)
        access.require_room()
        made = queued.request_restore(
            target=target,
            filename=row.filename,
            environment=row.environment,
            confirm=confirm,
            neutralize=neutralize,
            user=user,
            backup=row,
        )
        tasks.hand_out([made])
    return made


@dataclass(frozen=True, kw_only=True)
class Undone:
    """An undo that was done; `problems` are what went wrong beside it."""

    target: Server
    swapped: Swapped
    problems: tuple[str, ...]


def undo(row: BackupRestore, *, confirm: str) -> Undone:
    """Swaps back what a restore has replaced. `confirm` is the name of the target's database.

    Raises RefusedError where nothing is kept of it, InTheWayError while something is restored onto it, RunningError while another
    undo is at work there, UsageError, TargetNotAllowedError, and as RestoreUndo does.
    """
    target = targets.of_restore(row)
    require_named(target, confirm)
    story = RestoreUndo(target=target, kept=row.kept_database, confirm=confirm)
    with _turn(target):
        _require_no_restore_onto(target.database)
        swapped = story.run()
    return Undone(swapped=swapped, target=target, problems=tuple(story.problems))


def for_prune() -> None:
    """Queues a prune by the policy, as the schedule does. It has no row: what it deletes shows in the history, and what it
    can't delete is told as an incident. Where nobody takes it within an hour it expires.

    Raises NoWorkerError where nobody would carry it out, RefusedError where no rule is set, and ConfigurationError.
    """
    if not prune.has_rules(prune.policy()):
        raise RefusedError(
            _("No retention rule is set: everything is kept."), hint=_("Set BACKUPS_RETENTION; then see what it would do.")
        )
    require_worker()
    try:
        tasks.prune.apply_async(expires=PRUNE_EXPIRES_SECONDS)
    except (BrokerError, OSError) as error:
        said = _("The broker could not be reached, so the prune is not queued, and nothing was deleted.")
        raise _broker_away(said, error) from error


def for_schedule(row: PeriodicTask) -> None:
    """Sends now what a schedule sends at its moment, whether or not it is enabled, and whoever's task it is.

    Raises RefusedError where no worker could carry it out, NoWorkerError where it could not be sent.
    """
    if problem := schedules.problem_of(row):
        raise RefusedError(problem, hint=_SCHEDULE_FORM)
    current_app.loader.import_default_modules()
    task = current_app.tasks.get(row.task)
    if task is None:
        raise RefusedError(
            _("The schedule {name} is for {task}, and there is no such task.", name=row.name, task=row.task), hint=_SCHEDULE_FORM
        )
    try:
        given = {"args": json.loads(row.args), "kwargs": json.loads(row.kwargs)}
    except ValueError as error:
        raise RefusedError(
            _("The schedule {name} has arguments that are no JSON.", name=row.name), detail=str(error), hint=_SCHEDULE_FORM
        ) from error
    try:
        task.apply_async(**given, queue=row.queue or None, headers={"periodic_task_name": row.name})
    except (BrokerError, OSError) as error:
        said = _("The broker could not be reached, so the schedule {name} was not run.", name=row.name)
        raise _broker_away(said, error) from error


def _broker_away(message: str, error: Exception) -> NoWorkerError:
    return NoWorkerError(message, detail=str(error), hint=_("Is everything up: icb status?"))


def require_named(target: Server, confirm: str) -> None:
    """That whoever asks has said the name of the database. Raises UsageError."""
    if confirm != target.database:
        raise UsageError(_("Say the name of the database: {database}. Nothing was touched.", database=target.database))


def require_worker() -> None:
    """That somebody takes what is queued. Raises NoWorkerError."""
    check = health.worker_of(BACKUPS)
    if check.state is not State.OK:
        raise NoWorkerError(
            detail=_("{text}. A worker counts as gone when it is {threshold}.", text=check.text, threshold=check.threshold),
            hint=_("Start one: icb up. Workers show that they are alive each minute, by the scheduler: both must run."),
        )


def _turn(target: Server) -> AbstractContextManager[object]:
    """Of whoever would put something in the place of that database: to look whether anything is in the way, and then to do it.

    Nobody waits for a turn, so nobody waits for two. It is a session of its own: an undo ends those in its target, where the
    history may lie. Raises RunningError, and ConnectError.
    """
    return named_lock(
        history.server(),
        f"replace {target.database}",
        taken=_("Somebody else is putting something in the place of {database} at this moment.", database=target.database),
        hint=_("Look at the restores, then try again."),
    )


def _known(user: Any, key: str, digest: str) -> BackupHistory | None:
    """What this key stands for already. Raises KeyReusedError where that was another request."""
    if not key:
        return None
    rows = BackupHistory.objects.of_environment(conf.current().environment)
    known = rows.filter(triggered_by_id=user.pk, idempotency_key=key).first()
    if known is not None and known.idempotency_digest != digest:
        raise KeyReusedError(hint=_("Use a new key for each new request."), which="backup", id=known.id)
    return known


def _require_no_backup_of(database: str) -> None:
    rows = BackupHistory.objects.of_environment(conf.current().environment).filter(database=database, status__in=UNENDED)
    other = rows.order_by("created_at").only("id", "filename", "status").first()
    if other is not None:
        raise _in_the_way(
            _("A backup of {database} is {status} already.", database=database, status=_words(other.status)), "backup", other
        )


def _require_no_restore_onto(database: str) -> None:
    """While a restore onto a database of that name is queued or at work."""
    rows = BackupRestore.objects.filter(target_environment=conf.current().environment, target_database=database)
    other = rows.filter(status__in=UNENDED, purpose="restore").order_by("created_at").only("id", "status").first()
    if other is not None:
        raise _in_the_way(
            _("A restore onto {database} is {status} already.", database=database, status=_words(other.status)), "restore", other
        )


def _require_no_verification_of(row: BackupHistory) -> None:
    verifications = BackupRestore.objects.filter(backup_id=row.pk, purpose=RestorePurpose.VERIFICATION)
    unended = verifications.filter(status__in=UNENDED).order_by("created_at")
    if (other := unended.only("id", "status").first()) is not None:
        raise _in_the_way(
            _("A verification of {filename} is {status} already.", filename=row.filename, status=_words(other.status)),
            "restore",
            other,
        )


def _in_the_way(message: str, which: str, other: BackupHistory | BackupRestore) -> InTheWayError:
    return InTheWayError(message, hint=_("Wait until it has ended, or cancel it."), which=which, id=other.id)


def _words(status: str) -> str:
    return words.status("queued" if status == Status.PENDING else "running")
