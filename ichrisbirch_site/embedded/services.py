"""Starts, stops and describes the embedded services of a home, whatever state it finds them in."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ichrisbirch_site.embedded import processes
from ichrisbirch_site.embedded.errors import EmbeddedError
from ichrisbirch_site.embedded.home import Home, port_is_free
from ichrisbirch_site.embedded.postgres import PostgreSQL
from ichrisbirch_site.embedded.processes import Process
from ichrisbirch_site.embedded.s3 import S3

READY_WITHIN_SECONDS = 60
LOG_BYTES_KEPT = 5_000_000

Say = Callable[[str], None]


class Server(Protocol):
    """What PostgreSQL and the S3 server have in common."""

    @property
    def name(self) -> str: ...
    @property
    def word(self) -> str: ...
    @property
    def home(self) -> Home: ...
    @property
    def port(self) -> int: ...
    @property
    def data(self) -> Path: ...
    def title(self) -> str: ...
    def answers(self) -> bool: ...
    def prepare(self) -> None: ...
    def clear(self) -> None: ...
    def spawn(self) -> Process | None: ...
    def finish(self) -> None: ...
    def stop(self, process: Process) -> bool: ...
    def move_to_another_port(self) -> None: ...


@dataclass(frozen=True)
class State:
    """What is known of a server: its process if it lives, and whether it got ready once (database made, password accepted)."""

    process: Process | None
    ready: bool


def all_of(home: Home) -> list[Server]:
    return [PostgreSQL(home), S3(home)]


def ensure(servers: Iterable[Server], *, say: Say) -> None:
    """Starts those that do not run, and returns when all are ready. Some milliseconds when all are.

    Two commands at once start one server. Raises EmbeddedError, with the end of the log, when one does not get ready in 60 s.
    """
    for server in servers:
        if not is_up(server):
            with server.home.lock(server.word):
                if not is_up(server):
                    _start(server, say=say)


def is_up(server: Server) -> bool:
    """Whether our own server is there and answers."""
    state = state_of(server)
    return bool(state.ready and state.process and server.answers())


def state_of(server: Server) -> State:
    try:
        content = json.loads(server.home.pid_file(server.word).read_text())
        process = Process(int(content["pid"]), str(content["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return State(None, ready=False)
    alive = process.is_alive()
    return State(process if alive else None, ready=alive and content.get("ready") is True)


def stop(server: Server) -> bool:
    """Stops the server if it runs; tells whether it did. Raises EmbeddedError when it does not stop."""
    if not server.home.exists():
        return False
    with server.home.lock(server.word):
        process = state_of(server).process
        if process and not server.stop(process):
            raise EmbeddedError(f"{server.title()} (process {process.pid}) does not stop.", hint=f"End it: kill -9 {process.pid}")
        server.home.pid_file(server.word).unlink(missing_ok=True)
    return process is not None


def _start(server: Server, *, say: Say) -> None:
    server.prepare()
    for _ in range(3):
        found = state_of(server).process
        process = found or _spawn(server, say=say)
        if not _comes_up(server, process):
            raise _not_ready(server, f"{server.title()} runs, but is not ready after {READY_WITHIN_SECONDS} s.")
        if process.is_alive():
            server.finish()
            _remember(server, process, ready=True)
            return
        # One that was found may just have been dying; and somebody may have taken the port since we looked.
        if found is None and port_is_free(server.port):
            raise _not_ready(server, f"{server.title()} ended while it started.")
    raise _not_ready(server, f"{server.title()} ended three times while it started.")


def _comes_up(server: Server, process: Process) -> bool:
    """Waits until the server answers or is gone; False when it does neither in time."""
    return processes.wait_until(lambda: server.answers() or not process.is_alive(), seconds=READY_WITHIN_SECONDS)


def _spawn(server: Server, *, say: Say) -> Process:
    """Starts the process, on another port when somebody else has taken its own."""
    say(f"Starting {server.title()} …")
    log = server.home.log(server.word)
    server.home.make(log.parent)
    if log.exists() and log.stat().st_size > LOG_BYTES_KEPT:
        log.replace(log.with_suffix(".old.log"))
    log.touch(mode=0o600)
    server.home.give_to_owner(log)
    server.clear()
    if not port_is_free(server.port):
        server.move_to_another_port()
    process = server.spawn()
    if process is None:
        raise _not_ready(server, f"{server.title()} ended at once.")
    _remember(server, process, ready=False)
    return process


def _remember(server: Server, process: Process, *, ready: bool) -> None:
    content = {"pid": process.pid, "started": process.started, "ready": ready}
    server.home.write(server.home.pid_file(server.word), json.dumps(content) + "\n")


def _not_ready(server: Server, message: str) -> EmbeddedError:
    log = server.home.log(server.word)
    hint = f"The whole log is {log}. Try again; if it stays so: icb down, then icb up."
    return EmbeddedError(message, detail=processes.end_of(log), hint=hint)


def status(server: Server) -> dict[str, Any]:
    """What a person or a script wants to know of a server; sizes in bytes."""
    state = state_of(server)
    return {
        "name": server.title(),
        "running": bool(state.process) and server.answers(),
        "pid": state.process.pid if state.process else None,
        "host": "127.0.0.1",
        "port": server.port,
        "folder": str(server.data),
        "size_bytes": size_of(server.data),
        "log": str(server.home.log(server.word)),
    }


def size_of(folder: Path) -> int:
    """Bytes on the disk of all files in a folder; files that vanish meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:
            continue
    return total
