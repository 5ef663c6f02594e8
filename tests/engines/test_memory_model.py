"""The memory store against a model of it that is too simple to be wrong."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cachegrid.engines.memory import Store
from cachegrid.engines.memory.store import _OVERHEAD
from cachegrid.errors import NotANumber
from cachegrid.testing import FakeClock

ADDRESSES = st.sampled_from([b"a", b"b", b"c", b"ab"])
FRAMES = st.sampled_from([b"", b"x", b"1", b"-5", b"9223372036854775807", b"long" * 50])
TTLS = st.one_of(st.none(), st.integers(1, 50))


class StoreAndModel(RuleBasedStateMachine):
    """Plays the same steps on a store and on a dictionary of (frame, end)."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = Store(clock=self.clock.monotonic_ns, wall=self.clock.time_ns)
        self.model: dict[bytes, tuple[bytes, int | None]] = {}

    @property
    def now(self) -> int:
        """Milliseconds."""
        return self.clock.monotonic_ns() // 1_000_000

    def put(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        """What a store does."""
        self.model[address] = (frame, None if ttl is None else self.now + ttl)

    @rule(ms=st.integers(1, 40))
    def time_passes(self, ms: int) -> None:
        """Entries end."""
        self.clock.advance(ms / 1000)
        self.model = {a: (frame, end) for a, (frame, end) in self.model.items() if end is None or end > self.now}

    @rule(address=ADDRESSES, frame=FRAMES, ttl=TTLS)
    def stores(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        """Whatever was there."""
        self.store.store(address, frame, ttl)
        self.put(address, frame, ttl)

    @rule(items=st.lists(st.tuples(ADDRESSES, FRAMES, TTLS), max_size=4))
    def stores_many(self, items: list[tuple[bytes, bytes, int | None]]) -> None:
        """One after the other."""
        self.store.store_many(items)
        for item in items:
            self.put(*item)

    @rule(address=ADDRESSES, frame=FRAMES, ttl=TTLS, present=st.booleans())
    def stores_if(self, address: bytes, frame: bytes, ttl: int | None, present: bool) -> None:  # noqa: FBT001
        """Only if something is there, or nothing."""
        do = self.store.store_if_present if present else self.store.store_if_absent
        expected = (address in self.model) == present
        assert expected == do(address, frame, ttl)
        if expected:
            self.put(address, frame, ttl)

    @rule(address=ADDRESSES, version=st.sampled_from([b"1", b"-5", b"", b"x"]), frame=FRAMES)
    def stores_if_version(self, address: bytes, version: bytes, frame: bytes) -> None:
        """Only integers have a version here."""
        expected = version in {b"1", b"-5"} and self.model.get(address, (None,))[0] == version
        assert expected == self.store.store_if_version(address, version, frame, 20)
        if expected:
            self.put(address, frame, 20)

    @rule(addresses=st.lists(ADDRESSES, max_size=3))
    def drops(self, addresses: list[bytes]) -> None:
        """Each once."""
        assert len(set(addresses) & set(self.model)) == self.store.drop_many(addresses)
        for address in addresses:
            self.model.pop(address, None)

    @rule(address=ADDRESSES, by=st.integers(-3, 3), ttl=TTLS)
    def adds(self, address: bytes, by: int, ttl: int | None) -> None:
        """To integers of 64 bits."""
        expected: Any
        frame, end = self.model.get(address, (b"10", None if ttl is None else self.now + ttl))
        try:
            expected = int(frame) + by
        except ValueError:
            expected = None
        if expected is None or expected >= 2**63:
            expected = None
        else:
            self.model[address] = (b"%d" % expected, end)
        try:
            assert expected == self.store.add(address, by, 10, ttl)
        except NotANumber:
            assert expected is None

    @rule(address=ADDRESSES, ttl=TTLS)
    def touches(self, address: bytes, ttl: int | None) -> None:
        """What is no frame has only an end."""
        assert (address in self.model) == self.store.touch(address, ttl, 0)
        if address in self.model:
            self.put(address, self.model[address][0], ttl)

    @rule(address=ADDRESSES, idle=st.integers(1, 50))
    def fetches_idle(self, address: bytes, idle: int) -> None:
        """And gives it so long again."""
        expected = self.model.get(address, (None,))[0]
        assert expected == self.store.fetch_idle(address, idle)
        if expected is not None:
            self.put(address, expected, idle)

    @invariant()
    def they_hold_the_same(self) -> None:
        """Also to those who only look."""
        left = {a: (frame, None if end is None else end - self.now) for a, (frame, end) in self.model.items()}
        assert left == {a: found for a in self.store.listed(b"") if (found := self.store.inspect(a))}
        assert sorted(self.model) == sorted(self.store.present(self.store.listed(b"")))

    @invariant()
    def every_byte_is_counted(self) -> None:
        """As often as it is there."""
        counted = sum(_OVERHEAD + len(address) + len(frame) for address, (frame, _) in self.model.items())
        assert counted == self.store.members()[0].memory_bytes


TestStoreAndModel = StoreAndModel.TestCase
TestStoreAndModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
