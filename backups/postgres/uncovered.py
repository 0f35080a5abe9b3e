"""What a dump of a database leaves out, or can't bring back alone: asked with SELECTs, by whatever role there is.

https://www.postgresql.org/docs/current/app-pgdump.html. What our role may not see is told as hidden, in the server's words.
"""

from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from backups.exceptions import UnreadableError
from backups.postgres import marks
from backups.postgres.connect import Connection, connected, words_of
from backups.postgres.privileges import require_everything_readable
from backups.postgres.snapshot import system_identifier
from backups.types import Server

APPLICATION = "coverage"
_PATIENCE = "SET lock_timeout = '5s'; SET statement_timeout = '60s'"

# Of the server. Shared catalogues can be read from every database.
_SERVER = "SELECT current_setting('server_version'), pg_is_in_recovery(), rolsuper FROM pg_roles WHERE rolname = current_user"
_ROLES = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1"
_DATABASES = """
    SELECT d.oid::bigint, d.datname, s.description
    FROM pg_database d LEFT JOIN pg_shdescription s ON s.objoid = d.oid AND s.classoid = 'pg_database'::regclass
    WHERE d.datallowconn AND d.datname NOT IN ('template0', 'template1') ORDER BY d.datname
"""
_SIZE = """
    SELECT pg_database_size(d.oid) FROM pg_database d WHERE d.oid = %s::bigint::oid
      AND (has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE'))
"""
_SLOTS = "SELECT slot_name, slot_type, coalesce(database, '') FROM pg_replication_slots WHERE NOT temporary ORDER BY 1"
_CONFIGURATION = "SELECT setting FROM pg_settings WHERE name IN ('config_file', 'hba_file') ORDER BY 1"

# Of one database. What belongs to an extension comes back with it.
_RELATIONS = """
    SELECT CASE c.relkind WHEN 'r' THEN 'unlogged' WHEN 'm' THEN 'materialized' ELSE 'foreign' END,
           n.nspname || '.' || c.relname || coalesce(' on ' || s.srvname, '')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_foreign_table f ON f.ftrelid = c.oid LEFT JOIN pg_foreign_server s ON s.oid = f.ftserver
    WHERE (c.relkind = 'f' OR (c.relkind = 'r' AND c.relpersistence = 'u') OR (c.relkind = 'm' AND c.relispopulated))
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1, 2
"""
_TEMPORARY = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relpersistence = 't'"
# pg_dump dumps rows of such a table only where its extension names it: pg_extension_config_dump.
_OF_EXTENSIONS = """
    SELECT n.nspname || '.' || c.relname || ' of ' || e.extname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
      AND d.refclassid = 'pg_extension'::regclass
    JOIN pg_extension e ON e.oid = d.refobjid
    WHERE c.relkind = 'r' AND NOT coalesce(c.oid = ANY(e.extconfig), false) ORDER BY 1
"""
# has_largeobject_privilege came with PostgreSQL 18, so the ACL is read here.
_LARGE_OBJECTS = """
    SELECT count(*), count(*) FILTER (WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
      AND NOT pg_has_role(l.lomowner, 'USAGE') AND NOT EXISTS (
        SELECT FROM aclexplode(l.lomacl) acl
        WHERE acl.privilege_type = 'SELECT' AND (acl.grantee = 0 OR pg_has_role(acl.grantee, 'USAGE'))))
    FROM pg_largeobject_metadata l
"""
_TABLESPACES = """
    SELECT t.spcname, pg_tablespace_location(t.oid) FROM pg_tablespace t
    WHERE t.spcname !~ '^pg_' AND t.oid IN (SELECT reltablespace FROM pg_class) ORDER BY 1
"""
_SUBSCRIPTIONS = """
    SELECT subname FROM pg_subscription
    WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1
"""
_SETTINGS = """
    SELECT coalesce(pg_get_userbyid(nullif(setrole, 0)) || ': ', '') || array_to_string(setconfig, ', ') FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1
"""
_TABLES = """
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
"""


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A database of the server. `is_ours` for one that a restore made or replaced; `size_bytes` None where it can't be seen."""

    name: str
    size_bytes: int | None
    is_ours: bool


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a server has beside its databases. `slots` are name, type and database ("" for a physical one)."""

    identifier: str
    version: str
    is_standby: bool
    is_superuser: bool
    roles: tuple[str, ...]
    databases: tuple[Neighbour, ...]
    slots: tuple[tuple[str, str, str], ...]
    configuration: tuple[str, ...]
    hidden: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What a database has that a dump treats in its own way. `missing_grants` are what the role needs to read the rest."""

    unlogged: tuple[str, ...]
    foreign: tuple[str, ...]
    materialized: tuple[str, ...]
    of_extensions: tuple[str, ...]
    temporary: int
    large_objects: int
    unreadable_large_objects: int
    tablespaces: tuple[tuple[str, str], ...]  # name, folder on the server
    subscriptions: tuple[str, ...]
    settings: tuple[str, ...]
    missing_grants: str
    hidden: tuple[str, ...]


def look_around(server: Server) -> Surroundings:
    """What the server of a database has beside it. Raises ConnectError, PostgresError."""
    with connected(server, application_name=APPLICATION) as connection:
        connection.execute(_PATIENCE)
        asked = _Asked(connection)
        version, is_standby, is_superuser = asked.rows("its version", _SERVER)[0]
        return Surroundings(
            identifier=system_identifier(connection),
            version=version,
            is_standby=is_standby,
            is_superuser=is_superuser,
            roles=asked.names("roles", _ROLES),
            databases=_databases(connection, asked),
            slots=tuple((name, kind, database) for name, kind, database in asked.rows("replication slots", _SLOTS)),
            configuration=asked.names("where its configuration is", _CONFIGURATION),
            hidden=tuple(asked.hidden),
        )


def look_inside(server: Server) -> Inside:
    """What one database has. Raises ConnectError, PostgresError."""
    with connected(server, application_name=APPLICATION) as connection:
        connection.execute(_PATIENCE)
        asked = _Asked(connection)
        relations = asked.rows("unlogged and foreign tables, materialized views", _RELATIONS)
        large_objects, unreadable = (asked.rows("large objects", _LARGE_OBJECTS) or [(0, 0)])[0]
        return Inside(
            unlogged=tuple(name for kind, name in relations if kind == "unlogged"),
            foreign=tuple(name for kind, name in relations if kind == "foreign"),
            materialized=tuple(name for kind, name in relations if kind == "materialized"),
            of_extensions=asked.names("tables of extensions", _OF_EXTENSIONS),
            temporary=(asked.rows("temporary tables", _TEMPORARY) or [(0,)])[0][0],
            large_objects=large_objects,
            unreadable_large_objects=unreadable,
            tablespaces=tuple((name, folder) for name, folder in asked.rows("tablespaces", _TABLESPACES)),
            subscriptions=asked.names("subscriptions", _SUBSCRIPTIONS),
            settings=asked.names("settings of the database", _SETTINGS),
            missing_grants=_missing_grants(connection),
            hidden=tuple(asked.hidden),
        )


def count_tables(server: Server) -> int:
    """How many tables a database has. Raises ConnectError, PostgresError."""
    with connected(server, application_name=APPLICATION) as connection:
        connection.execute(_PATIENCE)
        (count,) = connection.execute(_TABLES).fetchone() or (0,)
        return int(count)


class _Asked:
    """Questions, each for itself: one that is refused, as hosted servers may, is noted and has no rows."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.hidden: list[str] = []

    def rows(self, what: str, query: LiteralString) -> list[tuple[Any, ...]]:
        try:
            return self.connection.execute(query).fetchall()
        except psycopg.Error as error:
            if self.connection.closed:  # that is no answer
                raise
            self.hidden.append(f"{what}: {words_of(error)}")
            return []

    def names(self, what: str, query: LiteralString) -> tuple[str, ...]:
        return tuple(str(name) for (name,) in self.rows(what, query))


def _databases(connection: Connection, asked: _Asked) -> tuple[Neighbour, ...]:
    found = asked.rows("other databases", _DATABASES)
    return tuple(
        Neighbour(name=name, size_bytes=_size(connection, oid), is_ours=_is_ours(name, comment)) for oid, name, comment in found
    )


def _size(connection: Connection, oid: int) -> int | None:
    try:
        row = connection.execute(_SIZE, [oid]).fetchone()
    except psycopg.Error:  # dropped meanwhile, or a hosted server does not tell
        return None
    return row[0] if row else None


def _is_ours(name: str, comment: str | None) -> bool:
    mark = marks.read(comment)
    return mark is not None and mark.database == name and mark.icb != "restored"


def _missing_grants(connection: Connection) -> str:
    try:
        require_everything_readable(connection)
    except UnreadableError as error:
        return error.detail
    return ""
