"""Whether the web can have its port, and who has it instead."""

import socket
from contextlib import suppress
from pathlib import Path

from ichrisbirch_site.embedded import EmbeddedError
from ichrisbirch_site.embedded.processes import PROC
from ichrisbirch_site.supervisor.roles import address

_NEXT = 50
_LISTENS = "0A"  # https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html


def require_free(host: str, port: int) -> None:
    """Raises EmbeddedError where nothing can listen there; says by whom a port is taken, and which is free."""
    error = _attempt(host, port)
    if error is None:
        return
    free = next((other for other in range(port + 1, min(port + _NEXT, 65_536)) if _attempt(host, other) is None), None)
    another = f"Choose another: icb up --port {free}" if free else "Choose another: icb up --port N"
    if isinstance(error, socket.gaierror):
        raise EmbeddedError(f"There is no address {host} on this machine.", hint="Choose another: icb up --host 127.0.0.1")
    if who := _holder(port):
        raise EmbeddedError(f"The port {port} of {host} is taken by {who}.", hint=another)
    raise EmbeddedError(f"The web can't listen at {address(host, port)}: {error.strerror}.", hint=another)


def _attempt(host: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(where)
    except OSError as error:
        return error
    return None


def _holder(port: int) -> str:
    """Who listens on the port, by id and the name of the program (its other words may hold secrets); empty if unknown."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{words[9]}]")
    for entry in PROC.glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile, or somebody else's
            if any(str(descriptor.readlink()) in inodes for descriptor in Path(entry, "fd").iterdir()):
                return f"process {entry.name} ({Path(entry, 'comm').read_text().strip()})"
    return ""
