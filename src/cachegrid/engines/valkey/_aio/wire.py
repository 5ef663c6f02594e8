# hand-written in both colours
"""One connection to a member: what all tasks ask in one turn of the loop goes out in one write."""

from __future__ import annotations

import asyncio
import contextlib
import select
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from libvalkey import ProtocolError, Reader

from cachegrid.engines.valkey.facts import read_health
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.trouble import CutOff, LinkError, Silence, Slow, reason_of

__all__ = ["SILENT", "AsyncExchange", "AsyncWire"]

SILENT: Final = "no answer in time"
_NOTHING = object()  # the reader's word for "the reply is not complete yet"
_LATE = 0.05  # seconds by which a timer may come late before this loop counts as held up
_TICK = 0.001  # seconds: the shortest time for which a timer is set; rounded, it could be none at all, again and again
_QUIET = 16  # turns of a loop after which nobody is about to ask the next thing
# Where the system can tell the end from what comes before it; elsewhere, that something has come.
_HUNG_UP = getattr(select, "POLLRDHUP", getattr(select, "POLLIN", 0))


class AsyncExchange:
    """Requests that are on their way."""

    __slots__ = ("_count", "_future", "_is_eager", "_is_proof", "_wire", "replies")

    def __init__(self, wire: AsyncWire, count: int, *, is_eager: bool = False, is_proof: bool = False) -> None:
        self._future: asyncio.Future[list[object]] = wire.loop.create_future()
        self._wire, self._count, self.replies = wire, count, list[object]()
        self._is_eager, self._is_proof = is_eager, is_proof

    async def finish(self, *, keep: bool = False) -> list[object]:
        """
        The replies, in order; error replies stand among them. Raises LinkError.

        With `keep` the connection stays at hand for `again`, until `end`. An eager one raises Slow where nothing has
        come for a moment, once, and may be called again.
        """
        replies = await self._future
        if not self._is_proof:
            return replies
        if not read_health(replies[0]).is_well:
            raise CutOff(self._wire.endpoint)
        return replies[1:]

    def hurry(self) -> None:
        """Nothing has come for a moment: let who is eager ask somebody else."""
        if self._is_eager and not self._future.done():
            self._is_eager = False
            late, self._future = self._future, self._wire.loop.create_future()
            _fail(late, Slow(self._wire.endpoint, self, waited=self._wire.moment))

    def leave(self) -> None:
        """Nobody needs the replies any more; when they come the member is known to be well."""

    def again(self, request: bytes, count: int) -> AsyncExchange:
        """Send more on the very same connection, and no other; where it has broken meanwhile, `finish` says so."""
        return self._wire.send_many(request, count)

    def end(self) -> None:
        """Let others have the connection. May be called twice, and after an error."""

    def abandon(self) -> None:
        """Nobody will wait for the replies."""
        self._future.cancel()

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self._future.done()

    def add(self, reply: object) -> bool:
        """Take the next reply; True if it was the last one."""
        self.replies.append(reply)
        if len(self.replies) < self._count:
            return False
        if not self._future.done():
            self._future.set_result(self.replies)
        return True

    def fail(self, error: BaseException) -> None:
        """End the wait with an error."""
        _fail(self._future, error)


class AsyncWire(asyncio.Protocol):
    """One connection: requests of all tasks go out in one write per turn, replies come back in order."""

    def __init__(self, endpoint: Endpoint, target: Target, silence: Silence, bell: Callable[[], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.endpoint, self.moment = endpoint, target.moment
        self.broken = False
        self.is_slow = False  # somebody waits, and nothing has come for a moment
        self.is_full = False  # more is on its way than the member takes: see `room`
        self._reason = ""
        self._patience, self._most, self._silence, self._bell = target.patience, target.waiting, silence, bell
        self.slowed: Callable[[], None] = _nobody  # called when `is_slow` begins
        self._waiting: deque[asyncio.Future[object] | AsyncExchange] = deque()
        self._out: list[bytes] = []
        self._reader = Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._heard = self._due = self.loop.time()
        self._unsent = 0  # bytes that the member had not taken when it was looked at
        self._watch: asyncio.TimerHandle | None = None
        self._end: select.poll | None = None
        self._room: asyncio.Future[None] | None = None  # set while it is full
        self._is_paused = False  # the transport's buffer is full
        self._stay: AsyncGenerator[None] | None = None

    # What tasks do.

    def send(self, request: bytes) -> asyncio.Future[object]:
        """Queue one request; the future gets its reply."""
        future = self.loop.create_future()
        self._queue(request, future)
        return future

    def send_many(self, request: bytes, count: int, *, is_eager: bool = False, is_proof: bool = False) -> AsyncExchange:
        """Queue requests that have `count` replies; for `is_proof` the first is about the member's health."""
        exchange = AsyncExchange(self, count, is_eager=is_eager, is_proof=is_proof)
        self._queue(request, exchange)
        return exchange

    @property
    def owed(self) -> int:
        """How many calls wait for answers, or batches of them."""
        return len(self._waiting)

    async def room(self) -> None:
        """Wait while more is on its way than the member takes."""
        while self._room is not None:
            await asyncio.shield(self._room)

    def is_ending(self) -> bool:
        """Whether the member has closed the connection, and the loop has not come to notice it."""
        return self._end is not None and bool(self._end.poll(0))

    def fail(self, reason: str) -> None:
        """Break the connection, and tell everyone who waits on it."""
        if self.broken:
            return
        self.broken, self._reason = True, reason
        if self._watch is not None:
            self._watch.cancel()
        self.outlive_loop()
        if self._transport is not None:
            self._transport.abort()
        self._resume()
        error = LinkError(self.endpoint, reason, sent=True, waited=self._patience if reason == SILENT else 0)
        while self._waiting:
            _end(self._waiting.popleft(), error)

    def outlive_loop(self) -> None:
        """Let the end of the loop be no end of this."""
        stay, self._stay = self._stay, None
        if stay is not None:
            with contextlib.suppress(StopAsyncIteration):
                anext(stay).send(None)

    # What the loop does.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream protocol gets
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None and hasattr(select, "poll"):
            self._end = select.poll()
            self._end.register(sock.fileno(), _HUNG_UP)
        self._stay = self._until_loop_ends()
        with contextlib.suppress(StopIteration):
            anext(self._stay).send(None)

    def data_received(self, received: bytes) -> None:
        self._heard = self.loop.time()
        self.is_slow = False
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
        if self.is_full and not self._is_paused and len(waiting) <= self._most // 2:
            self._resume()

    def eof_received(self) -> None:
        self.fail("the member closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("the member closed the connection" if exc is None else reason_of(exc))

    def pause_writing(self) -> None:
        self._is_paused = True
        self._fill()

    def resume_writing(self) -> None:
        self._is_paused = False
        self._resume()

    # Inside.

    async def _until_loop_ends(self) -> AsyncGenerator[None]:
        # A loop ends its async generators before it is closed; connections are just left open in it. So it is told of
        # one, and a grid that goes on in the next loop, or was forgotten, leaves nothing behind.
        try:
            yield
        except GeneratorExit:
            self._stay = None
            await self._quiet()  # other generators, which are ended at the same time, may have something to do yet
            self.fail("its event loop has ended")
            raise

    async def _quiet(self) -> None:
        turns = 0
        while turns < _QUIET:
            turns = turns + 1 if all(waiter.done() for waiter in self._waiting) else 0
            await asyncio.sleep(0)

    def _queue(self, request: bytes, waiter: asyncio.Future[object] | AsyncExchange) -> None:
        if self.broken:  # since whoever sends this looked
            _end(waiter, LinkError(self.endpoint, self._reason, sent=False))
            return
        if not self._out:
            self.loop.call_soon(self._flush)
        if not self._waiting:
            self._heard = self.loop.time()
            if self._watch is None:
                self._look_in(self.moment)
        self._out.append(request)
        self._waiting.append(waiter)
        if len(self._waiting) >= self._most:
            self._fill()

    def _flush(self) -> None:
        out, self._out = self._out, []
        transport = self._transport
        if transport is not None and not self.broken:
            self._see_progress(transport)
            transport.write(out[0] if len(out) == 1 else b"".join(out))
            self._unsent = transport.get_write_buffer_size()

    def _see_progress(self, transport: asyncio.Transport) -> None:
        """A member that takes what is sent is alive."""
        unsent = transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._heard = self.loop.time()
        self._unsent = unsent

    def _look_in(self, seconds: float) -> None:
        self._due = self.loop.time() + max(seconds, _TICK)
        self._watch = self.loop.call_at(self._due, self._look)

    def _look(self) -> None:
        """Break the connection when somebody waits and nothing has come for too long."""
        self._watch = None
        if not self._waiting or self._transport is None:
            return
        self._see_progress(self._transport)
        now = self.loop.time()
        if now > self._due + _LATE:
            # It was this loop that was held up: the answer may be there, unread, or the request not even sent.
            self._heard = now
        silent = now - self._heard
        if silent >= self._patience:
            self._silence.note(time.monotonic())
            self.fail(SILENT)
        elif silent >= self.moment:
            self._look_in(self._patience - silent)
            self._be_slow()
        else:
            self._look_in(self.moment - silent)

    def _be_slow(self) -> None:
        """Let those who can ask somebody else do so: their answers may still come, and then tell of the member."""
        self.is_slow = True
        self.slowed()
        for index, waiter in enumerate(self._waiting):
            if isinstance(waiter, AsyncExchange):
                waiter.hurry()
            elif not waiter.done():
                rest = self._waiting[index] = AsyncExchange(self, 1)
                _fail(waiter, Slow(self.endpoint, rest, waited=self.moment))

    def _fill(self) -> None:
        self.is_full = True
        if self._room is None:
            self._room = self.loop.create_future()

    def _resume(self) -> None:
        self.is_full = False
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)


def _end(waiter: asyncio.Future[object] | AsyncExchange, error: LinkError) -> None:
    if isinstance(waiter, AsyncExchange):
        waiter.fail(error)
    else:
        _fail(waiter, error)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # seen, even when nobody waits any more


def _nobody() -> None:
    """Nobody is told."""
