"""Results that are loaded anew by hand: for everybody, in place of what is there, and never from before."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.functions import AsyncCachedFunction
from cachegrid._aio.grid import AsyncGrid
from cachegrid.errors import ConfigError, EngineTimeout, GridFull, LoadFailed, OutcomeUnknown
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow._aio.nearness import elsewhere, near_cache
from tests.flow._aio.origin import LACKING, AsyncOrigin
from tests.flow._aio.queueing import queue_of
from tests.flow.arguments import Account
from tests.flow.waits._aio import begin, until


def kept(cache: AsyncCache, origin: AsyncOrigin, **said: Any) -> AsyncCachedFunction[[str], list[int]]:
    """A function that asks the origin."""

    @cache.cached(name="price", ignore="key", **said)
    async def price(key: str) -> list[int]:
        return await origin.load()

    return price


async def test_a_result_is_loaded_anew_for_everybody(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    In whichever process, whether one was there or not; meanwhile they are served what is there.
    """
    ours, theirs = [kept((await flow.grid()).cache("prices"), origin) for _ in range(2)]
    for number in (1, 2):
        origin.gate = flow.gate()
        refreshing = begin(ours.refresh, "tea")
        await origin.gate.reached()
        old = None if number == 1 else [1]
        assert [old, old] == [await price.cache.get(price.key("tea")) for price in (ours, theirs)]
        if number == 2:
            assert [[1], [1]] == [await price("tea") for price in (ours, theirs)]
        origin.gate.open()
        assert [number] == await refreshing.result()
        assert [[number]] * 2 == [await price("tea") for price in (ours, theirs)]
    assert 2 == origin.calls == ours.cache.stats().loads


async def test_who_misses_waits_for_what_is_loaded_by_hand(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    It is the load that everybody waits for.
    """
    ours, theirs = [kept((await flow.grid()).cache("prices"), origin) for _ in range(2)]
    refreshing = begin(ours.refresh, "tea")
    await origin.gate.reached()
    calls = [begin(price, "tea") for price in (ours, theirs)]
    for price in (ours, theirs):

        async def has_missed(price: Any = price) -> bool:
            return bool(price.cache.stats().misses)

        await until(has_missed)
    origin.gate.open()
    assert [[1]] * 3 == [await run.result() for run in (refreshing, *calls)]
    assert 1 == origin.calls


async def test_nobody_gets_what_was_loaded_before_he_asked(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    Those who ask while a load is under way share the next one; other processes make theirs one after the other.
    """
    grid, other = await flow.grid(), await flow.grid()
    ours, theirs = kept(grid.cache("prices"), origin), kept(other.cache("prices"), origin)
    first = begin(ours.refresh, "tea")
    await origin.gate.reached()
    queue = queue_of(grid)
    later = [begin(ours.refresh, "tea") for _ in range(5)]
    abroad = begin(theirs.refresh, "tea")

    async def is_asked() -> bool:
        return len(queue.come) == len(later) and engine_of(other).calls["acquire"] > 2  # in vain

    await until(is_asked)
    assert 1 == origin.calls
    origin.gate.open()
    assert [1] == await first.result()
    results = {tuple(await run.result()) for run in later}
    results.add(tuple(await abroad.result()))
    assert {(2,), (3,)} == results
    assert [3] == await ours("tea") == await theirs("tea")


async def test_those_who_ask_before_the_load_begins_share_it(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    It has not asked the origin yet.
    """
    grid = await flow.grid()
    price = kept(grid.cache("prices"), origin)
    gate = engine_of(grid).hold("acquire")
    first = begin(price.refresh, "tea")
    await gate.reached()
    queue = queue_of(grid)
    others = [begin(price.refresh, "tea") for _ in range(5)]

    async def all_wait() -> bool:
        return len(queue.come) == len(others)

    await until(all_wait)
    gate.open()
    origin.gate.open()
    assert [[1]] * 6 == [await run.result() for run in (first, *others)]
    assert 5 == price.cache.stats().load_waits


@pytest.mark.parametrize("lacking", LACKING, ids=" ".join)
@pytest.mark.parametrize("was_there", [True, False], ids=["there", "not there"])
async def test_what_changes_meanwhile_stays_so(
    flow: AsyncFlow, grid: AsyncGrid, origin: AsyncOrigin, *, lacking: list[str], was_there: bool
) -> None:
    """
    What is deleted, invalidated or cleared is not stored, and what is set is not replaced: it is newer.
    """
    price = kept(grid.cache("prices"), origin, tags="menu")
    grid._hub.lacking = frozenset(lacking)
    changes: list[tuple[Any, Any]] = [
        (lambda: price.invalidate("tea"), None),
        (lambda: grid.cache("prices").invalidate("menu"), None),
        (price.invalidate_all, None),
        (lambda: price.cache.set(price.key("tea"), "newer"), "newer"),
    ]
    for change, left in changes if "conditions" not in lacking else changes[:-1]:
        await price.cache.delete(price.key("tea"))
        if was_there:
            await price.cache.set(price.key("tea"), "old", tags="menu")
        origin.gate = flow.gate()
        refreshing = begin(price.refresh, "tea")
        await origin.gate.reached()
        await change()
        origin.gate.open()
        assert [origin.calls] == await refreshing.result()
        assert left == await price.cache.get(price.key("tea"))


async def test_another_process_may_delete_it_meanwhile(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    Whether there was one or not.
    """
    ours, theirs = [kept((await flow.grid()).cache("prices"), origin) for _ in range(2)]
    for was_there in (True, False):
        if was_there:
            await ours.cache.set(ours.key("tea"), "old")
        origin.gate = flow.gate()
        refreshing = begin(ours.refresh, "tea")
        await origin.gate.reached()
        assert was_there is await theirs.invalidate("tea")
        origin.gate.open()
        await refreshing.result()
        assert not await ours.cache.has(ours.key("tea"))


@pytest.mark.parametrize("kind", ["clock"])
async def test_what_ends_meanwhile_is_replaced(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    Nobody has dropped it.
    """
    price = kept((await flow.grid()).cache("prices"), origin, ttl=2)
    await price.cache.set(price.key("tea"), "old")
    refreshing = begin(price.refresh, "tea")
    await origin.gate.reached()
    assert flow.backing.clock is not None
    flow.backing.clock.advance(3)
    origin.gate.open()
    assert [1] == await refreshing.result() == await price("tea")
    assert 1 == origin.calls


async def test_a_load_by_hand_is_told(grid: AsyncGrid, cache: AsyncCache, origin: AsyncOrigin) -> None:
    """
    As any load is.
    """
    told: list[Any] = []
    price = kept(cache, origin, tags="menu")
    origin.gate.open()
    with await cache.on("loaded", told.append):
        await price.refresh("tea")
        await grid.settle()
    assert [("loaded", (), ("menu",))] == [(event.kind, event.key, event.tags) for event in told]


async def test_what_is_dead_or_damaged_is_replaced(grid: AsyncGrid, origin: AsyncOrigin) -> None:
    """
    Also the memory of a failure, which keeps others from the origin.
    """
    origin.gate.open()
    price = kept(grid.cache("prices"), origin, tags="menu", failure_ttl="1m")
    await price("tea")
    await grid.cache("prices").invalidate("menu")
    assert [2] == await price.refresh("tea") == await price("tea")
    await engine_of(grid).engine.store(price.cache._space.address(price.key("tea")), b"what no codec reads", None)
    assert [3] == await price.refresh("tea") == await price("tea")

    fails = [True, False]

    @grid.cache("prices").cached(failure_ttl="1m")
    async def failing() -> str:
        if fails.pop(0):
            raise OSError("the origin is away")
        return "well"

    with pytest.raises(OSError, match="away"):
        await failing()
    with pytest.raises(LoadFailed):
        await failing()
    assert "well" == await failing.refresh() == await failing()


async def test_a_load_by_hand_that_fails_leaves_what_is_there(cache: AsyncCache) -> None:
    """
    Its error is the caller's.
    """
    results: list[Any] = ["old", OSError("the origin is away")]

    @cache.cached
    async def price() -> Any:
        result = results.pop(0)
        if isinstance(result, OSError):
            raise result
        return result

    await price()
    with pytest.raises(OSError, match="away"):
        await price.refresh()
    assert "old" == await price()


async def test_what_is_not_to_be_kept_takes_its_place_all_the_same(cache: AsyncCache) -> None:
    """
    The old one is known to be old.
    """
    results = ["old", "", "new"]

    @cache.cached(when=bool)
    async def price() -> str:
        return results.pop(0)

    assert ["old", "", "new", "new"] == [await price(), await price.refresh(), await price(), await price()]


async def test_what_the_grid_cannot_store_is_an_error(grid: AsyncGrid, origin: AsyncOrigin) -> None:
    """
    Else others would go on with what is old; where the policy says that a full grid is passed over, that is dropped.
    """
    origin.gate.open()
    for on_full in ("raise", "skip"):
        price = kept(grid.cache(on_full, on_full=on_full), origin)
        await price.cache.set(price.key("tea"), "old")
        engine_of(grid).fail("store_if_version", GridFull("no room"))
        if on_full == "raise":
            with pytest.raises(GridFull):
                await price.refresh("tea")
            assert "old" == await price.cache.get(price.key("tea"))
        else:
            await price.refresh("tea")
            assert 1 == price.cache.stats().skips
            assert not await price.cache.has(price.key("tea"))
    engine_of(grid).fail("fetch", EngineTimeout("no answer"))
    with pytest.raises(EngineTimeout):
        await kept(grid.cache("load", on_outage="load"), origin).refresh("tea")


@pytest.mark.parametrize("answered", [True, False], ids=["stored", "not stored"])
async def test_a_broken_connection_is_found_out_about(grid: AsyncGrid, origin: AsyncOrigin, *, answered: bool) -> None:
    """
    Whether the result was stored before it broke: the old one does not stay.
    """
    origin.gate.open()
    price = kept(grid.cache("prices"), origin)
    await price.cache.set(price.key("tea"), "old")
    engine_of(grid).fail("store_if_version", OutcomeUnknown("it broke"), answered=answered)
    assert [1] == await price.refresh("tea") == await price("tea")
    assert 1 == origin.calls


async def test_nobody_waits_for_himself(cache: AsyncCache) -> None:
    """
    A function that asks for its own result, or loads it anew, while it is loaded.
    """
    left = ["call", "refresh", ""]

    @cache.cached
    async def price() -> str:
        step = left.pop(0)
        if step == "call":
            return step + await price()
        return step + (await price.refresh() if step else "")

    assert "callrefresh" == await price.refresh() == await price()


async def test_methods_are_loaded_anew(cache: AsyncCache) -> None:
    """
    Each of its object, or class.
    """
    calls: list[int] = []

    class User(Account):
        @cache.cached
        async def doubled(self, by: int = 2) -> int:
            calls.append(self.number)
            return self.number * by * len(calls)

        @cache.cached
        @classmethod
        async def name(cls, calls: list[int]) -> str:
            return f"{cls.__name__}{len(calls)}"

    assert [4, 8, 8] == [await User(2).doubled(), await User(2).doubled.refresh(by=2), await User(2).doubled()]
    assert [9, 8] == [await User(1).doubled.refresh(3), await User(2).doubled()]
    assert "User0" == await User.name([]) == await User.name.refresh([])
    assert cache.stats().loads == 5


async def test_a_wrong_call_loads_nothing(cache: AsyncCache, origin: AsyncOrigin) -> None:
    """
    As of the function itself.
    """
    price = kept(cache, origin)
    with pytest.raises(TypeError):
        await price.refresh()  # type: ignore[call-arg]
    assert 0 == origin.calls
    with pytest.raises(ConfigError):
        kept(cache, origin, ttl=-1)


async def test_near_copies_follow(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    At once in the process that loaded it anew, and elsewhere with the news.
    """
    origin.gate.open()
    near, far = await near_cache(flow), await elsewhere(flow)
    ours = kept(near, origin)

    async def is_near() -> bool:
        hits = near.stats().near_hits
        assert [1] == await ours("tea")
        return near.stats().near_hits > hits

    await until(is_near)
    assert [2] == await ours.refresh("tea") == await ours("tea")
    assert [3] == await kept(far, origin).refresh("tea")

    async def is_new() -> bool:
        return await ours("tea") == [3]

    await until(is_new)
