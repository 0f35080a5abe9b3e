"""The tables of the history in a database that was just loaded: rows get in whatever differs between the schemas."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from psycopg import sql

from backups.postgres.connect import Connection

UNFINISHED = ("pending", "running")

Row = Mapping[str, Any]  # column -> value


@dataclass(frozen=True)
class _Column:
    """A column that takes values. `blank` is what stands for nothing where it takes no NULL and has no default."""

    takes_null: bool
    has_default: bool
    category: str
    type: str

    def blank(self, row: Row) -> Any:
        if self.type in ("json", "jsonb"):
            return {}
        if self.type == "uuid":
            return row["id"]
        known = {"S": "", "N": 0, "B": False, "A": [], "T": "0", "D": str(row.get("created_at", "epoch"))}
        return known.get(self.category)


# What takes values: no generated columns, and no identities that insist on their own.
_COLUMNS = """
    SELECT a.attname, NOT (a.attnotnull OR t.typnotnull), a.atthasdef OR a.attidentity <> '', t.typcategory, t.typname
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE n.nspname = %s AND c.relname = %s AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attgenerated = '' AND a.attidentity <> 'a'
"""
# To SQL_ASCII means as it is, and never fails.
_DIGESTS = "SELECT t.id::text, encode(sha256(convert_to(to_jsonb(t.*)::text, 'SQL_ASCII')), 'hex') FROM ONLY {} t"
_FETCHED = 20  # a row may have 100 KB and more
_NEVER_TAKEN_BACK = frozenset({"deleted_at", "undone_at"})
_NOT_IN_MANIFEST = frozenset({"created_at", "triggered_by_id"})


class HistoryTable:
    """One of the tables, as it is: of an older or newer schema than the rows that it is given, or missing.

    `digests` has the SHA-256 of every row as JSON, by its id: what `to_jsonb(…)::text` gave elsewhere can be compared with it.
    """

    def __init__(self, connection: Connection, name: tuple[str, str]) -> None:
        self.connection = connection
        self.name = sql.Identifier(*name)
        found = connection.execute(_COLUMNS, name).fetchall()
        self.columns = {column: _Column(*facts) for column, *facts in found}
        self.exists = {"id", "status"} <= set(self.columns)  # as one of runs
        self.digests: dict[str, str] = {}
        if self.exists:
            self.digests = dict(connection.execute(sql.SQL(_DIGESTS).format(self.name)).fetchall())

    def put(self, row: Row, *, proven: bool = False) -> bool:
        """Inserts or updates a row; whether anything was written. A run that has ended never runs again.

        `proven` is a row made from a manifest: it gives an unfinished run its end, and leaves alone what knows more than it.
        """
        given = self.fitting(row)
        columns = [sql.Identifier(name) for name in given]
        updated = [name for name in given if name in row and not (proven and name in _NOT_IN_MANIFEST)]
        statement = sql.SQL(
            "INSERT INTO {table} AS old ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, %s::text::jsonb)"
            " ON CONFLICT (id) DO UPDATE SET {updates}"
            " WHERE (old.status = ANY (%s) OR NOT %s AND excluded.status <> ALL (%s)) AND ({before}) IS DISTINCT FROM ({after})"
        ).format(
            table=self.name,
            columns=sql.SQL(", ").join(columns),
            updates=sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(name), _new(name)) for name in updated),
            before=sql.SQL(", ").join(sql.Identifier("old", name) for name in updated),
            after=sql.SQL(", ").join(_new(name) for name in updated),
        )
        unfinished = list(UNFINISHED)
        with self.connection.transaction():
            written = self.connection.execute(statement, [as_json(given), unfinished, proven, unfinished]).rowcount > 0
        self.digests.setdefault(str(row["id"]), "")
        return written

    def fitting(self, row: Row) -> dict[str, Any]:
        """The row as this table can take it."""
        given = {}
        for name, column in self.columns.items():
            if row.get(name) is not None or (name in row and column.takes_null):
                given[name] = row[name]
            elif not column.takes_null and not column.has_default:
                given[name] = column.blank(row)
        return given

    def fail_unfinished(self, *, but: Iterable[str]) -> int:
        """Gives every run that is pending or running, but for these ids, its end. How long they ran nobody knows.

        Returns how many there were.
        """
        ends = {
            "status": sql.SQL("'failed'"),
            "error_message": sql.SQL(
                "'The worker was lost: its process ended without a word.' || E'\\nSeen at '"
                " || to_char(now(), 'YYYY-MM-DD HH24:MI') || ' UTC, after a restore of a backup that was made while it ran.'"
            ),
            "finished_at": sql.SQL("coalesce(finished_at, now())"),
        }
        updates = (sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in ends.items() if name in self.columns)
        return self.connection.execute(
            sql.SQL("UPDATE ONLY {} SET {} WHERE status = ANY (%s) AND id::text <> ALL (%s)").format(
                self.name, sql.SQL(", ").join(updates)
            ),
            [list(UNFINISHED), list(but)],
        ).rowcount


def put_aside(connection: Connection, table: tuple[str, str], file: TextIO) -> set[str]:
    """Writes every row as a line; returns the ids of those that are pending or running."""
    unfinished = set()
    with connection.transaction(), connection.cursor(name="history") as cursor:
        cursor.itersize = _FETCHED
        cursor.execute(
            sql.SQL("SELECT t.id::text, t.status::text, to_jsonb(t.*)::text FROM ONLY {} t").format(sql.Identifier(*table))
        )
        for id_, status, line in cursor:
            file.write(line + "\n")
            if status in UNFINISHED:
                unfinished.add(id_)
    return unfinished


def _new(name: str) -> sql.Composed:
    """The value that a column is updated with."""
    form = "coalesce(excluded.{0}, old.{0})" if name in _NEVER_TAKEN_BACK else "excluded.{0}"
    return sql.SQL(form).format(sql.Identifier(name))


def as_json(row: Row) -> str:
    """A row as PostgreSQL's jsonb takes it."""
    return json.dumps(row, default=str, ensure_ascii=False)
