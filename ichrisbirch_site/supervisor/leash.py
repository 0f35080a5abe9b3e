"""Ties a process to its parent, so that a kill -9 of one leaves none of the other."""

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Any

_LOOKS_EACH_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


def die_with_parent(parent: int) -> None:
    """For a process that was just forked: Linux kills it when the *thread* that forked it ends, however that comes about.

    `parent` is the process that forked; where it is gone already, this one ends here.
    """
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the parent died before prctl was called
        os._exit(1)


def follow(parent: int, **_more: Any) -> None:
    """For a process of Celery's pool: kills it within a second of the end of `parent`, and no longer when a thread ends there.

    Celery has Linux do the latter. Where the broker is a folder, a process that replaces a dead one is forked by a thread which
    ends as soon as the worker is to stop: a backup in it would be killed just when it is waited for.
    """
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)
    threading.Thread(target=_watch, args=(parent,), name="leash", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOKS_EACH_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
