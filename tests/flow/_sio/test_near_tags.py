# Generated from tests/flow/_aio/test_near_tags.py by tools/colour.py. Edit that file, then run `make colour`.
"""Near copies of entries with tags, and of what is loaded in the background: a drop wins against whatever it raced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cachegrid._core.tags import BUCKETS, bucket_of
from cachegrid._sio import cell
from cachegrid._sio.cache import SyncCache
from cachegrid._sio.near import SyncNearCache
from tests.flow._sio.flow import SyncFlow
from tests.flow._sio.nearness import elsewhere, gated, keep, near_cache, news, told_of
from tests.flow._sio.origin import LACKING, STORES, SyncOrigin
from tests.flow.waits._sio import begin, until


def _get(cache: SyncCache) -> object:
    return cache.get("key")


def _get_many(cache: SyncCache) -> object:
    return (cache.get_many(["key"])).get("key")


def _load_nothing() -> str:
    raise AssertionError("there is an entry")


def _get_or_load(cache: SyncCache) -> object:
    return cache.get_or_load("key", _load_nothing, tags="menu")


READS: dict[str, Any] = {
    "get": _get,
    "get_many": _get_many,
    "get_or_load": _get_or_load,
}


@pytest.mark.parametrize("name", READS)
def test_an_answer_that_a_raise_has_overtaken_is_not_handed_out_again(flow: SyncFlow, name: str) -> None:
    """
    The owner of the tag says that the entry is alive, the tag is raised, the news arrives, and only then the answer.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    other.set("key", "old", tags="menu")
    answer = gated(cache).hold("tag_epochs", answered=True)
    reading = begin(READS[name], cache)
    answer.reached()
    told_of(cache, "menu", lambda: other.invalidate("menu"))
    answer.open()
    assert (None if name == "get_many" else "old") == reading.result()  # a batch looks once more
    assert None is cache.get("key")
    assert {} == cache.get_many(["key"])


@pytest.mark.parametrize("name", ["get", "get_many"])
def test_an_entry_that_dies_on_its_way_is_none(flow: SyncFlow, name: str) -> None:
    """
    The owner of the entry answers, its tag is raised, the news arrives, and only then the answer.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    other.set("key", "old", tags="menu")
    keep(cache, "key")
    news(cache, "key", lambda: other.set("key", "older", tags="menu"))
    answer = gated(cache).hold({"get": "fetch"}.get(name, "fetch_many"), answered=True)
    reading = begin(READS[name], cache)
    answer.reached()
    told_of(cache, "menu", lambda: other.invalidate("menu"))
    answer.open()
    assert None is reading.result()


def test_own_raises_are_seen_at_once(flow: SyncFlow) -> None:
    """
    By all tasks and threads, and by every grid object of the process: here no news of it ever comes.
    """
    caches = [near_cache(flow), near_cache(flow)]
    for raiser in caches:
        raiser.set("key", [1], tags=["site", "menu"])
        for cache in caches:
            keep(cache, "key")
            gated(cache).hold_news()
        raiser.invalidate("menu")
        readers = [begin(READS[name], cache) for cache in caches for name in ("get", "get_many")]
        assert [None] * 4 == [reader.result() for reader in readers]


def test_without_connections_that_are_known_to_tell_tags_are_asked_for_again(flow: SyncFlow) -> None:
    """
    A new connection may have missed the news of any raise; what it has not missed is kept again after one question.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    cache.set_many({"key": "old"}, tags="menu")
    cache.set_many({"stays": "value"}, tags="site")
    keep(cache, "key", "stays")
    engine = gated(cache)
    engine.hold_news()
    other.invalidate("menu")
    assert "old" == cache.get("key")
    doubt_all(flow, cache)
    engine.calls.clear()
    assert (None, "value") == (cache.get("key"), cache.get("stays"))
    assert 2 == engine.calls["tag_epochs"]
    keep(cache, "stays")
    assert 2 == engine.calls["tag_epochs"]


def doubt_all(flow: SyncFlow, cache: SyncCache) -> None:
    """Let any tag be doubted here, as after a new connection."""
    if flow.backing.is_memory:
        store = flow.backing.store
        store.doubts[:] = [doubt + 1 for doubt in store.doubts]
        store.rings += 1
    gated(cache).suspect()


@pytest.mark.parametrize("kind", ["clock"], indirect=True)
def test_a_raise_that_nobody_tells_of_is_not_missed_for_longer_than_the_policy_says(flow: SyncFlow) -> None:
    """
    `max_staleness` after the guard was heard last, the owner of the entry is asked.
    """
    clock = flow.backing.clock
    assert clock is not None
    cache, other = near_cache(flow, max_staleness="2s"), elsewhere(flow)
    cache.set("key", "old", tags="menu")
    keep(cache, "key")
    cache._space.table["key"].guard.heard = clock.monotonic()
    gated(cache).hold_news()
    other.invalidate("menu")
    gated(cache).calls.clear()
    clock.advance(1.999)
    assert "old" == cache.get("key")
    assert 0 == gated(cache).calls["fetch"]
    clock.advance(0.001)
    cache.get("key")
    assert 1 == gated(cache).calls["fetch"]


def test_copies_that_a_raise_does_not_concern_stay(flow: SyncFlow) -> None:
    """
    Those of other tags, but for the few that share a bucket, those without any, and those of other caches.
    """
    cache, others, other = near_cache(flow), near_cache(flow, "others"), elsewhere(flow)
    for number in range(40):
        cache.set(number, "value", tags=[f"tag {number}", "all"])
    cache.set("plain", "value")
    others.set("key", "value", tags="tag 0")
    keep(cache, *range(40), "plain")
    keep(others, "key")
    told_of(cache, "tag 0", lambda: other.invalidate("tag 0"))
    before = cache.stats().near_hits + others.stats().near_hits
    assert 40 == len(cache.get_many([*range(40), "plain"]))
    assert "value" == others.get("key")
    raised = bucket_of(cache._parent + b"tag 0")
    same = [number for number in range(1, 40) if bucket_of(cache._parent + b"tag %d" % number) == raised]
    assert len(same) <= 2 < BUCKETS
    assert 41 - len(same) == cache.stats().near_hits + others.stats().near_hits - before


# Raises that are lost.


def name_of(cache: SyncCache) -> bytes:
    """The whole name of the tag "menu"."""
    return cache._parent + b"menu"


def epoch_of(cache: SyncCache) -> int:
    """The epoch of the tag, as the grid has it."""
    [epoch] = gated(cache).engine.tag_epochs([name_of(cache)])
    return int(epoch)


def put_epoch(flow: SyncFlow, cache: SyncCache, epoch: int) -> None:
    """Let the grid have another epoch of the tag, as where an owner took the last one along."""
    if flow.backing.is_memory:
        flow.backing.store._tags._epochs[name_of(cache)] = epoch
    else:
        gated(cache).engine.store(b"cg!tag:{" + name_of(cache) + b"}", b"%d" % epoch, None)


def raised(flow: SyncFlow) -> tuple[SyncNearCache, int]:
    """A cache that knows of a raise, has one entry from before and one from after; and the epoch before."""
    cache = near_cache(flow)
    cache.set("before", 1, tags="menu")
    epoch = epoch_of(cache)
    cache.invalidate("menu")
    cache.set("after", "value", tags="menu")
    assert (None, "value") == (cache.get("before"), cache.get("after"))
    return cache, epoch


def test_a_raise_that_was_lost_is_raised_again(flow: SyncFlow) -> None:
    """
    By whoever knows of it: what was dead does not live again, for nobody.
    """
    cache, epoch = raised(flow)
    put_epoch(flow, cache, epoch)
    doubt_all(flow, cache)
    assert None is cache.get("before")
    assert None is (near_cache(flow)).get("before")
    assert epoch < epoch_of(cache)


def test_a_lost_raise_is_made_up_for_by_one(flow: SyncFlow) -> None:
    """
    The clock of the new owner may be behind: it takes no storm of raises until it has caught up.
    """
    cache, epoch = raised(flow)
    doubt_all(flow, cache)
    engine = gated(cache)
    engine.calls.clear()
    for low in (epoch - 2, epoch - 1):
        engine.pretend("tag_epochs", [low])
    assert None is cache.get("before")
    assert 1 == engine.calls["raise_tags"]


def test_an_answer_in_doubt_is_no_proof_of_a_lost_raise(flow: SyncFlow) -> None:
    """
    A replica may have given it, or it was asked for before the raise: nothing that is alive dies of it.
    """
    cache, epoch = raised(flow)
    last = epoch_of(cache)
    doubt_all(flow, cache)
    engine = gated(cache)
    put_epoch(flow, cache, epoch)
    engine.calls.clear()
    answer = engine.hold("tag_epochs", answered=True)
    reading = begin(cache.get, "after")
    answer.reached()
    doubt_all(flow, cache)
    answer.open()
    assert "value" == reading.result()
    assert 0 == engine.calls["raise_tags"]
    put_epoch(flow, cache, last)
    doubt_all(flow, cache)
    assert (None, "value") == (cache.get("before"), cache.get("after"))


# Loading.


@pytest.mark.parametrize("how", ["loaded", "found"])
def test_who_asks_after_a_raise_is_not_given_what_was_there_before(
    flow: SyncFlow, origin: SyncOrigin, how: str
) -> None:
    """
    What was loaded is stored, or what others stored is found; the tag is raised before the lease is given back.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    cache.set("key", "old", tags="menu")
    cache.invalidate("menu")
    misses = cache.stats().misses
    taking = gated(cache).hold("acquire", answered=True)
    released = gated(cache).hold("release")
    loading = begin(cache.get_or_load, "key", origin.load_at_once, tags="menu")
    taking.reached()
    if how == "found":
        other.set("key", origin.load_at_once(), tags="menu")
    taking.open()
    released.reached()
    cache.invalidate("menu")
    late = begin(cache.get_or_load, "key", origin.load_at_once, tags="menu")

    def has_missed() -> bool:
        return cache.stats().misses == misses + 2

    until(has_missed)
    released.open()
    assert [1] == loading.result()
    assert [2] == late.result()


# Loading in the background.

EARLY: Any = {"ttl": 60, "early": 1.0, "tags": "menu"}  # when it is due: see there


@pytest.fixture
def due(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Says whether what is loaded early is due."""

    def let(is_due: bool) -> None:  # noqa: FBT001 - the only thing to say
        monkeypatch.setattr(cell, "is_due", lambda *_: is_due)

    let(False)
    return let


CHANGES: dict[str, Callable[[SyncCache], object]] = {
    "set": lambda cache: cache.set("key", "new"),
    "delete": lambda cache: cache.delete("key"),
    "clear": lambda cache: cache.clear(),
    "invalidate": lambda cache: cache.invalidate("menu"),
}


@pytest.mark.parametrize("who", ["this", "another"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_reload_that_raced_a_change_is_discarded(
    flow: SyncFlow, origin: SyncOrigin, due: Callable[[bool], None], name: str, who: str
) -> None:
    """
    Whichever process changed the entry while it was loaded anew: nobody is given what was loaded then.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    cache.get_or_load("key", origin.load_at_once, **EARLY)
    due(True)
    assert [1] == cache.get_or_load("key", origin.load, **EARLY)
    origin.gate.reached()
    due(False)
    keep(cache, "key")
    CHANGES[name](cache if who == "this" else other)
    origin.gate.open()
    cache._hub.reloads.settle()
    assert 2 == origin.calls
    expected = "new" if name == "set" else None
    assert expected == other.get("key")

    def is_known() -> bool:
        return bool(expected == cache.get("key"))

    until(is_known)
    assert expected == (near_cache(flow)).get("key")


@pytest.mark.parametrize("new", ["new", None])
def test_a_reload_that_is_about_to_be_stored_gives_way(
    flow: SyncFlow, origin: SyncOrigin, due: Callable[[bool], None], new: str | None
) -> None:
    """
    Up to the moment in which its owner has it.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    cache.get_or_load("key", origin.load_at_once, **EARLY)
    storing = gated(cache).hold("store_if_version")
    due(True)
    assert [1] == cache.get_or_load("key", origin.load_at_once, **EARLY)
    storing.reached()
    due(False)
    (other.delete("key") if new is None else other.set("key", new))
    storing.open()
    cache._hub.reloads.settle()
    assert new == cache.get("key") == other.get("key")


@pytest.mark.parametrize("lacking", LACKING, ids=STORES)
def test_a_reload_leaves_deleted_what_is_deleted_here(
    flow: SyncFlow, origin: SyncOrigin, due: Callable[[bool], None], lacking: list[str]
) -> None:
    """
    On whichever engine, also one that cannot compare what is there.
    """
    cache = near_cache(flow)
    cache.get_or_load("key", origin.load_at_once, **EARLY)
    due(True)
    assert [1] == cache.get_or_load("key", origin.load, **EARLY)
    origin.gate.reached()
    cache._hub.lacking |= set(lacking)
    cache.delete("key")
    origin.gate.open()
    cache._hub.reloads.settle()
    assert None is cache.get("key")


def test_a_loader_in_the_background_may_ask_for_its_own_key(flow: SyncFlow, due: Callable[[bool], None]) -> None:
    """
    It does not wait for itself, also where the entry was deleted meanwhile.
    """
    cache = near_cache(flow)
    seen: list[object] = []

    def load() -> str:
        return "loaded"

    def load_by_asking() -> str:
        cache.delete("key")
        seen.append(cache.get_or_load("key", load, **EARLY))
        return "never kept"

    cache.get_or_load("key", load, **EARLY)
    due(True)
    assert "loaded" == cache.get_or_load("key", load_by_asking, **EARLY)
    cache._hub.reloads.settle()
    assert ["loaded"] == seen
    assert None is cache.get("key")


def test_copies_follow_a_reload(flow: SyncFlow, origin: SyncOrigin, due: Callable[[bool], None]) -> None:
    """
    Those of the process that loaded, at once; those of others when the news is there.
    """
    cache, other = near_cache(flow), near_cache(flow)
    cache.get_or_load("key", origin.load_at_once, **EARLY)
    due(True)
    assert [1] == cache.get_or_load("key", origin.load, **EARLY)
    origin.gate.reached()
    due(False)
    keep(cache, "key")
    keep(other, "key")
    gated(cache).hold_news()
    gated(other).hold_news()
    origin.gate.open()
    cache._hub.reloads.settle()
    assert [[2], [2]] == [cache.get("key"), other.get("key")]


def test_a_reload_that_the_end_of_its_grid_breaks_off_is_no_failure(
    flow: SyncFlow, origin: SyncOrigin, due: Callable[[bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    """
    Nobody is warned of it.
    """
    cache = near_cache(flow)
    grid = flow.grids[-1]
    cache.get_or_load("key", origin.load_at_once, **EARLY)
    due(True)
    cache.get_or_load("key", origin.load, **EARLY)
    origin.gate.reached()
    closing = begin(grid.close)

    def is_closing() -> bool:
        return grid._hub.reloads._tasks.spawn(origin.load_at_once) is None  # type: ignore[arg-type]

    until(is_closing)
    origin.gate.open()
    closing.result()
    assert [] == [record for record in caplog.records if record.name == "cachegrid"]
