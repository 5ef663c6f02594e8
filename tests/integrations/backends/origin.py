"""A server whose answers are worth keeping, or not; it counts how often it was asked."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["Origin"]

_SAYS: Final[dict[str, dict[str, str]]] = {
    "/fresh": {"Cache-Control": "max-age=60"},
    "/private": {"Cache-Control": "no-store"},
    "/known": {"Cache-Control": "max-age=0", "ETag": '"1"'},
    "/spoken": {"Cache-Control": "max-age=60", "Vary": "Accept-Language"},
    "/large": {"Cache-Control": "max-age=60"},
}


class Origin:
    """At a free port of this host, until the end of `with`."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()  # paths, with the status they were answered with
        self._server = _Server(("127.0.0.1", 0), type("Bound", (_Handler,), {"asked": self.asked}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that go before they have read all."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: Counter[str]

    def do_GET(self) -> None:
        """Answer as the path says."""
        headers = _SAYS[self.path]
        is_known = headers.get("ETag") == self.headers.get("If-None-Match", "none")
        status = 304 if is_known else 200
        self.asked[f"{self.path} {status}"] += 1
        body = b"" if is_known else self._text().encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _text(self) -> str:
        if self.path == "/large":
            return "x" * 100_000
        number = sum(count for path, count in self.asked.items() if path.startswith(f"{self.path} "))
        return f"{self.path} {self.headers.get('Accept-Language', '')} {number}"

    def do_DELETE(self) -> None:
        """Whatever it was, it is another one now."""
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the standard library
        """Say nothing."""
