"""One process of a role: started on a leash, read line by line, ended with all that it has started."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from ichrisbirch_site.embedded.processes import Process
from ichrisbirch_site.supervisor import leash, readiness
from ichrisbirch_site.supervisor.roles import Role

_LONGEST_LINE = 1 << 16
_TAIL_LINES = 5


class Child:
    """Started when it is made. Has a session of its own, so that a Ctrl-C in the terminal does not reach it past us."""

    def __init__(self, role: Role, *, environment: Mapping[str, str]) -> None:
        ready, told = os.pipe()
        parent = os.getpid()
        try:
            self._popen = subprocess.Popen(
                role.argv,
                env={**environment, readiness.VARIABLE: str(told)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,
                pass_fds=(told,),
                preexec_fn=lambda: leash.die_with_parent(parent),
            )
        except BaseException:
            os.close(ready)
            raise
        finally:
            os.close(told)
        assert self._popen.stdout is not None
        self.role = role
        self.output = self._popen.stdout.fileno()
        self.ready_pipe = ready
        for descriptor in (self.output, self.ready_pipe):
            os.set_blocking(descriptor, False)
        self.process = Process.of(self._popen.pid) or Process(self._popen.pid, "")
        self.started_at = time.monotonic()
        self.is_ready = False
        self.listened_to = {self.output, self.ready_pipe}  # descriptors from which something may still come
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._rest = b""

    @property
    def pid(self) -> int:
        return self._popen.pid

    def has_told(self) -> bool:
        """Whether it has said by now that it is ready."""
        with suppress(BlockingIOError):
            self.is_ready = bool(os.read(self.ready_pipe, 1))
            self.listened_to.discard(self.ready_pipe)  # it has told, or never will
        return self.is_ready

    def lines(self) -> list[str]:
        """What it has written since, in whole lines; the rest of a line only once it is long, or the child has ended."""
        said, ended = b"", False
        with suppress(BlockingIOError):
            while len(said) < _LONGEST_LINE:
                if not (chunk := os.read(self.output, 1 << 16)):
                    ended = True
                    self.listened_to.discard(self.output)
                    break
                said += chunk
        *whole, self._rest = (self._rest + said).split(b"\n")
        if self._rest and (ended or len(self._rest) > _LONGEST_LINE):
            whole, self._rest = [*whole, self._rest], b""
        found = [line.decode(errors="replace").rstrip("\r") for line in whole]
        self.tail.extend(line for line in found if line.strip())
        return found

    def ended(self) -> int | None:
        """The exit code once it has ended, negative for a signal; what is left of its process group is killed first."""
        if self._popen.returncode is None:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            self.kill()  # not reaped yet, so its number is still its own
            self._popen.wait()
        return self._popen.returncode

    def send(self, number: signal.Signals) -> None:
        """To the process alone, not to those that it has started."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS: the latter where only zombies are left
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Lets go of the pipes; for a child that has ended."""
        os.close(self.ready_pipe)
        if self._popen.stdout:
            self._popen.stdout.close()
