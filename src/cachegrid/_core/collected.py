"""Generators whose items are wanted together, such as the pages of an answer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, ParamSpec, TypeVar, overload

from cachegrid.errors import ConfigError

__all__ = ["collected"]

P = ParamSpec("P")
T = TypeVar("T")


@overload
def collected(function: Callable[P, AsyncIterator[T]], /) -> Callable[P, Coroutine[Any, Any, list[T]]]: ...
@overload
def collected(function: Callable[P, Iterator[T]], /) -> Callable[P, list[T]]: ...
def collected(function: Callable[..., Any], /) -> Callable[..., Any]:
    """
    A function that returns all that a generator function yields, as a list; of an async one it is to be awaited.

    That can be kept, and a generator cannot: put it under `@cached`. Raises ConfigError for what is no generator
    function.

    >>> @collected
    ... def pages(count):
    ...     for number in range(count):
    ...         yield f"page {number}"
    >>> pages(2)
    ['page 0', 'page 1']
    """
    if inspect.isasyncgenfunction(function):

        async def acollect(*args: Any, **kwargs: Any) -> list[Any]:
            return [item async for item in function(*args, **kwargs)]

        return functools.wraps(function)(acollect)
    if not inspect.isgeneratorfunction(function):
        raise ConfigError("collected", function, "a generator function; put @collected right above its `def`")

    def collect(*args: Any, **kwargs: Any) -> list[Any]:
        return list(function(*args, **kwargs))

    return functools.wraps(function)(collect)
