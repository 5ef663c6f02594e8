# Generated from src/cachegrid/engines/memory/_aio.py by tools/colour.py. Edit that file, then run `make colour`.
"""The face of a memory grid in one colour: it passes every call to the store, which never waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

from cachegrid._core.durability import Durability
from cachegrid._core.events import Listener, Topic
from cachegrid.engines.facts import MemberFacts
from cachegrid.engines.memory.store import Store
from cachegrid.near.copies import Guard
from cachegrid.near.nearby import Sink

__all__ = ["SyncMemoryEngine"]

_PAGE = 1000  # addresses that a walk looks at before others may have the store


class SyncMemoryEngine:
    """
    An engine with every ability, on a store of this process; engines on one store are one grid.

    A forked child goes on with a copy of the store as it was at the fork.
    """

    __slots__ = ("_followed", "_heard", "_store", "trouble")

    def __init__(self, store: Store | None = None) -> None:
        self._store = Store() if store is None else store
        self._followed: dict[bytes, Sink] = {}
        self._heard: dict[Topic, Listener] = {}
        self.trouble = 0  # there is nobody else to answer

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store!r})"

    @property
    def doubt(self) -> int:
        """Changes whenever an epoch is raised."""
        return self._store.doubt

    def fetch(self, address: bytes) -> bytes | None:
        """The frame at an address, or None."""
        return self._store.fetch(address)

    def store(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        """Put a frame at an address; raises `GridFull` for one that is larger than the whole grid."""
        self._store.store(address, frame, ttl)

    def drop(self, address: bytes) -> bool:
        """Remove what is at an address; True if something was."""
        return self._store.drop(address)

    def close(self) -> None:
        """Nothing else has to be released: the entries go with the last engine on their store, unless it has a name."""
        for prefix in list(self._followed):
            self.unfollow(prefix)
        for topic in list(self._heard):
            self.unlisten(topic)

    def follow(self, prefix: bytes, sink: Sink, staleness: float) -> None:
        """Tell `sink` of every change to what begins with `prefix`, before who made it goes on."""
        self._followed[prefix] = sink
        self._store.follow(prefix, sink)

    def unfollow(self, prefix: bytes) -> None:
        """Tell no longer."""
        sink = self._followed.pop(prefix, None)
        if sink is not None:
            self._store.unfollow(prefix, sink)

    def listen(self, topic: Topic, listener: Listener) -> None:
        """Tell `listener` of a topic, before who let it happen goes on."""
        self.unlisten(topic)
        self._heard[topic] = listener
        self._store.listen(topic, listener)

    def unlisten(self, topic: Topic) -> None:
        """Tell no longer."""
        listener = self._heard.pop(topic, None)
        if listener is not None:
            self._store.unlisten(topic, listener)

    def suspect(self, tags: Sequence[int] = ()) -> None:
        """Nothing has to be done: `doubt` is the store's own, and has changed."""

    def guard(self, address: bytes, prefix: bytes) -> Guard | None:
        """Who tells of changes: the store itself."""
        return self._store.guard if prefix in self._followed else None

    def fetch_many(self, addresses: Sequence[bytes]) -> list[bytes | None]:
        """The frames, in the order asked for; None where there is none."""
        return self._store.fetch_many(addresses)

    def fetch_parts(self, addresses: Sequence[bytes]) -> Iterator[tuple[Sequence[int], Sequence[bytes | None]]]:
        """The same; here it is one part."""
        yield range(len(addresses)), self._store.fetch_many(addresses)

    def store_many(self, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
        """Put each (address, frame, ttl)."""
        self._store.store_many(items)

    def drop_many(self, addresses: Sequence[bytes]) -> int:
        """Remove each; how many there were."""
        return self._store.drop_many(addresses)

    def store_if_absent(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        """Put the frame if nothing is there; whether it was put."""
        return self._store.store_if_absent(address, frame, ttl)

    def store_if_present(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        """Put the frame if something is there; whether it was put."""
        return self._store.store_if_present(address, frame, ttl)

    def store_if_version(self, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
        """Put the frame if the version of what is there is `version`; whether it was put."""
        return self._store.store_if_version(address, version, frame, ttl)

    def drop_if_version(self, address: bytes, version: bytes) -> bool:
        """Remove what is there if its version is `version`; whether it was removed."""
        return self._store.drop_if_version(address, version)

    def drop_if_strange(self, address: bytes) -> bool:
        """Remove what is there if it has no version; whether it was removed."""
        return self._store.drop_if_strange(address)

    def add(self, address: bytes, by: int, start: int, ttl: int | None) -> int:
        """Add `by` to the integer there, or to `start`; raises `NotANumber`, and leaves all as it was."""
        return self._store.add(address, by, start, ttl)

    def lasting(self, durability: Durability) -> Self:
        """The same engine: whatever takes the entries takes who wrote them, so there is nothing to wait for."""
        return self

    def fetch_idle(self, address: bytes, idle: int) -> bytes | None:
        """Fetch, and start the idle time anew; the frame's own goes before `idle`."""
        return self._store.fetch_idle(address, idle)

    def fetch_idle_many(self, addresses: Sequence[bytes], idle: int) -> list[bytes | None]:
        """The same for many, in the order asked for."""
        return [self._store.fetch_idle(address, idle) for address in addresses]

    def touch(self, address: bytes, ttl: int | None, now: int) -> bool:
        """Give what is there a new time to live from `now` (ms since 1970); whether something was there."""
        return self._store.touch(address, ttl, now)

    def inspect(self, address: bytes) -> tuple[bytes, int | None] | None:
        """The frame and the milliseconds it has left (None: without end)."""
        return self._store.inspect(address)

    def glance(self, address: bytes, size: int) -> tuple[bytes, int | None, int] | None:
        """The first bytes of the frame, the milliseconds it has left, and how many bytes it has in all."""
        found = self._store.inspect(address)
        return found and (found[0][:size], found[1], len(found[0]))

    def acquire(self, name: bytes, token: bytes, lease: int) -> int | None:
        """Take the lease for `lease` ms, or get it again if `token` has it: its fencing number."""
        return self._store.acquire(name, token, lease)

    def renew(self, name: bytes, token: bytes, lease: int) -> bool:
        """Let the lease end `lease` ms from now; False if `token` no longer has it."""
        return self._store.renew(name, token, lease)

    def release(self, name: bytes, token: bytes) -> bool:
        """End the lease; False if `token` no longer has it."""
        return self._store.release(name, token)

    def is_held(self, name: bytes) -> bool:
        """Whether any token has the lease."""
        return self._store.is_held(name)

    def land(self, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
        """Put the frame if `token` has the lease named by the address, which ends, and nothing is there."""
        return self._store.land(address, token, frame, ttl)

    def epoch(self, name: bytes) -> int:
        """The epoch of a name."""
        return self._store.epoch(name)

    def raise_epoch(self, name: bytes) -> int:
        """Raise it."""
        return self._store.raise_epoch(name)

    @property
    def doubts(self) -> list[int]:
        """Of tags, by bucket: each changes when one of them is raised."""
        return self._store.doubts

    @property
    def rings(self) -> int:
        """Changes after any of those has."""
        return self._store.rings

    def tag_epochs(self, names: Sequence[bytes]) -> list[int]:
        """The epochs of tags; 0 for one that has none."""
        return self._store.tag_epochs(names)

    def make_tag_epochs(self, names: Sequence[bytes], last: int | None) -> list[tuple[int, int | None]]:
        """The epochs of tags, made where there are none; without end."""
        return [(epoch, None) for epoch in self._store.make_tag_epochs(names)]

    def raise_tags(self, names: Sequence[bytes]) -> None:
        """Raise them."""
        self._store.raise_tags(names)

    def heads(self, addresses: Sequence[bytes], size: int) -> list[bytes | None]:
        """The first bytes of the frames."""
        return [None if raw is None else raw[:size] for raw in self._store.fetch_many(addresses)]

    def drop_versions(self, entries: Sequence[tuple[bytes, bytes]]) -> int:
        """Remove what is at each address if it has this version."""
        return sum(self._store.drop_if_version(address, version) for address, version in entries)

    def walk(self, prefix: bytes) -> Iterator[list[bytes]]:
        """Pages of the addresses that begin with `prefix`."""
        found = self._store.listed(prefix)
        for at in range(0, len(found), _PAGE):
            yield self._store.present(found[at : at + _PAGE])

    def members(self) -> list[MemberFacts]:
        """The only member: this process."""
        return self._store.members()
