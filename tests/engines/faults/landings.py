"""Engines that keep what was loaded otherwise than promised."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.engines.faults.fault import Engine, fault

__all__: list[str] = []


@fault(
    "land",
    "asks for no lease",
    "it_lands_once_under_its_lease",
    "nothing_lands_without_a_lease",
    "nothing_lands_under_the_lease_of_another",
    "an_ended_lease_lands_nothing",
    "dropping_ends_the_lease",
    "dropping_many_counts_what_was_there",
)
async def _(self: Engine, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
    return self._store.store_if_absent(address, frame, ttl)


@fault("land", "puts over what is there", "what_is_there_stays")
async def _(self: Engine, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
    held = self._store.release(address, token)
    if held:
        self._store.store(address, frame, ttl)
    return held


@fault("land", "keeps the lease", "it_lands_once_under_its_lease", "what_is_there_stays")
async def _(self: Engine, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
    return self._store.renew(address, token, 60_000) and self._store.store_if_absent(address, frame, ttl)


@fault("land", "recognises nothing", "asked_again_it_recognises_its_frame")
async def _(self: Engine, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
    return self._store.renew(address, token, 60_000) and self._store.land(address, token, frame, ttl)


@fault("land", "lets it live for ever", "what_landed_ends")
async def _(self: Engine, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
    return self._store.land(address, token, frame, None)


@fault("land", "looks, and puts a moment later", "a_drop_and_a_landing_at_once")
async def _(self: Engine, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
    held = self._store.release(address, token)
    await asyncio.sleep(0.001)
    return held and self._store.store_if_absent(address, frame, ttl)


@fault("drop", "knows of no leases", "dropping_ends_the_lease")
async def _(self: Engine, address: bytes) -> bool:
    return self._store.fetch(address) is not None and self._store._delete(address)


@fault("drop", "ends every lease", "dropping_leaves_other_leases")
async def _(self: Engine, address: bytes) -> bool:
    for name in list(self._store._leases._held):
        self._store._leases.end(name)
    return self._store.drop(address)


@fault("drop_many", "knows of no leases", "dropping_ends_the_lease", "dropping_many_counts_what_was_there")
async def _(self: Engine, addresses: Sequence[bytes]) -> int:
    return sum(self._store.fetch(address) is not None and self._store._delete(address) for address in addresses)


@fault("drop_many", "counts leases", "dropping_many_counts_what_was_there")
async def _(self: Engine, addresses: Sequence[bytes]) -> int:
    return sum(address in self._store._leases._held for address in addresses) + self._store.drop_many(addresses)


@fault("store", "knows of no leases", "what_came_and_went_keeps_older_things_from_landing")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> None:
    self._store._put(address, frame, ttl)


@fault("store_many", "knows of no leases", "what_came_and_went_keeps_older_things_from_landing")
async def _(self: Engine, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
    for address, frame, ttl in items:
        self._store._put(address, frame, ttl)


@fault("touch", "knows of no leases", "what_came_and_went_keeps_older_things_from_landing")
async def _(self: Engine, address: bytes, ttl: int | None, now: int) -> bool:
    held = self._store._leases._held.get(address)
    found = self._store.touch(address, ttl, now)
    if held is not None:
        self._store._leases._held[address] = held
    return found
