"""What Django promises of its caches holds on a grid of three owners, in both colours."""

from __future__ import annotations

import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.cache import CacheKeyWarning
from django.http import HttpResponse
from django.utils.safestring import SafeString, mark_safe

from cachegrid.errors import NotANumber, ValueRefused
from cachegrid.integrations.django import NotStored
from tests.flow.waits._sio import until
from tests.integrations.django.conftest import Make

pytestmark = pytest.mark.grid
BAD_KEYS = ["with spaces", "k" * 260]


def left(cache: Any, key: str) -> Any:
    """How many seconds an entry has yet to live; None: without end."""
    entry = cache.native.entry(cache.make_key(key))
    return entry.expires and (entry.expires - datetime.now(UTC)).total_seconds()


def own_key(key: str, prefix: str, version: int) -> str:
    """A KEY_FUNCTION."""
    return f"own-{prefix}-{version}-{key}"


def test_what_is_set_is_there(cache: Any) -> None:
    """
    None, too; and what is not there is the default.
    """
    cache.set("key", None)
    assert None is cache.get("key", "default")
    assert "default" == cache.get("other", "default")
    assert (True, False) == (cache.has_key("key"), cache.has_key("other"))
    assert "key" in cache
    assert [True, False] == [cache.delete("key"), cache.delete("key")]


@pytest.mark.parametrize(
    "value",
    [1, True, "text", b"\xff\0", [1, (2,)], {"a": {1}}, 2**70, datetime.now(UTC), own_key, UserWarning],
    ids=lambda value: type(value).__name__,
)
def test_values_come_back_as_they_were(cache: Any, value: Any) -> None:
    """
    Equal, and of the same type: also functions and classes.
    """
    cache.set("key", value)
    assert value == cache.get("key")
    assert type(value) is type(cache.get("key"))


def test_what_django_stores_comes_back(cache: Any) -> None:
    """
    Text that is safe stays so, and a response has its headers and cookies.
    """
    response = HttpResponse(b"page", headers={"X-Seen": "yes"})
    response.set_cookie("basket", "7")
    assert [] == cache.set_many({"page": response, "part": mark_safe("<b>")})
    found = cache.get_many(["page", "part"])
    assert SafeString is type(found["part"])
    assert (b"page", "yes", "7") == (
        found["page"].content,
        found["page"]["X-Seen"],
        found["page"].cookies["basket"].value,
    )


def test_add_stores_once(cache: Any) -> None:
    """
    What is there stays; what shall not live is not stored, and in nobody's way.
    """
    assert [True, False] == [cache.add("key", 1), cache.add("key", 2)]
    assert 1 == cache.get("key")
    assert [True, False] == [cache.add("other", 1, 0), cache.add("key", 1, 0)]
    assert "other" not in cache


def test_many_at_once(cache: Any) -> None:
    """
    Under the keys that the app says, which may come from an iterator; nothing is also a number of them.
    """
    assert [] == cache.set_many({"a": 1, "b": None})
    assert {"a": 1, "b": None} == cache.get_many(iter(["a", "b", "c"]))
    assert None is cache.delete_many(["a", "c"])
    assert {"b": None} == cache.get_many(["a", "b"])
    assert ([], {}, None) == (cache.set_many({}), cache.get_many([]), cache.delete_many([]))


def test_timeouts(cache: Any, make: Make) -> None:
    """
    In seconds; left out it is that of the settings, which is 300 at first. None is without end.
    """
    cache.set("default", 1)
    cache.set_many({"said": 1, "other": 1}, timeout=9.5)
    cache.add("endless", 1, timeout=None)
    assert (300, 9.5, None) == pytest.approx([left(cache, key) for key in ("default", "said", "endless")], abs=5)
    for timeout in (None, 7):
        make(TIMEOUT=timeout).set("default", 1)
        assert timeout == pytest.approx(left(cache, "default"), abs=5)
    cache.set("short", 1, timeout=0.01)
    until(lambda: cache.get("short") is None)


@pytest.mark.parametrize("timeout", [0, -1])
def test_what_has_no_time_left_is_not_there(cache: Any, timeout: int) -> None:
    """
    It takes the place of what was there.
    """
    cache.set_many(dict.fromkeys("abc", 1))
    cache.set("a", 2, timeout)
    assert [] == cache.set_many({"b": 2, "d": 2}, timeout)
    assert [True, False] == [cache.touch("c", timeout), cache.touch("c", timeout)]
    assert {} == cache.get_many("abcd")
    assert [3, 3] == [cache.get_or_set("a", 3, timeout), cache.get_or_set("a", lambda: 3, timeout)]
    assert "a" not in cache


def test_touch(cache: Any) -> None:
    """
    Gives another time, also none or that of the settings, to what is there.
    """
    cache.set("key", 1, 5)
    for timeout in ([50], [None], []):
        assert cache.touch("key", *timeout)
        assert (timeout or [300])[0] == pytest.approx(left(cache, "key"), abs=4)
    assert not cache.touch("other")


@pytest.mark.parametrize("codec", ["pickle", "plain"])
def test_counting(make: Make, codec: str) -> None:
    """
    Goes on with the time of the entry; what is not there, or is no integer, is refused, and stays as it is.
    """
    cache = make(OPTIONS={"codec": codec})
    cache.set("hits", 40, timeout=None)
    assert [41, 51, 50] == [cache.incr("hits"), cache.incr("hits", 10), cache.decr("hits")]
    assert [40, 40] == [cache.incr("hits", -10), cache.incr("hits", 0)]
    assert None is left(cache, "hits")
    for delta in (-1, 0, 1, 2**62):
        with pytest.raises(ValueError, match="Key ':1:none' not found"):
            cache.incr("none", delta)
    cache.set("null", None)
    for count in (cache.incr, cache.decr):
        with pytest.raises(NotANumber):
            count("null")
    assert {"null": None} == cache.get_many(["none", "null"])


def test_no_count_is_lost(sync: Make) -> None:
    """
    Of many threads, each with a back end of its own, as Django has them.
    """
    sync().set("hits", 0)
    with ThreadPoolExecutor(4) as pool:
        sums = list(pool.map(lambda _: sync().incr("hits"), range(100)))
    assert list(range(1, 101)) == sorted(sums)


def test_versions(cache: Any, make: Make) -> None:
    """
    Each is for itself, until an entry is moved to another: with its time.
    """
    cache.set("key", "one", timeout=9)
    cache.set("key", "two", version=2)
    assert ("one", "two") == (cache.get("key"), make(VERSION=2).get("key"))
    assert 3 == cache.incr_version("key", 2)
    assert (None, "one") == (cache.get("key"), cache.get("key", version=3))
    assert 1 == cache.decr_version("key", version=2)
    assert ("two", None) == (cache.get("key"), cache.get("key", version=2))
    make(VERSION=3).decr_version("key", 2)
    assert "one" == cache.get("key")
    assert 9 == pytest.approx(left(cache, "key"), abs=5)
    with pytest.raises(ValueError, match="not found"):
        cache.incr_version("none")


def test_prefixes_and_functions_of_keys(cache: Any, make: Make) -> None:
    """
    Give entries of one key different places.
    """
    others = [
        make(KEY_PREFIX="p"),
        make(KEY_FUNCTION=own_key),
        make(KEY_PREFIX="p", KEY_FUNCTION=f"{__name__}.own_key"),
    ]
    for number, one in enumerate([cache, *others]):
        assert one.add("key", number)
    assert [0, 1, 2, 3] == [one.get("key") for one in [cache, *others]]
    assert {":1:key", "p:1:key", "own--1-key", "own-p-1-key"} == set(cache.native)


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_that_others_would_refuse_are_warned_of(cache: Any, key: str) -> None:
    """
    By every method, and used all the same.
    """
    cache.get_or_set("a", 1)
    calls = {
        **dict.fromkeys(("add", "set", "incr", "decr", "get_or_set"), (key, 1)),
        **dict.fromkeys(["get", "touch", "has_key", "incr_version"], (key,)),
        "decr_version": (key, 1, 2),
        "get_many": ([key],),
        "set_many": ({key: 1},),
        "delete_many": ([key],),
        "delete": (key,),
    }
    for name, args in calls.items():
        with pytest.warns(CacheKeyWarning, match="errors if used with memcached"):
            getattr(cache, name)(*args)
    with warnings.catch_warnings(action="ignore"):
        cache.set(key, 2)
        assert 2 == cache.get(key)


def test_what_cannot_be_stored_is_told(cache: Any) -> None:
    """
    As an error of Django's kind and of ours, by each method that stores; with `plain` it names what that does not keep.
    """
    lock = threading.Lock()
    calls = [
        ("set", ("key", lock)),
        ("add", ("key", lock)),
        ("set_many", ({"key": lock},)),
        ("get_or_set", ("key", lambda: lock)),
    ]
    for name, args in calls:
        with pytest.raises(NotStored, match="lock") as told:
            getattr(cache, name)(*args)
        assert isinstance(told.value, pickle.PicklingError)
        assert isinstance(told.value, ValueRefused)
    assert "key" not in cache


def test_get_or_set(cache: Any) -> None:
    """
    Stores a value, or what a function gives; None, too. The function is called where nothing is.
    """
    calls: list[int] = []
    assert [7, 7] == [cache.get_or_set("key", 7), cache.get_or_set("key", calls.append)]
    assert [None, None] == [cache.get_or_set("null", lambda: calls.append(1)) for _ in range(2)]
    assert [1] == calls
    cache.get_or_set("short", 1, timeout=4)
    assert 4 == pytest.approx(left(cache, "short"), abs=4)


def test_many_who_miss_load_once(sync: Make) -> None:
    """
    The others wait for who came first.
    """
    calls: list[int] = []
    begun = threading.Barrier(8)

    def load() -> int:
        calls.append(1)
        return 42

    def ask(_: int) -> Any:
        begun.wait()
        return sync().get_or_set("key", load)

    with ThreadPoolExecutor(8) as pool:
        assert [42] * 8 == list(pool.map(ask, range(8)))
    assert [1] == calls


def test_clear_drops_all_of_the_cache(cache: Any, make: Make) -> None:
    """
    Of every prefix and version, and nothing of another cache.
    """
    other = make(OPTIONS={"cache": "another"})
    backends = [cache, make(KEY_PREFIX="p"), make(VERSION=2), other]
    for one in backends:
        one.set("key", 1)
    cache.clear()
    assert [None, None, None, 1] == [one.get("key") for one in backends]
    other.clear()


def test_tags(cache: Any) -> None:
    """
    Whatever stored it, an entry is dropped with others of its tag; it has them in another version, too.
    """
    cache.set("set", 1, tags=["menu"])
    cache.add("add", 1, tags="menu")
    cache.set_many({"many": 1}, tags=["menu", "other"])
    cache.get_or_set("load", lambda: 1, tags=["menu"])
    cache.set("moved", 1, tags=["menu"])
    cache.incr_version("moved")
    cache.set("stays", 1, tags=["other"])
    cache.invalidate("menu")
    assert {"stays": 1} == cache.get_many(["set", "add", "many", "load", "stays"])
    assert None is cache.get("moved", version=2)


def test_near_copies(make: Make) -> None:
    """
    Answer where OPTIONS ask for them, and own writes are seen at once, of either colour.
    """
    cache = make(OPTIONS={"near": True})
    cache.set("key", [1])
    until(lambda: cache.get("key") == [1] and near_hits(cache))
    cache.set("key", [2])
    assert [2] == cache.get("key")


def near_hits(cache: Any) -> int:
    """How many reads of its colour were answered in this process."""
    stats = cache._runner.run(_stats(cache._backend)) if hasattr(cache, "_runner") else cache.native.stats()
    return int(stats.near_hits)


async def _stats(backend: Any) -> Any:
    return backend.anative.stats()
