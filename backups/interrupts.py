"""Ctrl-C and SIGTERM, turned into one clean cancellation that never falls into a step that must not be torn.

`interruptible` is for faces. `held` is for stories: a signal that comes while it is held takes effect only afterwards, when
`check` is called, so that a database is not being made while its maker tidies up, and what is done is not called cancelled.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WORDS = b"\nStopping, and removing what is unfinished ...\n"


class _State:
    holders = 0
    came = False
    listens_to: signal.Signals | None = None


@contextmanager
def interruptible() -> Iterator[None]:
    """Signals raise KeyboardInterrupt once; while what follows is tidied, further ones are ignored. For the main thread."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if _State.came:
            return
        _State.came = True
        with suppress(OSError):
            os.write(2, _WORDS)  # not sys.stderr, which may be in the middle of a write
        check()

    # What we were started to ignore (nohup) stays ignored.
    before = {number: handler for number in SIGNALS if (handler := signal.getsignal(number)) is not signal.SIG_IGN}
    _State.came = False
    try:
        for number in before:
            signal.signal(number, interrupt)
        _State.listens_to = next(iter(before), None)  # a worker's process is started to ignore Ctrl-C
        yield
    finally:
        _State.listens_to = None
        for number, handler in before.items():
            signal.signal(number, handler)
        _State.came = False  # last: until here, a second signal is still ignored


@contextmanager
def held() -> Iterator[None]:
    """No interruption within the block. Short steps only."""
    _State.holders += 1
    try:
        yield
    finally:
        _State.holders -= 1


def request() -> None:
    """From another thread: as if somebody had pressed Ctrl-C. Does nothing where no face listens to signals."""
    if _State.listens_to is not None:
        signal.pthread_kill(threading.main_thread().ident or 0, _State.listens_to)


def came() -> bool:
    """Whether a signal came, held or not: for what can still be left undone as a whole."""
    return _State.came


def check() -> None:
    """Raises KeyboardInterrupt if a signal came, unless interruptions are held."""
    if _State.came and not _State.holders:
        raise KeyboardInterrupt
