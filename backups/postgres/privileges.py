"""What the role can't read, before the dump: a backup with fewer rows than the database must never succeed.

https://www.postgresql.org/docs/current/ddl-rowsecurity.html, https://www.postgresql.org/docs/current/ddl-priv.html
"""

import re

from psycopg import sql

from backups.exceptions import UnreadableError
from backups.postgres.connect import Connection

SHOWN = 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Of what belongs to an extension, pg_dump dumps only the rows of the tables that the extension names.
# Row-level security hides rows from everyone but superusers, roles with BYPASSRLS, and (unless forced) the table's owner.
_ROW_SECURITY = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_roles me
    WHERE me.rolname = current_user AND NOT me.rolsuper AND NOT me.rolbypassrls AND c.relkind IN ('r', 'p') AND c.relrowsecurity
      AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE'))
      AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND (c.oid IN (SELECT unnest(extconfig) FROM pg_extension) OR NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
    ORDER BY 1, 2
"""
_UNREADABLE = """
    SELECT n.nspname, c.relname, c.relkind = 'S' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S') AND NOT has_table_privilege(c.oid, 'SELECT')
      AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND (c.oid IN (SELECT unnest(extconfig) FROM pg_extension) OR NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
    ORDER BY 1, 2
"""
_CLOSED_SCHEMAS = """
    SELECT n.nspname FROM pg_namespace n
    WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND NOT has_schema_privilege(n.oid, 'USAGE')
    ORDER BY 1
"""
# has_largeobject_privilege came with PostgreSQL 18, so the ACL is read here.
_LARGE_OBJECTS = """
    SELECT l.oid FROM pg_largeobject_metadata l
    WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
      AND NOT pg_has_role(l.lomowner, 'USAGE') AND NOT EXISTS (
        SELECT FROM aclexplode(l.lomacl) acl
        WHERE acl.privilege_type = 'SELECT' AND (acl.grantee = 0 OR pg_has_role(acl.grantee, 'USAGE')))
    ORDER BY 1 LIMIT 1000
"""


def require_everything_readable(connection: Connection) -> None:
    """Raises UnreadableError that names each object the role can't read whole, with the GRANT that would mend it."""
    (role,) = connection.execute("SELECT current_user").fetchone() or ("",)
    lines = _missing_grants(connection, role=role)
    if not lines:
        return
    every = f"GRANT pg_read_all_data TO {_quoted(role)}; opens every schema, table and sequence at once"
    more = [f"-- and {len(lines) - SHOWN} more. {every}"] if len(lines) > SHOWN else []
    raise UnreadableError(
        f"The role {role} can't read everything in this database, so the backup would not be whole. Nothing was backed up.",
        detail="\n".join(lines[:SHOWN] + more),
        hint="Let a superuser run the statements above, then make the backup again.",
    )


def _missing_grants(connection: Connection, *, role: str) -> list[str]:
    grantee = _quoted(role)
    lines = [f"GRANT USAGE ON SCHEMA {_quoted(schema)} TO {grantee};" for (schema,) in connection.execute(_CLOSED_SCHEMAS)]
    for schema, name, is_sequence in connection.execute(_UNREADABLE):
        kind = "SEQUENCE " if is_sequence else ""
        lines.append(f"GRANT SELECT ON {kind}{_quoted(schema)}.{_quoted(name)} TO {grantee};")
    lines += [f"GRANT SELECT ON LARGE OBJECT {int(oid)} TO {grantee};" for (oid,) in connection.execute(_LARGE_OBJECTS)]
    hidden = [f"{_quoted(schema)}.{_quoted(table)}" for schema, table in connection.execute(_ROW_SECURITY)]
    if hidden:
        lines.append(f"ALTER ROLE {grantee} BYPASSRLS; -- row-level security hides rows of {', '.join(hidden[:SHOWN])}")
    return lines


def _quoted(name: str) -> str:
    """A name for SQL that stays in its line, whatever is in it: somebody is going to paste the statement as a superuser.

    https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS-UESCAPE
    """
    if not _CONTROL.search(name):
        return sql.Identifier(name).as_string()
    escaped = name.replace("\\", "\\\\").replace('"', '""')
    return 'U&"' + _CONTROL.sub(lambda found: f"\\{ord(found[0]):04x}", escaped) + '"'
