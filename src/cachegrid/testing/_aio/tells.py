# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Tells: who listens to a cache is told what happens to its entries, and to its epochs."""

from __future__ import annotations

import time
from typing import Final

from cachegrid._core.events import EventKind, Happening, Topic
from cachegrid.errors import EngineError
from cachegrid.testing._aio.bench import AsyncBench, AsyncWholeEngine, frame_of, promise, version_in, wall_ms

__all__ = ["AsyncTellsContract"]

MINUTE: Final = 60_000
LIFE: Final = 20  # ms


class _Hearing:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[EventKind, bytes]] = []
        self.owners: set[str] = set()

    def happened(self, topic: Topic, happening: Happening) -> None:
        assert topic.of_epochs is (happening.kind == "invalidated")
        self.told.append((happening.kind, happening.address))
        self.owners.add(happening.owner)

    def of(self, address: bytes) -> list[EventKind]:
        """What happened to an entry, in order."""
        return [kind for kind, where in self.told if where == address]


class AsyncTellsContract(AsyncBench):
    """What owners tell of entries and epochs while somebody listens."""

    @promise("Tells")
    async def test_listeners_are_told_of_entries(self) -> None:
        """
        From when they listen: of each that is set or deleted, whichever engine does it, once and in order.
        """
        other, hearing = await self.another(), await self._hearing()
        addresses = self.addresses(20)
        for address in addresses:
            await other.store(address, b"old", None)
            await self.engine.store(address, b"new", MINUTE)
            await other.drop(address)
        await self._hears(hearing, "deleted", *addresses)
        assert [["set", "set", "deleted"]] * 20 == [hearing.of(address) for address in addresses]
        assert all(hearing.owners)

    @promise("Tells")
    async def test_listeners_are_told_of_an_end(self) -> None:
        """
        When its owner notices that the time of an entry is over, at the latest where somebody asks for it.
        """
        hearing, address, began = await self._hearing(), self.address(), time.monotonic()
        await self.engine.store(address, b"", LIFE)
        await self.ends(lambda: self.engine.fetch(address), began, LIFE)
        await self._hears(hearing, "expired", address)
        assert ["set", "expired"] == hearing.of(address)

    @promise("Tells")
    async def test_listeners_are_not_told_of_nothing(self) -> None:
        """
        What is not there is neither deleted nor expired.
        """
        hearing, address = await self._hearing(), self.address()
        assert not await self.engine.drop(address)
        assert None is await self.engine.fetch(address)
        await self.engine.store(address, b"", None)
        await self._hears(hearing, "set", address)
        assert ["set"] == hearing.of(address)

    @promise("Tells")
    async def test_listeners_are_told_of_their_own_topic(self) -> None:
        """
        And of no other that begins as theirs does.
        """
        hearing, other = await self._hearing(), _Hearing()
        beside = self._space[:-1] + b"-beside:"
        await self.engine.listen(Topic(beside, of_epochs=False), other)
        for address in (beside + b"one", self.address()):
            await self.engine.store(address, b"", None)
        await self._hears(hearing, "set", self.address())
        await self._hears(other, "set", beside + b"one")
        assert ([("set", self.address())], [("set", beside + b"one")]) == (hearing.told, other.told)

    @promise("Tells", "Batches")
    async def test_listeners_are_told_of_batches(self) -> None:
        """
        Of each entry of one.
        """
        hearing, addresses = await self._hearing(), self.addresses(20)
        await self.engine.store_many([(address, b"", None) for address in addresses])
        await self.engine.drop_many(addresses)
        await self._hears(hearing, "deleted", *addresses)
        assert [["set", "deleted"]] * 20 == [hearing.of(address) for address in addresses]

    @promise("Tells", "Conditions")
    async def test_listeners_are_told_of_what_depended_on_a_condition(self) -> None:
        """
        Where it held, and not where it did not.
        """
        hearing, address = await self._hearing(), self.address()
        one, two = frame_of(b"one"), frame_of(b"two")
        assert not await self.engine.store_if_present(address, one, None)
        assert await self.engine.store_if_absent(address, one, None)
        assert not await self.engine.store_if_absent(address, two, None)
        assert await self.engine.store_if_version(address, version_in(one), two, None)
        assert not await self.engine.drop_if_version(address, version_in(one))
        assert await self.engine.drop_if_version(address, version_in(two))
        await self._hears(hearing, "deleted", address)
        assert ["set", "set", "deleted"] == hearing.of(address)

    @promise("Tells", "Counts")
    async def test_listeners_are_told_of_each_sum(self) -> None:
        """
        Also of the first, and of that once.
        """
        hearing, address = await self._hearing(), self.address()
        for _ in range(3):
            await self.engine.add(address, 1, 0, MINUTE)
        await self.engine.drop(address)
        await self._hears(hearing, "deleted", address)
        assert ["set", "set", "set", "deleted"] == hearing.of(address)

    @promise("Tells", "Times")
    async def test_listeners_are_not_told_of_other_ends(self) -> None:
        """
        An entry that lives longer, or was read, is what it was.
        """
        hearing, address = await self._hearing(), self.address()
        await self.engine.store(address, frame_of(b"", ttl=MINUTE, idle=MINUTE // 2), MINUTE // 2)
        assert await self.engine.touch(address, 2 * MINUTE, wall_ms())
        assert await self.engine.fetch_idle(address, MINUTE)
        await self.engine.drop(address)
        await self._hears(hearing, "deleted", address)
        assert ["set", "deleted"] == hearing.of(address)

    @promise("Tells", "Landings", "Leases")
    async def test_listeners_are_told_of_a_landing(self) -> None:
        """
        As of any other store.
        """
        hearing, address = await self._hearing(), self.address()
        await self.engine.acquire(address, b"token", MINUTE)
        assert await self.engine.land(address, b"token", frame_of(b""), None)
        await self._hears(hearing, "set", address)
        assert ["set"] == hearing.of(address)

    @promise("Tells", "Epochs")
    async def test_listeners_are_told_of_raised_epochs(self) -> None:
        """
        Of a cache, and of what it keeps of functions; not that there is one now, nor of other caches.
        """
        cache = self._space[:-1]
        hearing, inner = await self._hearing(of_epochs=True), cache + b"/f-1"
        for name in (cache + b"less", cache, inner):
            epoch = await self.engine.epoch(name)
            assert epoch < await self.engine.raise_epoch(name)
        await self._hears(hearing, "invalidated", cache, inner)
        assert [("invalidated", cache), ("invalidated", inner)] == sorted(hearing.told)

    @promise("Tells", "Tags")
    async def test_listeners_are_told_of_raised_tags(self) -> None:
        """
        Of those of their cache that anybody has an epoch of.
        """
        hearing, tag = await self._hearing(of_epochs=True), self.address(b"tag")
        other = self._space[:-1] + b"-beside:tag"
        await self.engine.make_tag_epochs([other, tag], MINUTE)
        await self.engine.raise_tags([other, self.address(b"none"), tag])
        await self._hears(hearing, "invalidated", tag)
        assert [("invalidated", tag)] == hearing.told

    @promise("Tells")
    async def test_one_listener_has_a_topic(self) -> None:
        """
        The last one that asked for it.
        """
        first, second = await self._hearing(), await self._hearing()
        await self.engine.store(self.address(), b"", None)
        await self._hears(second, "set", self.address())
        assert not first.told

    @promise("Tells")
    async def test_who_listens_no_longer_is_told_nothing(self) -> None:
        """
        While others are, also those of the same topic elsewhere.
        """
        hearing, others = await self._hearing(), await self._hearing(await self.another())
        self.engine.unlisten(Topic(self._space, of_epochs=False))
        await self.engine.store(self.address(), b"", None)
        await self._hears(others, "set", self.address())
        assert not hearing.told

    @promise("Tells")
    async def test_closing_ends_the_telling(self) -> None:
        """
        And nothing that happens later is told.
        """
        engine = await self.another()
        hearing, others = await self._hearing(engine), await self._hearing()
        await engine.aclose()
        await self.engine.store(self.address(), b"", None)
        await self._hears(others, "set", self.address())
        assert not hearing.told

    @promise("Tells", "Outages")
    async def test_listening_to_a_grid_that_is_away_is_an_error(self) -> None:
        """
        Nobody believes to hear what is not told.
        """
        engine = await self.closing(self.open_cut_off)
        topic = Topic(self._space, of_epochs=False)
        assert await self.refuses(EngineError, lambda: engine.listen(topic, _Hearing()))

    async def _hearing(self, engine: AsyncWholeEngine | None = None, *, of_epochs: bool = False) -> _Hearing:
        """Who is told, from now on, what happens to the entries of this test, or to its epochs."""
        hearing = _Hearing()
        await (engine or self.engine).listen(Topic(self._space, of_epochs), hearing)
        return hearing

    async def _hears(self, hearing: _Hearing, kind: EventKind, *addresses: bytes) -> None:
        """Wait until this was told of all addresses."""
        await self.until(lambda: {(kind, address) for address in addresses} <= set(hearing.told))
