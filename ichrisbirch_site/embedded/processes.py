"""Processes that outlive the command which started them, and are recognised by the next."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ichrisbirch_site.embedded.errors import EmbeddedError

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process by its id and the moment it started, so that another which got the same id later is not mistaken for it."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """The living process with this id, if there is one."""
        started = _started(pid)
        return cls(pid, started) if started else None

    def is_alive(self) -> bool:
        return _started(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, unless the process is gone. Raises EmbeddedError when it belongs to somebody else."""
        if not self.is_alive():
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError as error:
            raise EmbeddedError(
                f"Process {self.pid} belongs to another user.", hint="Run this as the user who started the services, or as root."
            ) from error

    def stop(self, *signals_and_seconds: tuple[signal.Signals, float]) -> bool:
        """Sends the signals, each when the one before did not end the process within its seconds. Tells whether it ended."""
        for number, seconds in signals_and_seconds:
            self.send(number)
            if wait_until(lambda: not self.is_alive(), seconds=seconds):
                return True
        return not self.is_alive()


def _started(pid: int) -> str:
    """When the process started, in words that no other process with this id shares; empty if none (or a zombie) has it."""
    if PROC.joinpath("self", "stat").exists():
        try:
            # After the name, which is in parentheses and may hold anything: state, …, and as the 20th the start in clock
            # ticks since the boot (proc_pid_stat(5)).
            words = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if words[0] in "ZX" else f"{words[19]}@{_boot()}"
    answer = subprocess.run(["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def _boot() -> str:
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def spawn(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, folder: Path, user: int | None, group: int | None
) -> Process | None:
    """Starts a process in a session of its own, its output going to the end of `log`; None if it ended at once.

    A shell stands between, and leaves: so the process is nobody's unreaped child, whatever becomes of us. `folder` is its working
    folder; `user` and `group` (with no others) is who it runs as, None for who we are.
    """
    with log.open("ab") as output:
        shell = subprocess.run(
            ["/bin/sh", "-c", 'cd "$1" && shift && { "$@" 1>&2 & } && echo $!', "sh", str(folder), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            env=dict(environment),
            start_new_session=True,
            check=False,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
    return Process.of(int(shell.stdout)) if shell.stdout.strip() else None


def run(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, user: int | None, group: int | None
) -> subprocess.CompletedProcess[str]:
    """Runs a short program to its end. Its failures are in the result, also that it could not be started."""
    try:
        return subprocess.run(
            ["/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(folder), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=dict(environment),
            check=False,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
    except OSError as error:
        return subprocess.CompletedProcess(list(command), 126, "", str(error))


def living_in(folder: Path, *, program: str) -> Iterator[Process]:
    """Our processes whose working folder is this one, and whose command line has a word that ends in `program`.

    Finds what a killed server left behind, and a server whose pid file is lost. Finds nothing on systems without /proc.
    """
    where = str(folder.resolve())
    for entry in PROC.glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile, or somebody else's
            if str((entry / "cwd").readlink()).removesuffix(" (deleted)") != where:
                continue
            words = (entry / "cmdline").read_bytes().split(b"\0")
            # PostgreSQL's children call themselves "postgres: checkpointer"; their executable tells.
            if (entry / "exe").readlink().name.removesuffix(" (deleted)") == program or program.encode() in words:
                process = Process.of(int(entry.name))
                if process:
                    yield process


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Waits for a condition, looking often at first; tells whether it came true in time."""
    deadline = time.monotonic() + seconds
    pause = 0.01
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
    return True


def end_of(log: Path, *, lines: int = 15) -> str:
    """The last lines of a log; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
