# Generated from src/cachegrid/_aio/kinds.py by tools/colour.py. Edit that file, then run `make colour`.
"""What may be a kept function, and what it is called."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cachegrid._core.binding import Binder, OwnedBinder
from cachegrid._core.closures import innermost
from cachegrid._core.judges import check_judge
from cachegrid._core.origins import Origin, conflict, origin_of
from cachegrid.errors import ConfigError

if TYPE_CHECKING:
    from cachegrid._sio.cache import SyncCache

__all__ = ["binder_of", "check_colour", "check_origin", "check_settings", "inner_of", "label_of"]

_MAINS: Final = ("__main__", "__mp_main__")


def inner_of(function: Any) -> tuple[Any, type | None]:
    """What is to be kept, and how it is bound: a class method's, static method's or property's function."""
    if isinstance(function, (classmethod, staticmethod)):
        return function.__func__, type(function)
    if isinstance(function, property):
        if function.fget is None or function.fset or function.fdel:
            want = "a property that is only read; keep a method, and let the property call it"
            raise ConfigError("cached", function, want)
        return function.fget, property
    if isinstance(function, functools.cached_property):
        want = "a function, or a property: put @property in place of @cached_property, which keeps values in the object"
        raise ConfigError("cached", function, want)
    return function, None


def check_settings(key: object, when: object, ignore: Iterable[str], version: object) -> None:
    """Refuse settings that are to be functions, and are none; or that say two things. Raises ConfigError."""
    if key is not None and not callable(key):
        raise ConfigError("key", key, "a function")
    if when is not None:
        check_judge("when", when, "a function that says of a result whether it is kept")
    if key is not None and ignore:
        raise ConfigError("ignore", ignore, "left out where key= makes the keys: what it does not use is ignored")
    if not isinstance(version, (int, str)) or isinstance(version, bool):
        raise ConfigError("version", version, 'a whole number, a text, or "source"')


def check_origin(function: Callable[..., object], known: dict[str, Origin], label: str, *, is_keyed: bool) -> None:
    """
    Refuse a function that would share its results with another one that is not the same. Raises ConfigError.

    What a module that is run again makes anew, or what is typed in again, takes the place of the older edition.
    """
    origin = origin_of(function, is_keyed=is_keyed)
    found, replaces = conflict(known.setdefault(label, origin), origin)
    if found:
        raise ConfigError("cached", function, f"one of a kind: {label.rpartition('/')[2]} {found}")
    if replaces:
        known[label] = origin


def binder_of(function: Callable[..., object], ignore: Iterable[str]) -> Binder:
    """What makes the keys of a function; of one that was taken from an object, this is an argument."""
    inner = innermost(function)
    method, owner = getattr(inner, "__func__", None), getattr(inner, "__self__", None)
    if method is None or owner is None:
        return Binder(function, ignore)
    return OwnedBinder(function, owner, next(iter(inspect.signature(method).parameters), "self"), ignore)


def check_colour(function: Callable[..., object], cache: SyncCache) -> None:
    """Refuse what this colour of cache cannot call. Raises ConfigError."""
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if is_generator or not callable(function):
        want = "a function that returns its result; @cachegrid.collected, put under @cached, makes one of a generator"
        raise ConfigError("cached", function, want)
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
