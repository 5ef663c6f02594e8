# hand-written in both colours
"""A member as seen from here: a pool of connections, each carrying one request at a time."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable

from libvalkey import ProtocolError, Reader

from cachegrid.engines.valkey.commands import HEALTH
from cachegrid.engines.valkey.dialling import dial, wait_at_most
from cachegrid.engines.valkey.facts import read_health
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Hello, Target, foreign, read_greeting
from cachegrid.engines.valkey.trouble import PROOF_KEPT, CutOff, LinkError, Silence, closed_here, reason_of

__all__ = ["SyncExchange", "SyncLink"]

_NOTHING = object()  # the reader's word for "the reply is not complete yet"
_CHUNK = 65_536
_LARGE_CHUNK = 1 << 20
_KEPT = 64  # idle connections; more than that are closed when they come back
_SILENT = "no answer in time"
_NEVER = float("inf")
_HUNG_UP = getattr(select, "POLLRDHUP", 0)  # where the system can tell the end from what comes before it


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
                self._receive()
            elif _is_bell(reply):
                self._bell()
            else:
                return reply

    def read_many(self, count: int) -> list[object]:
        """The next `count` replies. Bells that rang before them have been told by then."""
        gets = self._reader.gets
        replies: list[object] = []
        while True:
            replies += iter(gets, _NOTHING)
            if list in map(type, replies):  # a bell, perhaps; looked for once, not at each reply
                rung = [reply for reply in replies if _is_bell(reply)]
                replies = [reply for reply in replies if not _is_bell(reply)]
                for _ in rung:
                    self._bell()
            if len(replies) >= count:
                return replies
            self._receive()

    def _receive(self) -> None:
        received = self._recv(self._chunk)
        if not received:
            raise ConnectionResetError("the member closed the connection")
        # What fills the buffer is a large reply: fetch the rest in larger pieces.
        self._chunk = _LARGE_CHUNK if len(received) == self._chunk else _CHUNK
        self._reader.feed(received)

    def is_alive(self) -> bool:
        """Whether the member has not closed the connection, as far as is known here."""
        watch = select.poll()
        watch.register(self.sock, select.POLLIN | _HUNG_UP)
        for _, events in watch.poll(0):
            if events & ~select.POLLIN:
                return False
            if not _HUNG_UP:  # something has come: a bell, or the end
                return self._hears()
        return True

    def _hears(self) -> bool:
        """Whether what has come is not the end."""
        if not isinstance(self.sock, ssl.SSLSocket):
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        # TLS cannot peek: what is there is taken, for whoever reads next.
        patience = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:
            received = self.sock.recv(_CHUNK)
        except ssl.SSLWantReadError:  # no more than TLS has to say to itself
            return True
        except OSError:
            return False
        finally:
            self.sock.settimeout(patience)
        self._reader.feed(received)
        return bool(received)

    def wait_at_most(self, seconds: float) -> None:
        """Set how long one answer may take."""
        wait_at_most(self.sock, seconds)


def _is_bell(reply: object) -> bool:
    return reply.__class__ is list and len(reply) == 2 and reply[0] == b"invalidate"  # type: ignore[arg-type, index]


class SyncLink:
    """A member as seen from here. Threads share it."""

    def __init__(self, endpoint: Endpoint, target: Target, bell: Callable[[], None], *, readonly: bool = False) -> None:
        self.endpoint = endpoint
        self.hello: Hello | None = None
        self._target, self._bell, self._readonly = target, bell, readonly
        self._silence = Silence(target.patience)
        self._idle: list[_Wire] = []
        self._closed = False
        self._proved_until = _NEVER if readonly else 0.0  # seconds, monotonic; after that see `_prove`

    def call(self, request: bytes) -> object:
        """Send one request and wait for its reply; an error reply is returned, not raised. Raises LinkError."""
        if time.monotonic() > self._proved_until:
            return self._prove(request, 1)[0]
        try:
            wire = self._idle.pop()
        except IndexError:
            wire = None  # not opened here: an error on the way would seem to come of this one
        if wire is None:
            wire = self._open(self._target.patience)
        sent = False
        try:
            wire.send(request)
            sent = True
            reply = wire.read()
        except BaseException as error:
            self._break(wire, error, sent=sent)
            raise
        if self._closed or len(self._idle) >= _KEPT:
            wire.sock.close()
        else:
            self._idle.append(wire)
        return reply

    def call_once(self, request: bytes) -> object:
        """The same for a request that must not be repeated: first see that the connection is alive."""
        patience = self._target.patience
        return self._exchange(self._living(patience), request, 1, patience)[0]

    def call_within(self, seconds: float, request: bytes, count: int = 1) -> list[object]:
        """
        Send requests that have `count` replies on a connection that is alive, and wait for each at most `seconds`.

        For when there is no hurry, but little time left. Error replies are returned. Raises LinkError.
        """
        patience = self._target.patience
        wire = self._living(min(seconds, patience))
        if seconds < patience:
            wire.wait_at_most(seconds)
        return self._exchange(wire, request, count, min(seconds, patience))

    def begin(self, request: bytes, count: int, *, once: bool = False) -> SyncExchange:
        """
        Send requests that have `count` replies; `finish` waits for them, so that several members work at once.

        Where one must not be repeated, `once`: first see that the connection is alive.
        """
        if time.monotonic() > self._proved_until:
            self._prove(b"", 0)
        patience = self._target.patience
        wire = self._living(patience) if once else self._taken() or self._open(patience)
        try:
            wire.send(request)
        except BaseException as error:
            self._break(wire, error, sent=True)
            raise
        return SyncExchange(self, wire, count)

    def doubt(self) -> None:
        """Somebody heard that the member is cut off from the others: let the next request ask it."""
        self._proved_until = min(self._proved_until, 0.0)

    def trust(self) -> None:
        """Let the next requests not ask: the routes have just been learned."""
        if self._proved_until < _NEVER:
            self._proved_until = time.monotonic() + PROOF_KEPT

    def connect(self, seconds: float) -> Hello:
        """Make sure, within so many seconds, that the member answers; what it says of itself."""
        if self.hello is None or not self._idle:
            self._put_back(self._open(min(seconds, self._target.patience)))
        hello = self.hello
        assert hello is not None  # noqa: S101 - set by _open
        return hello

    def close(self) -> None:
        """Close every connection, for good; those in use are closed when they come back."""
        self._closed = True
        self._drain()

    def forget(self) -> None:
        """In a forked child: let go of the parent's connections without a word to the member."""
        self._drain()

    def _prove(self, request: bytes, count: int) -> list[object]:
        """
        Ask the member, in the same trip as something else, whether it is with the others. Raises CutOff if it is not.

        It would answer reads, though others may have put another one in its place by now, who takes the writes.
        """
        patience = self._target.patience
        self._proved_until = time.monotonic() + PROOF_KEPT  # others need not ask as well
        try:
            if not self.connect(patience).clustered:
                self._proved_until = _NEVER
                return self._exchange(self._taken() or self._open(patience), request, count, patience)
            wire = self._taken() or self._open(patience)
            health, *replies = self._exchange(wire, HEALTH + request, 1 + count, patience)
            if not read_health(health).is_well:
                raise CutOff(self.endpoint)
        except BaseException:
            self._proved_until = 0.0
            raise
        return replies

    def _living(self, seconds: float) -> _Wire:
        """A connection that is alive as far as is known here."""
        while wire := self._taken():
            if wire.is_alive():
                return wire
            wire.sock.close()
        return self._open(seconds)

    def _taken(self) -> _Wire | None:
        """An idle connection, if there is one."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _exchange(self, wire: _Wire, request: bytes, count: int, seconds: float) -> list[object]:
        """Send and read on a connection on which one waits so many seconds, and put it back as it was."""
        sent = False
        try:
            wire.send(request)
            sent = True
            replies = [wire.read() for _ in range(count)]
            if seconds < self._target.patience:
                wire.wait_at_most(self._target.patience)
        except BaseException as error:
            self._break(wire, error, sent=sent, waited=seconds)
            raise
        self._put_back(wire)
        return replies

    def _open(self, seconds: float) -> _Wire:
        if self._closed:
            raise closed_here(self.endpoint)
        if not self._silence.may_try(time.monotonic()):
            raise LinkError(self.endpoint, f"{_SILENT}, a moment ago", sent=False)
        try:
            sock = dial(self.endpoint, self._target, seconds)
        except OSError as error:
            raise self._trouble(error, sent=False, waited=seconds) from error
        wire = _Wire(sock, self._bell)
        try:
            wire.wait_at_most(seconds)
            self._greet(wire, seconds)
            wire.wait_at_most(self._target.patience)
        except ProtocolError as error:
            sock.close()
            raise foreign(self.endpoint) from error
        except OSError as error:
            sock.close()
            raise self._trouble(error, sent=False, waited=seconds) from error
        except BaseException:
            sock.close()
            raise
        self._silence.end()
        # Bells that rang before this connection listened were not heard on it.
        self._bell()
        return wire

    def _greet(self, wire: _Wire, seconds: float) -> None:
        greeting, count = self._target.greeting(readonly=self._readonly)
        replies: list[object] = []
        try:
            wire.send(greeting)
            while len(replies) < count:
                replies.append(wire.read())
        except OSError as error:
            # A member that has no room for us says so, and closes the connection.
            replies.append(self._trouble(error, sent=False, waited=seconds))
        self.hello = read_greeting(replies, self.endpoint)

    def _put_back(self, wire: _Wire) -> None:
        if self._closed or len(self._idle) >= _KEPT:
            wire.sock.close()
        else:
            self._idle.append(wire)

    def _break(self, wire: _Wire, error: BaseException, *, sent: bool, waited: float | None = None) -> None:
        """Close a connection on which something went wrong. Raises LinkError if that was the connection's fault."""
        wire.sock.close()
        if isinstance(error, (OSError, ProtocolError)):
            raise self._trouble(error, sent=sent, waited=waited or self._target.patience) from error

    def _trouble(self, error: OSError | ProtocolError, *, sent: bool, waited: float) -> LinkError:
        is_silent = isinstance(error, (BlockingIOError, TimeoutError))
        if not is_silent:
            self._silence.end()
        elif waited >= self._target.patience:  # else there was no time left, which says nothing about the member
            self._silence.note(time.monotonic())
        if not is_silent or self._silence.is_on:
            # When one connection breaks the others of that member are not to be trusted either.
            self._drain()
        return LinkError(
            self.endpoint, _SILENT if is_silent else reason_of(error), sent=sent, waited=waited * is_silent
        )

    def _drain(self) -> None:
        while wire := self._taken():
            wire.sock.close()


class SyncExchange:
    """Requests that are on their way."""

    __slots__ = ("_count", "_link", "_wire")

    def __init__(self, link: SyncLink, wire: _Wire, count: int) -> None:
        self._link, self._wire, self._count = link, wire, count

    def finish(self, *, keep: bool = False) -> list[object]:
        """
        The replies, in order; error replies stand among them. Raises LinkError.

        With `keep` the connection stays at hand for `again`, until `end`.
        """
        try:
            replies = self._wire.read_many(self._count)
        except BaseException as error:
            self._link._break(self._wire, error, sent=True)  # noqa: SLF001 - two halves of one thing
            raise
        if not keep:
            self._link._put_back(self._wire)  # noqa: SLF001
        return replies

    def again(self, request: bytes, count: int) -> SyncExchange:
        """Send more on the very same connection, and no other. Raises LinkError."""
        try:
            self._wire.send(request)
        except BaseException as error:
            self._link._break(self._wire, error, sent=True)  # noqa: SLF001
            raise
        return SyncExchange(self._link, self._wire, count)

    def end(self) -> None:
        """Let others have the connection, after an exchange that was to `keep` it. An error has closed it already."""
        if self._wire.sock.fileno() >= 0:
            self._link._put_back(self._wire)  # noqa: SLF001

    def abandon(self) -> None:
        """Nobody will wait for the replies."""
        self._wire.sock.close()
