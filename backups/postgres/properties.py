"""What a database has as a whole, beside what is in it: owner, privileges, settings, limits. pg_dump leaves all of it out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import sql

from backups.exceptions import PostgresError, RefusedError
from backups.postgres.connect import Connection, connected, words_of
from backups.postgres.databases import maintenance
from backups.types import Server

APPLICATION = "restore: properties"
# Parameters whose value is a list of quoted names; every other value is one string, with commas or not.
# https://github.com/postgres/postgres/blob/REL_17_STABLE/src/bin/pg_dump/dumputils.c (variable_is_guc_list_quote)
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}
_ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,\s]+))\s*(?:,|\Z)')
_DATABASE = """
    SELECT oid::bigint, pg_get_userbyid(datdba), datconnlimit, datistemplate FROM pg_database WHERE datname = %s
"""
_GRANTS = """
    SELECT pg_get_userbyid(a.grantor), CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END, a.privilege_type,
           a.is_grantable
    FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) WITH ORDINALITY a WHERE d.oid = %s::bigint::oid
    ORDER BY a.grantor <> d.datdba, a.ordinality
"""
_SETTINGS = """
    SELECT CASE setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(setrole) END, setconfig FROM pg_db_role_setting
    WHERE setdatabase = %s::bigint::oid ORDER BY 1 NULLS FIRST
"""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One privilege on a database. `grantee` None is PUBLIC."""

    grantor: str
    grantee: str | None
    privilege: str
    is_grantable: bool


@dataclass(frozen=True, kw_only=True)
class Properties:
    """Of one database. `settings` are "name=value" entries by role, None for those of every role."""

    owner: str
    connection_limit: int
    is_template: bool
    grants: tuple[Grant, ...] = field(compare=False)
    settings: dict[str | None, tuple[str, ...]]

    @property
    def privileges(self) -> frozenset[Grant]:
        """The grants, in no order."""
        return frozenset(self.grants)

    @property
    def parameters(self) -> dict[str | None, frozenset[str]]:
        """The settings, in no order."""
        return {role: frozenset(entries) for role, entries in self.settings.items()}


def carry(from_: Server, to: Server) -> None:
    """Gives the database `to` everything that the database `from_`, on the same server, has as a whole; all of it or nothing.

    Its comment excepted, which `swap` gives, and its tablespace, which it has had since it was made. Harmless to repeat.
    Raises RefusedError with the statement that our role may not run, ConnectError, PostgresError.
    """
    with connected(maintenance(to), application_name=APPLICATION) as connection, connection.transaction():
        wanted = read(connection, from_.database)
        for step in (_owner, _privileges, _settings, _limits):
            for statement in step(to.database, wanted, read(connection, to.database)):
                _run(connection, statement, from_.database)
        found = read(connection, to.database)
        if (found.privileges, found.parameters, replace(found, settings={})) != (
            wanted.privileges,
            wanted.parameters,
            replace(wanted, settings={}),
        ):
            raise RefusedError(
                f"Not everything that {from_.database} has as a whole could be given to the restored database.",
                detail=_differences(wanted, found),
                hint="Restore as a superuser, who may give all of it.",
            )


def read(connection: Connection, database: str) -> Properties:
    """What a database has. Raises PostgresError where there is none of that name."""
    row = connection.execute(_DATABASE, [database]).fetchone()
    if row is None:
        raise PostgresError(f"There is no database {database}.")
    oid, owner, connection_limit, is_template = row
    return Properties(
        owner=owner,
        connection_limit=connection_limit,
        is_template=is_template,
        grants=tuple(
            Grant(grantor=grantor, grantee=grantee, privilege=privilege, is_grantable=is_grantable)
            for grantor, grantee, privilege, is_grantable in connection.execute(_GRANTS, [oid])
        ),
        settings={role: tuple(entries) for role, entries in connection.execute(_SETTINGS, [oid])},
    )


def _owner(database: str, wanted: Properties, present: Properties) -> Iterator[sql.Composed]:
    if wanted.owner != present.owner:
        yield sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database), sql.Identifier(wanted.owner))


def _privileges(database: str, wanted: Properties, present: Properties) -> Iterator[sql.Composed]:
    """All of them anew where they differ: in PostgreSQL's order, so that a role has a privilege before it gives it on."""
    if wanted.privileges == present.privileges:
        return
    name = sql.Identifier(database)
    for grantee in dict.fromkeys(grant.grantee for grant in present.grants):
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM {} CASCADE").format(name, _grantee(grantee))
    for grant in wanted.grants:
        if grant.grantor != wanted.owner:
            yield sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(grant.grantor))
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(_PRIVILEGES[grant.privilege]),
            name,
            _grantee(grant.grantee),
            sql.SQL(" WITH GRANT OPTION" if grant.is_grantable else ""),
        )
        if grant.grantor != wanted.owner:
            yield sql.SQL("RESET ROLE").format()


_PRIVILEGES = {"CREATE": "CREATE", "TEMPORARY": "TEMPORARY", "CONNECT": "CONNECT"}


def _grantee(role: str | None) -> sql.Composable:
    return sql.SQL("PUBLIC") if role is None else sql.Identifier(role)


def _settings(database: str, wanted: Properties, present: Properties) -> Iterator[sql.Composed]:
    for role in sorted(wanted.settings | present.settings, key=lambda role: role or ""):
        entries = wanted.settings.get(role, ())
        if set(entries) == set(present.settings.get(role, ())):
            continue
        alter = sql.SQL("ALTER DATABASE {}").format(sql.Identifier(database))
        if role is not None:
            alter = sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(role), sql.Identifier(database))
        yield alter + sql.SQL(" RESET ALL")
        for entry in entries:
            parameter, _equals, value = entry.partition("=")
            yield alter + sql.SQL(" SET {} TO {}").format(sql.Identifier(parameter), _value(parameter, value))


def _value(parameter: str, value: str) -> sql.Composable:
    """As pg_dump writes it: the elements of a list each for itself, since one string would become one name."""
    if parameter.lower() not in _LISTS:
        return sql.Literal(value)
    elements = [quoted.replace('""', '"') or plain for quoted, plain in _ELEMENT.findall(value)]
    return sql.SQL(", ").join(map(sql.Literal, elements or [""]))


def _limits(database: str, wanted: Properties, present: Properties) -> Iterator[sql.Composed]:
    name = sql.Identifier(database)
    if wanted.connection_limit != present.connection_limit:
        yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.Literal(wanted.connection_limit))
    if wanted.is_template != present.is_template:
        yield sql.SQL("ALTER DATABASE {} IS_TEMPLATE {}").format(name, sql.Literal(wanted.is_template))


def _run(connection: Connection, statement: sql.Composed, database: str) -> None:
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        raise RefusedError(
            f"The role {connection.info.user} may not give the restored database what {database} has as a whole.",
            detail=f"{statement.as_string(None)}: {words_of(error)}",
            hint="Restore as a superuser; or as the database's owner, when a superuser has taken that privilege or setting away.",
        ) from error


def _differences(wanted: Properties, found: Properties) -> str:
    names = [name for name in ("owner", "connection_limit", "is_template") if getattr(wanted, name) != getattr(found, name)]
    names += ["privileges"] if wanted.privileges != found.privileges else []
    names += ["settings"] if wanted.parameters != found.parameters else []
    return f"What differs: {', '.join(names)}."
