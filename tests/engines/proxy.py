"""What stands between an engine and a server, and breaks, holds or refuses where a test says so."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cachegrid.engines.valkey.slots import Endpoint
from tests.engines.servers import HOST

__all__ = ["Listener", "Proxy"]

PATIENCE = 10.0


class Listener:
    """Listens on loopback, and serves each connection with `serve` in a thread; all are gone at the end."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server((HOST, 0))
        # Small, or what is sent would seem to have arrived while it waits here.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0  # so many came
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return Endpoint(HOST, self.port)

    def url(self, user: str = "", options: str = "") -> str:
        """Names it as if it were a server; `user` is `name:password`."""
        return f"valkey://{user}{'@' if user else ''}{HOST}:{self.port}{options}"

    def cut(self) -> None:
        """Close every connection; new ones are welcome."""
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close every connection, and listen no more. May be called twice."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(PATIENCE)
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:  # closed
                return
            self.connections += 1
            thread = threading.Thread(target=self._run, args=[sock])
            self._threads.append(thread)
            with self._lock:
                self._open.add(sock)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                self._serve(sock)
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()


class Proxy(Listener):
    """
    Passes everything on between engines and the server at `port`, but for what a test says.

    A request is known by a word in it; what is said about it counts once.
    """

    def __init__(self, port: int) -> None:
        self._target = (HOST, port)
        self._lost: list[bytes] = []  # words of requests that never arrive
        self._unanswered: list[bytes] = []  # words of requests whose answers never arrive
        self._last: list[bytes] = []  # words of requests whose answers are the last on their connection
        self._held: dict[bytes, threading.Event] = {}  # words of requests whose answers wait
        self.pace = 0.0  # seconds that every 64 KiB takes on its way
        self.drip = 0.0  # seconds that every line of an answer takes
        self.reached = threading.Event()  # what was said about a request has happened
        self.holding = threading.Event()  # an answer is held
        self.requests: list[bytes] = []  # as they came
        super().__init__(self._pass_on)

    def lose(self, word: bytes) -> None:
        """Close the connection when the next request with this word comes; the server does not see it."""
        self.reached.clear()
        self._lost.append(word)

    def lose_answer(self, word: bytes) -> None:
        """Let the server answer the next request with this word, and close the connection instead of passing it on."""
        self.reached.clear()
        self._unanswered.append(word)

    def close_after(self, word: bytes) -> None:
        """Pass on the answer to the next request with this word, and the end of the connection right behind it."""
        self.reached.clear()
        self._last.append(word)

    def hold_answer(self, word: bytes) -> threading.Event:
        """Let the server answer the next request with this word, and pass that on when the event is set."""
        self.reached.clear()
        self.holding.clear()
        gate = self._held[word] = threading.Event()
        return gate

    def seen(self, word: bytes) -> int:
        """How often a word came in requests."""
        return b"".join(self.requests).count(word)

    def wait_for(self, word: bytes, count: int) -> None:
        """Wait until a word has come so often in requests."""
        deadline = time.monotonic() + PATIENCE
        while self.seen(word) < count:
            assert time.monotonic() < deadline, f"{word!r} did not come"
            time.sleep(0.002)

    def _pass_on(self, client: socket.socket) -> None:
        with socket.create_connection(self._target) as server:
            while True:
                readable, _, _ = select.select([client, server], [], [])
                if client in readable and not self._request(client, server):
                    return
                if server in readable:
                    answer = self._receive(server)
                    if not answer:
                        return
                    self._answer(client, answer)

    def _answer(self, client: socket.socket, answer: bytes) -> None:
        if not self.drip:
            client.sendall(answer)
            return
        for line in answer.splitlines(keepends=True):
            time.sleep(self.drip)  # a slow member
            client.sendall(line)

    def _receive(self, sock: socket.socket) -> bytes:
        if not self.pace:
            return sock.recv(1 << 20)
        time.sleep(self.pace)  # a slow network
        return sock.recv(1 << 16)

    def _request(self, client: socket.socket, server: socket.socket) -> bool:
        """Pass a request on; False if this was the last one on its connection."""
        request = self._receive(client)
        self.requests.append(request)
        if not request or _take(self._lost, request):
            self.reached.set()
            return False
        is_unanswered, is_last = _take(self._unanswered, request), _take(self._last, request)
        word = _word_in(list(self._held), request)
        gate = None if word is None else self._held.pop(word)
        server.sendall(request)
        if not is_unanswered and not is_last and gate is None:
            return True
        answer = server.recv(1 << 20)  # it is done there
        self.reached.set()
        if gate is not None:
            self.holding.set()
        if is_last or (gate is not None and gate.wait(PATIENCE)):
            client.sendall(answer)
        return gate is not None


def _take(words: list[bytes], request: bytes) -> bool:
    word = _word_in(words, request)
    if word is not None:
        words.remove(word)
    return word is not None


def _word_in(words: list[bytes], request: bytes) -> bytes | None:
    return next((word for word in words if word in request), None)
