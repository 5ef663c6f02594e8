"""Near copies of batches, what is kept of them, and what is refused as without copies."""

from __future__ import annotations

import pickle
from collections import deque
from typing import Any

import pytest

from cachegrid.errors import KeyRefused, ValueRefused
from tests.flow._aio.flow import AsyncFlow
from tests.flow._aio.nearness import elsewhere, gated, keep, near_cache, news
from tests.flow.waits._aio import begin, until

MANY = 5000  # more than there are tokens, so that some of them have one in common


async def test_all_of_a_large_batch_is_kept_at_once(flow: AsyncFlow) -> None:
    """
    What is kept of one answer does not stand in the way of the rest, nor of another who has asked for the same.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    values = {f"key {number}": number * 0.5 for number in range(MANY)}
    await other.set_many(values)
    engine = gated(cache)
    addresses = cache._space.addresses(list(values))

    async def is_told() -> bool:
        return all(engine.heard[address] for address in addresses)

    await until(is_told)
    answers = [engine.hold("fetch_many", answered=True) for _ in range(2)]
    readers = [begin(cache.get_many, values) for _ in answers]
    for answer in answers:
        await answer.reached()
    for answer, count in zip(answers, (1, 2), strict=True):
        answer.open()

        async def is_counted(count: int = count) -> bool:
            return cache.stats().hits == count * MANY

        await until(is_counted)
        assert MANY == len(cache._space.table) == cache._copies.entries
    assert [values, values] == [await reader.result() for reader in readers]
    engine.calls.clear()
    assert values == await cache.get_many(values)
    assert {} == dict(engine.calls)


async def test_an_integer_of_a_batch_is_not_kept(flow: AsyncFlow) -> None:
    """
    Nobody has asked when it ends.
    """
    cache = await near_cache(flow)
    await news(cache, "key", lambda: cache.set("key", 5, ttl="1h"))
    assert {"key": 5} == await cache.get_many(["key"])
    assert {} == cache._space.table


@pytest.mark.parametrize(
    "wrong", [["a"], {"a": 1}, None, True, 1.0, ("a", ["b"]), ("a", True), object()], ids=lambda wrong: repr(wrong)[:9]
)
async def test_wrong_keys_are_refused_as_without_copies(flow: AsyncFlow, wrong: Any) -> None:
    """
    Also those that cannot be looked up in a table, and those that Python finds equal to a key.
    """
    cache = await near_cache(flow, absent=True)
    await cache.set_many({1: "one", "a": "text", ("a", 1): "both"})
    await keep(cache, 1, "a", ("a", 1))
    for call in (cache.get, cache.has, cache.entry, cache.delete):
        with pytest.raises(KeyRefused):
            await call(wrong)
    for keys in ([wrong], ["a", wrong], [wrong, 1]):
        with pytest.raises(KeyRefused):
            await cache.get_many(keys)


async def test_a_cache_with_copies_is_not_pickled(flow: AsyncFlow) -> None:
    """
    The sentence says what to do.
    """
    cache = await near_cache(flow)
    with pytest.raises(ValueRefused, match="connect in the other process"):
        pickle.dumps(cache)


async def test_nothing_is_kept_of_a_space_that_was_given_up(flow: AsyncFlow) -> None:
    """
    Cleared while an answer is on its way: who asked is told that there is nothing.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "old"))
    engine = gated(cache)
    answers = [engine.hold("fetch", answered=True), engine.hold("fetch_many", answered=True)]
    one, many = begin(cache.get, "key"), begin(cache.get_many, ["key"])
    for answer in answers:
        await answer.reached()
    doubt = engine.doubt
    sweep = gated(other).hold("walk")
    await other.clear()

    async def is_doubted() -> bool:
        return engine.doubt != doubt

    await until(is_doubted)
    for answer in answers:
        answer.open()
    assert (None, {}) == (await one.result(), await many.result())
    assert None is await cache.get("key")
    sweep.open()


async def test_a_copy_is_out_of_reach_when_the_epoch_is_in_doubt(flow: AsyncFlow) -> None:
    """
    Before what was cleared is swept, which would be told as well.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "old"))
    await keep(cache, "key")
    engine = gated(cache)
    doubt = engine.doubt
    sweep = gated(other).hold("walk")
    await other.clear()

    async def is_doubted() -> bool:
        return engine.doubt != doubt

    await until(is_doubted)
    assert None is await cache.get("key")
    assert {} == await cache.get_many(["key"])
    sweep.open()


async def test_what_has_an_idle_time_is_not_kept_even_if_nobody_tells_of_reads(flow: AsyncFlow) -> None:
    """
    Each read begins it anew at its owner.
    """
    cache = await near_cache(flow)
    await cache.set("key", "value", idle="1h")
    gated(cache).hold_news()
    hits = cache.stats().near_hits
    for _ in range(2):
        assert "value" == await cache.get("key")
        assert {"key": "value"} == await cache.get_many(["key"])
    assert 0 == cache.stats().near_hits - hits


@pytest.mark.parametrize("kind", ["clock"], indirect=True)
@pytest.mark.parametrize(("value", "question"), [("text", "fetch"), ([1], "fetch"), (5, "fetch"), (5, "inspect")])
async def test_a_copy_ends_with_its_entry_though_the_answer_came_late(
    flow: AsyncFlow, value: object, question: str
) -> None:
    """
    Its end is reckoned from what the entry says, or from before the question, never from when the answer came.
    """
    clock = flow.backing.clock
    assert clock is not None
    cache = await near_cache(flow)
    await cache.set("key", value, ttl=10)
    answer = gated(cache).hold(question, answered=True)
    reading = begin(cache.get, "key")
    await answer.reached()
    clock.advance(4)
    answer.open()
    assert value == await reading.result()
    gated(cache).hold_news()
    clock.advance(5.999)
    assert value == await cache.get("key")
    clock.advance(0.001)
    assert None is await cache.get("key")


async def test_a_shared_value_counts_at_least_what_it_was_made_from(flow: AsyncFlow) -> None:
    """
    Though its parts are hidden from who counts.
    """
    cache = await near_cache(flow, share=True)
    text = [f"{number:1000}" for number in range(100)]
    await cache.set("key", deque(text))
    await keep(cache, "key")
    copy = cache._space.table["key"]
    assert deque(text) == copy.value
    assert copy.size > 100_000
