"""A small HTTP proxy before a real S3 server, which does to requests and answers what a bad night does.

It forwards to a fixed address and leaves the Host header as the client has signed it, so signatures stay valid. Rules decide
by request; the first that matches and is not used up acts:

    proxy.when(part(2), lose_the_answer, times=1)
"""

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>made by a test</Message></Error>'
OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


class DroppedError(Exception):
    """The connection ends here, without another byte."""


@dataclass(frozen=True)
class Request:
    """What the client asks, as it came. The body is read by `read`."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    length: int
    read: Callable[[int], bytes] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query, keep_blank_values=True).items()}

    @property
    def key(self) -> str:
        return urlsplit(self.target).path.lstrip("/").partition("/")[2]

    @property
    def operation(self) -> str:
        """create, part, complete or abort of an upload; put, get, head or delete of an object; list or bucket."""
        if not self.key:
            return "list" if self.method == "GET" and "uploads" not in self.query else "bucket"
        if self.method == "POST":
            return "create" if "uploads" in self.query else "complete"
        if "uploadId" in self.query:
            return {"PUT": "part", "DELETE": "abort"}.get(self.method, "parts")
        return self.method.lower()

    def whole(self) -> "Request":
        """With its body in memory. Raises DroppedError when the client has gone before its end."""
        if self.body is not None:
            return self
        body = self.read(self.length)
        if len(body) < self.length:
            raise DroppedError
        return replace(self, body=body)


@dataclass(frozen=True)
class Answer:
    """What the client gets. With `cut_after`, the connection breaks after so many bytes of the body."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = field(default=b"", repr=False)
    cut_after: int | None = None

    def with_header(self, name: str, value: str) -> "Answer":
        others = [(given, old) for given, old in self.headers if given.lower() != name.lower()]
        return replace(self, headers=[*others, (name, value)])


Forward = Callable[[Request], Answer]
Act = Callable[[Request, Forward], Answer]
Match = Callable[[Request], bool]


# Which requests


def anything(request: Request) -> bool:
    return True


def operation(*names: str) -> Match:
    return lambda request: request.operation in names


def put_of(suffix: str) -> Match:
    """Of a small object whose key ends so."""
    return lambda request: request.operation == "put" and request.key.endswith(suffix)


def part(number: int) -> Match:
    return lambda request: request.operation == "part" and request.query["partNumber"] == str(number)


# What happens to them


def refuse(status: int, code: str) -> Act:
    """The store says no."""

    def act(request: Request, forward: Forward) -> Answer:
        request.whole()
        body = b"" if request.method == "HEAD" else ERROR.format(code=code).encode()
        return Answer(status, [("Content-Type", "application/xml")], body)

    return act


def web_server(status: int, page: bytes = b"<!doctype html><title>Welcome</title><br>") -> Act:
    """Something that speaks HTTP and is no store."""

    def act(request: Request, forward: Forward) -> Answer:
        request.whole()
        body = b"" if request.method == "HEAD" else page
        return Answer(status, [("Content-Type", "text/html"), ("Location", "https://127.0.0.1/")], body)

    return act


slow_down = refuse(503, "SlowDown")
deny = refuse(403, "AccessDenied")


def drop_inside(request: Request, forward: Forward) -> Answer:
    """The connection breaks in the middle of the body."""
    request.read(request.length // 2)
    raise DroppedError


def drop(request: Request, forward: Forward) -> Answer:
    """The connection breaks before the store has seen anything."""
    request.whole()
    raise DroppedError


def lose_the_answer(request: Request, forward: Forward) -> Answer:
    """The store does it, and nobody hears."""
    forward(request)
    raise DroppedError


def flip_a_bit(request: Request, forward: Forward) -> Answer:
    """One bit of the body arrives changed."""
    body = bytearray(request.whole().body or b"")
    body[len(body) // 2] ^= 1
    return forward(replace(request, body=bytes(body)))


def keep_half(request: Request, forward: Forward) -> Answer:
    """The second half of the body is lost, and the answer is as if it were not."""
    body = request.whole().body or b""
    return forward(replace(request, body=body[: len(body) // 2]))


def cut(after: int) -> Act:
    """The connection breaks in the answer, after so many bytes."""
    return lambda request, forward: replace(forward(request), cut_after=after)


def rename_header(old: str, new: str) -> Act:
    """An answer's header has another name, or other letters."""

    def act(request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        return replace(answer, headers=[(new if name.lower() == old else name, value) for name, value in answer.headers])

    return act


def slowly(bytes_per_second: int) -> Act:
    """The store takes the body at that rate."""

    def act(request: Request, forward: Forward) -> Answer:
        taken = bytearray()
        while len(taken) < request.length:
            piece = request.read(min(1 << 16, request.length - len(taken)))
            if not piece:
                raise DroppedError
            taken += piece
            time.sleep(len(piece) / bytes_per_second)
        return forward(replace(request, body=bytes(taken)))

    return act


@dataclass
class Rule:
    match: Match
    act: Act
    left: float = float("inf")
    used: int = 0


class Proxy:
    """Listens on a free port of this machine while it is entered; `endpoint` is its address."""

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self._upstream = (str(address.hostname), int(address.port or 80))
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self.seen: list[Request] = []  # all requests, without bodies
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def when(self, match: Match, act: Act, *, times: float = float("inf")) -> Rule:
        """Adds a rule; `used` of it counts how often it has acted."""
        self._rules.append(rule := Rule(match, act, times))
        return rule

    def heal(self) -> None:
        """No more faults."""
        self._rules.clear()

    def count(self, *operations: str) -> int:
        """How many requests of these kinds have come."""
        return sum(request.operation in operations for request in self.seen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.close_all()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: Request) -> Answer:
        """By the first rule that matches, else from the store."""
        with self._lock:
            self.seen.append(request)
            rule = next((rule for rule in self._rules if rule.left > 0 and rule.match(request)), None)
            if rule is not None:
                rule.left -= 1
                rule.used += 1
        return self._forward(request) if rule is None else rule.act(request, self._forward)

    def _forward(self, request: Request) -> Answer:
        connection = HTTPConnection(*self._upstream, timeout=60)
        try:
            body = request.whole().body or b""
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers:
                if name.lower() not in OF_THE_CONNECTION:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            got = connection.getresponse()
            headers = [(name, value) for name, value in got.getheaders() if name.lower() not in OF_THE_CONNECTION]
            if request.method == "HEAD":
                headers.append(("Content-Length", got.getheader("Content-Length", "0")))
            return Answer(got.status, headers, got.read())
        finally:
            connection.close()


class _Server(ThreadingHTTPServer):
    """Knows its connections, so that none outlives the test."""

    proxy: Proxy
    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._open: set[socket.socket] = set()

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        for request in list(self._open):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is no news here."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        request = Request(
            method=self.command,
            target=self.path,
            headers=list(self.headers.items()),
            length=int(self.headers.get("Content-Length", 0)),
            read=self.rfile.read,
        )
        try:
            self._send(self.server.proxy.answer(request))
        except DroppedError:
            self.close_connection = True

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _value in answer.headers):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.cut_after])
        if answer.cut_after is not None:
            raise DroppedError

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - as http.server looks for them

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def rewrite(text: bytes, pairs: dict[str, str]) -> bytes:
    """A body with some texts replaced."""
    return re.sub("|".join(map(re.escape, pairs)), lambda found: pairs[found[0]], text.decode()).encode() if pairs else text
