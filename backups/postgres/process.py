"""Runs client programs so that nothing of them is left behind, and so that a truncated dump can't pass for a whole one."""

import contextlib
import ctypes
import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import IO, Self

from backups.exceptions import DumpError, StalledError
from backups.postgres.commands import Command

READ_BYTES = 1 << 20
STDERR_TAIL_BYTES = 16 << 10
GRACE_SECONDS = 5.0
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ROW_DATA = ("DETAIL:", "CONTEXT:")  # of an error: they quote keys, rows and lines of COPY
_OTHER_LINE = re.compile(r"(pg_\w+|Command was|[A-Z]{4,}): ")
_COMMAND = re.compile(r"Command was: [^('$]*")  # further on may stand anything: a user mapping's password, a function's body
_F_SETPIPE_SZ = 1031  # Linux; https://man7.org/linux/man-pages/man2/F_SETPIPE_SZ.2const.html
_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


class Process:
    """A running client program: own process group, stderr drained into a bounded tail, killed if we die or leave early.

    Linux kills it with SIGKILL when the *thread* that started it ends, however that comes about: start it in the thread
    that waits for it.
    """

    def __init__(self, command: Command) -> None:
        parent = os.getpid()

        def die_with_parent() -> None:
            if _prctl is not None:
                _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # the parent died before prctl was called
                os._exit(1)

        self.command = command
        self._popen = subprocess.Popen(
            command.argv,
            env=command.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent,  # calls nothing but prctl, getppid and _exit
            bufsize=0,
        )
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self.stdout: IO[bytes] = self._popen.stdout
        self._stderr: IO[bytes] = self._popen.stderr
        self._tail = bytearray()
        self._drain = threading.Thread(target=self._drain_stderr, daemon=True, name="stderr of a client program")
        self._drain.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.kill()
        self.stdout.close()

    @property
    def pid(self) -> int:
        """The process id; it is the id of its process group, too."""
        return self._popen.pid

    def wait(self, *, seconds: float | None = None) -> int:
        """Waits until it has ended and all it said on stderr is read; the exit code, negative for a signal.

        Raises subprocess.TimeoutExpired when it has not ended after so many seconds.
        """
        code = self._popen.wait(seconds)
        self._drain.join(GRACE_SECONDS)
        if self._drain.is_alive():  # something that it started has outlived it, and holds its stderr
            self._signal(signal.SIGKILL)
            self._drain.join(GRACE_SECONDS)
        return code

    def drain(self, *, each_second: Callable[[], None] = lambda: None) -> None:
        """Throws away what it writes to stdout, until it closes it: an undrained pipe would stop it.

        Wakes once a second: a signal that comes right before a system call that blocks would else wait as long as that does.
        """
        poller = select.poll()
        poller.register(self.stdout, select.POLLIN | select.POLLHUP)
        while True:
            if poller.poll(1000):
                if not self.stdout.read(1 << 16):
                    return
            else:
                each_second()

    def read(self, *, limit_bytes: int) -> bytes:
        """What it writes to stdout until it closes it, or a little more than the limit."""
        said = bytearray()
        while len(said) <= limit_bytes and (chunk := self.stdout.read(1 << 16)):
            said += chunk
        return bytes(said)

    def kill(self) -> None:
        """Ends the whole process group: SIGTERM, then SIGKILL. Harmless when it has ended already."""
        if self._popen.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self._popen.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
        self.wait()

    def stderr_tail(self) -> str:
        """The last lines that it wrote to stderr, without row data, the values in a command, and what a table or a terminal would
        not take.
        """
        lines, is_data = [], False
        for line in bytes(self._tail).decode(errors="replace").split("\n"):
            if command := _COMMAND.match(line):
                lines.append(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", command[0].rstrip()))
            if _OTHER_LINE.match(line):
                is_data = command is not None or line.startswith(_ROW_DATA)
            if not is_data:
                lines.append(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", line.removesuffix("\r")))
        return "\n".join(lines).strip()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, number)

    def _drain_stderr(self) -> None:
        with self._stderr as stream:
            while chunk := stream.read(1 << 16):
                self._tail += chunk
                del self._tail[:-STDERR_TAIL_BYTES]


def read_dump(process: Process, *, stall_timeout_seconds: float) -> Iterator[memoryview]:
    """Yields what pg_dump writes. Ends only after it has exited with 0 and its stderr is drained; otherwise raises.

    That is what makes end-of-file mean success: nobody downstream can complete an upload of half a dump. Each view is
    valid until the next one is asked for.

    Raises DumpError with pg_dump's last words, StalledError when it writes nothing for `stall_timeout_seconds`.
    """
    _enlarge_pipe(process.stdout)
    buffer = memoryview(bytearray(READ_BYTES))
    poller = select.poll()
    poller.register(process.stdout, select.POLLIN | select.POLLHUP)
    while True:
        waiting_since = time.monotonic()
        while not poller.poll(1000):
            if time.monotonic() - waiting_since > stall_timeout_seconds:
                raise _stalled(process, f"wrote nothing for {stall_timeout_seconds:.0f} seconds")
        count = os.readv(process.stdout.fileno(), [buffer])
        if count == 0:
            break
        yield buffer[:count]
    try:
        code = process.wait(seconds=stall_timeout_seconds)
    except subprocess.TimeoutExpired as error:
        raise _stalled(process, f"closed its output, but did not end for {stall_timeout_seconds:.0f} seconds") from error
    if code != 0:
        raise DumpError(f"pg_dump {describe_exit(code)}. Nothing was kept.", detail=process.stderr_tail(), hint=_hint(process))


def _stalled(process: Process, what: str) -> StalledError:
    process.kill()
    return StalledError(
        f"pg_dump {what}, and was stopped.",
        detail=process.stderr_tail(),
        hint="Look for a lock or a slow disk on the server; BACKUPS_STALL_TIMEOUT_SECONDS sets the limit.",
    )


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def _hint(process: Process) -> str:
    said = process.stderr_tail()
    if "lock timeout" in said or "LOCK TABLE" in said:
        return "Another session holds a lock on a table. Find it with pg_blocking_pids(), or try again when it has ended."
    if "terminating connection" in said or "server closed the connection" in said:
        return "The server ended the connection. Look at its log, then make the backup again."
    return "Make the backup again once the cause above is gone."


def _enlarge_pipe(stream: IO[bytes]) -> None:
    """A pipe of 1 MiB instead of 64 KiB: fewer switches between pg_dump and us. Fewer is fine where it is not allowed."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(stream, _F_SETPIPE_SZ, READ_BYTES)
