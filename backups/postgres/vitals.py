"""What health asks of a server and a database: which version, whose clock, and whether our role can read everything."""

from dataclasses import dataclass
from datetime import UTC, datetime

from backups.exceptions import UnreadableError
from backups.postgres.connect import connected
from backups.postgres.privileges import require_everything_readable
from backups.types import Server

APPLICATION = "health"
_PATIENCE = "SET lock_timeout = '5s'; SET statement_timeout = '20s'"
_SERVER = "SELECT current_setting('server_version'), clock_timestamp()"


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """`clock_ahead_seconds` is the server's clock against ours, give or take half of what the question took."""

    version: str
    clock_ahead_seconds: float


def vitals(server: Server) -> Vitals:
    """Raises ConnectError, PostgresError."""
    with connected(server, application_name=APPLICATION) as connection:
        connection.execute(_PATIENCE)
        began = datetime.now(UTC)
        version, clock = connection.execute(_SERVER).fetchone() or ("", began)
        middle = began + (datetime.now(UTC) - began) / 2
        return Vitals(version=version, clock_ahead_seconds=(clock - middle).total_seconds())


def unreadable(server: Server) -> UnreadableError | None:
    """What our role can't read in a database, with the statements that mend it; None when it can read everything.

    Raises ConnectError, PostgresError.
    """
    with connected(server, application_name=APPLICATION) as connection:
        connection.execute(_PATIENCE)
        try:
            require_everything_readable(connection)
        except UnreadableError as error:
            return error
    return None
