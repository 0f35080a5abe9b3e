"""How far a dump or a load is.

Of a dump, tables that are through count whole, the current one by what its COPY has processed; of a load, the size of the
database that grows.
"""

import time
from contextlib import suppress

import psycopg

from backups.exceptions import BackupsError
from backups.postgres.archive import ArchiveReader
from backups.postgres.connect import Connection, connected
from backups.postgres.databases import maintenance
from backups.types import OnProgress, Progress, Server

INTERVAL_SECONDS = 0.5


class DumpMeter:
    """Tells a listener about twice a second, in bytes of tables as they are on the server."""

    def __init__(
        self, tables: tuple[tuple[str, str, int], ...], *, session: Connection, run_id: str, on_progress: OnProgress
    ) -> None:
        self._bytes = {(schema, table): size for schema, table, size in tables}
        self._total = sum(self._bytes.values())
        self._session = session
        self._run_id = run_id
        self._on_progress = on_progress
        self._next = 0.0
        self._counted = 0
        self._done_bytes = 0

    def look(self, archive: ArchiveReader, *, stored_bytes: int) -> None:
        """Tells the listener, if it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + INTERVAL_SECONDS
        for entry in archive.finished[self._counted :]:
            self._done_bytes += self._bytes.get((entry.schema, entry.name), 0)
        self._counted = len(archive.finished)
        done, table = self._done_bytes, ""
        if archive.current is not None:
            size = self._bytes.get((archive.current.schema, archive.current.name), 0)
            done += min(size, _copied_bytes(self._session, run_id=self._run_id))
            table = f"{archive.current.schema}.{archive.current.name}"
        self._on_progress(
            Progress(phase="dumping", done_bytes=done, total_bytes=self._total, stored_bytes=stored_bytes, table=table)
        )


class LoadMeter:
    """Tells a listener how large the database has become that is being loaded, of the size that the backed-up one had."""

    def __init__(self, server: Server, *, total_bytes: int, on_progress: OnProgress) -> None:
        self._server = server
        self._total = total_bytes
        self._on_progress = on_progress

    def look(self) -> None:
        """Tells the listener. A server that does not answer says nothing here: pg_restore tells."""
        with suppress(BackupsError), connected(maintenance(self._server), application_name="restore: how far") as connection:
            row = connection.execute("SELECT pg_database_size(%s)", [self._server.database]).fetchone()
            if row:
                done = min(int(row[0]), self._total)
                self._on_progress(Progress(phase="loading", done_bytes=done, total_bytes=self._total))


def _copied_bytes(connection: Connection, *, run_id: str) -> int:
    """Bytes that pg_dump's session has copied of the table it is at; 0 where the server does not say.

    https://www.postgresql.org/docs/current/progress-reporting.html#COPY-PROGRESS-REPORTING
    """
    query = (
        "SELECT p.bytes_processed FROM pg_stat_progress_copy p JOIN pg_stat_activity a USING (pid)"
        " WHERE a.application_name = %s AND p.bytes_processed IS NOT NULL LIMIT 1"
    )
    try:
        row = connection.execute(query, [f"backup:{run_id}"]).fetchone()
    except psycopg.Error:
        return 0
    return int(row[0]) if row else 0
