"""A backup's dump, to take away, as both faces of the web answer it: by an address of the store's own that lasts five minutes,
else from the local copy.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse

from backups import catalog, conf, damage, fallback, stores, words
from backups.exceptions import ObjectMissingError, RefusedError
from backups.models import BackupHistory, Status
from backups.sentences import sentence as _
from backups.storage.attachment import disposition
from backups.storage.local import LocalStore
from backups.storage.s3 import S3Store
from backups.types import StoredObject

LASTS_SECONDS = 300
BYTES = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Download:
    """The answer to whoever wants the dump, and where it comes from, for the audit."""

    response: HttpResponseBase
    place: str


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """The one that is given: where it is, and whether that is known to be damaged."""

    store: S3Store | LocalStore
    held: StoredObject
    is_damaged: bool

    def told(self, place: str) -> str:
        """The place, for the audit."""
        return f"{place}: a copy that is known to be damaged" if self.is_damaged else place


def download_of(row: BackupHistory) -> Download:
    """The dump of a backup of this environment that has succeeded. Whoever asks must have been found to be allowed to. A copy
    that is known to be damaged is given only where no other is left: it may be all that there is.

    Raises RefusedError for any other backup, ObjectMissingError where no store that is configured has it, and StorageError: also
    where it is another than the damaged copy that can't be asked for.
    """
    copy = _found(row)
    if isinstance(copy.store, S3Store):
        url = copy.store.presigned(copy.held.key, filename=row.filename, seconds=LASTS_SECONDS)
        return Download(response=_redirect(url), place=copy.told("an address of the store"))
    pieces = copy.store.stream(copy.held.key)
    first = next(pieces, b"")  # whether it can be read is known before anything is answered, or noted
    response = StreamingHttpResponse(_after(first, pieces), headers=_headers(row.filename, copy.held.size_bytes))
    return Download(response=response, place=copy.told("the local copy"))


def head_of(row: BackupHistory) -> HttpResponse:
    """What HEAD is answered: how large the file would be, and its name. Nothing is given away by it, and no address is signed.

    Raises as `download_of` does.
    """
    return without_bytes(row.filename, _found(row).held.size_bytes)


def without_bytes(filename: str, size_bytes: int) -> HttpResponse:
    """The same of any file."""
    return HttpResponse(headers=_headers(filename, size_bytes))


def _found(row: BackupHistory) -> _Copy:
    _require_ours(row)
    key, known = catalog.key_of(row), damage.of_backup(row.pk)
    damaged = known.places if known is not None else ()
    for store in sorted(_stores_of(row), key=lambda store: store.location(key) in damaged):
        if (held := store.head(key)) is not None:
            return _Copy(store=store, held=held, is_damaged=store.location(key) in damaged)
    raise ObjectMissingError(
        _("No store that is configured has {filename}.", filename=row.filename), hint=fallback.where_lost(row)
    )


def _stores_of(row: BackupHistory) -> list[S3Store | LocalStore]:
    """Where it was put and may be had, the bucket first."""
    s3, local = stores.configured().s3, stores.configured().local
    found: list[S3Store | LocalStore] = [s3] if s3 is not None and s3.bucket == row.bucket else []
    return [*found, local] if local is not None and row.local_path else found


def _require_ours(row: BackupHistory) -> None:
    environment = conf.current().environment
    if row.environment != environment:
        raise RefusedError(
            _(
                "{filename} is a backup of the environment {environment}, and this site is of {ours}.",
                filename=row.filename,
                environment=row.environment,
                ours=environment,
            ),
            hint=_("Download it from its own site."),
        )
    if row.status != Status.SUCCEEDED:
        raise RefusedError(
            _("{filename} is not a whole backup: it is {status}.", filename=row.filename, status=words.status(row.status)),
            hint=_("Choose one that has succeeded."),
        )


def _redirect(url: str) -> HttpResponse:
    response = HttpResponseRedirect(url)
    response["Cache-Control"] = "no-store"
    return response


def _headers(filename: str, size_bytes: int) -> dict[str, str]:
    return {
        "Content-Type": BYTES,
        "Content-Length": str(size_bytes),
        "Content-Disposition": disposition(filename),
        "Cache-Control": "no-store",
    }


def _after(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces
