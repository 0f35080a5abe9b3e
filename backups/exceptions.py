"""One tree of errors. Each says what happened (message), what was seen (detail) and what to do now (hint).

The docstring of a class is its message where none is given. A face translates an error once: a command into its text and
exit code, the API into problem+json, a task into the row's error message.
"""

import json
import re
from collections.abc import Iterable
from typing import ClassVar, Self
from urllib.parse import quote, quote_plus
from uuid import UUID

from backups.sentences import sentence


class BackupsError(Exception):
    """Something went wrong."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "", *, detail: str = "", hint: str = "") -> None:
        self.message = message or sentence((type(self).__doc__ or "").strip())
        self.detail = detail if detail == detail.strip() else detail.strip()
        self.hint = hint if hint == hint.strip() else hint.strip()  # a sentence stays one
        super().__init__(self.message)

    def scrub(self, secrets: Iterable[str]) -> Self:
        """Takes secrets out of every text, by value: as they are, and as in a URL, a conninfo or JSON. Returns itself."""
        forms = sorted(_forms(secrets), key=len, reverse=True)  # of "abc" and "abcdef", the whole of the longer one
        if forms:
            pattern = re.compile("|".join(map(re.escape, forms)))
            self.message, self.detail, self.hint = (
                pattern.sub("***", text) if pattern.search(text) else text for text in (self.message, self.detail, self.hint)
            )
            self.args = (self.message,)
        return self

    def __str__(self) -> str:
        return "\n".join(part for part in (self.message, self.detail, self.hint) if part)


def _forms(secrets: Iterable[str]) -> set[str]:
    forms = set()
    for secret in filter(None, secrets):
        raw = _bytes(secret)
        in_url = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
        in_conninfo = secret.replace("\\", "\\\\").replace("'", "\\'")
        forms |= {secret, in_conninfo, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]} | in_url
        forms |= {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), form) for form in in_url}
    return forms


def _bytes(secret: str) -> bytes:
    """As the environment gave it: a password from there may be no UTF-8."""
    try:
        return secret.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # no environment has given that
        return secret.encode(errors="surrogatepass")


class UsageError(BackupsError):
    """The request is not one that can be carried out."""

    exit_code = 2


class RefusedError(BackupsError):
    """Refused, so that no data is lost."""

    exit_code = 3


class ConfigurationError(BackupsError):
    """The settings don't allow this."""


class CancelledError(BackupsError):
    """Cancelled before it was done."""

    exit_code = 130


class UnableError(BackupsError):
    """It could not be tried here, which says nothing about the backup."""


class BegunError(RefusedError):
    """Another process has begun this run already."""


class RunningError(RefusedError):
    """A backup of this database is already running."""


class NoRoomError(RefusedError):
    """As many runs are queued or at work as may be."""


class OfRunError(RefusedError):
    """Another run has to do with it: `which` it is ("backup" or "restore"), and its `id`."""

    def __init__(
        self, message: str = "", *, detail: str = "", hint: str = "", which: str = "backup", id: UUID | None = None
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.which, self.id = which, id


class InTheWayError(OfRunError):
    """Another run must end first."""


class KeyReusedError(OfRunError):
    """This Idempotency-Key was used for another request."""


class NoWorkerError(BackupsError):
    """No worker is alive that would do this, so it was not queued."""


class TargetNotAllowedError(RefusedError):
    """This site restores nothing onto that target by the web."""


def unexpected(message: str, error: BaseException) -> BackupsError:
    """For what nobody has foreseen."""
    hint = "It is a fault of this system, or of the machine. Try again; the log of whoever did it, worker or web, has more."
    return BackupsError(message, detail=f"{type(error).__name__}: {error}", hint=hint)


# PostgreSQL


class PostgresError(BackupsError):
    """PostgreSQL did not do what was asked."""


class ConnectError(PostgresError):
    """The database can't be reached."""


class ClientProgramError(PostgresError):
    """No client program fits the server."""


class UnreadableError(PostgresError):
    """The role can't read everything, so the backup would not be whole."""


class LockTimeoutError(PostgresError):
    """Another session holds a lock that the backup needs."""


class DumpError(PostgresError):
    """pg_dump failed."""


class StalledError(DumpError):
    """pg_dump has written nothing for too long."""


class ArchiveError(PostgresError):
    """Not a complete archive."""


class LoadError(PostgresError):
    """pg_restore failed."""


class ComparisonError(PostgresError):
    """The restored database differs from the backup."""


# Object stores


class StorageError(BackupsError):
    """The object store did not do what was asked."""


class BucketError(StorageError):
    """The bucket can't be used."""


class UploadError(StorageError):
    """The upload failed."""


class ObjectMissingError(StorageError):
    """The object is not in the store."""


class ObjectDeniedError(StorageError):
    """The store refuses this one object; the bucket can be used."""


class ObjectExistsError(StorageError):
    """There is an object with this key already; it was left as it is."""


class ChecksumError(StorageError):
    """The bytes are not the ones that were backed up."""


class ScratchError(StorageError):
    """The scratch folder can't be written."""


# Catalogue


class ManifestError(BackupsError):
    """The manifest can't be trusted."""


class UnknownSignatureError(ManifestError):
    """Nobody here can tell whether it can be trusted: another key signed it, or a newer version of this system wrote it."""


class BackupNotFoundError(BackupsError):
    """There is no such backup."""


class LostError(BackupNotFoundError):
    """A backup that the history knows is whole in no store any more."""


class HistoryError(BackupsError):
    """The history could not be read or written."""
