"""Carries the history over into a database that is about to take another one's place, and whose own history is older.

The history lives in the site's database. A restore of that database brings the history of the backup's time, so what was written
since is put in before the swap. Where the replaced database is gone, the manifests of the bucket tell.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import psycopg
from psycopg import sql

from backups import history
from backups.exceptions import HistoryError
from backups.models import Status
from backups.postgres import access_tables, incident_table
from backups.postgres.access_tables import AUDIT as AUDIT
from backups.postgres.access_tables import TOKENS as TOKENS
from backups.postgres.connect import Connection, connected, words_of
from backups.postgres.history_table import HistoryTable, Row, as_json, put_aside
from backups.postgres.incident_table import INCIDENTS as INCIDENTS
from backups.postgres.quiet import quiet
from backups.types import Manifest, Server

HISTORY = ("admin", "backup_history")
RESTORES = ("admin", "backup_restore")
_SHOWN = 5
_SETTINGS = "SET TIME ZONE 'UTC'; SET lock_timeout = '30s'"  # of one moment one text, so that rows can be compared by it


@dataclass(frozen=True, kw_only=True)
class Captured:
    """Rows put aside in files of JSON lines, one row a line. `problem` says in words why there are none, or not all.

    `unfinished` are the ids of runs that were pending or running there. `from_live` is False for rows made from manifests, which
    know less than the row that the run wrote itself, and nothing of `audit`, `tokens` and `incidents`.
    """

    history: Path
    restores: Path
    audit: Path
    tokens: Path
    incidents: Path
    unfinished: frozenset[str] = frozenset()
    from_live: bool = True
    problem: str = ""


def capture(live: Server, *, folder: Path) -> Captured:
    """Puts all rows of the history of a database aside, in files in `folder`. A row at a time is in memory, or a few.

    Raises ConnectError when the database can't be reached, and HistoryError when the folder can't be written. A history that is
    not there, or can't be read whole, is no error: `problem` tells.
    """
    found = _files(folder)
    unfinished: set[str] = set()
    problems: list[str] = []
    with connected(live, application_name="restore: history") as connection:
        connection.execute(_SETTINGS)
        # Restores first: each refers to a backup that was there before, and so will be among the backups read later.
        for table, path in ((RESTORES, found.restores), (HISTORY, found.history)):
            with _lines(path) as file:
                try:
                    unfinished |= put_aside(connection, table, file)
                except psycopg.DatabaseError as error:
                    if connection.closed:
                        raise
                    problems.append(f"{'.'.join(table)} of {live.database} could not be read whole: {words_of(error)}")
        for table, path in ((AUDIT, found.audit), (TOKENS, found.tokens), (INCIDENTS, found.incidents)):
            with _lines(path) as file:
                try:
                    access_tables.put_aside(connection, table, file)
                except psycopg.DatabaseError as error:
                    if connection.closed:
                        raise
                    problems.append(f"{'.'.join(table)} of {live.database} could not be read whole: {words_of(error)}")
    return replace(found, unfinished=frozenset(unfinished), problem="\n".join(problems))


def _files(folder: Path) -> Captured:
    names = ("history", "restores", "audit", "tokens", "incidents")
    history, restores, audit, tokens, incidents = (folder / f"{name}.jsonl" for name in names)
    return Captured(history=history, restores=restores, audit=audit, tokens=tokens, incidents=incidents)


def from_manifests(manifests: Iterable[Manifest], *, folder: Path) -> Captured:
    """Rows of the history as the manifests tell them, where the database that had them is gone. Raises as `capture` does."""
    found = replace(_files(folder), from_live=False)
    for empty in (found.restores, found.audit, found.tokens, found.incidents):
        with _lines(empty):
            pass
    with _lines(found.history) as file:
        for manifest in manifests:
            file.write(as_json(row_of(manifest)) + "\n")
    return found


def row_of(manifest: Manifest) -> dict[str, Any]:
    """The row of the history that a manifest tells, by column. Who made it is a name of a user in another database: none."""
    return {
        "id": manifest.id,
        "filename": manifest.filename,
        "description": manifest.description,
        "backup_type": manifest.backup_type,
        "environment": manifest.environment,
        "database": manifest.database,
        "system_identifier": manifest.snapshot.system_identifier,
        "status": Status.SUCCEEDED.value,
        "error_message": "",
        "created_at": manifest.started_at,
        "started_at": manifest.started_at,
        "finished_at": manifest.finished_at,
        "duration_seconds": manifest.duration_seconds,
        "bucket": manifest.bucket,
        "s3_key": manifest.key if manifest.bucket else "",
        "upload_id": "",
        "triggered_by_id": None,
        **history.fields_of(manifest),
    }


def apply(
    staged: Server, captured: Captured | None, *, own: Row | None, restored: Manifest | None, in_use: bool = False
) -> list[str]:
    """Puts the captured rows into the history of `staged`, in one transaction; returns in words what was done and what not.

    `own` is the running restore's row in the state it will reach, `restored` the manifest of the backup in `staged`. Then nothing
    there is pending or running but what `captured` has so: the restored backup's own row, which runs in its own dump, becomes the
    success that its manifest proves, and others become failures. With `in_use` the database is in its place already and new runs
    may be at work in it, so no run is declared lost.

    Columns that one side lacks are no obstacle. A row never goes back from an end to running. One that can't be put in is told,
    and stays out; it never stops a restore. Raises PostgresError and ConnectError; then nothing has changed.
    """
    told = [captured.problem] if captured and captured.problem else []
    with connected(staged, application_name="restore: history") as connection:
        connection.execute(_SETTINGS)
        with connection.transaction(), quiet(connection, only=[HISTORY, RESTORES, AUDIT, TOKENS, INCIDENTS]):
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            told += _Carrying(connection).run(captured, own, restored, in_use=in_use)
            if captured is not None:
                with captured.audit.open(encoding="utf-8") as audit, captured.tokens.open(encoding="utf-8") as tokens:
                    told += access_tables.carry(connection, audit=audit, tokens=tokens, in_use=in_use)
                with captured.incidents.open(encoding="utf-8") as incidents:
                    told += incident_table.carry(connection, incidents)
            return told


@dataclass
class _Carrying:
    """One transaction's work, and what will be told of it."""

    connection: Connection
    carried: int = 0
    refused: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @cached_property
    def history(self) -> HistoryTable:
        return HistoryTable(self.connection, HISTORY)

    @cached_property
    def restores(self) -> HistoryTable:
        return HistoryTable(self.connection, RESTORES)

    @cached_property
    def filenames(self) -> dict[str, str]:
        """Filename -> id."""
        query = sql.SQL("SELECT filename, id::text FROM ONLY {}").format(self.history.name)
        return dict(self.connection.execute(query).fetchall())

    def run(self, captured: Captured | None, own: Row | None, restored: Manifest | None, *, in_use: bool) -> list[str]:
        if captured is not None:
            self._carry_backups(captured, displacing=captured.from_live and not in_use)
            self._carry_restores(captured)
        if own is not None and self.restores.exists:
            self._try(self.restores, self._with_backup(own))
        if restored is not None and str(restored.id) in self.history.digests:
            self._try(self.history, row_of(restored), proven=True)
        if not in_use:
            self._settle(captured.unfinished if captured else frozenset(), restored)
        if captured is None and own is None:  # the history is elsewhere: nothing was to be carried
            return self.told
        return self._missing() + self._summary() + self.told

    def _carry_backups(self, captured: Captured, *, displacing: bool) -> None:
        if not self.history.exists:
            return
        for row in self._changed(self.history, captured.history):
            filename, other = row["filename"], self.filenames.get(row["filename"])
            if other not in (None, row["id"]) and not displacing:
                self.told.append(f"{filename}: {row['id']} is not in the history, because {other} has its name there.")
                continue
            written = self._try(self.history, row, proven=not captured.from_live, instead_of=other)
            self.carried += written
            if row["id"] in self.history.digests:
                self.filenames[filename] = row["id"]

    def _carry_restores(self, captured: Captured) -> None:
        if self.restores.exists:
            for row in self._changed(self.restores, captured.restores):
                self.carried += self._try(self.restores, self._with_backup(row))

    def _changed(self, table: HistoryTable, path: Path) -> Iterator[dict[str, Any]]:
        """The captured rows that the table does not have just so."""
        known = frozenset(table.digests.values())
        with path.open(encoding="utf-8") as file:
            for line in file:
                text = line.rstrip("\n")
                if hashlib.sha256(text.encode()).hexdigest() not in known:
                    yield json.loads(text)

    def _try(self, table: HistoryTable, row: Row, *, proven: bool = False, instead_of: str | None = None) -> bool:
        """Puts a row in, or remembers why it could not be."""
        try:
            with self.connection.transaction():
                if instead_of is None or instead_of == str(row["id"]):
                    return table.put(row, proven=proven)
                return self._displace(instead_of, row)
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
            self.refused.append(f"{row.get('filename') or row['id']}: {words_of(error)}")
        return False

    def _displace(self, other: str, row: Row) -> bool:
        """Two backups of one name: of two environments, made in the same minute. The history that is in force keeps its own.

        The other is in the restored dump, in the history that it came from, and in the bucket under its environment.
        """
        name = self.history.name
        self.connection.execute(sql.SQL("UPDATE ONLY {} SET filename = id::text WHERE id = %s").format(name), [other])
        self.history.put(row)
        if "backup_id" in self.restores.columns:
            self.connection.execute(
                sql.SQL("UPDATE ONLY {} SET backup_id = NULL WHERE backup_id = %s").format(self.restores.name), [other]
            )
        self.connection.execute(sql.SQL("DELETE FROM ONLY {} WHERE id = %s").format(name), [other])
        self.history.digests.pop(other, None)
        self.told.append(f"{row['filename']}: row {other} of the restored history gave way to {row['id']} of the present one.")
        return True

    def _with_backup(self, row: Row) -> Row:
        """The row of a restore; without its backup where the history has no such row."""
        known = row.get("backup_id") is None or str(row["backup_id"]) in self.history.digests
        return row if known else {**row, "backup_id": None}

    def _settle(self, unfinished: frozenset[str], restored: Manifest | None) -> None:
        alive = unfinished - ({str(restored.id)} if restored else set())
        lost = sum(table.fail_unfinished(but=alive) for table in (self.history, self.restores) if table.exists)
        if lost:
            self.told.append(f"{lost} {_runs(lost)} under way when the backup was made; marked as failed.")

    def _missing(self) -> list[str]:
        if self.history.exists and self.restores.exists:
            return []
        return [
            "The restored database is older than the history: it has no table for it, so nothing was carried over. Make it with:"
            " ./icb manage migrate. The rows stay in the database that was replaced; the backups are in the bucket."
        ]

    def _summary(self) -> list[str]:
        said = []
        if self.carried:
            said.append(f"{self.carried} {_rows(self.carried)} of the history written since the backup: carried over.")
        if self.refused:
            said.append(
                f"{len(self.refused)} {_rows(len(self.refused))} of the history could not be carried over:\n"
                + "\n".join(self.refused[:_SHOWN])
                + ("\n…" if len(self.refused) > _SHOWN else "")
            )
        return said


@contextmanager
def _lines(path: Path) -> Iterator[TextIO]:
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
    except OSError as error:
        raise HistoryError(
            "The history could not be put aside in the scratch folder.",
            detail=str(error),
            hint="Give the scratch folder room: BACKUPS_SCRATCH_FOLDER.",
        ) from error


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"


def _runs(count: int) -> str:
    return "run was" if count == 1 else "runs were"
