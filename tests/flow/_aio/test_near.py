"""Near copies: what was read once is answered here until it changes, and never after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._core.address import Key
from cachegrid.config import NearPolicy
from cachegrid.errors import ConfigError, EngineTimeout, Unsupported
from cachegrid.near.copies import Guard
from tests.flow._aio.flow import AsyncFlow
from tests.flow._aio.nearness import elsewhere, gated, keep, near_cache, news
from tests.flow.waits._aio import begin, until


async def test_what_was_read_is_answered_here(flow: AsyncFlow) -> None:
    """
    By every way of reading, and without a question to the grid.
    """
    cache = await near_cache(flow)
    await cache.set("key", "value")
    await keep(cache, "key")
    engine = gated(cache)
    engine.calls.clear()
    assert "value" == await cache.get("key")
    assert await cache.has("key")
    assert {"key": "value"} == await cache.get_many(["key"])
    unasked: Any = flow.gate().stand
    assert "value" == await cache.get_or_load("key", unasked)
    assert {} == dict(engine.calls)


async def test_near_hits_are_hits_too(flow: AsyncFlow) -> None:
    """
    The counters tell those that were answered here from the others.
    """
    cache = await near_cache(flow)
    await cache.set("key", "value")
    await keep(cache, "key")
    before = cache.stats()
    await cache.get("key")
    await cache.get("another")
    after = cache.stats()
    assert (1, 1, 1) == (after.hits - before.hits, after.near_hits - before.near_hits, after.misses - before.misses)


@pytest.mark.parametrize("key", ["text", 7, b"bytes", ("a", 1, b"c"), "{brace}"])
async def test_a_change_made_elsewhere_is_seen(flow: AsyncFlow, key: Key) -> None:
    """
    Whatever the key is: what another process writes and drops is seen here.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    await other.set(key, "old")
    await keep(cache, key)
    await news(cache, key, lambda: other.set(key, "new"))
    assert "new" == await cache.get(key)
    await keep(cache, key)
    await news(cache, key, lambda: other.delete(key))
    assert None is await cache.get(key)


async def test_keys_that_python_finds_equal_are_not_mixed_up(flow: AsyncFlow) -> None:
    """
    True is no key, however near 1 is.
    """
    cache = await near_cache(flow)
    await cache.set(1, "one")
    await cache.set("1", "text")
    await keep(cache, 1)
    assert "text" == await cache.get("1")
    for wrong in (True, 1.0, (True,)):
        with pytest.raises(TypeError):
            await cache.get(wrong)  # type: ignore[arg-type]


async def test_arguments_that_python_finds_equal_are_not_mixed_up(flow: AsyncFlow) -> None:
    """
    Nor what is made of them by a function for keys.
    """
    cache = await near_cache(flow)

    @cache.cached
    async def kind(value: object) -> str:
        return type(value).__name__

    @cache.cached(key=lambda value: value)
    async def same(value: object) -> object:
        return value

    await kind(1)
    await keep(kind.cache, kind.key(1))
    for value in (1, True, 1.0, "1", b"1", True, 1):
        assert type(value).__name__ == await kind(value)
    await same(1)
    await keep(same.cache, 1)
    with pytest.raises(TypeError):
        await same(True)


async def test_an_answer_that_was_overtaken_is_not_kept_by_get(flow: AsyncFlow) -> None:
    """
    The owner answers, the entry changes, the news arrives, and only then the answer.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "old"))
    answer = gated(cache).hold("fetch", answered=True)
    reading = begin(cache.get, "key")
    await answer.reached()
    await news(cache, "key", lambda: other.set("key", "new"))
    answer.open()
    assert "old" == await reading.result()
    assert "new" == await cache.get("key")


async def test_an_answer_that_was_overtaken_is_not_kept_by_get_many(flow: AsyncFlow) -> None:
    """
    The one that changed is asked for again; the others are kept.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    for key in ("a", "b"):
        await news(cache, key, lambda key=key: other.set(key, "old"))  # type: ignore[misc]
    answer = gated(cache).hold("fetch_many", answered=True)
    reading = begin(cache.get_many, ["a", "b"])
    await answer.reached()
    await news(cache, "a", lambda: other.set("a", "new"))
    answer.open()
    assert {"a": "old", "b": "old"} == await reading.result()
    hits = cache.stats().near_hits
    assert "old" == await cache.get("b")
    assert 1 == cache.stats().near_hits - hits
    assert "new" == await cache.get("a")


async def test_an_answer_that_was_overtaken_is_not_kept_by_a_load(flow: AsyncFlow) -> None:
    """
    A load looks into the grid before it asks the origin; what it finds there is not kept past the news.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    answer = gated(cache).hold("fetch", answered=True)
    reading = begin(cache.get_or_load, "key", flow.gate().stand)
    await answer.reached()
    await news(cache, "key", lambda: other.set("key", "old"))
    answer.open()
    assert "old" == await reading.result()
    await news(cache, "key", lambda: other.set("key", "new"))
    assert "new" == await cache.get("key")


async def test_an_older_answer_does_not_follow_a_newer_one(flow: AsyncFlow) -> None:
    """
    Two read at once, and the one with the older answer is done last: whoever reads after both sees no older value.

    The news of the change has not even arrived: what the first saw tells as much.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "old"))
    engine = gated(cache)
    slow = engine.hold("fetch", answered=True)
    first = begin(cache.get, "key")
    await slow.reached()
    engine.hold_news()
    await other.set("key", "new")
    assert "new" == await cache.get("key")
    slow.open()
    assert "old" == await first.result()
    assert "new" == await cache.get("key")


WRITES: dict[str, Callable[[AsyncCache], Awaitable[object]]] = {
    "set": lambda cache: cache.set("key", 2),
    "set_many": lambda cache: cache.set_many({"key": 2, "other": 3}),
    "replace": lambda cache: cache.replace("key", 2),
    "incr": lambda cache: cache.incr("key"),
    "update": lambda cache: cache.update("key", lambda value: value + 1),
    "compare_and_set": lambda cache: cache.compare_and_set("key", b"1", 2),
    "delete": lambda cache: cache.delete("key"),
    "delete_many": lambda cache: cache.delete_many(["key", "other"]),
    "clear": lambda cache: cache.clear(),
}


@pytest.mark.parametrize("name", WRITES)
async def test_own_writes_are_seen_at_once(flow: AsyncFlow, name: str) -> None:
    """
    Before the news of them comes back from the owner: here it never does.
    """
    cache = await near_cache(flow)
    await cache.set("key", 1)
    await keep(cache, "key")
    gated(cache).hold_news()
    await WRITES[name](cache)
    assert (None if name in ("delete", "delete_many", "clear") else 2) == await cache.get("key")


async def test_own_writes_are_seen_by_every_grid_of_the_process(flow: AsyncFlow) -> None:
    """
    A process may have one for sync and one for async code.
    """
    cache, other = await near_cache(flow), await near_cache(flow)
    await cache.set("key", 1)
    await keep(cache, "key")
    gated(cache).hold_news()
    await other.set("key", 2)
    assert 2 == await cache.get("key")


async def test_a_write_of_which_nobody_knows_whether_it_was_done_is_seen(flow: AsyncFlow) -> None:
    """
    It failed for its caller, and may have been applied: the copy is not trusted.
    """
    cache = await near_cache(flow)
    await cache.set("key", 1)
    await keep(cache, "key")
    engine = gated(cache)
    engine.hold_news()
    engine.fail("store", EngineTimeout("too late"), answered=True)
    with pytest.raises(EngineTimeout):
        await cache.set("key", 2)
    assert 2 == await cache.get("key")


async def test_clearing_elsewhere_reaches_copies(flow: AsyncFlow) -> None:
    """
    Those of entries, and those of the results of functions.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    calls: list[int] = []

    @cache.cached
    async def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    await cache.set("key", "value")
    await keep(cache, "key")
    await double(4)
    await other.clear()

    async def is_cleared() -> bool:
        return await cache.get("key") is None

    await until(is_cleared)
    assert 8 == await double(4)
    assert [4, 4] == calls


async def test_clearing_leaves_no_tables_behind(flow: AsyncFlow) -> None:
    """
    Those of functions neither, whose addresses begin with an epoch that is not their own.
    """
    cache = await near_cache(flow)

    @cache.cached
    async def double(number: int) -> int:
        return 2 * number

    for _ in range(3):
        await cache.get("key")
        await double(4)
        await double(4)
        await cache.clear()
    await cache.get("key")
    await double(4)
    await double.invalidate_all()
    await double(4)
    assert 2 == len(cache._nearby._places)


async def test_results_of_functions_are_kept_near_too(flow: AsyncFlow) -> None:
    """
    And forgotten when they are invalidated, here or elsewhere.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)

    async def double(number: int) -> int:
        return 2 * number

    ours, theirs = cache.cached(double), other.cached(double)
    await ours(4)
    await keep(ours.cache, ours.key(4))
    await theirs.invalidate(4)

    async def is_forgotten() -> bool:
        return not await ours.cache.has(ours.key(4))

    await until(is_forgotten)


async def test_a_guard_that_gives_up_takes_its_copies_along(flow: AsyncFlow) -> None:
    """
    What changed since may have been missed.
    """
    cache = await near_cache(flow)
    await cache.set("key", "value")
    await keep(cache, "key")
    guard = cache._space.table["key"].guard
    guard.give_up()
    hits = cache.stats().near_hits
    assert "value" == await cache.get("key")
    assert 0 == cache.stats().near_hits - hits


async def test_what_nobody_guards_is_not_kept(flow: AsyncFlow) -> None:
    """
    Nor what has another guard by the time the answer is here.
    """
    cache = await near_cache(flow)
    await cache.set("key", "value")
    engine = gated(cache)
    for guards in ([None, None], [None, Guard()], [Guard(), None], [Guard(), Guard()]):
        left = iter(guards)
        cache._table_is_empty = True  # type: ignore[attr-defined]
        engine.guard = lambda *_, left=left: next(left)  # type: ignore[method-assign]
        assert "value" == await cache.get("key")
        assert "key" not in cache._space.table


async def test_an_answer_that_met_trouble_is_not_kept(flow: AsyncFlow) -> None:
    """
    It may be a replica's, which is behind.
    """
    cache = await near_cache(flow)
    await cache.set("key", "value")
    engine = gated(cache)
    answer = engine.hold("fetch", answered=True)
    reading = begin(cache.get, "key")
    await answer.reached()
    engine.engine.trouble += 1
    answer.open()
    assert "value" == await reading.result()
    assert "key" not in cache._space.table


async def test_values_that_could_be_changed_are_fresh(flow: AsyncFlow) -> None:
    """
    Whoever changes the list that he got changes nobody else's.
    """
    cache = await near_cache(flow)
    await cache.set("key", [1])
    await keep(cache, "key")
    (await cache.get("key")).append(2)
    assert [1] == await cache.get("key")


@pytest.mark.parametrize(
    "value", ["text", b"bytes", 1.5, Decimal("1.5"), datetime(2026, 1, 2, tzinfo=UTC), ("a", (1, None))]
)
async def test_constants_are_handed_out_as_they_are(flow: AsyncFlow, value: object) -> None:
    """
    The same object each time, since nobody can change it.
    """
    cache = await near_cache(flow)
    await cache.set("key", value)
    await keep(cache, "key")
    assert value == await cache.get("key")
    assert await cache.get("key") is await cache.get("key")


async def test_shared_values_are_the_same_object(flow: AsyncFlow) -> None:
    """
    Where the policy says so.
    """
    cache = await near_cache(flow, share=True)
    await cache.set("key", [1])
    await keep(cache, "key")
    assert await cache.get("key") is await cache.get("key")


async def test_absence_is_kept_where_that_is_asked_for(flow: AsyncFlow) -> None:
    """
    And ends when somebody stores an entry.
    """
    cache, other = await near_cache(flow, absent=True), await elsewhere(flow)
    engine = gated(cache)
    await cache.get("key")
    engine.calls.clear()
    misses = cache.stats().misses
    assert "none" == await cache.get("key", "none")
    assert {} == await cache.get_many(["key"])
    assert {} == dict(engine.calls)
    assert 2 == cache.stats().misses - misses
    await news(cache, "key", lambda: other.set("key", None))
    assert None is await cache.get("key", "none")


async def test_a_loader_is_asked_though_absence_is_kept(flow: AsyncFlow) -> None:
    """
    What it gives is seen at once.
    """
    cache = await near_cache(flow, absent=True)
    await cache.get("key")

    async def load() -> str:
        return "loaded"

    assert "loaded" == await cache.get_or_load("key", load)
    assert "loaded" == await cache.get("key")


async def test_entries_with_an_idle_time_are_not_kept(flow: AsyncFlow) -> None:
    """
    Each read has to begin it anew, and only the owner can.
    """
    cache = await near_cache(flow)
    await cache.set("key", "value", idle="1h")
    assert "value" == await cache.get("key")
    assert "value" == await cache.get("key")
    assert "key" not in cache._space.table


async def test_integers_are_kept_though_they_say_nothing_of_their_end(flow: AsyncFlow) -> None:
    """
    Their owner is asked for it once.
    """
    cache = await near_cache(flow)
    await cache.set("key", 5, ttl="1h")
    await keep(cache, "key")
    gated(cache).calls.clear()
    assert 5 == await cache.get("key")
    assert {} == dict(gated(cache).calls)


@pytest.mark.parametrize("kind", ["clock"], indirect=True)
@pytest.mark.parametrize("value", ["text", 5, [1]])
async def test_a_copy_ends_with_its_entry_though_nobody_tells(flow: AsyncFlow, value: object) -> None:
    """
    To the millisecond.
    """
    clock = flow.backing.clock
    assert clock is not None
    cache = await near_cache(flow)
    await cache.set("key", value, ttl=10)
    await keep(cache, "key")
    gated(cache).hold_news()
    clock.advance(9.999)
    hits = cache.stats().near_hits
    assert value == await cache.get("key")
    assert 1 == cache.stats().near_hits - hits
    clock.advance(0.001)
    assert None is await cache.get("key")


@pytest.mark.parametrize("kind", ["clock"], indirect=True)
async def test_a_copy_is_not_handed_out_without_proof_for_longer_than_the_policy_says(flow: AsyncFlow) -> None:
    """
    `max_staleness` after the guard was heard last.
    """
    clock = flow.backing.clock
    assert clock is not None
    cache = await near_cache(flow, max_staleness="2s")
    await cache.set("key", "value")
    await keep(cache, "key")
    cache._space.table["key"].guard.heard = clock.monotonic()
    clock.advance(1.999)
    hits = cache.stats().near_hits
    await cache.get("key")
    assert 1 == cache.stats().near_hits - hits
    clock.advance(0.001)
    await cache.get("key")
    assert 1 == cache.stats().near_hits - hits


async def test_a_wrong_policy_is_refused(flow: AsyncFlow) -> None:
    """
    With the name of what is wrong.
    """
    grid = await flow.grid()
    with pytest.raises(ConfigError, match="max_bites"):
        grid.cache("a", near={"max_bites": 1})
    with pytest.raises(ConfigError, match=r"near\.max_entries"):
        grid.cache("a", near=NearPolicy(max_entries=0))
    with pytest.raises(ConfigError, match="near"):
        grid.cache("a", near="yes")  # type: ignore[arg-type]


async def test_an_engine_that_does_not_tell_is_refused(flow: AsyncFlow) -> None:
    """
    With a sentence that names engine and ability.
    """
    grid = await flow.grid()
    grid._hub.lacking |= {"pushes"}
    with pytest.raises(Unsupported, match="pushes"):
        await grid.cache("prices", near=True).get("key")
