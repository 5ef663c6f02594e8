# hand-written in both colours
"""A member as seen from here: one connection that all tasks share, written once per turn of the loop."""

from __future__ import annotations

import asyncio
import contextlib
import select
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable

from libvalkey import ProtocolError, Reader

from cachegrid.engines.valkey.commands import HEALTH
from cachegrid.engines.valkey.facts import read_health
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Hello, Target, foreign, read_greeting
from cachegrid.engines.valkey.trouble import PROOF_KEPT, CutOff, LinkError, Silence, closed_here, reason_of
from cachegrid.waits._aio import one_loop

__all__ = ["AsyncExchange", "AsyncLink"]

_NOTHING = object()  # the reader's word for "the reply is not complete yet"
_LATE = 0.05  # seconds by which a timer may come late before this loop counts as held up
_QUIET = 16  # turns of a loop after which nobody is about to ask the next thing
_SILENT = "no answer in time"
_NEVER = float("inf")
_CLOSED = "the grid was closed here"
# Where the system can tell the end from what comes before it; elsewhere, that something has come.
_HUNG_UP = getattr(select, "POLLRDHUP", getattr(select, "POLLIN", 0))


class AsyncExchange:
    """Requests that are on their way."""

    __slots__ = ("_count", "_future", "_wire", "replies")

    def __init__(self, wire: _Wire, count: int) -> None:
        self._future: asyncio.Future[list[object]] = wire.loop.create_future()
        self._wire, self._count, self.replies = wire, count, list[object]()

    async def finish(self, *, keep: bool = False) -> list[object]:
        """
        The replies, in order; error replies stand among them. Raises LinkError.

        With `keep` the connection stays at hand for `again`, until `end`.
        """
        return await self._future

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
        if not self._future.done():
            self._future.set_exception(error)
            self._future.exception()  # seen, even when nobody waits any more


class _Wire(asyncio.Protocol):
    """One connection: requests of all tasks go out in one write per turn, replies come back in order."""

    def __init__(self, endpoint: Endpoint, patience: float, bell: Callable[[], None], silence: Silence) -> None:
        self.loop = asyncio.get_running_loop()
        self.broken = False
        self._reason = ""
        self._endpoint, self._patience, self._bell, self._silence = endpoint, patience, bell, silence
        self._waiting: deque[asyncio.Future[object] | AsyncExchange] = deque()
        self._out: list[bytes] = []
        self._reader = Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._heard = self._due = self.loop.time()
        self._unsent = 0  # bytes that the member had not taken when it was looked at
        self._watch: asyncio.TimerHandle | None = None
        self._end: select.poll | None = None
        self._room: asyncio.Future[None] | None = None  # set while the transport's buffer is full
        self._stay: AsyncGenerator[None] | None = None

    # What tasks do.

    def send(self, request: bytes) -> asyncio.Future[object]:
        """Queue one request; the future gets its reply."""
        future = self.loop.create_future()
        self._queue(request, future)
        return future

    def send_many(self, request: bytes, count: int) -> AsyncExchange:
        """Queue requests that have `count` replies."""
        exchange = AsyncExchange(self, count)
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
        error = LinkError(self._endpoint, reason, sent=True, waited=self._patience if reason == _SILENT else 0)
        while self._waiting:
            _fail(self._waiting.popleft(), error)

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

    def eof_received(self) -> None:
        self.fail("the member closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("the member closed the connection" if exc is None else reason_of(exc))

    def pause_writing(self) -> None:
        self._room = self.loop.create_future()

    def resume_writing(self) -> None:
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
            _fail(waiter, LinkError(self._endpoint, self._reason, sent=False))
            return
        if not self._out:
            self.loop.call_soon(self._flush)
        if not self._waiting:
            self._heard = self.loop.time()
            if self._watch is None:
                self._look_in(self._patience)
        self._out.append(request)
        self._waiting.append(waiter)

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
        self._due = self.loop.time() + seconds
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
            self.fail(_SILENT)
        else:
            self._look_in(self._patience - silent)

    def _resume(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)


def _fail(waiter: asyncio.Future[object] | AsyncExchange, error: LinkError) -> None:
    if isinstance(waiter, AsyncExchange):
        waiter.fail(error)
    elif not waiter.done():
        waiter.set_exception(error)
        waiter.exception()  # seen, even when nobody waits any more


class AsyncLink:
    """
    A member as seen from here. Tasks of one loop share it; in another loop it connects anew.

    Where that other loop runs at the same time, the calls raise EngineError.
    """

    def __init__(self, endpoint: Endpoint, target: Target, bell: Callable[[], None], *, readonly: bool = False) -> None:
        self.endpoint = endpoint
        self.hello: Hello | None = None
        self._target, self._bell, self._readonly = target, bell, readonly
        self._silence = Silence(target.patience)
        self._closed = False
        self._wire: _Wire | None = None
        self._opening: asyncio.Task[_Wire] | None = None
        self._proved_until = _NEVER if readonly else 0.0  # seconds, monotonic; after that see `_prove`

    async def call(self, request: bytes) -> object:
        """Send one request and wait for its reply; an error reply is returned, not raised. Raises LinkError."""
        if time.monotonic() > self._proved_until:
            return (await self._prove(request, 1))[0]
        wire = self._wire
        if wire is None or wire.broken or wire.loop is not asyncio.get_running_loop() or wire.is_full:
            wire = await self._ready()
        return await wire.send(request)

    async def call_once(self, request: bytes) -> object:
        """The same for a request that must not be repeated: first see that the connection is alive."""
        await self._settle()
        # Not behind a question, whose answer may be a reason to ask another member the same.
        wire = await self._ready()
        return await wire.send(request)

    async def call_within(self, seconds: float, request: bytes, count: int = 1) -> list[object]:
        """
        Send requests that have `count` replies on a connection that is alive, and wait for all at most `seconds`.

        For when there is no hurry, but little time left. Error replies are returned. Raises LinkError.
        """
        sent = False
        try:
            async with asyncio.timeout(seconds):
                await self._settle()
                wire = await self._ready()
                sent = True
                return await wire.send_many(request, count).finish()
        except TimeoutError as error:
            raise LinkError(self.endpoint, _SILENT, sent=sent, waited=seconds) from error

    async def begin(self, request: bytes, count: int, *, once: bool = False) -> AsyncExchange:
        """
        Send requests that have `count` replies; `finish` waits for them, so that several members work at once.

        Where one must not be repeated, `once`: first see that the connection is alive.
        """
        if once:
            await self._settle()
        if time.monotonic() > self._proved_until:
            await self._prove(b"", 0)
        return (await self._ready()).send_many(request, count)

    def doubt(self) -> None:
        """Somebody heard that the member is cut off from the others: let the next request ask it."""
        self._proved_until = min(self._proved_until, 0.0)

    def trust(self) -> None:
        """Let the next requests not ask: the routes have just been learned."""
        if self._proved_until < _NEVER:
            self._proved_until = time.monotonic() + PROOF_KEPT

    async def connect(self, seconds: float) -> Hello:
        """Make sure, within so many seconds, that the member answers; what it says of itself."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready()
        except TimeoutError as error:
            raise LinkError(self.endpoint, _SILENT, sent=False, waited=seconds) from error
        hello = self.hello
        assert hello is not None  # noqa: S101 - set by _open
        return hello

    async def aclose(self) -> None:
        """Close the connection, for good; whoever waits for an answer gets an error."""
        self._closed = True
        opening, self._opening = self._opening, None
        if opening is not None and opening.get_loop() is asyncio.get_running_loop():
            opening.cancel()
            await asyncio.wait([opening])
        wire, self._wire = self._wire, None
        if wire is not None and not wire.loop.is_closed():
            if wire.loop is not asyncio.get_running_loop() and wire.loop.is_running():
                wire.loop.call_soon_threadsafe(wire.fail, _CLOSED)  # it is another thread's
            else:
                wire.fail(_CLOSED)

    def forget(self) -> None:
        """In a forked child: let go of the parent's connection without a word to the member."""
        # Neither closed nor collected: its transport belongs to the parent's loop, and with it to an epoll
        # set that both processes share.
        if self._wire is not None:
            self._wire.outlive_loop()
        _left_to_the_parent.append((self._wire, self._opening))
        self._wire = self._opening = None

    async def _prove(self, request: bytes, count: int) -> list[object]:
        """
        Ask the member, in the same trip as something else, whether it is with the others. Raises CutOff if it is not.

        It would answer reads, though others may have put another one in its place by now, who takes the writes.
        """
        self._proved_until = time.monotonic() + PROOF_KEPT  # others need not ask as well
        try:
            wire = await self._ready()
            if self.hello is None or not self.hello.clustered:
                self._proved_until = _NEVER
                return await wire.send_many(request, count).finish() if count else []
            health, *replies = await wire.send_many(HEALTH + request, 1 + count).finish()
            if not read_health(health).is_well:
                raise CutOff(self.endpoint)
        except BaseException:
            self._proved_until = 0.0
            raise
        return replies

    async def _settle(self) -> None:
        """Let the loop notice it if the member has closed the connection."""
        wire = self._wire
        if wire is not None and wire.loop is asyncio.get_running_loop():
            while not wire.broken and wire.is_ending():  # noqa: ASYNC110 - no event: the loop has to look
                await asyncio.sleep(0)

    async def _ready(self) -> _Wire:
        """A connection that works, made now if there is none; all who need it wait for the same one."""
        wire = self._wire
        if wire is None or wire.broken or wire.loop is not asyncio.get_running_loop():
            wire = await self._connected()
        if wire.is_full:
            await wire.room()
        return wire

    async def _connected(self) -> _Wire:
        if self._closed:
            raise closed_here(self.endpoint)
        wire, opening = self._wire, self._opening
        loop = one_loop(None if wire is None else wire.loop)
        one_loop(None if opening is None else opening.get_loop())
        is_first = opening is None or opening.get_loop() is not loop
        if self._silence.is_on and not (is_first and self._silence.may_try(time.monotonic())):
            raise LinkError(self.endpoint, f"{_SILENT}, a moment ago", sent=False)
        if opening is None or is_first:
            opening = self._opening = loop.create_task(self._open())
            opening.add_done_callback(self._opened)
        try:
            return await asyncio.shield(opening)  # one caller's cancelling must not fail the others
        except asyncio.CancelledError:
            if self._closed and opening.cancelled():  # by aclose, not the caller
                raise closed_here(self.endpoint) from None
            raise

    def _opened(self, opening: asyncio.Task[_Wire]) -> None:
        if self._opening is opening:
            self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._wire = opening.result()

    async def _open(self) -> _Wire:
        patience = self._target.patience
        try:
            async with asyncio.timeout(patience):
                wire = await self._dial()
                await self._greet(wire)
        except TimeoutError as error:
            self._silence.note(time.monotonic())
            raise LinkError(self.endpoint, _SILENT, sent=False, waited=patience) from error
        except OSError as error:
            self._silence.end()
            raise LinkError(self.endpoint, reason_of(error), sent=False) from error
        except LinkError:
            self._silence.end()
            raise
        self._silence.end()
        # Bells that rang before this connection listened were not heard on it.
        self._bell()
        return wire

    async def _greet(self, wire: _Wire) -> None:
        greeting, count = self._target.greeting(readonly=self._readonly)
        exchange = wire.send_many(greeting, count)
        try:
            try:
                await exchange.finish()
            except LinkError as error:
                if "no reply to anything" in error.reason:
                    raise foreign(self.endpoint) from error
                # A member that has no room for us says so, and closes the connection.
                read_greeting([*exchange.replies, error], self.endpoint)
            self.hello = read_greeting(exchange.replies, self.endpoint)
        except BaseException:
            wire.fail("not welcome")
            raise

    async def _dial(self) -> _Wire:
        loop = asyncio.get_running_loop()
        host, port = self.endpoint
        tls = self._target.context
        patience = self._target.patience

        def make() -> _Wire:
            return _Wire(self.endpoint, patience, self._bell, self._silence)

        if port == 0:
            _, wire = await loop.create_unix_connection(make, host, ssl=tls, server_hostname=host if tls else None)
        else:
            _, wire = await loop.create_connection(make, host, port, ssl=tls, server_hostname=host if tls else None)
        return wire


_left_to_the_parent: list[object] = []
