"""Engines that decide otherwise than promised, or count so."""

from __future__ import annotations

import asyncio

from cachegrid._core import frame as frames
from cachegrid.errors import NotANumber
from tests.engines.faults.fault import Engine, fault

__all__: list[str] = []


@fault("store_if_absent", "puts always", "if_absent_puts_only_where_nothing_is", "one_of_many_finds_it_absent")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> bool:
    self._store.store(address, frame, ttl)
    return True


@fault("store_if_absent", "gives a new life to what it leaves", "if_absent_puts_only_where_nothing_is")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> bool:
    self._store.touch(address, ttl, 0)
    return self._store.store_if_absent(address, frame, ttl)


@fault("store_if_absent", "looks, and puts a moment later", "one_of_many_finds_it_absent")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> bool:
    absent = self._store.fetch(address) is None
    await asyncio.sleep(0)
    if absent:
        self._store.store(address, frame, ttl)
    return absent


@fault("store_if_absent", "takes an empty frame for nothing", "an_empty_frame_is_something")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> bool:
    absent = not self._store.fetch(address)
    if absent:
        self._store.store(address, frame, ttl)
    return absent


@fault("store_if_present", "puts always", "if_present_puts_only_where_something_is")
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> bool:
    there = self._store.fetch(address) is not None
    self._store.store(address, frame, ttl)
    return there


@fault(
    "store_if_present",
    "keeps the time to live",
    "if_present_puts_only_where_something_is",
    "if_present_may_take_the_end_away",
)
async def _(self: Engine, address: bytes, frame: bytes, ttl: int | None) -> bool:
    old = self._store.inspect(address)
    return self._store.store_if_present(address, frame, old[1] if old else ttl)


@fault(
    "store_if_version",
    "asks for no version",
    "if_version_puts_only_over_that_version",
    "if_version_sets_the_time_to_live",
    "one_of_many_replaces_a_version",
)
async def _(self: Engine, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
    return self._store.store_if_present(address, frame, ttl)


@fault("store_if_version", "takes nothing for any version", "if_version_puts_only_over_that_version")
async def _(self: Engine, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
    return self._store.store_if_absent(address, frame, ttl) or self._store.store_if_version(
        address, version, frame, ttl
    )


@fault(
    "store_if_version", "keeps the time to live", "if_version_sets_the_time_to_live", "if_version_may_take_the_end_away"
)
async def _(self: Engine, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
    old = self._store.inspect(address)
    return self._store.store_if_version(address, version, frame, old[1] if old else ttl)


@fault("store_if_version", "compares 8 bytes of an integer", "an_integer_is_its_own_version")
async def _(self: Engine, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
    old = self._store.fetch(address) or b""
    return old[:8] == version[:8] and self._store.store_if_present(address, frame, ttl)


@fault("store_if_version", "looks only into what is short", "large_frames_have_versions_too")
async def _(self: Engine, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
    return len(frame) < 1000 and self._store.store_if_version(address, version, frame, ttl)


@fault("store_if_version", "looks, and puts a moment later", "one_of_many_replaces_a_version")
async def _(self: Engine, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
    same = frames.version_of(self._store.fetch(address) or b"0") == version
    await asyncio.sleep(0)
    return same and self._store.store_if_present(address, frame, ttl)


@fault("drop_if_version", "asks for no version", "drop_if_version_drops_only_that_version")
async def _(self: Engine, address: bytes, version: bytes) -> bool:
    return self._store.drop(address)


@fault("drop_if_version", "looks, and drops a moment later", "one_of_many_drops_a_version")
async def _(self: Engine, address: bytes, version: bytes) -> bool:
    same = frames.version_of(self._store.fetch(address) or b"0") == version
    await asyncio.sleep(0)
    self._store.drop(address)
    return same


@fault("drop_if_strange", "asks for nothing", "drop_if_strange_drops_only_what_is_nobodys")
async def _(self: Engine, address: bytes) -> bool:
    return self._store.drop(address)


@fault("drop_if_strange", "drops nothing", "drop_if_strange_drops_only_what_is_nobodys")
async def _(self: Engine, address: bytes) -> bool:
    return False


@fault("add", "starts from 0", "add_starts_where_nothing_is", "add_starts_anew_after_the_end")
async def _(self: Engine, address: bytes, by: int, start: int, ttl: int | None) -> int:
    return self._store.add(address, by, 0, ttl)


@fault("add", "counts for ever", "add_starts_where_nothing_is", "add_starts_anew_after_the_end")
async def _(self: Engine, address: bytes, by: int, start: int, ttl: int | None) -> int:
    return self._store.add(address, by, start, None)


@fault("add", "starts anew each time", "add_adds_to_what_is_there", "nothing_is_counted_twice_or_lost")
async def _(self: Engine, address: bytes, by: int, start: int, ttl: int | None) -> int:
    self._store.drop(address)
    return self._store.add(address, by, start, ttl)


@fault("add", "gives a new time to live", "add_keeps_the_time_to_live")
async def _(self: Engine, address: bytes, by: int, start: int, ttl: int | None) -> int:
    total = self._store.add(address, by, start, ttl)
    self._store.store(address, b"%d" % total, ttl)
    return total


@fault("add", "takes anything that Python calls an integer", "only_integers_are_added_to", "a_sum_has_64_bits")
async def _(self: Engine, address: bytes, by: int, start: int, ttl: int | None) -> int:
    try:
        total = int(self._store.fetch(address) or start) + by
    except ValueError as error:
        raise NotANumber from error
    self._store.store(address, b"%d" % total, ttl)
    return total


@fault("add", "drops what is no integer", "only_integers_are_added_to")
async def _(self: Engine, address: bytes, by: int, start: int, ttl: int | None) -> int:
    try:
        return self._store.add(address, by, start, ttl)
    except NotANumber:
        self._store.drop(address)
        raise


@fault("add", "counts with floating point numbers", "large_sums_are_exact")
async def _(self: Engine, address: bytes, by: int, start: int, ttl: int | None) -> int:
    return int(float(self._store.add(address, by, start, ttl)))


@fault("add", "reads, and writes a moment later", "nothing_is_counted_twice_or_lost")
async def _(self: Engine, address: bytes, by: int, start: int, ttl: int | None) -> int:
    total = int(self._store.fetch(address) or start) + by
    await asyncio.sleep(0)
    self._store.store(address, b"%d" % total, ttl)
    return total
