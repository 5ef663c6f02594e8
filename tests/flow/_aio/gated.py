"""An engine whose calls can be held where a race is, and that notes what was asked of it."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, cast

from cachegrid._core.durability import Durability
from cachegrid._core.events import Listener, Topic
from cachegrid.engines._aio.protocol import AsyncEngine
from cachegrid.near.copies import Guard
from cachegrid.near.nearby import Sink
from tests.flow.waits._aio import AsyncGate

__all__ = ["AsyncGatedEngine"]

# Those of abilities. What every engine has is written out, for a checker to see that this is one.
_METHODS = (
    "fetch_many",
    "store_many",
    "drop_many",
    "store_if_absent",
    "store_if_present",
    "store_if_version",
    "drop_if_version",
    "drop_if_strange",
    "add",
    "fetch_idle",
    "fetch_idle_many",
    "touch",
    "inspect",
    "glance",
    "acquire",
    "renew",
    "release",
    "is_held",
    "land",
    "epoch",
    "raise_epoch",
    "tag_epochs",
    "make_tag_epochs",
    "raise_tags",
    "heads",
    "drop_versions",
    "members",
)


class _AnswerError(Exception):
    """What a call is to answer instead."""


class _Hearer:
    """Notes what is told, and passes it on unless it is held. Keeps no cache alive, as engines do not."""

    def __init__(self, engine: AsyncGatedEngine, sink: Sink) -> None:
        self._engine, self._sink = engine, weakref.ref(sink)

    def changed(self, address: bytes) -> None:
        """One entry."""
        sink = self._sink()
        if sink is not None and not self._engine.holds_news:
            sink.changed(address)
        self._engine.heard[address] += 1

    def changed_if(self, is_lost: Callable[[bytes], bool]) -> None:
        """Many."""
        sink = self._sink()
        if sink is not None and not self._engine.holds_news:
            sink.changed_if(is_lost)

    def refused(self) -> None:
        """Nobody tells."""
        sink = self._sink()
        if sink is not None:
            sink.refused()


class AsyncGatedEngine:
    """Passes everything on to another engine, unless it is told to hold or to fail it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine: Any = engine
        self.calls: Counter[str] = Counter()
        self.faces: dict[Durability, AsyncGatedEngine] = {}  # what `lasting` gave
        self.heard: Counter[bytes] = Counter()  # addresses that owners told of
        self._hearers: dict[bytes, _Hearer] = {}
        self._held_doubt: int | None = None
        self._held_doubts: list[int] = []
        self._held_rings = 0
        self._hooks: dict[str, list[Callable[[bool], Awaitable[None]]]] = {}

    @property
    def doubt(self) -> int:
        """The engine's own; while news is held, what it was then."""
        return int(self.engine.doubt) if self._held_doubt is None else self._held_doubt

    @property
    def doubts(self) -> list[int]:
        """The same of tags."""
        return self._held_doubts if self.holds_news else cast("list[int]", self.engine.doubts)

    @property
    def rings(self) -> int:
        """The same of all tags together."""
        return self._held_rings if self.holds_news else int(self.engine.rings)

    @property
    def trouble(self) -> int:
        """The engine's own."""
        return int(self.engine.trouble)

    def follow(self, prefix: bytes, sink: Sink, staleness: float) -> None:
        """Tell what changes."""
        self._hearers[prefix] = _Hearer(self, sink)  # which engines do not keep alive
        self.engine.follow(prefix, self._hearers[prefix], staleness)

    @property
    def holds_news(self) -> bool:
        """Whether nothing that owners tell arrives."""
        return self._held_doubt is not None

    def hold_news(self) -> None:
        """Let nothing arrive from now on that owners tell: no change, and no bell."""
        self._held_doubt, self._held_doubts = int(self.engine.doubt), list(self.engine.doubts)
        self._held_rings = int(self.engine.rings)

    def suspect(self, tags: Sequence[int] = ()) -> None:
        """Let the engine's own doubt change."""
        self.engine.suspect(tags)
        if self.holds_news:
            self.hold_news()

    def unfollow(self, prefix: bytes) -> None:
        """Tell no longer."""
        self.engine.unfollow(prefix)

    async def listen(self, topic: Topic, listener: Listener) -> None:
        """Tell what happens."""
        await self.engine.listen(topic, listener)

    def unlisten(self, topic: Topic) -> None:
        """Tell no longer."""
        self.engine.unlisten(topic)

    def guard(self, address: bytes, prefix: bytes) -> Guard | None:
        """Who tells."""
        guard: Guard | None = self.engine.guard(address, prefix)
        return guard

    def hold(self, method: str, *, answered: bool = False, error: Exception | None = None) -> AsyncGate:
        """Hold the next call of a method before it is made; or, `answered`, with its answer in hand. Then raise."""
        gate = AsyncGate()

        async def stand(after: bool) -> None:  # noqa: FBT001 - before or after the call
            if after is answered:
                await gate.stand()
                if error is not None:
                    raise error

        self._hooks.setdefault(method, []).append(stand)
        return gate

    def fail(self, method: str, error: Exception, *, answered: bool = False) -> None:
        """Let the next call of a method fail: instead of it or, `answered`, after it was made."""

        async def strike(after: bool) -> None:  # noqa: FBT001 - before or after the call
            if after is answered:
                raise error

        self._hooks.setdefault(method, []).append(strike)

    def pretend(self, method: str, answer: object) -> None:
        """Answer the next call of a method so, whatever the engine says."""

        async def lie(after: bool) -> None:  # noqa: FBT001 - before or after the call
            if after:
                raise _AnswerError(answer)

        self._hooks.setdefault(method, []).append(lie)

    def lasting(self, durability: Durability) -> AsyncGatedEngine:
        """What is written with some durability; it goes to the engine itself, and is counted apart."""
        return self.faces.setdefault(durability, AsyncGatedEngine(self.engine))

    async def fetch(self, address: bytes) -> bytes | None:
        """One frame."""
        frame: bytes | None = await self.pass_on("fetch", address)
        return frame

    async def store(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        """One frame."""
        await self.pass_on("store", address, frame, ttl)

    async def drop(self, address: bytes) -> bool:
        """What is at an address."""
        was_there: bool = await self.pass_on("drop", address)
        return was_there

    async def walk(self, prefix: bytes) -> AsyncIterator[list[bytes]]:
        """Pages of addresses."""
        self.calls["walk"] += 1
        hook = self._next("walk")
        if hook is not None:
            await hook(False)
        async for page in self.engine.walk(prefix):
            self.calls["page"] += 1
            yield page

    async def fetch_parts(self, addresses: Sequence[bytes]) -> AsyncIterator[tuple[Sequence[int], list[Any]]]:
        """As one part; counted, held and failed as `fetch_many` is."""
        yield range(len(addresses)), await self.pass_on("fetch_many", addresses)

    async def aclose(self) -> None:
        """Close the engine."""
        self.calls["close"] += 1
        await self.engine.aclose()

    def forget(self) -> None:
        """In a forked child."""
        if hasattr(self.engine, "forget"):
            self.engine.forget()

    def _next(self, method: str) -> Callable[[bool], Awaitable[None]] | None:
        hooks = self._hooks.get(method)
        return hooks.pop(0) if hooks else None

    async def pass_on(self, method: str, *args: Any) -> Any:
        """Make a call, past the gates."""
        self.calls[method] += 1
        hook = self._next(method)
        if hook is not None:
            await hook(False)
        answer = await getattr(self.engine, method)(*args)
        try:
            if hook is not None:
                await hook(True)
        except _AnswerError as pretended:
            return pretended.args[0]
        return answer


def _passing_on(method: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: AsyncGatedEngine, *args: Any) -> Any:
        return await self.pass_on(method, *args)

    return call


for _method in _METHODS:
    setattr(AsyncGatedEngine, _method, _passing_on(_method))
