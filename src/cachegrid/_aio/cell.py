"""What a named cache is made of: its policy, its space at the current epoch, and the way between values and frames."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from time import perf_counter  # not the clock that entries end by, and that tests set
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, cast

from cachegrid._aio.ability import AsyncAbleEngine, able, refusal
from cachegrid._aio.bounds import AsyncBound
from cachegrid._aio.events import AsyncSource
from cachegrid._aio.hub import CLOSED, UNOPENED, AsyncAttached, AsyncHub
from cachegrid._aio.lock import AsyncGridLock
from cachegrid._aio.outage import OUTAGE, AsyncOutage
from cachegrid._aio.tagbook import NO_STAMPS, Mark, Stamped, holds
from cachegrid._aio.telling import AsyncTelling
from cachegrid._core import frame as frames
from cachegrid._core.address import NEVER, Key, Space, epoch_in
from cachegrid._core.bounds import NO_BOUND
from cachegrid._core.durability import MEMORY, Durability
from cachegrid._core.entry import Entry
from cachegrid._core.events import Event, EventKind
from cachegrid._core.frame import Frame
from cachegrid._core.miss import MISS, UNSAID, Unsaid
from cachegrid._core.rules import Rules, is_due, jittered
from cachegrid._core.scope import OPEN, UNREAD, forget, scope_here
from cachegrid._core.stats import Counters
from cachegrid._core.tags import bucket_of, unpack_stamps
from cachegrid._core.units import Duration, Span, bytes_of, milliseconds, seconds_of
from cachegrid.codecs import compose
from cachegrid.config import CachePolicy
from cachegrid.engines._aio.protocol import AsyncSureReads
from cachegrid.engines.ages import AGES
from cachegrid.errors import CacheError, ConfigError, EngineError, FrameError, GridFull, NotDurable
from cachegrid.near.nearby import cleared, seen, wrote
from cachegrid.waits._aio import AsyncWork

__all__ = ["FAR", "AsyncCell", "Ends", "edition", "ends_in", "is_over", "is_unproven"]

T = TypeVar("T")

# A generator of our own: seeding the shared one, as tests do, must not make versions equal in two processes.
_versions = random.Random()  # noqa: S311 - versions must differ, not be secret
if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_versions.seed)

FAR: Final = object()  # what is said of a key of which nothing is known in this process
_STRANGE = b"?"  # the edition of bytes that are no frame
_FLAGS_AT = 9  # the byte of a frame that holds its flags
_SIMPLE: Final = (b"\0", b"")  # what is there of most entries, and of short integers
_UNPROVEN: Final = frames.GRACE | frames.EPOCHS | frames.FAILURE | frames.COST
_NOBODYS: Final = Counters()
_MOST_DUE: Final = 10_000  # values that are remembered to be loaded anew


class Ends(NamedTuple):
    """When an entry ends, in ms: its time to live, its idle time, its grace after that, and what the engine is told."""

    ttl: int | None
    idle: int | None
    grace: int | None
    engine: int | None

    @property
    def last(self) -> int | None:
        """For how long there may be something of it; None: without end."""
        return None if self.ttl is None else self.ttl + (self.grace or 0)


class AsyncCell:
    """The inside of a named cache. `_space` is replaced as a whole, never changed while others may read it."""

    def __init__(
        self,
        hub: AsyncHub,
        name: str,
        policy: CachePolicy,
        *,
        inside: str | None = None,
        counters: Counters | None = None,
    ) -> None:
        self.name, self.policy = name, policy
        self._hub = hub
        self._counters = counters or Counters()
        self._voice = hub.events.voice(name)
        self._inside = inside
        self._names = [name] if inside is None else [name, _checked_label(inside)]
        namespace = hub.settings.namespace
        self._parent = f"{namespace}:{name}:".encode()
        self._epoch_names = [f"{namespace}:{'/'.join(self._names[: i + 1])}".encode() for i in range(len(self._names))]
        self._space = self._make_space([0] * len(self._names), NEVER)
        self._rules = policy.rules
        self._bound = None if policy.bound == NO_BOUND else hub.bounds.of(self._parent, policy.bound)
        self._ends_by_policy = _ends(policy.ttl, policy.idle, self._rules)
        self._due: dict[Key, bytes] = {}  # what shall be loaded anew before it ends, as a read has found: its version
        self._idle = self._ends_by_policy.idle
        self._lease = milliseconds("lease", policy.lease)
        self._wait = seconds_of("wait", policy.wait)
        # For reading, for writing, for reads that decide something, and the one that the hub has opened.
        self._engine = self._writer = self._sure = self._home = UNOPENED
        self._sweeper: AsyncWork | None = None
        self._outage = AsyncOutage("/".join(self._names))
        self._closures: dict[str, dict[str, str]] = {}  # what functions that are kept here were made with, by label
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
        return Space(self._hub.settings.namespace, self._names, epochs, doubt)

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
            self._bound.use(engine)
        self._pipeline = compose(
            policy.codec,
            compress=None if policy.compress is None else bytes_of("compress", policy.compress),
            cache=self.name,
            secret=None if opened is None else opened.secret,
            max_value=bytes_of("max_value", policy.max_value),
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

    # Reading.

    async def _read(self, key: Key) -> Any:
        """The value of an entry, or MISS. Written out where a call more would be felt."""
        value = self._near(key)
        return await self._read_grid(key) if value is FAR else value

    def _near(self, key: Key, *, is_plain: bool = False) -> Any:
        """
        What is known of an entry in this process: its value, MISS, or FAR where the grid has to be asked.

        `is_plain` says that a key is known to be bytes, or a tuple of str, int and bytes, and of no types of theirs.
        """
        return FAR

    async def _read_grid(self, key: Key) -> Any:
        """The value of an entry, or MISS. The hot path: `_steadily` and `_fetch` written out."""
        space = self._space
        if space.doubt != self._engine.doubt:
            space = await self._settle()
        address = space.address(key)
        raw = await (self._fetch_in_scope(address) if OPEN else self._fetch(address))
        if space.doubt != self._engine.doubt:
            fresh = await self._settle()
            if fresh.prefix != space.prefix:
                return await self._read_grid(key)
        if raw is None:
            self._counters.misses += 1
            return MISS
        try:
            value = self._pipeline.thaw(address, raw)
        except FrameError:
            return self._damaged()
        if raw[_FLAGS_AT : _FLAGS_AT + 1] not in _SIMPLE:
            return await self._look_closer(key, address, raw, value)
        self._counters.hits += 1
        return value

    async def _look_closer(self, key: Key, address: bytes, raw: bytes, value: Any) -> Any:
        """The value of an entry whose frame may say more of it than its end; MISS if it is dead."""
        if is_unproven(raw) and await self._rests_on(key, frames.unpack(raw)) is None:
            self._counters.misses += 1
            return MISS
        if self._idle is None and _names_idle(raw):
            await self._engine.fetch_idle(address, AGES)  # an idle time of its own: it starts anew
        self._counters.hits += 1
        return value

    async def _rests_on(self, key: Key, frame: Frame) -> tuple[Mark, ...] | None:
        """
        What it rests on that an entry is alive; None for one that is dead, though its engine has it.

        That is past its end, and kept for its grace; or of a tag that was raised since; or the memory of a failure.
        """
        if frame.flags & frames.FAILURE or is_over(frame):
            return None
        if frame.cost is not None:
            self._see_due(key, frame)
        return await self._proof(frame)

    async def _proof(self, frame: Frame) -> tuple[Mark, ...] | None:
        """The same of its tags alone."""
        return await self._hub.tags.confirmed(self._home, self._parent, frame.epochs) if frame.epochs else ()

    def _see_due(self, key: Key, frame: Frame) -> None:
        """Note that a value is to be loaded anew before it ends, where chance says so."""
        if frame.ttl is not None and frame.cost is not None:
            left = frame.created + frame.ttl - time.time_ns() // 1_000_000
            if is_due(left, frame.cost, random.random()):  # noqa: S311 - spreads loads, hides nothing
                if len(self._due) >= _MOST_DUE:
                    self._due.clear()
                self._due[key] = frame.version

    async def _fetch(self, address: bytes, engine: AsyncAbleEngine | None = None) -> bytes | None:
        engine, counters = engine or self._engine, self._counters
        began = perf_counter()
        try:
            if self._idle is None:
                raw = await engine.fetch(address)
            else:
                raw = await engine.fetch_idle(address, self._idle)
        except OUTAGE as trouble:
            self._met(trouble)
            raise
        spent = perf_counter() - began
        counters.trips += 1
        counters.trip_seconds += spent
        if raw is not None:
            size = len(raw)
            counters.bytes_read += size
        return raw

    async def _read_many(self, keys: list[Key]) -> dict[Key, Any]:
        """The values of those entries that are there; what one member has sent is decoded while others work."""

        async def act(space: Space) -> tuple[dict[Key, Any], list[tuple[Key, bytes, bytes]], int, int]:
            addresses = space.addresses(keys)
            values: dict[Key, Any] = dict.fromkeys(keys, MISS)  # in the order asked for
            special: list[tuple[Key, bytes, bytes]] = []
            missing = damaged = 0
            async for places, raws in self._parts_in_scope(addresses) if OPEN else self._parts(addresses):
                more, lost = self._pipeline.thaw_many(values, keys, addresses, places, raws)
                special += more
                damaged += lost
                missing += lost + raws.count(None)
            return values, special, missing, damaged

        values, special, missing, damaged = await self._steadily(act)
        if special:
            missing += await self._take_out_dead(values, special)
            await self._restart_idle((address, raw) for _, address, raw in special)
        self._counters.damaged += damaged
        found = len(keys) - missing
        self._counters.hits += found
        self._counters.misses += missing
        return {key: value for key, value in values.items() if value is not MISS} if missing else values

    async def _take_out_dead(self, values: dict[Key, Any], found: Iterable[tuple[Key, bytes, bytes]]) -> int:
        """Let MISS be the value of what is dead among the entries that were found; how many were."""
        unproven = [(key, raw) for key, _, raw in found if values[key] is not MISS and is_unproven(raw)]
        await self._learn_tags(raw for _, raw in unproven)
        dead = [key for key, raw in unproven if await self._rests_on(key, frames.unpack(raw)) is None]
        for key in dead:
            values[key] = MISS
        return len(dead)

    async def _learn_tags(self, raws: Iterable[bytes | None]) -> None:
        """Ask at once for the tags of all entries that were found."""
        tagged = [raw for raw in raws if raw is not None and is_unproven(raw)]
        if tagged:
            await self._hub.tags.learn(self._home, self._parent, map(_epochs_in, tagged))

    async def _parts(self, addresses: list[bytes]) -> AsyncIterator[tuple[Sequence[int], Sequence[bytes | None]]]:
        if self._idle is not None:
            raws: Sequence[bytes | None] = await self._engine.fetch_idle_many(addresses, self._idle)
            self._count_read(raws)
            yield range(len(addresses)), raws
            return
        async for places, raws in self._engine.fetch_parts(addresses):
            self._count_read(raws)
            yield places, raws

    def _count_read(self, raws: Sequence[bytes | None]) -> None:
        size = sum(map(len, filter(None, raws)))
        self._counters.bytes_read += size

    # In the scope of a request; a cache that keeps near copies, which follow what changes, has no use for it.

    async def _fetch_in_scope(self, address: bytes) -> bytes | None:
        scope = scope_here()
        if scope is None:
            return await self._fetch(address)
        raw = scope.frame(self._home, address)
        if raw is UNREAD:
            writes = scope.writes
            raw = await self._fetch(address)
            scope.keep(self._home, address, raw, writes)
        return raw

    async def _parts_in_scope(
        self, addresses: list[bytes]
    ) -> AsyncIterator[tuple[Sequence[int], Sequence[bytes | None]]]:
        scope = scope_here()
        known = [UNREAD if scope is None else scope.frame(self._home, address) for address in addresses]
        far = [place for place, raw in enumerate(known) if raw is UNREAD]
        if len(far) < len(addresses):
            here = [place for place, raw in enumerate(known) if raw is not UNREAD]
            yield here, [known[place] for place in here]
        if far:
            writes = 0 if scope is None else scope.writes
            async for parts, raws in self._parts([addresses[place] for place in far]):
                places = [far[part] for part in parts]
                if scope is not None:
                    for place, raw in zip(places, raws, strict=True):
                        scope.keep(self._home, addresses[place], raw, writes)
                yield places, raws

    async def _restart_idle(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Entries with an idle time of their own, that were just read: it starts anew."""
        idle = [address for address, raw in entries if raw is not None and _names_idle(raw)]
        if idle and self._idle is None:  # else it began with the read
            await self._engine.fetch_idle_many(idle, AGES)

    def _saw(self, address: bytes, raw: bytes | None) -> None:
        """Let nobody in this process hand out a near copy that is older than what was just read past them."""
        seen(self._parent, [(address, edition(raw))])
        if OPEN:
            forget(address)

    def _thaw_quietly(self, address: bytes, raw: bytes) -> Any:
        return self._pipeline.thaw(address, raw)

    async def _seen(self, address: bytes, raw: bytes) -> Any:
        """The value of an entry, or MISS, for who leaves no trace."""
        try:
            frame = frames.unpack(raw) if is_unproven(raw) else None
            if frame is not None:
                is_dead = frame.flags & frames.FAILURE or is_over(frame) or await self._proof(frame) is None
                if is_dead:
                    return MISS
            return self._thaw_quietly(address, raw)
        except FrameError:
            return MISS

    def _is_sound(self, address: bytes, raw: bytes) -> bool:
        """Whether the bytes are a frame of ours that can be read."""
        try:
            self._pipeline.thaw(address, raw)
        except FrameError:
            return False
        return True

    def _damaged(self) -> Any:
        self._counters.damaged += 1
        self._counters.misses += 1
        return MISS

    def _entry(self, key: Key, address: bytes, raw: bytes, left: int | None) -> Entry | None:
        try:
            value, frame = self._pipeline.thaw_entry(address, raw)
        except FrameError:
            self._counters.damaged += 1
            return None
        now = datetime.now(UTC)
        idle = None if frame.idle == AGES else frame.idle
        if frame.start and frame.ttl is None and idle is None:
            left = None  # what the owner has is AGES
        return Entry(
            key=key,
            value=value,
            tags=tuple([stamp.tag.decode() for stamp in unpack_stamps(frame.epochs)]),
            version=frame.version,
            created=datetime.fromtimestamp(frame.created / 1000, UTC) if frame.created else None,
            expires=None if left is None else now + timedelta(milliseconds=left),
            idle=None if idle is None else timedelta(milliseconds=idle),
            size=len(raw),
        )

    # Writing.

    def _freeze(
        self,
        address: bytes,
        key: Key,
        value: Any,
        ends: Ends,
        stamps: bytes = b"",
        *,
        cost: int | None = None,
        flags: int = 0,
    ) -> bytes:
        if ends.idle is not None:
            self._needs_times("idle=")
        frame = self._pipeline.freeze(
            address,
            key,
            value,
            created=time.time_ns() // 1_000_000,
            version=self._new_version(),
            ttl=ends.ttl,
            idle=ends.idle,
            grace=ends.grace,
            epochs=stamps,
            cost=cost,
            flags=flags,
        )
        size = len(frame)
        self._counters.bytes_written += size
        if self._bound is not None:
            self._bound.wrote(size)
        return frame

    def _new_version(self) -> int:
        return _versions.getrandbits(64)

    async def _put(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        """Store a frame; False where a full member may be passed over, and was."""
        try:
            await self._writer.store(address, frame, ttl)
        except GridFull:
            if self.policy.on_full != "skip":
                raise
            # What is there is older than what its writer meant to be read: nothing is better.
            await self._writer.drop(address)
            self._counters.skips += 1
            return False
        return True

    async def _put_many(self, items: Sequence[tuple[bytes, bytes, int | None]]) -> int:
        """The same for many; how many were stored."""
        try:
            await self._writer.store_many(items)
        except GridFull:
            if self.policy.on_full != "skip":
                raise
            # One member is full, perhaps, and the others are not.
            return sum([await self._put(*item) for item in items])
        return len(items)

    async def _stamped(self, tags: Sequence[bytes], last: int | None, *, afresh: bool = False) -> Stamped:
        """What an entry carries of its tags that is written now, or whose load begins now, and lives for `last` ms."""
        if not tags:
            return NO_STAMPS
        await self._settle()
        return await self._hub.tags.stamped(self._home, self._parent, tags, last, afresh=afresh)

    async def _tagging(self, tags: Sequence[bytes], ends: Ends, act: Callable[[bytes], Awaitable[T]]) -> T:
        """Do something with the stamps of tags; and again when one was raised meanwhile, so that it counts."""
        while True:
            stamped = await self._stamped(tags, ends.last)
            result = await act(stamped.stamps)
            if holds(self._home, stamped.marks):
                return result

    def _needs_times(self, asked: str) -> None:
        """Refuse an idle time that nobody would start anew."""
        if "times" in self._hub.lacking and self._hub.opened is not None:
            raise refusal(self._hub.opened.engine, "times", asked)

    def _ends(self, ttl: Span, idle: Span) -> Ends:
        return self._ends_under(self._rules, ttl, idle)

    def _ends_under(self, rules: Rules, ttl: Span = UNSAID, idle: Span = UNSAID) -> Ends:
        """When an entry ends that is written now, by these rules."""
        if ttl is UNSAID and idle is UNSAID and rules is self._rules and not rules.jitter:
            return self._ends_by_policy
        ends = _ends(
            self.policy.ttl if isinstance(ttl, Unsaid) else ttl,
            self.policy.idle if isinstance(idle, Unsaid) else idle,
            rules,
        )
        return ends._replace(idle=AGES) if ends.idle is None and self._idle is not None else ends

    def _stored(self, stored: bool) -> bool:  # noqa: FBT001 - the answer of a condition
        self._counters.stores += stored
        return stored

    async def _count_load(self, loader: Callable[[], Awaitable[T]]) -> T:
        self._counters.loads += 1
        began = perf_counter()
        try:
            return await loader()
        except BaseException:
            self._counters.load_failures += 1
            raise
        finally:
            spent = perf_counter() - began
            self._counters.load_seconds += spent

    async def _is_dead(self, key: Key, raw: bytes) -> bool:
        """Whether an entry is one that nobody shall see, though its engine has it."""
        if not is_unproven(raw):
            return False
        try:
            return await self._rests_on(key, frames.unpack(raw)) is None
        except FrameError:
            return False  # it is damaged, and that is looked for elsewhere

    # Clearing, and sweeping: entries of earlier epochs are out of reach, and still take memory.

    async def _clear(self) -> None:
        engine, short = self._engine, None
        try:
            await self._writer.raise_epoch(self._epoch_names[-1])
        except NotDurable as error:  # it was raised
            short = error
        finally:  # what failed may have been done
            cleared(self._parent)
        if self._voice.kinds:
            self._tell("invalidated")
        await self._settle()
        self._sweep_soon(engine)
        if short is not None:
            raise short

    async def _raise_tags(self, names: list[bytes]) -> None:
        try:
            await self._writer.raise_tags(names)
        finally:  # what failed may have been done
            cleared(self._parent, [bucket_of(name) for name in names])
        if not {"walks", "leases"} & self._hub.lacking:
            self._hub.tag_sweep.begin(self._home, self._parent)

    async def _drop_walked(self, prefix: str | None, where: Callable[[Key], bool] | None) -> None:
        """Drop the entries whose keys fit, page by page."""
        space = await self._settle()
        begins = space.prefix if prefix is None else space.address(prefix)
        async for page in self._engine.walk(begins):
            keys = [(address, key) for address in page if (key := space.key(address)) is not None]
            found = [address for address, key in keys if where is None or where(key)]
            if found:
                dropped = await self._writer.drop_many(found)
                self._counters.drops += dropped
            if not await self._hub.tasks.pause(0):
                return

    def _sweep_soon(self, engine: AsyncAbleEngine) -> None:
        # The engine is named, since the cache has none any more while its grid is closed.
        if self._sweeper is None or not self._sweeper.is_alive:
            self._sweeper = self._hub.tasks.spawn(self._sweep, engine)

    async def _sweep(self, engine: AsyncAbleEngine) -> None:
        """Free the memory of what was cleared. What an outage leaves behind is freed after the next clear."""
        swept = None
        try:
            while swept != self._space.epochs:  # raised meanwhile: once more
                swept = self._space.epochs
                await self._sweep_before(self._space, engine)
        except EngineError:
            return
        finally:
            self._sweeper = None
        if swept != self._space.epochs:  # raised between the last look and signing off
            self._sweep_soon(engine)

    async def _sweep_before(self, space: Space, engine: AsyncAbleEngine) -> None:
        parent, current = space.parents[-1], space.epochs[-1]
        async for page in engine.walk(parent):
            dead = [address for address in page if (epoch := epoch_in(address, parent)) is not None and epoch < current]
            if dead:
                await engine.drop_many(dead)
            if not await self._hub.tasks.pause(0):
                return

    def make_lock(self, key: Key, lease: int, wait: float) -> AsyncGridLock:
        """A lock named by a key, with a lease in ms."""
        # At epoch 0, which no entry has: a lock outlives clear().
        space = Space(self._hub.settings.namespace, self._names, [0] * len(self._names), doubt=NEVER)
        return AsyncGridLock(
            self._hub,
            b"lock:" + space.address(key),
            label=repr(key),
            lease=lease,
            wait=wait,
            durability=Durability(self.policy.waits_for.replicas),  # it ends soon: no disk has to know of it
        )


def _told(bound: AsyncBound | None, address: bytes) -> None:
    """Something was written at an address, by this task or thread."""
    wrote(address)
    if OPEN:
        forget(address)
    if bound is not None:
        bound.stored()


def ends_in(ttl: int | None, idle: int | None, grace: int | None = None) -> Ends:
    """When an entry ends that is written now; times are ms. What has no end, or an idle time, has no grace."""
    if ttl is None or idle is not None:
        grace = None
    both = [ms for ms in (ttl and ttl + (grace or 0), idle) if ms is not None and ms != AGES]
    return Ends(ttl, idle, grace, min(both) if both else None)


def _ends(ttl: Duration | None, idle: Duration | None, rules: Rules) -> Ends:
    ttl_ms = None if ttl is None else milliseconds("ttl", ttl)
    if ttl_ms is not None and rules.jitter:
        ttl_ms = jittered(ttl_ms, rules.jitter, random.random())  # noqa: S311 - spreads ends, hides nothing
    return ends_in(ttl_ms, None if idle is None else milliseconds("idle", idle), rules.grace)


def is_over(frame: Frame) -> bool:
    """Whether an entry is past its end, and there is something of it for its grace only."""
    if frame.grace is None or frame.ttl is None:
        return False
    return frame.created + frame.ttl <= time.time_ns() // 1_000_000


def is_unproven(raw: bytes) -> bool:
    """Whether there may be more to the life of a stored entry than that its engine has it."""
    return raw[_FLAGS_AT : _FLAGS_AT + 1] not in _SIMPLE and raw[0] == frames.MAGIC and raw[_FLAGS_AT] & _UNPROVEN != 0


def _epochs_in(raw: bytes) -> bytes:
    try:
        return frames.unpack(raw).epochs
    except FrameError:
        return b""


def _names_idle(raw: bytes) -> bool:
    """Whether a stored entry names an idle time of its own."""
    if raw[_FLAGS_AT : _FLAGS_AT + 1] == b"\0":  # nearly all
        return False
    return len(raw) > _FLAGS_AT and raw[_FLAGS_AT] & frames.IDLE != 0 and raw[0] == frames.MAGIC


def _checked_label(label: str) -> str:
    if any(mark in label for mark in ":{}/ ") or not label.isprintable():
        raise ConfigError("name or version of a cached function", label, "text without spaces and ':', '/', '{', '}'")
    return label


def edition(raw: bytes | None) -> bytes:
    """What near copies are known by that say the same; nothing for an absence."""
    try:
        return b"" if raw is None else frames.edition_of(raw)
    except FrameError:
        return _STRANGE
