"""Functions whose results are kept: called as before, and asked for their key, or to forget."""

from __future__ import annotations

import copy
import functools
import inspect
import re
import sys
import types
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from cachegrid._aio.cell import FAR
from cachegrid._aio.loads import Terms
from cachegrid._aio.outage import OUTAGE
from cachegrid._core.address import Key
from cachegrid._core.binding import Binder
from cachegrid._core.closures import difference, fixed_in
from cachegrid._core.miss import MISS, UNSAID
from cachegrid._core.tags import Tags, tags_in
from cachegrid.errors import ConfigError, EngineError, ValueRefused
from cachegrid.waits._aio import mark_colour

if TYPE_CHECKING:
    from cachegrid._aio.cache import AsyncCache

__all__ = [
    "AsyncBoundFunction",
    "AsyncCachedClassMethod",
    "AsyncCachedFunction",
    "AsyncDecorator",
    "check_closure",
    "check_colour",
    "label_of",
]

_MAINS: Final = ("__main__", "__mp_main__")

P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S")
T = TypeVar("T")


class AsyncCachedFunction(Generic[P, T]):
    """A function whose results are entries of `cache`; calls with the same arguments share one load in the grid."""

    __wrapped__: Callable[P, Awaitable[T]]

    def __init__(
        self,
        function: Callable[P, Awaitable[T]],
        cache: AsyncCache,
        make_key: Callable[[tuple[Any, ...], dict[str, Any]], Key],
        binds: type | None = None,
        *,
        tags: Tags | Callable[..., Tags] = (),
        when: Callable[[T], bool] | None = None,
    ) -> None:
        functools.update_wrapper(self, function)  # first: what the function carries must not replace what is ours
        self._function, self._make_key, self._binds = function, make_key, binds
        self._is_bound = isinstance(getattr(make_key, "__self__", None), Binder)  # which makes no keys but plain ones
        self.cache = cache
        self._tags = tags if callable(tags) else tags_in(tags)
        self._when = when
        mark_colour(self, function)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {_name_of(self._function)} in {self.cache!r}>"

    def __reduce__(self) -> str:
        # As any function: by its name, under which the other process finds one with a connection of its own.
        module, name = getattr(self, "__module__", ""), getattr(self, "__qualname__", "")
        if _found(sys.modules.get(module), name) is not self:
            raise _unsendable(self, f"{module}.{name or '?'} is not it; decorate it where it is defined, with @")
        return name

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        cache, key = self.cache, self._make_key(args, kwargs)
        value: T = cache._near(key, is_plain=self._is_bound)  # noqa: SLF001 - the cache hands itself to its functions
        if value is FAR:
            try:
                value = await cache._read_grid(key)  # noqa: SLF001 - as above
            except OUTAGE as trouble:
                return await self._loaded(key, args, kwargs, trouble)
            if value is not MISS and cache._due:  # noqa: SLF001 - as above
                return cache._served(key, value, self._loader(args, kwargs), self._terms(args, kwargs))  # noqa: SLF001 - as above
        return await self._loaded(key, args, kwargs) if value is MISS else value

    # Apart from the call: a function inside it, that knows the arguments, would slow down those that find a result.
    async def _loaded(self, key: Key, args: Any, kwargs: Any, trouble: EngineError | None = None) -> T:
        load = self._loader(args, kwargs)
        if trouble is not None:
            return await self.cache._load_past(key, load, trouble)  # noqa: SLF001 - as above
        return await self.cache._load(key, load, self._terms(args, kwargs))  # noqa: SLF001 - as above

    def _loader(self, args: Any, kwargs: Any) -> Callable[[], Awaitable[T]]:
        async def load() -> T:
            return await self._function(*args, **kwargs)

        return load

    def _terms(self, args: Any, kwargs: Any) -> Terms:
        tags = self._tags
        rules = self.cache._rules  # noqa: SLF001 - as above
        return Terms(UNSAID, UNSAID, tags_in(tags(*args, **kwargs)) if callable(tags) else tags, rules, self._when)

    def key(self, *args: P.args, **kwargs: P.kwargs) -> Key:
        """The key of a call's entry in `cache`. Raises KeyRefused for arguments that cannot be in a key."""
        return self._make_key(args, kwargs)

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop the result of one call for everybody; whether there was one."""
        return await self.cache.delete(self._make_key(args, kwargs))

    async def invalidate_all(self) -> None:
        """Drop the results of all calls for everybody, at the cost of one."""
        await self.cache.clear()

    async def uncached(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function itself; nothing is looked up or kept."""
        return await self._function(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> AsyncCachedFunction[P, T]: ...
    @overload
    def __get__(
        self: AsyncCachedFunction[Concatenate[S, Q], T], instance: S, owner: type | None = None
    ) -> AsyncBoundFunction[Q, T]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if self._binds is staticmethod:
            return self
        return self if instance is None else AsyncBoundFunction(self, instance)


class AsyncCachedClassMethod(AsyncCachedFunction[Concatenate[type[S], Q], T], Generic[S, Q, T]):
    """
    A class method whose results are kept: of each class its own.

    Checkers see the function inside, which begins with its class, and so take any such function for one of these.
    """

    def __get__(  # type: ignore[override] # a class method is bound where others are not
        self, instance: object, owner: type | None = None
    ) -> AsyncBoundFunction[Q, T]:
        return AsyncBoundFunction(self, owner if owner is not None else type(instance))


class AsyncBoundFunction(Generic[P, T]):
    """A cached method of one object, or of a class."""

    def __init__(self, method: AsyncCachedFunction[..., T], owner: object) -> None:
        self._method, self._owner = method, owner
        self.cache = method.cache
        self.__doc__, self.__module__ = method.__doc__, method.__module__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._method!r} of {self._owner!r}>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, str]]:
        name = getattr(self._method, "__name__", "")
        if getattr(getattr(self._owner, name, None), "_method", None) is not self._method:
            raise _unsendable(self, f"its {type(self._owner).__name__} has another {name or '?'}")
        return getattr, (self._owner, name)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(self._method, copy.deepcopy(self._owner, memo))

    @property
    def __wrapped__(self) -> Callable[P, Awaitable[T]]:
        return types.MethodType(self._method.__wrapped__, self._owner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)  # its name, and whatever the function carries

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._method(self._owner, *args, **kwargs)

    def key(self, *args: P.args, **kwargs: P.kwargs) -> Key:
        """The key of a call's entry in `cache`."""
        return self._method.key(self._owner, *args, **kwargs)

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop the result of one call for everybody; whether there was one."""
        return await self._method.invalidate(self._owner, *args, **kwargs)

    async def invalidate_all(self) -> None:
        """Drop the results of all calls, of all objects, for everybody."""
        await self._method.invalidate_all()

    async def uncached(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the method itself; nothing is looked up or kept."""
        return await self._method.uncached(self._owner, *args, **kwargs)


class AsyncDecorator(Protocol):
    """What `cached(...)` gives: it takes the function."""

    # What begins with a parameter that takes anything is the first: it would pass for a class method, too.
    @overload
    def __call__(  # type: ignore[overload-overlap] # as said
        self, function: Callable[Concatenate[object, P], Awaitable[T]], /
    ) -> AsyncCachedFunction[..., T]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[type[S], P], Awaitable[T]], /
    ) -> AsyncCachedClassMethod[S, P, T]: ...
    @overload
    def __call__(self, function: classmethod[S, P, Awaitable[T]], /) -> AsyncCachedClassMethod[S, P, T]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[T]], /) -> AsyncCachedFunction[P, T]: ...


def check_closure(function: Callable[..., object], known: dict[str, dict[str, str]], label: str) -> None:
    """Refuse a function that would share its results with another one that is not the same. Raises ConfigError."""
    fixed = fixed_in(function)
    found = difference(known.setdefault(label, fixed), fixed)
    if found:
        want = f"one of a kind: {label} was made with {found}, and both would share their results; "
        raise ConfigError("cached", function, want + "give each its name=, or make the value a parameter")


def check_colour(function: Callable[..., object], cache: AsyncCache) -> None:
    """Refuse what this colour of cache cannot call. Raises ConfigError."""
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if is_generator or not callable(function):
        raise ConfigError("cached", function, "a function that returns its result; collect a generator's into a list")
    # The second is that of an object that can be called, such as a cached function.
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
    if is_async is not cache.is_async:
        want = "an async function" if cache.is_async else "a sync function"
        want = f"{want}; for this one take the cache from {cache.other_way}"
        raise ConfigError(f"what {cache.name!r} keeps", function, want)


def label_of(function: Callable[..., object]) -> str:
    """What a function is called in addresses. Raises ConfigError for one that has no name."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name or name.endswith("<lambda>"):
        raise ConfigError("cached", function, "a function with a name of its own, or one that is given one with name=")
    return f"{_main_name(module) if module in _MAINS else module}.{name}"


def _found(place: object, name: str) -> object:
    """What a qualified name names in a module; None if it names nothing."""
    for part in name.split("."):
        place = getattr(place, part, None)
    return place


def _unsendable(function: object, why: str) -> ValueRefused:
    return ValueRefused(f"{function!r} is pickled by its name, and {why}", kind=type(function))


def _name_of(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _main_name(module: str) -> str:
    """
    The name that the program's own module has for those who import it.

    Every program's is called the same while it runs, and another way in the processes that it spawns.
    """
    main = sys.modules.get(module)
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:  # begun with `python -m`
        return str(spec.name)
    return re.sub(r"[^\w.-]", "_", Path(file).stem) if file else "__main__"
