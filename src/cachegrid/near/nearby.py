"""What a named cache and its functions have near: one room for copies, and a table for each."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import sys
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from cachegrid._core.address import Space, parent_of, prefix_of
from cachegrid._core.stats import Counters
from cachegrid.near.copies import Copies, Copy, Guard

__all__ = ["Nearby", "Pushes", "Sink", "cleared", "is_constant", "seen", "size_of", "wrote"]

_CONSTANT: Final = frozenset(
    {
        str,
        bytes,
        int,
        float,
        complex,
        bool,
        type(None),
        decimal.Decimal,
        uuid.UUID,
        dt.datetime,
        dt.date,
        dt.time,
        dt.timedelta,
        dt.timezone,
    }
)
_DEEPEST: Final = 20


class Sink(Protocol):
    """Who is told. Called from any thread; must not block."""

    def changed(self, address: bytes) -> None:
        """The entry was written, dropped, expired or evicted, or has moved to another owner."""

    def changed_if(self, is_lost: Callable[[bytes], bool]) -> None:
        """What the addresses that `is_lost` names hold may have changed."""

    def refused(self) -> None:
        """An owner has just refused to tell what changes."""


@runtime_checkable
class Pushes(Protocol):
    """Ability: tell what changes, as it happens. In both colours, since nothing of it is waited for."""

    trouble: int  # another number after every answer that did not come straight from an owner

    def follow(self, prefix: bytes, sink: Sink, staleness: float) -> None:
        """
        Tell `sink` of every change to the addresses of a cache, from when they have a guard.

        `prefix` is what all of them begin with (see `parent_of`); one sink follows it at a time.
        Owners prove at least twice in `staleness` seconds that nothing was missed.
        """

    def unfollow(self, prefix: bytes) -> None:
        """Tell no longer."""

    def suspect(self, tags: Sequence[int] = ()) -> None:
        """
        Let `doubt` change: an epoch was raised in this process, and the news of it may still be on its way.

        With `tags`, those of the tags in these buckets, and no others.
        """

    def guard(self, address: bytes, prefix: bytes) -> Guard | None:
        """
        Who tells of changes to an address; None while nobody does.

        What the owner answers may be kept if the guard, and `trouble`, are the same before the question and after
        the answer.
        """


class _Nowhere(dict[Any, Copy]):
    """The table of a space that is out of date: it stays empty, since news of what was in it would find nothing."""

    def __setitem__(self, key: Any, copy: Copy) -> None:
        pass


class Nearby:
    """Is told by the engine what changed, and drops it from the table that has it. Serves all threads."""

    def __init__(self, copies: Copies, *, staleness: float, shares: bool, keeps_absence: bool) -> None:
        self.copies = copies
        self.staleness, self.shares, self.keeps_absence = staleness, shares, keeps_absence
        self.counters = Counters()  # those of the cache, once it has them
        self._lock = threading.RLock()  # signal handlers and finalizers that use the cache may run under it
        self._followed: Pushes | None = None
        self._places: dict[bytes, tuple[Space, dict[Any, Copy]]] = {}  # by the prefix of a space
        _all.add(self)

    def table(self, space: Space) -> dict[Any, Copy]:
        """The table of a space. That of the same cache at other epochs, its own or its outer cache's, goes."""
        old: list[dict[Any, Copy]] = []
        with self._lock:
            if space.prefix not in self._places:
                names = space.names
                same = {one: other for one, (other, _) in self._places.items() if other.names == names}
                if any(other.epochs > space.epochs for other in same.values()):
                    return _Nowhere()  # who made it was late: others look where it is newer, and that table must stay
                places = {one: place for one, place in self._places.items() if one not in same}
                old = [self._places[one][1] for one in same]
                self._places = {**places, space.prefix: (space, {})}
            table = self._places[space.prefix][1]
        for one in old:
            self.copies.drop_all(one)
        return table

    def follow(self, engine: Pushes, prefix: bytes) -> None:
        """Be told of changes to what begins with `prefix`."""
        if self._followed is not engine:
            with self._lock:
                if self._followed is not engine:
                    engine.follow(prefix, self, self.staleness)
                    self._followed = engine
                    _enter(prefix, self)

    def changed(self, address: bytes) -> None:
        """An entry changed: forget its copy, and keep no answer that was asked for before now."""
        self.copies.spoil(address)
        found = self._find(address)
        if found is not None:
            self.copies.drop(*found)

    def seen(self, address: bytes, version: bytes) -> None:
        """Somebody has seen this version of an entry: nobody here shall see an older one after that."""
        found = self._find(address)
        copy = found and found[0].get(found[1])
        if copy is None or copy.version != version:
            self.changed(address)

    def cleared(self, tags: Sequence[int]) -> None:
        """An epoch was raised, or those of some tags: look which ones hold, before a copy is handed out."""
        if self._followed is not None:
            self._followed.suspect(tags)

    def changed_if(self, is_lost: Callable[[bytes], bool]) -> None:
        """What is at the addresses that `is_lost` names may have changed."""
        self.copies.spoil_all()
        for space, table in list(self._places.values()):
            for key in list(table):
                address = space.address(key)
                if is_lost(address):
                    self.copies.drop(table, key)

    def refused(self) -> None:
        """An owner has just refused to tell what changes."""
        self.counters.near_refusals += 1

    def forget(self) -> None:
        """In a forked child: nothing is kept yet."""
        self._lock = threading.RLock()
        self.copies.forget()
        for _, table in self._places.values():
            table.clear()  # caches look into it
        self._followed = None

    def _find(self, address: bytes) -> tuple[dict[Any, Copy], Any] | None:
        """The table that has a copy of an entry, and the copy's key."""
        place = self._places.get(prefix_of(address))
        if place is not None and place[1]:
            space, table = place
            key = space.key(address)
            if key in table:
                return table, key
        return None


def wrote(address: bytes) -> None:
    """An entry was changed here: tell all who keep copies of it in this process, also for other grid objects."""
    for nearby in _keepers(parent_of(address)) if _here else ():
        nearby.changed(address)


def seen(parent: bytes, found: Iterable[tuple[bytes, bytes]], but: Nearby | None = None) -> None:
    """The addresses of entries of a cache that were just read, and their versions: tell all who keep copies here."""
    keepers = [nearby for nearby in _keepers(parent) if nearby is not but]
    if keepers:
        for address, version in found:
            for nearby in keepers:
                nearby.seen(address, version)


def cleared(parent: bytes, tags: Sequence[int] = ()) -> None:
    """A cache was cleared here, or its `tags` in these buckets were raised: tell all who keep copies of it."""
    for nearby in _keepers(parent):
        nearby.cleared(tags)


def _keepers(parent: bytes) -> Iterator[Nearby]:
    return filter(None, [reference() for reference in _here.get(parent, ())])


_here: dict[bytes, tuple[weakref.ref[Nearby], ...]] = {}  # who keeps copies in this process, by prefix
_entering = threading.RLock()


def _enter(prefix: bytes, nearby: Nearby) -> None:
    with _entering:
        known = [one for one in _here.get(prefix, ()) if one() not in (None, nearby)]
        _here[prefix] = (*known, weakref.ref(nearby))


_all: weakref.WeakSet[Nearby] = weakref.WeakSet()  # for what has to be done in a forked child


def _forget_all() -> None:
    global _entering  # noqa: PLW0603 - a thread of the parent's may hold it
    _entering = threading.RLock()
    for nearby in list(_all):
        nearby.forget()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_all)


def is_constant(value: Any) -> bool:
    """Whether nobody can change a value, so that all may have the same one."""
    kind = value.__class__
    if kind is tuple or kind is frozenset:
        return all(map(is_constant, value))
    return kind in _CONSTANT


def size_of(value: Any, depth: int = 0) -> int:
    """About how many bytes a value takes here, with all that is inside."""
    size = sys.getsizeof(value)
    kind = value.__class__
    if depth > _DEEPEST or kind in _CONSTANT:
        return size
    if kind is dict:
        # All records may have the names of their fields in common, or each mapping keys of its own: half is counted.
        names = sum(size_of(one, depth + 1) for one in value) // 2
        return size + names + sum(size_of(one, depth + 1) for one in value.values())
    if kind in (list, tuple, set, frozenset):
        return size + sum(size_of(one, depth + 1) for one in value)
    return size + (size_of(vars(value), depth + 1) if hasattr(value, "__dict__") else 0)
