"""What functions that are made again and again are made with, as far as that can be told apart for certain."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import types
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["difference", "fixed_in"]

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
    function = inspect.unwrap(function)
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
    told: dict[str, str] = {}
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            words = _words(cell.cell_contents)
        except ValueError:  # not made yet, such as the function itself
            continue
        if words is not None:
            told[name] = words
    return told


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
    if isinstance(value, tuple):
        words = [_words(part) for part in value]
        return None if None in words else f"({', '.join(str(word) for word in words)})"
    return None
