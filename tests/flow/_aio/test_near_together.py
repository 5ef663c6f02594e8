"""Near copies among many callers, ways to read and grid objects of one process: what it reads never goes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.cell import FAR
from cachegrid.errors import OutcomeUnknown
from cachegrid.near.copies import Fill
from tests.flow._aio.flow import AsyncFlow
from tests.flow._aio.nearness import elsewhere, gated, keep, keep_absence, near_cache, news
from tests.flow.waits._aio import begin, until


async def test_the_first_of_many_answers_is_kept(flow: AsyncFlow) -> None:
    """
    Many miss one key at once: those who come later with the same answer neither drop the copy nor spoil it.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "value"))
    engine = gated(cache)
    answers = [engine.hold("fetch", answered=True) for _ in range(5)]
    readers = [begin(cache.get, "key") for _ in answers]
    for answer in answers:
        await answer.reached()
    answers[0].open()

    async def is_kept() -> bool:
        return "key" in cache._space.table

    await until(is_kept)
    copy, token = cache._space.table["key"], cache._mark(cache._space.address("key")).token
    for answer in answers[1:]:
        answer.open()
    assert ["value"] * 5 == [await reader.result() for reader in readers]
    assert copy is cache._space.table["key"]
    assert token == cache._mark(cache._space.address("key")).token
    assert 1 == cache._copies.entries


async def test_an_answer_that_says_something_else_drops_what_was_kept(flow: AsyncFlow) -> None:
    """
    Of two that were asked for at once nobody knows which one is older: neither is kept, and the next reader asks.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "old"))
    engine = gated(cache)
    engine.hold_news()
    slow = engine.hold("fetch", answered=True)
    first = begin(cache.get, "key")
    await slow.reached()
    await other.set("key", "new")
    assert "new" == await cache.get("key")
    assert "key" in cache._space.table
    slow.open()
    assert "old" == await first.result()
    assert "key" not in cache._space.table
    assert "new" == await cache.get("key")


async def test_an_answer_that_is_not_kept_spoils_the_others(flow: AsyncFlow) -> None:
    """
    Its caller has seen the newer value: what was asked for before that is not kept either.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "old"))
    engine = gated(cache)
    engine.hold_news()
    slow = engine.hold("fetch", answered=True)
    first = begin(cache.get, "key")
    await slow.reached()
    await other.set("key", "new")
    engine.engine.trouble += 1  # a replica's answer, as far as this one can tell
    newer = engine.hold("fetch", answered=True)
    second = begin(cache.get, "key")
    await newer.reached()
    engine.engine.trouble += 1
    newer.open()
    assert "new" == await second.result()
    engine.engine.trouble -= 2  # so that nothing but the spoiling stands in the way of the older answer
    slow.open()
    assert "old" == await first.result()
    assert "new" == await cache.get("key")


async def _entry(cache: AsyncCache) -> object:
    entry = await cache.entry("key")
    return None if entry is None else entry.value


async def _update(cache: AsyncCache) -> object:
    """What `update` shows to its function, which changes nothing."""
    seen: list[object] = []

    def look(value: object) -> object:
        seen.append(value)
        raise LookupError

    with pytest.raises(LookupError):
        await cache.update("key", look, default=None)
    return seen[0]


async def _get(cache: AsyncCache) -> object:
    return await cache.get("key")


async def _get_many(cache: AsyncCache) -> object:
    return (await cache.get_many(["key"])).get("key")


LOOKS: dict[str, Callable[[AsyncCache], Awaitable[object]]] = {"entry": _entry, "update": _update}
READS: dict[str, Callable[[AsyncCache], Awaitable[object]]] = {**LOOKS, "get": _get, "get_many": _get_many}


@pytest.mark.parametrize("after", ["old", None])
@pytest.mark.parametrize("look", LOOKS)
async def test_what_was_seen_past_a_copy_is_not_followed_by_it(flow: AsyncFlow, look: str, after: str | None) -> None:
    """
    The owner was asked although there is a copy, also one that says that there is nothing; what it said holds.
    """
    cache, other = await near_cache(flow, absent=True), await elsewhere(flow)
    if after is None:
        await keep_absence(cache, "key")
    else:
        await news(cache, "key", lambda: other.set("key", after))
        await keep(cache, "key")
    gated(cache).hold_news()
    assert after == await _get(cache)
    await other.set("key", "new")
    assert "new" == await LOOKS[look](cache)
    assert "new" == await cache.get("key")


@pytest.mark.parametrize("look", LOOKS)
async def test_that_there_is_nothing_any_more_holds_when_it_was_seen(flow: AsyncFlow, look: str) -> None:
    """
    The same for an entry that is gone.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "old"))
    await keep(cache, "key")
    gated(cache).hold_news()
    await other.delete("key")
    assert None is await LOOKS[look](cache)
    assert "key" not in await cache.get_many(["key"])


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("before", ["old", None])
async def test_what_was_asked_for_before_a_look_is_not_kept(flow: AsyncFlow, look: str, before: str | None) -> None:
    """
    An answer that is on its way, also one that there is nothing, may be older than what was seen meanwhile.
    """
    cache, other = await near_cache(flow, absent=True), await elsewhere(flow)
    if before is not None:
        await news(cache, "key", lambda: other.set("key", before))
    engine = gated(cache)
    engine.hold_news()
    answer = engine.hold("fetch", answered=True)
    reading = begin(cache.get, "key")
    await answer.reached()
    await other.set("key", "new")
    assert "new" == await LOOKS[look](cache)
    answer.open()
    assert before == await reading.result()
    assert "new" == await cache.get("key")


async def test_what_a_load_has_found_is_not_followed_by_an_absence(flow: AsyncFlow) -> None:
    """
    That there was nothing was known here; the look before the origin is asked finds what came since.
    """
    cache, other = await near_cache(flow, absent=True), await elsewhere(flow)
    await keep_absence(cache, "key")
    gated(cache).hold_news()
    await other.set("key", "new")
    unasked: Any = flow.gate().stand
    assert "new" == await cache.get_or_load("key", unasked)
    assert "new" == await cache.get("key")
    assert await cache.has("key")


async def test_what_a_load_has_found_is_not_followed_by_an_absence_on_its_way(flow: AsyncFlow) -> None:
    """
    The same, where somebody has asked before and is told later.
    """
    cache, other = await near_cache(flow, absent=True), await elsewhere(flow)
    await keep_absence(cache, "key")
    engine = gated(cache)
    engine.hold_news()
    answer = engine.hold("fetch_many", answered=True)
    cache._nearby.changed(cache._space.address("key"))
    reading = begin(cache.get_many, ["key"])
    await answer.reached()
    await other.set("key", "new")
    unasked: Any = flow.gate().stand
    assert "new" == await cache.get_or_load("key", unasked)
    answer.open()
    assert {} == await reading.result()
    assert "new" == await cache.get("key")


@pytest.mark.parametrize("read", READS)
async def test_what_another_grid_of_the_process_has_read_is_not_followed_by_a_copy(flow: AsyncFlow, read: str) -> None:
    """
    The first one's copy goes when the second one has seen newer.
    """
    cache, second, other = await near_cache(flow), await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "old"))
    await keep(cache, "key")
    for one in (cache, second):
        gated(one).hold_news()
    await other.set("key", "new")
    assert "new" == await READS[read](second)
    assert "new" == await cache.get("key")


async def test_a_copy_is_here_when_older_ones_of_other_grids_are_gone(
    flow: AsyncFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Another thread may be given it at once, and then read by the other grid.
    """
    cache, second, other = await near_cache(flow), await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "old"))
    await keep(cache, "key")
    for one in (cache, second):
        gated(one).hold_news()
    await other.set("key", "new")
    keeps, read = second._copies.keep, list[object]()

    def keep_and_read(fills: Iterable[Fill]) -> list[bytes]:
        refused = keeps(fills)
        read.extend([second._near("key"), cache._near("key")])
        return refused

    monkeypatch.setattr(second._copies, "keep", keep_and_read)
    assert "new" == await second.get("key")
    assert ["new", FAR] == read[:2]


async def test_what_has_ended_already_is_gone_here_too(flow: AsyncFlow) -> None:
    """
    Who lets an entry end that another process has ended sees it no more, though the news of that is still to come.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)

    async def load() -> str:
        return "old"

    await news(cache, "key", lambda: other.get_or_load("key", load, ttl="1m", grace="1m"))
    await keep(cache, "key")
    gated(cache).hold_news()
    assert await other.expire("key")
    assert not await cache.expire("key")
    assert await cache.get("key") is None


async def _peek(cache: AsyncCache) -> object:
    return await cache.peek("key")


@pytest.mark.parametrize("has_near", [None, False, True], ids=["this grid", "another", "another with copies"])
@pytest.mark.parametrize("look", [_entry, _update, _peek])
async def test_no_copy_stays_of_what_was_seen_to_be_dead(
    flow: AsyncFlow,
    look: Callable[[AsyncCache], Awaitable[object]],
    has_near: bool | None,  # noqa: FBT001 - a case
) -> None:
    """
    Its tag was raised, which another entry tells sooner than the news: the entry is the same as before, and dead.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    looker: AsyncCache = cache
    if has_near is not None:
        looker = await near_cache(flow) if has_near else (await flow.grid()).cache("prices")
    await news(cache, "key", lambda: other.set("key", "old", tags=["tag"]))
    await keep(cache, "key")
    gated(cache).hold_news()
    await other.invalidate(tags=["tag"])
    await other.set("another", "new", tags=["tag"])
    assert "new" == await looker.get("another")
    assert None is await look(looker)
    assert FAR is cache._near("key")


async def test_a_write_that_was_found_to_have_arrived_is_seen_at_once(
    flow: AsyncFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The connection broke, and the owner applied it later: what was read in between is not handed out after it.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "old"))
    engine = gated(cache)
    engine.hold_news()
    store, lost = engine.engine.store_if_present, list[Any]()

    async def lose(_: object, *args: Any) -> bool:
        lost.extend(args)
        raise OutcomeUnknown("the connection broke")

    monkeypatch.setattr(type(engine.engine), "store_if_present", lose)
    look = engine.hold("fetch")
    writing = begin(cache.replace, "key", "new")
    await look.reached()
    await keep(cache, "key")
    assert await store(*lost)
    look.open()
    assert await writing.result()
    assert "new" == await cache.get("key")


async def test_a_view_that_learned_late_of_a_clear_sees_what_it_writes(flow: AsyncFlow) -> None:
    """
    The cache knows the new epoch already, and the news of it is still to come: nobody would tell the view's copies.
    """
    cache, other = await near_cache(flow), await elsewhere(flow)
    view = cache.with_durability(replicas=1)
    await news(cache, "key", lambda: other.set("key", "old"))
    engine = gated(cache)
    await engine.engine.raise_epoch(b"of something else")
    engine.hold_news()
    asked = engine.hold("epoch", answered=True)
    reading = begin(view.get, "key")
    await asked.reached()
    await engine.engine.raise_epoch(cache._epoch_names[-1])
    assert await cache.get("key") is None
    asked.open()
    assert "old" == await reading.result()
    for value in (1, 2, 3):
        await view.set("key", [value])
        assert [value] == await view.get("key") == await view.get("key")


@pytest.mark.parametrize("read", READS)
async def test_what_was_asked_for_before_another_grid_has_read_is_not_kept(flow: AsyncFlow, read: str) -> None:
    """
    It may be older than what this process knows by then.
    """
    cache, second, other = await near_cache(flow), await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: other.set("key", "old"))
    for one in (cache, second):
        gated(one).hold_news()
    answer = gated(cache).hold("fetch", answered=True)
    reading = begin(cache.get, "key")
    await answer.reached()
    await other.set("key", "new")
    assert "new" == await READS[read](second)
    answer.open()
    assert "old" == await reading.result()
    assert "new" == await cache.get("key")


async def test_grids_of_one_process_that_read_the_same_keep_it_both(flow: AsyncFlow) -> None:
    """
    What says what is kept already is no news to the other.
    """
    cache, second, other = await near_cache(flow), await near_cache(flow), await elsewhere(flow)
    await news(cache, "key", lambda: news(second, "key", lambda: other.set("key", "value")))
    await keep(cache, "key")
    await keep(second, "key")
    copy = cache._space.table["key"]
    second._nearby.changed(second._space.address("key"))
    assert "value" == await second.get("key")
    assert copy is cache._space.table["key"]
    assert "key" in second._space.table


WRITES: dict[str, tuple[Callable[[AsyncCache], Awaitable[object]], object]] = {
    "set": (lambda cache: cache.set("key", 2), 2),
    "set_many": (lambda cache: cache.set_many({"key": 2, "other": 3}), 2),
    "add": (lambda cache: cache.add("gone", 2), 1),
    "replace": (lambda cache: cache.replace("key", 2), 2),
    "incr": (lambda cache: cache.incr("key"), 2),
    "update": (lambda cache: cache.update("key", lambda value: value + 1), 2),
    "compare_and_set": (lambda cache: cache.compare_and_set("key", b"1", 2), 2),
    "delete": (lambda cache: cache.delete("key"), None),
    "delete_many": (lambda cache: cache.delete_many(["key", "other"]), None),
    "clear": (lambda cache: cache.clear(), None),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("has_near", [False, True])
async def test_what_another_grid_of_the_process_writes_is_seen_at_once(
    flow: AsyncFlow,
    write: str,
    has_near: bool,  # noqa: FBT001 - a case
) -> None:
    """
    Whether or not it keeps copies itself: nobody waits for what the owner tells.
    """
    cache = await near_cache(flow, absent=True)
    other = await near_cache(flow) if has_near else (await flow.grid()).cache("prices")
    await other.get("key")
    await news(cache, "key", lambda: other.set("key", 1))
    await keep(cache, "key")
    await keep_absence(cache, "gone")
    gated(cache).hold_news()
    change, then = WRITES[write]
    await change(other)
    assert then == await cache.get("key")
    assert (2 if write == "add" else None) == await cache.get("gone")


@pytest.mark.parametrize("has_near", [False, True])
async def test_what_another_grid_of_the_process_invalidates_is_seen_at_once(
    flow: AsyncFlow,
    has_near: bool,  # noqa: FBT001 - a case
) -> None:
    """
    Results of a function: one, or all of them.
    """
    cache = await near_cache(flow)
    other = await near_cache(flow) if has_near else (await flow.grid()).cache("prices")
    calls: list[int] = []

    async def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    ours, theirs = cache.cached(double), other.cached(double)
    assert [8, 8, 10] == [await ours(4), await theirs(4), await ours(5)]
    await keep(ours.cache, ours.key(4), ours.key(5))
    calls.clear()
    gated(cache).hold_news()
    await theirs.invalidate(4)
    assert [8, 10] == [await ours(4), await ours(5)]
    assert [4] == calls
    await keep(ours.cache, ours.key(4), ours.key(5))
    await theirs.invalidate_all()
    assert [8, 10] == [await ours(4), await ours(5)]
    assert [4, 4, 5] == calls


async def test_a_cache_of_another_name_concerns_nobody(flow: AsyncFlow) -> None:
    """
    What is written and cleared there leaves copies here.
    """
    cache, other = await near_cache(flow), (await flow.grid()).cache("articles")
    await cache.set("key", "value")
    await keep(cache, "key")
    gated(cache).hold_news()
    hits = cache.stats().near_hits
    await other.set("key", "another")
    await other.delete("key")
    assert "value" == await cache.get("key")
    assert 1 == cache.stats().near_hits - hits
