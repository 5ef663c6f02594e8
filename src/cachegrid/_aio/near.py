"""
A cache with near copies: what was read once is answered from this process until it changes.

Rules that keep a copy from being stale, each of which is needed:

1. A token is taken before the grid is asked. If the address changed since, its answer is not kept.
2. An answer that is not kept spoils what others have asked for meanwhile, which may be older than what its caller saw.
3. What this process writes is dropped here before its caller goes on.
4. A copy has a guard that listens to its owner. When the guard gives up, or was not heard for too long, so is the copy.
5. An answer of anybody but the owner is not kept.
6. A copy with tags is handed out while none of them may have been raised since it was found alive.
7. Whatever else a caller of this process was told, by another way to read or by another grid object, no older copy
   stays, and none is made of what was asked for before that.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, cast

from cachegrid._aio.ability import refusal
from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.cell import FAR
from cachegrid._aio.hub import AsyncHub
from cachegrid._aio.tagbook import Mark, holds
from cachegrid._core import frame as frames
from cachegrid._core.address import NEVER, Key, Space, unique
from cachegrid._core.ages import AGES
from cachegrid._core.frame import Frame
from cachegrid._core.glances import edition, is_unproven
from cachegrid._core.miss import MISS
from cachegrid._core.rules import DRAWS, EARLIEST, is_due
from cachegrid._core.units import bytes_of, seconds_of
from cachegrid.codecs.protocol import Payload
from cachegrid.config import CachePolicy, NearPolicy
from cachegrid.errors import FrameError
from cachegrid.near.copies import ENDLESS, GONE, Copies, Copy, Fill, Guard
from cachegrid.near.nearby import Nearby, Pushes, is_constant, seen, size_of

__all__ = ["AsyncNearCache"]

_SIMPLE: Final = frozenset({str, bytes, int})
_are_simple: Final = _SIMPLE.issuperset
_PAGE: Final = 1000  # keys of a batch: while their answers come, all of them are held besides their copies
_VERSION: Final = frames.VERSION_END - frames.VERSION_START  # bytes of it that an edition begins with
_new: Final = tuple.__new__  # half the price of the generated constructor, and every read that asks pays it twice


class _NearSpace(Space):
    """A space with the table of its copies: they are replaced together."""

    __slots__ = ("table",)
    table: dict[Any, Copy]


class _Mark(NamedTuple):
    """How things stood when the grid was asked for an address."""

    token: int
    guard: Guard | None
    trouble: int


class _Answer(NamedTuple):
    """
    What the grid says of an entry.

    `ends` is when an integer without a header does, in monotonic seconds; None where nobody has asked.
    """

    key: Key
    address: bytes
    mark: _Mark
    raw: bytes | None
    ends: float | None = None
    marks: tuple[Mark, ...] = ()  # what it rests on that it is alive


class _Life(NamedTuple):
    """When a copy ends, or has to be looked at more closely; and, of what is loaded early, its end and its cost."""

    ends: float
    early: tuple[float, int] | None = None

    @property
    def last(self) -> float:
        """The end."""
        return self.ends if self.early is None else self.early[0]


_AT_ONCE: Final = _Life(-ENDLESS)
_NEVER: Final = _Life(ENDLESS)


class AsyncNearCache(AsyncCache):
    """
    A named cache that keeps copies of what it reads in this process.

    Everything means the same as without them, but for how long a change that another process makes may go unnoticed:
    as long as the news of it is on its way, and at most the policy's `max_staleness`.
    """

    _space: _NearSpace

    def __init__(
        self, hub: AsyncHub, name: str, policy: CachePolicy, *, nearby: Nearby | None = None, **inside: Any
    ) -> None:
        self._nearby = nearby or _nearby_of(cast("NearPolicy", policy.near))
        self._copies, self._staleness = self._nearby.copies, self._nearby.staleness
        super().__init__(hub, name, policy, **inside)
        self._nearby.counters = self._counters

    # Reading.

    def _near(self, key: Key, *, is_plain: bool = False) -> Any:  # noqa: PLR0911 - the hot path: no more than needed
        space = self._space
        if space.doubt != self._engine.doubt:
            return FAR
        if not is_plain and (kind := key.__class__) is not str:
            # What Python finds equal to a key, such as True to 1, is none.
            parts: Any = key
            if not (_are_simple(map(type, parts)) if kind is tuple else kind in _SIMPLE):
                return FAR
        copy = space.table.get(key)
        if copy is None:
            return FAR
        raw, value = copy.raw, copy.value  # in this order: what is dropped meanwhile loses its value first
        now = time.monotonic()
        if now >= copy.ends and not self._is_early(key, copy, now):
            return FAR
        if now - copy.guard.heard >= self._staleness:
            return FAR
        if copy.marks and copy.rings != self._home.rings and not self._is_proven(copy):
            return FAR
        copy.is_hot = True
        if raw is not None:
            self._counters.near_hits += 1
            return self._pipeline.decode(raw)
        if value is GONE:
            return FAR
        if value is MISS:
            self._counters.near_misses += 1
        else:
            self._counters.near_hits += 1
        return value

    def _is_early(self, key: Key, copy: Copy, now: float) -> bool:
        """
        Whether a copy is handed out so near its end that its entry may be due to be loaded anew, and is not.

        Chance says so, as it does at each read that asks the grid. One draw for all reads of a copy would hardly ever
        come before the end, and one for each is the dearest part of a hit: those of a moment share one. What is due
        goes to the grid, which may have a newer entry by now.
        """
        early = copy.early
        if early is None or copy.ends == -ENDLESS:  # dropped, or not handed out yet
            return False
        last, cost = early
        if now >= last:
            return False
        if is_due((last - now) * 1000, cost, random.random()):  # noqa: S311 - spreads loads, hides nothing
            self._let_be_due(key, copy.version[:_VERSION])
            return False
        # Of a copy that is dropped right now the value is gone, and whether it has ended does not matter any longer.
        copy.ends = min(last, now + cost / 1000 / DRAWS)
        return True

    def _is_proven(self, copy: Copy) -> bool:
        """Whether no tag of a copy may have been raised; noted, since most tags that are raised are others."""
        rings = self._home.rings  # before the look
        if not holds(self._home, copy.marks):
            return False
        copy.rings = rings
        return True

    async def _read_grid(self, key: Key) -> Any:
        space = self._space
        if space.doubt != self._engine.doubt:
            await self._settle()
            space = self._space
        address = space.address(key)
        mark = self._mark(address)
        raw, ends = await self._fetch(address), ENDLESS
        if raw is not None and self._pipeline.is_count(raw):
            # Digits say nothing of their end. It is reckoned from before the question: better early than late.
            asked = time.monotonic()
            raw, left = await self._engine.inspect(address) or (None, None)
            ends = ENDLESS if left is None else asked + left / 1000
        if space.doubt != self._engine.doubt:
            fresh = await self._settle()
            if fresh.prefix != space.prefix:
                return await self._read_grid(key)
        answer = await self._proven(_Answer(key, address, mark, raw, ends))
        value, copy = self._open(space, answer)
        self._take_in([(answer, copy)])
        if value is MISS:
            self._counters.misses += 1
        else:
            self._counters.hits += 1
            await self._restart_idle([(address, answer.raw)])
        return value

    async def _proven(self, answer: _Answer) -> _Answer:
        """The answer with what it rests on; without an entry, where that is dead."""
        raw = answer.raw
        if raw is None or not is_unproven(raw):
            return answer
        try:
            marks = await self._rests_on(answer.key, frames.unpack(raw))
        except FrameError:
            return answer  # it cannot be opened either
        return answer._replace(raw=None) if marks is None else answer._replace(marks=marks)

    async def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """The values of those entries that are there, in the order asked for; one trip to each member for the rest."""
        keys = unique(keys)
        values: dict[Any, Any] = {}
        far: list[Key] = []
        for key in keys:
            value = self._near(key)
            if value is FAR:
                far.append(key)
            else:
                values[key] = value
        if far:
            values |= await self._get_far(far)
        return {key: values[key] for key in keys if values.get(key, MISS) is not MISS}

    async def _get_far(self, keys: list[Key]) -> dict[Key, Any]:
        async def act(space: Space) -> dict[Key, Any]:
            values: dict[Key, Any] = {}
            for first in range(0, len(keys), _PAGE):
                values |= await self._get_page(space, keys[first : first + _PAGE])
            return values

        values = await self._steadily(act)
        found = sum(value is not MISS for value in values.values())
        missing = len(keys) - found
        self._counters.hits += found
        self._counters.misses += missing
        return values

    async def _get_page(self, space: Space, keys: list[Key]) -> dict[Key, Any]:
        """The values of so many keys as their owners are asked for at a time, MISS for none."""
        addresses = space.addresses(keys)
        marks = [self._mark(address) for address in addresses]
        values: dict[Key, Any] = {}
        told: list[tuple[_Answer, Copy | None]] = []
        async for places, raws in self._parts(addresses):
            await self._learn_tags(raws)
            for place, raw in zip(places, raws, strict=True):
                answer = await self._proven(_Answer(keys[place], addresses[place], marks[place], raw))
                values[answer.key], copy = self._open(space, answer)
                told.append((answer, copy))
        self._take_in(told)  # together: some of them share their tokens, and what one changes is for all
        await self._restart_idle((answer.address, answer.raw) for answer, _ in told)
        return values

    # Keeping.

    def _mark(self, address: bytes) -> _Mark:
        engine: Any = self._engine  # and Pushes, or `_settle` would have refused it
        return _new(_Mark, (self._copies.token(address), engine.guard(address, self._parent), engine.trouble))

    def _take_in(self, told: Sequence[tuple[_Answer, Copy | None]]) -> None:
        """Keep the copies of what the grid answered, where that may be; what may not be kept has none."""
        fills: list[Fill] = []
        strange: list[bytes] = []  # addresses of what is not kept
        for answer, copy in told:
            mark = self._mark(answer.address)
            # Whether the token is still the same is for `keep` to say, which lets nobody change it meanwhile.
            if copy is None or mark.guard is not answer.mark.guard or mark.trouble != answer.mark.trouble:
                strange.append(answer.address)
            else:
                fills.append(Fill(copy, answer.address, answer.mark.token))
        # Before a copy is here: whoever is given it may read by another grid object next.
        seen(self._parent, ((answer.address, edition(answer.raw)) for answer, _ in told), but=self._nearby)
        for address in strange + self._copies.keep(fills):
            # What others have asked for meanwhile may be older than what this caller is about to see.
            self._nearby.changed(address)

    def _open(self, space: Space, answer: _Answer) -> tuple[Any, Copy | None]:
        """The value in an answer, and a copy of it, if there may be one."""
        raw = answer.raw
        if raw is None:
            return MISS, self._copy_of(space, answer, MISS, None, _NEVER) if self._nearby.keeps_absence else None
        try:
            if self._pipeline.is_count(raw):
                number = frames.unpack_int(raw)
                life = _AT_ONCE if answer.ends is None else _Life(answer.ends)
                return number, self._copy_of(space, answer, number, None, life, raw)
            payload, frame = self._pipeline.payload(answer.address, raw)
            value = self._pipeline.decode(payload)
        except FrameError:
            self._counters.damaged += 1
            return MISS, None
        edition_here = raw[frames.VERSION_START : frames.TTL_END]
        return value, self._copy_of(space, answer, value, payload, self._life(frame), edition_here)

    def _copy_of(
        self, space: Space, answer: _Answer, value: Any, payload: Payload | None, life: _Life, version: bytes = b""
    ) -> Copy | None:
        guard = answer.mark.guard
        if guard is None or life.last < time.monotonic():
            return None
        table = cast("_NearSpace", space).table
        size = 0 if payload is None else len(payload)
        if payload is None or self._nearby.shares or is_constant(value):
            # A value that hides what it holds takes no less than what it was made from.
            size, payload = max(size, size_of(value)), None
        else:
            value = None
        size += size_of(answer.key)
        return Copy(
            table,
            answer.key,
            value,
            raw=payload,
            guard=guard,
            ends=life.ends,
            size=size,
            version=version,
            marks=answer.marks,
            early=life.early,
        )

    def _life(self, frame: Frame) -> _Life:
        """When a copy of an entry ends, in seconds of the monotonic clock."""
        if self._idle is not None or frame.idle not in (None, AGES):
            return _AT_ONCE  # every read has to begin its time anew, and only the owner can
        if frame.ttl is None:
            return _NEVER
        last = time.monotonic() + (frame.created + frame.ttl - time.time_ns() // 1_000_000) / 1000
        if not frame.cost:
            return _Life(last)
        return _Life(last - EARLIEST * frame.cost / 1000, (last, frame.cost))

    # Around.

    def _near_now(self) -> dict[str, int]:
        copies = self._copies
        return {"near_entries": copies.entries, "near_bytes": copies.size, "near_evictions": copies.evictions}

    def _make_space(self, epochs: Sequence[int], doubt: int) -> Space:
        space = _NearSpace(self._hub.settings.namespace, self._names, epochs, doubt)
        space.table = {} if doubt == NEVER else self._nearby.table(space)
        return space

    async def _settle(self) -> Space:
        space = await super()._settle()
        if "pushes" in self._hub.lacking and self._hub.opened is not None:
            raise refusal(self._hub.opened.engine, "pushes", "near=")
        self._nearby.follow(cast("Pushes", self._engine), space.parents[0])
        return space

    def _twin(self, policy: CachePolicy) -> AsyncCache:
        return AsyncNearCache(
            self._hub, self.name, policy, nearby=self._nearby, inside=self._inside, counters=self._counters
        )

    def _inner(self, name: str, changes: dict[str, Any]) -> AsyncCache:
        policy = self.policy.changed(**changes).of_loads()
        return AsyncNearCache(self._hub, self.name, policy, nearby=self._nearby, inside=name, counters=self._counters)


def _nearby_of(policy: NearPolicy) -> Nearby:
    copies = Copies(max_bytes=bytes_of("near.max_bytes", policy.max_bytes), max_entries=policy.max_entries)
    staleness = seconds_of("near.max_staleness", policy.max_staleness)
    return Nearby(copies, staleness=staleness, shares=policy.share, keeps_absence=policy.absent)
