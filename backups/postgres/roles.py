"""Roles of a backup that the target's server does not have."""

import psycopg
from psycopg import sql

from backups.exceptions import RefusedError
from backups.postgres.connect import connected, quoted, words_of
from backups.postgres.databases import maintenance
from backups.types import Server


def stand_in(server: Server, *, role: str, by: str) -> None:
    """Lets the role `by` act for a role that is missing: makes that one, without a login, and `by` a member of it.

    Owners and privileges of the backup stay as they are, and `by` has them all. Of a role that is there nobody becomes a member.

    Raises RefusedError where there is such a role meanwhile, or our role may not make roles.
    """
    with connected(maintenance(server), application_name="restore: roles") as connection, connection.transaction():
        try:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            # Whoever gives something to a role must be a member of it, unless a superuser.
            for member in sorted({by, connection.info.user}):
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(member)))
        except psycopg.errors.DuplicateObject as error:
            raise RefusedError(
                f"There is a role {role} on {server.host}:{server.port} now. Nothing was touched.",
                hint=f"Restore again without --map-role {role}=…",
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise RefusedError(
                f"The role {server.user} may not make the role {role} on {server.host}:{server.port}. Nothing was touched.",
                detail=words_of(error),
                hint=f"Let a superuser run: CREATE ROLE {quoted(role)} NOLOGIN; GRANT {quoted(role)} TO {quoted(by)}",
            ) from error
