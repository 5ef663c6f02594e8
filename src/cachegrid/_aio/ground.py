"""What a named cache stands on: its policy, the engine as it uses it, and its space at the current epoch."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from time import perf_counter  # not the clock that entries end by, and that tests set
from typing import Any, Final, NoReturn, TypeVar, cast

from cachegrid._aio.ability import AsyncAbleEngine, able, refusal
from cachegrid._aio.bounds import AsyncBound
from cachegrid._aio.events import AsyncSource
from cachegrid._aio.hub import CLOSED, UNOPENED, AsyncAttached, AsyncHub
from cachegrid._aio.outage import OUTAGE, AsyncOutage
from cachegrid._aio.telling import AsyncTelling
from cachegrid._core.address import NEVER, Key, Space
from cachegrid._core.bounds import NO_BOUND
from cachegrid._core.durability import MEMORY, Durability
from cachegrid._core.ends import ends_of
from cachegrid._core.events import Event, EventKind
from cachegrid._core.scope import OPEN, forget
from cachegrid._core.stats import Counters
from cachegrid._core.units import bytes_of, milliseconds, seconds_of
from cachegrid.codecs import compose
from cachegrid.config import CachePolicy
from cachegrid.engines._aio.protocol import AsyncSureReads
from cachegrid.errors import CacheError, ConfigError, EngineError
from cachegrid.near.nearby import wrote
from cachegrid.waits._aio import AsyncWork

__all__ = ["AsyncGround"]

T = TypeVar("T")
_NOBODYS: Final = Counters()


class AsyncGround:
    """The ground of a named cache. `_space` is replaced as a whole, never changed while others may read it."""

    def __init__(
        self,
        hub: AsyncHub,
        name: str,
        policy: CachePolicy,
        *,
        inside: str | None = None,
        counters: Counters | None = None,
        namespace: str | None = None,
    ) -> None:
        self.name, self.policy = name, policy
        self._hub = hub
        self._counters = counters or Counters()
        self._voice = hub.events.voice(name)
        self._inside = inside
        self._names = [name] if inside is None else [name, _checked_label(inside)]
        self._namespace = namespace = namespace or hub.settings.namespace
        self._parent = f"{namespace}:{name}:".encode()
        self._epoch_names = [f"{namespace}:{'/'.join(self._names[: i + 1])}".encode() for i in range(len(self._names))]
        self._space = self._make_space([0] * len(self._names), NEVER)
        self._rules = policy.rules
        self._bound = None if policy.bound == NO_BOUND else hub.bounds.of(self._parent, policy.bound)
        self._ends_by_policy = ends_of(policy.ttl, policy.idle, self._rules, 0.0)
        self._due: dict[Key, bytes] = {}  # what shall be loaded anew before it ends, as a read has found: its version
        self._idle = self._ends_by_policy.idle
        self._lease = milliseconds("lease", policy.lease)
        self._wait = seconds_of("wait", policy.wait)
        # For reading, for writing, for reads that decide something, and the one that the hub has opened.
        self._engine = self._writer = self._sure = self._home = UNOPENED
        self._sweeper: AsyncWork | None = None
        self._outage = AsyncOutage("/".join(self._names))
        self._twins: dict[Durability, Any] = {}  # of a cache, the same with another durability
        hub.enter(self)

    def attach(self, work: AsyncAttached) -> None:
        """Let something be done before the grid of this cache is closed."""
        self._hub.attach(work)

    def give_up(self, engine: AsyncAbleEngine) -> None:
        """The grid was closed: `engine` stands for none."""
        self._use(engine)

    def __reduce__(self) -> NoReturn:
        """A cache is pickled with its hub, and so not at all."""
        self._hub.__reduce__()

    def __repr__(self) -> str:
        said = [
            f"{field.name}={value!r}"
            for field in dataclasses.fields(self.policy)
            if (value := getattr(self.policy, field.name)) != field.default
        ]
        return f"{type(self).__name__}({', '.join([repr('/'.join(self._names)), *said])})"

    # Events.

    def _source(self) -> AsyncSource:
        """What is told of where this cache's events come from."""

        async def epoch() -> int:
            with contextlib.suppress(CacheError):  # then what is known has to do
                await self._settle()
            return self._space.epochs[0]

        return AsyncSource(self.name, "/".join(self._names), self._parent, self._counters, epoch)

    def _tell(
        self, kind: EventKind, key: Key | None = None, tags: Iterable[bytes] = (), error: Exception | None = None
    ) -> None:
        """Tell who listens here, if anybody does to this; who calls it has seen that somebody does to something."""
        if kind in self._voice.kinds:
            names = tuple([tag.decode() for tag in tags])
            event = Event(kind=kind, cache="/".join(self._names), key=key, tags=names, error=error)
            self._hub.events.tell(self._counters, event)

    def _met(self, trouble: EngineError) -> None:
        """The grid could not answer."""
        if self._outage.begins() and self._voice.kinds:
            self._tell("outage", error=trouble)

    # The space.

    async def _settle(self) -> Space:
        """The space at epochs that can be trusted; opens the grid at the first call."""
        if self._home is not self._hub.engine or self._hub.opened is None:
            self._bind(await self._hub.open())
        if self._hub.on_use is not None:
            self._hub.on_use()
        engine = self._engine
        # Noted before the epochs are read: whatever is raised from here on changes it.
        doubt = engine.doubt
        space = self._space
        if space.doubt != doubt:
            epochs = [await self._epoch(index) for index in range(len(self._epoch_names))]
            space = self._make_space(epochs, doubt)
            if space.epochs >= self._space.epochs:  # else somebody has learned newer ones meanwhile
                self._space = space
        return space

    def _make_space(self, epochs: Sequence[int], doubt: int) -> Space:
        return Space(self._namespace, self._names, epochs, doubt)

    async def _epoch(self, index: int) -> int:
        # Noted before the question: what others learn while it is on its way may well be newer than the answer.
        known = self._space.epochs[index]
        epoch = await self._engine.epoch(self._epoch_names[index])
        if epoch < known:
            # The raise was lost with an owner: without another one, dead entries would live again.
            epoch = await self._engine.raise_epoch(self._epoch_names[index])
        return epoch

    def _bind(self, engine: AsyncAbleEngine) -> None:
        """Take over the engine that was opened, with the codec that needs its secret."""
        opened, policy = self._hub.opened, self.policy
        if policy.idle is not None:
            self._needs_times("idle=")
        if self._bound is not None:
            for ability in ("walks", "leases", "counts", "tags"):
                if ability in self._hub.lacking and opened is not None:
                    raise refusal(opened.engine, ability, "max_entries= or max_bytes=")
            self._bound.use(engine, self._counters)
        self._pipeline = compose(
            policy.codec,
            compress=None if policy.compress is None else bytes_of("compress", policy.compress),
            cache=self.name,
            secret=None if opened is None else opened.secret,
            max_value=bytes_of("max_value", policy.max_value),
            shown="/".join(self._names),
        )
        self._use(engine)
        if self._hub.opened is None:  # closed meanwhile, when this cell had been told already
            self._use(self._hub.engine)

    def _use(self, engine: AsyncAbleEngine) -> None:
        writer = sure = engine
        if engine not in (UNOPENED, CLOSED):  # which have nothing to write with
            # Others of this process may keep near copies of what is written here.
            writer = cast("AsyncAbleEngine", AsyncTelling(self._lasting(engine), partial(_told, self._bound)))
            sure = self._owners_only(engine)
        self._writer, self._sure = writer, sure  # first: who finds the engine here uses them
        self._engine = sure if self.policy.stale_reads == "never" else engine
        self._home = engine

    def _owners_only(self, engine: AsyncAbleEngine) -> AsyncAbleEngine:
        """The engine for reads that only owners answer."""
        raw = engine if self._hub.opened is None else self._hub.opened.engine
        return able(raw.sure_reads(), self._hub.lacking) if isinstance(raw, AsyncSureReads) else engine

    def _lasting(self, engine: AsyncAbleEngine) -> AsyncAbleEngine:
        """The engine as the writes of this cache need it. Raises Unsupported where it cannot be had."""
        durability = self.policy.waits_for
        if durability == MEMORY:
            return engine
        return able(engine.lasting(durability), self._hub.lacking)

    async def _steadily(
        self, act: Callable[[Space], Awaitable[T]], leaves: Sequence[Key] = (), *, counts: bool = True
    ) -> T:
        """
        Do something in the current space; and again when the space was given up meanwhile, so that it counts.

        `leaves` are the keys that may have got an entry by it, which takes memory where nobody looks any more.
        """
        counters = self._counters if counts else _NOBODYS
        try:
            space = self._space
            if space.doubt != self._engine.doubt:
                space = await self._settle()
            while True:
                began = perf_counter()
                result = await act(space)
                spent = perf_counter() - began
                counters.trips += 1
                counters.trip_seconds += spent
                if space.doubt == self._engine.doubt:
                    return result
                fresh = await self._settle()
                if fresh.prefix == space.prefix:
                    return result
                if leaves:
                    await self._drop_left(space.addresses(list(leaves)))
                space = fresh
        except OUTAGE as trouble:
            self._met(trouble)
            raise

    async def _drop_left(self, addresses: list[bytes]) -> None:
        """Free what is out of reach. If that fails, the next sweep does it."""
        with contextlib.suppress(EngineError):
            await self._writer.drop_many(addresses)

    def _needs_times(self, asked: str) -> None:
        """Refuse an idle time that nobody would start anew."""
        if "times" in self._hub.lacking and self._hub.opened is not None:
            raise refusal(self._hub.opened.engine, "times", asked)


def _told(bound: AsyncBound | None, address: bytes) -> None:
    """Something was written at an address, by this task or thread."""
    wrote(address)
    if OPEN:
        forget(address)
    if bound is not None:
        bound.stored()


def _checked_label(label: str) -> str:
    if any(mark in label for mark in ":{}/ ") or not label.isprintable():
        raise ConfigError("name or version of a cached function", label, "text without spaces and ':', '/', '{', '}'")
    return label
