"""Where the lines of the processes go: a terminal, each with the name of its process, or a log file for each."""

import os
import queue
import re
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Protocol, TextIO

from ichrisbirch_site.embedded import Home
from ichrisbirch_site.embedded.services import LOG_BYTES_KEPT
from ichrisbirch_site.supervisor.roles import ALL, BEAT, UPKEEP, WEB, WORKER

OURS = "icb"
_WIDTH = max(map(len, (*ALL, OURS))) + 1
_COLOURS = {WEB: "36", WORKER: "32", UPKEEP: "33", BEAT: "35", OURS: "1"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a log quotes what others have chosen; it must not steer a terminal
_LINES_WAITING = 10_000
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT
_GONE = "Nobody reads what icb up prints any more. It goes on: icb status shows it, icb down stops it.\n"


class Output(Protocol):
    """Takes lines. Never blocks, whoever reads them: a process whose output is not taken would stand still."""

    def line(self, name: str, text: str) -> None: ...
    def close(self) -> None: ...


class Terminal:
    """Standard output, through a thread that may be kept waiting. What it can't take meanwhile is counted and left out."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._waiting: queue.Queue[str | None] = queue.Queue(_LINES_WAITING)
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="output", daemon=True)
        self._thread.start()

    def line(self, name: str, text: str) -> None:
        before = [(OURS, f"{self._left_out} lines were left out: nobody took them.")] if self._left_out else []
        try:
            for one in (*before, (name, text)):
                self._waiting.put_nowait(self._prefixed(*one))
        except queue.Full:
            self._left_out += 1
        else:
            self._left_out = 0

    def close(self) -> None:
        """Writes what waits, but for no longer than some seconds."""
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
            self._thread.join(3)

    def _prefixed(self, name: str, text: str) -> str:
        label, bar = f"{name:<{_WIDTH}}", "│"
        if self._coloured:
            label, bar = f"\033[{_COLOURS[name]}m{label}", f"{bar}\033[0m"
        return f"{label}{bar} {_CONTROL.sub(chr(0xFFFD), text)}\n"

    def _write(self) -> None:
        while (text := self._waiting.get()) is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                break
        else:
            return
        # Backups that go on unseen are better than none.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            sys.stderr.write(_GONE)
            sys.stderr.flush()
        while self._waiting.get() is not None:
            pass


class Logs:
    """A file for each process, and one of ours; each keeps its last megabytes."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._files: dict[str, IO[bytes]] = {}

    def line(self, name: str, text: str) -> None:
        if name == OURS:
            text = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {text}"
        with suppress(OSError):  # a full disk must not end what makes backups
            self._file("up" if name == OURS else name).write(f"{_CONTROL.sub(chr(0xFFFD), text)}\n".encode())

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _file(self, word: str) -> IO[bytes]:
        file = self._files.get(word)
        if file is not None and file.tell() > LOG_BYTES_KEPT:
            file.close()
            path = self._home.log(word)
            path.replace(path.with_suffix(".old.log"))
            file = None
        if file is None:
            path = self._home.log(word)
            self._home.make(path.parent)
            file = self._files[word] = os.fdopen(os.open(path, _APPENDING, 0o600), "ab", buffering=0)
            self._home.give_to_owner(path)
        return file
