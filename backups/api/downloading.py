"""A backup's dump, to take away."""

from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework.request import Request

from backups.access import Action
from backups.api import examples
from backups.api.one import OfBackups
from backups.api.schema import operation
from backups.downloading import BYTES, download_of, head_of


class Downloading(OfBackups):
    """Of one backup."""

    @operation(
        id="downloadBackup",
        summary="Download the dump",
        needs=Action.DOWNLOAD,
        answers={
            302: OpenApiResponse(description="To the store, by an address that lasts five minutes."),
            (200, BYTES): OpenApiResponse(OpenApiTypes.BINARY, description="The bytes, where only a local copy has them."),
        },
        problems=[404, 409],
        examples=[examples.MISSING],
    )
    def download(self, request: Request, id: UUID) -> HttpResponseBase:
        """`pg_restore` alone brings it back. Who has fetched what is in the audit. HEAD tells its size, and signs nothing. A copy
        that is known to be damaged is given only where no other is left; of a backup with `bad_at`, what comes may be damaged.
        """
        row = self.found(id)
        if request.method == "HEAD":
            return head_of(row)
        found = download_of(row)
        self.note(object=row.filename, target=found.place)
        return found.response
