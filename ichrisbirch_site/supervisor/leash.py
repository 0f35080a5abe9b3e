"""Ties a process to its parent, so that a kill -9 of one leaves none of the other."""

import ctypes
import os
import signal
import sys

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
