"""Which backups are being read now, by a restore or a verification."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import Error as DatabaseError

from backups import catalog, conf, history
from backups.exceptions import BackupsError, ChecksumError, ObjectMissingError, StorageError
from backups.models import BackupRestore, Status
from backups.postgres import databases
from backups.postgres.connect import connected
from backups.postgres.place import address, place_of
from backups.storage import keys


@dataclass(frozen=True)
class InUse:
    """Backups that are read, by id and, where the history has no row of them, by filename."""

    ids: frozenset[UUID]
    filenames: frozenset[str]

    def has(self, *, id: UUID, filename: str) -> bool:
        """Whether that one is."""
        return id in self.ids or filename in self.filenames


def in_use() -> InUse:
    """By the rows of restores that have not ended. One whose process is dead reads nothing: that can be told of restores to the
    server of the history, which has a session of each. Of another server's it can't, and they count until they are settled.

    A queued one may ask for the latest, or for what begins so: it holds what that is now.

    Raises HistoryError, ConnectError, PostgresError, and StorageError where it can't be known what somebody waits for.
    """
    try:
        rows = list(BackupRestore.objects.filter(status__in=(Status.PENDING, Status.RUNNING)))
    except DatabaseError as error:
        raise history.unreachable(error) from error
    alive = list(_alive(rows))  # asked after the rows were read: a restore has its session before it has its row
    return InUse(
        ids=frozenset(row.backup_id for row in alive if row.backup_id),
        filenames=frozenset(_filename(row) for row in alive),
    )


def _filename(row: BackupRestore) -> str:
    """What the row asks for, "" where that is nothing there is: then the restore will fail, and nothing need wait for it."""
    name = keys.split(row.source_key)[1]
    if row.backup_id is not None or not row.request or keys.is_filename(name):
        return name
    try:
        server = conf.server(row.request["database"])
        environment = row.request["environment"] or row.target_environment
        return keys.filename_of(
            catalog.copies(row.source_key, environment=environment, database=server.database, server=server).key
        )
    except StorageError as error:
        if isinstance(error, ChecksumError | ObjectMissingError):
            return ""
        raise
    except BackupsError:
        return ""


def _alive(rows: Iterable[BackupRestore]) -> Iterable[BackupRestore]:
    if not rows:
        return
    server = history.server()
    with connected(server, application_name="prune: restores") as connection:
        here, sessions = place_of(connection, server), databases.restores_alive(connection)
    for row in rows:
        place = address(host=row.target_host, port=row.target_port)
        is_here = here.is_place_of(address=place, system_identifier=row.target_system_identifier)
        is_queued = row.status == Status.PENDING and row.started_at is None
        if str(row.id) in sessions or not is_here or is_queued:
            yield row
