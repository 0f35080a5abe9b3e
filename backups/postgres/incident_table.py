"""Incidents outlive a restore of their own database: what is open stays open, and what was told is not told again."""

import json
from typing import TextIO

import psycopg
from psycopg import sql

from backups.postgres.connect import Connection, words_of
from backups.postgres.history_table import HistoryTable

INCIDENTS = ("admin", "backup_incident")


def carry(connection: Connection, file: TextIO) -> list[str]:
    """Puts the rows, a line of JSON each, in the place of what the restored database says of them; returns in words what could
    not be. Of an incident that is open on both sides by different ids, the restored one goes: it is of the backup's time.

    In the caller's transaction. Nothing where there is no table. Raises psycopg.Error.
    """
    rows = [json.loads(line) for line in file]
    table = HistoryTable(connection, INCIDENTS)
    if not rows or not {"id", "environment", "key", "closed_at"} <= set(table.columns):
        return []
    stale = sql.SQL(
        "DELETE FROM ONLY {table} old USING jsonb_populate_recordset(NULL::{table}, %s::text::jsonb) new WHERE old.id = new.id"
        " OR (old.environment, old.key) = (new.environment, new.key) AND old.closed_at IS NULL AND new.closed_at IS NULL"
    )
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in rows[0] if name in table.columns)
    put = sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %s::text::jsonb)"
    )
    try:
        with connection.transaction():
            for statement in (stale, put):
                connection.execute(statement.format(table=table.name, columns=columns), [json.dumps(rows)])
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
        return [f"{len(rows)} incidents could not be carried over: {words_of(error)}"]
    return []
