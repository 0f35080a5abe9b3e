"""Loads an archive into an empty database with pg_restore. Shared by restore and verify."""

from pathlib import Path

from backups.exceptions import LoadError
from backups.postgres import commands
from backups.postgres.process import Process, describe_exit
from backups.postgres.programs import ClientProgram
from backups.types import Server


def load_archive(
    program: ClientProgram,
    server: Server,
    *,
    archive: Path,
    run_id: str,
    jobs: int = 1,
    single_transaction: bool = False,
    keep_owners: bool = True,
) -> None:
    """Runs pg_restore to its end. Raises LoadError with its last words unless it exits with 0.

    The archive must have been proven before: pg_restore runs what is in it. `single_transaction` is all or nothing, and
    excludes `jobs`.
    """
    extra = () if keep_owners else ("--no-owner", "--no-privileges")
    command = commands.restore(
        program,
        server,
        archive=archive,
        run_id=run_id,
        jobs=jobs,
        single_transaction=single_transaction,
        extra=extra,
    )
    with Process(command) as process:
        process.drain()
        code = process.wait()
        if code != 0:
            raise LoadError(f"pg_restore {describe_exit(code)}.", detail=process.stderr_tail())
