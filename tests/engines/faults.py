"""
Engines that break one promise each: what the contract is there to find.

`FAULTS` says which test has to fail for which fault. All of them are the memory engine, with one method that
does something else; its store stays as it should be.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

from cachegrid._core import frame as frames
from cachegrid.engines.facts import MemberFacts
from cachegrid.engines.memory import AsyncMemoryEngine
from cachegrid.errors import NotANumber

__all__ = ["FAULTS", "Engine", "Fault"]

MINUTE = 60_000


class Engine(AsyncMemoryEngine):
    """A memory engine whose methods can be replaced, and that remembers things besides."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.seen: dict[bytes, Any] = {}


class Fault(NamedTuple):
    """The promise's test, what the engine does instead, and how."""

    test: str
    story: str
    method: str
    replacement: Any

    def engine(self) -> type[Engine]:
        """The engine that does it."""
        return type("Broken", (Engine,), {self.method: self.replacement})


FAULTS: list[Fault] = []


def fault(method: str, story: str, *tests: str) -> Callable[[Any], None]:
    """`method` is replaced, and each of `tests` has to fail."""
    return lambda replacement: FAULTS.extend(Fault(f"test_{test}", story, method, replacement) for test in tests)


def kept(raw: bytes) -> int | None:
    """The time to live that a stored frame speaks of."""
    return frames.unpack(raw).ttl if raw[:1] == b"\xc9" else None


# Basics.

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
    return self.seen.setdefault(address, self._store.fetch(address))  # type: ignore[no-any-return]


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


# Batches.


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


# Conditions.


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


# Counts.


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


# Times.


@fault("inspect", "tells seconds", "inspect_tells_what_is_left")
async def _(self: Engine, address: bytes) -> tuple[bytes, int | None] | None:
    found = self._store.inspect(address)
    return found and (found[0], found[1] and found[1] // 1000)


@fault("inspect", "starts the idle time anew", "inspect_does_not_touch")
async def _(self: Engine, address: bytes) -> tuple[bytes, int | None] | None:
    self._store.fetch_idle(address, MINUTE)
    return self._store.inspect(address)


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


# Leases.


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


# Epochs.


@fault("epoch", "asks nobody", "a_new_name_gets_one_for_all")
async def _(self: Engine, name: bytes) -> int:
    return self.seen.setdefault(name, self._store.raise_epoch(name))  # type: ignore[no-any-return]


@fault("epoch", "begins at 1", "a_new_epoch_equals_no_earlier_one")
async def _(self: Engine, name: bytes) -> int:
    return self._store.epoch(name) - self.seen.setdefault(name, self._store.epoch(name)) + 1  # type: ignore[no-any-return]


@fault("epoch", "trusts itself", "a_raise_brings_doubt_to_all", "raising_gives_a_greater_one")
async def _(self: Engine, name: bytes) -> int:
    return self.seen.setdefault(name, self._store.epoch(name))  # type: ignore[no-any-return]


@fault("raise_epoch", "gives the time", "raising_gives_a_greater_one", "nobody_raises_in_vain")
async def _(self: Engine, name: bytes) -> int:
    self._store.raise_epoch(name)
    return self._store._wall_ms()


@fault("raise_epoch", "raises all", "raising_leaves_other_names")
async def _(self: Engine, name: bytes) -> int:
    return max(self._store.raise_epoch(one) for one in [*self._store._epochs._epochs, name])


@property  # type: ignore[misc]
def _doubts_itself(self: Engine) -> int:
    return len(self.seen)


@property  # type: ignore[misc]
def _doubts_late(self: Engine) -> int:
    """What was true when this was asked before."""
    self.seen[b"asked"], late = self._store.doubt, self.seen.get(b"asked", 0)
    return late  # type: ignore[no-any-return]


@property  # type: ignore[misc]
def _doubts_always(self: Engine) -> int:
    self.seen[b"asked"] = self.seen.get(b"asked", 0) + 1
    return self.seen[b"asked"]  # type: ignore[no-any-return]


fault("doubt", "does not hear of others", "a_raise_brings_doubt_to_all", "a_raise_among_other_requests_brings_doubt")(
    _doubts_itself
)
fault("doubt", "hears of others late", "a_raise_brings_doubt_to_all", "a_raise_among_other_requests_brings_doubt")(
    _doubts_late
)
fault("doubt", "trusts nothing", "without_a_raise_there_is_no_doubt")(_doubts_always)


# Walks and members.


@fault("walk", "has one page", "a_walk_lists_everything", "a_walk_goes_on_among_changes", "a_walk_may_be_left")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    yield self._store.listed(prefix)[:1000]


@fault("walk", "takes a prefix for a pattern", "a_walk_lists_only_what_begins_so")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    yield [address for address in self._store.listed(b"") if fnmatch.fnmatchcase(address, prefix + b"*")]


@fault("walk", "leaks what others have", "a_walk_lists_only_what_begins_so", "a_walk_over_nothing_ends")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    yield self._store.listed(prefix) or [prefix]
    yield self._store.listed(prefix[:-1])


@fault("walk", "lists what was there", "a_walk_lists_what_is_there")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    yield self._store.present(self._store.listed(prefix))
    yield [prefix + b"2"]


@fault("walk", "counts places in a list that changes", "a_walk_goes_on_among_changes")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    at = 0
    while page := sorted(self._store.listed(prefix))[at : at + 100]:
        yield page
        at += 100


@fault("walk", "goes only once", "a_walk_may_be_left")
async def _(self: Engine, prefix: bytes) -> AsyncIterator[list[bytes]]:
    assert not self.seen, "a walk is still under way"
    self.seen[prefix] = True
    for address in self._store.listed(prefix):
        yield [address]
    self.seen.clear()


def _member(**facts: Any) -> MemberFacts:
    return MemberFacts(**{"host": "here", "port": 1, "role": "owner", "id": "1", **facts})


@fault("members", "lists replicas first", "members_are_listed_owners_first")
async def _(self: Engine) -> list[MemberFacts]:
    return [_member(role="replica", port=2), _member()]


@fault("members", "lists a member twice", "members_are_listed_owners_first")
async def _(self: Engine) -> list[MemberFacts]:
    return [_member(), _member()]


@fault("members", "does not know who follows whom", "replicas_name_their_owner")
async def _(self: Engine) -> list[MemberFacts]:
    return [_member(), _member(role="replica", port=2, owner_id="7")]


@fault("members", "counts nothing", "members_tell_what_they_hold")
async def _(self: Engine) -> list[MemberFacts]:
    return [_member()]
