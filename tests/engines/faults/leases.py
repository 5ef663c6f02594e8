"""Engines that give leases otherwise than promised."""

from __future__ import annotations

import asyncio

from tests.engines.faults.fault import MINUTE, Engine, fault

__all__: list[str] = []


@fault(
    "acquire",
    "looks at no token",
    "one_has_it",
    "it_ends_by_itself",
    "the_late_do_not_disturb_the_next",
    "one_of_many_gets_it",
)
async def _(self: Engine, name: bytes, token: bytes, lease: int) -> int | None:
    return self._store.acquire(name, b"anybody", lease)


@fault("acquire", "knows one name", "a_name_has_a_lease_of_its_own")
async def _(self: Engine, name: bytes, token: bytes, lease: int) -> int | None:
    return self._store.acquire(b"the", token, lease)


@fault("acquire", "does not know its holder", "its_token_gets_it_again")
async def _(self: Engine, name: bytes, token: bytes, lease: int) -> int | None:
    held = self._store.renew(name, token, lease)
    return None if held else self._store.acquire(name, token, lease)


@fault("acquire", "gives the holder a new number", "its_token_gets_it_again")
async def _(self: Engine, name: bytes, token: bytes, lease: int) -> int | None:
    self._store.release(name, token)
    return self._store.acquire(name, token, lease)


@fault("acquire", "never ends", "it_ends_by_itself")
async def _(self: Engine, name: bytes, token: bytes, lease: int) -> int | None:
    return self._store.acquire(name, token, MINUTE)


@fault("acquire", "gives up without the holder's word", "one_has_it", "only_its_token_releases_it")
async def _(self: Engine, name: bytes, token: bytes, lease: int) -> int | None:
    for other in (b"mine", b"yours"):
        self._store.release(name, other)
    return self._store.acquire(name, token, lease)


@fault("acquire", "counts from 1 after each end", "fencing_numbers_only_grow")
async def _(self: Engine, name: bytes, token: bytes, lease: int) -> int | None:
    return self._store.acquire(name, token, lease) and 1


@fault("acquire", "looks, and takes a moment later", "one_of_many_gets_it")
async def _(self: Engine, name: bytes, token: bytes, lease: int) -> int | None:
    free = self._store.acquire(name, b"probe", lease)
    self._store.release(name, b"probe")
    await asyncio.sleep(0)
    return free


@fault("renew", "only looks", "renewing_moves_its_end")
async def _(self: Engine, name: bytes, token: bytes, lease: int) -> bool:
    held = self._store.release(name, token)
    return held and self._store.acquire(name, token, 30) is not None


@fault("renew", "looks at no token", "only_its_token_renews_it", "the_late_do_not_disturb_the_next")
async def _(self: Engine, name: bytes, token: bytes, lease: int) -> bool:
    return any(self._store.renew(name, anybody, lease) for anybody in (b"mine", b"yours"))


@fault("is_held", "finds out by taking it", "whether_anybody_has_it_can_be_asked")
async def _(self: Engine, name: bytes) -> bool:
    return self._store.acquire(name, b"probe", MINUTE) is None


@fault("is_held", "remembers the last", "whether_anybody_has_it_can_be_asked")
async def _(self: Engine, name: bytes) -> bool:
    return name in self._store._leases._held


@fault(
    "release",
    "looks at no token",
    "a_name_has_a_lease_of_its_own",
    "only_its_token_releases_it",
    "the_late_do_not_disturb_the_next",
)
async def _(self: Engine, name: bytes, token: bytes) -> bool:
    return any(self._store.release(name, anybody) for anybody in (b"mine", b"yours"))


@fault("release", "waits for the end", "only_its_token_releases_it", "one_of_many_gets_it")
async def _(self: Engine, name: bytes, token: bytes) -> bool:
    return False
