# Generated from tests/flow/_aio/test_near_together.py by tools/colour.py. Edit that file, then run `make colour`.
"""Near copies among many callers, ways to read and grid objects of one process: what it reads never goes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid._sio.cell import FAR
from cachegrid.errors import OutcomeUnknown
from cachegrid.near.copies import Fill
from tests.flow._sio.flow import SyncFlow
from tests.flow._sio.nearness import elsewhere, gated, keep, keep_absence, near_cache, news
from tests.flow.waits._sio import begin, until


def test_the_first_of_many_answers_is_kept(flow: SyncFlow) -> None:
    """
    Many miss one key at once: those who come later with the same answer neither drop the copy nor spoil it.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    news(cache, "key", lambda: other.set("key", "value"))
    engine = gated(cache)
    answers = [engine.hold("fetch", answered=True) for _ in range(5)]
    readers = [begin(cache.get, "key") for _ in answers]
    for answer in answers:
        answer.reached()
    answers[0].open()

    def is_kept() -> bool:
        return "key" in cache._space.table

    until(is_kept)
    copy, token = cache._space.table["key"], cache._mark(cache._space.address("key")).token
    for answer in answers[1:]:
        answer.open()
    assert ["value"] * 5 == [reader.result() for reader in readers]
    assert copy is cache._space.table["key"]
    assert token == cache._mark(cache._space.address("key")).token
    assert 1 == cache._copies.entries


def test_an_answer_that_says_something_else_drops_what_was_kept(flow: SyncFlow) -> None:
    """
    Of two that were asked for at once nobody knows which one is older: neither is kept, and the next reader asks.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    news(cache, "key", lambda: other.set("key", "old"))
    engine = gated(cache)
    engine.hold_news()
    slow = engine.hold("fetch", answered=True)
    first = begin(cache.get, "key")
    slow.reached()
    other.set("key", "new")
    assert "new" == cache.get("key")
    assert "key" in cache._space.table
    slow.open()
    assert "old" == first.result()
    assert "key" not in cache._space.table
    assert "new" == cache.get("key")


def test_an_answer_that_is_not_kept_spoils_the_others(flow: SyncFlow) -> None:
    """
    Its caller has seen the newer value: what was asked for before that is not kept either.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    news(cache, "key", lambda: other.set("key", "old"))
    engine = gated(cache)
    engine.hold_news()
    slow = engine.hold("fetch", answered=True)
    first = begin(cache.get, "key")
    slow.reached()
    other.set("key", "new")
    engine.engine.trouble += 1  # a replica's answer, as far as this one can tell
    newer = engine.hold("fetch", answered=True)
    second = begin(cache.get, "key")
    newer.reached()
    engine.engine.trouble += 1
    newer.open()
    assert "new" == second.result()
    engine.engine.trouble -= 2  # so that nothing but the spoiling stands in the way of the older answer
    slow.open()
    assert "old" == first.result()
    assert "new" == cache.get("key")


def _entry(cache: SyncCache) -> object:
    entry = cache.entry("key")
    return None if entry is None else entry.value


def _update(cache: SyncCache) -> object:
    """What `update` shows to its function, which changes nothing."""
    seen: list[object] = []

    def look(value: object) -> object:
        seen.append(value)
        raise LookupError

    with pytest.raises(LookupError):
        cache.update("key", look, default=None)
    return seen[0]


def _get(cache: SyncCache) -> object:
    return cache.get("key")


def _get_many(cache: SyncCache) -> object:
    return (cache.get_many(["key"])).get("key")


LOOKS: dict[str, Callable[[SyncCache], object]] = {"entry": _entry, "update": _update}
READS: dict[str, Callable[[SyncCache], object]] = {**LOOKS, "get": _get, "get_many": _get_many}


@pytest.mark.parametrize("after", ["old", None])
@pytest.mark.parametrize("look", LOOKS)
def test_what_was_seen_past_a_copy_is_not_followed_by_it(flow: SyncFlow, look: str, after: str | None) -> None:
    """
    The owner was asked although there is a copy, also one that says that there is nothing; what it said holds.
    """
    cache, other = near_cache(flow, absent=True), elsewhere(flow)
    if after is None:
        keep_absence(cache, "key")
    else:
        news(cache, "key", lambda: other.set("key", after))
        keep(cache, "key")
    gated(cache).hold_news()
    assert after == _get(cache)
    other.set("key", "new")
    assert "new" == LOOKS[look](cache)
    assert "new" == cache.get("key")


@pytest.mark.parametrize("look", LOOKS)
def test_that_there_is_nothing_any_more_holds_when_it_was_seen(flow: SyncFlow, look: str) -> None:
    """
    The same for an entry that is gone.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    news(cache, "key", lambda: other.set("key", "old"))
    keep(cache, "key")
    gated(cache).hold_news()
    other.delete("key")
    assert None is LOOKS[look](cache)
    assert "key" not in cache.get_many(["key"])


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("before", ["old", None])
def test_what_was_asked_for_before_a_look_is_not_kept(flow: SyncFlow, look: str, before: str | None) -> None:
    """
    An answer that is on its way, also one that there is nothing, may be older than what was seen meanwhile.
    """
    cache, other = near_cache(flow, absent=True), elsewhere(flow)
    if before is not None:
        news(cache, "key", lambda: other.set("key", before))
    engine = gated(cache)
    engine.hold_news()
    answer = engine.hold("fetch", answered=True)
    reading = begin(cache.get, "key")
    answer.reached()
    other.set("key", "new")
    assert "new" == LOOKS[look](cache)
    answer.open()
    assert before == reading.result()
    assert "new" == cache.get("key")


def test_what_a_load_has_found_is_not_followed_by_an_absence(flow: SyncFlow) -> None:
    """
    That there was nothing was known here; the look before the origin is asked finds what came since.
    """
    cache, other = near_cache(flow, absent=True), elsewhere(flow)
    keep_absence(cache, "key")
    gated(cache).hold_news()
    other.set("key", "new")
    unasked: Any = flow.gate().stand
    assert "new" == cache.get_or_load("key", unasked)
    assert "new" == cache.get("key")
    assert cache.has("key")


def test_what_a_load_has_found_is_not_followed_by_an_absence_on_its_way(flow: SyncFlow) -> None:
    """
    The same, where somebody has asked before and is told later.
    """
    cache, other = near_cache(flow, absent=True), elsewhere(flow)
    keep_absence(cache, "key")
    engine = gated(cache)
    engine.hold_news()
    answer = engine.hold("fetch_many", answered=True)
    cache._nearby.changed(cache._space.address("key"))
    reading = begin(cache.get_many, ["key"])
    answer.reached()
    other.set("key", "new")
    unasked: Any = flow.gate().stand
    assert "new" == cache.get_or_load("key", unasked)
    answer.open()
    assert {} == reading.result()
    assert "new" == cache.get("key")


@pytest.mark.parametrize("read", READS)
def test_what_another_grid_of_the_process_has_read_is_not_followed_by_a_copy(flow: SyncFlow, read: str) -> None:
    """
    The first one's copy goes when the second one has seen newer.
    """
    cache, second, other = near_cache(flow), near_cache(flow), elsewhere(flow)
    news(cache, "key", lambda: other.set("key", "old"))
    keep(cache, "key")
    for one in (cache, second):
        gated(one).hold_news()
    other.set("key", "new")
    assert "new" == READS[read](second)
    assert "new" == cache.get("key")


def test_a_copy_is_here_when_older_ones_of_other_grids_are_gone(
    flow: SyncFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Another thread may be given it at once, and then read by the other grid.
    """
    cache, second, other = near_cache(flow), near_cache(flow), elsewhere(flow)
    news(cache, "key", lambda: other.set("key", "old"))
    keep(cache, "key")
    for one in (cache, second):
        gated(one).hold_news()
    other.set("key", "new")
    keeps, read = second._copies.keep, list[object]()

    def keep_and_read(fills: Iterable[Fill]) -> list[bytes]:
        refused = keeps(fills)
        read.extend([second._near("key"), cache._near("key")])
        return refused

    monkeypatch.setattr(second._copies, "keep", keep_and_read)
    assert "new" == second.get("key")
    assert ["new", FAR] == read[:2]


def test_what_has_ended_already_is_gone_here_too(flow: SyncFlow) -> None:
    """
    Who lets an entry end that another process has ended sees it no more, though the news of that is still to come.
    """
    cache, other = near_cache(flow), elsewhere(flow)

    def load() -> str:
        return "old"

    news(cache, "key", lambda: other.get_or_load("key", load, ttl="1m", grace="1m"))
    keep(cache, "key")
    gated(cache).hold_news()
    assert other.expire("key")
    assert not cache.expire("key")
    assert cache.get("key") is None


def _peek(cache: SyncCache) -> object:
    return cache.peek("key")


@pytest.mark.parametrize("has_near", [None, False, True], ids=["this grid", "another", "another with copies"])
@pytest.mark.parametrize("look", [_entry, _update, _peek])
def test_no_copy_stays_of_what_was_seen_to_be_dead(
    flow: SyncFlow,
    look: Callable[[SyncCache], object],
    has_near: bool | None,  # noqa: FBT001 - a case
) -> None:
    """
    Its tag was raised, which another entry tells sooner than the news: the entry is the same as before, and dead.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    looker: SyncCache = cache
    if has_near is not None:
        looker = near_cache(flow) if has_near else (flow.grid()).cache("prices")
    news(cache, "key", lambda: other.set("key", "old", tags=["tag"]))
    keep(cache, "key")
    gated(cache).hold_news()
    other.invalidate(tags=["tag"])
    other.set("another", "new", tags=["tag"])
    assert "new" == looker.get("another")
    assert None is look(looker)
    assert FAR is cache._near("key")


def test_a_write_that_was_found_to_have_arrived_is_seen_at_once(
    flow: SyncFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The connection broke, and the owner applied it later: what was read in between is not handed out after it.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    news(cache, "key", lambda: other.set("key", "old"))
    engine = gated(cache)
    engine.hold_news()
    store, lost = engine.engine.store_if_present, list[Any]()

    def lose(_: object, *args: Any) -> bool:
        lost.extend(args)
        raise OutcomeUnknown("the connection broke")

    monkeypatch.setattr(type(engine.engine), "store_if_present", lose)
    look = engine.hold("fetch")
    writing = begin(cache.replace, "key", "new")
    look.reached()
    keep(cache, "key")
    assert store(*lost)
    look.open()
    assert writing.result()
    assert "new" == cache.get("key")


def test_a_view_that_learned_late_of_a_clear_sees_what_it_writes(flow: SyncFlow) -> None:
    """
    The cache knows the new epoch already, and the news of it is still to come: nobody would tell the view's copies.
    """
    cache, other = near_cache(flow), elsewhere(flow)
    view = cache.with_durability(replicas=1)
    news(cache, "key", lambda: other.set("key", "old"))
    engine = gated(cache)
    engine.engine.raise_epoch(b"of something else")
    engine.hold_news()
    asked = engine.hold("epoch", answered=True)
    reading = begin(view.get, "key")
    asked.reached()
    engine.engine.raise_epoch(cache._epoch_names[-1])
    assert cache.get("key") is None
    asked.open()
    assert "old" == reading.result()
    for value in (1, 2, 3):
        view.set("key", [value])
        assert [value] == view.get("key") == view.get("key")


@pytest.mark.parametrize("read", READS)
def test_what_was_asked_for_before_another_grid_has_read_is_not_kept(flow: SyncFlow, read: str) -> None:
    """
    It may be older than what this process knows by then.
    """
    cache, second, other = near_cache(flow), near_cache(flow), elsewhere(flow)
    news(cache, "key", lambda: other.set("key", "old"))
    for one in (cache, second):
        gated(one).hold_news()
    answer = gated(cache).hold("fetch", answered=True)
    reading = begin(cache.get, "key")
    answer.reached()
    other.set("key", "new")
    assert "new" == READS[read](second)
    answer.open()
    assert "old" == reading.result()
    assert "new" == cache.get("key")


def test_grids_of_one_process_that_read_the_same_keep_it_both(flow: SyncFlow) -> None:
    """
    What says what is kept already is no news to the other.
    """
    cache, second, other = near_cache(flow), near_cache(flow), elsewhere(flow)
    news(cache, "key", lambda: news(second, "key", lambda: other.set("key", "value")))
    keep(cache, "key")
    keep(second, "key")
    copy = cache._space.table["key"]
    second._nearby.changed(second._space.address("key"))
    assert "value" == second.get("key")
    assert copy is cache._space.table["key"]
    assert "key" in second._space.table


WRITES: dict[str, tuple[Callable[[SyncCache], object], object]] = {
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
def test_what_another_grid_of_the_process_writes_is_seen_at_once(
    flow: SyncFlow,
    write: str,
    has_near: bool,  # noqa: FBT001 - a case
) -> None:
    """
    Whether or not it keeps copies itself: nobody waits for what the owner tells.
    """
    cache = near_cache(flow, absent=True)
    other = near_cache(flow) if has_near else (flow.grid()).cache("prices")
    other.get("key")
    news(cache, "key", lambda: other.set("key", 1))
    keep(cache, "key")
    keep_absence(cache, "gone")
    gated(cache).hold_news()
    change, then = WRITES[write]
    change(other)
    assert then == cache.get("key")
    assert (2 if write == "add" else None) == cache.get("gone")


@pytest.mark.parametrize("has_near", [False, True])
def test_what_another_grid_of_the_process_invalidates_is_seen_at_once(
    flow: SyncFlow,
    has_near: bool,  # noqa: FBT001 - a case
) -> None:
    """
    Results of a function: one, or all of them.
    """
    cache = near_cache(flow)
    other = near_cache(flow) if has_near else (flow.grid()).cache("prices")
    calls: list[int] = []

    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    ours, theirs = cache.cached(double), other.cached(double)
    assert [8, 8, 10] == [ours(4), theirs(4), ours(5)]
    keep(ours.cache, ours.key(4), ours.key(5))
    calls.clear()
    gated(cache).hold_news()
    theirs.invalidate(4)
    assert [8, 10] == [ours(4), ours(5)]
    assert [4] == calls
    keep(ours.cache, ours.key(4), ours.key(5))
    theirs.invalidate_all()
    assert [8, 10] == [ours(4), ours(5)]
    assert [4, 4, 5] == calls


def test_a_cache_of_another_name_concerns_nobody(flow: SyncFlow) -> None:
    """
    What is written and cleared there leaves copies here.
    """
    cache, other = near_cache(flow), (flow.grid()).cache("articles")
    cache.set("key", "value")
    keep(cache, "key")
    gated(cache).hold_news()
    hits = cache.stats().near_hits
    other.set("key", "another")
    other.delete("key")
    assert "value" == cache.get("key")
    assert 1 == cache.stats().near_hits - hits
