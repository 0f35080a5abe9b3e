"""A backup, brought back: only onto targets that the settings name, and only by whoever says the database's name."""

from uuid import UUID

from django.db import router, transaction
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from backups import access, catalog, conf, documents, queued, tasks
from backups.access import Action
from backups.api import creating, examples
from backups.api.fields import Strict
from backups.api.one import OfBackups
from backups.api.problems import Problem
from backups.api.restores import Restores
from backups.api.rows import RestoreSerializer, url_of
from backups.api.schema import operation
from backups.api.told import PlanSerializer, UndoneSerializer
from backups.exceptions import RefusedError
from backups.models import BackupHistory, BackupRestore, RestorePurpose
from backups.plan import Choices
from backups.restore import DatabaseRestore
from backups.types import Server
from backups.undo import RestoreUndo


class RestoreOrderSerializer(Strict):
    """Where to, and that it is meant."""

    target = serializers.CharField(max_length=50, help_text="The alias of the database, one of BACKUPS_RESTORE_TARGETS.")
    confirm = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=63, help_text="The name of the target's database."
    )
    neutralize = serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Empty sessions and tokens, disable scheduled tasks. It must be said of a backup of production elsewhere.",
    )
    dry_run = serializers.BooleanField(default=False, help_text="Only the plan; nothing is touched.")


class ConfirmSerializer(Strict):
    """That it is meant."""

    confirm = serializers.CharField(max_length=63, help_text="The name of the target's database.")


class Restoring(OfBackups):
    """Of one backup."""

    @operation(
        id="restoreBackup",
        summary="Restore a backup, or see what that would do",
        needs=Action.RESTORE,
        request=RestoreOrderSerializer,
        answers={
            202: OpenApiResponse(RestoreSerializer, description="Queued. Poll the address in Location."),
            200: OpenApiResponse(PlanSerializer, description="The plan (`dry_run`)."),
        },
        problems=[400, 404, 409, 415],
        examples=[examples.ORDER, examples.RESTORING, examples.PLAN],
        makes_run=True,
        tag="restores",
    )
    def restore(self, request: Request, id: UUID) -> Response:
        """Loaded beside the target, compared, and swapped in; what was there stays, and `undo` swaps back. What stands against it
        is said before it is queued.
        """
        row = self.found(id)
        order = self.body(RestoreOrderSerializer)
        target = _allowed(order["target"])
        story = DatabaseRestore(
            target=target,
            filename=row.filename,
            environment=row.environment,
            choices=Choices(neutralize=order["neutralize"]),
        )
        if order["dry_run"]:
            return Response(documents.plan(story.plan()))
        _require_named(target, order["confirm"])
        story.plan().require_possible()
        made = self._queue(row, order, target)
        told = RestoreSerializer(made, context={"request": request}).data
        return Response(told, status=202, headers={"Location": url_of("restore", made.id, request)})

    def _queue(self, row: BackupHistory, order: dict[str, object], target: Server) -> BackupRestore:
        creating.require_worker()
        with creating.handed_out(), transaction.atomic(using=router.db_for_write(BackupHistory)):
            access.require_room()
            creating.require_no_restore_onto(target.database, self.request)
            made = queued.request_restore(
                target=str(order["target"]),
                filename=row.filename,
                environment=row.environment,
                confirm=target.database,
                neutralize=order["neutralize"],  # type: ignore[arg-type]
                user=self.request.user,
                backup=row,
            )
            tasks.hand_out([made])
        self.note(object=row.filename, target=target.address, detail=str(made.id))
        return made


class Undoing(Restores):
    """Of one restore."""

    @operation(
        id="undoRestore",
        summary="Swap back what a restore has replaced",
        needs=Action.RESTORE,
        request=ConfirmSerializer,
        answers={200: UndoneSerializer},
        problems=[400, 404, 409, 415],
        examples=[examples.CONFIRM, examples.UNDONE],
        tag="restores",
    )
    def undo(self, request: Request, id: UUID) -> Response:
        """Within a second. What is there now stays beside it."""
        row = self.found(id)
        confirm = self.body(ConfirmSerializer)["confirm"]
        if row.purpose != RestorePurpose.RESTORE or not row.kept_database:
            raise RefusedError("Nothing is kept of what this restore has replaced, so there is nothing to go back to.")
        target = _target_of(row)
        _require_named(target, confirm)
        swapped = RestoreUndo(target=target, kept=row.kept_database, confirm=confirm).run()
        self.note(object=str(row.id), target=target.address, detail=row.kept_database)
        return Response(documents.undone(target.database, swapped))


def _allowed(alias: str) -> Server:
    if alias not in conf.current().restore_targets:
        raise _forbidden(f"This site restores nothing onto {alias} by the API.")
    return conf.server(alias)


def _target_of(row: BackupRestore) -> Server:
    """The allowed target that a restore went onto: the same database of the same cluster."""
    for alias in conf.current().restore_targets:
        server = conf.server(alias)
        if server.database == row.target_database and catalog.cluster_of(server) == row.target_system_identifier:
            return server
    raise _forbidden(f"This site undoes nothing in {row.target_database} by the API.")


def _forbidden(message: str) -> Problem:
    return Problem(
        message,
        status=403,
        kind="target-not-allowed",
        hint="BACKUPS_RESTORE_TARGETS names the aliases that it may. Any other target: icb db restore",
    )


def _require_named(target: Server, confirm: str) -> None:
    if confirm != target.database:
        raise ValidationError({"confirm": [f"Say the name of the database: {target.database}. Nothing was touched."]})
