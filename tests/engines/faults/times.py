"""Engines that keep times otherwise than promised."""

from __future__ import annotations

from collections.abc import Sequence

from cachegrid._core import frame as frames
from tests.engines.faults.fault import MINUTE, Engine, fault

__all__: list[str] = []


def kept(raw: bytes) -> int | None:
    """The time to live that a stored frame speaks of."""
    return frames.unpack(raw).ttl if raw[:1] == b"\xc9" else None


@fault("inspect", "tells seconds", "inspect_tells_what_is_left")
async def _(self: Engine, address: bytes) -> tuple[bytes, int | None] | None:
    found = self._store.inspect(address)
    return found and (found[0], found[1] and found[1] // 1000)


@fault("inspect", "starts the idle time anew", "inspect_does_not_touch")
async def _(self: Engine, address: bytes) -> tuple[bytes, int | None] | None:
    self._store.fetch_idle(address, MINUTE)
    return self._store.inspect(address)


@fault("glance", "gives all of it", "a_glance_tells_what_is_left_of_how_much")
async def _(self: Engine, address: bytes, size: int) -> tuple[bytes, int | None, int] | None:
    found = self._store.inspect(address)
    return found and (found[0], found[1], len(found[0]))


@fault("glance", "tells the size of the head", "a_glance_tells_what_is_left_of_how_much")
async def _(self: Engine, address: bytes, size: int) -> tuple[bytes, int | None, int] | None:
    found = self._store.inspect(address)
    return found and (found[0][:size], found[1], len(found[0][:size]))


@fault("glance", "starts the idle time anew", "a_glance_tells_what_is_left_of_how_much")
async def _(self: Engine, address: bytes, size: int) -> tuple[bytes, int | None, int] | None:
    self._store.fetch_idle(address, MINUTE)
    found = self._store.inspect(address)
    return found and (found[0][:size], found[1], len(found[0]))


@fault("fetch_idle", "gives the payload", "fetch_idle_fetches")
async def _(self: Engine, address: bytes, idle: int) -> bytes | None:
    frame = self._store.fetch_idle(address, idle)
    return frame and frame[24:]


@fault("fetch_idle", "listens to the caller only", "fetch_idle_starts_the_frames_idle_time")
async def _(self: Engine, address: bytes, idle: int) -> bytes | None:
    frame = self._store.fetch(address)
    self._store.store_if_present(address, frame or b"", idle)
    return frame


@fault(
    "fetch_idle",
    "only fetches",
    "fetch_idle_starts_the_frames_idle_time",
    "fetch_idle_starts_the_callers_idle_time",
    "an_idle_time_ends",
    "the_time_to_live_counts_from_creation",
)
async def _(self: Engine, address: bytes, idle: int) -> bytes | None:
    return self._store.fetch(address)


@fault("fetch_idle", "knows no absolute end", "reading_never_outlives_the_time_to_live")
async def _(self: Engine, address: bytes, idle: int) -> bytes | None:
    frame = self._store.fetch(address)
    self._store.store_if_present(address, frame or b"", frames.unpack(frame).idle if frame else idle)
    return frame


@fault("fetch_idle", "counts the absolute end from the read", "the_time_to_live_counts_from_creation")
async def _(self: Engine, address: bytes, idle: int) -> bytes | None:
    frame = self._store.fetch(address) or b""
    self._store.store_if_present(address, frame, kept(frame))
    return frame


@fault("fetch_idle", "gives everybody an idle time", "an_idle_time_of_ages_is_none")
async def _(self: Engine, address: bytes, idle: int) -> bytes | None:
    return self._store.fetch_idle(address, min(idle, 1 << 39))


@fault("fetch_idle_many", "gives everybody an idle time", "an_idle_time_of_ages_is_none")
async def _(self: Engine, addresses: Sequence[bytes], idle: int) -> list[bytes | None]:
    return [self._store.fetch_idle(address, min(idle, 1 << 39)) for address in addresses]


@fault("inspect", "tells of ends in a long time", "what_has_no_end_says_so")
async def _(self: Engine, address: bytes) -> tuple[bytes, int | None] | None:
    found = self._store.inspect(address)
    return found and (found[0], 1 << 47 if found[1] is None else found[1])


@fault("inspect", "takes a century for no end", "what_has_no_end_says_so")
async def _(self: Engine, address: bytes) -> tuple[bytes, int | None] | None:
    found = self._store.inspect(address)
    return found and (found[0], None if found[1] and found[1] > 1 << 40 else found[1])


@fault("fetch_idle_many", "only fetches", "many_are_fetched_and_live_on_together")
async def _(self: Engine, addresses: Sequence[bytes], idle: int) -> list[bytes | None]:
    return [self._store.fetch(address) for address in addresses]


@fault("fetch_idle_many", "leaves out what is not there", "many_are_fetched_and_live_on_together")
async def _(self: Engine, addresses: Sequence[bytes], idle: int) -> list[bytes | None]:
    found = [self._store.fetch_idle(address, idle) for address in addresses]
    return [frame for frame in found if frame is not None]


@fault("touch", "always says yes", "touch_needs_an_entry")
async def _(self: Engine, address: bytes, ttl: int | None, now: int) -> bool:
    self._store.touch(address, ttl, now)
    return True


@fault("touch", "only knows frames", "touch_gives_a_new_time_to_live")
async def _(self: Engine, address: bytes, ttl: int | None, now: int) -> bool:
    return (self._store.fetch(address) or b"")[:1] != b"\xc9" or self._store.touch(address, ttl, now)


@fault("touch", "changes only the header", "touch_ends_an_entry_in_time", "touch_gives_a_new_time_to_live")
async def _(self: Engine, address: bytes, ttl: int | None, now: int) -> bool:
    found, there = self._store.inspect(address), self._store.touch(address, ttl, now)
    frame = self._store.fetch(address)
    return bool(found and there and frame) and self._store.store_if_present(address, frame or b"", found and found[1])


@fault("touch", "leaves the header", "touch_changes_the_header_along")
async def _(self: Engine, address: bytes, ttl: int | None, now: int) -> bool:
    return self._store.store_if_present(address, self._store.fetch(address) or b"", ttl)


@fault("touch", "counts in the header from now", "touch_changes_the_header_along")
async def _(self: Engine, address: bytes, ttl: int | None, now: int) -> bool:
    frame = self._store.fetch(address) or b""
    created = frames.unpack(frame).created if frame[:1] == b"\xc9" else now
    return self._store.touch(address, ttl, created)


@fault("touch", "writes a header into anything", "touch_leaves_other_bytes_alone")
async def _(self: Engine, address: bytes, ttl: int | None, now: int) -> bool:
    frame = self._store.fetch(address) or b""
    return self._store.store_if_present(address, frame[:18].ljust(18) + b"\xff" * 6 + frame[24:], ttl)


@fault("touch", "starts the idle time anew", "touch_lets_the_idle_time_go_on")
async def _(self: Engine, address: bytes, ttl: int | None, now: int) -> bool:
    self._store.fetch_idle(address, MINUTE)
    return self._store.touch(address, ttl, now)


@fault("touch", "forgets the idle time", "touch_lets_the_idle_time_go_on")
async def _(self: Engine, address: bytes, ttl: int | None, now: int) -> bool:
    return self._store.store_if_present(address, self._store.fetch(address) or b"", ttl)
