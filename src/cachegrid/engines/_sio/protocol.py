# Generated from src/cachegrid/engines/_aio/protocol.py by tools/colour.py. Edit that file, then run `make colour`.
"""
What an engine is: four methods that every engine has, and abilities that some have besides.

One more ability is `cachegrid.near.nearby.Pushes`: to tell what changes, without which nothing is kept near.

An engine stores frames at addresses. It never looks inside a frame, but for the header fields that
`Conditions` and `Times` name (see `cachegrid._core.frame`), and never decides about freshness. An outage
never looks like a miss: it raises an `EngineError`. Times to live are whole milliseconds, 1 or more;
None means without end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from cachegrid._core.durability import Durability
from cachegrid._core.events import Listener, Topic
from cachegrid.engines.facts import MemberFacts, PathFacts

__all__ = [
    "SyncBatches",
    "SyncConditions",
    "SyncCounts",
    "SyncDurables",
    "SyncEngine",
    "SyncEpochs",
    "SyncLandings",
    "SyncLeases",
    "SyncMembers",
    "SyncPaths",
    "SyncSureReads",
    "SyncTags",
    "SyncTimes",
    "SyncWalks",
]


class SyncEngine(Protocol):
    """Stores frames at addresses."""

    def fetch(self, address: bytes) -> bytes | None:
        """The frame at an address, or None."""

    def store(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        """Put a frame at an address, whatever was there."""

    def drop(self, address: bytes) -> bool:
        """Remove what is at an address; True if something was."""

    def close(self) -> None:
        """Release every connection, task and thread. May be called twice."""


@runtime_checkable
class SyncBatches(Protocol):
    """Ability: many addresses in one trip to each member."""

    def fetch_many(self, addresses: Sequence[bytes]) -> list[bytes | None]:
        """The frames, in the order asked for; None where there is none."""

    def fetch_parts(self, addresses: Sequence[bytes]) -> Iterator[tuple[Sequence[int], Sequence[bytes | None]]]:
        """
        The same in parts, as members answer, so that the caller can work on one while others are on their way.

        A part is the places of some addresses, and their frames; each place comes once.
        """

    def store_many(self, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
        """Put each (address, frame, ttl)."""

    def drop_many(self, addresses: Sequence[bytes]) -> int:
        """Remove each; how many there were."""


@runtime_checkable
class SyncConditions(Protocol):
    """Ability: store only if the entry is absent, present or unchanged, decided at its owner."""

    def store_if_absent(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        """Put the frame if nothing is there; whether it was put."""

    def store_if_present(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        """Put the frame if something is there; whether it was put."""

    def store_if_version(self, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
        """
        Put the frame if the version of what is there is `version`; whether it was put.

        The version of a frame is the 8 bytes in its header; of an integer entry, its digits; other bytes have none.
        """

    def drop_if_version(self, address: bytes, version: bytes) -> bool:
        """Remove what is there if its version is `version`; whether it was removed."""

    def drop_if_strange(self, address: bytes) -> bool:
        """Remove what is there if it has no version, and so is nobody's entry; whether it was removed."""


@runtime_checkable
class SyncCounts(Protocol):
    """Ability: add to an integer at its owner, atomically."""

    def add(self, address: bytes, by: int, start: int, ttl: int | None) -> int:
        """
        Add `by` to the integer there, and return the sum; where nothing is, start from `start` with `ttl`.

        An existing entry keeps its time to live. Raises `NotANumber` where no integer is, or where the
        sum leaves 64 bits; then nothing has changed, and where nothing was, nothing is.
        """


@runtime_checkable
class SyncTimes(Protocol):
    """Ability: idle times, and times to live that can be read and changed."""

    def fetch_idle(self, address: bytes, idle: int) -> bytes | None:
        """
        Fetch, and start the idle time anew in the same trip.

        A frame that names an idle time of its own uses that, else `idle`. The entry never outlives
        the absolute time to live in its header. An idle time of `cachegrid._core.ages.AGES` is none: the end of the
        entry stays as it is.
        """

    def fetch_idle_many(self, addresses: Sequence[bytes], idle: int) -> list[bytes | None]:
        """The same for many, in the order asked for, in one trip to each member."""

    def touch(self, address: bytes, ttl: int | None, now: int) -> bool:
        """
        Give what is there a new time to live from `now` (ms since 1970); whether something was there.

        The header's time to live is changed along; the idle time goes on.
        """

    def inspect(self, address: bytes) -> tuple[bytes, int | None] | None:
        """The frame and the milliseconds it has left (None: without end), without touching its idle time."""

    def glance(self, address: bytes, size: int) -> tuple[bytes, int | None, int] | None:
        """The same of the first bytes of the frame, up to `size`; and how many it has in all."""


@runtime_checkable
class SyncLeases(Protocol):
    """Ability: a lock that ends by itself, with a fencing number that only grows."""

    def acquire(self, name: bytes, token: bytes, lease: int) -> int | None:
        """
        Take the lease for `lease` ms, or get it again if `token` has it.

        Its fencing number, which is larger than every earlier holder's; None if another token has it.
        """

    def renew(self, name: bytes, token: bytes, lease: int) -> bool:
        """Let the lease end `lease` ms from now; False if `token` no longer has it."""

    def release(self, name: bytes, token: bytes) -> bool:
        """End the lease; False if `token` no longer has it."""

    def is_held(self, name: bytes) -> bool:
        """Whether any token has the lease. Asking changes nothing."""


@runtime_checkable
class SyncDurables(Protocol):
    """Ability: writes that return when they are where a fault of their owner does not take them."""

    def lasting(self, durability: Durability) -> SyncEngine:
        """
        The engine as those see it whose writes shall last: with the same abilities, and closed along with it.

        A write returns when so many replicas have applied it, and its owner has it on disk, if that is asked for; so
        does `raise_epoch`. Where that does not come within the deadline, or cannot, it raises `NotDurable`: then it
        was applied all the same, as every request of a batch was. What the owner cannot do at all is refused with
        `Unsupported` before anything is written. An engine whose entries live and die with this process has
        nothing to wait for.
        """


@runtime_checkable
class SyncLandings(Protocol):
    """
    Ability: keep what was loaded only while nobody dropped it meanwhile.

    Who loads has the lease whose name is the address (see `SyncLeases`). `drop` and `drop_many` end the leases named
    by the addresses that they drop, whether something was there or not, and tell only of what was there. So do `store`,
    `store_many` and `touch` with a time to live of less than a minute: it may come and go while somebody loads what is
    older.
    """

    def land(self, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
        """
        Put the frame if `token` has the lease named by the address and nothing is there; whether it was put.

        In one step, and if `token` had the lease, that has ended then, also where `GridFull` is raised. Where this very
        frame is there already the answer is True, so that it may be asked again when an answer was lost.
        """


@runtime_checkable
class SyncEpochs(Protocol):
    """
    Ability: numbers by which many entries die at once.

    `doubt` changes, before the answer to any later request is seen, whenever an epoch may have been
    raised by anybody since it was last read. A caller notes it, reads the epoch, and trusts that for as
    long as `doubt` stays the same.
    """

    @property
    def doubt(self) -> int:
        """A number that is never the same again once it has changed."""

    def epoch(self, name: bytes) -> int:
        """The epoch of a name; a name that has none gets one that no earlier one equals."""

    def raise_epoch(self, name: bytes) -> int:
        """Raise it. On return, no request of any client that begins later trusts the old one."""


@runtime_checkable
class SyncTags(Protocol):
    """
    Ability: the epochs of tags, of which there may be millions.

    `doubts[bucket_of(name)]` changes, before the answer to any later request is seen, whenever the epoch of a name may
    have been raised by anybody since it was read (see `cachegrid._core.tags.bucket_of`). The list is the same for ever.
    """

    @property
    def doubts(self) -> list[int]:
        """Numbers that are never the same again once they have changed, one for each bucket."""

    @property
    def rings(self) -> int:
        """The same for all of them together: changes after any of them has."""

    def tag_epochs(self, names: Sequence[bytes]) -> list[int]:
        """The epochs of names; 0 for one that has none."""

    def make_tag_epochs(self, names: Sequence[bytes], last: int | None) -> list[tuple[int, int | None]]:
        """
        The epochs of names, and how many ms each is still kept, which is `last` or more; None stands for no end.

        A name that has none gets one that no earlier one equals.
        """

    def raise_tags(self, names: Sequence[bytes]) -> None:
        """Raise the epochs of names. On return, no request of any client that begins later trusts the old ones."""

    def heads(self, addresses: Sequence[bytes], size: int) -> list[bytes | None]:
        """The first bytes of the frames, up to `size`, in the order asked for; None where there is none."""

    def drop_versions(self, entries: Sequence[tuple[bytes, bytes]]) -> int:
        """Remove what is at each address if its version is that which stands beside it; how many were removed."""


@runtime_checkable
class SyncWalks(Protocol):
    """Ability: list the addresses that are there."""

    def walk(self, prefix: bytes) -> Iterator[list[bytes]]:
        """
        Pages of the addresses that begin with `prefix`.

        What is there throughout the walk is listed once at least; what comes or goes meanwhile, maybe.
        """


@runtime_checkable
class SyncMembers(Protocol):
    """Ability: tell what servers the grid is made of."""

    def members(self) -> list[MemberFacts]:
        """Every member, owners first; one that does not answer is listed with `up=False`."""


# What an engine has only where there is something to it; without these nothing is missing.


@runtime_checkable
class SyncSureReads(Protocol):
    """For engines that let others than the owner of an entry answer reads while that one is away."""

    def sure_reads(self) -> SyncEngine:
        """The same engine, with the same abilities, for reads that wait for the owner. Closed along with it."""


@runtime_checkable
class SyncTells(Protocol):
    """For engines whose owners tell what happens to entries, and not only that something did."""

    def listen(self, topic: Topic, listener: Listener) -> None:
        """
        Let every owner tell `listener` of a topic from now on; one listener has it at a time.

        On return all of them do. Raises AccessDenied or Unsupported where one will not, EngineTimeout or Unreachable
        where one cannot be asked. What happens while an owner cannot be heard is lost. Told is the address of an entry
        that is set, deleted, expired or evicted, and the name of an epoch that is raised. Whoever listens keeps the
        listener: an engine may do with a weak reference to it.
        """

    def unlisten(self, topic: Topic) -> None:
        """Let them tell no longer."""


@runtime_checkable
class SyncPaths(Protocol):
    """For engines that know how they get on with each member; in both colours, since nothing is waited for."""

    def paths(self) -> list[PathFacts]:
        """How this process gets on with each owner."""
