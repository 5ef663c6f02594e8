# hand-written in both colours
"""One connection to a member: what all tasks ask in one turn of the loop goes out in one write."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import select
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Final

from libvalkey import ProtocolError, Reader

from cachegrid.engines.valkey.bell import Bell
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

    __slots__ = ("_count", "_future", "_is_eager", "_wire", "ends", "is_proof", "replies")

    def __init__(self, wire: AsyncWire, count: int, *, is_eager: bool = False, is_proof: bool = False) -> None:
        self._future: asyncio.Future[list[object]] = wire.loop.create_future()
        self._wire, self._count, self.replies = wire, count, list[object]()
        self._is_eager, self.is_proof = is_eager, is_proof
        self.ends: float | None = None  # monotonic; where that is sooner than the time of a call after it was sent

    async def finish(self, *, keep: bool = False) -> list[object]:
        """
        The replies, in order; error replies stand among them. Raises LinkError.

        With `keep` the connection stays at hand for `again`, until `end`. An eager one raises Slow where nothing has
        come for a moment, once, and may be called again.
        """
        replies = await (self._future if self.ends is None else self._in_time(self.ends))
        if not self.is_proof:
            return replies
        if not read_health(replies[0]).is_well:
            raise CutOff(self._wire.endpoint)
        return replies[1:]

    def hurry(self, waited: float) -> None:
        """It takes longer than a moment: let who is eager ask somebody else."""
        if self._is_eager and not self._future.done():
            self._is_eager = False
            late, self._future = self._future, self._wire.loop.create_future()
            _fail(late, Slow(self._wire.endpoint, self, waited=waited))

    async def _in_time(self, ends: float) -> list[object]:
        seconds = max(0.0, ends - time.monotonic())
        try:
            async with asyncio.timeout(seconds):
                return await self._future
        except TimeoutError as error:
            raise self._wire.overdue(seconds) from error

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

    def __init__(self, endpoint: Endpoint, target: Target, silence: Silence, bell: Bell) -> None:
        self.loop = asyncio.get_running_loop()
        self.endpoint, self.moment = endpoint, target.moment
        self.broken = False
        self.is_slow = False  # somebody waits, and nothing has come for a moment, or his answer has not for long
        self.is_full = False  # more is on its way than the member takes: see `room`
        self._reason = ""
        self._target, self._silence, self._bell = target, silence, bell
        self._patience, self._most = target.patience, target.waiting
        self.slowed: Callable[[], None] = _nobody  # called when `is_slow` begins
        self._waiting: deque[asyncio.Future[object] | AsyncExchange] = deque()
        self._answered = 0  # of all that have ever waited
        # When requests were written, and how many of all had been by then; without those that are answered.
        self._written: deque[tuple[float, int]] = deque()
        self._was_held_up = False
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

    def overdue(self, waited: float) -> LinkError:
        """The error for a call that has had its time."""
        return LinkError(self.endpoint, SILENT, sent=True, waited=waited, spent=self._target.timeout)

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
        waited = self._patience if reason == SILENT else 0
        for waiter, age in self._ages(self.loop.time()):
            _end(waiter, LinkError(self.endpoint, reason, sent=True, waited=waited, spent=age))
        self._waiting.clear()

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
        self._heard = now = self.loop.time()
        reader, waiting, written = self._reader, self._waiting, self._written
        owed = len(waiting)
        reader.feed(received)
        try:
            while (reply := reader.gets()) is not _NOTHING:
                if reply.__class__ is list and len(reply) == 2 and reply[0] == b"invalidate":
                    self._bell(reply[1])
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
        self._answered += owed - len(waiting)
        while written and written[0][1] <= self._answered:
            written.popleft()
        if self.is_slow:
            self.is_slow = bool(written) and now - written[0][0] >= self._patience
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
            self._written.append((self.loop.time(), self._answered + len(self._waiting)))

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
        """Break the connection when somebody waits and nothing has come for too long; end what takes too long."""
        self._watch = None
        if not self._waiting or self._transport is None:
            return
        self._see_progress(self._transport)
        now = self.loop.time()
        # It was this loop that was held up: the answer may be there, unread, or the request not even sent.
        is_held_up = now > self._due + _LATE
        if is_held_up:
            self._heard = now
        silent = now - self._heard
        if silent >= self._patience:
            self._silence.note(time.monotonic())
            self.fail(SILENT)
            return
        left = (self._patience if silent >= self.moment else self.moment) - silent
        if not is_held_up or self._was_held_up:  # answers that were there have been read since
            left = min(left, self._end_overdue(now))
        self._was_held_up = is_held_up
        self._look_in(left)
        if silent >= self.moment:
            self._be_slow(now)
        elif not is_held_up and self._written and now - self._written[0][0] >= self._patience:
            self._be_slow(now, behind=self._patience)

    def _end_overdue(self, now: float) -> float:
        """End the calls that had their time: what comes for them is for nobody. Seconds until the next one's end."""
        timeout = self._target.timeout
        for waiter, age in self._ages(now):
            if age < timeout:
                return timeout - age
            if not waiter.done():
                _end(waiter, self.overdue(age))
        return timeout

    def _be_slow(self, now: float, *, behind: float = 0.0) -> None:
        """
        Let those who can ask somebody else do so: their answers may still come, and then tell of the member.

        Where answers come, but late, it is for those who wait for one answer, and have done so for `behind` seconds.
        """
        self.is_slow = True
        self.slowed()
        for index, (waiter, age) in enumerate(self._ages(now)):
            if age < behind:
                return
            waited = max(age, self.moment)
            if isinstance(waiter, AsyncExchange):
                if not behind or waiter.is_proof:
                    waiter.hurry(waited)
            elif not waiter.done():
                rest = self._waiting[index] = AsyncExchange(self, 1)
                _fail(waiter, Slow(self.endpoint, rest, waited=waited))

    def _ages(self, now: float) -> Iterator[tuple[asyncio.Future[object] | AsyncExchange, float]]:
        """Those who wait, and for how many seconds, the first first."""
        waiters, before = iter(self._waiting), self._answered
        for written, count in self._written:
            yield from zip(itertools.islice(waiters, count - before), itertools.repeat(now - written))
            before = count
        yield from zip(waiters, itertools.repeat(0.0))

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
