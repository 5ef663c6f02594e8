# hand-written in both colours
"""One connection to a member: what is written to a socket and read from it."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import cast

from libvalkey import Reader

from cachegrid.engines.valkey.bell import Bell
from cachegrid.engines.valkey.dialling import wait_at_most

__all__ = ["Overdue", "SyncWire"]

_NOTHING = object()  # the reader's word for "the reply is not complete yet"
_CHUNK = 65_536
_LARGE_CHUNK = 1 << 20
_NEVER = float("inf")
_HUNG_UP = getattr(select, "POLLRDHUP", 0)  # where the system can tell the end from what comes before it


class Overdue(TimeoutError):
    """Something has come, but not all that was asked for, and there is no time left."""


class SyncWire:
    """
    One connection. Whoever took it from the pool has it alone.

    `limit` is how many seconds one waits for an answer, `moment` how many before another member is asked instead.
    """

    __slots__ = ("__weakref__", "_bell", "_chunk", "_limit", "_moment", "_reader", "_recv", "send", "sock")

    def __init__(self, sock: socket.socket, bell: Bell, limit: float, moment: float) -> None:
        self.sock = sock
        self.send: Callable[[bytes], object] = sock.sendall
        self._recv: Callable[[int], bytes] = sock.recv
        self._bell = bell
        self._reader = Reader(notEnoughData=_NOTHING)
        self._chunk = _CHUNK
        self._moment = moment
        self.wait_at_most(limit)
        if isinstance(sock, ssl.SSLSocket):  # which has one time-out for both ways
            self.send, self._recv = self._send_tls, self._recv_tls

    def read(self, seconds: float) -> object:
        """
        The next reply. Bells that rang before it have been told by then.

        Waits for a moment only: who meets a time-out asks somebody else, or goes on waiting with `read_many`. What
        comes in pieces is waited for, for about so many seconds; then raises Overdue.
        """
        reply = self._reader.gets()
        if reply is _NOTHING:
            self._receive()
            reply = self._reader.gets()
        if reply is _NOTHING or _is_bell(reply):  # else there is no need to look at the clock
            return self._read_on(reply, time.monotonic() + seconds)
        return reply

    def read_many(self, count: int, replies: list[object], ends: float, *, is_eager: bool = False) -> list[object]:
        """
        `replies`, with more behind them, until they are `count`. Bells that rang before have been told by then.

        Waits for each as long as was set, or for a moment if `is_eager`; then what has come is among `replies`. Raises
        Overdue where they are not all there at `ends`, in the monotonic clock's seconds.
        """
        gets, has_received = self._reader.gets, False
        while True:
            replies += iter(gets, _NOTHING)
            if list in map(type, replies):  # a bell, perhaps; looked for once, not at each reply
                for reply in filter(_is_bell, replies):
                    self._bell(cast("list[object]", reply)[1])
                replies[:] = [reply for reply in replies if not _is_bell(reply)]
            if len(replies) >= count:
                return replies
            if has_received:
                _see_time(ends)
            self._receive(is_eager=is_eager, ends=ends)
            has_received = True

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

    def has_word(self) -> bool:
        """Whether something has come, if only the end."""
        watch = select.poll()
        watch.register(self.sock, select.POLLIN | _HUNG_UP)
        return bool(watch.poll(0))

    def wait_at_most(self, seconds: float) -> None:
        """Set how long one answer may take."""
        self._limit = seconds
        wait_at_most(self.sock, seconds, receive=min(seconds, self._moment))

    def _read_on(self, reply: object, ends: float) -> object:
        while True:
            if reply is _NOTHING:
                _see_time(ends)
                self._receive()
            elif _is_bell(reply):
                self._bell(cast("list[object]", reply)[1])
            else:
                return reply
            reply = self._reader.gets()

    def _receive(self, *, is_eager: bool = True, ends: float = _NEVER) -> None:
        waited = 0.0
        while True:
            try:
                received = self._recv(self._chunk)
                break
            except (BlockingIOError, TimeoutError):
                waited += self._moment
                if is_eager or waited >= self._limit:
                    raise
                _see_time(ends)
        if not received:
            raise ConnectionResetError("the member closed the connection")
        # What fills the buffer is a large reply: fetch the rest in larger pieces.
        self._chunk = _LARGE_CHUNK if len(received) == self._chunk else _CHUNK
        self._reader.feed(received)

    def _send_tls(self, request: bytes) -> None:
        self.sock.settimeout(self._limit)
        self.sock.sendall(request)

    def _recv_tls(self, size: int) -> bytes:
        self.sock.settimeout(min(self._limit, self._moment))
        return self.sock.recv(size)

    def _hears(self) -> bool:
        """Whether what has come is not the end."""
        if not isinstance(self.sock, ssl.SSLSocket):
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        # TLS cannot peek: what is there is taken, for whoever reads next.
        self.sock.settimeout(0)
        try:
            received = self.sock.recv(_CHUNK)
        except ssl.SSLWantReadError:  # no more than TLS has to say to itself
            return True
        except OSError:
            return False
        finally:
            self.sock.settimeout(self._limit)
        self._reader.feed(received)
        return bool(received)


def _see_time(ends: float) -> None:
    if time.monotonic() >= ends:
        raise Overdue


def _is_bell(reply: object) -> bool:
    return reply.__class__ is list and len(reply) == 2 and reply[0] == b"invalidate"  # type: ignore[arg-type, index]
