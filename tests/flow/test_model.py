"""Random steps on a cache and on a model of one: after each of them both know the same."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Hashable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, precondition, rule

import cachegrid
from cachegrid._core.miss import UNSAID
from cachegrid._sio.grid import SyncGrid
from cachegrid._sio.hub import SyncOpened
from cachegrid.config import Settings
from cachegrid.engines.memory import Store, SyncMemoryEngine
from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import EntryNotFound, NotANumber
from cachegrid.testing import FakeClock
from cachegrid.testing.loopback import LoopbackGrid
from tests.flow.model import Model, NoNumberError

KEYS = st.sampled_from(["a", "b", 1, "1", b"1", ("a", 1), "{a}b"])
OTHERS = [None, "x", "5", [1], {"a": 1}, (1 << 63) - 1, 1 << 70, 1.0, True]
VALUES = st.one_of(st.integers(-3, 3), st.sampled_from(OTHERS))
SPANS = st.sampled_from([UNSAID, UNSAID, None, 1000, 2500, 7000])
UNITS = {"ms": "milliseconds", "s": "seconds"}
POLICIES = [(None, None), (10_000, None), (None, 5000), (20_000, 7000)]
_numbers = itertools.count()


class Steps(RuleBasedStateMachine):
    """Does the same to both."""

    versions = Bundle("versions")
    unit = "ms"
    cache: cachegrid.SyncCache
    model: Model

    def open(self) -> SyncGrid:
        """A grid of the machine's own."""
        raise NotImplementedError

    @initialize(policy=st.sampled_from(POLICIES))
    def begin(self, policy: tuple[int | None, int | None]) -> None:
        ttl, idle = policy
        self.grid = self.open()
        self.cache = self.grid.cache(
            "steps", **{name: self.said(span) for name, span in (("ttl", ttl), ("idle", idle))}
        )
        self.model = Model(ttl, idle)
        self.calls: list[int] = []

        @self.cache.cached
        def function(number: int) -> int:
            self.calls.append(number)
            return len(self.calls)

        self.function, self.results = function, Model(ttl, idle)

    def said(self, span: Any) -> Any:
        """A span as users write it."""
        return f"{span}{self.unit}" if isinstance(span, int) else span

    def ends(self, ttl: Any, idle: Any = UNSAID) -> tuple[int | None, int | None]:
        """Times as they hold, in ms."""
        return self.model.ttl if ttl is UNSAID else ttl, self.model.idle if idle is UNSAID else idle

    # Writes.

    @rule(key=KEYS, value=VALUES, ttl=SPANS, idle=SPANS)
    def set(self, key: Any, value: Any, ttl: Any, idle: Any) -> None:
        self.cache.set(key, value, ttl=self.said(ttl), idle=self.said(idle))
        self.model.write(key, value, *self.ends(ttl, idle))

    @rule(values=st.dictionaries(KEYS, VALUES, max_size=4), ttl=SPANS)
    def set_many(self, values: dict[Any, Any], ttl: Any) -> None:
        self.cache.set_many(values, ttl=self.said(ttl))
        for key, value in values.items():
            self.model.write(key, value, *self.ends(ttl))

    @rule(key=KEYS, value=VALUES, ttl=SPANS)
    def add(self, key: Any, value: Any, ttl: Any) -> None:
        absent = self.model.find(key) is None
        assert absent is self.cache.add(key, value, ttl=self.said(ttl))
        if absent:
            self.model.write(key, value, *self.ends(ttl))

    @rule(key=KEYS, value=VALUES, idle=SPANS)
    def replace(self, key: Any, value: Any, idle: Any) -> None:
        present = self.model.find(key) is not None
        assert present is self.cache.replace(key, value, idle=self.said(idle))
        if present:
            self.model.write(key, value, *self.ends(UNSAID, idle))

    @rule(key=KEYS, by=st.sampled_from([1, 0, -2, (1 << 63) - 1]), start=st.sampled_from([0, 5]), ttl=SPANS)
    def incr(self, key: Any, by: int, start: int, ttl: Any) -> None:
        try:
            expected: Any = self.model.incr(key, by, start, self.ends(ttl)[0])
        except NoNumberError:
            with pytest.raises(NotANumber):
                self.cache.incr(key, by, start=start, ttl=self.said(ttl))
        else:
            assert expected == self.cache.incr(key, by, start=start, ttl=self.said(ttl))

    @rule(key=KEYS, value=VALUES, default=st.sampled_from([UNSAID, 0]))
    def update(self, key: Any, value: Any, default: Any) -> None:
        kept = self.model.find(key)
        if kept is None and default is UNSAID:
            with pytest.raises(EntryNotFound):
                self.cache.update(key, lambda _: value)
            return
        seen: list[Any] = []

        def change(old: Any) -> Any:
            seen.append(old)
            return value

        assert value == self.cache.update(key, change, default=default)
        assert [default if kept is None else kept.value] == seen
        self.model.write(key, value, *self.ends(UNSAID))

    @rule(target=versions, key=KEYS)
    def look(self, key: Any) -> Any:
        entry, kept = self.cache.entry(key), self.model.find(key)
        assert (entry is None) is (kept is None)
        if entry is None or kept is None:
            return multiple()
        assert (key, kept.value) == (entry.key, entry.value)
        assert kept.idle == (None if entry.idle is None else entry.idle // timedelta(**{UNITS[self.unit]: 1}))
        return key, entry.version, kept.version

    @rule(version=versions, value=VALUES)
    def compare_and_set(self, version: tuple[Any, bytes, Hashable], value: Any) -> None:
        key, raw, expected = version
        kept = self.model.find(key)
        same = kept is not None and kept.version == expected
        assert same is self.cache.compare_and_set(key, raw, value)
        if same:
            self.model.write(key, value, *self.ends(UNSAID))

    @rule(key=KEYS, ttl=SPANS)
    def touch(self, key: Any, ttl: Any) -> None:
        assert self.model.touch(key, self.ends(ttl)[0]) is self.cache.touch(key, self.said(ttl))

    @rule(key=KEYS)
    def delete(self, key: Any) -> None:
        assert self.model.drop(key) is self.cache.delete(key)

    @rule(keys=st.lists(KEYS, max_size=4))
    def delete_many(self, keys: list[Any]) -> None:
        assert sum([self.model.drop(key) for key in keys]) == self.cache.delete_many(keys)

    @rule(key=KEYS, value=VALUES)
    def pop(self, key: Any, value: Any) -> None:
        kept = self.model.find(key)
        assert exactly(value if kept is None else kept.value) == exactly(self.cache.pop(key, value))
        self.model.drop(key)

    @rule(key=KEYS, value=VALUES)
    def setdefault(self, key: Any, value: Any) -> None:
        kept = self.model.read(key)
        assert exactly(value if kept is None else kept.value) == exactly(self.cache.setdefault(key, value))
        if kept is None:
            self.model.write(key, value, *self.ends(UNSAID))

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.model.clear()
        self.results.clear()

    # Reads.

    @rule(key=KEYS)
    def get(self, key: Any) -> None:
        kept = self.model.read(key)
        assert exactly("miss" if kept is None else kept.value) == exactly(self.cache.get(key, "miss"))
        assert (kept is not None) is self.cache.has(key)

    @rule(keys=st.lists(KEYS, max_size=5))
    def get_many(self, keys: list[Any]) -> None:
        expected = {key: kept.value for key in keys if (kept := self.model.read(key))}
        assert exactly(expected) == exactly(self.cache.get_many(keys))

    @rule(key=KEYS, value=VALUES, ttl=SPANS, idle=SPANS)
    def get_or_load(self, key: Any, value: Any, ttl: Any, idle: Any) -> None:
        kept = self.model.read(key)
        got = self.cache.get_or_load(key, lambda: value, ttl=self.said(ttl), idle=self.said(idle))
        assert exactly(value if kept is None else kept.value) == exactly(got)
        if kept is None:
            self.model.write(key, value, *self.ends(ttl, idle))

    @rule()
    def keys(self) -> None:
        assert self.model.keys() == set(self.cache)
        assert len(self.model.keys()) == len(self.cache)

    # Functions.

    @rule(number=st.integers(0, 3))
    def call(self, number: int) -> None:
        kept = self.results.read(number)
        if kept is None:
            self.results.write(number, len(self.calls) + 1, *self.ends(UNSAID))
        expected = len(self.calls) + 1 if kept is None else kept.value
        assert expected == self.function(number)

    @rule(number=st.integers(0, 3))
    def invalidate(self, number: int) -> None:
        assert self.results.drop(number) is self.function.invalidate(number)

    @rule()
    def invalidate_all(self) -> None:
        self.function.invalidate_all()
        self.results.clear()

    def teardown(self) -> None:
        if hasattr(self, "grid"):
            assert {} == self.grid._hub.flights._flights
            assert 0 == len(self.grid._hub.keeper)
            assert 0 == self.cache.stats().damaged
            self.grid.close()


class InMemory(Steps):
    """On the memory engine, where time passes as it is told to."""

    def open(self) -> SyncGrid:
        self.clock = FakeClock()
        self.patch = pytest.MonkeyPatch()
        for name, module in list(sys.modules.items()):
            if name.startswith("cachegrid._sio.") and hasattr(module, "time"):
                self.patch.setattr(module, "time", self.clock)
        store = Store(clock=self.clock.monotonic_ns, wall=self.clock.time_ns)
        return SyncGrid(lambda: SyncOpened(SyncMemoryEngine(store), "model", "memory://", None), Settings())

    @rule(span=st.sampled_from([1, 499, 1000, 2500, 4999, 7001]))
    def wait(self, span: int) -> None:
        self.clock.advance(span / 1000)
        self.model.now += span
        self.results.now += span

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "patch"):
            self.patch.undo()


class OnARealGrid(Steps):
    """On three owners, each machine in a namespace of its own; no time passes that would end anything."""

    unit = "s"
    engine: Lent

    def open(self) -> SyncGrid:
        self.opened = Settings(namespace=f"m{os.getpid()}.{next(_numbers)}")
        return SyncGrid(lambda: SyncOpened(self.engine, "model", "", None), self.opened)

    @precondition(lambda self: hasattr(self, "cache"))
    @rule()
    def settle(self) -> None:
        self.grid.settle()


class Lent(SyncValkeyEngine):
    """An engine that stays open when a grid that used it is closed."""

    def close(self) -> None:
        """Leave it open."""

    def end(self) -> None:
        """Close it."""
        super().close()


def exactly(value: Any) -> Any:
    """With its types, so that 1, 1.0 and True are not equal."""
    if isinstance(value, dict):
        return [(exactly(key), exactly(part)) for key, part in value.items()]
    return type(value), value


def test_a_cache_in_memory_does_as_the_model() -> None:
    """
    Values, conditions, times, and functions.
    """
    InMemory.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
    InMemory.TestCase().runTest()


@pytest.mark.slow
@pytest.mark.grid
def test_a_cache_on_a_real_grid_does_as_the_model(loopback: LoopbackGrid) -> None:
    """
    All but the passing of time.
    """
    engine = Lent(parse(loopback.url, timeout=5))
    engine.open()
    try:
        OnARealGrid.engine = engine
        OnARealGrid.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
        OnARealGrid.TestCase().runTest()
    finally:
        engine.end()
