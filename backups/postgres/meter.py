"""How far a dump or a load is.

Of a dump, tables that are through count whole, the current one by what its COPY has processed; of a load, the size of the
database that grows.
"""

import time
from contextlib import suppress

import psycopg

from backups.exceptions import BackupsError
from backups.postgres.archive import ArchiveReader, Entry
from backups.postgres.connect import Connection, connected
from backups.postgres.databases import maintenance
from backups.types import OnProgress, Progress, Server, TableProgress, TablesProgress

INTERVAL_SECONDS = 0.5
LARGEST = 8  # tables that are told of one by one


class DumpMeter:
    """Tells a listener about twice a second, in bytes of tables as they are on the server."""

    def __init__(
        self, tables: tuple[tuple[str, str, int], ...], *, session: Connection, run_id: str, on_progress: OnProgress
    ) -> None:
        self._bytes = {(schema, table): size for schema, table, size in tables}
        self._total = sum(self._bytes.values())
        self._largest = sorted(self._bytes, key=lambda name: (-self._bytes[name], name))[:LARGEST]
        self._session = session
        self._run_id = run_id
        self._on_progress = on_progress
        self._next = 0.0
        self._counted = 0  # of the archive's entries that are through
        self._done_bytes = 0
        self._done: dict[tuple[str, str], float | None] = {}  # seconds that each took, where that was seen
        self._current: Entry | None = None
        self._began: float | None = None  # the current one: when the archive came to it
        self._copied = 0

    def look(self, archive: ArchiveReader, *, stored_bytes: int) -> None:
        """Notes which table the archive is in, after each piece of it; tells the listener, if it is time."""
        now = time.monotonic()
        if archive.current is not self._current or len(archive.finished) > self._counted:
            self._note(archive, now)
        if now < self._next:
            return
        self._next = now + INTERVAL_SECONDS
        table = ""
        self._copied = 0
        if self._current is not None:
            self._copied = min(self._size(self._current), _copied_bytes(self._session, run_id=self._run_id))
            table = f"{self._current.schema}.{self._current.name}"
        self._on_progress(
            Progress(
                phase="dumping",
                done_bytes=self._done_bytes + self._copied,
                total_bytes=self._total,
                stored_bytes=stored_bytes,
                table=table,
                tables=self.tables(),
            )
        )

    def tables(self) -> TablesProgress:
        """How far they are, by what was noted last."""
        told = tuple(self._told(name) for name in self._largest)
        return TablesProgress(done=len(self._done), total=len(self._bytes), largest=told)

    def _note(self, archive: ArchiveReader, now: float) -> None:
        """Of several that went through in one piece, the first took the time."""
        for entry in archive.finished[self._counted :]:
            if (name := (entry.schema, entry.name)) in self._bytes:
                self._done_bytes += self._bytes[name]
                self._done[name] = None if self._began is None else now - self._began
            self._began = now
        if archive.current is not self._current:
            self._began = now
        self._counted, self._current = len(archive.finished), archive.current

    def _told(self, name: tuple[str, str]) -> TableProgress:
        size, done, seconds, state = self._bytes[name], 0, None, "waits"
        if name in self._done:
            done, seconds, state = size, self._done[name], "done"
        elif self._current is not None and self._began is not None and name == (self._current.schema, self._current.name):
            done, seconds, state = self._copied, time.monotonic() - self._began, "now"
        told = None if seconds is None else round(seconds, 1)
        return TableProgress(name=".".join(name), state=state, bytes=size, done_bytes=done, seconds=told)

    def _size(self, entry: Entry) -> int:
        return self._bytes.get((entry.schema, entry.name), 0)


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
