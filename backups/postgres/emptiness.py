"""Whether there is anything in a database that could be lost."""

import psycopg
from psycopg import sql

from backups.postgres.connect import Connection

_TABLES = """
    SELECT n.nspname, c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relpages DESC
"""


def has_rows(connection: Connection, *, but_for: str) -> bool:
    """Whether a table has a row; not those that belong to an extension, nor one called `but_for`.

    A table that may not be read has one, as far as anybody can tell. Raises PostgresError.
    """
    for schema, table in connection.execute(_TABLES).fetchall():
        if table != but_for and _has_row(connection, schema, table):
            return True
    return False


def _has_row(connection: Connection, schema: str, table: str) -> bool:
    query = sql.SQL("SELECT FROM ONLY {} LIMIT 1").format(sql.Identifier(schema, table))
    try:
        return connection.execute(query).rowcount > 0
    except psycopg.errors.InsufficientPrivilege:
        return True
