"""A receiver of messages and pings on loopback: an HTTP server that keeps what it gets, refuses, or hangs, as a test wants."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TOKEN = "Tok3nThatNobodyMaySee"


@dataclass
class Got:
    """One request."""

    path: str
    body: str

    @property
    def json(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.body)
        return made


@dataclass
class HTTPReceiver:
    """Answers with `status`; while `hangs`, with a byte of a header now and then, for ever."""

    status: int = 200
    hangs: bool = False
    got: list[Got] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        receiver = self
        self._over = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                if receiver.hangs:
                    self._trickle()
                    return
                receiver.got.append(Got(self.path, body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _trickle(self) -> None:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                while not receiver._over.wait(0.2):
                    self.wfile.write(b"x")

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:  # whoever asked has gone
                    self.close_connection = True

            def log_message(self, *_words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """As apprise has it: with a secret in its path and as its password."""
        return f"json://me:{TOKEN}-password@127.0.0.1:{self.port}/hooks/{TOKEN}"

    @property
    def ping_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{TOKEN}"

    @property
    def titles(self) -> list[str]:
        return [one.json["title"] for one in self.got]
