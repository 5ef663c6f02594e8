"""What a cache with a source cannot call is refused when it is given, and not when something waits to be written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial, wraps
from typing import Any

import pytest

import cachegrid
from cachegrid.errors import ConfigError


def sync_one(_: Any) -> None:
    raise AssertionError


async def async_one(_: Any) -> None:
    raise AssertionError


class Source:
    def sync_one(self, _: Any) -> None:
        raise AssertionError

    async def async_one(self, _: Any) -> None:
        raise AssertionError


class Called:
    async def __call__(self, _: Any) -> None:
        raise AssertionError


def written(changes: Any) -> Iterator[Any]:
    yield changes


async def awritten(changes: Any) -> AsyncIterator[Any]:
    yield changes


@pytest.mark.parametrize("setting", ["loader", "load_many", "writer"])
@pytest.mark.parametrize("function", [sync_one, Source().sync_one, partial(sync_one)])
def test_an_async_cache_calls_async_functions(setting: str, function: Any) -> None:
    """
    Not one that would have written to the source already when it is found to be none.
    """
    cache: Any = cachegrid.aconnect("memory://").cache("rows")
    with pytest.raises(ConfigError, match=rf"{setting} is .* an async function; .* from cachegrid\.connect\(\)"):
        cachegrid.through(cache, **{setting: function})
    with pytest.raises(ConfigError, match="an async function"):
        cachegrid.through(cache, writer=function, behind="5s")


@pytest.mark.parametrize("setting", ["loader", "load_many", "writer"])
@pytest.mark.parametrize("function", [async_one, Source().async_one, partial(async_one), Called()])
def test_a_sync_cache_calls_sync_functions(setting: str, function: Any) -> None:
    """
    What would give it something to be awaited, it does not begin.
    """
    with cachegrid.connect("memory://") as grid:
        cache: Any = grid.cache("rows")
        with pytest.raises(ConfigError, match=rf"{setting} is .* a sync function; .* from cachegrid\.aconnect\(\)"):
            cachegrid.through(cache, **{setting: function})


@pytest.mark.parametrize("function", [written, awritten, {}.get, "written", Called])
def test_generators_and_what_is_not_called(function: Any) -> None:
    """
    A generator would do nothing at all; what is built in or a class is as good as any.
    """
    with cachegrid.connect("memory://") as grid:
        caches: list[Any] = [grid.cache("rows"), cachegrid.aconnect("memory://").cache("rows")]
        for cache in caches:
            if function in (written, awritten, "written"):
                with pytest.raises(ConfigError, match="writer is .* a function that returns, and no generator"):
                    cachegrid.through(cache, writer=function)
            else:
                assert cache is cachegrid.through(cache, writer=function).cache


@wraps(async_one)
def run(_: Any) -> None:
    """An async function that is made a sync one."""


@cachegrid.collected
def rows(changes: Any) -> Iterator[Any]:
    yield changes


@pytest.mark.parametrize("function", [run, rows, partial(sync_one), cachegrid.connect])
def test_what_is_wrapped_is_no_matter_of_a_sync_cache(function: Any) -> None:
    """
    It calls what it was given.
    """
    with cachegrid.connect("memory://") as grid:
        cachegrid.through(grid.cache("rows"), loader=function)


def test_an_async_cache_takes_what_may_give_something_to_be_awaited() -> None:
    """
    Which its call will tell.
    """
    cache: Any = cachegrid.aconnect("memory://").cache("rows")
    functions: list[Any] = [run, lambda key: async_one(key), Called, Called()]  # noqa: PLW0108 - a lambda is meant
    for function in functions:
        cachegrid.through(cache, loader=function)
