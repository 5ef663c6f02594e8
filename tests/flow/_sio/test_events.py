# Generated from tests/flow/_aio/test_events.py by tools/colour.py. Edit that file, then run `make colour`.
"""Events: what this process does, and what owners tell, is told in order to all who listen, and to nobody else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

import cachegrid._sio.events
from cachegrid import Event
from cachegrid._sio.cache import SyncCache
from cachegrid._sio.events import SyncSubscription
from cachegrid._sio.grid import SyncGrid
from cachegrid.engines.memory.store import Store
from cachegrid.errors import ConfigError, EngineError, EngineTimeout, Unsupported
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow.backing import Backing
from tests.flow.waits._sio import begin, until

HERE = ("set", "deleted", "invalidated", "loaded", "outage")
EVERYWHERE = ("set", "deleted", "expired", "evicted", "invalidated")


class Listening:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def hear(self, event: Event) -> None:
        """Note it."""
        self.events.append(event)

    def to(self, cache: SyncCache, *kinds: Any, everywhere: bool = False) -> list[SyncSubscription]:
        """Listen to some kinds."""
        return [cache.on(kind, self.hear, everywhere=everywhere) for kind in kinds]

    @property
    def told(self) -> list[tuple[Any, ...]]:
        """Kind, key and tags of each."""
        return [(event.kind, event.key, event.tags) for event in self.events]

    def until(self, event: tuple[Any, ...]) -> None:
        """Wait until something was told."""

        def is_told() -> bool:
            return event in self.told

        until(is_told)


def one() -> int:
    """A loader."""
    return 1


def act(cache: SyncCache) -> list[tuple[Any, ...]]:
    """Do all that can be told of where it is done, but for `clear`; what is told."""
    cache.set("a", 1, tags=["x", "y"])
    cache.set_many({"b": 1, "c": 2})
    assert cache.add("d", 1, tags="x")
    assert not cache.add("d", 2)
    assert cache.replace("a", 2)
    assert not cache.replace("none", 2)
    assert 5 == cache.incr("n", 5)
    assert 3 == cache.update("a", _plus_one)
    assert cache.delete("a")
    assert not cache.delete("a")
    assert 2 == cache.delete_many(["b", "c"])
    assert 1 == cache.get_or_load("l", one, tags=["x"])
    assert 1 == cache.get_or_load("l", one)
    cache.invalidate(["x", "y"])
    return [
        ("set", "a", ("x", "y")),
        ("set", "b", ()),
        ("set", "c", ()),
        ("set", "d", ("x",)),
        ("set", "a", ()),
        ("set", "n", ()),
        ("set", "a", ()),
        ("deleted", "a", ()),
        ("deleted", "b", ()),
        ("deleted", "c", ()),
        ("loaded", "l", ("x",)),
        ("invalidated", None, ("x", "y")),
    ]


def _plus_one(value: int) -> int:
    return value + 1


def test_what_this_process_does_is_told_in_order(grid: SyncGrid, cache: SyncCache) -> None:
    """
    Only of the cache that is listened to, and only what was done; each event says that it came from here.
    """
    heard = Listening()
    heard.to(cache, *HERE)
    expected = act(cache)
    cache.clear()
    act(grid.cache("other"))
    grid.settle()
    assert [*expected, ("invalidated", None, ())] == heard.told
    assert {("prices", "here")} == {(event.cache, event.origin) for event in heard.events}


def test_owners_tell_what_anybody_does(flow: SyncFlow) -> None:
    """
    Without tags; one that is invalidated is told for each, and a load is told as what it is there, a write.

    A write that was repeated, since a tag of it may have been raised meanwhile, is told as often.
    """
    here, there = flow.grid(), flow.grid()
    heard = Listening()
    subscriptions = heard.to(here.cache("prices"), *EVERYWHERE, everywhere=True)
    act(there.cache("prices"))
    heard.until(("set", "l", ()))  # what is not told by then may not be, once its cache is cleared
    heard.until(("deleted", "b", ()))
    heard.until(("deleted", "c", ()))
    there.cache("prices").clear()
    heard.until(("invalidated", None, ()))
    told = heard.told
    sets = [key for kind, key, _ in told if kind == "set"]
    assert {"a", "b", "c", "d", "n", "l"} == set(sets)
    assert 8 <= len(sets) <= 10
    assert ["a", "b", "c"] == sorted(str(key) for kind, key, _ in told if kind == "deleted")
    assert {("x",), ("y",), ()} == {tags for kind, _, tags in told if kind == "invalidated"}
    assert "here" not in {event.origin for event in heard.events}
    for subscription in subscriptions:
        subscription.off()
    assert 0 == here.cache("prices").stats().events_dropped


def test_owners_tell_what_ends_and_what_is_swept_nobody_tells(flow: SyncFlow) -> None:
    """
    What was cleared is out of reach, and that its memory is freed is nobody's affair.
    """
    here, there = flow.grid(), flow.grid()
    cache, heard = there.cache("prices"), Listening()
    heard.to(here.cache("prices"), "deleted", "expired", "set", everywhere=True)
    cache.set("short", 1, ttl="1ms")

    def is_told() -> bool:
        cache.get("short")  # so that it is found to have ended
        return ("expired", "short", ()) in heard.told

    until(is_told)
    cache.set_many(dict.fromkeys(range(20), 1))
    heard.until(("set", 19, ()))
    cache.clear()
    there.settle()
    cache.set("last", 1)
    heard.until(("set", "last", ()))
    assert [] == [event for event in heard.events if event.kind == "deleted"]


def test_results_of_functions_are_told_with_their_names(grid: SyncGrid, cache: SyncCache) -> None:
    """
    To who listens to the cache; and who listens to the function's hears of no other.
    """

    @cache.cached(name="price")
    def price(sku: int) -> int:
        return sku

    whole, part, owners = Listening(), Listening(), Listening()
    whole.to(cache, "loaded", "deleted")
    part.to(price.cache, "loaded", "invalidated")
    owners.to(cache, "set", "invalidated", everywhere=True)
    price(7)
    price.invalidate(7)
    price.invalidate_all()
    cache.set("own", 1)
    owners.until(("set", "own", ()))
    grid.settle()
    key = price.key(7)
    assert [("loaded", key, ()), ("deleted", key, ())] == whole.told
    assert [("loaded", key, ()), ("invalidated", None, ())] == part.told
    assert {"prices/price-1"} == {event.cache for event in whole.events + part.events}
    assert {("prices/price-1", key), ("prices/price-1", None), ("prices", "own")} == {
        (event.cache, event.key) for event in owners.events
    }


@pytest.mark.parametrize("kind", ["memory"])
def test_an_owner_tells_what_it_evicts(backing: Backing) -> None:
    """
    And a listener in the same process hears it.
    """
    backing.store = Store(max_bytes=2000)
    with SyncFlow(backing) as flow:
        grid = flow.grid()
        cache, heard = grid.cache("prices"), Listening()
        heard.to(cache, "evicted", everywhere=True)
        cache.set_many(dict.fromkeys(("a", "b", "c", "d"), "x" * 200))
        grid.settle()
        assert [("evicted", "a", ())] == heard.told[:1]


@pytest.mark.parametrize(
    ("name", "everywhere", "match"),
    [
        ("expired", False, "only the owner of an entry knows"),
        ("evicted", False, "only the owner of an entry knows"),
        ("loaded", True, "only the process knows"),
        ("outage", True, "only the process knows"),
        ("sets", False, "one of set, deleted"),
    ],
)
def test_what_nobody_can_tell_is_refused(
    cache: SyncCache,
    name: Any,
    everywhere: Any,
    match: str,
) -> None:
    """
    With a sentence that says why.
    """
    with pytest.raises(ConfigError, match=match):
        cache.on(name, print, everywhere=everywhere)


def test_an_engine_that_does_not_tell_is_named(flow: SyncFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What happens here can be heard all the same.
    """
    grid = flow.grid()
    cache, heard, opened = grid.cache("prices"), Listening(), grid._hub.opened
    assert opened is not None
    with monkeypatch.context() as patched:
        patched.setattr(grid._hub, "opened", opened._replace(engine=cast("Any", object())))
        with pytest.raises(Unsupported, match="owners that tell what happens"):
            heard.to(cache, "set", everywhere=True)
    heard.to(cache, "set")
    cache.set("a", 1)
    grid.settle()
    assert [("set", "a", ())] == heard.told


def test_a_listener_that_fails_stops_nobody(grid: SyncGrid, cache: SyncCache, caplog: pytest.LogCaptureFixture) -> None:
    """
    It is logged and counted, and told of the next event, as the others are.
    """
    tried: list[Event] = []

    def fail(event: Event) -> None:
        tried.append(event)
        raise OSError("the listener is out")

    heard = Listening()
    cache.on("set", fail)
    heard.to(cache, "set")
    with caplog.at_level(logging.ERROR, "cachegrid"):
        cache.set_many({"a": 1, "b": 2})
        grid.settle()
    assert heard.events == tried
    assert (2, 2) == (len(tried), cache.stats().event_failures)
    assert 2 == caplog.text.count("OSError: the listener is out")


def test_a_full_queue_drops_and_counts(
    flow: SyncFlow, grid: SyncGrid, cache: SyncCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever writes is never held up by who listens.
    """
    monkeypatch.setattr(cachegrid._sio.events, "MOST_WAITING", 3)
    gate, told = flow.gate(), list[Event]()

    def hear(event: Event) -> None:
        told.append(event)
        gate.stand()

    cache.on("set", hear)
    cache.set(0, 0)
    gate.reached()
    for number in range(1, 10):
        cache.set(number, number)
    assert 6 == cache.stats().events_dropped
    gate.open()
    grid.settle()
    assert [0, 1, 2, 3] == [event.key for event in told]


def test_who_leaves_is_told_no_more(grid: SyncGrid, cache: SyncCache) -> None:
    """
    By `off`, which may be called twice, or at the end of a block; and then nobody is at work for it.
    """
    heard = Listening()
    with cache.on("set", heard.hear) as subscription:
        cache.set("a", 1)
        grid.settle()
    subscription.off()
    heard.to(cache, "deleted")
    cache.set("b", 1)
    cache.delete("b")
    grid.settle()
    assert [("set", "a", ()), ("deleted", "b", ())] == heard.told


def test_owners_are_asked_for_no_more_than_somebody_hears(flow: SyncFlow) -> None:
    """
    With the last who listens the connections end on which they tell.
    """
    grid = flow.grid()
    cache, heard = grid.cache("prices"), Listening()
    ears: Callable[[], int] = partial(_heard_by, grid)
    assert 0 == ears()
    first, second = heard.to(cache, "set", "deleted", everywhere=True)
    some = ears()
    assert some > 0
    first.off()
    assert some == ears()
    second.off()
    assert 0 == ears()


def _heard_by(grid: SyncGrid) -> int:
    """How many connections, or topics, an engine listens on."""
    engine = engine_of(grid).engine
    return len(engine._watch._ears if hasattr(engine, "_watch") else engine._heard)


def test_a_grid_that_is_closed_tells_what_waits(flow: SyncFlow) -> None:
    """
    And nothing after that.
    """
    grid = flow.grid()
    cache, gate, told = grid.cache("prices"), flow.gate(), list[Event]()

    def hear(event: Event) -> None:
        told.append(event)
        gate.stand()

    cache.on("set", hear)
    cache.set_many({"a": 1, "b": 2, "c": 3})
    gate.reached()
    closing = begin(grid.close)
    gate.open()
    closing.result()
    assert ["a", "b", "c"] == [event.key for event in told]
    assert 0 == len(grid._hub.events._tasks)
    with pytest.raises(EngineError, match="closed here"):
        cache.on("set", hear)


def test_closing_waits_no_longer_than_a_call(flow: SyncFlow) -> None:
    """
    For a listener that does not end; what it would have been told is counted.
    """
    grid = flow.grid(timeout="200ms")
    cache, gate = grid.cache("prices"), flow.gate()

    def hear(_: Event) -> None:
        gate.stand()

    cache.on("set", hear)
    cache.set_many({"a": 1, "b": 2, "c": 3})
    gate.reached()
    grid.close()
    gate.open()
    assert 2 == cache.stats().events_dropped


def test_a_listener_may_use_the_grid(grid: SyncGrid, cache: SyncCache) -> None:
    """
    And wait until it is settled, which does not wait for the listener itself.
    """
    heard = Listening()

    def follow(event: Event) -> None:
        grid.cache("copies").set(str(event.key), 1)
        grid.settle()

    cache.on("set", follow)
    heard.to(grid.cache("copies"), "set")
    cache.set("a", 1)
    grid.settle()
    grid.settle()
    assert [("set", "a", ())] == heard.told


def test_an_outage_is_told_once(grid: SyncGrid, cache: SyncCache) -> None:
    """
    With the error that met the first caller, who gets it as ever.
    """
    heard = Listening()
    heard.to(cache, "outage")
    for method, call in (("fetch", cache.get), ("drop", cache.delete), ("fetch", cache.get)):
        engine_of(grid).fail(method, EngineTimeout(f"away at {method}"))
        with pytest.raises(EngineTimeout):
            call("key")
    grid.settle()
    assert ["away at fetch"] == [str(event.error) for event in heard.events]
