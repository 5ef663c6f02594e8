"""
Classes that `plain` keeps because somebody vouched for them: `register`.

A stored value names its class by the registered name, and reading looks that name up here. Nothing is ever
imported because stored bytes say so; a name that is not registered in the reading process is a miss.
"""

from __future__ import annotations

import dataclasses
import enum
import zlib
from collections.abc import Callable
from functools import cached_property
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar, overload

from cachegrid.codecs.kinds import KINDS, MAKERS, REGISTERED, Kind, Maker
from cachegrid.codecs.refusal import Refused
from cachegrid.errors import ConfigError

__all__ = ["register"]

T = TypeVar("T")
Take = Callable[[Any], list[Any]]
Make = Callable[[list[Any]], Any]
Step = Callable[[Any, int], str]


class _Entry(NamedTuple):
    """A registered class; its stored form is [name, shape, *parts]."""

    cls: type
    shape: int  # a checksum of the field names: values written under other fields are a miss, never mixed up
    make: Make  # from the parts


_BY_NAME: Final[dict[str, _Entry]] = {}
_HEAD: Final = 2  # name and shape, before the parts


@overload
def register(
    cls: type[T],
    /,
    name: str | None = None,
    *,
    pack: Callable[[T], object] | None = None,
    unpack: Callable[[Any], T] | None = None,
) -> type[T]: ...


@overload
def register(
    cls: None = None,
    /,
    name: str | None = None,
    *,
    pack: Callable[[Any], object] | None = None,
    unpack: Callable[[Any], object] | None = None,
) -> Callable[[type[T]], type[T]]: ...


def register(
    cls: type[Any] | None = None,
    /,
    name: str | None = None,
    *,
    pack: Callable[[Any], object] | None = None,
    unpack: Callable[[Any], object] | None = None,
) -> Any:
    """
    Let the codec `plain` keep instances of a class, in this process; also a decorator.

    Dataclasses, enums and named tuples need nothing more. They are read back field by field, without running
    `__init__`. For any other class give `pack`, which turns an instance into a value that `plain` keeps, and
    `unpack`, which makes an equal instance of that.

    Values are stored under `name`, by default the qualified name of the class. Every process that reads them
    must have registered a class under it, with the same fields; for one that has not, they are misses.
    Raises `ConfigError` for a class that needs `pack` and `unpack`, and for a name that is taken.

    >>> @register
    ... @dataclasses.dataclass
    ... class Harbour:
    ...     name: str
    ...     at: tuple[float, float]
    """
    if cls is None:
        return lambda decorated: register(decorated, name, pack=pack, unpack=unpack)
    name = cls.__qualname__ if name is None else name
    if cls in KINDS and KINDS[cls].code != REGISTERED:
        raise ConfigError("register: cls", cls, "a class that plain does not keep anyway")
    known = _BY_NAME.get(name)
    if known is not None and not _same(known.cls, cls):
        raise ConfigError(f"register({cls.__qualname__}): name", name, f"one that {known.cls} does not have")
    fields, take, make, step = _form(cls, pack, unpack)
    shape = zlib.crc32("\0".join(fields).encode("utf-8", "surrogatepass"))
    head = [name, shape]
    KINDS[cls] = Kind(REGISTERED, nested=True, take=lambda value: head + take(value), step=step)
    _BY_NAME[name] = _Entry(cls, shape, make)
    return cls


def _same(known: type, cls: type) -> bool:
    """Whether it is one class, or one that was made anew from the same source, as reloading does."""
    return (known.__module__, known.__qualname__) == (cls.__module__, cls.__qualname__)


def _form(
    cls: type[Any], pack: Callable[[Any], object] | None, unpack: Callable[[Any], object] | None
) -> tuple[tuple[str, ...], Take, Make, Step]:
    """The field names of a class, and how its instances become parts and come back."""
    if pack is not None and unpack is not None:
        return (), _pack_with(cls, pack), _make_one(unpack), _step_of_one(".pack()")
    if pack is None and unpack is None:
        if issubclass(cls, enum.Flag):
            return (), lambda value: [value.value], _make_one(cls), _step_of_one(".value")
        if issubclass(cls, enum.Enum):
            return (), lambda value: [value.name], _make_one(lambda name: cls[name]), _step_of_one(".name")
        if dataclasses.is_dataclass(cls):
            return _dataclass_form(cls)
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            return _named_tuple_form(cls)
    want = "a dataclass, an enum or a named tuple, or come with pack= and unpack="
    raise ConfigError("register: cls", cls, want)


def _pack_with(cls: type[Any], pack: Callable[[Any], object]) -> Take:
    def take(value: Any) -> list[Any]:
        try:
            return [pack(value)]
        except Exception as error:
            raise Refused(cls, f"its registered pack failed: {error!r}", "repair that function") from error

    return take


def _make_one(make: Callable[[Any], Any]) -> Make:
    def from_parts(parts: list[Any]) -> Any:
        (part,) = parts
        return make(part)

    return from_parts


def _step_of_one(step: str) -> Step:
    return lambda _value, _index: step


def _step_of_field(fields: tuple[str, ...]) -> Step:
    return lambda _, index: f".{fields[index - _HEAD]}"


def _named_tuple_form(cls: type[Any]) -> tuple[tuple[str, ...], Take, Make, Step]:
    fields: tuple[str, ...] = cls._fields

    def take(value: Any) -> list[Any]:
        if getattr(value, "__dict__", None):
            raise Refused(cls, f"it has attributes that are no fields: {', '.join(vars(value))}")
        return [*value]

    def make(parts: list[Any]) -> Any:
        if len(parts) != len(fields):
            raise ValueError(f"{cls.__qualname__} has {len(fields)} fields, not {len(parts)}")
        return tuple.__new__(cls, parts)

    return fields, take, make, _step_of_field(fields)


def _dataclass_form(cls: type[Any]) -> tuple[tuple[str, ...], Take, Make, Step]:
    fields = tuple(field.name for field in dataclasses.fields(cls))
    try:
        object.__new__(cls)
    except TypeError:  # abstract, or with the contents of a built-in container besides its fields
        raise ConfigError("register: cls", cls, "a class made of its fields alone; or give pack= and unpack=") from None
    values = _values_getter(fields)
    has_dict = cls.__dictoffset__ != 0
    # A cached property would only be computed again.
    known = {*fields, *(name for name in dir(cls) if isinstance(getattr(cls, name, None), cached_property))}

    def take(value: Any) -> list[Any]:
        if has_dict and not value.__dict__.keys() <= known:
            strangers = " and ".join(value.__dict__.keys() - known)
            ways = f"make {strangers} a field, or register the class with pack= and unpack="
            raise Refused(cls, f"it has attributes that are no fields: {strangers}", ways)
        try:
            return values(value)
        except AttributeError as error:
            raise Refused(cls, f"a field is not set: {error}") from None

    def make(parts: list[Any]) -> Any:
        made = object.__new__(cls)
        if plain_dict:
            made.__dict__.update(zip(fields, parts, strict=True))
        else:
            for field, part in zip(fields, parts, strict=True):
                object.__setattr__(made, field, part)
        return made

    # Without descriptors under the names of fields, filling __dict__ is the same and many times faster.
    plain_dict = has_dict and not any(hasattr(getattr(cls, field, None), "__set__") for field in fields)
    return fields, take, make, _step_of_field(fields)


def _values_getter(fields: tuple[str, ...]) -> Callable[[Any], list[Any]]:
    if len(fields) > 1:
        get = attrgetter(*fields)
        return lambda value: [*get(value)]
    return lambda value: [getattr(value, field) for field in fields]


def _make_registered(parts: list[Any]) -> object:
    name, shape, *rest = parts
    entry = _BY_NAME.get(name)
    if entry is None:
        raise LookupError(f"no class is registered here as {name!r}")
    if entry.shape != shape:
        raise LookupError(f"the class registered as {name!r} had other fields when this was stored")
    return entry.make(rest)


MAKERS[REGISTERED] = Maker(nested=True, make=_make_registered)
