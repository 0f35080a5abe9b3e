"""What of the audit and the tokens has to outlive a restore of their own database.

Every entry of the audit; and of tokens only that they were revoked. A token that was made since the backup stays behind: it is of
a user by a number, and in the restored database that number may be another user's.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TextIO

import psycopg
from psycopg import sql

from backups.postgres.connect import Connection, words_of
from backups.postgres.history_table import HistoryTable, as_json

AUDIT = ("admin", "backup_audit")
TOKENS = ("admin", "backup_token")
OF_THE_AUDIT = frozenset({("FUNCTION", "backup_audit_is_append_only()")})  # by kind and name as an archive has them
_AT_ONCE = 500
_TOKENS = "SELECT jsonb_build_object('digest', digest, 'revoked_at', revoked_at, 'is_valid', expiry > now())::text FROM ONLY {}"


def put_aside(connection: Connection, table: tuple[str, str], file: TextIO) -> None:
    """Writes every row of AUDIT or TOKENS as a line of JSON; none where there is no table, as before the migration that makes it.

    Raises psycopg.Error.
    """
    if not HistoryTable(connection, table).columns:
        return
    query = _TOKENS if table == TOKENS else "SELECT to_jsonb(t.*)::text FROM ONLY {} t"
    with connection.transaction(), connection.cursor(name="access") as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(sql.SQL(query).format(sql.Identifier(*table)))
        file.writelines(f"{line}\n" for (line,) in cursor)


def carry(connection: Connection, *, audit: TextIO, tokens: TextIO, in_use: bool) -> list[str]:
    """Adds the entries that the audit does not have, and revokes what was revoked; returns in words what was done.

    In the caller's transaction. What can't be added is told, and stays out. Raises psycopg.Error.
    """
    told = _add_entries(connection, _rows(audit))
    return told + revoke(connection, tokens, in_use=in_use)


def _add_entries(connection: Connection, entries: Iterator[dict[str, Any]]) -> list[str]:
    table = HistoryTable(connection, AUDIT)
    if "id" not in table.columns:
        return []
    known = {str(id_) for (id_,) in connection.execute(sql.SQL("SELECT id FROM ONLY {}").format(table.name))}
    missing = (entry for entry in entries if entry["id"] not in known)
    added, problems = 0, []
    while batch := list(islice(missing, _AT_ONCE)):
        try:
            with connection.transaction():
                added += _insert(connection, table, batch)
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
            problems.append(f"{len(batch)} entries of the audit could not be carried over: {words_of(error)}")
    return ([f"{added} {'entry' if added == 1 else 'entries'} of the audit: carried over."] if added else []) + problems


def _insert(connection: Connection, table: HistoryTable, batch: Sequence[dict[str, Any]]) -> int:
    """One statement; columns that only one side has are no obstacle."""
    given = [table.fitting(entry) for entry in batch]
    columns = sql.SQL(", ").join(map(sql.Identifier, given[0]))
    statement = sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %s::text::jsonb)"
        " ON CONFLICT (id) DO NOTHING"
    ).format(table=table.name, columns=columns)
    return connection.execute(statement, ["[" + ",".join(map(as_json, given)) + "]"]).rowcount


def revoke(connection: Connection, file: TextIO, *, in_use: bool = False) -> list[str]:
    """Revokes what was revoked where these tokens were put aside; returns in words what was done, and not `in_use` also what is
    not there any more. Raises psycopg.Error.
    """
    table = HistoryTable(connection, TOKENS)
    if not {"digest", "revoked_at"} <= set(table.columns):
        return []
    tokens = list(_rows(file))
    revoked = {token["digest"]: token["revoked_at"] for token in tokens if token["revoked_at"]}
    statement = sql.SQL(
        "UPDATE ONLY {} t SET revoked_at = r.at FROM unnest(%s::text[], %s::timestamptz[]) AS r (digest, at)"
        " WHERE t.digest = r.digest AND t.revoked_at IS NULL"
    ).format(table.name)
    done = connection.execute(statement, [list(revoked), list(revoked.values())]).rowcount
    told = (
        [f"{done} {'token' if done == 1 else 'tokens'} of the API revoked since the backup: revoked here, too."] if done else []
    )
    if in_use:
        return told
    known = {digest for (digest,) in connection.execute(sql.SQL("SELECT digest FROM ONLY {}").format(table.name))}
    lost = sum(token["digest"] not in known and token["is_valid"] and not token["revoked_at"] for token in tokens)
    if lost:
        told.append(
            f"{lost} {'token' if lost == 1 else 'tokens'} of the API made since the backup: not carried over, because"
            " the restored users may be others. Make them again: icb token create"
        )
    return told


def revoke_all(connection: Connection) -> list[str]:
    """Where other users have come under tokens that stayed. Raises psycopg.Error."""
    table = HistoryTable(connection, TOKENS)
    if "revoked_at" not in table.columns:
        return []
    done = connection.execute(
        sql.SQL("UPDATE ONLY {} SET revoked_at = now() WHERE revoked_at IS NULL").format(table.name)
    ).rowcount
    told = "the backup has no tokens, and its users may be others. Make them again: icb token create"
    return [f"{done} {'token' if done == 1 else 'tokens'} of the API revoked: {told}"] if done else []


def _rows(file: TextIO) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in file)
