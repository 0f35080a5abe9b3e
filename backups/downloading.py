"""A backup's dump, to take away, as both faces of the web answer it: by an address of the store's own that lasts five minutes,
else from the local copy.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse

from backups import catalog, conf, stores
from backups.exceptions import ObjectMissingError, RefusedError
from backups.models import BackupHistory, Status

LASTS_SECONDS = 300
BYTES = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Download:
    """The answer to whoever wants the dump, and where it comes from, for the audit."""

    response: HttpResponseBase
    place: str


def download_of(row: BackupHistory) -> Download:
    """The dump of a backup of this environment that has succeeded. Whoever asks must have been found to be allowed to.

    Raises RefusedError for any other backup, ObjectMissingError where no store that is configured has it, and StorageError.
    """
    _require_ours(row)
    key, configured = catalog.key_of(row), stores.configured()
    if configured.s3 is not None and configured.s3.bucket == row.bucket and configured.s3.head(key) is not None:
        url = configured.s3.presigned(key, filename=row.filename, seconds=LASTS_SECONDS)
        return Download(response=_redirect(url), place="an address of the store")
    local = configured.local
    if local is None or not row.local_path or (held := local.head(key)) is None:
        raise ObjectMissingError(
            f"No store that is configured has {row.filename}.", hint="Choose another backup, or see: icb db list"
        )
    streamed = _stream(local.stream(key), filename=row.filename, size_bytes=held.size_bytes)
    return Download(response=streamed, place="the local copy")


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
