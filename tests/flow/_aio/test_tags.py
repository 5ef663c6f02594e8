"""Tags: many entries die at once, for everybody, and what raced that is on one side or the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid._aio.tagsweep import AsyncTagSweep
from cachegrid.errors import ConfigError, EngineTimeout, Unsupported, ValueRefused
from cachegrid.waits._aio import sleep
from tests.flow._aio.flow import AsyncFlow, engine_of
from tests.flow._aio.origin import AsyncOrigin
from tests.flow.waits._aio import begin, listed, until


async def test_entries_of_a_tag_are_dropped_together(cache: AsyncCache) -> None:
    """
    Those that have any of the tags, however they were written; the others stay.
    """
    await cache.set("set", [1], tags=["menu", "site"])
    await cache.set_many({"many": 2, "more": "3"}, tags="menu")
    assert await cache.add("add", 4, tags=("menu",))
    assert await cache.replace("more", 5, tags=["menu", "other"])
    await cache.set("swapped", 0)
    entry = await cache.entry("swapped")
    assert entry is not None
    assert await cache.compare_and_set("swapped", entry.version, 6, tags=["menu"])
    await cache.set("stays", 7, tags=["site"])
    await cache.set("plain", 8)
    keys = ["set", "many", "more", "add", "swapped", "stays", "plain"]
    assert {"set": [1], "many": 2, "more": 5, "add": 4, "swapped": 6, "stays": 7, "plain": 8} == await cache.get_many(
        keys
    )
    await cache.invalidate(tags="menu")
    assert {"stays": 7, "plain": 8} == await cache.get_many(keys)
    assert [None] * 5 == [await cache.get(key) for key in keys[:5]]
    assert [None] * 5 == [await cache.entry(key) for key in keys[:5]]
    await cache.invalidate(["site", "never used"])
    assert {"plain": 8} == await cache.get_many(keys)


async def test_everybody_sees_that_a_tag_was_raised(flow: AsyncFlow) -> None:
    """
    When `invalidate` has returned, no other process reads an entry from before, or loses one from after.
    """
    ours = (await flow.grid()).cache("prices")
    others = [(await flow.grid()).cache("prices") for _ in range(3)]
    for round_ in range(10):
        await ours.set_many({key: [round_] for key in range(20)}, tags=["all"])
        assert [20] * 3 == [len(await other.get_many(range(20))) for other in others]
        await others[round_ % 3].invalidate("all")
        assert [0] * 3 == [len(await other.get_many(range(20))) for other in others]
        assert [None] * 3 == [await other.get(round_) for other in others]
        await others[0].set("key", [round_], tags=["all", "key"])
        assert [[round_]] * 3 == [await cache.get("key") for cache in (ours, *others[1:])]


async def test_who_writes_after_it_is_not_taken_for_before(flow: AsyncFlow) -> None:
    """
    Also who has not heard of it when the write begins, in whichever way it writes.
    """
    ours = (await flow.grid()).cache("prices")
    other = (await flow.grid()).cache("prices")
    for round_ in range(10):
        await other.set("key", 0, tags=["menu"])
        await ours.invalidate("menu")
        await other.set("key", round_, tags=["menu"])
        assert round_ == await ours.get("key")
        await ours.invalidate("menu")
        await other.set_many({"key": round_}, tags=["menu"])
        assert round_ == await ours.get("key")
        await ours.invalidate("menu")
        assert await other.add("key", -round_, tags=["menu"])
        assert -round_ == await ours.get("key")
        await ours.invalidate("menu")
        assert not await other.replace("key", round_, tags=["menu"])


async def test_a_dead_entry_is_none_to_every_way_of_changing(flow: AsyncFlow) -> None:
    """
    Though its bytes are there: it is no entry to add to, to replace, to touch or to change.
    """
    ours = (await flow.grid()).cache("prices")
    other = (await flow.grid()).cache("prices")

    async def dead() -> bytes:
        await other.set("key", 5, tags=["menu"])
        entry = await ours.entry("key")
        assert entry is not None
        await other.invalidate("menu")
        return entry.version

    version = await dead()
    assert not await ours.compare_and_set("key", version, 6)
    await dead()
    assert not await ours.replace("key", 6)
    await dead()
    assert not await ours.touch("key", 60)
    await dead()
    assert 1 == await ours.incr("key")
    await ours.delete("key")
    await dead()
    assert 10 == await ours.update("key", lambda value: value + 1, default=9)
    await dead()
    assert await ours.add("key", 7)
    assert 7 == await ours.get("key")


async def test_what_is_made_of_an_entry_has_its_tags(cache: AsyncCache) -> None:
    """
    `update` and `incr` give what they store the tags that were there; `set` does not.
    """
    await cache.set_many({"updated": [1], "counted": 1, "set": 1}, tags=["menu", "Käse"])
    assert [1, 2] == await cache.update("updated", lambda value: [*value, 2])
    assert 3 == await cache.incr("counted", 2)
    await cache.set("set", 2)
    entries = {key: await cache.entry(key) for key in ("updated", "counted", "set")}
    assert {"updated": ("menu", "Käse"), "counted": ("menu", "Käse"), "set": ()} == {
        key: entry and entry.tags for key, entry in entries.items()
    }
    await cache.invalidate("Käse")
    assert {"set": 2} == await cache.get_many(["updated", "counted", "set"])


async def test_tags_belong_to_a_cache_and_its_functions(grid: AsyncGrid) -> None:
    """
    A cache drops the results that it keeps of functions along with its entries; other caches keep theirs.
    """
    cache, other = grid.cache("prices"), grid.cache("others")
    calls: list[str] = []

    @cache.cached(tags=lambda sku, _currency="EUR": [f"sku:{sku}", "all"])
    async def price(sku: str, _currency: str = "EUR") -> list[str]:
        calls.append(sku)
        return [sku]

    @other.cached(tags=["all"])
    async def name(sku: str) -> str:
        calls.append("name")
        return sku

    for _ in range(2):
        assert [["a"], ["b"], "a"] == [await price("a"), await price("b", "USD"), await name("a")]
    assert ["a", "b", "name"] == calls
    await cache.invalidate("sku:a")
    assert [["a"], ["b"]] == [await price("a"), await price("b", "USD")]
    assert ["a", "b", "name", "a"] == calls
    await cache.invalidate(tags=["all"])
    assert [["a"], ["b"], "a"] == [await price("a"), await price("b", "USD"), await name("a")]
    assert ["a", "b", "name", "a", "a", "b"] == calls


async def test_what_was_being_loaded_is_not_kept(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    Whoever raised the tag while the loader worked: its caller gets it, and who asks after that loads anew.
    """
    ours = (await flow.grid()).cache("prices")
    other = (await flow.grid()).cache("prices")
    loading = begin(ours.get_or_load, "key", origin.load, tags=["menu"])
    await origin.gate.reached()
    await other.invalidate("menu")
    late = begin(ours.get_or_load, "key", origin.load_at_once, tags=["menu"])
    origin.gate.open()
    assert [1] == await loading.result()
    assert [2] == await late.result()
    assert [2] == await other.get("key")
    assert 2 == origin.calls


async def test_a_load_takes_the_place_of_a_dead_entry(flow: AsyncFlow, origin: AsyncOrigin) -> None:
    """
    One load for all, though bytes are there; and nobody sees them meanwhile.
    """
    caches = [(await flow.grid()).cache("prices") for _ in range(3)]
    await caches[0].set("key", "old", tags=["menu"])
    await caches[0].invalidate("menu")
    callers = [begin(cache.get_or_load, "key", origin.load, tags=["menu"]) for cache in caches for _ in range(4)]
    await origin.gate.reached()
    assert [None] * 3 == [await cache.get("key") for cache in caches]

    async def all_have_missed() -> bool:
        return sum(cache.stats().misses for cache in caches) == 15

    await until(all_have_missed)
    origin.gate.open()
    assert [[1]] * 12 == [await caller.result() for caller in callers]
    assert 1 == origin.calls
    assert [[1]] * 3 == [await cache.get("key") for cache in caches]


@pytest.mark.parametrize("new", [None, "new"])
async def test_what_is_set_while_a_dead_entry_is_loaded_anew_stays(
    flow: AsyncFlow, origin: AsyncOrigin, new: str | None
) -> None:
    """
    What was there is replaced only while it is there.
    """
    cache = (await flow.grid()).cache("prices")
    await cache.set("key", "old", tags=["menu"])
    await cache.invalidate("menu")
    loading = begin(cache.get_or_load, "key", origin.load)
    await origin.gate.reached()
    await (cache.delete("key") if new is None else cache.set("key", new))
    origin.gate.open()
    assert [1] == await loading.result()
    assert new == await cache.get("key")


async def test_the_cost_of_a_tag_does_not_depend_on_how_many_have_it(flow: AsyncFlow) -> None:
    """
    Nobody walks, and nothing is asked for each entry.
    """
    grid = await flow.grid()
    cache = grid.cache("prices")
    costs = []
    for count in (1, 3_000):
        await cache.set_many(dict.fromkeys(range(count), 1), tags=["all"])
        calls = engine_of(grid).calls
        calls.clear()
        await cache.invalidate("all")
        costs.append(dict(calls))
    assert [{"raise_tags": 1}] * 2 == costs


async def test_tags_that_are_known_cost_nothing(flow: AsyncFlow) -> None:
    """
    Writing and reading entries with tags takes one trip, as without, until one may have been raised.
    """
    grid = await flow.grid()
    cache = grid.cache("prices", near=None)
    calls = engine_of(grid).calls

    async def costs() -> dict[str, int]:
        calls.clear()
        for key in range(5):
            await cache.set(key, [1], tags=["one", "two"])
            assert [1] == await cache.get(key)
        return dict(calls)

    await cache.invalidate("one")  # its first connection to wait for a replica brings doubt of everything
    await costs()

    async def are_free() -> bool:
        return await costs() == {"store": 5, "fetch": 5}

    await until(are_free)
    await cache.invalidate("one")
    assert {"store": 5, "fetch": 5, "make_tag_epochs": 1} == await costs()


async def test_a_batch_asks_for_its_tags_at_once(flow: AsyncFlow) -> None:
    """
    Not for those of each entry.
    """
    ours, grid = (await flow.grid()).cache("prices"), await flow.grid()
    for key in range(40):
        await ours.set(key, [key], tags=[f"tag {key}", "all"])
    calls = engine_of(grid).calls
    assert 40 == len(await grid.cache("prices").get_many(range(40)))
    assert 1 == calls["tag_epochs"]


async def test_an_entry_whose_tags_cannot_be_read_is_a_miss(flow: AsyncFlow) -> None:
    """
    To every way of reading, and in nobody's way.
    """
    grid = await flow.grid()
    cache, engine = grid.cache("prices"), engine_of(grid)

    async def damage() -> None:
        await cache.set("key", [1], tags=["menu"])
        address = cache._space.address("key")
        raw = await engine.fetch(address)
        assert raw is not None
        await engine.store(address, raw.replace(b"\x04menu", b"\xffmenu"), None)

    async def load() -> list[int]:
        return [2]

    for read in (cache.get, cache.entry):
        await damage()
        assert None is await read("key")
    assert {} == await cache.get_many(["key"])
    assert [2] == await cache.get_or_load("key", load)
    await damage()
    assert await cache.add("key", [3])
    assert [3] == await cache.get("key")


async def test_a_lost_tag_takes_its_entries_along(flow: AsyncFlow) -> None:
    """
    Where the grid has lost the epoch of a tag, nobody can know whether it was raised.
    """
    grid = await flow.grid()
    cache = grid.cache("prices")
    await cache.set("key", 1, tags=["menu"])
    await forget_tag(flow, cache)
    fresh = (await flow.grid()).cache("prices")
    assert None is await fresh.get("key")
    await fresh.set("key", 2, tags=["menu"])
    assert 2 == await fresh.get("key")
    assert 2 == await cache.get("key")


async def test_tags_are_remembered_for_as_long_as_their_entries(flow: AsyncFlow) -> None:
    """
    Also where these live longer than they were to when they were written: a session that is touched for a day, say.
    """
    grid = await flow.grid()
    cache, day = grid.cache("prices"), 86_400_000
    await cache.set("touched", 1, ttl=60, tags="a")
    assert await cache.touch("touched", "1d")
    await cache.set("updated", "text", ttl=60, tags="b")
    await cache.update("updated", str.upper, ttl="1d")
    left = await engine_of(grid).make_tag_epochs([cache._parent + b"a", cache._parent + b"b"], 0)  # type: ignore[attr-defined]
    assert [True, True] == [ms is None or ms >= day for _, ms in left]


async def forget_tag(flow: AsyncFlow, cache: AsyncCache) -> None:
    """Let the grid lose the epoch of the tag "menu"."""
    name = cache._parent + b"menu"
    if flow.backing.is_memory:
        del flow.backing.store._tags._epochs[name]
        return
    engine: Any = await flow.engine()
    try:
        assert await engine.drop(b"cg!tag:{" + name + b"}")
    finally:
        await engine.aclose()


@pytest.mark.parametrize("tags", [[], "x", ["y" * 255], [str(number) for number in range(64)]], ids=len)
async def test_what_may_be_a_tag(cache: AsyncCache, tags: Any) -> None:
    """
    Any text of up to 255 bytes, and up to 64 of them; a text that stands alone is one.
    """
    await cache.set("key", 1, tags=tags)
    entry = await cache.entry("key")
    assert entry is not None
    assert tuple([tags] if isinstance(tags, str) else tags) == entry.tags


@pytest.mark.parametrize(
    "tags", [5, [5], [""], ["y" * 256], [b"bytes"], ["\ud800"], [str(number) for number in range(65)]]
)
async def test_what_is_no_tag_is_refused(cache: AsyncCache, tags: Any) -> None:
    """
    With a sentence, and before anything is done.
    """
    with pytest.raises(ValueRefused, match="tag"):
        await cache.set("key", 1, tags=tags)
    with pytest.raises(ValueRefused, match="tag"):
        await cache.get_or_load("key", cache.clear, tags=tags)
    with pytest.raises(ValueRefused, match="tag"):
        await cache.invalidate(tags)
    assert None is await cache.get("key")


async def test_something_has_to_be_said(cache: AsyncCache) -> None:
    """
    Invalidating nothing is a mistake.
    """
    with pytest.raises(ConfigError, match="clear"):
        await cache.invalidate()
    await cache.set("key", 1, tags=["menu"])
    for none in (list[str](), tuple[str, ...](), set[str]()):  # as `set` takes them, where they are computed
        await cache.invalidate(none)
    assert 1 == await cache.get("key")


async def test_keys_that_begin_so_are_dropped_in_the_background(grid: AsyncGrid) -> None:
    """
    Or those that a function says True of; and those of other caches stay.
    """
    cache, other = grid.cache("prices"), grid.cache("others")
    for each in (cache, other):
        await each.set_many(dict.fromkeys(["user:1", "user:2", "users", 1, ("user:1", 2)], 1))
    await cache.invalidate(prefix="user:")
    await grid.settle()
    assert {"users", 1, ("user:1", 2)} == set(await listed(cache.keys()))
    await cache.invalidate(where=lambda key: isinstance(key, tuple))
    await cache.invalidate(prefix="u", where=lambda key: key == "none")
    await grid.settle()
    assert {"users", 1} == set(await listed(cache.keys()))
    assert 5 == len(await listed(other.keys()))


@pytest.mark.parametrize("said", [{"prefix": 3}, {"prefix": b"u"}, {"where": 3}])
async def test_what_cannot_choose_keys_is_refused_at_once(cache: AsyncCache, said: dict[str, Any]) -> None:
    """
    Not in the background, where nobody hears of it.
    """
    await cache.set("user:1", 1)
    with pytest.raises(ConfigError, match=next(iter(said))):
        await cache.invalidate(**said)
    assert await cache.has("user:1")


async def test_keys_that_nobody_could_judge_are_told_of(
    cache: AsyncCache, grid: AsyncGrid, caplog: pytest.LogCaptureFixture
) -> None:
    """
    By the log, with the name of the cache: who asked for it has gone on.
    """
    await cache.set_many({"user:1": 1, 2: 2})
    await cache.invalidate(where=lambda key: bool(key.startswith("user:")))  # type: ignore[union-attr, arg-type]
    await grid.settle()
    assert f"cache {cache.name!r}: not all was dropped" in caplog.text
    assert "AttributeError: 'int' object" in caplog.text


async def test_dead_entries_are_swept(flow: AsyncFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In the background, by one of those who raised a tag; what lives stays, also what has been written since.
    """
    monkeypatch.setattr(AsyncTagSweep, "rest", 0.05)
    grids = [await flow.grid() for _ in range(2)]
    caches = [grid.cache("prices") for grid in grids]
    await caches[0].set_many({key: [1] for key in range(1_500)}, tags=["dead"])
    await caches[0].set_many({key: [2] for key in range(10)}, tags=["alive"])
    await caches[0].set_many({"plain": 3, "compressed": "text" * 5_000})
    for cache in caches:
        await cache.invalidate("dead")
    await caches[1].set(5, [4], tags=["dead"])

    async def are_swept() -> bool:
        return len(await listed(caches[0].keys())) == 12

    await until(are_swept)
    assert [4] == await caches[0].get(5)
    assert 12 == len(await caches[0].get_many([*range(10), "plain", "compressed"]))
    for grid in grids:
        await grid._hub.tag_sweep.aclose()  # it rests, and would give its lease back then
    flow.leaves_leases = True


async def test_a_sweep_leaves_most_of_the_time_to_the_application(
    flow: AsyncFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    They have an interpreter in common: after each page it rests for several times as long as that took.
    """
    grid = await flow.grid()
    cache, sweep = grid.cache("prices"), grid._hub.tag_sweep
    rests = list[float]()

    async def noted(seconds: float) -> bool:
        rests.append(seconds)
        return True

    async def long(*_: object) -> AsyncIterator[tuple[bytes, bytes]]:
        await sleep(0.02)
        for nothing in list[tuple[bytes, bytes]]():
            yield nothing

    monkeypatch.setattr(AsyncTagSweep, "rest", 0.05)
    monkeypatch.setattr(sweep._tasks, "rest", noted)
    monkeypatch.setattr(sweep, "_dead_of", long)
    await cache.set("key", 1, tags=["dead"])
    await cache.invalidate("dead")

    async def has_rested() -> bool:
        return bool(rests)

    await until(has_rested)
    assert rests[0] >= 4 * 0.02
    await sweep.aclose()  # it rests, and would give its lease back then
    flow.leaves_leases = True


async def test_who_cannot_raise_a_tag_says_so(flow: AsyncFlow) -> None:
    """
    An outage is told, and what was dropped meanwhile is not handed out by who is not sure.
    """
    grid = await flow.grid()
    cache = grid.cache("prices")
    await cache.set("key", 1, tags=["menu"])
    engine_of(grid).fail("raise_tags", EngineTimeout("no answer"), answered=True)
    with pytest.raises(EngineTimeout):
        await cache.invalidate("menu")
    assert None is await cache.get("key")


async def test_an_engine_without_tags_refuses_them(flow: AsyncFlow) -> None:
    """
    With a sentence that names it.
    """
    grid = await flow.grid()
    cache = grid.cache("prices")
    await cache.set("key", 1)
    lacking(grid)
    with pytest.raises(Unsupported, match="tags"):
        await grid.cache("others").set("key", 1, tags=["menu"])
    with pytest.raises(Unsupported, match="tags"):
        await grid.cache("others").invalidate("menu")


def lacking(grid: AsyncGrid) -> None:
    """Let the engine of a grid have no tags."""
    from cachegrid._aio.ability import able

    class Lacking:
        """Passes on what is no tag's."""

        def __init__(self, engine: Any) -> None:
            self._engine = engine

        def __getattr__(self, name: str) -> Any:
            if "tag" in name or name == "doubts":
                raise AttributeError(name)
            return getattr(self._engine, name)

    grid._hub.lacking = frozenset({"tags"})
    grid._hub.engine = able(Lacking(engine_of(grid)), grid._hub.lacking)
