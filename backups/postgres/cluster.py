"""The roles and tablespaces of a cluster, which are in no database, and so in no dump of one."""

from pathlib import Path

from backups.exceptions import DumpError
from backups.postgres import commands
from backups.postgres.process import Process, describe_exit
from backups.postgres.programs import ClientProgram
from backups.types import Server

LIMIT_BYTES = 16 << 20


def dump_globals(pg_dump: ClientProgram, server: Server, *, run_id: str) -> bytes:
    """SQL that makes them, without passwords, by the pg_dumpall beside that pg_dump. Raises DumpError where it can't be had."""
    path = Path(pg_dump.path).with_name("pg_dumpall")
    if not path.is_file():
        raise DumpError(f"There is no pg_dumpall beside {pg_dump.path}.")
    program = ClientProgram(path=str(path), version=pg_dump.version, major=pg_dump.major)
    try:
        with Process(commands.dump_globals(program, server, run_id=run_id)) as process:
            said = process.read(limit_bytes=LIMIT_BYTES)
            code = process.wait()
            if code != 0:
                raise DumpError(f"pg_dumpall {describe_exit(code)}.", detail=process.stderr_tail())
    except OSError as error:
        raise DumpError("pg_dumpall could not be run.", detail=str(error)) from error
    if len(said) > LIMIT_BYTES:
        raise DumpError(f"The roles and tablespaces are more than {LIMIT_BYTES:,} bytes of SQL.")
    return said
