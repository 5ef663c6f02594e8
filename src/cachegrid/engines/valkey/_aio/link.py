# hand-written in both colours
"""A member as seen from here: one connection that all tasks share, written once per turn of the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from libvalkey import ProtocolError, Reader

from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Hello, Target, read_greeting
from cachegrid.engines.valkey.trouble import LinkError
from cachegrid.errors import CacheError, Unsupported

__all__ = ["AsyncExchange", "AsyncLink"]

_NOTHING = object()  # the reader's word for "the reply is not complete yet"


class AsyncExchange:
    """Requests that are on their way."""

    __slots__ = ("_count", "_future", "_replies")

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self._future: asyncio.Future[list[object]] = loop.create_future()
        self._count, self._replies = count, list[object]()

    async def finish(self) -> list[object]:
        """The replies, in order; error replies stand among them. Raises LinkError."""
        return await self._future

    def add(self, reply: object) -> bool:
        """Take the next reply; True if it was the last one."""
        self._replies.append(reply)
        if len(self._replies) < self._count:
            return False
        if not self._future.done():
            self._future.set_result(self._replies)
        return True

    def fail(self, error: BaseException) -> None:
        """End the wait with an error."""
        if not self._future.done():
            self._future.set_exception(error)
            self._future.exception()  # seen, even when nobody waits any more


class _Wire(asyncio.Protocol):
    """One connection: requests of all tasks go out in one write per turn, replies come back in order."""

    def __init__(self, endpoint: Endpoint, patience: float, bell: Callable[[], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.broken = False
        self._endpoint, self._patience, self._bell = endpoint, patience, bell
        self._waiting: deque[asyncio.Future[object] | AsyncExchange] = deque()
        self._out: list[bytes] = []
        self._reader = Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._heard = self.loop.time()
        self._watch: asyncio.TimerHandle | None = None
        self._room: asyncio.Future[None] | None = None  # set while the transport's buffer is full

    # What tasks do.

    def send(self, request: bytes) -> asyncio.Future[object]:
        """Queue one request; the future gets its reply."""
        future = self.loop.create_future()
        self._queue(request, future)
        return future

    def send_many(self, request: bytes, count: int) -> AsyncExchange:
        """Queue requests that have `count` replies."""
        exchange = AsyncExchange(self.loop, count)
        self._queue(request, exchange)
        return exchange

    async def room(self) -> None:
        """Wait while more is on its way than the member takes."""
        while self._room is not None:
            await asyncio.shield(self._room)

    @property
    def is_full(self) -> bool:
        """Whether `room` would wait."""
        return self._room is not None

    def fail(self, reason: str) -> None:
        """Break the connection, and tell everyone who waits on it."""
        if self.broken:
            return
        self.broken = True
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._resume()
        error = LinkError(self._endpoint, reason, sent=True)
        while self._waiting:
            waiter = self._waiting.popleft()
            if isinstance(waiter, AsyncExchange):
                waiter.fail(error)
            elif not waiter.done():
                waiter.set_exception(error)
                waiter.exception()  # seen, even when nobody waits any more

    # What the loop does.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream protocol gets
        self._transport = transport

    def data_received(self, received: bytes) -> None:
        self._heard = self.loop.time()
        reader, waiting = self._reader, self._waiting
        reader.feed(received)
        try:
            while (reply := reader.gets()) is not _NOTHING:
                if reply.__class__ is list and len(reply) == 2 and reply[0] == b"invalidate":
                    self._bell()
                    continue
                waiter = waiting[0]
                if isinstance(waiter, AsyncExchange):
                    if waiter.add(reply):
                        waiting.popleft()
                else:
                    waiting.popleft()
                    if not waiter.done():  # else its task was cancelled: the reply is for nobody
                        waiter.set_result(reply)
        except (ProtocolError, IndexError) as error:
            self.fail(f"bytes that are no reply to anything asked: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(str(exc or "the member closed the connection"))

    def pause_writing(self) -> None:
        self._room = self.loop.create_future()

    def resume_writing(self) -> None:
        self._resume()

    # Inside.

    def _queue(self, request: bytes, waiter: asyncio.Future[object] | AsyncExchange) -> None:
        if not self._out:
            self.loop.call_soon(self._flush)
        if not self._waiting:
            self._heard = self.loop.time()
            if self._watch is None:
                self._watch = self.loop.call_later(self._patience, self._look)
        self._out.append(request)
        self._waiting.append(waiter)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None and not self.broken:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _look(self) -> None:
        """Break the connection when somebody waits and nothing has come for too long."""
        self._watch = None
        if not self._waiting:
            return
        silent = self.loop.time() - self._heard
        if silent >= self._patience:
            self.fail("no answer in time")
        else:
            self._watch = self.loop.call_later(self._patience - silent, self._look)

    def _resume(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)


class AsyncLink:
    """A member as seen from here. Tasks of one loop share it; in another loop it connects anew."""

    def __init__(self, endpoint: Endpoint, target: Target, bell: Callable[[], None], *, readonly: bool = False) -> None:
        self.endpoint = endpoint
        self.hello: Hello | None = None
        self._target, self._bell, self._readonly = target, bell, readonly
        self._wire: _Wire | None = None
        self._opening: asyncio.Task[_Wire] | None = None

    async def call(self, request: bytes) -> object:
        """Send one request and wait for its reply; an error reply is returned, not raised. Raises LinkError."""
        wire = self._wire
        if wire is None or wire.broken or wire.loop is not asyncio.get_running_loop() or wire.is_full:
            wire = await self._ready()
        return await wire.send(request)

    call_once = call  # the loop knows at once when the member has closed the connection

    async def begin(self, request: bytes, count: int) -> AsyncExchange:
        """Send requests that have `count` replies; `finish` waits for them, so that several members work at once."""
        return (await self._ready()).send_many(request, count)

    async def connect(self) -> Hello:
        """Make sure that the member answers; what it says of itself."""
        await self._ready()
        hello = self.hello
        assert hello is not None  # noqa: S101 - set by _open
        return hello

    async def aclose(self) -> None:
        """Close the connection."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        wire, self._wire = self._wire, None
        if wire is not None and not wire.loop.is_closed():
            wire.fail("the grid was closed here")

    def forget(self) -> None:
        """In a forked child: let go of the parent's connection without a word to the member."""
        # Neither closed nor collected: its transport belongs to the parent's loop, and with it to an epoll
        # set that both processes share.
        _left_to_the_parent.append((self._wire, self._opening))
        self._wire = self._opening = None

    async def _ready(self) -> _Wire:
        """A connection that works, made now if there is none; all who need it wait for the same one."""
        wire = self._wire
        loop = asyncio.get_running_loop()
        if wire is None or wire.broken or wire.loop is not loop:
            opening = self._opening
            if opening is None or opening.get_loop() is not loop:
                opening = self._opening = loop.create_task(self._open())
                opening.add_done_callback(self._opened)
            wire = await asyncio.shield(opening)  # one caller's cancelling must not fail the others
        if wire.is_full:
            await wire.room()
        return wire

    def _opened(self, opening: asyncio.Task[_Wire]) -> None:
        if self._opening is opening:
            self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._wire = opening.result()

    async def _open(self) -> _Wire:
        try:
            async with asyncio.timeout(self._target.patience):
                wire = await self._dial()
                greeting, count = self._target.greeting(readonly=self._readonly)
                replies = await wire.send_many(greeting, count).finish()
        except LinkError as error:
            if "no reply to anything" in error.reason:
                raise _foreign(self.endpoint) from error
            raise LinkError(self.endpoint, error.reason, sent=False) from error
        except OSError as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise LinkError(self.endpoint, reason, sent=False) from error
        try:
            self.hello = read_greeting(replies, self.endpoint)
        except (CacheError, LinkError):
            wire.fail("not welcome")
            raise
        # Bells that rang before this connection listened were not heard on it.
        self._bell()
        return wire

    async def _dial(self) -> _Wire:
        loop = asyncio.get_running_loop()
        host, port = self.endpoint
        tls = self._target.context
        patience = self._target.patience

        def make() -> _Wire:
            return _Wire(self.endpoint, patience, self._bell)

        if port == 0:
            _, wire = await loop.create_unix_connection(make, host, ssl=tls, server_hostname=host if tls else None)
        else:
            _, wire = await loop.create_connection(make, host, port, ssl=tls, server_hostname=host if tls else None)
        return wire


_left_to_the_parent: list[object] = []


def _foreign(endpoint: Endpoint) -> Unsupported:
    return Unsupported(f"{endpoint} does not speak the Valkey protocol; is it the right port?", where=str(endpoint))
