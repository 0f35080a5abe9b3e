"""Builds command lines and environments of client programs. Pure: (argv, env) out, nothing runs here.

No secret is ever in argv: the password travels in the environment. So does pg_dump's database; pg_restore connects only to one
that is in argv, where it stands as a quoted connection parameter. A database named `--file=x` is harmless in both. https://www.postgresql.org/docs/current/libpq-envars.html
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backups.postgres.programs import ClientProgram
from backups.types import Server

NOWHERE = Path("/nonexistent")  # the home of Debian's user nobody
# libpq option -> its environment variable.
OPTION_VARIABLES = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslsni": "PGSSLSNI",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
}
# A server whose client has died waits for its lock, or runs its query, to the end unless it is told to look.
# https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-CLIENT-CONNECTION-CHECK-INTERVAL
SERVER_OPTIONS = "-c client_connection_check_interval=500"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program with its arguments and its whole environment."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(repr=False)


def environment(server: Server, *, application_name: str, home: Path = NOWHERE) -> dict[str, str]:
    """The environment of a client program, built from empty.

    `home` is a folder without .pgpass, .pg_service.conf or .postgresql, so that nothing in the user's home decides where the
    program connects. It need not exist; and one that does not exist can't be left behind either.
    """
    given = {
        "HOME": str(home),
        "LC_ALL": "C",
        "PGAPPNAME": application_name,
        "PGCONNECT_TIMEOUT": "15",
        "PGDATABASE": server.database,
        "PGOPTIONS": SERVER_OPTIONS,
        "PGPASSFILE": str(home / "pgpass"),
        "PGSERVICEFILE": str(home / "pg_service.conf"),
        "PGSYSCONFDIR": str(home),
    }
    said = {"PGHOST": server.host, "PGPORT": str(server.port or ""), "PGUSER": server.user, "PGPASSWORD": server.password}
    given |= {name: value for name, value in said.items() if value}
    return given | {OPTION_VARIABLES[name]: value for name, value in server.options if name in OPTION_VARIABLES}


def dump(
    program: ClientProgram, server: Server, *, snapshot_id: str, run_id: str, lock_timeout_seconds: int, home: Path = NOWHERE
) -> Command:
    """pg_dump of the whole database to standard output, in custom format, in an exported snapshot."""
    argv = (
        program.path,
        "--format=custom",
        f"--compress={compression(program)}",
        f"--snapshot={snapshot_id}",
        f"--lock-wait-timeout={lock_timeout_seconds * 1000}",
        "--no-password",
    )
    return Command(argv=argv, env=environment(server, application_name=f"backup:{run_id}", home=home))


def dump_schema(program: ClientProgram, server: Server, *, schema: str, file: Path, run_id: str, home: Path = NOWHERE) -> Command:
    """pg_dump of one schema into a file, in custom format.

    Within double quotes nothing of a name is a pattern: https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-PATTERNS
    """
    quoted = schema.replace('"', '""')
    argv = (
        program.path,
        "--format=custom",
        f"--compress={compression(program)}",
        f'--schema="{quoted}"',
        "--strict-names",
        f"--file={file}",
        "--no-password",
    )
    return Command(argv=argv, env=environment(server, application_name=f"restore:{run_id}", home=home))


def dump_globals(program: ClientProgram, server: Server, *, run_id: str, home: Path = NOWHERE) -> Command:
    """pg_dumpall of roles and tablespaces to standard output, without passwords: for those it would have to read pg_authid.

    https://www.postgresql.org/docs/current/app-pg-dumpall.html
    """
    argv = (
        program.path,
        "--globals-only",
        "--no-role-passwords",
        "--no-password",
        f"--dbname={_as_conninfo(server.database)}",
    )
    return Command(argv=argv, env=environment(server, application_name=f"backup:{run_id}", home=home))


def compression(program: ClientProgram) -> str:
    """What --compress is given: zstd level 1 where the program has it, else gzip level 1.

    pg_dump knows methods from 16 on; a plain number means gzip before and after.
    """
    return "zstd:1" if program.major >= 16 and program.has_zstd else "1"


def restore(
    program: ClientProgram,
    server: Server,
    *,
    archive: Path,
    run_id: str,
    home: Path = NOWHERE,
    jobs: int = 1,
    single_transaction: bool = False,
    extra: Sequence[str] = (),
) -> Command:
    """pg_restore of a whole archive into an existing, empty database. Stops at the first error."""
    argv = [program.path, "--exit-on-error", "--no-password", "--dbname", _as_conninfo(server.database), *extra]
    argv += ["--single-transaction"] if single_transaction else [f"--jobs={jobs}"]
    argv.append(str(archive))
    return Command(argv=tuple(argv), env=environment(server, application_name=f"restore:{run_id}", home=home))


def decode(program: ClientProgram, *, archive: Path, run_id: str, home: Path = NOWHERE) -> Command:
    """pg_restore of a whole archive into a script on standard output; no server is asked."""
    nowhere = Server(host="", port=0, user="", password="", database="")
    argv = (program.path, "--exit-on-error", "--file=-", str(archive))
    return Command(argv=argv, env=environment(nowhere, application_name=f"verify:{run_id}", home=home))


def _as_conninfo(database: str) -> str:
    """A database's name for --dbname, where anything with `=` or `://` would be read as connection parameters."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"
