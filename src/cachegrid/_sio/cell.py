# Generated from src/cachegrid/_aio/cell.py by tools/colour.py. Edit that file, then run `make colour`.
"""How the entries of a named cache are read and written: the way between values and frames, and what counts it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter  # not the clock that entries end by, and that tests set
from typing import Any, Final, TypeVar

from cachegrid._core import frame as frames
from cachegrid._core.address import NEVER, Key, Space
from cachegrid._core.ages import AGES
from cachegrid._core.durability import Durability
from cachegrid._core.ends import Ends, ends_of, is_over
from cachegrid._core.entry import Entry
from cachegrid._core.frame import Frame
from cachegrid._core.glances import edition, epochs_in, is_plain, is_unproven, names_idle
from cachegrid._core.miss import MISS, UNSAID, Unsaid
from cachegrid._core.rules import Rules, is_due
from cachegrid._core.scope import OPEN, UNREAD, forget, scope_here
from cachegrid._core.tags import unpack_stamps
from cachegrid._core.units import Span
from cachegrid._sio.ability import SyncAbleEngine
from cachegrid._sio.ground import SyncGround
from cachegrid._sio.lock import SyncGridLock
from cachegrid._sio.outage import OUTAGE
from cachegrid._sio.tagbook import NO_STAMPS, Mark, Stamped, holds
from cachegrid.errors import FrameError, GridFull
from cachegrid.near.nearby import seen

__all__ = ["FAR", "SyncCell"]

T = TypeVar("T")

# A generator of our own: seeding the shared one, as tests do, must not make versions equal in two processes.
_versions = random.Random()  # noqa: S311 - versions must differ, not be secret
if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_versions.seed)

FAR: Final = object()  # what is said of a key of which nothing is known in this process
_MOST_DUE: Final = 10_000  # values that are remembered to be loaded anew


class SyncCell(SyncGround):
    """Between values and frames, and between callers and the engine: how entries are read and written."""

    # Reading.

    def _read(self, key: Key) -> Any:
        """The value of an entry, or MISS. Written out where a call more would be felt."""
        value = self._near(key)
        return self._read_grid(key) if value is FAR else value

    def _near(self, key: Key, *, is_plain: bool = False) -> Any:
        """
        What is known of an entry in this process: its value, MISS, or FAR where the grid has to be asked.

        `is_plain` says that a key is known to be bytes, or a tuple of str, int and bytes, and of no types of theirs.
        """
        return FAR

    def _read_grid(self, key: Key) -> Any:
        """The value of an entry, or MISS. The hot path: `_steadily` written out."""
        space = self._space
        if space.doubt != self._engine.doubt:
            space = self._settle()
        address = space.address(key)
        raw = self._fetch_in_scope(address) if OPEN else self._fetch(address)
        if space.doubt != self._engine.doubt:
            fresh = self._settle()
            if fresh.prefix != space.prefix:
                return self._read_grid(key)
        if raw is None:
            self._counters.misses += 1
            return MISS
        try:
            value = self._pipeline.thaw(address, raw)
        except FrameError:
            return self._damaged()
        if not is_plain(raw):
            return self._look_closer(key, address, raw, value)
        self._counters.hits += 1
        return value

    def _look_closer(self, key: Key, address: bytes, raw: bytes, value: Any) -> Any:
        """The value of an entry whose frame may say more of it than its end; MISS if it is dead."""
        if is_unproven(raw) and self._rests_on(key, frames.unpack(raw)) is None:
            self._counters.misses += 1
            return MISS
        if self._idle is None and names_idle(raw):
            self._engine.fetch_idle(address, AGES)  # an idle time of its own: it starts anew
        self._counters.hits += 1
        return value

    def _rests_on(self, key: Key, frame: Frame) -> tuple[Mark, ...] | None:
        """
        What it rests on that an entry is alive; None for one that is dead, though its engine has it.

        That is past its end, and kept for its grace; or of a tag that was raised since; or the memory of a failure.
        """
        if _is_gone(frame):
            return None
        if frame.cost is not None:
            self._see_due(key, frame)
        return self._proof(frame)

    def _proof(self, frame: Frame) -> tuple[Mark, ...] | None:
        """The same of its tags alone."""
        return self._hub.tags.confirmed(self._home, self._parent, frame.epochs) if frame.epochs else ()

    def _see_due(self, key: Key, frame: Frame) -> None:
        """Note that a value is to be loaded anew before it ends, where chance says so."""
        if frame.ttl is not None and frame.cost is not None:
            left = frame.created + frame.ttl - time.time_ns() // 1_000_000
            if is_due(left, frame.cost, random.random()):  # noqa: S311 - spreads loads, hides nothing
                self._let_be_due(key, frame.version)

    def _let_be_due(self, key: Key, version: bytes) -> None:
        if len(self._due) >= _MOST_DUE:
            self._due.clear()
        self._due[key] = version

    def _fetch(self, address: bytes, engine: SyncAbleEngine | None = None) -> bytes | None:
        engine, counters = engine or self._engine, self._counters
        began = perf_counter()
        try:
            if self._idle is None:
                raw = engine.fetch(address)
            else:
                raw = engine.fetch_idle(address, self._idle)
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

    def _read_many(self, keys: list[Key]) -> dict[Key, Any]:
        """The values of those entries that are there; what one member has sent is decoded while others work."""

        def act(space: Space) -> tuple[dict[Key, Any], list[tuple[Key, bytes, bytes]], int, int]:
            addresses = space.addresses(keys)
            values: dict[Key, Any] = dict.fromkeys(keys, MISS)  # in the order asked for
            special: list[tuple[Key, bytes, bytes]] = []
            missing = damaged = 0
            for places, raws in self._parts_in_scope(addresses) if OPEN else self._parts(addresses):
                more, lost = self._pipeline.thaw_many(values, keys, addresses, places, raws)
                special += more
                damaged += lost
                missing += lost + raws.count(None)
            return values, special, missing, damaged

        values, special, missing, damaged = self._steadily(act)
        if special:
            missing += self._take_out_dead(values, special)
            self._restart_idle((address, raw) for _, address, raw in special)
        self._counters.damaged += damaged
        found = len(keys) - missing
        self._counters.hits += found
        self._counters.misses += missing
        return {key: value for key, value in values.items() if value is not MISS} if missing else values

    def _take_out_dead(self, values: dict[Key, Any], found: Iterable[tuple[Key, bytes, bytes]]) -> int:
        """Let MISS be the value of what is dead among the entries that were found; how many were."""
        unproven = [(key, raw) for key, _, raw in found if values[key] is not MISS and is_unproven(raw)]
        self._learn_tags(raw for _, raw in unproven)
        dead = [key for key, raw in unproven if self._rests_on(key, frames.unpack(raw)) is None]
        for key in dead:
            values[key] = MISS
        return len(dead)

    def _learn_tags(self, raws: Iterable[bytes | None]) -> None:
        """Ask at once for the tags of all entries that were found."""
        tagged = [raw for raw in raws if raw is not None and is_unproven(raw)]
        if tagged:
            self._hub.tags.learn(self._home, self._parent, map(epochs_in, tagged))

    def _parts(self, addresses: list[bytes]) -> Iterator[tuple[Sequence[int], Sequence[bytes | None]]]:
        if self._idle is not None:
            raws: Sequence[bytes | None] = self._engine.fetch_idle_many(addresses, self._idle)
            self._count_read(raws)
            yield range(len(addresses)), raws
            return
        for places, raws in self._engine.fetch_parts(addresses):
            self._count_read(raws)
            yield places, raws

    def _count_read(self, raws: Sequence[bytes | None]) -> None:
        size = sum(map(len, filter(None, raws)))
        self._counters.bytes_read += size

    # In the scope of a request; a cache that keeps near copies, which follow what changes, has no use for it.

    def _fetch_in_scope(self, address: bytes) -> bytes | None:
        scope = scope_here()
        if scope is None:
            return self._fetch(address)
        raw = scope.frame(self._home, address)
        if raw is UNREAD:
            writes = scope.writes
            raw = self._fetch(address)
            scope.keep(self._home, address, raw, writes)
        return raw

    def _parts_in_scope(self, addresses: list[bytes]) -> Iterator[tuple[Sequence[int], Sequence[bytes | None]]]:
        scope = scope_here()
        known = [UNREAD if scope is None else scope.frame(self._home, address) for address in addresses]
        far = [place for place, raw in enumerate(known) if raw is UNREAD]
        if len(far) < len(addresses):
            here = [place for place, raw in enumerate(known) if raw is not UNREAD]
            yield here, [known[place] for place in here]
        if far:
            writes = 0 if scope is None else scope.writes
            for parts, raws in self._parts([addresses[place] for place in far]):
                places = [far[part] for part in parts]
                if scope is not None:
                    for place, raw in zip(places, raws, strict=True):
                        scope.keep(self._home, addresses[place], raw, writes)
                yield places, raws

    def _restart_idle(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Entries with an idle time of their own, that were just read: it starts anew."""
        idle = [address for address, raw in entries if raw is not None and names_idle(raw)]
        if idle and self._idle is None:  # else it began with the read
            self._engine.fetch_idle_many(idle, AGES)

    def _saw(self, address: bytes, raw: bytes | None) -> None:
        """Let nobody in this process hand out a near copy that is older than what was just read past them."""
        seen(self._parent, [(address, edition(raw))])
        if OPEN:
            forget(address)

    def _thaw_quietly(self, address: bytes, raw: bytes) -> Any:
        return self._pipeline.thaw(address, raw)

    def _seen(self, address: bytes, raw: bytes) -> Any:
        """The value of an entry, or MISS, for who leaves no trace."""
        try:
            frame = frames.unpack(raw) if is_unproven(raw) else None
            if frame is not None:
                is_dead = _is_gone(frame) or self._proof(frame) is None
                if is_dead:
                    self._saw(address, None)
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
        return _told(key, value, frame, left, len(raw))

    def _head(self, key: Key, raw: bytes, left: int | None, size: int) -> Entry | None:
        """The same of the beginning of a frame, without its value."""
        try:
            frame = self._pipeline.head(raw)
        except FrameError:
            self._counters.damaged += 1
            return None
        return _told(key, None, frame, left, size)

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

    def _put(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        """Store a frame; False where a full member may be passed over, and was."""
        try:
            self._writer.store(address, frame, ttl)
        except GridFull:
            if self.policy.on_full != "skip":
                raise
            # What is there is older than what its writer meant to be read: nothing is better.
            self._writer.drop(address)
            self._counters.skips += 1
            return False
        return True

    def _put_many(self, items: Sequence[tuple[bytes, bytes, int | None]]) -> int:
        """The same for many; how many were stored."""
        try:
            self._writer.store_many(items)
        except GridFull:
            if self.policy.on_full != "skip":
                raise
            # One member is full, perhaps, and the others are not.
            return sum([self._put(*item) for item in items])
        return len(items)

    def _stamped(self, tags: Sequence[bytes], last: int | None, *, afresh: bool = False) -> Stamped:
        """What an entry carries of its tags that is written now, or whose load begins now, and lives for `last` ms."""
        if not tags:
            return NO_STAMPS
        self._settle()
        return self._hub.tags.stamped(self._home, self._parent, tags, last, afresh=afresh)

    def _tagging(self, tags: Sequence[bytes], ends: Ends, act: Callable[[bytes], T]) -> T:
        """Do something with the stamps of tags; and again when one was raised meanwhile, so that it counts."""
        while True:
            stamped = self._stamped(tags, ends.last)
            result = act(stamped.stamps)
            if holds(self._home, stamped.marks):
                return result

    def _ends(self, ttl: Span, idle: Span) -> Ends:
        return self._ends_under(self._rules, ttl, idle)

    def _ends_under(self, rules: Rules, ttl: Span = UNSAID, idle: Span = UNSAID) -> Ends:
        """When an entry ends that is written now, by these rules."""
        if ttl is UNSAID and idle is UNSAID and rules is self._rules and not rules.jitter:
            return self._ends_by_policy
        ends = ends_of(
            self.policy.ttl if isinstance(ttl, Unsaid) else ttl,
            self.policy.idle if isinstance(idle, Unsaid) else idle,
            rules,
            random.random() if rules.jitter else 0.0,  # noqa: S311 - spreads ends, hides nothing
        )
        return ends._replace(idle=AGES) if ends.idle is None and self._idle is not None else ends

    def _stored(self, stored: bool) -> bool:  # noqa: FBT001 - the answer of a condition
        self._counters.stores += stored
        return stored

    def _count_load(self, loader: Callable[[], T]) -> T:
        self._counters.loads += 1
        began = perf_counter()
        try:
            return loader()
        except BaseException:
            self._counters.load_failures += 1
            raise
        finally:
            spent = perf_counter() - began
            self._counters.load_seconds += spent

    def _is_dead(self, key: Key, raw: bytes) -> bool:
        """Whether an entry is one that nobody shall see, though its engine has it."""
        if not is_unproven(raw):
            return False
        try:
            is_dead = self._rests_on(key, frames.unpack(raw)) is None
        except FrameError:
            return False  # it is damaged, and that is looked for elsewhere
        if is_dead:  # which says nothing new to who has a copy of it
            self._saw(self._space.address(key), None)
        return is_dead

    def make_lock(self, key: Key, lease: int, wait: float) -> SyncGridLock:
        """A lock named by a key, with a lease in ms."""
        # At epoch 0, which no entry has: a lock outlives clear().
        space = Space(self._hub.settings.namespace, self._names, [0] * len(self._names), doubt=NEVER)
        return SyncGridLock(
            self._hub,
            b"lock:" + space.address(key),
            label=repr(key),
            lease=lease,
            wait=wait,
            durability=Durability(self.policy.waits_for.replicas),  # it ends soon: no disk has to know of it
        )


def _is_gone(frame: Frame) -> bool:
    """Whether an entry is past its end, and kept for its grace only; or the memory of a load that failed."""
    return bool(frame.flags & frames.FAILURE) or is_over(frame, time.time_ns() // 1_000_000)


def _told(key: Key, value: Any, frame: Frame, left: int | None, size: int) -> Entry:
    """An entry as its frame says it is."""
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
        size=size,
    )
