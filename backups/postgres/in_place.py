"""What a live database has that matters when a backup takes the place of its contents.

pg_restore --clean drops what is in the archive, and nothing else: https://www.postgresql.org/docs/current/app-pgrestore.html
"""

from collections.abc import Collection

from backups.postgres.connect import connected
from backups.types import Server

# Foreign keys of partitions go with that of their table.
_FOREIGN_KEYS = """
    SELECT format('ALTER TABLE %%I.%%I DROP CONSTRAINT %%I', n.nspname, c.relname, k.conname)
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace m ON m.oid = r.relnamespace
    WHERE k.contype = 'f' AND k.conparentid = 0
      AND m.nspname || '.' || r.relname = ANY(%(relations)s)
      AND n.nspname || '.' || c.relname || ' ' || k.conname <> ALL(%(foreign_keys)s)
    ORDER BY 1
"""
_VIEWS = """
    SELECT DISTINCT format(CASE v.relkind WHEN 'm' THEN 'DROP MATERIALIZED VIEW %%I.%%I' ELSE 'DROP VIEW %%I.%%I' END,
                           n.nspname, v.relname)
    FROM pg_depend d
    JOIN pg_rewrite w ON w.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_class v ON v.oid = w.ev_class JOIN pg_namespace n ON n.oid = v.relnamespace
    JOIN pg_class r ON r.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass JOIN pg_namespace m ON m.oid = r.relnamespace
    WHERE v.relkind IN ('v', 'm') AND v.oid <> r.oid
      AND m.nspname || '.' || r.relname = ANY(%(relations)s)
      AND n.nspname || '.' || v.relname <> ALL(%(relations)s)
    ORDER BY 1
"""
_HOLDING_ROWS = """
    SELECT c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'S') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
"""
_END_BLOCKERS = """
    SELECT count(pg_terminate_backend(b.pid))
    FROM (SELECT DISTINCT unnest(pg_blocking_pids(a.pid)) AS pid FROM pg_stat_activity a WHERE a.application_name = %s) waited_for
    JOIN pg_stat_activity b ON b.pid = waited_for.pid JOIN pg_roles me ON me.rolname = current_user
    LEFT JOIN pg_roles owner ON owner.oid = b.usesysid
    WHERE b.datname = current_database() AND b.application_name <> %s AND b.usesysid IS NOT NULL
      AND (me.rolsuper OR NOT owner.rolsuper AND (pg_has_role(owner.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')))
"""


def containers(server: Server) -> frozenset[tuple[str, str]]:
    """Schemas and extensions, by kind and name as an archive has them: what is newer may be in them or use them, so they stay."""
    query = "SELECT 'SCHEMA', nspname::text FROM pg_namespace UNION ALL SELECT 'EXTENSION', extname::text FROM pg_extension"
    with connected(server, application_name="restore: plan") as connection:
        return frozenset((str(kind), str(name)) for kind, name in connection.execute(query))


def generation(server: Server) -> frozenset[int]:
    """The oids of everything that holds rows: other ones after a restore in place, the same where it was rolled back.

    A restore whose session is not gone yet may still be committing: `end_sessions_of` comes before.
    """
    with connected(server, application_name="restore: plan") as connection:
        return frozenset(oid for (oid,) in connection.execute(_HOLDING_ROWS))


def end_blockers(server: Server, *, run_id: str) -> None:
    """Ends the sessions that hold a lock for which the restore waits. Who may not be ended stays."""
    with connected(server, application_name=f"restore:{run_id}") as connection:
        connection.execute(_END_BLOCKERS, [f"restore:{run_id}"] * 2)


def in_the_way(server: Server, *, relations: Collection[str], foreign_keys: Collection[str]) -> tuple[str, ...]:
    """Statements that would take foreign keys and views out of the way of a backup with those `relations` (schema.name: tables,
    views) and `foreign_keys` (schema.table name). Raises ConnectError, PostgresError.
    """
    known = {"relations": list(relations), "foreign_keys": list(foreign_keys)}
    with connected(server, application_name="restore: plan") as connection:
        found = [*connection.execute(_FOREIGN_KEYS, known), *connection.execute(_VIEWS, known)]
    return tuple(statement for (statement,) in found)
