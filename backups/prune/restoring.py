"""Which backups are being read now, by a restore or a verification."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import Error as DatabaseError

from backups import history
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

    Raises HistoryError, ConnectError, PostgresError.
    """
    try:
        rows = list(BackupRestore.objects.filter(status__in=(Status.PENDING, Status.RUNNING)))
    except DatabaseError as error:
        raise history.unreachable(error) from error
    alive = list(_alive(rows))  # asked after the rows were read: a restore has its session before it has its row
    return InUse(
        ids=frozenset(row.backup_id for row in alive if row.backup_id),
        filenames=frozenset(keys.split(row.source_key)[1] for row in alive),
    )


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
