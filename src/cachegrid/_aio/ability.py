"""An engine with every ability: what it lacks is done another way, or refused with a sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, NoReturn, Protocol, cast

from cachegrid._core.durability import Durability
from cachegrid._core.tags import BUCKETS
from cachegrid.engines._aio.protocol import (
    AsyncBatches,
    AsyncConditions,
    AsyncCounts,
    AsyncDurables,
    AsyncEngine,
    AsyncEpochs,
    AsyncLandings,
    AsyncLeases,
    AsyncMembers,
    AsyncTags,
    AsyncTimes,
    AsyncWalks,
)
from cachegrid.engines.facts import MemberFacts
from cachegrid.errors import Unsupported
from cachegrid.near.nearby import Pushes

__all__ = ["AsyncAbleEngine", "able", "lacking_in", "refusal"]

_ABILITIES: Final[dict[str, type]] = {
    "batches": AsyncBatches,
    "conditions": AsyncConditions,
    "counts": AsyncCounts,
    "durables": AsyncDurables,
    "epochs": AsyncEpochs,
    "landings": AsyncLandings,
    "leases": AsyncLeases,
    "members": AsyncMembers,
    "pushes": Pushes,
    "tags": AsyncTags,
    "times": AsyncTimes,
    "walks": AsyncWalks,
}


class AsyncAbleEngine(
    AsyncBatches,
    AsyncConditions,
    AsyncCounts,
    AsyncDurables,
    AsyncEpochs,
    AsyncLandings,
    AsyncLeases,
    AsyncMembers,
    AsyncTags,
    AsyncTimes,
    AsyncWalks,
    AsyncEngine,
    Protocol,
):
    """An engine with every ability, as the flow sees it."""


def lacking_in(engine: AsyncEngine) -> frozenset[str]:
    """The names of the abilities that an engine does not have. Looked up here, once; never per call."""
    return frozenset(name for name, ability in _ABILITIES.items() if not isinstance(engine, ability))


def able(engine: AsyncEngine, lacking: frozenset[str]) -> AsyncAbleEngine:
    """The engine, with stand-ins for the abilities it lacks."""
    return cast("AsyncAbleEngine", _Stood(engine) if lacking else engine)


def refusal(engine: object, ability: str, asked: str) -> Unsupported:
    """The error for what cannot be had, neither from an engine nor another way."""
    name = type(engine).__name__
    return Unsupported(f"{asked} needs an engine with {ability}, which {name} has not", where=name)


class _Stood:
    """An engine with stand-ins: batches become single calls; what cannot be had refuses when it is asked for."""

    doubt = rings = 0
    doubts: Sequence[int] = (0,) * BUCKETS

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def __getattribute__(self, name: str) -> object:
        # The engine's own method where it has one, else the stand-in of this class.
        engine = object.__getattribute__(self, "_engine")
        if not name.startswith("_") and hasattr(engine, name):
            return getattr(engine, name)
        return object.__getattribute__(self, name)

    def lasting(self, durability: Durability) -> AsyncEngine:
        self._refuse("durables", f"a write that waits for {durability}")

    async def fetch_many(self, addresses: Sequence[bytes]) -> list[bytes | None]:
        return [await self._engine.fetch(address) for address in addresses]

    async def fetch_parts(
        self, addresses: Sequence[bytes]
    ) -> AsyncIterator[tuple[Sequence[int], Sequence[bytes | None]]]:
        yield range(len(addresses)), await self.fetch_many(addresses)

    async def store_many(self, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
        for address, frame, ttl in items:
            await self._engine.store(address, frame, ttl)

    async def drop_many(self, addresses: Sequence[bytes]) -> int:
        return sum([await self._engine.drop(address) for address in addresses])

    async def epoch(self, name: bytes) -> int:
        return 0

    async def raise_epoch(self, name: bytes) -> int:
        self._refuse("epochs", "clear() and invalidate_all()")

    async def tag_epochs(self, names: Sequence[bytes]) -> list[int]:
        return [0] * len(names)

    async def make_tag_epochs(self, names: Sequence[bytes], last: int | None) -> list[tuple[int, int | None]]:
        self._refuse("tags", "tags=")

    async def raise_tags(self, names: Sequence[bytes]) -> None:
        self._refuse("tags", "invalidate(tags=...)")

    async def heads(self, addresses: Sequence[bytes], size: int) -> list[bytes | None]:
        self._refuse("tags", "sweeping")

    async def drop_versions(self, entries: Sequence[tuple[bytes, bytes]]) -> int:
        self._refuse("tags", "sweeping")

    async def store_if_absent(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        self._refuse("conditions", "add()")

    async def store_if_present(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        self._refuse("conditions", "replace()")

    async def store_if_version(self, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
        self._refuse("conditions", "compare_and_set() and update()")

    async def drop_if_version(self, address: bytes, version: bytes) -> bool:
        self._refuse("conditions", "a conditional delete")

    async def drop_if_strange(self, address: bytes) -> bool:
        return await self._engine.drop(address)

    async def add(self, address: bytes, by: int, start: int, ttl: int | None) -> int:
        self._refuse("counts", "incr()")

    async def fetch_idle(self, address: bytes, idle: int) -> bytes | None:
        self._refuse("times", "idle=")

    async def fetch_idle_many(self, addresses: Sequence[bytes], idle: int) -> list[bytes | None]:
        self._refuse("times", "idle=")

    async def touch(self, address: bytes, ttl: int | None, now: int) -> bool:
        self._refuse("times", "touch()")

    async def inspect(self, address: bytes) -> tuple[bytes, int | None] | None:
        frame = await self._engine.fetch(address)
        return None if frame is None else (frame, None)

    async def glance(self, address: bytes, size: int) -> tuple[bytes, int | None, int] | None:
        frame = await self._engine.fetch(address)
        return None if frame is None else (frame[:size], None, len(frame))

    async def acquire(self, name: bytes, token: bytes, lease: int) -> int | None:
        self._refuse("leases", "lock()")

    async def renew(self, name: bytes, token: bytes, lease: int) -> bool:
        self._refuse("leases", "lock()")

    async def release(self, name: bytes, token: bytes) -> bool:
        self._refuse("leases", "lock()")

    async def is_held(self, name: bytes) -> bool:
        self._refuse("leases", "lock()")

    async def land(self, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
        self._refuse("landings", "a load that ends with its lease")

    async def walk(self, prefix: bytes) -> AsyncIterator[list[bytes]]:
        for ability in ("walks",):  # in a loop, so that this is a generator like any walk
            self._refuse(ability, "keys()")
            yield []

    async def members(self) -> list[MemberFacts]:
        return []

    def _refuse(self, ability: str, asked: str) -> NoReturn:
        raise refusal(self._engine, ability, asked)
