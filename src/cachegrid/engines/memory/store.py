"""
A grid in this process's memory: what every engine promises, at no distance.

Everything is decided under one lock and nothing waits, so both colours share it, and so do threads. Times
to live are milliseconds as everywhere; inside, deadlines are nanoseconds of a clock that never jumps.
"""

from __future__ import annotations

import itertools
import os
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence

from cachegrid._core import frame as frames
from cachegrid._core.ages import AGES
from cachegrid._core.events import EventKind, Happening, Listener, Topic
from cachegrid._core.tags import BUCKETS, bucket_of
from cachegrid.engines.facts import MemberFacts
from cachegrid.engines.memory.deadlines import NEVER, Deadlines, Entry
from cachegrid.engines.memory.forks import ForkSafe
from cachegrid.engines.memory.tables import Epochs, Leases
from cachegrid.errors import FrameError, GridFull, NotANumber
from cachegrid.near.copies import ENDLESS, Guard
from cachegrid.near.nearby import Sink

__all__ = ["Store"]

_MS = 1_000_000  # nanoseconds
_OVERHEAD = 400  # bytes an entry takes besides its address and frame: measured, and rounded up
_HERE = "memory"  # who owns all entries
_SWEEP = 16  # ended entries that one write removes at most: more than it adds, and never a pause


class Store(ForkSafe):
    """
    Entries, leases and epochs of one memory grid.

    `max_bytes` bounds the memory of the entries, addresses and bookkeeping included; 0 is no bound. Where
    it is reached, the entries unused for longest are evicted. `clock` gives nanoseconds that never jump,
    `wall` nanoseconds since 1970.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 0,
        clock: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__()
        self.max_bytes = max_bytes
        self._clock, self._wall = clock, wall
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()  # where bounded: the one unused for longest first
        self._deadlines = Deadlines()
        self._leases = Leases(clock, self._wall_ms)
        self._epochs = Epochs(self._wall_ms)
        self._tags = Epochs(self._wall_ms)
        self.doubt = 0  # grows whenever an epoch is raised
        self.doubts = [0] * BUCKETS  # the same of tags, by bucket
        self.rings = 0  # the same of all tags together
        self._bytes = self._hits = self._misses = 0
        self.guard = Guard()
        self.guard.heard = ENDLESS  # nothing is ever missed here
        self._followers: dict[tuple[bytes, weakref.ref[Sink]], None] = {}
        self._listeners: dict[tuple[Topic, weakref.ref[Listener]], None] = {}

    # One entry.

    def fetch(self, address: bytes) -> bytes | None:
        """The frame at an address, or None."""
        with self.lock:
            entry = self._read(address)
            return None if entry is None else entry.frame

    def store(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        """Put a frame at an address; raises `GridFull` for one that is larger than the whole grid."""
        with self.lock:
            self._put(address, frame, ttl)
            self._end_lease_before(address, ttl)

    def drop(self, address: bytes) -> bool:
        """Remove what is at an address, and end the lease of that name; True if something was."""
        with self.lock:
            self._leases.end(address)
            return self._delete(address) if self._find(address) else False

    # Many.

    def fetch_many(self, addresses: Sequence[bytes]) -> list[bytes | None]:
        """The frames, in the order asked for; None where there is none."""
        with self.lock:
            return [self.fetch(address) for address in addresses]

    def store_many(self, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
        """Put each (address, frame, ttl)."""
        with self.lock:
            for address, frame, ttl in items:
                self.store(address, frame, ttl)

    def drop_many(self, addresses: Sequence[bytes]) -> int:
        """Remove each; how many there were."""
        with self.lock:
            return sum(self.drop(address) for address in addresses)

    # Conditions.

    def store_if_absent(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        """Put the frame if nothing is there; whether it was put."""
        with self.lock:
            absent = self._find(address) is None
            if absent:
                self._put(address, frame, ttl)
            return absent

    def store_if_present(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        """Put the frame if something is there; whether it was put."""
        with self.lock:
            present = self._find(address) is not None
            if present:
                self._put(address, frame, ttl)
            return present

    def store_if_version(self, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
        """Put the frame if the version of what is there is `version`; whether it was put."""
        with self.lock:
            same = self._is_version(address, version)
            if same:
                self._put(address, frame, ttl)
            return same

    def drop_if_version(self, address: bytes, version: bytes) -> bool:
        """Remove what is there if its version is `version`; whether it was removed."""
        with self.lock:
            return self._is_version(address, version) and self._delete(address)

    def drop_if_strange(self, address: bytes) -> bool:
        """Remove what is there if it has no version; whether it was removed."""
        with self.lock:
            entry = self._find(address)
            try:
                return entry is not None and not frames.version_of(entry.frame)
            except FrameError:
                return self._delete(address)

    def _is_version(self, address: bytes, version: bytes) -> bool:
        entry = self._find(address)
        try:
            return entry is not None and frames.version_of(entry.frame) == version
        except FrameError:  # bytes that are no frame of ours have no version
            return False

    # Counts.

    def add(self, address: bytes, by: int, start: int, ttl: int | None) -> int:
        """Add `by` to the integer there, or to `start`; raises `NotANumber`, and leaves all as it was."""
        with self.lock:
            entry = self._read(address)
            try:
                total = by + (start if entry is None else frames.unpack_int(entry.frame))
                digits = frames.pack_int(total)
            except (FrameError, ValueError) as error:
                raise NotANumber(f"nothing was added at {address!r}: {error}") from error
            if entry is None:
                self._put(address, digits, ttl)
            else:
                self._replace(address, entry, digits)
                self._report("set", address)
            return total

    # Times.

    def fetch_idle(self, address: bytes, idle: int) -> bytes | None:
        """Fetch, and start the idle time anew; the frame's own goes before `idle`."""
        with self.lock:
            entry = self._read(address)
            if entry is None:
                return None
            header = _header(entry.frame)
            if header is not None and header.idle is not None:
                idle = header.idle
            if idle >= AGES:
                return entry.frame
            if header is not None:
                idle = idle if header.ttl is None else min(idle, header.created + header.ttl - self._wall_ms())
            self._end_in(address, entry, idle)
            return entry.frame if idle > 0 else None

    def touch(self, address: bytes, ttl: int | None, now: int) -> bool:
        """Give what is there a new time to live from `now` (ms since 1970); whether something was there."""
        with self.lock:
            entry = self._find(address)
            if entry is None:
                return False
            header = _header(entry.frame)
            last = ttl
            if header is not None:
                if header.idle is not None:
                    idle = self._idle_left(entry, header, header.idle, now)
                    last = idle if ttl is None else min(idle, ttl)
                kept = frames.NO_END if ttl is None else max(now + ttl - header.created, 0)
                raw = kept.to_bytes(frames.TTL_END - frames.TTL_START, "big")
                entry.frame = entry.frame[: frames.TTL_START] + raw + entry.frame[frames.TTL_END :]
            self._end_in(address, entry, last)
            self._end_lease_before(address, ttl)
            return True

    def _idle_left(self, entry: Entry, header: frames.Frame, idle: int, now: int) -> int:
        # The entry ends at whichever comes first. Where that is the idle time, it goes on; where it is the
        # absolute one, the idle time has begun less than `idle` before it, and nobody knows when.
        left = self._left(entry)
        absolute = None if header.ttl is None else header.created + header.ttl - now
        return idle if left is None or (absolute is not None and absolute <= left) else min(left, idle)

    def inspect(self, address: bytes) -> tuple[bytes, int | None] | None:
        """The frame and the milliseconds it has left (None: without end)."""
        with self.lock:
            entry = self._find(address)
            return None if entry is None else (entry.frame, self._left(entry))

    def _left(self, entry: Entry) -> int | None:
        # Rounded up: what is still there has not 0 ms left.
        return None if entry.deadline == NEVER else -((self._clock() - entry.deadline) // _MS)

    # Leases and epochs.

    def _end_lease_before(self, address: bytes, ttl: int | None) -> None:
        # What has an end may be over before what somebody loads is there, which is older.
        if ttl is not None:
            self._leases.end(address)

    def acquire(self, name: bytes, token: bytes, lease: int) -> int | None:
        """Take the lease for `lease` ms, or get it again if `token` has it: its fencing number."""
        with self.lock:
            return self._leases.acquire(name, token, lease)

    def renew(self, name: bytes, token: bytes, lease: int) -> bool:
        """Let the lease end `lease` ms from now; False if `token` no longer has it."""
        with self.lock:
            return self._leases.renew(name, token, lease)

    def release(self, name: bytes, token: bytes) -> bool:
        """End the lease; False if `token` no longer has it."""
        with self.lock:
            return self._leases.release(name, token)

    def is_held(self, name: bytes) -> bool:
        """Whether any token has the lease."""
        with self.lock:
            return self._leases.is_held(name)

    def land(self, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
        """Put the frame if `token` has the lease named by the address, which ends, and nothing is there."""
        with self.lock:
            entry = self._find(address)
            if not self._leases.release(address, token):
                return entry is not None and entry.frame == frame
            if entry is None:
                self._put(address, frame, ttl)
            return entry is None

    def epoch(self, name: bytes) -> int:
        """The epoch of a name."""
        with self.lock:
            return self._epochs.epoch(name)

    def raise_epoch(self, name: bytes) -> int:
        """Raise it."""
        with self.lock:
            self.doubt += 1
            epoch = self._epochs.raise_epoch(name)
            self._report_raise(name)
            return epoch

    def tag_epochs(self, names: Sequence[bytes]) -> list[int]:
        """The epochs of tags; 0 for one that has none."""
        with self.lock:
            return [self._tags.known(name) for name in names]

    def make_tag_epochs(self, names: Sequence[bytes]) -> list[int]:
        """The same; one that has none gets one."""
        with self.lock:
            return [self._tags.epoch(name) for name in names]

    def raise_tags(self, names: Sequence[bytes]) -> None:
        """Raise them."""
        with self.lock:
            for name in names:
                if self._tags.known(name):
                    self._tags.raise_epoch(name)
                    self._report_raise(name)
                self.doubts[bucket_of(name)] += 1
            self.rings += 1

    # Telling what changes.

    def follow(self, prefix: bytes, sink: Sink) -> None:
        """Tell `sink`, for as long as it lives, of every change to what begins with `prefix`, under the lock."""
        with self.lock:
            self._followers = {one: None for one in self._followers if one[1]() is not None}
            self._followers[prefix, weakref.ref(sink)] = None

    def unfollow(self, prefix: bytes, sink: Sink) -> None:
        """Tell it no longer."""
        with self.lock:
            self._followers.pop((prefix, weakref.ref(sink)), None)

    def listen(self, topic: Topic, listener: Listener) -> None:
        """Tell `listener`, for as long as it lives, of a topic, under the lock."""
        with self.lock:
            self._listeners = {one: None for one in self._listeners if one[1]() is not None}
            self._listeners[topic, weakref.ref(listener)] = None

    def unlisten(self, topic: Topic, listener: Listener) -> None:
        """Tell it no longer."""
        with self.lock:
            self._listeners.pop((topic, weakref.ref(listener)), None)

    # Walks and members.

    def listed(self, prefix: bytes) -> list[bytes]:
        """The addresses that begin with `prefix`, as of now; some of them may have ended, see `present`."""
        with self.lock:
            return [address for address in self._entries if address.startswith(prefix)]

    def present(self, addresses: Sequence[bytes]) -> list[bytes]:
        """Those of the addresses where something is."""
        with self.lock:
            return [address for address in addresses if self._find(address)]

    def members(self) -> list[MemberFacts]:
        """The only member: this process."""
        with self.lock:
            self._sweep(len(self._entries))
            return [
                MemberFacts(
                    host="memory",
                    port=0,
                    role="owner",
                    pid=os.getpid(),
                    entries=len(self._entries),
                    memory_bytes=self._bytes,
                    memory_limit_bytes=self.max_bytes,
                    hits=self._hits,
                    misses=self._misses,
                )
            ]

    # What all of the above stand on; the lock is held.

    def _find(self, address: bytes) -> Entry | None:
        entry = self._entries.get(address)
        if entry is not None and entry.deadline <= self._clock():
            self._remove(address)
            self._report("expired", address)
            return None
        return entry

    def _read(self, address: bytes) -> Entry | None:
        entry = self._find(address)
        if entry is None:
            self._misses += 1
        else:
            self._hits += 1
            if self.max_bytes:
                self._entries.move_to_end(address)
        return entry

    def _put(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        if self.max_bytes and _cost(address, frame) > self.max_bytes:
            raise GridFull(
                f"an entry of {len(frame):,} bytes does not fit into a memory grid of {self.max_bytes:,}",
                where="memory",
            )
        entry = self._entries.get(address)
        if entry is None:
            entry = self._entries[address] = Entry(b"")
            self._bytes += _cost(address, b"")
        self._end_in(address, entry, ttl)
        self._replace(address, entry, frame)
        self._report("set", address)
        self._sweep(_SWEEP)

    def _end_in(self, address: bytes, entry: Entry, ttl: int | None) -> None:
        entry.deadline = NEVER if ttl is None else self._clock() + ttl * _MS
        self._deadlines.watch(address, entry)
        self._tell(address)

    def _replace(self, address: bytes, entry: Entry, frame: bytes) -> None:
        self._bytes += len(frame) - len(entry.frame)
        entry.frame = frame
        self._tell(address)
        if self.max_bytes:
            self._entries.move_to_end(address)
            self._make_room()

    def _remove(self, address: bytes) -> bool:
        entry = self._entries.pop(address)
        self._bytes -= _cost(address, entry.frame)
        self._deadlines.tidy(self._entries)
        self._tell(address)
        return True

    def _tell(self, address: bytes) -> None:
        for prefix, reference in self._followers:
            if address.startswith(prefix) and (sink := reference()) is not None:
                sink.changed(address)

    def _delete(self, address: bytes) -> bool:
        self._report("deleted", address)
        return self._remove(address)

    def _report(self, kind: EventKind, address: bytes) -> None:
        for topic, reference in self._listeners:
            if not topic.of_epochs and address.startswith(topic.parent) and (listener := reference()) is not None:
                listener.happened(topic, Happening(kind, address, _HERE))

    def _report_raise(self, name: bytes) -> None:
        for topic, reference in self._listeners:
            cache = topic.parent[:-1]
            is_of_it = name == cache or name.startswith((topic.parent, cache + b"/"))
            if topic.of_epochs and is_of_it and (listener := reference()) is not None:
                listener.happened(topic, Happening("invalidated", name, _HERE))

    def _sweep(self, most: int) -> None:
        for address in itertools.islice(self._deadlines.due(self._entries, self._clock()), most):
            self._remove(address)
            self._report("expired", address)

    def _make_room(self) -> None:
        while self._bytes > self.max_bytes:
            ended = next(self._deadlines.due(self._entries, self._clock()), None)
            address = next(iter(self._entries)) if ended is None else ended
            self._remove(address)
            self._report("evicted" if ended is None else "expired", address)

    def _wall_ms(self) -> int:
        return self._wall() // _MS


def _cost(address: bytes, frame: bytes) -> int:
    return _OVERHEAD + len(address) + len(frame)


def _header(raw: bytes) -> frames.Frame | None:
    """What the frame says of itself; nothing, if it is an integer or none of ours."""
    try:
        return frames.unpack(raw)
    except FrameError:
        return None
