"""Opens connections with psycopg, and turns what goes wrong into our errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from backups.exceptions import ConnectError, PostgresError
from backups.postgres.commands import SERVER_OPTIONS
from backups.types import Server

Connection = psycopg.Connection[tuple[Any, ...]]
# Limits that an administrator may have set for a role or a server, and that would end a session of hours.
_UNLIMITED = (
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0"
    " -c tcp_keepalives_idle=60"
)
# ALTER DATABASE … SET search_path lets an owner put functions of his own before PostgreSQL's, and we would run them with our
# rights: https://wiki.postgresql.org/wiki/A_Guide_to_CVE-2018-1058. Where row-level security hides rows, an error is better.
_SAFE = "-c search_path=pg_catalog -c row_security=off"
# A network that swallows everything is noticed within two minutes. https://www.postgresql.org/docs/current/libpq-connect.html
_PATIENCE = {"connect_timeout": 15, "keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 6}


def connect(server: Server, *, application_name: str, autocommit: bool = True) -> Connection:
    """An open connection. Raises ConnectError with what PostgreSQL or the network said."""
    try:
        connection = psycopg.connect(
            host=server.host or None,  # what is not said is libpq's to choose: PGHOST, or the Unix socket
            port=server.port or None,
            user=server.user or None,
            password=server.password or None,
            dbname=server.database,
            application_name=application_name,
            autocommit=True,
            client_encoding="UTF8",  # of an SQL_ASCII database psycopg would give bytes
            options=f"{_UNLIMITED} {_SAFE} {SERVER_OPTIONS}",
            **(_PATIENCE | dict(server.options)),  # type: ignore[arg-type]
        )
        if connection.info.server_version >= 170000:  # before, the parameter is unknown
            connection.execute("SET transaction_timeout = 0")
        connection.autocommit = autocommit
    except psycopg.OperationalError as error:
        raise _explained(error, server) from error
    return connection


def located(server: Server, connection: Connection) -> Server:
    """The server with the host, port and user that libpq chose, so that client programs go to the very same one."""
    info = connection.info
    return replace(server, host=server.host or info.host, port=server.port or info.port, user=server.user or info.user)


@contextmanager
def connected(server: Server, *, application_name: str) -> Iterator[Connection]:
    """A connection in autocommit that is closed at the end. Errors of PostgreSQL leave as PostgresError."""
    with connect(server, application_name=application_name) as connection, translated():
        yield connection


@contextmanager
def translated() -> Iterator[None]:
    """What psycopg raises leaves as PostgresError, with the server's own words."""
    try:
        yield
    except psycopg.Error as error:
        raise PostgresError("PostgreSQL refused.", detail=words_of(error)) from error


def words_of(error: psycopg.Error) -> str:
    """The server's message with its hint, without the row data that the detail of an error may quote."""
    primary = error.diag.message_primary or str(error)
    return f"{primary}\n{error.diag.message_hint}" if error.diag.message_hint else primary


def quoted(name: str) -> str:
    """A name as an identifier of SQL, for statements that people are told to run."""
    return sql.Identifier(name).as_string(None)


# What libpq's message has in it -> what happened, what to do.
_REASONS = (
    (
        "unsupported startup parameter",
        "This looks like a connection pool (pgbouncer)",
        "A backup needs PostgreSQL itself: snapshots and locks belong to a session. Name its own host and port.",
    ),
    (
        "password authentication failed",
        "The password or the user is wrong",
        "Check POSTGRES_PASSWORD or DATABASE_URL; for the target of a restore PGPASSWORD or --target-password-file.",
    ),
    (
        "no password supplied",
        "A password is needed",
        "Set it in DATABASE_URL or POSTGRES_PASSWORD; for the target of a restore in PGPASSWORD or --target-password-file.",
    ),
    ("does not exist", "There is no such database or role", "Check the name of the database and the user."),
    ("connection refused", "Nothing listens there", "Is PostgreSQL running, and are host and port right?"),
    ("name or service not known", "The host's name is unknown", "Check the host."),
    ("failed to resolve host", "The host's name is unknown", "Check the host."),
    ("unrecognized configuration parameter", "The server is older than PostgreSQL 14", "Supported are PostgreSQL 14 to 18."),
    ("connection timeout expired", "No answer within {seconds} s", "Check the host, the port and the firewall."),
    ("timeout", "No answer in time", "Check the host, the port and the firewall."),
    ("timed out", "No answer in time", "Check the host, the port and the firewall."),
    ("no route to host", "No way leads to the host", "Check the host and the network."),
    ("network is unreachable", "No way leads to the host", "Check the host and the network."),
    (
        "too many c",
        "All connections of the server are taken",
        "Wait until some have ended, or raise the limit (max_connections).",
    ),
    ("connection slots", "All connections of the server are taken", "Wait until some have ended, or raise max_connections."),
    ("starting up", "The server is still starting", "Try again in a minute; its log tells how far it is."),
    ("shutting down", "The server is shutting down", "Try again when it is back."),
    ("pg_hba.conf", "The server does not let this user in from here", "Look at pg_hba.conf on the server."),
    ("ssl", "No TLS connection came about", "Check sslmode and the certificates."),
)


def _explained(error: psycopg.OperationalError, server: Server) -> ConnectError:
    said = str(error).strip()
    known = ((why, todo) for text, why, todo in _REASONS if text in said.lower())
    reason, hint = next(
        known, ("The connection failed", "Is PostgreSQL running, and are host, port and user right? Its log says more.")
    )
    seconds = (_PATIENCE | dict(server.options))["connect_timeout"]
    return ConnectError(f"{reason.format(seconds=seconds)}: {server.address}.", detail=said, hint=hint)
