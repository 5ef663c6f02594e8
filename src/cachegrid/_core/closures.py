"""What functions that are made again and again are made with, as far as that can be told apart for certain."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import enum
import functools
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cachegrid._core.binding import told

__all__ = ["difference", "fixed_in", "innermost"]

_PLAIN: Final = (
    *(str, bytes, int, float, complex, types.NoneType),
    *(dt.date, dt.time, dt.timedelta, decimal.Decimal, enum.Enum, uuid.UUID),
)


def fixed_in(function: Callable[..., Any]) -> dict[str, str]:
    """
    The names that a function has from the one that made it, with their values in words.

    Only values that cannot change, and functions and classes: they decide what it gives. Connections, lists and such
    say nothing of that, and are other ones in every function that is made.

    >>> def make(rate, database):
    ...     return lambda price: price * rate + database
    >>> fixed_in(make(2, object()))
    {'rate': '2'}
    """
    values: dict[str, Any] = {}
    inner = function
    for part in _layers(function):
        inner = part
        if isinstance(part, functools.partial):
            values |= {f"argument {number}": value for number, value in enumerate(part.args, 1)} | part.keywords
    if not isinstance(inner, (type, types.FunctionType, types.MethodType)):
        values["object"] = getattr(inner, "__self__", inner)
    code, cells = getattr(inner, "__code__", None), getattr(inner, "__closure__", None) or ()
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        with contextlib.suppress(ValueError):  # not made yet, such as the function itself
            values[name] = cell.cell_contents
    return {name: words for name, value in values.items() if (words := _words(value)) is not None}


def innermost(function: Callable[..., Any]) -> Any:
    """What is called in the end by a function that others are put around, or of which some arguments are given."""
    inner: Any = function
    for part in _layers(function):
        inner = part
    return inner


def _layers(function: Any) -> Iterator[Any]:
    """A function, and what is inside it, from the outside in."""
    while True:
        yield function
        inner = function.func if isinstance(function, functools.partial) else getattr(function, "__wrapped__", None)
        if inner is None or isinstance(function, type):
            return
        function = inner


def difference(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """
    The first name that both have with different values, in words; empty if there is none.

    >>> difference({"rate": "2", "unit": "'m'"}, {"rate": "3"})
    'rate=2 and rate=3'
    """
    for name, words in one.items():
        if other.get(name, words) != words:
            return f"{name}={words:.60} and {name}={other[name]:.60}"
    return ""


def _words(value: object) -> str | None:
    """A value in words that another one does not have; None if it cannot be told."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        line = value.__code__.co_firstlineno if isinstance(value, types.FunctionType) else 0
        return f"{value.__module__}.{value.__qualname__}" + (f", line {line}" if line else "")
    if hasattr(type(value), "__cache_key__"):
        return _key_of(value)
    if isinstance(value, types.MethodType) and hasattr(type(value.__self__), "__cache_key__"):
        return f"{_words(value.__func__)} of {_key_of(value.__self__)}"
    if isinstance(value, tuple):
        words = [_words(part) for part in value]
        return None if None in words else f"({', '.join(str(word) for word in words)})"
    return None


def _key_of(value: Any) -> str | None:
    """What an object says that it is in a key; None where it cannot, since it is not ready."""
    try:
        return f"{type(value).__name__} {value.__cache_key__()!r}" if told(value) is not None else None
    except Exception:  # noqa: BLE001 - of a class of the application
        return None
