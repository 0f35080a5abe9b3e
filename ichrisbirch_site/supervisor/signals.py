"""Signals as something that a loop can wait for."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Those that ask us to end, counted; and the end of a child, which only wakes."""

    def __init__(self, wakes: socket.socket) -> None:
        self.wakes = wakes
        self._came = 0

    def take(self) -> int:
        """How many asked us to end since the last time."""
        with suppress(BlockingIOError):
            while self.wakes.recv(4096):
                pass
        came, self._came = self._came, 0
        return came

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._came += number in ENDING


@contextmanager
def listening() -> Iterator[Signals]:
    """For the main thread."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    signals = Signals(near)
    # What we were started to ignore (nohup) stays ignored; only of our children we must hear.
    taken = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, signals._note) for number in (*taken, signal.SIGCHLD)}
    woken = signal.set_wakeup_fd(far.fileno(), warn_on_full_buffer=False)
    try:
        yield signals
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        near.close()
        far.close()
