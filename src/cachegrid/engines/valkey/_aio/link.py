# hand-written in both colours
"""A member as seen from here: one connection that all tasks share, written once per turn of the loop."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from libvalkey import ReplyError

from cachegrid._core.circuit import Budget, Circuit
from cachegrid.engines.facts import PathFacts
from cachegrid.engines.valkey._aio.wire import SILENT, AsyncExchange, AsyncWire
from cachegrid.engines.valkey.bell import Bell
from cachegrid.engines.valkey.commands import HEALTH
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Hello, Target, foreign, read_greeting
from cachegrid.engines.valkey.trouble import (
    PROOF_KEPT,
    LinkError,
    Refusal,
    Shut,
    Silence,
    Slow,
    closed_here,
    overloaded,
    reason_of,
)
from cachegrid.waits._aio import one_loop

__all__ = ["AsyncExchange", "AsyncLink"]

_NEVER: Final = float("inf")
_CLOSED: Final = "the grid was closed here"


class AsyncLink:
    """
    A member as seen from here. Tasks of one loop share it; in another loop it connects anew.

    Where that other loop runs at the same time, the calls raise EngineError.
    """

    def __init__(self, endpoint: Endpoint, target: Target, bell: Bell, *, readonly: bool = False) -> None:
        self.endpoint = endpoint
        self.hello: Hello | None = None
        self.circuit, self.down = Circuit(), Circuit()  # of a member that says nothing, and one that is cut off
        self.budget = Budget()
        self.calls = 0  # requests that were sent
        self._target, self._bell, self._readonly = target, bell, readonly
        self._silence, self._refusal = Silence(target.patience), Refusal()
        self._closed = False
        self._wire: AsyncWire | None = None
        self._opening: asyncio.Task[AsyncWire] | None = None
        self._proved_until = _NEVER if readonly else 0.0  # seconds, monotonic; after that see `_prove`

    async def call(self, request: bytes) -> object:
        """
        Send one request and wait for its reply; an error reply is returned, not raised. Raises LinkError.

        That is Slow where the member says nothing for a moment.
        """
        if time.monotonic() > self._proved_until:
            return (await self._prove(request, 1))[0]
        wire = self._wire
        if wire is None or wire.broken or wire.loop is not asyncio.get_running_loop() or wire.is_full:
            ends = self._end()
            return (await self._send(await self._ready(), request, 1, ends=ends, is_eager=True).finish())[0]
        self.calls += 1
        return await wire.send(request)

    async def call_once(self, request: bytes) -> object:
        """The same for a request that must not be repeated: first see that the connection is alive."""
        self.ask_circuit()
        ends = self._end() if self._has_to_wait() else None
        await self._settle()
        # Not behind a question, whose answer may be a reason to ask another member the same.
        wire = await self._ready()
        [reply] = await self._send(wire, request, 1, ends=ends).finish()
        self._note([reply])
        return reply

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
                return await self._send(wire, request, count).finish()
        except TimeoutError as error:
            raise LinkError(self.endpoint, SILENT, sent=sent, waited=seconds) from error

    async def begin(
        self, request: bytes, count: int, *, once: bool = False, is_eager: bool = False, ends: float | None = None
    ) -> AsyncExchange:
        """
        Send requests that have `count` replies; `finish` waits for them, so that several members work at once.

        It waits as long as a call may take, and no longer than until `ends`, in the monotonic clock's seconds.
        Where one must not be repeated, `once`: first see that the connection is alive. With `is_eager` it raises Slow,
        and `finish` does, where the member says nothing for a moment.
        """
        if ends is None and self._has_to_wait():
            ends = self._end()
        if once:
            await self._settle()
        if time.monotonic() > self._proved_until:
            await self._prove(b"", 0, is_eager=is_eager)
        return self._send(await self._ready(), request, count, is_eager=is_eager, ends=ends)

    @property
    def is_quiet(self) -> bool:
        """Whether it was asked something, and has not answered so far."""
        wire = self._wire
        return self._silence.is_on or (wire is not None and wire.is_slow and not wire.broken)

    def facts(self) -> PathFacts:
        """How this process gets on with the member."""
        host, port = self.endpoint
        return PathFacts(
            host=host,
            port=port,
            circuit="open" if self.down.is_open else self.circuit.state(time.monotonic()),
            opened=self.circuit.opened + self.down.opened,
            requests=self.calls,
            denied_retries=self.budget.denied,
            waiting=0 if self._wire is None else self._wire.owed,
            is_quiet=self.is_quiet,
        )

    def doubt(self) -> None:
        """Somebody heard that the member is not well: let the next request ask it."""
        self._proved_until = min(self._proved_until, 0.0)

    def trust(self) -> None:
        """Let the next requests not ask: the routes have just been learned."""
        if self._proved_until < _NEVER and not self.circuit.is_open and not self.is_quiet:
            self._proved_until = time.monotonic() + PROOF_KEPT

    async def connect(self, seconds: float) -> Hello:
        """Make sure, within so many seconds, that the member answers; what it says of itself."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready()
        except TimeoutError as error:
            raise LinkError(self.endpoint, SILENT, sent=False, waited=seconds) from error
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

    async def _prove(self, request: bytes, count: int, *, is_eager: bool = True) -> list[object]:
        """
        Ask the member, in the same trip as something else, whether it is with the others. Raises CutOff if it is not.

        It would answer reads, though others may have put another one in its place by now, who takes the writes.
        """
        self.ask_circuit()
        wire = self._wire
        if is_eager and wire is not None and wire.is_slow and not wire.broken:
            raise Slow(self.endpoint)
        if not self.is_quiet:  # else those who can are to ask somebody else, whoever waits for the answer
            self._proved_until = time.monotonic() + PROOF_KEPT  # others need not ask as well
        ends = self._end() if self._has_to_wait() else None
        try:
            wire = await (self._ready_soon() if self._silence.is_on and is_eager else self._ready())
            is_clustered = self.hello is not None and self.hello.clustered
            if not is_clustered:
                self._proved_until = _NEVER
            question = HEALTH * is_clustered + request
            replies: list[object] = []
            if question:
                asked = count + is_clustered
                exchange = self._send(wire, question, asked, is_eager=is_eager, is_proof=is_clustered, ends=ends)
                replies = await exchange.finish()
        except BaseException:
            self._proved_until = 0.0
            raise
        self.down.passed(time.monotonic())
        self._note(replies)
        return replies

    async def _ready_soon(self) -> AsyncWire:
        """
        A connection to a member that was silent, if it is there in a moment.

        Else others are asked meanwhile; that it is being made goes on, and tells when the member is back.
        """
        try:
            async with asyncio.timeout(self._target.moment):
                return await self._ready()
        except TimeoutError as error:
            raise Slow(self.endpoint) from error

    def _has_to_wait(self) -> bool:
        """Whether nothing can be sent at once: then what is left of a call's time is less than the connection knows."""
        return self._wire is None or self._wire.broken or self._wire.is_full

    def _end(self) -> float:
        """By when a call that begins now has to be over, in the monotonic clock's seconds."""
        return time.monotonic() + self._target.timeout

    def ask_circuit(self) -> None:
        """Raises Shut where the member has not answered for so long that it is not asked now."""
        circuit = self.circuit
        if circuit.is_open and not circuit.may_try(now := time.monotonic()):
            raise Shut(self.endpoint, circuit.left(now))

    def _note(self, replies: list[object]) -> None:
        if replies and not isinstance(replies[-1], ReplyError):
            self.circuit.passed(time.monotonic())
            self.down.passed(time.monotonic())

    def _send(
        self,
        wire: AsyncWire,
        request: bytes,
        count: int,
        *,
        is_eager: bool = False,
        is_proof: bool = False,
        ends: float | None = None,
    ) -> AsyncExchange:
        self.calls += count
        exchange = wire.send_many(request, count, is_eager=is_eager, is_proof=is_proof)
        exchange.ends = ends
        return exchange

    async def _settle(self) -> None:
        """Let the loop notice it if the member has closed the connection."""
        wire = self._wire
        if wire is not None and wire.loop is asyncio.get_running_loop():
            while not wire.broken and wire.is_ending():  # noqa: ASYNC110 - no event: the loop has to look
                await asyncio.sleep(0)

    async def _ready(self) -> AsyncWire:
        """A connection that works, made now if there is none; all who need it wait for the same one."""
        wire = self._wire
        if wire is None or wire.broken or wire.loop is not asyncio.get_running_loop():
            wire = await self._connected()
        if wire.is_full:
            seconds = self._target.timeout
            try:
                async with asyncio.timeout(seconds):
                    await wire.room()
            except TimeoutError as error:
                taken = f"{self._target.waiting:,} places in the queue, or all that its socket takes,"
                raise overloaded(self.endpoint, taken, seconds) from error
        return wire

    async def _connected(self) -> AsyncWire:
        if self._closed:
            raise closed_here(self.endpoint)
        wire, opening = self._wire, self._opening
        loop = one_loop(None if wire is None else wire.loop)
        one_loop(None if opening is None else opening.get_loop())
        is_first = opening is None or opening.get_loop() is not loop
        if self._silence.is_on and not (is_first and self._silence.may_try(time.monotonic())):
            raise LinkError(self.endpoint, f"{SILENT}, a moment ago", sent=False)
        if refused := self._refusal.reason(time.monotonic()):
            raise LinkError(self.endpoint, refused, sent=False)
        if opening is None or is_first:
            opening = self._opening = loop.create_task(self._open())
            opening.add_done_callback(self._opened)
        try:
            return await asyncio.shield(opening)  # one caller's cancelling must not fail the others
        except asyncio.CancelledError:
            if self._closed and opening.cancelled():  # by aclose, not the caller
                raise closed_here(self.endpoint) from None
            raise

    def _opened(self, opening: asyncio.Task[AsyncWire]) -> None:
        if self._opening is opening:
            self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._wire = wire = opening.result()
            wire.slowed = self.doubt

    async def _open(self) -> AsyncWire:
        patience = self._target.patience
        try:
            async with asyncio.timeout(patience):
                wire = await self._dial()
                await self._greet(wire)
        except TimeoutError as error:
            self._silence.note(time.monotonic())
            raise LinkError(self.endpoint, SILENT, sent=False, waited=patience) from error
        except OSError as error:
            self._silence.end()
            self._refusal.note(reason_of(error), time.monotonic())
            raise LinkError(self.endpoint, reason_of(error), sent=False) from error
        except LinkError:
            self._silence.end()
            raise
        self._silence.end()
        # Bells that rang before this connection listened were not heard on it.
        self._bell()
        return wire

    async def _greet(self, wire: AsyncWire) -> None:
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

    async def _dial(self) -> AsyncWire:
        loop = asyncio.get_running_loop()
        host, port = self.endpoint
        tls = self._target.context

        def make() -> AsyncWire:
            return AsyncWire(self.endpoint, self._target, self._silence, self._bell)

        if self.endpoint in self._target.sockets:
            try:  # of a member of this host: see `dial`
                _, wire = await loop.create_unix_connection(make, self._target.sockets[self.endpoint])
            except (TimeoutError, BlockingIOError):
                raise
            except OSError:
                pass
            else:
                return wire
        if port == 0:
            _, wire = await loop.create_unix_connection(make, host, ssl=tls, server_hostname=host if tls else None)
        else:
            _, wire = await loop.create_connection(make, host, port, ssl=tls, server_hostname=host if tls else None)
        return wire


_left_to_the_parent: list[object] = []
