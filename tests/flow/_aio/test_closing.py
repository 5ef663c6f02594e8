"""Opening late, closing early: nothing is left, and whoever comes later is told."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid._aio.hub import AsyncOpened
from cachegrid.config import CachePolicy, Settings
from cachegrid.errors import ConfigError, EngineError, Unreachable
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow._aio.gated import AsyncGatedEngine
from tests.flow.waits._aio import begin, listed, together, until


async def test_a_grid_connects_at_its_first_use(flow: AsyncFlow) -> None:
    """
    Until then it has neither name nor URL, nor an engine; caches may be taken from it all the same.
    """
    grid = flow.unopened()
    cache = grid.cache("prices")
    assert ("", "") == (grid.name, grid.url)
    await cache.set("key", 1)
    assert ("test", flow.backing.url) == (grid.name, grid.url)


async def test_many_first_uses_open_one_engine(flow: AsyncFlow) -> None:
    """
    Whoever comes while it is opened waits for it.
    """
    gate, opened = flow.gate(), []
    engine = await flow.engine()

    async def opener() -> AsyncOpened:
        opened.append(engine)
        await gate.stand()
        return AsyncOpened(engine, "test", "", None)

    grid = AsyncGrid(opener, Settings(namespace=flow.backing.namespace))
    first = [begin(grid.cache(f"c{number}").get, "key") for number in range(5)]
    await gate.reached()
    gate.open()
    assert [None] * 5 == [await one.result() for one in first]
    assert 1 == len(opened)
    await grid.aclose()


async def test_a_failed_opening_is_tried_again(flow: AsyncFlow) -> None:
    """
    Each caller gets the error until it succeeds.
    """
    engine = await flow.engine()
    answers: list[Any] = [Unreachable("no grid answers"), AsyncOpened(engine, "test", "", None)]

    async def opener() -> AsyncOpened:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    grid = AsyncGrid(opener, Settings(namespace=flow.backing.namespace))
    with pytest.raises(Unreachable):
        await grid.cache("prices").get("key")
    assert None is await grid.cache("prices").get("key")
    await grid.aclose()


async def test_calls_after_close_are_refused(flow: AsyncFlow) -> None:
    """
    With one clear error, whether the cache was used before or not, and nothing is opened again.
    """
    grid = await flow.grid()
    used, unused = grid.cache("used"), grid.cache("unused")
    await used.set("key", 1)

    @used.cached
    async def function() -> int:
        return 1

    await function()
    engine = engine_of(grid)
    await grid.aclose()
    calls: list[Any] = [
        lambda: used.get("key"),
        lambda: unused.get("key"),
        lambda: grid.cache("new").get("key"),
        lambda: used.set("key", 1),
        lambda: used.get_many(["key"]),
        lambda: used.incr("key"),
        lambda: used.clear(),  # noqa: PLW0108 - as the others
        lambda: listed(used.keys()),
        lambda: function(),  # noqa: PLW0108
        lambda: grid.connect(),  # noqa: PLW0108
        lambda: grid.members(),  # noqa: PLW0108
        lambda: grid.lock("job").acquire(),
    ]
    for call in calls:
        with pytest.raises(EngineError, match="^the grid was closed here; connect again$"):
            await call()
    assert 1 == engine.calls["close"]


async def test_closing_twice_is_fine(flow: AsyncFlow) -> None:
    """
    Also at once, and of a grid that was never opened.
    """
    grid, unopened = await flow.grid(), flow.unopened()
    engine = engine_of(grid)
    await together(grid.aclose, grid.aclose)
    await grid.aclose()
    await unopened.aclose()
    assert 1 == engine.calls["close"]
    with pytest.raises(EngineError):
        await unopened.cache("prices").get("key")


async def test_closing_while_it_is_opened(flow: AsyncFlow) -> None:
    """
    The engine that comes too late is closed, and who waited for it is told.
    """
    gate, engine = flow.gate(), AsyncGatedEngine(await flow.engine())

    async def opener() -> AsyncOpened:
        await gate.stand()
        return AsyncOpened(engine, "test", "", None)

    grid = AsyncGrid(opener, Settings(namespace=flow.backing.namespace))
    late = begin(grid.cache("prices").get, "key")
    await gate.reached()
    await grid.aclose()
    gate.open()
    with pytest.raises(EngineError, match="the grid was closed here"):
        await late.result()
    assert 1 == engine.calls["close"]


async def test_closing_while_calls_are_under_way(flow: AsyncFlow) -> None:
    """
    They are told, or answered; a load among them lets go of those who wait.
    """
    flow.leaves_leases = True
    grid = await flow.grid()
    cache = grid.cache("prices", lease="1s")
    gate = flow.gate()

    async def load() -> int:
        await gate.stand()
        return 1

    await cache.get("key")
    loading = begin(cache.get_or_load, "key", load)
    await gate.reached()
    held = engine_of(grid).hold("fetch", answered=True)
    reading = begin(cache.get, "other")
    await held.reached()
    await grid.aclose()
    gate.open()
    held.open()
    for call in (loading, reading):
        with pytest.raises(EngineError, match="the grid was closed here"):
            await call.result()


async def test_background_work_ends_with_the_grid(flow: AsyncFlow) -> None:
    """
    Renewal and sweeping are told to end, and waited for.
    """
    flow.leaves_leases = True
    grid = await flow.grid()
    cache = grid.cache("prices")
    await grid.lock("job", lease="1s").acquire()
    sweep = engine_of(grid).hold("drop_many", answered=True)
    await cache.set_many(dict.fromkeys(range(100), "x"))
    await cache.clear()
    await sweep.reached()
    works = (grid._hub.tasks, grid._hub.keeper._tasks)
    assert [1, 1] == [len(work) for work in works]
    closing = begin(grid.aclose)
    sweep.open()
    await closing.result()
    assert [0, 0] == [len(work) for work in works]
    assert [None, None] == [work.spawn(grid.settle) for work in works]


async def test_caches_that_are_forgotten_take_no_memory(grid: AsyncGrid) -> None:
    """
    A function that is kept for a moment is not kept in mind by its grid.
    """
    cache = grid.cache("prices")

    async def function() -> int:
        return 1

    before = len(grid._hub._cells)
    for number in range(10):
        assert 1 == await cache.cached(name=f"f{number}")(function)()
    gc.collect()
    assert before == len(grid._hub._cells)


async def test_nobody_waits_for_a_renewal(grid: AsyncGrid) -> None:
    """
    `settle` waits for work that ends, not until the next renewal of a lease that is held, or was, would be due.
    """
    async with grid.lock("job", lease="1h"):
        await grid.settle()
    await grid.settle()


async def test_no_connection_is_left(flow: AsyncFlow) -> None:
    """
    When a grid is closed its sockets are.
    """
    before = _sockets()
    grid = await flow.grid()
    cache = grid.cache("prices")
    await cache.set_many(dict.fromkeys(range(100), "x"))
    await together(*[_reading(cache, number) for number in range(10)])
    await cache.clear()
    await grid.aclose()

    async def are_closed() -> bool:
        return _sockets() <= before

    await until(are_closed)


async def test_a_context_manager_opens_and_closes(flow: AsyncFlow) -> None:
    """
    Also when the work in it fails.
    """
    with pytest.raises(LookupError):  # noqa: PT012 - the work is inside
        grid = flow.unopened()
        async with grid as opened:
            assert grid is opened
            assert "test" == grid.name
            raise LookupError
    with pytest.raises(EngineError):
        await grid.connect()


async def test_a_cache_is_one_object(grid: AsyncGrid) -> None:
    """
    The same name gives the same one; said again, its policy has to mean the same.
    """
    cache = grid.cache("prices", ttl=60, idle="1m")
    for again in ({}, {"ttl": "1m"}, {"ttl": 60.0, "idle": 60}, {"codec": "plain", "lease": "5000ms"}):
        assert cache is grid.cache("prices", **again)
    for other in ({"ttl": 61}, {"ttl": None}, {"codec": "json"}, {"max_value": 5}):
        with pytest.raises(ConfigError, match="opened the cache with first, .*prices.*connecting once more"):
            grid.cache("prices", **other)


async def test_policies_come_from_the_settings(flow: AsyncFlow) -> None:
    """
    What the program says besides changes them for its first use, and an unknown setting names the nearest known one.
    """
    grid = await flow.grid(caches={"prices": CachePolicy(ttl=60), "users": {"ttl": "5m", "idle": "1m"}})
    assert CachePolicy(ttl=60) == grid.cache("prices").policy
    assert CachePolicy(ttl="5m", idle=10) == grid.cache("users", idle=10).policy
    assert CachePolicy() == grid.cache("other").policy
    with pytest.raises(ConfigError, match="^cache 'new': unknown setting 'tll'; did you mean 'ttl'"):
        grid.cache("new", tll=60)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="^cache 'new': ttl is 0"):
        grid.cache("new", ttl=0)


async def test_everything_says_in_a_line_what_it_is(flow: AsyncFlow) -> None:
    """
    Name, place and policy, as far as they were said; no password, and nobody is asked.
    """
    grid = flow.unopened()
    kind = type(grid).__name__
    assert f"{kind}(not connected)" == repr(grid)
    await grid.connect()
    assert f"{kind}('test', {flow.backing.url!r})" == repr(grid)
    cache = grid.cache("prices", ttl="5m", codec="json")
    shown = f"{type(cache).__name__}('prices', ttl='5m', codec='json')"
    assert shown == repr(cache)

    class Shop:
        @cache.cached(name="of", ttl=60)
        async def of(self) -> int:
            return 1

        def __repr__(self) -> str:
            return "Shop()"

    inner = f"{type(Shop.of.cache).__name__}('prices/of-1', ttl=60, codec='json')"
    assert f"<{type(Shop.of).__name__} {Shop.of.__qualname__} in {inner}>" == repr(Shop.of)  # type: ignore[attr-defined]
    assert repr(Shop().of).endswith(f"{Shop.of!r} of Shop()>")
    lock = grid.lock("job", lease="1500ms")
    assert f"{type(lock).__name__}('job', lease=1.5 s, not held here)" == repr(lock)
    async with lock:
        assert f"lease=1.5 s, held, fence={lock.fence})" in repr(lock)


async def test_the_caches_that_are_known_here(flow: AsyncFlow) -> None:
    """
    Those that the settings declare, and those that were opened; not those of others, nor those inside of one.
    """
    grid = await flow.grid(caches={"users": CachePolicy(ttl=60)})
    await (await flow.grid()).cache("theirs").set("key", 1)
    grid.cache("prices").cached(name="f")(flow.grid)
    assert ["prices", "users"] == grid.caches()


@pytest.mark.parametrize("name", ["", "a b", "a:b", "{a}", "-a", ".a", "ä", "a" * 101, "a\n", None, 5, b"a"], ids=repr)
async def test_what_is_no_name_is_refused(grid: AsyncGrid, name: Any) -> None:
    """
    Names stand in addresses, and in files of settings.
    """
    with pytest.raises(ConfigError, match="^cache name is "):
        grid.cache(name)


async def test_all_that_is_known_of_the_members(grid: AsyncGrid, kind: str) -> None:
    """
    One member in memory; six of a real grid, of which three own slots.
    """
    members = await grid.members()
    assert {"memory": 1, "valkey": 6}[kind] == len(members)
    assert all(member.up for member in members)
    await grid.cache("prices").set("key", 1)
    assert {"prices"} == set(grid.stats())
    assert 1 == grid.stats()["prices"].stores


def _sockets() -> int:
    """How many this process has open, where that can be told."""
    open_files = Path("/proc/self/fd")
    found = list(open_files.iterdir()) if open_files.is_dir() else []
    return sum(file.is_socket() for file in found)


def _reading(cache: AsyncCache, number: int) -> Any:
    return lambda: cache.get(number)
