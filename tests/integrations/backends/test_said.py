"""What back ends are given, they take, or say what they would take."""

from __future__ import annotations

from typing import Any

import pytest
from dogpile.cache import make_region

import cachegrid
from cachegrid.errors import ConfigError, KeyRefused
from cachegrid.integrations.hishel import AsyncGridStorage, SyncGridStorage
from cachegrid.integrations.key_value import CacheGridStore

ASYNC, SYNC = r"cachegrid\.aconnect\(\)", r"cachegrid\.connect\(\)"


@pytest.mark.parametrize(("made", "way"), [(CacheGridStore, ASYNC), (AsyncGridStorage, ASYNC), (SyncGridStorage, SYNC)])
def test_a_cache_of_the_other_colour_is_refused(made: Any, way: str) -> None:
    """
    When it is given, and not at the first use; so is what is no cache.
    """
    grids: list[Any] = [cachegrid.connect("memory://"), cachegrid.aconnect("memory://")]
    fits = 1 if way is ASYNC else 0
    made(grids[fits].cache("mine"))
    for wrong in (grids[1 - fits].cache("mine"), grids[fits], "mine"):
        with pytest.raises(ConfigError, match=rf"cache is .* a cache of the grid that {way} gives"):
            made(wrong)


@pytest.mark.parametrize("made", [AsyncGridStorage, SyncGridStorage])
def test_times_and_sizes_of_responses_may_be_text(made: Any) -> None:
    """
    As everywhere else; what is none is told.
    """
    connect: Any = cachegrid.aconnect if made is AsyncGridStorage else cachegrid.connect
    cache = connect("memory://").cache("mine")
    storage = made(cache, default_ttl="5m", default_tti="90s", max_stream_size="1MB")
    assert (300, 90, 1_000_000) == (storage.default_ttl, storage.default_tti, storage.max_stream_size)
    storage = made(cache, default_ttl=None, max_stream_size=None)
    assert (None, None, None) == (storage.default_ttl, storage.default_tti, storage.max_stream_size)
    for name in ("default_ttl", "default_tti", "max_stream_size"):
        with pytest.raises(ConfigError, match=f"{name} is 'much'; it must be a"):
            made(cache, **{name: "much"})


def test_what_can_be_no_key_of_a_region_is_refused() -> None:
    """
    With what would be one.
    """
    region = make_region().configure("cachegrid", arguments={"url": "memory://regions"})
    wrong: Any = ["a"]
    for call in (region.get, region.delete, lambda key: region.set(key, 1)):
        with pytest.raises(KeyRefused, match="must be str, bytes, int or a tuple of them"):
            call(wrong)
