# Generated from src/cachegrid/testing/_aio/tells.py by tools/colour.py. Edit that file, then run `make colour`.
# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the ability Tells: who listens to a cache is told what happens to its entries, and to its epochs."""

from __future__ import annotations

import time
from typing import Final

from cachegrid._core.events import EventKind, Happening, Topic
from cachegrid.errors import EngineError
from cachegrid.testing._sio.bench import SyncBench, SyncWholeEngine, frame_of, promise, version_in, wall_ms

__all__ = ["SyncTellsContract"]

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


class SyncTellsContract(SyncBench):
    """What owners tell of entries and epochs while somebody listens."""

    @promise("Tells")
    def test_listeners_are_told_of_entries(self) -> None:
        """
        From when they listen: of each that is set or deleted, whichever engine does it, once and in order.
        """
        other, hearing = self.another(), self._hearing()
        addresses = self.addresses(20)
        for address in addresses:
            other.store(address, b"old", None)
            self.engine.store(address, b"new", MINUTE)
            other.drop(address)
        self._hears(hearing, "deleted", *addresses)
        assert [["set", "set", "deleted"]] * 20 == [hearing.of(address) for address in addresses]
        assert all(hearing.owners)

    @promise("Tells")
    def test_listeners_are_told_of_an_end(self) -> None:
        """
        When its owner notices that the time of an entry is over, at the latest where somebody asks for it.
        """
        hearing, address, began = self._hearing(), self.address(), time.monotonic()
        self.engine.store(address, b"", LIFE)
        self.ends(lambda: self.engine.fetch(address), began, LIFE)
        self._hears(hearing, "expired", address)
        assert ["set", "expired"] == hearing.of(address)

    @promise("Tells")
    def test_listeners_are_not_told_of_nothing(self) -> None:
        """
        What is not there is neither deleted nor expired.
        """
        hearing, address = self._hearing(), self.address()
        assert not self.engine.drop(address)
        assert None is self.engine.fetch(address)
        self.engine.store(address, b"", None)
        self._hears(hearing, "set", address)
        assert ["set"] == hearing.of(address)

    @promise("Tells")
    def test_listeners_are_told_of_their_own_topic(self) -> None:
        """
        And of no other that begins as theirs does.
        """
        hearing, other = self._hearing(), _Hearing()
        beside = self._space[:-1] + b"-beside:"
        self.engine.listen(Topic(beside, of_epochs=False), other)
        for address in (beside + b"one", self.address()):
            self.engine.store(address, b"", None)
        self._hears(hearing, "set", self.address())
        self._hears(other, "set", beside + b"one")
        assert ([("set", self.address())], [("set", beside + b"one")]) == (hearing.told, other.told)

    @promise("Tells", "Batches")
    def test_listeners_are_told_of_batches(self) -> None:
        """
        Of each entry of one.
        """
        hearing, addresses = self._hearing(), self.addresses(20)
        self.engine.store_many([(address, b"", None) for address in addresses])
        self.engine.drop_many(addresses)
        self._hears(hearing, "deleted", *addresses)
        assert [["set", "deleted"]] * 20 == [hearing.of(address) for address in addresses]

    @promise("Tells", "Conditions")
    def test_listeners_are_told_of_what_depended_on_a_condition(self) -> None:
        """
        Where it held, and not where it did not.
        """
        hearing, address = self._hearing(), self.address()
        one, two = frame_of(b"one"), frame_of(b"two")
        assert not self.engine.store_if_present(address, one, None)
        assert self.engine.store_if_absent(address, one, None)
        assert not self.engine.store_if_absent(address, two, None)
        assert self.engine.store_if_version(address, version_in(one), two, None)
        assert not self.engine.drop_if_version(address, version_in(one))
        assert self.engine.drop_if_version(address, version_in(two))
        self._hears(hearing, "deleted", address)
        assert ["set", "set", "deleted"] == hearing.of(address)

    @promise("Tells", "Counts")
    def test_listeners_are_told_of_each_sum(self) -> None:
        """
        Also of the first, and of that once.
        """
        hearing, address = self._hearing(), self.address()
        for _ in range(3):
            self.engine.add(address, 1, 0, MINUTE)
        self.engine.drop(address)
        self._hears(hearing, "deleted", address)
        assert ["set", "set", "set", "deleted"] == hearing.of(address)

    @promise("Tells", "Times")
    def test_listeners_are_not_told_of_other_ends(self) -> None:
        """
        An entry that lives longer, or was read, is what it was.
        """
        hearing, address = self._hearing(), self.address()
        self.engine.store(address, frame_of(b"", ttl=MINUTE, idle=MINUTE // 2), MINUTE // 2)
        assert self.engine.touch(address, 2 * MINUTE, wall_ms())
        assert self.engine.fetch_idle(address, MINUTE)
        self.engine.drop(address)
        self._hears(hearing, "deleted", address)
        assert ["set", "deleted"] == hearing.of(address)

    @promise("Tells", "Landings", "Leases")
    def test_listeners_are_told_of_a_landing(self) -> None:
        """
        As of any other store.
        """
        hearing, address = self._hearing(), self.address()
        self.engine.acquire(address, b"token", MINUTE)
        assert self.engine.land(address, b"token", frame_of(b""), None)
        self._hears(hearing, "set", address)
        assert ["set"] == hearing.of(address)

    @promise("Tells", "Epochs")
    def test_listeners_are_told_of_raised_epochs(self) -> None:
        """
        Of a cache, and of what it keeps of functions; not that there is one now, nor of other caches.
        """
        cache = self._space[:-1]
        hearing, inner = self._hearing(of_epochs=True), cache + b"/f-1"
        for name in (cache + b"less", cache, inner):
            epoch = self.engine.epoch(name)
            assert epoch < self.engine.raise_epoch(name)
        self._hears(hearing, "invalidated", cache, inner)
        assert [("invalidated", cache), ("invalidated", inner)] == sorted(hearing.told)

    @promise("Tells", "Tags")
    def test_listeners_are_told_of_raised_tags(self) -> None:
        """
        Of those of their cache that anybody has an epoch of.
        """
        hearing, tag = self._hearing(of_epochs=True), self.address(b"tag")
        other = self._space[:-1] + b"-beside:tag"
        self.engine.make_tag_epochs([other, tag], MINUTE)
        self.engine.raise_tags([other, self.address(b"none"), tag])
        self._hears(hearing, "invalidated", tag)
        assert [("invalidated", tag)] == hearing.told

    @promise("Tells")
    def test_one_listener_has_a_topic(self) -> None:
        """
        The last one that asked for it.
        """
        first, second = self._hearing(), self._hearing()
        self.engine.store(self.address(), b"", None)
        self._hears(second, "set", self.address())
        assert not first.told

    @promise("Tells")
    def test_who_listens_no_longer_is_told_nothing(self) -> None:
        """
        While others are, also those of the same topic elsewhere.
        """
        hearing, others = self._hearing(), self._hearing(self.another())
        self.engine.unlisten(Topic(self._space, of_epochs=False))
        self.engine.store(self.address(), b"", None)
        self._hears(others, "set", self.address())
        assert not hearing.told

    @promise("Tells")
    def test_closing_ends_the_telling(self) -> None:
        """
        And nothing that happens later is told.
        """
        engine = self.another()
        hearing, others = self._hearing(engine), self._hearing()
        engine.close()
        self.engine.store(self.address(), b"", None)
        self._hears(others, "set", self.address())
        assert not hearing.told

    @promise("Tells", "Outages")
    def test_listening_to_a_grid_that_is_away_is_an_error(self) -> None:
        """
        Nobody believes to hear what is not told.
        """
        engine = self.closing(self.open_cut_off)
        topic = Topic(self._space, of_epochs=False)
        assert self.refuses(EngineError, lambda: engine.listen(topic, _Hearing()))

    def _hearing(self, engine: SyncWholeEngine | None = None, *, of_epochs: bool = False) -> _Hearing:
        """Who is told, from now on, what happens to the entries of this test, or to its epochs."""
        hearing = _Hearing()
        (engine or self.engine).listen(Topic(self._space, of_epochs), hearing)
        return hearing

    def _hears(self, hearing: _Hearing, kind: EventKind, *addresses: bytes) -> None:
        """Wait until this was told of all addresses."""
        self.until(lambda: {(kind, address) for address in addresses} <= set(hearing.told))
