# Generated from src/cachegrid/_aio/ability.py by tools/colour.py. Edit that file, then run `make colour`.
"""An engine with every ability: what it lacks is done another way, or refused with a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NoReturn, Protocol, cast

from cachegrid._core.durability import Durability
from cachegrid._core.tags import BUCKETS
from cachegrid.engines._sio.protocol import (
    SyncBatches,
    SyncConditions,
    SyncCounts,
    SyncDurables,
    SyncEngine,
    SyncEpochs,
    SyncLandings,
    SyncLeases,
    SyncMembers,
    SyncTags,
    SyncTimes,
    SyncWalks,
)
from cachegrid.engines.facts import MemberFacts
from cachegrid.errors import Unsupported
from cachegrid.near.nearby import Pushes

__all__ = ["SyncAbleEngine", "able", "lacking_in", "refusal"]

_ABILITIES: Final[dict[str, type]] = {
    "batches": SyncBatches,
    "conditions": SyncConditions,
    "counts": SyncCounts,
    "durables": SyncDurables,
    "epochs": SyncEpochs,
    "landings": SyncLandings,
    "leases": SyncLeases,
    "members": SyncMembers,
    "pushes": Pushes,
    "tags": SyncTags,
    "times": SyncTimes,
    "walks": SyncWalks,
}


class SyncAbleEngine(
    SyncBatches,
    SyncConditions,
    SyncCounts,
    SyncDurables,
    SyncEpochs,
    SyncLandings,
    SyncLeases,
    SyncMembers,
    SyncTags,
    SyncTimes,
    SyncWalks,
    SyncEngine,
    Protocol,
):
    """An engine with every ability, as the flow sees it."""


def lacking_in(engine: SyncEngine) -> frozenset[str]:
    """The names of the abilities that an engine does not have. Looked up here, once; never per call."""
    return frozenset(name for name, ability in _ABILITIES.items() if not isinstance(engine, ability))


def able(engine: SyncEngine, lacking: frozenset[str]) -> SyncAbleEngine:
    """The engine, with stand-ins for the abilities it lacks."""
    return cast("SyncAbleEngine", _Stood(engine) if lacking else engine)


def refusal(engine: object, ability: str, asked: str) -> Unsupported:
    """The error for what cannot be had, neither from an engine nor another way."""
    name = type(engine).__name__
    return Unsupported(f"{asked} needs an engine with {ability}, which {name} has not", where=name)


class _Stood:
    """An engine with stand-ins: batches become single calls; what cannot be had refuses when it is asked for."""

    doubt = rings = 0
    doubts: Sequence[int] = (0,) * BUCKETS

    def __init__(self, engine: SyncEngine) -> None:
        self._engine = engine

    def __getattribute__(self, name: str) -> object:
        # The engine's own method where it has one, else the stand-in of this class.
        engine = object.__getattribute__(self, "_engine")
        if not name.startswith("_") and hasattr(engine, name):
            return getattr(engine, name)
        return object.__getattribute__(self, name)

    def lasting(self, durability: Durability) -> SyncEngine:
        self._refuse("durables", f"a write that waits for {durability}")

    def fetch_many(self, addresses: Sequence[bytes]) -> list[bytes | None]:
        return [self._engine.fetch(address) for address in addresses]

    def fetch_parts(self, addresses: Sequence[bytes]) -> Iterator[tuple[Sequence[int], Sequence[bytes | None]]]:
        yield range(len(addresses)), self.fetch_many(addresses)

    def store_many(self, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
        for address, frame, ttl in items:
            self._engine.store(address, frame, ttl)

    def drop_many(self, addresses: Sequence[bytes]) -> int:
        return sum([self._engine.drop(address) for address in addresses])

    def epoch(self, name: bytes) -> int:
        return 0

    def raise_epoch(self, name: bytes) -> int:
        self._refuse("epochs", "clear() and invalidate_all()")

    def tag_epochs(self, names: Sequence[bytes]) -> list[int]:
        return [0] * len(names)

    def make_tag_epochs(self, names: Sequence[bytes], last: int | None) -> list[tuple[int, int | None]]:
        self._refuse("tags", "tags=")

    def raise_tags(self, names: Sequence[bytes]) -> None:
        self._refuse("tags", "invalidate(tags=...)")

    def heads(self, addresses: Sequence[bytes], size: int) -> list[bytes | None]:
        self._refuse("tags", "sweeping")

    def drop_versions(self, entries: Sequence[tuple[bytes, bytes]]) -> int:
        self._refuse("tags", "sweeping")

    def store_if_absent(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        self._refuse("conditions", "add()")

    def store_if_present(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        self._refuse("conditions", "replace()")

    def store_if_version(self, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
        self._refuse("conditions", "compare_and_set() and update()")

    def drop_if_version(self, address: bytes, version: bytes) -> bool:
        self._refuse("conditions", "a conditional delete")

    def drop_if_strange(self, address: bytes) -> bool:
        return self._engine.drop(address)

    def add(self, address: bytes, by: int, start: int, ttl: int | None) -> int:
        self._refuse("counts", "incr()")

    def fetch_idle(self, address: bytes, idle: int) -> bytes | None:
        self._refuse("times", "idle=")

    def fetch_idle_many(self, addresses: Sequence[bytes], idle: int) -> list[bytes | None]:
        self._refuse("times", "idle=")

    def touch(self, address: bytes, ttl: int | None, now: int) -> bool:
        self._refuse("times", "touch()")

    def inspect(self, address: bytes) -> tuple[bytes, int | None] | None:
        frame = self._engine.fetch(address)
        return None if frame is None else (frame, None)

    def glance(self, address: bytes, size: int) -> tuple[bytes, int | None, int] | None:
        frame = self._engine.fetch(address)
        return None if frame is None else (frame[:size], None, len(frame))

    def acquire(self, name: bytes, token: bytes, lease: int) -> int | None:
        self._refuse("leases", "lock()")

    def renew(self, name: bytes, token: bytes, lease: int) -> bool:
        self._refuse("leases", "lock()")

    def release(self, name: bytes, token: bytes) -> bool:
        self._refuse("leases", "lock()")

    def is_held(self, name: bytes) -> bool:
        self._refuse("leases", "lock()")

    def land(self, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
        self._refuse("landings", "a load that ends with its lease")

    def walk(self, prefix: bytes) -> Iterator[list[bytes]]:
        for ability in ("walks",):  # in a loop, so that this is a generator like any walk
            self._refuse(ability, "keys()")
            yield []

    def members(self) -> list[MemberFacts]:
        return []

    def _refuse(self, ability: str, asked: str) -> NoReturn:
        raise refusal(self._engine, ability, asked)
