"""What can be done with one backup: look into it, compare, prove, pin, stop it."""

from uuid import UUID

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from backups import asking, catalog, conf, documents
from backups.access import Action
from backups.api import examples
from backups.api.fields import NothingSerializer, Strict, Text
from backups.api.one import OfBackups
from backups.api.rows import RestoreSerializer, url_of
from backups.api.schema import operation
from backups.api.told import CancelledSerializer, ContentsSerializer, DifferenceSerializer, PinnedSerializer
from backups.cancelling import cancel
from backups.catalog import key_of
from backups.diff import difference
from backups.models import Level
from backups.prune import pin, unpin


class LevelSerializer(Strict):
    """How far it is to be proven."""

    level = serializers.ChoiceField(Level.choices, default=Level.RESTORED)


class ReasonSerializer(Strict):
    """Why it must be kept."""

    reason = Text(max_length=catalog.LONGEST_REASON, help_text="Somebody will ask.")


class Acting(OfBackups):
    """On one backup."""

    @operation(
        id="getContents",
        summary="What is in a backup",
        needs=Action.VIEW,
        answers={200: ContentsSerializer},
        problems=[404, 409],
        examples=[examples.CONTENTS],
    )
    def contents(self, request: Request, id: UUID) -> Response:
        """Tables with rows and bytes, extensions, and all other objects by their names: from its signed manifest alone."""
        row = self.found(id)
        server = conf.server("default")
        found = catalog.find(key_of(row), environment=row.environment, database=row.database, server=server)
        return Response(documents.contents(found.manifest))

    @operation(
        id="diffBackups",
        summary="What changed between two backups",
        needs=Action.VIEW,
        answers={200: DifferenceSerializer},
        problems=[404, 409],
        examples=[examples.DIFFERENCE],
    )
    def diff(self, request: Request, id: UUID, other: UUID) -> Response:
        """From the first to the other: tables gone, shrunk, added and grown, migrations, extensions. By their manifests alone."""
        before, after = self.found(id), self.found(other)
        return Response(documents.difference(difference(key_of(before), key_of(after))))

    @operation(
        id="verifyBackup",
        summary="Prove a backup",
        needs=Action.VERIFY,
        request=LevelSerializer,
        answers={202: OpenApiResponse(RestoreSerializer, description="Queued. Poll the address in Location.")},
        problems=[404, 409, 415],
        examples=[examples.LEVEL, examples.VERIFYING],
        makes_run=True,
    )
    def verify(self, request: Request, id: UUID) -> Response:
        """A worker restores it into a scratch database and compares; or only reads it, as `level` says."""
        row = self.found(id)
        level = self.body(LevelSerializer)["level"]
        made = asking.for_verification(row, level=level, user=request.user)
        self.note(object=row.filename, target=str(made.id), detail=str(level), queued=True)
        told = RestoreSerializer(made, context={"request": request}).data
        return Response(told, status=202, headers={"Location": url_of("restore", made.id, request)})

    @operation(
        id="cancelBackup",
        summary="Stop a backup that is queued or running",
        needs=Action.RUN,
        request=NothingSerializer,
        answers={202: OpenApiResponse(CancelledSerializer, description="It was asked to stop, and does so within seconds.")},
        problems=[404, 409, 415],
        examples=[examples.CANCELLED],
    )
    def cancel(self, request: Request, id: UUID) -> Response:
        """It removes what it had begun, and then is cancelled; one that is queued never begins. 409 where it has ended."""
        row = self.found(id)
        self.body(NothingSerializer)
        cancelled = cancel(str(row.id))
        self.note(object=row.filename)
        return Response(documents.cancelled(cancelled), status=202)

    @operation(
        id="pinBackup",
        summary="Keep a backup, whatever the retention policy says",
        needs=Action.PRUNE,
        request=ReasonSerializer,
        answers={200: PinnedSerializer},
        problems=[404, 409, 415],
        examples=[examples.REASON, examples.PINNED],
    )
    def pin(self, request: Request, id: UUID) -> Response:
        """Until it is unpinned. A new reason takes the place of an old one."""
        row = self.found(id)
        pinned = pin(key_of(row), reason=self.body(ReasonSerializer)["reason"])
        self.note(object=row.filename, detail=pinned.reason)
        return Response(documents.pinned(pinned))

    @operation(
        id="unpinBackup",
        summary="Let the retention policy judge a backup again",
        needs=Action.PRUNE,
        answers={200: PinnedSerializer},
        problems=[404, 409],
        examples=[examples.UNPINNED],
    )
    def unpin(self, request: Request, id: UUID) -> Response:
        """Harmless where it was not pinned."""
        row = self.found(id)
        if request.body:
            raise ParseError("This takes no body.")
        unpinned = unpin(key_of(row))
        self.note(object=row.filename, detail=unpinned.before)
        return Response(documents.pinned(unpinned))
