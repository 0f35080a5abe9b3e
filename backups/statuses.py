"""What HTTP says of each error, on a page as in the API: its status, and the word by which a program knows it."""

from backups import exceptions
from backups.exceptions import BackupsError

# The first that an error is one of. 409 is what would lose data, and what something else is in the way of, now; from 500 on, what
# is needed did not do its part.
_ANSWERS: tuple[tuple[type[BackupsError], int, str], ...] = (
    (exceptions.UsageError, 400, "usage"),
    (exceptions.RunningError, 409, "running"),
    (exceptions.InTheWayError, 409, "running"),
    (exceptions.KeyReusedError, 422, "key-reused"),
    (exceptions.NoWorkerError, 503, "no-worker"),
    (exceptions.TargetNotAllowedError, 403, "target-not-allowed"),
    (exceptions.NoRoomError, 429, "no-room"),
    (exceptions.RefusedError, 409, "refused"),
    (exceptions.BackupNotFoundError, 404, "not-found"),
    (exceptions.ObjectMissingError, 404, "object-missing"),
    (exceptions.ObjectDeniedError, 409, "object-denied"),
    (exceptions.ChecksumError, 409, "damaged"),
    (exceptions.ManifestError, 409, "untrusted"),
    (exceptions.UnableError, 409, "unable"),
    (exceptions.CancelledError, 409, "cancelled"),
    (exceptions.ObjectExistsError, 409, "refused"),
    (exceptions.ScratchError, 503, "scratch"),
    (exceptions.StorageError, 502, "storage"),
    (exceptions.ConnectError, 503, "database"),
    (exceptions.LockTimeoutError, 409, "locked"),
    (exceptions.PostgresError, 502, "database"),
    (exceptions.HistoryError, 503, "history"),
    (exceptions.ConfigurationError, 503, "configuration"),
    (exceptions.BackupsError, 500, "error"),
)
KINDS = frozenset(kind for _class, _status, kind in _ANSWERS)


def status_of(error: BackupsError) -> int:
    """The status of the answer."""
    return _answer(error)[0]


def kind_of(error: BackupsError) -> str:
    """The end of the `type` in application/problem+json. It does not change: docs/api.md."""
    return _answer(error)[1]


def _answer(error: BackupsError) -> tuple[int, str]:
    return next((status, kind) for class_, status, kind in _ANSWERS if isinstance(error, class_))
