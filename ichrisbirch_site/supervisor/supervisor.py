"""Keeps the processes of some roles running until it is told to stop."""

import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from backups.postgres.process import describe_exit
from ichrisbirch_site.embedded import EmbeddedError
from ichrisbirch_site.supervisor.child import Child
from ichrisbirch_site.supervisor.output import OURS, Output
from ichrisbirch_site.supervisor.roles import Role
from ichrisbirch_site.supervisor.signals import Signals, listening
from ichrisbirch_site.supervisor.stopping import AtWork, Stopping

DONE, FAILED, INTERRUPTED = 0, 1, 130
LONGEST_PAUSE_SECONDS = 60.0
STEADY_AFTER_SECONDS = 60.0  # what lived so long did not fail at once
ATTEMPTS = 3  # for a process that has never been ready
SERVICES_EACH_SECONDS = 10.0


@dataclass
class Kept:
    """A role, and what has become of it so far."""

    role: Role
    child: Child | None = None
    was_ready: bool = False
    failures: int = 0  # in a row
    restarts: int = 0
    start_at: float = 0.0


class Supervisor:
    """`changed` is called after each start, readiness and end; `services` before a process is started again, and now and then: it
    starts what the processes need and is dead, and may raise EmbeddedError.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        environment: Mapping[str, str],
        output: Output,
        at_work: AtWork,
        changed: Callable[[Kept], None],
        services: Callable[[], None],
        all_ready: Callable[[], None],
    ) -> None:
        self._kept = [Kept(role) for role in roles]
        self._environment = environment
        self._output = output
        self._changed = changed
        self._services = services
        self._services_at = time.monotonic() + SERVICES_EACH_SECONDS
        self._services_are_dead = False
        self._all_ready = all_ready
        self._stopping = Stopping(say=self._say, at_work=at_work)
        self._stops = False
        self._code = DONE
        self._announced = False

    def run(self) -> int:
        """Until a signal comes, or a process can't be started. 0 stopped, 130 stopped and work cut short, 1 given up."""
        with listening() as signals:
            try:
                while not self._stops or self._living():
                    self._start_due()
                    self._look_after_services()
                    self._wait(signals)
                    for _ in range(signals.take()):
                        self._asked_to_stop()
                    self._settle()
                    if self._stops:
                        self._stopping.step(self._living())
            finally:
                for child in self._living().values():
                    child.kill()
                    child.ended()
        return INTERRUPTED if self._code == DONE and self._stopping.was_cut_short else self._code

    def _living(self) -> dict[str, Child]:
        return {kept.role.name: kept.child for kept in self._kept if kept.child}

    def _start_due(self) -> None:
        unready = {kept.role.name for kept in self._kept if not kept.was_ready}
        for kept in self._kept:
            is_due = time.monotonic() >= kept.start_at and kept.role.after not in unready
            if is_due and not kept.child and not self._stops:
                self._start(kept)

    def _look_after_services(self) -> None:
        """What can't be started is said once, and tried again."""
        if self._stops or time.monotonic() < self._services_at:
            return
        try:
            self._services()
            self._services_are_dead = False
        except (EmbeddedError, OSError) as error:
            if not self._services_are_dead:
                self._say(str(error))
            self._services_are_dead = True
        self._services_at = time.monotonic() + SERVICES_EACH_SECONDS

    def _start(self, kept: Kept) -> None:
        again = kept.failures > 0
        try:
            if again:
                self._services()
            kept.child = Child(kept.role, environment=self._environment)
        except (EmbeddedError, OSError, subprocess.SubprocessError) as error:
            self._failed(kept, f"{kept.role.name} could not be started: {error}")
            return
        kept.restarts += again
        self._changed(kept)

    def _wait(self, signals: Signals) -> None:
        """Until something is written, has ended or was signalled; a fraction of a second at most while we stop."""
        with selectors.DefaultSelector() as selector:
            selector.register(signals.wakes, selectors.EVENT_READ)
            for child in self._living().values():
                for descriptor in child.listened_to:
                    selector.register(descriptor, selectors.EVENT_READ)
            selector.select(0.1 if self._stops else 1.0)

    def _settle(self) -> None:
        """Takes what the children have written, and notes who is ready and who has ended."""
        for kept in self._kept:
            if (child := kept.child) is None:
                continue
            code = child.ended()  # before its last lines are read
            self._pass_on(child)
            if code is not None:
                self._has_ended(kept, child, code)
            elif not child.is_ready and child.has_told():
                self._is_ready(kept)

    def _pass_on(self, child: Child) -> None:
        for line in child.lines():
            self._output.line(child.role.name, line)

    def _is_ready(self, kept: Kept) -> None:
        kept.was_ready = True
        self._output.line(kept.role.name, "ready")
        self._changed(kept)
        if not self._announced and all(other.child and other.child.is_ready for other in self._kept):
            self._announced = True
            self._all_ready()

    def _has_ended(self, kept: Kept, child: Child, code: int) -> None:
        child.close()
        kept.child = None
        if self._stops:
            self._changed(kept)
            return
        if time.monotonic() - child.started_at > STEADY_AFTER_SECONDS:
            kept.failures = 0
        self._failed(kept, f"{kept.role.name} (process {child.pid}) {describe_exit(code)}.", *child.tail)

    def _failed(self, kept: Kept, what: str, *tail: str) -> None:
        """Says it, and when the next attempt is; or that there will be none.

        A process that was ready once is started again for ever: a database that is away comes back. One that never was has a
        wrong setting, which somebody has to read.
        """
        kept.failures += 1
        gives_up = not kept.was_ready and kept.failures >= ATTEMPTS
        pause = min(2.0 ** (kept.failures - 1), LONGEST_PAUSE_SECONDS)
        kept.start_at = time.monotonic() + pause
        next_ = f"It was never ready in {ATTEMPTS} attempts; all are stopped." if gives_up else f"Next attempt in {pause:.0f} s."
        self._say(f"{what} {next_}{' Its last lines:' if tail else ''}")
        for line in tail:
            self._say(f"    {line}")
        self._changed(kept)
        if gives_up:
            self._code = FAILED
            self._stops = True

    def _asked_to_stop(self) -> None:
        if self._stops:
            self._stopping.hurry()
            self._say("Stopping what is at work, too …" if self._stopping.cancels else "Killed.")
            return
        self._stops = True
        self._say(f"Stopping {', '.join(self._living())} …")

    def _say(self, text: str) -> None:
        self._output.line(OURS, text)
