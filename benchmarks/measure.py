"""Runs a command and takes the operating system's own account of it."""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Of the environment: a database or bucket of the developer's own; and what keeps Python from remembering what it has compiled,
# which nobody who uses the command sets.
LEFT_OUT = ("DATABASE_URL", "POSTGRES_", "AWS_", "PG", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Run:
    """Wall time in seconds, and the peak memory in bytes and processor time in seconds of the process and of what it started."""

    seconds: float
    busy_seconds: float
    peak_bytes: int
    output: str


def run(argv: Sequence[str], *, env: dict[str, str], discard: bool = False) -> Run:
    """Runs it to its end, in this process's folder.

    Raises SystemExit with what it said when it fails: a failed run is no measurement.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        started = time.monotonic()
        pid = os.posix_spawn(
            argv[0],
            argv,
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 1, "/dev/null" if discard else str(out), os.O_WRONLY | os.O_CREAT, 0o600),
                (os.POSIX_SPAWN_OPEN, 2, str(err), os.O_WRONLY | os.O_CREAT, 0o600),
            ],
        )
        _pid, status, usage = os.wait4(pid, 0)
        seconds = time.monotonic() - started
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"{' '.join(argv)} failed:\n{err.read_text()}")
        return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, "" if discard else out.read_text())
