"""What a restore writes into a database's comment, so that it is known for what it is without any history.

A comment belongs to the database and not to its name, is written in the transaction of the renames, and stays when the history is
lost. https://www.postgresql.org/docs/current/sql-comment.html
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from psycopg import sql

from backups.postgres.connect import Connection, connected
from backups.postgres.databases import MAX_NAME_BYTES, maintenance
from backups.types import Server

APPLICATION = "restore: marks"
_PREFIX = '{"icb"'
_PLACED = ("kept", "undone", "restored")  # a database has one of these only after a swap was committed
_DATABASES = """
    SELECT d.oid::bigint, d.datname, pg_get_userbyid(d.datdba), pg_has_role(d.datdba, 'USAGE'), s.description
    FROM pg_database d LEFT JOIN pg_shdescription s ON s.objoid = d.oid AND s.classoid = 'pg_database'::regclass
"""
_BYTES = """
    SELECT d.oid::bigint, pg_database_size(d.oid) FROM pg_database d WHERE d.oid = ANY(%s::bigint[]::oid[])
      AND (has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE'))
"""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A comment of ours on `database`: a database that has been renamed since is somebody's, and not ours to drop.

    Of one that was replaced, `replaced` is the name and `comment` the comment that it had.
    """

    icb: Literal["kept", "undone", "restored", "staging"]
    database: str
    restore: str
    at: datetime
    replaced: str = ""
    comment: str | None = None

    def text(self) -> str:
        """As it stands in the comment: JSON in ASCII, which is the same in every encoding."""
        fields: dict[str, str | None] = {"icb": self.icb}
        if self.replaced:
            fields |= {"replaced": self.replaced, "comment": self.comment}
        fields |= {"restore": self.restore, "at": self.at.isoformat(), "database": self.database}
        return json.dumps(fields)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A database of the server. `is_ours` says whether our role has the rights of its owner."""

    oid: int
    name: str
    owner: str
    is_ours: bool
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A database that was replaced: by a restore ("before"), or by the way back from one ("undone").

    `size_bytes` is None where our role may not see it.
    """

    kind: Literal["before", "undone"]
    database: str
    replaced: str
    restore_id: str
    kept_at: datetime
    size_bytes: int | None
    oid: int


def read(comment: str | None) -> Mark | None:
    """The mark in a comment; None for a comment of somebody else's, or one that is not whole."""
    if comment is None or not comment.startswith(_PREFIX):
        return None
    try:
        return _mark(json.loads(comment))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _mark(fields: dict[str, Any]) -> Mark | None:
    texts = (fields["database"], fields["restore"], fields.get("replaced", ""), fields.get("comment") or "")
    at = datetime.fromisoformat(fields["at"])
    if not all(isinstance(text, str) and "\0" not in text for text in texts) or at.tzinfo is None:
        return None
    for text in texts:
        text.encode()  # half of a surrogate pair is JSON, and no text for PostgreSQL
    database, restore, replaced, _comment = texts
    if fields["icb"] in ("restored", "staging") and restore:
        return Mark(icb=fields["icb"], database=database, restore=restore, at=at)
    if fields["icb"] in ("kept", "undone") and restore and 0 < len(replaced.encode()) <= MAX_NAME_BYTES:
        comment = fields.get("comment")
        return Mark(icb=fields["icb"], database=database, restore=restore, at=at, replaced=replaced, comment=comment)
    return None


def found(connection: Connection, names: Collection[str]) -> dict[str, Found]:
    """Those of the databases that are there."""
    rows = connection.execute(_DATABASES + " WHERE d.datname = ANY(%s)", [list(names)])
    return {
        name: Found(oid=oid, name=name, owner=owner, is_ours=is_ours, comment=comment)
        for oid, name, owner, is_ours, comment in rows
    }


def kept_copies(server: Server) -> tuple[Kept, ...]:
    """Databases that were replaced and are still there, newest first. Raises ConnectError, PostgresError."""
    with connected(maintenance(server), application_name=APPLICATION) as connection:
        marked = [(oid, mark) for oid, name, mark in _marked(connection) if is_kept(mark, name)]
        sizes = dict(connection.execute(_BYTES, [[oid for oid, _mark in marked]]).fetchall())
    copies = [
        Kept(
            kind="before" if mark.icb == "kept" else "undone",
            database=mark.database,
            replaced=mark.replaced,
            restore_id=mark.restore,
            kept_at=mark.at,
            size_bytes=sizes.get(oid),
            oid=oid,
        )
        for oid, mark in marked
    ]
    return tuple(sorted(copies, key=lambda kept: (kept.kept_at, kept.oid), reverse=True))


def is_kept(mark: Mark, name: str) -> bool:
    """Whether the database of that name, with that mark, is a copy that was kept."""
    return mark.icb in ("kept", "undone") and mark.database == name


def was_swapped_in(server: Server, *, run_id: str) -> bool:
    """Whether the restore `run_id` had put its database in place, however it ended afterwards.

    As long as nobody has dropped the database that it replaced. Raises ConnectError, PostgresError.
    """
    with connected(maintenance(server), application_name=APPLICATION) as connection:
        every = [mark for _oid, _name, mark in _marked(connection)]
    every += [inner for mark in every if (inner := read(mark.comment)) is not None]
    return any(mark.icb in _PLACED and mark.restore == run_id for mark in every)


def mark_staging(server: Server, *, run_id: str) -> None:
    """Marks the database as one that the restore `run_id` has made and not put in place yet."""
    mark = Mark(icb="staging", database=server.database, restore=run_id, at=datetime.now(UTC))
    with connected(maintenance(server), application_name=APPLICATION) as connection:
        connection.execute(comment_on(server.database, mark.text()))


def stagings(server: Server) -> tuple[tuple[str, str], ...]:
    """(database, id of the restore) of everything that is marked as not put in place yet. Raises ConnectError, PostgresError."""
    with connected(maintenance(server), application_name=APPLICATION) as connection:
        marked = _marked(connection)
    return tuple((name, mark.restore) for _oid, name, mark in marked if mark.icb == "staging" and mark.database == name)


def comment_on(database: str, comment: str | None) -> sql.Composed:
    """The statement that gives a database its comment."""
    return sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), sql.Literal(comment))


def _marked(connection: Connection) -> list[tuple[int, str, Mark]]:
    rows = connection.execute(_DATABASES + " WHERE starts_with(s.description, %s)", [_PREFIX])
    return [(oid, name, mark) for oid, name, _owner, _is_ours, comment in rows if (mark := read(comment)) is not None]
