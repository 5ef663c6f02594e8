"""A process has one grid for sync code and one for each event loop; what they cannot be is told."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from copy import copy
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import InvalidCacheBackendError
from django.core.signals import request_finished
from django.test import override_settings

from cachegrid.errors import ConfigError, EngineTimeout, Unreachable
from cachegrid.integrations.django import CacheGridCache, aclose, close
from tests.integrations.django.conftest import Make


@pytest.mark.grid
def test_back_ends_share_a_grid(sync: Make) -> None:
    """
    Django makes one for each thread and each request; the cache and its connections are the same.
    """
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(sync().native))
    thread.start()
    thread.join()
    assert found == [sync().native]
    assert sync(KEY_PREFIX="p").native is sync(TIMEOUT=1).native


@pytest.fixture
def used(sync: Make) -> CacheGridCache:
    """A back end that was used in a loop before: the settings, which are files, are read."""
    cache: CacheGridCache = sync()
    asyncio.run(cache.aclear())
    return cache


@pytest.mark.grid
async def test_coroutines_hold_up_no_loop(used: CacheGridCache) -> None:
    """
    Nothing in them waits but for the loop, and no thread does their work.
    """
    cache, threads = used, threading.active_count()
    try:
        await cache.aset("hits", 1)
        await asyncio.gather(*[cache.aincr("hits") for _ in range(20)])
        assert {"hits": 21} == await cache.aget_many(["hits"])
        assert 7 == await cache.aget_or_set("later", _later)
        assert threads == threading.active_count()
        await cache.aclear()
        assert None is await cache.aget("hits")
    finally:
        await aclose()


@pytest.mark.grid
async def test_many_tasks_who_miss_load_once(used: CacheGridCache) -> None:
    """
    As threads and processes do; each request of Django has a back end of its own.
    """
    calls: list[int] = []

    async def load() -> int:
        calls.append(1)
        await asyncio.sleep(0)
        return 42

    try:
        assert [42] * 50 == await asyncio.gather(*[copy(used).aget_or_set("key", load) for _ in range(50)])
        assert [1] == calls
    finally:
        await aclose()


async def _later() -> int:
    return 7


@pytest.mark.grid
def test_loops_of_several_threads(sync: Make) -> None:
    """
    Each has a grid of its own while they run; a loop that comes later goes on with that of one that has ended.
    """
    both = threading.Barrier(2, timeout=10)
    caches: list[Any] = []

    async def use() -> None:
        await sync().aset("key", 1)
        caches.append(sync().anative)
        both.wait()  # holds the loop up, and is meant to: no other may take its grid
        assert 1 == await sync().aget("key")
        both.wait()

    threads = [threading.Thread(target=asyncio.run, args=(use(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 2 == len(set(map(id, caches)))

    async def come_later() -> None:
        assert sync().anative in caches
        assert 1 == await sync().aget("key")
        await aclose()

    asyncio.run(come_later())


@pytest.mark.grid
def test_what_is_closed_is_opened_again(sync: Make) -> None:
    """
    Django says that a request is over and nothing is closed; `close` closes, and the next call connects.
    """
    cache = sync()
    cache.set("key", 1)
    before = cache.native
    request_finished.send(sender=None)
    assert before is cache.native
    close()
    assert 1 == cache.get("key")
    assert before is not cache.native


@pytest.mark.grid
def test_who_has_another_secret_key_reads_nothing(sync: Make) -> None:
    """
    Values are pickled, and signed with what is made of SECRET_KEY, or with the secret in OPTIONS.
    """
    sync().set("key", 1)
    with override_settings(SECRET_KEY="another one"):
        assert "default" == sync().get("key", "default")
        sync().set("key", 2)
    assert "default" == sync().get("key", "default")
    secret = {"secret": "0123456789abcdef"}
    sync(OPTIONS=secret).set("key", 3)
    with override_settings(SECRET_KEY=""):  # which is not asked for then, nor where nothing is pickled
        assert 3 == sync(OPTIONS=secret).get("key")
        sync(OPTIONS={"codec": "plain", "cache": "told"}).set("key", 4)


@pytest.mark.grid
def test_one_policy_for_a_cache(sync: Make) -> None:
    """
    Two entries of CACHES that name one cache agree on what it is; a setting that nobody knows is told.
    """
    sync().set("key", 1)
    with pytest.raises(ConfigError, match="the policy of cache"):
        sync(OPTIONS={"near": True}).get("key")
    with pytest.raises(ConfigError, match="'compres'; .*compress"):
        sync(OPTIONS={"compres": 1, "cache": "other"}).get("key")


@pytest.mark.parametrize(
    ("location", "options", "message"),
    [
        (["valkey://a"], {}, "LOCATION is"),
        ("", {"ttl": 5}, "OPTIONS has 'ttl'; with Django it is said as TIMEOUT, beside OPTIONS"),
        ("", {"tll": 5}, "OPTIONS has 'tll'; with Django it is said as TIMEOUT"),
        ("", {"TIMEOUT": 5}, "OPTIONS has 'TIMEOUT'; with Django it is said as TIMEOUT"),
        ("", {"URL": "valkey://a"}, "said as LOCATION"),
        ("", {"url": "valkey://a"}, "said as LOCATION"),
    ],
)
def test_settings_that_cannot_be(location: Any, options: dict[str, Any], message: str) -> None:
    """
    The error is Django's for a back end that cannot be had.
    """
    with pytest.raises(InvalidCacheBackendError, match=message):
        CacheGridCache(location, {"OPTIONS": options}).get("key")


def test_a_setting_that_nobody_knows_is_told() -> None:
    """
    With the one that is meant; Django's own name of it is one of ours in small letters.
    """
    with pytest.raises(ConfigError, match=r"OPTIONS: unknown setting 'MAX_ENTRIES'; did you mean 'max_entries'\?"):
        CacheGridCache("", {"OPTIONS": {"MAX_ENTRIES": 5}}).get("key")
    with pytest.raises(ConfigError, match="known are ca, cache, .*, wait") as told:
        CacheGridCache("", {"OPTIONS": {"CULL_FREQUENCY": 5}}).get("key")
    assert " ttl," not in str(told.value)


@pytest.mark.parametrize("said", ["TIMEOUT", "timeout"])
def test_times_may_be_text(said: str) -> None:
    """
    In a call, and where all of a cache have one; what is no time is told.
    """
    cache = CacheGridCache("memory://times", {said: "1h"})
    assert 3600 == cache.get_backend_timeout()
    assert (300, 0, 0, 1.5) == tuple(cache.get_backend_timeout(it) for it in ("5m", "0", timedelta(0), 1.5))
    with pytest.raises(ConfigError, match="timeout is 'soon'; it must be a time such as"):
        cache.set("key", 1, timeout="soon")
    with pytest.raises(ConfigError, match="TIMEOUT is 'later'"):
        CacheGridCache("memory://times", {said: "later"})


def test_a_grid_that_is_away_is_no_miss() -> None:
    """
    What is asked raises, and is asked again the next time.
    """
    cache = CacheGridCache("valkey://127.0.0.1:1", {"OPTIONS": {"timeout": "50ms"}})
    for _ in range(2):
        with pytest.raises((Unreachable, EngineTimeout)):
            cache.get("key")


def test_a_grid_of_this_process(name: str) -> None:
    """
    Serves sync and async code alike, without a server, where apps are tested.
    """
    cache = CacheGridCache(f"memory://{name}", {})
    cache.set("key", 1)

    async def use() -> None:
        assert 2 == await cache.aincr("key")
        await aclose()

    asyncio.run(use())
    assert 2 == cache.get("key")
    close()


def test_without_django_the_extra_is_named() -> None:
    """
    By whoever imports the leaf.
    """
    code = "import sys; sys.modules['django'] = None; import cachegrid.integrations.django"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'cachegrid[django]'" in run.stderr
