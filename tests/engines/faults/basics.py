"""Engines that fetch, store or drop otherwise than promised, one address or many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from tests.engines.faults.fault import MINUTE, Engine, fault

__all__: list[str] = []

fault("add", "cannot add", "has_the_abilities_it_does_not_lack")(None)


@fault("fetch", "takes nothing for an empty frame", "nothing_is_none", "drop_says_whether_something_was_there")
async def _(self: Engine, address: bytes) -> bytes:
    return self._store.fetch(address) or b""


@fault("fetch", "takes an empty frame for nothing", "frames_come_back_as_they_were", "one_is_a_number_of_addresses")
async def _(self: Engine, address: bytes) -> bytes | None:
    return self._store.fetch(address) or None


@fault("fetch", "leaves a task behind", "nothing_is_none")
async def _(self: Engine, address: bytes) -> bytes | None:
    self.seen[address] = asyncio.create_task(asyncio.sleep(MINUTE))
    return self._store.fetch(address)


@fault("store", "gives addresses without their blanks", "addresses_are_any_bytes")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> None:
    self._store.store(address.rstrip(), frame, ttl)


@fault("store", "only puts where nothing is", "store_puts_whatever_was_there", "engines_on_one_grid_see_the_same")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> None:
    self._store.store_if_absent(address, frame, ttl)


@fault("store", "counts in whole seconds", "a_time_to_live_ends_to_the_millisecond", "a_millisecond_is_a_time_to_live")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> None:
    self._store.store(address, frame, None if ttl is None else -(-ttl // 1000) * 1000)


@fault("store", "ends entries a little early", "a_time_to_live_ends_to_the_millisecond")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> None:
    self._store.store(address, frame, None if ttl is None else ttl // 4)


@fault("store", "has 32 bits for a time", "a_time_to_live_may_be_long")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> None:
    self._store.store(address, frame, 1 if ttl and ttl.bit_length() > 32 else ttl)


@fault("store", "gives everything an end", "a_time_to_live_may_be_long", "store_starts_a_new_life")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> None:
    self._store.store(address, frame, 3 if ttl is None else ttl)


@fault("store", "keeps the time to live of what was there", "store_starts_a_new_life")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> None:
    old = self._store.inspect(address)
    self._store.store(address, frame, old[1] if old else ttl)


@fault("drop", "always says yes", "drop_says_whether_something_was_there", "what_has_ended_cannot_be_dropped")
async def _(self: Engine, address: bytes) -> bool:
    self._store.drop(address)
    return True


@fault("drop", "hides what it should drop", "engines_on_one_grid_see_the_same")
async def _(self: Engine, address: bytes) -> bool:
    return self._store.fetch(address) is not None


@fault("fetch", "answers from what it saw before", "engines_on_one_grid_see_the_same")
async def _(self: Engine, address: bytes) -> bytes | None:
    return self.seen.setdefault(address, self._store.fetch(address))


@fault("fetch", "mixes up who asked what", "callers_at_once_get_their_own_answers")
async def _(self: Engine, address: bytes) -> bytes | None:
    self.seen[b"last"] = address
    await asyncio.sleep(0)
    return self._store.fetch(self.seen[b"last"])


@fault("fetch", "takes an outage for a miss", "an_outage_is_no_miss")
async def _(self: Engine, address: bytes) -> bytes | None:
    return None


@fault("aclose", "cannot be closed twice", "close_may_be_called_twice")
async def _(self: Engine) -> None:
    self.seen[b"closed"] = not self.seen
    assert self.seen[b"closed"]


@fault("aclose", "takes the grid away", "close_may_be_called_twice")
async def _(self: Engine) -> None:
    self._store.drop_many(self._store.listed(b""))


@fault("fetch_many", "wants an address at least", "none_is_a_number_of_addresses")
async def _(self: Engine, addresses: Sequence[bytes]) -> list[bytes | None]:
    assert addresses, "wrong number of arguments"
    return self._store.fetch_many(addresses)


@fault("fetch_many", "takes an empty frame for nothing", "one_is_a_number_of_addresses")
async def _(self: Engine, addresses: Sequence[bytes]) -> list[bytes | None]:
    return [frame or None for frame in self._store.fetch_many(addresses)]


@fault("fetch_many", "answers in an order of its own", "a_thousand_answers_come_in_order")
async def _(self: Engine, addresses: Sequence[bytes]) -> list[bytes | None]:
    return self._store.fetch_many(sorted(addresses))


@fault("fetch_many", "answers each address once", "an_address_may_come_twice")
async def _(self: Engine, addresses: Sequence[bytes]) -> list[bytes | None]:
    return self._store.fetch_many(list(dict.fromkeys(addresses)))


@fault("fetch_many", "cuts what is long", "frames_of_all_sizes_travel_together")
async def _(self: Engine, addresses: Sequence[bytes]) -> list[bytes | None]:
    return [frame and frame[: 1 << 16] for frame in self._store.fetch_many(addresses)]


@fault("store_many", "stores the last first", "an_address_may_come_twice")
async def _(self: Engine, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
    self._store.store_many(items[::-1])


@fault("store_many", "gives all the first one's time", "each_has_its_own_time_to_live")
async def _(self: Engine, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
    self._store.store_many([(address, frame, items[0][2]) for address, frame, _ in items])


@fault("drop_many", "counts what it was told", "a_thousand_are_dropped_and_counted", "what_has_ended_is_not_counted")
async def _(self: Engine, addresses: Sequence[bytes]) -> int:
    self._store.drop_many(addresses)
    return len(addresses)


@fault("fetch_parts", "forgets the last place", "parts_are_the_whole")
async def _(self: Engine, addresses: Sequence[bytes]) -> AsyncIterator[tuple[Sequence[int], Sequence[bytes | None]]]:
    if addresses:
        yield range(len(addresses) - 1), self._store.fetch_many(addresses[:-1])


@fault("fetch_parts", "counts the places of each part anew", "parts_are_the_whole")
async def _(self: Engine, addresses: Sequence[bytes]) -> AsyncIterator[tuple[Sequence[int], Sequence[bytes | None]]]:
    for part in (addresses[:1000], addresses[1000:]):
        yield range(len(part)), self._store.fetch_many(part)
