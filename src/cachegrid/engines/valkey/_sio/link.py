# hand-written in both colours
"""A member as seen from here: a pool of connections, each carrying one request at a time."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from libvalkey import ProtocolError, Reader

from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Hello, Target, read_greeting
from cachegrid.engines.valkey.trouble import LinkError
from cachegrid.errors import Unsupported

__all__ = ["SyncExchange", "SyncLink"]

_NOTHING = object()  # the reader's word for "the reply is not complete yet"
_CHUNK = 65_536
_LARGE_CHUNK = 1 << 20
_KEPT = 64  # idle connections; more than that are closed when they come back


class _Wire:
    """One connection. Whoever took it from the pool has it alone."""

    __slots__ = ("_bell", "_chunk", "_reader", "_recv", "send", "sock")

    def __init__(self, sock: socket.socket, bell: Callable[[], None]) -> None:
        self.sock = sock
        self.send = sock.sendall
        self._recv = sock.recv
        self._bell = bell
        self._reader = Reader(notEnoughData=_NOTHING)
        self._chunk = _CHUNK

    def read(self) -> object:
        """The next reply. Bells that rang before it have been told by then."""
        reader = self._reader
        while True:
            reply = reader.gets()
            if reply is _NOTHING:
                received = self._recv(self._chunk)
                if not received:
                    raise ConnectionResetError("the member closed the connection")
                # A reply that fills the buffer is a large one: fetch the rest in larger pieces.
                self._chunk = _LARGE_CHUNK if len(received) == self._chunk else _CHUNK
                reader.feed(received)
            elif reply.__class__ is list and len(reply) == 2 and reply[0] == b"invalidate":
                self._bell()
            else:
                return reply

    def is_alive(self) -> bool:
        """Whether the member has not closed the connection, as far as is known here."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except (OSError, ValueError):  # TLS sockets refuse flags: taken for dead, and made anew
            return False

    def wait_at_most(self, seconds: float) -> None:
        """Set how long one answer may take."""
        if self.sock.gettimeout() is not None:
            self.sock.settimeout(seconds)
            return
        # The kernel's own time-outs: Python's would cost a poll() before each send and receive.
        limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


class SyncLink:
    """A member as seen from here. Threads share it."""

    def __init__(self, endpoint: Endpoint, target: Target, bell: Callable[[], None], *, readonly: bool = False) -> None:
        self.endpoint = endpoint
        self.hello: Hello | None = None
        self._target, self._bell, self._readonly = target, bell, readonly
        self._idle: list[_Wire] = []
        self._closed = False

    def call(self, request: bytes) -> object:
        """Send one request and wait for its reply; an error reply is returned, not raised. Raises LinkError."""
        try:
            wire = self._idle.pop()
        except IndexError:
            wire = self._open()
        sent = False
        try:
            wire.send(request)
            sent = True
            reply = wire.read()
        except BaseException as error:
            raise self._broken(wire, error, sent=sent) from error
        if self._closed:
            wire.sock.close()
        else:
            self._idle.append(wire)
        return reply

    def call_once(self, request: bytes) -> object:
        """The same for a request that must not be repeated: first see that the connection is alive."""
        while self._idle:
            try:
                wire = self._idle.pop()
            except IndexError:
                break
            if wire.is_alive():
                self._idle.append(wire)
                break
            wire.sock.close()
        return self.call(request)

    def begin(self, request: bytes, count: int) -> SyncExchange:
        """Send requests that have `count` replies; `finish` waits for them, so that several members work at once."""
        try:
            wire = self._idle.pop()
        except IndexError:
            wire = self._open()
        try:
            wire.send(request)
        except BaseException as error:
            raise self._broken(wire, error, sent=True) from error
        return SyncExchange(self, wire, count)

    def connect(self) -> Hello:
        """Make sure that the member answers; what it says of itself."""
        if self.hello is None or not self._idle:
            self._put_back(self._open())
        hello = self.hello
        assert hello is not None  # noqa: S101 - set by _open
        return hello

    def close(self) -> None:
        """Close every connection; those in use are closed when they come back."""
        self._closed = True
        self._drain()

    def forget(self) -> None:
        """In a forked child: let go of the parent's connections without a word to the member."""
        self._drain()

    def _open(self) -> _Wire:
        try:
            sock = _dial(self.endpoint, self._target)
        except OSError as error:
            raise LinkError(self.endpoint, _reason(error), sent=False) from error
        wire = _Wire(sock, self._bell)
        try:
            wire.wait_at_most(self._target.patience)
            greeting, count = self._target.greeting(readonly=self._readonly)
            wire.send(greeting)
            replies = [wire.read() for _ in range(count)]
            self.hello = read_greeting(replies, self.endpoint)
        except ProtocolError as error:
            sock.close()
            raise Unsupported(
                f"{self.endpoint} does not speak the Valkey protocol; is it the right port?", where=str(self.endpoint)
            ) from error
        except OSError as error:
            sock.close()
            raise LinkError(self.endpoint, _reason(error), sent=False) from error
        except BaseException:
            sock.close()
            raise
        # Bells that rang before this connection listened were not heard on it.
        self._bell()
        return wire

    def _put_back(self, wire: _Wire) -> None:
        if self._closed or len(self._idle) >= _KEPT:
            wire.sock.close()
        else:
            self._idle.append(wire)

    def _broken(self, wire: _Wire, error: BaseException, *, sent: bool) -> BaseException:
        wire.sock.close()
        if not isinstance(error, (OSError, ProtocolError)):
            return error
        # When one connection breaks the others of that member are not to be trusted either.
        self._drain()
        return LinkError(self.endpoint, _reason(error), sent=sent)

    def _drain(self) -> None:
        while self._idle:
            try:
                self._idle.pop().sock.close()
            except IndexError:
                return


class SyncExchange:
    """Requests that are on their way."""

    __slots__ = ("_count", "_link", "_wire")

    def __init__(self, link: SyncLink, wire: _Wire, count: int) -> None:
        self._link, self._wire, self._count = link, wire, count

    def finish(self) -> list[object]:
        """The replies, in order; error replies stand among them. Raises LinkError."""
        read = self._wire.read
        try:
            replies = [read() for _ in range(self._count)]
        except BaseException as error:
            raise self._link._broken(self._wire, error, sent=True) from error  # noqa: SLF001 - two halves of one thing
        self._link._put_back(self._wire)  # noqa: SLF001
        return replies


def _dial(endpoint: Endpoint, target: Target) -> socket.socket:
    """A connected socket: blocking with the kernel's time-outs, or with Python's where TLS needs them."""
    if endpoint.port == 0:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(target.patience)
            sock.connect(endpoint.host)
        except BaseException:
            sock.close()
            raise
    else:
        sock = socket.create_connection(endpoint, timeout=target.patience)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if target.context is not None:
        try:
            return target.context.wrap_socket(sock, server_hostname=endpoint.host)
        except BaseException:
            sock.close()
            raise
    sock.settimeout(None)
    return sock


def _reason(error: BaseException) -> str:
    if isinstance(error, (BlockingIOError, TimeoutError)):
        return "no answer in time"
    return str(error) or type(error).__name__
