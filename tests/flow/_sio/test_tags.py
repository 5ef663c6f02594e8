# Generated from tests/flow/_aio/test_tags.py by tools/colour.py. Edit that file, then run `make colour`.
"""Tags: many entries die at once, for everybody, and what raced that is on one side or the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid._sio.tagsweep import SyncTagSweep
from cachegrid.errors import ConfigError, EngineTimeout, Unsupported, ValueRefused
from cachegrid.waits._sio import sleep
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow._sio.origin import SyncOrigin
from tests.flow.waits._sio import begin, listed, until


def test_entries_of_a_tag_are_dropped_together(cache: SyncCache) -> None:
    """
    Those that have any of the tags, however they were written; the others stay.
    """
    cache.set("set", [1], tags=["menu", "site"])
    cache.set_many({"many": 2, "more": "3"}, tags="menu")
    assert cache.add("add", 4, tags=("menu",))
    assert cache.replace("more", 5, tags=["menu", "other"])
    cache.set("swapped", 0)
    entry = cache.entry("swapped")
    assert entry is not None
    assert cache.compare_and_set("swapped", entry.version, 6, tags=["menu"])
    cache.set("stays", 7, tags=["site"])
    cache.set("plain", 8)
    keys = ["set", "many", "more", "add", "swapped", "stays", "plain"]
    assert {"set": [1], "many": 2, "more": 5, "add": 4, "swapped": 6, "stays": 7, "plain": 8} == cache.get_many(keys)
    cache.invalidate(tags="menu")
    assert {"stays": 7, "plain": 8} == cache.get_many(keys)
    assert [None] * 5 == [cache.get(key) for key in keys[:5]]
    assert [None] * 5 == [cache.entry(key) for key in keys[:5]]
    cache.invalidate(["site", "never used"])
    assert {"plain": 8} == cache.get_many(keys)


def test_everybody_sees_that_a_tag_was_raised(flow: SyncFlow) -> None:
    """
    When `invalidate` has returned, no other process reads an entry from before, or loses one from after.
    """
    ours = (flow.grid()).cache("prices")
    others = [(flow.grid()).cache("prices") for _ in range(3)]
    for round_ in range(10):
        ours.set_many({key: [round_] for key in range(20)}, tags=["all"])
        assert [20] * 3 == [len(other.get_many(range(20))) for other in others]
        others[round_ % 3].invalidate("all")
        assert [0] * 3 == [len(other.get_many(range(20))) for other in others]
        assert [None] * 3 == [other.get(round_) for other in others]
        others[0].set("key", [round_], tags=["all", "key"])
        assert [[round_]] * 3 == [cache.get("key") for cache in (ours, *others[1:])]


def test_who_writes_after_it_is_not_taken_for_before(flow: SyncFlow) -> None:
    """
    Also who has not heard of it when the write begins, in whichever way it writes.
    """
    ours = (flow.grid()).cache("prices")
    other = (flow.grid()).cache("prices")
    for round_ in range(10):
        other.set("key", 0, tags=["menu"])
        ours.invalidate("menu")
        other.set("key", round_, tags=["menu"])
        assert round_ == ours.get("key")
        ours.invalidate("menu")
        other.set_many({"key": round_}, tags=["menu"])
        assert round_ == ours.get("key")
        ours.invalidate("menu")
        assert other.add("key", -round_, tags=["menu"])
        assert -round_ == ours.get("key")
        ours.invalidate("menu")
        assert not other.replace("key", round_, tags=["menu"])


def test_a_dead_entry_is_none_to_every_way_of_changing(flow: SyncFlow) -> None:
    """
    Though its bytes are there: it is no entry to add to, to replace, to touch or to change.
    """
    ours = (flow.grid()).cache("prices")
    other = (flow.grid()).cache("prices")

    def dead() -> bytes:
        other.set("key", 5, tags=["menu"])
        entry = ours.entry("key")
        assert entry is not None
        other.invalidate("menu")
        return entry.version

    version = dead()
    assert not ours.compare_and_set("key", version, 6)
    dead()
    assert not ours.replace("key", 6)
    dead()
    assert not ours.touch("key", 60)
    dead()
    assert 1 == ours.incr("key")
    ours.delete("key")
    dead()
    assert 10 == ours.update("key", lambda value: value + 1, default=9)
    dead()
    assert ours.add("key", 7)
    assert 7 == ours.get("key")


def test_what_is_made_of_an_entry_has_its_tags(cache: SyncCache) -> None:
    """
    `update` and `incr` give what they store the tags that were there; `set` does not.
    """
    cache.set_many({"updated": [1], "counted": 1, "set": 1}, tags=["menu", "Käse"])
    assert [1, 2] == cache.update("updated", lambda value: [*value, 2])
    assert 3 == cache.incr("counted", 2)
    cache.set("set", 2)
    entries = {key: cache.entry(key) for key in ("updated", "counted", "set")}
    assert {"updated": ("menu", "Käse"), "counted": ("menu", "Käse"), "set": ()} == {
        key: entry and entry.tags for key, entry in entries.items()
    }
    cache.invalidate("Käse")
    assert {"set": 2} == cache.get_many(["updated", "counted", "set"])


def test_tags_belong_to_a_cache_and_its_functions(grid: SyncGrid) -> None:
    """
    A cache drops the results that it keeps of functions along with its entries; other caches keep theirs.
    """
    cache, other = grid.cache("prices"), grid.cache("others")
    calls: list[str] = []

    @cache.cached(tags=lambda sku, _currency="EUR": [f"sku:{sku}", "all"])
    def price(sku: str, _currency: str = "EUR") -> list[str]:
        calls.append(sku)
        return [sku]

    @other.cached(tags=["all"])
    def name(sku: str) -> str:
        calls.append("name")
        return sku

    for _ in range(2):
        assert [["a"], ["b"], "a"] == [price("a"), price("b", "USD"), name("a")]
    assert ["a", "b", "name"] == calls
    cache.invalidate("sku:a")
    assert [["a"], ["b"]] == [price("a"), price("b", "USD")]
    assert ["a", "b", "name", "a"] == calls
    cache.invalidate(tags=["all"])
    assert [["a"], ["b"], "a"] == [price("a"), price("b", "USD"), name("a")]
    assert ["a", "b", "name", "a", "a", "b"] == calls


def test_what_was_being_loaded_is_not_kept(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Whoever raised the tag while the loader worked: its caller gets it, and who asks after that loads anew.
    """
    ours = (flow.grid()).cache("prices")
    other = (flow.grid()).cache("prices")
    loading = begin(ours.get_or_load, "key", origin.load, tags=["menu"])
    origin.gate.reached()
    other.invalidate("menu")
    late = begin(ours.get_or_load, "key", origin.load_at_once, tags=["menu"])
    origin.gate.open()
    assert [1] == loading.result()
    assert [2] == late.result()
    assert [2] == other.get("key")
    assert 2 == origin.calls


def test_a_load_takes_the_place_of_a_dead_entry(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    One load for all, though bytes are there; and nobody sees them meanwhile.
    """
    caches = [(flow.grid()).cache("prices") for _ in range(3)]
    caches[0].set("key", "old", tags=["menu"])
    caches[0].invalidate("menu")
    callers = [begin(cache.get_or_load, "key", origin.load, tags=["menu"]) for cache in caches for _ in range(4)]
    origin.gate.reached()
    assert [None] * 3 == [cache.get("key") for cache in caches]

    def all_have_missed() -> bool:
        return sum(cache.stats().misses for cache in caches) == 15

    until(all_have_missed)
    origin.gate.open()
    assert [[1]] * 12 == [caller.result() for caller in callers]
    assert 1 == origin.calls
    assert [[1]] * 3 == [cache.get("key") for cache in caches]


@pytest.mark.parametrize("new", [None, "new"])
def test_what_is_set_while_a_dead_entry_is_loaded_anew_stays(
    flow: SyncFlow, origin: SyncOrigin, new: str | None
) -> None:
    """
    What was there is replaced only while it is there.
    """
    cache = (flow.grid()).cache("prices")
    cache.set("key", "old", tags=["menu"])
    cache.invalidate("menu")
    loading = begin(cache.get_or_load, "key", origin.load)
    origin.gate.reached()
    (cache.delete("key") if new is None else cache.set("key", new))
    origin.gate.open()
    assert [1] == loading.result()
    assert new == cache.get("key")


def test_the_cost_of_a_tag_does_not_depend_on_how_many_have_it(flow: SyncFlow) -> None:
    """
    Nobody walks, and nothing is asked for each entry.
    """
    grid = flow.grid()
    cache = grid.cache("prices")
    costs = []
    for count in (1, 3_000):
        cache.set_many(dict.fromkeys(range(count), 1), tags=["all"])
        calls = engine_of(grid).calls
        calls.clear()
        cache.invalidate("all")
        costs.append(dict(calls))
    assert [{"raise_tags": 1}] * 2 == costs


def test_tags_that_are_known_cost_nothing(flow: SyncFlow) -> None:
    """
    Writing and reading entries with tags takes one trip, as without, until one may have been raised.
    """
    grid = flow.grid()
    cache = grid.cache("prices", near=None)
    calls = engine_of(grid).calls

    def costs() -> dict[str, int]:
        calls.clear()
        for key in range(5):
            cache.set(key, [1], tags=["one", "two"])
            assert [1] == cache.get(key)
        return dict(calls)

    cache.invalidate("one")  # its first connection to wait for a replica brings doubt of everything
    costs()

    def are_free() -> bool:
        return costs() == {"store": 5, "fetch": 5}

    until(are_free)
    cache.invalidate("one")
    assert {"store": 5, "fetch": 5, "make_tag_epochs": 1} == costs()


def test_a_batch_asks_for_its_tags_at_once(flow: SyncFlow) -> None:
    """
    Not for those of each entry.
    """
    ours, grid = (flow.grid()).cache("prices"), flow.grid()
    for key in range(40):
        ours.set(key, [key], tags=[f"tag {key}", "all"])
    calls = engine_of(grid).calls
    assert 40 == len(grid.cache("prices").get_many(range(40)))
    assert 1 == calls["tag_epochs"]


def test_an_entry_whose_tags_cannot_be_read_is_a_miss(flow: SyncFlow) -> None:
    """
    To every way of reading, and in nobody's way.
    """
    grid = flow.grid()
    cache, engine = grid.cache("prices"), engine_of(grid)

    def damage() -> None:
        cache.set("key", [1], tags=["menu"])
        address = cache._space.address("key")
        raw = engine.fetch(address)
        assert raw is not None
        engine.store(address, raw.replace(b"\x04menu", b"\xffmenu"), None)

    def load() -> list[int]:
        return [2]

    for read in (cache.get, cache.entry):
        damage()
        assert None is read("key")
    assert {} == cache.get_many(["key"])
    assert [2] == cache.get_or_load("key", load)
    damage()
    assert cache.add("key", [3])
    assert [3] == cache.get("key")


def test_a_lost_tag_takes_its_entries_along(flow: SyncFlow) -> None:
    """
    Where the grid has lost the epoch of a tag, nobody can know whether it was raised.
    """
    grid = flow.grid()
    cache = grid.cache("prices")
    cache.set("key", 1, tags=["menu"])
    forget_tag(flow, cache)
    fresh = (flow.grid()).cache("prices")
    assert None is fresh.get("key")
    fresh.set("key", 2, tags=["menu"])
    assert 2 == fresh.get("key")
    assert 2 == cache.get("key")


def test_tags_are_remembered_for_as_long_as_their_entries(flow: SyncFlow) -> None:
    """
    Also where these live longer than they were to when they were written: a session that is touched for a day, say.
    """
    grid = flow.grid()
    cache, day = grid.cache("prices"), 86_400_000
    cache.set("touched", 1, ttl=60, tags="a")
    assert cache.touch("touched", "1d")
    cache.set("updated", "text", ttl=60, tags="b")
    cache.update("updated", str.upper, ttl="1d")
    left = engine_of(grid).make_tag_epochs([cache._parent + b"a", cache._parent + b"b"], 0)  # type: ignore[attr-defined]
    assert [True, True] == [ms is None or ms >= day for _, ms in left]


def forget_tag(flow: SyncFlow, cache: SyncCache) -> None:
    """Let the grid lose the epoch of the tag "menu"."""
    name = cache._parent + b"menu"
    if flow.backing.is_memory:
        del flow.backing.store._tags._epochs[name]
        return
    engine: Any = flow.engine()
    try:
        assert engine.drop(b"cg!tag:{" + name + b"}")
    finally:
        engine.close()


@pytest.mark.parametrize("tags", [[], "x", ["y" * 255], [str(number) for number in range(64)]], ids=len)
def test_what_may_be_a_tag(cache: SyncCache, tags: Any) -> None:
    """
    Any text of up to 255 bytes, and up to 64 of them; a text that stands alone is one.
    """
    cache.set("key", 1, tags=tags)
    entry = cache.entry("key")
    assert entry is not None
    assert tuple([tags] if isinstance(tags, str) else tags) == entry.tags


@pytest.mark.parametrize(
    "tags", [5, [5], [""], ["y" * 256], [b"bytes"], ["\ud800"], [str(number) for number in range(65)]]
)
def test_what_is_no_tag_is_refused(cache: SyncCache, tags: Any) -> None:
    """
    With a sentence, and before anything is done.
    """
    with pytest.raises(ValueRefused, match="tag"):
        cache.set("key", 1, tags=tags)
    with pytest.raises(ValueRefused, match="tag"):
        cache.get_or_load("key", cache.clear, tags=tags)
    with pytest.raises(ValueRefused, match="tag"):
        cache.invalidate(tags)
    assert None is cache.get("key")


def test_something_has_to_be_said(cache: SyncCache) -> None:
    """
    Invalidating nothing is a mistake.
    """
    with pytest.raises(ConfigError, match="clear"):
        cache.invalidate()
    cache.set("key", 1, tags=["menu"])
    for none in (list[str](), tuple[str, ...](), set[str]()):  # as `set` takes them, where they are computed
        cache.invalidate(none)
    assert 1 == cache.get("key")


def test_keys_that_begin_so_are_dropped_in_the_background(grid: SyncGrid) -> None:
    """
    Or those that a function says True of; and those of other caches stay.
    """
    cache, other = grid.cache("prices"), grid.cache("others")
    for each in (cache, other):
        each.set_many(dict.fromkeys(["user:1", "user:2", "users", 1, ("user:1", 2)], 1))
    cache.invalidate(prefix="user:")
    grid.settle()
    assert {"users", 1, ("user:1", 2)} == set(listed(cache.keys()))
    cache.invalidate(where=lambda key: isinstance(key, tuple))
    cache.invalidate(prefix="u", where=lambda key: key == "none")
    grid.settle()
    assert {"users", 1} == set(listed(cache.keys()))
    assert 5 == len(listed(other.keys()))


@pytest.mark.parametrize("said", [{"prefix": 3}, {"prefix": b"u"}, {"where": 3}])
def test_what_cannot_choose_keys_is_refused_at_once(cache: SyncCache, said: dict[str, Any]) -> None:
    """
    Not in the background, where nobody hears of it.
    """
    cache.set("user:1", 1)
    with pytest.raises(ConfigError, match=next(iter(said))):
        cache.invalidate(**said)
    assert cache.has("user:1")


def test_keys_that_nobody_could_judge_are_told_of(
    cache: SyncCache, grid: SyncGrid, caplog: pytest.LogCaptureFixture
) -> None:
    """
    By the log, with the name of the cache: who asked for it has gone on.
    """
    cache.set_many({"user:1": 1, 2: 2})
    cache.invalidate(where=lambda key: bool(key.startswith("user:")))  # type: ignore[union-attr, arg-type]
    grid.settle()
    assert f"cache {cache.name!r}: not all was dropped" in caplog.text
    assert "AttributeError: 'int' object" in caplog.text


def test_dead_entries_are_swept(flow: SyncFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In the background, by one of those who raised a tag; what lives stays, also what has been written since.
    """
    monkeypatch.setattr(SyncTagSweep, "rest", 0.05)
    grids = [flow.grid() for _ in range(2)]
    caches = [grid.cache("prices") for grid in grids]
    caches[0].set_many({key: [1] for key in range(1_500)}, tags=["dead"])
    caches[0].set_many({key: [2] for key in range(10)}, tags=["alive"])
    caches[0].set_many({"plain": 3, "compressed": "text" * 5_000})
    for cache in caches:
        cache.invalidate("dead")
    caches[1].set(5, [4], tags=["dead"])

    def are_swept() -> bool:
        return len(listed(caches[0].keys())) == 12

    until(are_swept)
    assert [4] == caches[0].get(5)
    assert 12 == len(caches[0].get_many([*range(10), "plain", "compressed"]))
    for grid in grids:
        grid._hub.tag_sweep.close()  # it rests, and would give its lease back then
    flow.leaves_leases = True


def test_a_sweep_leaves_most_of_the_time_to_the_application(flow: SyncFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    They have an interpreter in common: after each page it rests for several times as long as that took.
    """
    grid = flow.grid()
    cache, sweep = grid.cache("prices"), grid._hub.tag_sweep
    rests = list[float]()

    def noted(seconds: float) -> bool:
        rests.append(seconds)
        return True

    def long(*_: object) -> Iterator[tuple[bytes, bytes]]:
        sleep(0.02)
        for nothing in list[tuple[bytes, bytes]]():
            yield nothing

    monkeypatch.setattr(SyncTagSweep, "rest", 0.05)
    monkeypatch.setattr(sweep._tasks, "rest", noted)
    monkeypatch.setattr(sweep, "_dead_of", long)
    cache.set("key", 1, tags=["dead"])
    cache.invalidate("dead")

    def has_rested() -> bool:
        return bool(rests)

    until(has_rested)
    assert rests[0] >= 4 * 0.02
    sweep.close()  # it rests, and would give its lease back then
    flow.leaves_leases = True


def test_who_cannot_raise_a_tag_says_so(flow: SyncFlow) -> None:
    """
    An outage is told, and what was dropped meanwhile is not handed out by who is not sure.
    """
    grid = flow.grid()
    cache = grid.cache("prices")
    cache.set("key", 1, tags=["menu"])
    engine_of(grid).fail("raise_tags", EngineTimeout("no answer"), answered=True)
    with pytest.raises(EngineTimeout):
        cache.invalidate("menu")
    assert None is cache.get("key")


def test_an_engine_without_tags_refuses_them(flow: SyncFlow) -> None:
    """
    With a sentence that names it.
    """
    grid = flow.grid()
    cache = grid.cache("prices")
    cache.set("key", 1)
    lacking(grid)
    with pytest.raises(Unsupported, match="tags"):
        grid.cache("others").set("key", 1, tags=["menu"])
    with pytest.raises(Unsupported, match="tags"):
        grid.cache("others").invalidate("menu")


def lacking(grid: SyncGrid) -> None:
    """Let the engine of a grid have no tags."""
    from cachegrid._sio.ability import able

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
