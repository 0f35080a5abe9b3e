"""Loads an archive, or parts of it, into a database with pg_restore. Shared by restore and verify."""

from collections.abc import Callable
from pathlib import Path

from backups.exceptions import ArchiveError, LoadError, UsageError
from backups.postgres import commands
from backups.postgres.process import Process, describe_exit
from backups.postgres.programs import ClientProgram
from backups.types import Server


def decode_archive(program: ClientProgram, archive: Path, *, run_id: str) -> None:
    """Reads a proven archive to its end, every row decompressed, and throws it away. Raises ArchiveError when that fails."""
    with Process(commands.decode(program, archive=archive, run_id=run_id)) as process:
        process.drain()
        code = process.wait()
        if code != 0:
            raise ArchiveError(
                f"The archive can't be read to its end: pg_restore {describe_exit(code)}.", detail=process.stderr_tail()
            )


def load_archive(
    program: ClientProgram,
    server: Server,
    *,
    archive: Path,
    run_id: str,
    jobs: int = 1,
    single_transaction: bool = False,
    clean: bool = False,
    schema_only: bool = False,
    use_list: Path | None = None,
    keep_owners: bool = True,
    keep_privileges: bool = True,
    each_second: Callable[[], None] = lambda: None,
) -> None:
    """Runs pg_restore to its end. Raises LoadError with its last words unless it exits with 0.

    The archive must have been proven before: pg_restore runs what is in it. `single_transaction` is all or nothing, and
    excludes `jobs`. `clean` drops what is there of what it brings, so it wants `single_transaction`; `use_list` is a file with
    the ids of the entries to take (`parts`). `each_second` is called meanwhile.
    """
    if clean and not single_transaction:
        raise UsageError("What is there is dropped only in a single transaction that makes all of it anew.")
    extra = {
        "--clean": clean,
        "--if-exists": clean,
        "--schema-only": schema_only,
        f"--use-list={use_list}": use_list is not None,
        "--no-owner": not keep_owners,
        "--no-privileges": not keep_privileges,
    }
    command = commands.restore(
        program,
        server,
        archive=archive,
        run_id=run_id,
        jobs=jobs,
        single_transaction=single_transaction,
        extra=[word for word, wanted in extra.items() if wanted],
    )
    with Process(command) as process:
        process.drain(each_second=each_second)
        code = process.wait()
        if code != 0:
            raise LoadError(f"pg_restore {describe_exit(code)}.", detail=process.stderr_tail())
