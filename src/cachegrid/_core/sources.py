"""What a function is written as: a version of it that is another one when it was changed."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cachegrid._core.binding import told
from cachegrid.errors import ConfigError

__all__ = ["version_in_source"]


def version_in_source(function: Callable[..., Any]) -> str:
    """
    A digest of a function's text, from `def` on, and of its defaults: the same in every process.

    What stands above `def` is none of it, and what the function calls neither. Raises ConfigError where there is no
    source.
    """
    digest = hashlib.blake2b(digest_size=8)
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        _add(digest, inner.args, inner.keywords)
        inner = inspect.unwrap(inner.func)
    if not inspect.isroutine(inner):
        inner = type(inner).__call__  # of an object that can be called
    digest.update(_text(inner).encode("utf-8", "surrogatepass"))
    _add(digest, inner.__defaults__ or (), inner.__kwdefaults__ or {})
    return digest.hexdigest()


def _add(digest: hashlib.blake2b, args: Iterable[object], kwargs: Mapping[str, object]) -> None:
    """Values, where they can be told from others; else of what types they are."""
    for value in (*args, *itertools.chain(*sorted(kwargs.items()))):
        words = told(value)
        digest.update(b"?" + type(value).__qualname__.encode() if words is None else words)


def _text(function: Callable[..., Any]) -> str:
    try:
        lines, _ = inspect.getsourcelines(function)
    except (OSError, TypeError) as error:
        want = f"said by hand, such as version=2: there is no source of {function!r}"
        raise ConfigError("version", "source", want) from error
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    return "\n".join([line.removeprefix(indent).rstrip() for line in _below_decorators(lines, indent)])


def _below_decorators(lines: list[str], indent: str) -> list[str]:
    """The lines of a function itself; all of them where they are something else, such as a lambda in a call."""
    first = "if True:\n" if indent else "\n"  # a line of our own, below which the others stand right
    try:
        module = ast.parse(first + "".join(lines))
    except SyntaxError:
        return lines
    for found in ast.walk(module):  # from the outside in
        if isinstance(found, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return lines[found.lineno - 2 : found.end_lineno and found.end_lineno - 1]
    return lines
