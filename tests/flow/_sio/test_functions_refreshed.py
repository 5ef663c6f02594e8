# Generated from tests/flow/_aio/test_functions_refreshed.py by tools/colour.py. Edit that file, then run `make colour`.
"""Results that are loaded anew by hand: for everybody, in place of what is there, and never from before."""

from __future__ import annotations

from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.functions import SyncCachedFunction
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import ConfigError, EngineTimeout, GridFull, LoadFailed, OutcomeUnknown
from tests.flow._sio.flow import SyncFlow, engine_of
from tests.flow._sio.nearness import elsewhere, near_cache
from tests.flow._sio.origin import LACKING, SyncOrigin
from tests.flow._sio.queueing import queue_of
from tests.flow.arguments import Account
from tests.flow.waits._sio import begin, until


def kept(cache: SyncCache, origin: SyncOrigin, **said: Any) -> SyncCachedFunction[[str], list[int]]:
    """A function that asks the origin."""

    @cache.cached(name="price", ignore="key", **said)
    def price(key: str) -> list[int]:
        return origin.load()

    return price


def test_a_result_is_loaded_anew_for_everybody(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    In whichever process, whether one was there or not; meanwhile they are served what is there.
    """
    ours, theirs = [kept((flow.grid()).cache("prices"), origin) for _ in range(2)]
    for number in (1, 2):
        origin.gate = flow.gate()
        refreshing = begin(ours.refresh, "tea")
        origin.gate.reached()
        old = None if number == 1 else [1]
        assert [old, old] == [price.cache.get(price.key("tea")) for price in (ours, theirs)]
        if number == 2:
            assert [[1], [1]] == [price("tea") for price in (ours, theirs)]
        origin.gate.open()
        assert [number] == refreshing.result()
        assert [[number]] * 2 == [price("tea") for price in (ours, theirs)]
    assert 2 == origin.calls == ours.cache.stats().loads


def test_who_misses_waits_for_what_is_loaded_by_hand(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    It is the load that everybody waits for.
    """
    ours, theirs = [kept((flow.grid()).cache("prices"), origin) for _ in range(2)]
    refreshing = begin(ours.refresh, "tea")
    origin.gate.reached()
    calls = [begin(price, "tea") for price in (ours, theirs)]
    for price in (ours, theirs):

        def has_missed(price: Any = price) -> bool:
            return bool(price.cache.stats().misses)

        until(has_missed)
    origin.gate.open()
    assert [[1]] * 3 == [run.result() for run in (refreshing, *calls)]
    assert 1 == origin.calls


def test_nobody_gets_what_was_loaded_before_he_asked(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Those who ask while a load is under way share the next one; other processes make theirs one after the other.
    """
    grid, other = flow.grid(), flow.grid()
    ours, theirs = kept(grid.cache("prices"), origin), kept(other.cache("prices"), origin)
    first = begin(ours.refresh, "tea")
    origin.gate.reached()
    queue = queue_of(grid)
    later = [begin(ours.refresh, "tea") for _ in range(5)]
    abroad = begin(theirs.refresh, "tea")

    def is_asked() -> bool:
        return len(queue.come) == len(later) and engine_of(other).calls["acquire"] > 2  # in vain

    until(is_asked)
    assert 1 == origin.calls
    origin.gate.open()
    assert [1] == first.result()
    results = {tuple(run.result()) for run in later}
    results.add(tuple(abroad.result()))
    assert {(2,), (3,)} == results
    assert [3] == ours("tea") == theirs("tea")


def test_those_who_ask_before_the_load_begins_share_it(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    It has not asked the origin yet.
    """
    grid = flow.grid()
    price = kept(grid.cache("prices"), origin)
    gate = engine_of(grid).hold("acquire")
    first = begin(price.refresh, "tea")
    gate.reached()
    queue = queue_of(grid)
    others = [begin(price.refresh, "tea") for _ in range(5)]

    def all_wait() -> bool:
        return len(queue.come) == len(others)

    until(all_wait)
    gate.open()
    origin.gate.open()
    assert [[1]] * 6 == [run.result() for run in (first, *others)]
    assert 5 == price.cache.stats().load_waits


@pytest.mark.parametrize("lacking", LACKING, ids=" ".join)
@pytest.mark.parametrize("was_there", [True, False], ids=["there", "not there"])
def test_what_changes_meanwhile_stays_so(
    flow: SyncFlow, grid: SyncGrid, origin: SyncOrigin, *, lacking: list[str], was_there: bool
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
        price.cache.delete(price.key("tea"))
        if was_there:
            price.cache.set(price.key("tea"), "old", tags="menu")
        origin.gate = flow.gate()
        refreshing = begin(price.refresh, "tea")
        origin.gate.reached()
        change()
        origin.gate.open()
        assert [origin.calls] == refreshing.result()
        assert left == price.cache.get(price.key("tea"))


def test_another_process_may_delete_it_meanwhile(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Whether there was one or not.
    """
    ours, theirs = [kept((flow.grid()).cache("prices"), origin) for _ in range(2)]
    for was_there in (True, False):
        if was_there:
            ours.cache.set(ours.key("tea"), "old")
        origin.gate = flow.gate()
        refreshing = begin(ours.refresh, "tea")
        origin.gate.reached()
        assert was_there is theirs.invalidate("tea")
        origin.gate.open()
        refreshing.result()
        assert not ours.cache.has(ours.key("tea"))


@pytest.mark.parametrize("kind", ["clock"])
def test_what_ends_meanwhile_is_replaced(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    Nobody has dropped it.
    """
    price = kept((flow.grid()).cache("prices"), origin, ttl=2)
    price.cache.set(price.key("tea"), "old")
    refreshing = begin(price.refresh, "tea")
    origin.gate.reached()
    assert flow.backing.clock is not None
    flow.backing.clock.advance(3)
    origin.gate.open()
    assert [1] == refreshing.result() == price("tea")
    assert 1 == origin.calls


def test_a_load_by_hand_is_told(grid: SyncGrid, cache: SyncCache, origin: SyncOrigin) -> None:
    """
    As any load is.
    """
    told: list[Any] = []
    price = kept(cache, origin, tags="menu")
    origin.gate.open()
    with cache.on("loaded", told.append):
        price.refresh("tea")
        grid.settle()
    assert [("loaded", (), ("menu",))] == [(event.kind, event.key, event.tags) for event in told]


def test_what_is_dead_or_damaged_is_replaced(grid: SyncGrid, origin: SyncOrigin) -> None:
    """
    Also the memory of a failure, which keeps others from the origin.
    """
    origin.gate.open()
    price = kept(grid.cache("prices"), origin, tags="menu", failure_ttl="1m")
    price("tea")
    grid.cache("prices").invalidate("menu")
    assert [2] == price.refresh("tea") == price("tea")
    engine_of(grid).engine.store(price.cache._space.address(price.key("tea")), b"what no codec reads", None)
    assert [3] == price.refresh("tea") == price("tea")

    fails = [True, False]

    @grid.cache("prices").cached(failure_ttl="1m")
    def failing() -> str:
        if fails.pop(0):
            raise OSError("the origin is away")
        return "well"

    with pytest.raises(OSError, match="away"):
        failing()
    with pytest.raises(LoadFailed):
        failing()
    assert "well" == failing.refresh() == failing()


def test_a_load_by_hand_that_fails_leaves_what_is_there(cache: SyncCache) -> None:
    """
    Its error is the caller's.
    """
    results: list[Any] = ["old", OSError("the origin is away")]

    @cache.cached
    def price() -> Any:
        result = results.pop(0)
        if isinstance(result, OSError):
            raise result
        return result

    price()
    with pytest.raises(OSError, match="away"):
        price.refresh()
    assert "old" == price()


def test_what_is_not_to_be_kept_takes_its_place_all_the_same(cache: SyncCache) -> None:
    """
    The old one is known to be old.
    """
    results = ["old", "", "new"]

    @cache.cached(when=bool)
    def price() -> str:
        return results.pop(0)

    assert ["old", "", "new", "new"] == [price(), price.refresh(), price(), price()]


def test_what_the_grid_cannot_store_is_an_error(grid: SyncGrid, origin: SyncOrigin) -> None:
    """
    Else others would go on with what is old; where the policy says that a full grid is passed over, that is dropped.
    """
    origin.gate.open()
    for on_full in ("raise", "skip"):
        price = kept(grid.cache(on_full, on_full=on_full), origin)
        price.cache.set(price.key("tea"), "old")
        engine_of(grid).fail("store_if_version", GridFull("no room"))
        if on_full == "raise":
            with pytest.raises(GridFull):
                price.refresh("tea")
            assert "old" == price.cache.get(price.key("tea"))
        else:
            price.refresh("tea")
            assert 1 == price.cache.stats().skips
            assert not price.cache.has(price.key("tea"))
    engine_of(grid).fail("fetch", EngineTimeout("no answer"))
    with pytest.raises(EngineTimeout):
        kept(grid.cache("load", on_outage="load"), origin).refresh("tea")


@pytest.mark.parametrize("answered", [True, False], ids=["stored", "not stored"])
def test_a_broken_connection_is_found_out_about(grid: SyncGrid, origin: SyncOrigin, *, answered: bool) -> None:
    """
    Whether the result was stored before it broke: the old one does not stay.
    """
    origin.gate.open()
    price = kept(grid.cache("prices"), origin)
    price.cache.set(price.key("tea"), "old")
    engine_of(grid).fail("store_if_version", OutcomeUnknown("it broke"), answered=answered)
    assert [1] == price.refresh("tea") == price("tea")
    assert 1 == origin.calls


def test_nobody_waits_for_himself(cache: SyncCache) -> None:
    """
    A function that asks for its own result, or loads it anew, while it is loaded.
    """
    left = ["call", "refresh", ""]

    @cache.cached
    def price() -> str:
        step = left.pop(0)
        if step == "call":
            return step + price()
        return step + (price.refresh() if step else "")

    assert "callrefresh" == price.refresh() == price()


def test_methods_are_loaded_anew(cache: SyncCache) -> None:
    """
    Each of its object, or class.
    """
    calls: list[int] = []

    class User(Account):
        @cache.cached
        def doubled(self, by: int = 2) -> int:
            calls.append(self.number)
            return self.number * by * len(calls)

        @cache.cached
        @classmethod
        def name(cls, calls: list[int]) -> str:
            return f"{cls.__name__}{len(calls)}"

    assert [4, 8, 8] == [User(2).doubled(), User(2).doubled.refresh(by=2), User(2).doubled()]
    assert [9, 8] == [User(1).doubled.refresh(3), User(2).doubled()]
    assert "User0" == User.name([]) == User.name.refresh([])
    assert cache.stats().loads == 5


def test_a_wrong_call_loads_nothing(cache: SyncCache, origin: SyncOrigin) -> None:
    """
    As of the function itself.
    """
    price = kept(cache, origin)
    with pytest.raises(TypeError):
        price.refresh()  # type: ignore[call-arg]
    assert 0 == origin.calls
    with pytest.raises(ConfigError):
        kept(cache, origin, ttl=-1)


def test_near_copies_follow(flow: SyncFlow, origin: SyncOrigin) -> None:
    """
    At once in the process that loaded it anew, and elsewhere with the news.
    """
    origin.gate.open()
    near, far = near_cache(flow), elsewhere(flow)
    ours = kept(near, origin)

    def is_near() -> bool:
        hits = near.stats().near_hits
        assert [1] == ours("tea")
        return near.stats().near_hits > hits

    until(is_near)
    assert [2] == ours.refresh("tea") == ours("tea")
    assert [3] == kept(far, origin).refresh("tea")

    def is_new() -> bool:
        return ours("tea") == [3]

    until(is_new)
