"""Events: what this process does, and what owners tell, is told in order to all who listen, and to nobody else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

import cachegrid._aio.events
from cachegrid import Event
from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.events import AsyncSubscription
from cachegrid._aio.grid import AsyncGrid
from cachegrid.engines.memory.store import Store
from cachegrid.errors import ConfigError, EngineError, EngineTimeout, Unsupported
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow.backing import Backing
from tests.flow.waits._aio import begin, until

HERE = ("set", "deleted", "invalidated", "loaded", "outage")
EVERYWHERE = ("set", "deleted", "expired", "evicted", "invalidated")


class Listening:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def hear(self, event: Event) -> None:
        """Note it."""
        self.events.append(event)

    async def to(self, cache: AsyncCache, *kinds: Any, everywhere: bool = False) -> list[AsyncSubscription]:
        """Listen to some kinds."""
        return [await cache.on(kind, self.hear, everywhere=everywhere) for kind in kinds]

    @property
    def told(self) -> list[tuple[Any, ...]]:
        """Kind, key and tags of each."""
        return [(event.kind, event.key, event.tags) for event in self.events]

    async def until(self, event: tuple[Any, ...]) -> None:
        """Wait until something was told."""

        async def is_told() -> bool:
            return event in self.told

        await until(is_told)


async def one() -> int:
    """A loader."""
    return 1


async def act(cache: AsyncCache) -> list[tuple[Any, ...]]:
    """Do all that can be told of where it is done, but for `clear`; what is told."""
    await cache.set("a", 1, tags=["x", "y"])
    await cache.set_many({"b": 1, "c": 2})
    assert await cache.add("d", 1, tags="x")
    assert not await cache.add("d", 2)
    assert await cache.replace("a", 2)
    assert not await cache.replace("none", 2)
    assert 5 == await cache.incr("n", 5)
    assert 3 == await cache.update("a", _plus_one)
    assert await cache.delete("a")
    assert not await cache.delete("a")
    assert 2 == await cache.delete_many(["b", "c"])
    assert 1 == await cache.get_or_load("l", one, tags=["x"])
    assert 1 == await cache.get_or_load("l", one)
    await cache.invalidate(["x", "y"])
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


async def test_what_this_process_does_is_told_in_order(grid: AsyncGrid, cache: AsyncCache) -> None:
    """
    Only of the cache that is listened to, and only what was done; each event says that it came from here.
    """
    heard = Listening()
    await heard.to(cache, *HERE)
    expected = await act(cache)
    await cache.clear()
    await act(grid.cache("other"))
    await grid.settle()
    assert [*expected, ("invalidated", None, ())] == heard.told
    assert {("prices", "here")} == {(event.cache, event.origin) for event in heard.events}


async def test_owners_tell_what_anybody_does(flow: AsyncFlow) -> None:
    """
    Without tags; one that is invalidated is told for each, and a load is told as what it is there, a write.

    A write that was repeated, since a tag of it may have been raised meanwhile, is told as often.
    """
    here, there = await flow.grid(), await flow.grid()
    heard = Listening()
    subscriptions = await heard.to(here.cache("prices"), *EVERYWHERE, everywhere=True)
    await act(there.cache("prices"))
    await heard.until(("set", "l", ()))  # what is not told by then may not be, once its cache is cleared
    await heard.until(("deleted", "b", ()))
    await heard.until(("deleted", "c", ()))
    await there.cache("prices").clear()
    await heard.until(("invalidated", None, ()))
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


async def test_owners_tell_what_ends_and_what_is_swept_nobody_tells(flow: AsyncFlow) -> None:
    """
    What was cleared is out of reach, and that its memory is freed is nobody's affair.
    """
    here, there = await flow.grid(), await flow.grid()
    cache, heard = there.cache("prices"), Listening()
    await heard.to(here.cache("prices"), "deleted", "expired", "set", everywhere=True)
    await cache.set("short", 1, ttl="1ms")

    async def is_told() -> bool:
        await cache.get("short")  # so that it is found to have ended
        return ("expired", "short", ()) in heard.told

    await until(is_told)
    await cache.set_many(dict.fromkeys(range(20), 1))
    await heard.until(("set", 19, ()))
    await cache.clear()
    await there.settle()
    await cache.set("last", 1)
    await heard.until(("set", "last", ()))
    assert [] == [event for event in heard.events if event.kind == "deleted"]


async def test_results_of_functions_are_told_with_their_names(grid: AsyncGrid, cache: AsyncCache) -> None:
    """
    To who listens to the cache; and who listens to the function's hears of no other.
    """

    @cache.cached(name="price")
    async def price(sku: int) -> int:
        return sku

    whole, part, owners = Listening(), Listening(), Listening()
    await whole.to(cache, "loaded", "deleted")
    await part.to(price.cache, "loaded", "invalidated")
    await owners.to(cache, "set", "invalidated", everywhere=True)
    await price(7)
    await price.invalidate(7)
    await price.invalidate_all()
    await cache.set("own", 1)
    await owners.until(("set", "own", ()))
    await grid.settle()
    key = price.key(7)
    assert [("loaded", key, ()), ("deleted", key, ())] == whole.told
    assert [("loaded", key, ()), ("invalidated", None, ())] == part.told
    assert {"prices/price-1"} == {event.cache for event in whole.events + part.events}
    assert {("prices/price-1", key), ("prices/price-1", None), ("prices", "own")} == {
        (event.cache, event.key) for event in owners.events
    }


@pytest.mark.parametrize("kind", ["memory"])
async def test_an_owner_tells_what_it_evicts(backing: Backing) -> None:
    """
    And a listener in the same process hears it.
    """
    backing.store = Store(max_bytes=2000)
    async with AsyncFlow(backing) as flow:
        grid = await flow.grid()
        cache, heard = grid.cache("prices"), Listening()
        await heard.to(cache, "evicted", everywhere=True)
        await cache.set_many(dict.fromkeys(("a", "b", "c", "d"), "x" * 200))
        await grid.settle()
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
async def test_what_nobody_can_tell_is_refused(
    cache: AsyncCache,
    name: Any,
    everywhere: Any,
    match: str,
) -> None:
    """
    With a sentence that says why.
    """
    with pytest.raises(ConfigError, match=match):
        await cache.on(name, print, everywhere=everywhere)


async def test_an_engine_that_does_not_tell_is_named(flow: AsyncFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What happens here can be heard all the same.
    """
    grid = await flow.grid()
    cache, heard, opened = grid.cache("prices"), Listening(), grid._hub.opened
    assert opened is not None
    with monkeypatch.context() as patched:
        patched.setattr(grid._hub, "opened", opened._replace(engine=cast("Any", object())))
        with pytest.raises(Unsupported, match="owners that tell what happens"):
            await heard.to(cache, "set", everywhere=True)
    await heard.to(cache, "set")
    await cache.set("a", 1)
    await grid.settle()
    assert [("set", "a", ())] == heard.told


async def test_a_listener_that_fails_stops_nobody(
    grid: AsyncGrid, cache: AsyncCache, caplog: pytest.LogCaptureFixture
) -> None:
    """
    It is logged and counted, and told of the next event, as the others are.
    """
    tried: list[Event] = []

    def fail(event: Event) -> None:
        tried.append(event)
        raise OSError("the listener is out")

    heard = Listening()
    await cache.on("set", fail)
    await heard.to(cache, "set")
    with caplog.at_level(logging.ERROR, "cachegrid"):
        await cache.set_many({"a": 1, "b": 2})
        await grid.settle()
    assert heard.events == tried
    assert (2, 2) == (len(tried), cache.stats().event_failures)
    assert 2 == caplog.text.count("OSError: the listener is out")


async def test_a_full_queue_drops_and_counts(
    flow: AsyncFlow, grid: AsyncGrid, cache: AsyncCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever writes is never held up by who listens.
    """
    monkeypatch.setattr(cachegrid._aio.events, "MOST_WAITING", 3)
    gate, told = flow.gate(), list[Event]()

    async def hear(event: Event) -> None:
        told.append(event)
        await gate.stand()

    await cache.on("set", hear)
    await cache.set(0, 0)
    await gate.reached()
    for number in range(1, 10):
        await cache.set(number, number)
    assert 6 == cache.stats().events_dropped
    gate.open()
    await grid.settle()
    assert [0, 1, 2, 3] == [event.key for event in told]


async def test_who_leaves_is_told_no_more(grid: AsyncGrid, cache: AsyncCache) -> None:
    """
    By `off`, which may be called twice, or at the end of a block; and then nobody is at work for it.
    """
    heard = Listening()
    with await cache.on("set", heard.hear) as subscription:
        await cache.set("a", 1)
        await grid.settle()
    subscription.off()
    await heard.to(cache, "deleted")
    await cache.set("b", 1)
    await cache.delete("b")
    await grid.settle()
    assert [("set", "a", ()), ("deleted", "b", ())] == heard.told


async def test_owners_are_asked_for_no_more_than_somebody_hears(flow: AsyncFlow) -> None:
    """
    With the last who listens the connections end on which they tell.
    """
    grid = await flow.grid()
    cache, heard = grid.cache("prices"), Listening()
    ears: Callable[[], int] = partial(_heard_by, grid)
    assert 0 == ears()
    first, second = await heard.to(cache, "set", "deleted", everywhere=True)
    some = ears()
    assert some > 0
    first.off()
    assert some == ears()
    second.off()
    assert 0 == ears()


def _heard_by(grid: AsyncGrid) -> int:
    """How many connections, or topics, an engine listens on."""
    engine = engine_of(grid).engine
    return len(engine._watch._ears if hasattr(engine, "_watch") else engine._heard)


async def test_a_grid_that_is_closed_tells_what_waits(flow: AsyncFlow) -> None:
    """
    And nothing after that.
    """
    grid = await flow.grid()
    cache, gate, told = grid.cache("prices"), flow.gate(), list[Event]()

    async def hear(event: Event) -> None:
        told.append(event)
        await gate.stand()

    await cache.on("set", hear)
    await cache.set_many({"a": 1, "b": 2, "c": 3})
    await gate.reached()
    closing = begin(grid.aclose)
    gate.open()
    await closing.result()
    assert ["a", "b", "c"] == [event.key for event in told]
    assert 0 == len(grid._hub.events._tasks)
    with pytest.raises(EngineError, match="closed here"):
        await cache.on("set", hear)


async def test_closing_waits_no_longer_than_a_call(flow: AsyncFlow) -> None:
    """
    For a listener that does not end; what it would have been told is counted.
    """
    grid = await flow.grid(timeout="200ms")
    cache, gate = grid.cache("prices"), flow.gate()

    async def hear(_: Event) -> None:
        await gate.stand()

    await cache.on("set", hear)
    await cache.set_many({"a": 1, "b": 2, "c": 3})
    await gate.reached()
    await grid.aclose()
    gate.open()
    assert 2 == cache.stats().events_dropped


async def test_a_listener_may_use_the_grid(grid: AsyncGrid, cache: AsyncCache) -> None:
    """
    And wait until it is settled, which does not wait for the listener itself.
    """
    heard = Listening()

    async def follow(event: Event) -> None:
        await grid.cache("copies").set(str(event.key), 1)
        await grid.settle()

    await cache.on("set", follow)
    await heard.to(grid.cache("copies"), "set")
    await cache.set("a", 1)
    await grid.settle()
    await grid.settle()
    assert [("set", "a", ())] == heard.told


async def test_an_outage_is_told_once(grid: AsyncGrid, cache: AsyncCache) -> None:
    """
    With the error that met the first caller, who gets it as ever.
    """
    heard = Listening()
    await heard.to(cache, "outage")
    for method, call in (("fetch", cache.get), ("drop", cache.delete), ("fetch", cache.get)):
        engine_of(grid).fail(method, EngineTimeout(f"away at {method}"))
        with pytest.raises(EngineTimeout):
            await call("key")
    await grid.settle()
    assert ["away at fetch"] == [str(event.error) for event in heard.events]
