"""A backup, brought back: only onto targets that the settings name, and only by whoever says the database's name."""

from uuid import UUID

from drf_spectacular.utils import OpenApiResponse
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from backups import access, asking, documents, targets
from backups.access import Action
from backups.api import examples, links
from backups.api.base import Permitted
from backups.api.fields import Flag, NothingSerializer, Strict, Text
from backups.api.one import OfBackups
from backups.api.restores import Restores
from backups.api.rows import RestoreSerializer, url_of
from backups.api.schema import operation
from backups.api.throttling import PlanThrottle
from backups.api.told import CancelledSerializer, PlanSerializer, UndoneSerializer
from backups.cancelling import cancel
from backups.types import Server


class RestoreOrderSerializer(Strict):
    """Where to, and that it is meant."""

    target = Text(max_length=50, help_text="The alias of the database, one of BACKUPS_RESTORE_TARGETS.")
    confirm = Text(required=False, default="", allow_blank=True, max_length=63, help_text="The name of the target's database.")
    neutralize = Flag(
        required=False,
        allow_null=True,
        default=None,
        help_text="Empty sessions and tokens, disable scheduled tasks. It must be said of a backup of production elsewhere.",
    )
    dry_run = Flag(default=False, help_text="Only the plan; nothing is touched.")


class ConfirmSerializer(Strict):
    """That it is meant."""

    confirm = Text(trim_whitespace=False, max_length=63, help_text="The name of the target's database.")


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
        problems=[404, 409, 415],
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
        target, neutralize = order["target"], order["neutralize"]
        if order["dry_run"]:
            self.limit(PlanThrottle())
            return Response(documents.plan(asking.restore_of(row, target=target, neutralize=neutralize).plan()))
        _require_named(targets.allowed(target), order["confirm"])
        made = asking.for_restore(row, target=target, confirm=order["confirm"], neutralize=neutralize, user=request.user)
        self.note(object=row.filename, target=targets.allowed(target).address, detail=str(made.id), queued=True)
        told = RestoreSerializer(made, context={"request": request}).data
        return Response(told, status=202, headers={"Location": url_of("restore", made.id, request)})


class ActingOnRestores(Restores):
    """On one restore or verification."""

    @operation(
        id="cancelRestore",
        summary="Stop a restore or verification that is queued or running",
        needs=Action.VIEW,
        request=NothingSerializer,
        answers={202: OpenApiResponse(CancelledSerializer, description="It was asked to stop, and does so within seconds.")},
        problems=[404, 409, 415],
        examples=[examples.CANCELLED_RESTORE],
        tag="restores",
    )
    def cancel(self, request: Request, id: UUID) -> Response:
        """It removes what it had begun, and the target is as it was; one that is queued never begins. 409 where it has ended.

        For a restore this needs the permission to restore, too; for a verification that to verify.
        """
        row = self.found(id)
        self.body(NothingSerializer)
        if not access.may(request, links.to_cancel(row)):
            raise PermissionDenied(Permitted.message)
        cancelled = cancel(str(row.id))
        self.note(object=str(row.id), target=row.target_database)
        return Response(documents.cancelled(cancelled), status=202)

    @operation(
        id="undoRestore",
        summary="Swap back what a restore has replaced",
        needs=Action.RESTORE,
        request=ConfirmSerializer,
        answers={200: UndoneSerializer},
        problems=[404, 409, 415],
        examples=[examples.CONFIRM, examples.UNDONE],
        tag="restores",
    )
    def undo(self, request: Request, id: UUID) -> Response:
        """Within a second. What is there now stays beside it."""
        row = self.found(id)
        confirm = self.body(ConfirmSerializer)["confirm"]
        _require_named(targets.of_restore(row), confirm)
        undone = asking.undo(row, confirm=confirm)
        self.note(object=str(row.id), target=undone.target.address, detail="\n".join((row.kept_database, *undone.problems)))
        return Response(documents.undone(undone.target.database, undone.swapped, undone.problems))


def _require_named(target: Server, confirm: str) -> None:
    if confirm != target.database:
        raise ValidationError({"confirm": [f"Say the name of the database: {target.database}. Nothing was touched."]})
