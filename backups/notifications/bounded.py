"""Waits for what others do only so long: an HTTP client's time limit is for each read, and a receiver can trickle for ever."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Result = TypeVar("Result")


def together(work: Mapping[str, Callable[[], Result]], *, seconds: float) -> dict[str, Result]:
    """Does all of it at once; returns what was done within so many seconds, by name. The functions must not raise.

    What is late is left behind in its thread, which keeps no process from ending.
    """
    done: queue.SimpleQueue[tuple[str, Result]] = queue.SimpleQueue()

    def one(name: str, function: Callable[[], Result]) -> None:
        done.put((name, function()))

    for name, function in work.items():
        threading.Thread(target=one, args=(name, function), name=f"notify {name}", daemon=True).start()
    deadline = time.monotonic() + seconds
    results: dict[str, Result] = {}
    while len(results) < len(work):
        try:
            name, result = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        results[name] = result
    return results
