"""Loads beside which others set, delete, invalidate or load the same."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow._aio.origin import LACKING, STORES, AsyncOrigin
from tests.flow.waits._aio import begin, until


async def test_what_is_set_while_it_is_loaded_stays(flow: AsyncFlow) -> None:
    """
    By whichever process: it is newer than what the loader may have read. The loader's caller gets what was loaded.
    """
    ours, theirs = (await flow.grid()).cache("prices"), (await flow.grid()).cache("prices")
    for key, writer in (("ours", ours), ("theirs", theirs)):
        origin = AsyncOrigin(flow)
        loading = begin(ours.get_or_load, key, origin.load)
        await origin.gate.reached()
        await writer.set(key, "newer")
        origin.gate.open()
        assert [1] == await loading.result()
        assert ("newer", "newer") == (await ours.get(key), await theirs.get(key))


async def test_what_comes_and_goes_while_it_is_loaded_is_not_followed_by_what_is_older(flow: AsyncFlow) -> None:
    """
    By whichever process: nothing is there when the load is done, and what was there was newer.
    """
    ours, theirs = (await flow.grid()).cache("prices"), (await flow.grid()).cache("prices")

    async def set_and_touch(key: str) -> None:
        await theirs.set(key, "newer")
        await theirs.touch(key, 0.02)

    writes: dict[str, Any] = {
        "ours": lambda: ours.set("ours", "newer", ttl=0.02),
        "theirs": lambda: theirs.set("theirs", "newer", ttl=0.02),
        "among": lambda: theirs.set_many({"other": 1, "among": "newer"}, ttl=0.02),
        "touched": lambda: set_and_touch("touched"),
    }
    for key, write in writes.items():
        origin = AsyncOrigin(flow)
        loading = begin(ours.get_or_load, key, origin.load)
        await origin.gate.reached()
        await write()

        async def is_gone(key: str = key) -> bool:
            return await ours.get(key) is None and await theirs.get(key) is None

        await until(is_gone)
        origin.gate.open()
        assert [1] == await loading.result()
        assert await is_gone()


async def test_what_is_deleted_while_it_is_loaded_does_not_come_back(flow: AsyncFlow) -> None:
    """
    By whichever process: the loader may have read what the delete was meant for. Who asks after that gets a later load.
    """
    grid, other = await flow.grid(), (await flow.grid()).cache("prices")
    cache = grid.cache("prices")
    deletes: list[Any] = [
        lambda: cache.delete("key"),
        lambda: cache.delete_many(["other", "key"]),
        lambda: other.delete("key"),
        lambda: other.delete_many(["other", "key"]),
    ]
    for number, delete in enumerate(deletes):
        gate = flow.gate()

        async def load(gate: Any = gate) -> str:
            await gate.stand()
            return "old"

        async def load_again(number: int = number) -> str:
            return f"new {number}"

        loading = begin(cache.get_or_load, "key", load)
        await gate.reached()
        assert not await delete()
        assert f"new {number}" == await other.get_or_load("key", load_again)
        gate.open()
        assert "old" == await loading.result()
        assert [f"new {number}"] * 2 == [await one.get("key") for one in (cache, other)]
        await cache.delete("key")


async def test_who_asks_after_a_delete_gets_no_load_from_before(flow: AsyncFlow) -> None:
    """
    Nor who waits in the process that loads, and was not told that another one deleted it.
    """
    grid, other = await flow.grid(), (await flow.grid()).cache("prices")
    cache = grid.cache("prices")
    for deleter in (cache, other):
        gate = flow.gate()

        async def load(gate: Any = gate) -> str:
            await gate.stand()
            return "old"

        async def load_again() -> str:
            return "new"

        loading = begin(cache.get_or_load, "key", load)
        await gate.reached()
        misses = cache.stats().misses
        await deleter.delete("key")
        later = begin(cache.get_or_load, "key", load_again)

        async def has_missed(misses: int = misses) -> bool:
            return cache.stats().misses > misses

        await until(has_missed)
        gate.open()
        assert ("old", "new", "new") == (await loading.result(), await later.result(), await other.get("key"))
        await cache.delete("key")


@pytest.mark.parametrize("lacking", LACKING, ids=" ".join)
async def test_what_is_deleted_while_it_is_stored_does_not_come_back(
    flow: AsyncFlow, origin: AsyncOrigin, lacking: list[str]
) -> None:
    """
    Whether the delete or the store reaches the owner first. The engine has to help if another process deletes it.
    """
    grid = await flow.grid()
    cache = grid.cache("prices")
    deleters = [cache] if lacking else [cache, (await flow.grid()).cache("prices")]
    grid._hub.lacking = frozenset(lacking)
    for answered, deleter in [(answered, deleter) for deleter in deleters for answered in (False, True)]:
        gate = engine_of(grid).hold(STORES[len(lacking)], answered=answered)
        loading = begin(cache.get_or_load, "key", origin.load_at_once)
        await gate.reached()
        await deleter.delete("key")
        gate.open()
        await loading.result()
        assert not await cache.has("key")


async def test_a_function_invalidated_elsewhere_while_it_works(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    Its result is its caller's alone, and whoever calls it then, in any process, calls it anew.
    """
    keeps = [(await flow.grid()).cache("prices").cached(name="f", ignore=["self"]) for _ in range(2)]
    ours, theirs = [keep(origin.load) for keep in keeps]
    working = begin(ours)
    await origin.gate.reached()
    assert not await theirs.invalidate()
    origin.gate.open()
    assert [1] == await working.result()
    assert ([2], [2]) == (await theirs(), await ours())


async def test_a_function_that_is_invalidated_while_it_works_is_called_again(
    cache: AsyncCache, origin: AsyncOrigin
) -> None:
    """
    Its first result is not kept.
    """

    @cache.cached
    async def function() -> list[int]:
        return await origin.load()

    working = begin(function)
    await origin.gate.reached()
    assert not await function.invalidate()
    origin.gate.open()
    assert [1] == await working.result()
    assert [2] == await function()
    assert [2] == await function()


async def test_a_load_finds_what_another_has_stored_meanwhile(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    Whoever gets the lease looks again before it loads.
    """
    grid = await flow.grid()
    cache = grid.cache("prices")
    gate = engine_of(grid).hold("acquire")
    late = begin(cache.get_or_load, "key", origin.load)
    await gate.reached()
    assert [1] == await (await flow.grid()).cache("prices").get_or_load("key", origin.load_at_once)
    gate.open()
    assert ([1], 1) == (await late.result(), origin.calls)
