"""The way down: nothing new is begun, what was begun is ended, and whoever can't wait says so twice."""

import signal
import time
from collections.abc import Callable, Mapping

from ichrisbirch_site.supervisor.child import Child
from ichrisbirch_site.supervisor.roles import CANCEL, STOPPED_IN_ORDER, UPKEEP, WORKER

IDLE_ENDS_WITHIN_SECONDS = 10.0  # beat and web, which hold nothing that could be lost
CANCELLED_WITHIN_SECONDS = 60.0
CANCELLED_EACH_SECONDS = 1.0
SAID_AFTER_SECONDS = 1.0
SAID_WITHOUT_NAME_AFTER_SECONDS = 15.0  # a worker takes some to go, also when it has nothing to do
SAID_AGAIN_AFTER_SECONDS = 60.0

AtWork = Callable[[], list[str]]


class Stopping:
    """Stops children in order. `at_work` names the runs that may be waited for, in words."""

    def __init__(self, *, say: Callable[[str], None], at_work: AtWork) -> None:
        self._say = say
        self._at_work = at_work
        self._told: dict[int, float] = {}  # by process id
        self._interrupted: dict[int, float] = {}
        self._cancel_at: dict[int, float] = {}
        self._killed: set[int] = set()
        self._hurries = 0
        self._say_at = self._name_until = 0.0

    @property
    def was_cut_short(self) -> bool:
        return bool(self._interrupted) or self._hurries > 1

    @property
    def cancels(self) -> bool:
        """Whether it was the second signal, no third."""
        return self._hurries == 1

    def hurry(self) -> None:
        """A further signal: the second cancels what is at work, the third kills."""
        self._hurries += 1

    def step(self, living: Mapping[str, Child]) -> None:
        """Does what is due now; `living` are the children that have not ended."""
        if self._hurries > 1:
            for child in living.values():
                child.kill()
            return
        for stage in STOPPED_IN_ORDER:
            if here := [living[role] for role in stage if role in living]:
                for child in here:
                    self._stop(child)
                return

    def _stop(self, child: Child) -> None:
        now = time.monotonic()
        if child.pid not in self._told:
            self._told[child.pid] = now
            self._say_at, self._name_until = now + SAID_AFTER_SECONDS, now + SAID_WITHOUT_NAME_AFTER_SECONDS
            child.send(signal.SIGTERM)
        works = child.role.name in (WORKER, UPKEEP)
        if works and self._hurries:
            self._cancel(child, now)
        elif works:
            self._tell(now)
        elif now > self._told[child.pid] + IDLE_ENDS_WITHIN_SECONDS:
            self._kill(child)

    def _cancel(self, child: Child, now: float) -> None:
        since = self._interrupted.setdefault(child.pid, now)
        if now > since + CANCELLED_WITHIN_SECONDS:
            self._kill(child)
        elif now >= self._cancel_at.get(child.pid, now):  # again and again: what waited in the worker may begin only now
            self._cancel_at[child.pid] = now + CANCELLED_EACH_SECONDS
            child.send(CANCEL)

    def _kill(self, child: Child) -> None:
        if child.pid not in self._killed:
            self._killed.add(child.pid)
            self._say(f"{child.role.name} does not end, and is killed.")
        child.kill()

    def _tell(self, now: float) -> None:
        if now < self._say_at:
            return
        runs = self._at_work()
        if not runs and now < self._name_until:
            self._say_at = now + SAID_AFTER_SECONDS
            return
        self._say_at = now + SAID_AGAIN_AFTER_SECONDS
        what = f"{' and '.join(runs)} at work" if runs else "A task is at work"
        self._say(
            f"{what}, and is waited for. Ctrl-C again (or icb down --force) stops it, and removes what it had begun."
            if len(runs) < 2
            else f"{what}, and are waited for. Ctrl-C again (or icb down --force) stops them, and removes what they had begun."
        )
