# Generated from src/cachegrid/_aio/changes.py by tools/colour.py. Edit that file, then run `make colour`.
"""What depends on what is there: conditional writes, and changes that no other writer gets in between of."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from cachegrid._core import frame as frames
from cachegrid._core.address import Key, Space
from cachegrid._core.ends import Ends, ends_in
from cachegrid._core.entry import Entry
from cachegrid._core.frame import Frame
from cachegrid._core.glances import edition, is_unproven
from cachegrid._core.miss import UNSAID, Unsaid
from cachegrid._core.tags import Tags, tags_in, unpack_stamps
from cachegrid._core.units import Span, seconds_of
from cachegrid._sio.sweeping import SyncSweeping
from cachegrid.errors import EngineTimeout, EntryNotFound, FrameError, NotANumber, OutcomeUnknown, ValueRefused
from cachegrid.waits._sio import sleep

__all__ = ["SyncChanges"]

T = TypeVar("T")
_HEAD: Final = 1024  # bytes that hold all that a frame says of its entry, unless it has many tags


class _Found(NamedTuple):
    """A value, and what its frame says of it."""

    value: Any
    frame: Frame


class SyncChanges(SyncSweeping):
    """Conditional writes are decided at the owner of the entry; of several callers at once one wins."""

    def entry(self, key: Key, *, value: bool = True) -> Entry | None:
        """
        An entry with its version, times and size, or None. Counts as no read, and does not touch its idle time.

        With `value=False` the value stays where it is, and None stands in its place, however large it is.
        """

        def act(space: Space) -> Entry | None:
            address = space.address(key)
            if not value:
                glance = self._engine.glance(address, _HEAD)
                if glance is None or not _is_cut_short(glance[0], glance[2]):
                    return self._entry_at_a_glance(key, address, glance)
            found = self._engine.inspect(address)
            self._saw(address, found and found[0])
            if found is None or self._is_dead(key, found[0]):
                return None
            return self._entry(key, address, *found) if value else self._head(key, *found, len(found[0]))

        return self._steadily(act)

    def _entry_at_a_glance(
        self, key: Key, address: bytes, glance: tuple[bytes, int | None, int] | None
    ) -> Entry | None:
        self._saw(address, glance and glance[0])
        if glance is None or self._is_dead(key, glance[0]):
            return None
        return self._head(key, *glance)

    def add(self, key: Key, value: Any, *, ttl: Span = UNSAID, idle: Span = UNSAID, tags: Tags = ()) -> bool:
        """
        Store a value if there is no entry; whether it was stored. Of several callers at once one stores.

        Bytes that are no entry of this cache, which a read counts as a miss, are dropped.
        """
        ends = self._ends(ttl, idle)
        stamps = self._fresh_stamps(tags, ends)
        while not self._add(key, value, ends, stamps):
            if not self._drop_damaged(key):
                return False
        return True

    def replace(self, key: Key, value: Any, *, ttl: Span = UNSAID, idle: Span = UNSAID, tags: Tags = ()) -> bool:
        """Store a value if there is an entry; whether it was stored."""
        ends = self._ends(ttl, idle)
        stamps = self._fresh_stamps(tags, ends)
        self._drop_dead(key)

        def act(space: Space) -> bool:
            address = space.address(key)
            frame = self._freeze(address, key, value, ends, stamps)
            return self._surely(address, frame, partial(self._writer.store_if_present, address, frame, ends.engine))

        return self._stored_at(key, stamps, self._steadily(act, [key]))

    def compare_and_set(
        self, key: Key, version: bytes, value: Any, *, ttl: Span = UNSAID, idle: Span = UNSAID, tags: Tags = ()
    ) -> bool:
        """
        Store a value if the entry still has this `version` (from `entry`); whether it was stored.

        The version of an integer is the integer: another one that was there in between is not noticed.
        """
        if not isinstance(version, bytes):
            message = f"version is {version!r:.60}; it must be the bytes that entry(key).version gives"
            raise ValueRefused(message, kind=type(version))
        ends = self._ends(ttl, idle)
        stamps = self._fresh_stamps(tags, ends)
        self._drop_dead(key)
        return self._swap(key, version, value, ends, stamps)

    def _change(
        self, key: Key, fn: Callable[[Any], T], *, default: Any = UNSAID, ttl: Span = UNSAID, idle: Span = UNSAID
    ) -> T:
        """What `update` says; that one is where the colours differ."""
        ends = self._ends(ttl, idle)
        deadline = self._deadline()
        while True:
            found = self._find(key)
            if found is not None:
                value = fn(found.value)
                # Made of the value that was there, and so dead as soon as that would have been.
                self._keep_tags(found.frame, ends.last)
                done = self._swap(key, found.frame.version, value, ends, found.frame.epochs)
            elif isinstance(default, Unsaid):
                raise EntryNotFound(self.name, key)
            else:
                value = fn(default)
                done = self._add_anyway(key, value, ends)
            if done:
                return value
            self._before_next_try(key, deadline)

    def incr(self, key: Key, by: int = 1, *, start: int = 0, ttl: Span = UNSAID) -> int:
        """
        Add to an integer, atomically, and return the sum; where there is no entry, begin at `start`.

        An entry that is there keeps its times. Raises NotANumber where no integer is, or where the sum leaves 64
        bits, and OutcomeUnknown when the connection broke after it was sent, and no owner tells until the deadline
        whether it was added. Engines without receipts raise that at once.
        """
        for number in (by, start):
            if not isinstance(number, int):
                raise NotANumber(f"incr adds an int to an int, and {number!r} is none; `update` takes any function")
        ends = self._ends(ttl, UNSAID)
        self._settle()  # the pipeline is known from here on
        if ends.idle is not None or not self._pipeline.counts:
            return self._count(key, by, start, ends)
        try:
            return self._count_at_owner(key, by, start, ends)
        except NotANumber:
            # An integer with an idle time of its own has a header, and its owner cannot add to it.
            return self._count(key, by, start, ends)

    # Inside.

    def _count_at_owner(self, key: Key, by: int, start: int, ends: Ends) -> int:
        def act(space: Space) -> int:
            return self._writer.add(space.address(key), by, start, ends.engine)

        try:
            total = self._steadily(act, [key])
        except NotANumber as error:
            raise self._no_number(key) from error
        if self._voice.kinds:
            self._tell("set", key)
        return total

    def _count(self, key: Key, by: int, start: int, ends: Ends) -> int:
        """Count where the integer has a header: read it, and store the sum if nobody came in between."""
        deadline = self._deadline()
        while True:
            found = self._find(key)
            if found is None:
                total = self._sum(key, start, by)
                done = self._add_anyway(key, total, ends)
            elif found.frame.start == 0:  # no header
                return self._count_at_owner(key, by, start, ends)
            else:
                total = self._sum(key, found.value, by)
                done = self._swap(key, found.frame.version, total, _left(found.frame), found.frame.epochs)
            if done:
                return total
            self._before_next_try(key, deadline)

    def _find(self, key: Key) -> _Found | None:
        """A value with its frame, without touching its idle time; None where nothing is that can be read."""

        def act(space: Space) -> _Found | None:
            address = space.address(key)
            found = self._sure.inspect(address)
            self._saw(address, found and found[0])
            if found is None or self._is_dead(key, found[0]):
                return None
            try:
                return _Found(*self._pipeline.thaw_entry(address, found[0]))
            except FrameError:
                self._counters.damaged += 1
                return None

        return self._steadily(act)

    def _fresh_stamps(self, tags: Tags, ends: Ends) -> bytes:
        """Stamps for what is not written twice: the grid is asked, since news of a tag may not be here yet."""
        return (self._stamped(tags_in(tags), ends.last, afresh=True)).stamps if tags else b""

    def _drop_dead(self, key: Key, lives: int | None = 0) -> None:
        """
        Where there may be entries that nobody shall see: drop one that would be taken for an entry.

        One that is alive is to live for so many ms from now.
        """
        if self._rules.grace is not None or self._hub.tags.is_used:
            self._drop_damaged(key, lives)

    def _keep_tags(self, frame: Frame, lives: int | None) -> None:
        """Let the grid remember the tags of an entry for as long as it will be there, which may be longer now."""
        if frame.epochs:
            self._stamped([stamp.tag for stamp in unpack_stamps(frame.epochs)], lives)

    def _add(self, key: Key, value: Any, ends: Ends, stamps: bytes = b"") -> bool:
        def act(space: Space) -> bool:
            address = space.address(key)
            frame = self._freeze(address, key, value, ends, stamps)
            return self._surely(address, frame, partial(self._writer.store_if_absent, address, frame, ends.engine))

        return self._stored_at(key, stamps, self._steadily(act, [key]))

    def _add_anyway(self, key: Key, value: Any, ends: Ends) -> bool:
        """Add where nothing was found that can be read; what cannot be read is dropped, for the next try."""
        done = self._add(key, value, ends)
        if not done:
            self._drop_damaged(key)
        return done

    def _swap(self, key: Key, version: bytes, value: Any, ends: Ends, stamps: bytes = b"") -> bool:
        def act(space: Space) -> bool:
            address = space.address(key)
            frame = self._freeze(address, key, value, ends, stamps)
            store = partial(self._writer.store_if_version, address, version, frame, ends.engine)
            return self._surely(address, frame, store)

        return self._stored_at(key, stamps, self._steadily(act, [key]))

    def _stored_at(self, key: Key, stamps: bytes, stored: bool) -> bool:  # noqa: FBT001 - the answer of a condition
        if stored and self._voice.kinds:
            self._tell("set", key, [stamp.tag for stamp in unpack_stamps(stamps)])
        return self._stored(stored)

    def _end_now(self, key: Key) -> bool | None:
        """Let an entry that has grace be past its end; whether it was not before. None for one that has none."""

        def act(space: Space) -> bool | None:
            address = space.address(key)
            self._hub.flights.spoil(address)
            deadline = self._deadline()
            while True:
                raw = self._sure.fetch(address)
                self._saw(address, raw)
                frame = _graced(raw)
                if raw is None or frame is None or frame.grace is None:
                    return None
                if self._is_dead(key, raw):
                    return False
                # Another version: what is being loaded to take its place is no newer than this.
                ended = _ended(raw, frame, self._new_version())
                store = partial(self._writer.store_if_version, address, frame.version, ended, frame.grace)
                if self._surely(address, ended, store):
                    return True
                self._before_next_try(key, deadline)

        return self._steadily(act)

    def _surely(self, address: bytes, frame: bytes, store: Callable[[], bool]) -> bool:
        """
        Store on a condition, and find out whether that was done where the connection broke before the answer.

        No two frames have the same version: what is there tells. Raises OutcomeUnknown where something else is there by
        now: then it was stored, and replaced, or somebody else was first.
        """
        try:
            return store()
        except OutcomeUnknown:
            # Where it is not there it is tried again: it may have been lost with its owner, or never have come.
            if self._has_arrived(address, frame) or store() or self._has_arrived(address, frame):
                return True
            raise

    def _has_arrived(self, address: bytes, frame: bytes) -> bool:
        raw = self._sure.fetch(address)
        self._saw(address, raw)  # copies that were made since the connection broke may be older
        return raw is not None and edition(raw) == edition(frame)

    def _drop_damaged(self, key: Key, lives: int | None = 0) -> bool:
        """Drop what is there if it is dead or cannot be read: a miss to readers, and in the way of writers."""

        def act(space: Space) -> bool:
            address = space.address(key)
            raw = self._sure.fetch(address)
            if raw is None:
                return False
            if self._is_sound(address, raw) and not self._is_dead(key, raw):
                if lives != 0 and is_unproven(raw):
                    self._keep_tags(frames.unpack(raw), lives)
                return False
            try:
                return self._writer.drop_if_version(address, frames.version_of(raw))
            except FrameError:  # no frame, and so without a version
                return self._writer.drop_if_strange(address)

        return self._steadily(act)

    def _sum(self, key: Key, value: Any, by: int) -> int:
        if value.__class__ is not int or not frames.INT_MIN <= value + by <= frames.INT_MAX:
            raise self._no_number(key)
        return int(value + by)

    def _no_number(self, key: Key) -> NotANumber:
        return NotANumber(
            f"{key!r} of cache {self.name!r} holds no integer, or the sum leaves 64 bits; nothing was changed"
        )

    def _deadline(self) -> float:
        return time.monotonic() + seconds_of("timeout", self._hub.settings.timeout)

    def _before_next_try(self, key: Key, deadline: float) -> None:
        if time.monotonic() >= deadline:
            raise EngineTimeout(f"others changed {key!r} of cache {self.name!r} all the time; it was not changed")
        sleep(random.random() * 0.003)  # noqa: S311 - spreads those who contend, hides nothing


def _graced(raw: bytes | None) -> Frame | None:
    """What the frame of an entry says, if there is one that has a time to live and grace after that."""
    try:
        frame = None if raw is None or not is_unproven(raw) else frames.unpack(raw)
    except FrameError:
        return None
    return None if frame is None or frame.ttl is None or frame.flags & frames.FAILURE else frame


def _ended(raw: bytes, frame: Frame, version: int) -> bytes:
    """The same entry with another version, and past its end."""
    now = time.time_ns() // 1_000_000
    created = min(frame.created, now)  # the clock of its writer may be ahead
    times = created.to_bytes(6, "big"), raw[8:10], version.to_bytes(8, "big"), (now - created).to_bytes(6, "big")
    return raw[:2] + b"".join(times) + raw[frames.TTL_END :]


def _left(frame: Frame) -> Ends:
    """What an entry has left of its times, for a frame that takes its place now."""
    ttl = None if frame.ttl is None else max(1, frame.created + frame.ttl - time.time_ns() // 1_000_000)
    return ends_in(ttl, frame.idle, frame.grace)


def _is_cut_short(head: bytes, size: int) -> bool:
    """Whether what a frame says of its entry goes on behind its first bytes."""
    try:
        return len(head) < size and not frames.is_int(head) and frames.unpack(head).start > len(head)
    except FrameError:
        return len(head) < size
