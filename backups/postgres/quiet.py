"""Writing into a database that was just loaded, without running what its users have hung onto their tables.

Triggers and rules come with a dump, and would run with the rights of whoever restores, often a superuser's. So they are switched
off for the length of one transaction, each by its name. session_replication_role would not do: it leaves ENABLE ALWAYS ones on,
switches foreign keys off, and wants a superuser.
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-DISABLE-ENABLE-TRIGGER
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import LiteralString

from psycopg import sql

from backups.postgres.connect import Connection

# Whatever may fire on a table: its own triggers (foreign keys are internal ones) and its rules. Those of an extension's tables
# are the extension's code, not the users'.
_FIRING = """
    SELECT kind, r.oid, r.enabled FROM (
        SELECT 'TRIGGER' AS kind, oid, tgrelid AS relation, tgenabled AS enabled FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT 'RULE', oid, ev_class, ev_enabled FROM pg_rewrite WHERE ev_type <> '1'
    ) r JOIN pg_class c ON c.oid = r.relation JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE r.enabled <> 'D' AND c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      AND (%(schemas)s::name[] IS NULL
           OR EXISTS (SELECT FROM unnest(%(schemas)s::name[], %(tables)s::name[]) AS o (s, t) WHERE (s, t) = (nspname, relname)))
"""
# By oid, because what is done in between may rename or drop a table.
_NAMES = """
    SELECT n.nspname, c.relname, r.name FROM (
        SELECT 'TRIGGER' AS kind, oid, tgrelid AS relation, tgname AS name FROM pg_trigger
        UNION ALL SELECT 'RULE', oid, ev_class, rulename FROM pg_rewrite
    ) r JOIN pg_class c ON c.oid = r.relation JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE r.kind = %s AND r.oid = %s
"""
_ENABLE: dict[str, LiteralString] = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}
_KINDS: dict[str, LiteralString] = {"TRIGGER": "TRIGGER", "RULE": "RULE"}


@contextmanager
def quiet(connection: Connection, *, only: Sequence[tuple[str, str]] | None = None) -> Iterator[None]:
    """Within the caller's transaction no trigger or rule of a user fires; foreign keys hold. Afterwards each is as it was.

    `only` names the tables (schema, table); None means all. The role must own them. Where it ends in an error, the caller's
    transaction is rolled back, and with it what was switched off.
    """
    names: dict[str, list[str] | None] = {"schemas": None, "tables": None}
    if only is not None:
        names = {"schemas": [schema for schema, _table in only], "tables": [table for _schema, table in only]}
    firing = connection.execute(_FIRING, names).fetchall()
    for kind, oid, _enabled in firing:
        _alter(connection, "DISABLE", kind, oid)
    yield
    if firing:
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with pending events can't be altered
    for kind, oid, enabled in firing:
        _alter(connection, _ENABLE[enabled], kind, oid)


def _alter(connection: Connection, verb: LiteralString, kind: str, oid: int) -> None:
    found = connection.execute(_NAMES, [kind, oid]).fetchone()
    if found is None:
        return
    schema, table, name = found
    connection.execute(
        sql.SQL("ALTER TABLE ONLY {} {} {} {}").format(
            sql.Identifier(schema, table), sql.SQL(verb), sql.SQL(_KINDS[kind]), sql.Identifier(name)
        )
    )
