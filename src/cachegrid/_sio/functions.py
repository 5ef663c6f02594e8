# Generated from src/cachegrid/_aio/functions.py by tools/colour.py. Edit that file, then run `make colour`.
"""Functions whose results are kept: called as before, and asked for their key, or to forget."""

from __future__ import annotations

import copy
import functools
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, Protocol, Self, TypeVar, overload

from cachegrid._core.address import Key
from cachegrid._core.binding import Binder
from cachegrid._core.miss import MISS, UNSAID
from cachegrid._core.tags import Tags, tags_in
from cachegrid._sio.cell import FAR
from cachegrid._sio.loads import Terms
from cachegrid._sio.outage import OUTAGE
from cachegrid.errors import EngineError, ValueRefused
from cachegrid.waits._sio import mark_colour

if TYPE_CHECKING:
    from cachegrid._sio.cache import SyncCache

__all__ = [
    "SyncBoundFunction",
    "SyncCachedClassMethod",
    "SyncCachedFunction",
    "SyncCachedProperty",
    "SyncDecorator",
    "SyncTakesAnything",
]

P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SyncCachedFunction(Generic[P, T]):
    """A function whose results are entries of `cache`; calls with the same arguments share one load in the grid."""

    __wrapped__: Callable[P, T]

    def __init__(
        self,
        function: Callable[P, T],
        cache: SyncCache,
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

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        cache, key = self.cache, self._make_key(args, kwargs)
        value: T = cache._near(key, is_plain=self._is_bound)  # noqa: SLF001 - the cache hands itself to its functions
        if value is FAR:
            try:
                value = cache._read_grid(key)  # noqa: SLF001 - as above
            except OUTAGE as trouble:
                return self._loaded(key, args, kwargs, trouble)
            if value is not MISS and cache._due:  # noqa: SLF001 - as above
                return cache._served(key, value, self._loader(args, kwargs), self._terms(args, kwargs))  # noqa: SLF001 - as above
        return self._loaded(key, args, kwargs) if value is MISS else value

    # Apart from the call: a function inside it, that knows the arguments, would slow down those that find a result.
    def _loaded(self, key: Key, args: Any, kwargs: Any, trouble: EngineError | None = None) -> T:
        load = self._loader(args, kwargs)
        if trouble is not None:
            return self.cache._load_past(key, load, trouble)  # noqa: SLF001 - as above
        return self.cache._load(key, load, self._terms(args, kwargs))  # noqa: SLF001 - as above

    def _loader(self, args: Any, kwargs: Any) -> Callable[[], T]:
        def load() -> T:
            return self._function(*args, **kwargs)

        return load

    def _terms(self, args: Any, kwargs: Any) -> Terms:
        tags = self._tags
        rules = self.cache._rules  # noqa: SLF001 - as above
        return Terms(UNSAID, UNSAID, tags_in(tags(*args, **kwargs)) if callable(tags) else tags, rules, self._when)

    def key(self, *args: P.args, **kwargs: P.kwargs) -> Key:
        """The key of a call's entry in `cache`. Raises KeyRefused for arguments that cannot be in a key."""
        return self._make_key(args, kwargs)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop the result of one call for everybody; whether there was one."""
        return self.cache.delete(self._make_key(args, kwargs))

    def invalidate_all(self) -> None:
        """Drop the results of all calls for everybody, at the cost of one."""
        self.cache.clear()

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Call the function now, and keep its result for everybody in place of what is there; returns it.

        Others are served what is there until then. The result is always one of a call that began after this one was
        asked for: who asks while one is under way shares the next one with all of this process that ask meanwhile, and
        in the grid one is made at a time; waiting for others ends with LoadTimeout. If the function fails, what is
        there stays; if `when` says no of the result, it goes. What is set, deleted or invalidated meanwhile stays so.
        Where the grid cannot store the result that is an error, as of `set`.
        """
        key = self._make_key(args, kwargs)
        return self.cache._refresh(key, self._loader(args, kwargs), self._terms(args, kwargs))  # noqa: SLF001 - as above

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function itself; nothing is looked up or kept."""
        return self._function(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> SyncCachedFunction[P, T]: ...
    @overload
    def __get__(
        # Said as a callable: mypy looks at what comes before a ParamSpec there, and nowhere else.
        self: Callable[Concatenate[S, Q], T],
        instance: S,
        owner: type | None = None,
    ) -> SyncBoundFunction[Q, T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> SyncCachedFunction[P, T]: ...  # a static method
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if self._binds is staticmethod:
            return self
        return self if instance is None else SyncBoundFunction(self, instance)


class SyncCachedClassMethod(SyncCachedFunction[Concatenate[type[S], Q], T], Generic[S, Q, T]):
    """
    A class method whose results are kept: of each class its own.

    Checkers see the function inside, which begins with its class, and so take any such function for one of these.
    """

    def __get__(  # type: ignore[override] # a class method is bound where others are not
        self, instance: object, owner: type | None = None
    ) -> SyncBoundFunction[Q, T]:
        return SyncBoundFunction(self, owner if owner is not None else type(instance))


class SyncCachedProperty(SyncCachedFunction[[Any], T]):
    """A property whose values are kept; of the class it is the function, to which objects are passed."""

    @overload  # type: ignore[override] # it is called where others are bound
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else self(instance)

    def __set__(self, instance: object, value: object) -> NoReturn:
        message = f"property {getattr(self, '__name__', '')!r} of {type(instance).__name__!r} object has no setter"
        raise AttributeError(message)


class SyncBoundFunction(Generic[P, T]):
    """A cached method of one object, or of a class."""

    def __init__(self, method: SyncCachedFunction[..., T], owner: object) -> None:
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
    def __wrapped__(self) -> Callable[P, T]:
        # If this is kept once more, the object is found inside it.
        return types.MethodType(self._method.__wrapped__, self._owner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)  # its name, and whatever the function carries

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._method(self._owner, *args, **kwargs)

    def key(self, *args: P.args, **kwargs: P.kwargs) -> Key:
        """The key of a call's entry in `cache`."""
        return self._method.key(self._owner, *args, **kwargs)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop the result of one call for everybody; whether there was one."""
        return self._method.invalidate(self._owner, *args, **kwargs)

    def invalidate_all(self) -> None:
        """Drop the results of all calls, of all objects, for everybody."""
        self._method.invalidate_all()

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the method now, and keep its result for everybody in place of what is there; returns it."""
        return self._method.refresh(self._owner, *args, **kwargs)

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the method itself; nothing is looked up or kept."""
        return self._method.uncached(self._owner, *args, **kwargs)


class SyncTakesAnything(Protocol[P, Q, T_co]):
    """
    A function whose first parameter takes anything, so that it would pass for a class method, too.

    The first of its ways to be called tells its parameters, the second that it is one of these.
    """

    @overload
    def __call__(  # type: ignore[overload-overlap, unused-ignore] # it is one function; seen in one colour only
        self, *args: P.args, **kwargs: P.kwargs
    ) -> T_co: ...
    @overload
    def __call__(self, first: object, /, *args: Q.args, **kwargs: Q.kwargs) -> T_co: ...


class SyncDecorator(Protocol):
    """What `cached(...)` gives: it takes the function."""

    @overload
    def __call__(self, function: property, /) -> SyncCachedProperty[Any]: ...
    # The first, since it would pass for a class method, too.
    @overload
    def __call__(  # type: ignore[overload-overlap] # as said
        self, function: SyncTakesAnything[P, Q, T], /
    ) -> SyncCachedFunction[P, T]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[type[S], P], T], /) -> SyncCachedClassMethod[S, P, T]: ...
    @overload
    def __call__(self, function: classmethod[S, P, T], /) -> SyncCachedClassMethod[S, P, T]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> SyncCachedFunction[P, T]: ...


def _found(place: object, name: str) -> object:
    """What a qualified name names in a module; None if it names nothing."""
    for part in name.split("."):
        place = getattr(place, part, None)
    return place


def _unsendable(function: object, why: str) -> ValueRefused:
    return ValueRefused(f"{function!r} is pickled by its name, and {why}", kind=type(function))


def _name_of(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", repr(function))
