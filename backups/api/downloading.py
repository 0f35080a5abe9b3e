"""A backup's dump, to take away: by an address of the store's own that lasts five minutes, else from the local copy."""

from collections.abc import Iterator
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework.request import Request

from backups import conf, stores
from backups.access import Action
from backups.api import examples
from backups.api.acting import key_of
from backups.api.one import OfBackups
from backups.api.schema import operation
from backups.exceptions import ObjectMissingError, RefusedError
from backups.models import BackupHistory, Status

LASTS_SECONDS = 300
BYTES = "application/octet-stream"


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
        """`pg_restore` alone brings it back. Who has fetched what is in the audit."""
        row = self.found(id)
        _require_ours(row)
        key, configured = key_of(row), stores.configured()
        if configured.s3 is not None and configured.s3.bucket == row.bucket and configured.s3.head(key) is not None:
            self.note(object=row.filename, target="an address of the store")
            return _redirect(configured.s3.presigned(key, filename=row.filename, seconds=LASTS_SECONDS))
        local = configured.local
        if local is None or not row.local_path or (held := local.head(key)) is None:
            raise ObjectMissingError(
                f"No store that is configured has {row.filename}.", hint="Choose another backup, or see: icb db list"
            )
        self.note(object=row.filename, target="the local copy")
        return _stream(local.stream(key), filename=row.filename, size_bytes=held.size_bytes)


def _require_ours(row: BackupHistory) -> None:
    environment = conf.current().environment
    if row.environment != environment:
        raise RefusedError(
            f"{row.filename} is a backup of the environment {row.environment}, and this site is of {environment}.",
            hint="Download it from its own site.",
        )
    if row.status != Status.SUCCEEDED:
        raise RefusedError(f"{row.filename} is not a whole backup: it is {row.status}.", hint="Choose one that has succeeded.")


def _redirect(url: str) -> HttpResponse:
    response = HttpResponseRedirect(url)
    response["Cache-Control"] = "no-store"
    return response


def _stream(pieces: Iterator[bytes], *, filename: str, size_bytes: int) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        pieces,
        content_type=BYTES,
        headers={
            "Content-Length": str(size_bytes),
            "Content-Disposition": f'attachment; filename="{filename}"',
            "Cache-Control": "no-store",
        },
    )
