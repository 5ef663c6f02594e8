"""Where a function that is kept comes from: enough to tell whether another one under its label does the same."""

from __future__ import annotations

import contextlib
import inspect
import sys
import types
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from cachegrid._core.closures import difference, fixed_in, innermost

__all__ = ["Origin", "conflict", "origin_of"]

_OWNERS: Final = ("self", "cls")  # what functions call the object that they are made for


class _Edition(NamedTuple):
    """What a function was read from: a file, or what someone types; and the module that was run."""

    module: str
    file: str
    is_typed: bool  # and may be typed in again, under whatever name
    ran: tuple[object, object]  # the module and its spec: running it again makes one of them anew

    def is_text_of(self, other: _Edition) -> bool:
        """Whether both were read from one text, in one go."""
        # Any number of texts are called "<string>".
        is_one = not self.file.startswith("<") or (self.file == "<stdin>" and not hasattr(sys, "ps1"))
        ran = all(_is_same(one, another) for one, another in zip(self.ran, other.ran, strict=True))
        return is_one and ran and self.file == other.file


class Origin(NamedTuple):
    """A function as it was made."""

    name: str  # as its module calls it
    place: str  # for people
    code: tuple[object, ...]  # what it does; empty where nobody can tell
    edition: _Edition | None  # None of what is not written in Python
    fixed: Mapping[str, str]  # what it was made with, in words
    owners: Mapping[str, object]  # what it belongs to and cannot be told from others, such as `self`; weak references


def origin_of(function: Callable[..., Any], *, is_keyed: bool = False) -> Origin:
    """Where a function comes from; where keys are made by hand (`is_keyed`), what it was made with is theirs to say."""
    inner = innermost(function)
    owners: dict[str, object] = {} if is_keyed else _owners_of(inner)
    fixed = {} if is_keyed else fixed_in(function)
    for name in [name for name in owners if name in fixed]:
        del owners[name]
    if not inspect.isroutine(inner) and not isinstance(inner, type):
        inner = type(inner).__call__  # of an object that can be called
    code = getattr(inner, "__code__", None)
    name = f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', '')}"
    known = {name: _weak(owner) for name, owner in owners.items()}
    if code is None:
        return Origin(name, name, (), None, fixed, known)
    place = f"{Path(code.co_filename).name}, line {code.co_firstlineno}"
    told = (code.co_firstlineno, code.co_code, code.co_consts, code.co_names)
    return Origin(name, place, told, _edition_of(inner, code.co_filename), fixed, known)


def conflict(one: Origin, other: Origin) -> tuple[str, bool]:
    """
    Why another function is not the same as the one before, in words, empty if it may be; and whether it replaces it.

    It does where it is a later edition: of a module that was run again, or of what was typed in again.
    """
    mine, its = one.edition, other.edition
    if mine is None or its is None:
        is_other = mine is not its or one.name != other.name
    elif not mine.is_text_of(its):
        is_far = mine.module != its.module and mine.file != its.file
        is_other = is_far and not (mine.is_typed or its.is_typed)
        return (_places(one, other), False) if is_other else ("", True)
    else:
        is_other = one.code != other.code
    if is_other:
        return _places(one, other), False
    found = difference(one.fixed, other.fixed)
    if found:
        words = "both would share their results; give each its name=, or make the value a parameter"
        return f"was made with {found}, and {words}", False
    return _other_owner(one, other), False


def _places(one: Origin, other: Origin) -> str:
    return f"is the function at {one.place}, and that at {other.place} would share its results; give each its name="


def _other_owner(one: Origin, other: Origin) -> str:
    for name, owner in one.owners.items():
        if name in other.owners and not _is_same(owner, other.owners[name]):
            return (
                f"was made for another {name}, and both would share their results; give each its name=, "
                f"keep a method of its class, or let the class say what tells them apart with __cache_key__()"
            )
    return ""


def _owners_of(inner: Any) -> dict[str, Any]:
    """The objects that a function belongs to without being given them, by what it calls them."""
    if not isinstance(inner, type) and not inspect.isroutine(inner):
        return {"object": inner}
    if isinstance(inner, types.BuiltinMethodType) and not isinstance(inner.__self__, (types.ModuleType, type)):
        return {"object": inner.__self__}
    code, cells = getattr(inner, "__code__", None), getattr(inner, "__closure__", None) or ()
    owners: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        with contextlib.suppress(ValueError):  # not made yet
            if name in _OWNERS:
                owners[name] = cell.cell_contents
    return owners


def _edition_of(function: Any, file: str) -> _Edition:
    module = getattr(function, "__module__", None) or ""
    found = sys.modules.get(module)
    is_typed = file.startswith("<") or not getattr(found, "__file__", None)
    return _Edition(module, file, is_typed, (_weak(found), _weak(getattr(found, "__spec__", None))))


def _weak(it: object) -> object:
    """A reference that does not keep it alive, where there is such a thing; else the object."""
    try:
        return weakref.ref(it)
    except TypeError:
        return it


def _is_same(one: object, other: object) -> bool:
    """Whether both references are to the same object; not to one that is gone."""
    here = one() if isinstance(one, weakref.ref) else one
    there = other() if isinstance(other, weakref.ref) else other
    if here is None and there is None:
        return one is other is None
    return here is there
