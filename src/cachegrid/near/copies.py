"""
Near copies: entries kept in this process, with what decides whether one may be handed out.

A copy may be handed out while it has not ended, and while its guard was heard lately: a guard tells what changes at one
owner, for as long as nothing it tells can have been missed. What the grid answers becomes a copy only if nothing about
its address changed since the question was sent (`Copies.token`): news may overtake an older answer.

Eviction is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): new copies pass a
small queue first, so that what is read once pushes out nothing that is read often. A hit only marks its copy, and
takes no lock.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Any, Final, NamedTuple

__all__ = ["COPY_OVERHEAD", "ENDLESS", "GONE", "Copies", "Copy", "Fill", "Guard"]

ENDLESS: Final = float("inf")
GONE: Final = object()  # the value of a copy that was dropped
COPY_OVERHEAD: Final = 420  # bytes of a copy besides its key and value: itself, its places in a table and a queue
_BUCKETS: Final = 8192  # changes are noted by groups of addresses; a power of 2
_SMALL_SHARE: Final = 10  # a tenth of the room is for copies that have not proved themselves
_UNKNOWN: Final = object()
_DEAD_ENOUGH: Final = 256  # dropped copies that may stand in the queues before these are tidied


class Guard:
    """Listens to one owner. `heard` is up to when nothing that it tells was missed (seconds, monotonic)."""

    __slots__ = ("heard",)

    def __init__(self) -> None:
        self.heard = -ENDLESS

    def give_up(self) -> None:
        """Something may be missed from here on: no copy that it guards is handed out again."""
        self.heard = -ENDLESS


class Copy:
    """
    An entry kept here. With `raw`, its frame, each reader decodes a value of his own; else `value` is for all.

    Two copies of one entry with the same `version` say the same. From `ends` on it is handed out only if it is `early`:
    then it is time to look, at each read, whether it shall be loaded anew.
    """

    __slots__ = (
        "early",
        "ends",
        "guard",
        "is_hot",
        "is_new",
        "key",
        "marks",
        "raw",
        "rings",
        "size",
        "table",
        "value",
        "version",
    )

    def __init__(
        self,
        table: dict[Any, Copy],
        key: Hashable,
        value: Any,
        *,
        raw: Any,
        guard: Guard,
        ends: float,
        size: int,
        version: bytes = b"",
        marks: tuple[tuple[int, int], ...] = (),
        early: tuple[float, int] | None = None,
    ) -> None:
        self.early = early  # the end of its entry, and what it costs to load it, in ms
        self.marks = marks  # buckets of its tags, and their doubts: another doubt is its end
        self.rings = -1  # of all tags together, when these were compared last
        self.table, self.key, self.value, self.raw = table, key, value, raw
        self.guard, self.ends, self.version = guard, ends, version
        self.size = size + COPY_OVERHEAD  # bytes; 0 once it was dropped
        self.is_hot = False  # set by each hit
        self.is_new = True  # stands in the small queue


class Fill(NamedTuple):
    """A copy to be kept, if nothing changed at its address since the token was taken."""

    copy: Copy
    address: bytes
    token: int


class Copies:
    """
    The copies of one cache and of the functions it keeps results of, which share its room. Serves all threads.

    Each of them has a table of its own, from key to copy, and looks into it without asking here.

    Whoever brings news, or reads a copy, never waits: news may come from a signal handler or a finalizer in the middle
    of any work, or from who holds locks of his own. So copies are taken out of their tables without a lock, and counted
    out by whoever keeps one next.
    """

    def __init__(self, *, max_bytes: int, max_entries: int) -> None:
        self.evictions = 0
        self._bytes = self._entries = 0
        self._max_bytes, self._max_entries = max_bytes, max_entries
        self._lock = threading.RLock()
        self._is_busy = False  # under the lock: only a handler or finalizer in the middle of that work finds it so
        self._gone: deque[Copy] = deque()  # taken out of their tables, and not counted out yet
        self._small: deque[Copy] = deque()
        self._main: deque[Copy] = deque()
        self._small_bytes = self._small_entries = self._dead = 0
        self._ghosts: dict[int, None] = {}  # hashes of keys that were evicted before they proved themselves, in order
        # No number comes twice, so that of two changes at once neither can be mistaken for the state before both.
        self._numbers = itertools.count(1)
        self._changes = [0] * _BUCKETS

    @property
    def size(self) -> int:
        """What all copies take, in bytes."""
        self.keep(())  # counts out what was dropped
        return self._bytes

    @property
    def entries(self) -> int:
        """How many copies there are."""
        self.keep(())
        return self._entries

    # Whether an answer may be kept.

    def token(self, address: bytes) -> int:
        """What to show to `keep`; taken before the grid is asked."""
        return self._changes[hash(address) & (_BUCKETS - 1)]

    def spoil(self, address: bytes) -> None:
        """Let no answer be kept that was asked for before now. What was kept before that stands in its table."""
        self._changes[hash(address) & (_BUCKETS - 1)] = next(self._numbers)

    def spoil_all(self) -> None:
        """The same for every address."""
        self._changes = [next(self._numbers)] * _BUCKETS

    # Changing what is kept.

    def keep(self, fills: Iterable[Fill]) -> list[bytes]:
        """
        Keep copies of what was asked for together; the addresses of those that nobody may keep.

        What changed since its token was taken is not kept, unless others have kept the very same meanwhile.
        """
        with self._lock:
            if self._is_busy:
                return [fill.address for fill in fills]
            try:
                self._is_busy = True
                self._count_out()
                return self._keep(fills)
            finally:
                self._is_busy = False

    def drop(self, table: dict[Any, Copy], key: Hashable) -> None:
        """Forget a copy. Who spoils its address before that lets none take its place that is older."""
        copy = table.pop(key, None)
        if copy is not None:
            self._let_go(copy)

    def drop_all(self, table: dict[Any, Copy]) -> None:
        """Forget all copies of a table, which nobody looks into any more, and keep none that is on its way."""
        self.spoil_all()
        while table:
            with contextlib.suppress(KeyError):  # somebody else was faster with the last one
                self._let_go(table.popitem()[1])

    def forget(self) -> None:
        """In a forked child: begin anew, since the lock may be held by a thread of the parent's."""
        self._lock = threading.RLock()
        self._is_busy = False
        self._gone, self._small, self._main, self._ghosts = deque(), deque(), deque(), {}
        self._bytes = self._entries = self._small_bytes = self._small_entries = self._dead = self.evictions = 0
        self.spoil_all()

    def _let_go(self, copy: Copy) -> None:
        self._gone.append(copy)
        _empty(copy)

    # Inside; under the lock.

    def _count_out(self) -> None:
        while self._gone:
            self._remove(self._gone.popleft())

    def _keep(self, fills: Iterable[Fill]) -> list[bytes]:
        refused: list[bytes] = []
        entered: list[bytes] = []
        for copy, address, token in fills:
            if self.token(address) != token:
                if not _says_the_same(copy.table.get(copy.key), copy):
                    refused.append(address)
            elif copy.size > self._max_bytes // _SMALL_SHARE:
                refused.append(address)  # it would push out too much
            else:
                self._remove(copy.table.get(copy.key))
                ends, copy.ends = copy.ends, -ENDLESS  # so that nobody is given it yet
                copy.table[copy.key] = copy
                self._enter(copy)
                if self.token(address) == token:
                    copy.ends = ends  # whoever brings news from here on finds it in its table
                    entered.append(address)
                else:
                    self._remove(copy)
                    refused.append(address)
                self._make_room()
        for address in entered:  # after all were looked at: some have their token in common
            # What others have asked for meanwhile may be older than what this one's caller is about to see.
            self.spoil(address)
        return refused

    def _enter(self, copy: Copy) -> None:
        self._bytes += copy.size
        self._entries += 1
        if self._ghosts.pop(hash(copy.key), _UNKNOWN) is None:
            copy.is_new = False
            self._main.append(copy)
        else:
            self._small_bytes += copy.size
            self._small_entries += 1
            self._small.append(copy)

    def _remove(self, copy: Copy | None) -> None:
        if copy is None or not copy.size:
            return
        self._forget(copy)
        self._dead += 1  # in its queue, without its value
        if self._dead > max(_DEAD_ENOUGH, self._entries):
            self._dead = 0
            for queue in (self._small, self._main):
                _tidy(queue)

    def _forget(self, copy: Copy) -> None:
        if copy.table.get(copy.key) is copy:
            copy.table.pop(copy.key, None)
        size, copy.size = copy.size, 0
        self._bytes -= size
        self._entries -= 1
        if copy.is_new:
            self._leave_small(size)
        copy.key = None  # its queue holds it for a while, and must not hold a large key or value
        _empty(copy)

    def _leave_small(self, size: int) -> None:
        self._small_bytes -= size
        self._small_entries -= 1

    def _make_room(self) -> None:
        while self._bytes > self._max_bytes or self._entries > self._max_entries:
            is_small_full = (
                self._small_bytes * _SMALL_SHARE > self._max_bytes
                or self._small_entries * _SMALL_SHARE > self._max_entries
            )
            if self._small and (is_small_full or not self._main):
                self._pass_on(self._small.popleft())
            elif self._main:
                self._go_round(self._main.popleft())
            else:
                raise AssertionError  # pragma: no cover - what is counted stands in a queue

    def _pass_on(self, copy: Copy) -> None:
        """The oldest of the small queue has proved itself, or goes."""
        if not copy.size:
            self._dead -= 1
        elif copy.is_hot:
            copy.is_hot = copy.is_new = False
            self._leave_small(copy.size)
            self._main.append(copy)
        else:
            self._ghosts[hash(copy.key)] = None
            self._evict(copy)
            if len(self._ghosts) > self._entries + 1:
                del self._ghosts[next(iter(self._ghosts))]

    def _go_round(self, copy: Copy) -> None:
        """The oldest of the main queue goes, or begins anew if it was asked for since."""
        if not copy.size:
            self._dead -= 1
        elif copy.is_hot:
            copy.is_hot = False
            self._main.append(copy)
        else:
            self._evict(copy)

    def _evict(self, copy: Copy) -> None:
        self._forget(copy)
        self.evictions += 1


def _empty(copy: Copy) -> None:
    """Let go of a copy's value. Who is just reading it looks at `raw` first, and never takes GONE for a value."""
    copy.ends = -ENDLESS
    copy.value = GONE
    copy.raw = None


def _says_the_same(one: Copy | None, other: Copy) -> bool:
    """Whether there is a copy that says what the other one says, and is told of changes by the same guard."""
    return one is not None and one.version == other.version and one.guard is other.guard


def _tidy(queue: deque[Copy]) -> None:
    """Take dropped copies out, one turn of the queue long."""
    for _ in range(len(queue)):
        copy = queue.popleft()
        if copy.size:
            queue.append(copy)
