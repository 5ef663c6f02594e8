"""
The types that msgpack lacks, and how `plain` writes them: a code, and the functions to and from bytes.

A leaf is written as bytes of its own; a nested kind as a list of parts, each a value again. The codes stand
in stored entries: one that was in use never gets another meaning.
"""

from __future__ import annotations

import struct
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from cachegrid.codecs.protocol import Payload
from cachegrid.codecs.zones import zone_from_bytes, zone_to_bytes

__all__ = ["ARRAY", "KINDS", "MAKERS", "RECORDS", "REGISTERED", "SCALAR", "TABLE", "Kind", "pairs", "step_of_pair"]

STR, BYTES, BYTEARRAY, INT, COMPLEX, DECIMAL, UUID_, RANGE = 1, 2, 3, 4, 5, 6, 7, 8
DATETIME, DATE, TIME, TIMEDELTA = 16, 17, 18, 19
ARRAY, SCALAR = 24, 25
TUPLE, SET, FROZENSET, DEQUE, MAP, ORDERED = 32, 33, 34, 35, 36, 37
REGISTERED = 48
RECORDS, TABLE = 56, 57


class Kind(NamedTuple):
    """How one type is written."""

    code: int
    nested: bool
    take: Callable[[Any], Any]  # a value to bytes; of a nested kind, to the list of its parts
    step: Callable[[Any, int], str] = lambda _, index: f"[{index}]"  # where in the value a part is, for messages


class Maker(NamedTuple):
    """How one code is read."""

    nested: bool
    make: Callable[[Any], object]  # from bytes or a memoryview; of a nested kind, from the list of its parts


KINDS: Final[dict[type, Kind]] = {}  # by exact type; `registry` and `arrays` add to it
MAKERS: Final[dict[int, Maker]] = {}  # by code


def _leaf(kind: type, code: int, take: Callable[[Any], bytes], make: Callable[[Any], object]) -> None:
    KINDS[kind] = Kind(code, nested=False, take=take)
    MAKERS[code] = Maker(nested=False, make=make)


def _nest(
    kind: type,
    code: int,
    take: Callable[[Any], list[Any]],
    make: Callable[[list[Any]], object],
    step: Callable[[Any, int], str] | None = None,
) -> None:
    entry = Kind(code, nested=True, take=take)
    KINDS[kind] = entry if step is None else entry._replace(step=step)
    MAKERS[code] = Maker(nested=True, make=make)


# Text and numbers. msgpack has most of them; these are for the rest, and for values that stand alone.

_COMPLEX: Final = struct.Struct(">dd")


def _take_str(value: str) -> bytes:
    try:
        return value.encode()  # without arguments, since looking up "surrogatepass" takes longer than encoding
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def _make_str(body: Payload) -> str:
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError:
        return str(body, "utf-8", "surrogatepass")


def _take_int(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _make_int(body: Payload) -> int:
    return int.from_bytes(body, "big", signed=True)


def _make_decimal(body: Payload) -> Decimal:
    return Decimal(str(body, "ascii"))


_leaf(str, STR, _take_str, _make_str)
_leaf(bytes, BYTES, lambda value: value, bytes)
_leaf(bytearray, BYTEARRAY, bytes, bytearray)
_leaf(int, INT, _take_int, _make_int)
_leaf(complex, COMPLEX, lambda value: _COMPLEX.pack(value.real, value.imag), lambda b: complex(*_COMPLEX.unpack(b)))
_leaf(Decimal, DECIMAL, lambda value: str(value).encode(), _make_decimal)
_leaf(UUID, UUID_, lambda value: value.bytes, lambda body: UUID(bytes=bytes(body)))

# Times. Field by field, so that damaged bytes meet the checks of the constructors.

_DATETIME: Final = struct.Struct(">HBBBBBI")
_TIME: Final = struct.Struct(">BBBI")
_DATE: Final = struct.Struct(">HBB")
_TIMEDELTA: Final = struct.Struct(">iII")
_FOLD: Final = 1 << 31  # beside the microseconds


def _take_datetime(value: datetime) -> bytes:
    micro = value.microsecond | _FOLD if value.fold else value.microsecond
    head = _DATETIME.pack(value.year, value.month, value.day, value.hour, value.minute, value.second, micro)
    zone = value.tzinfo
    return head if zone is None else head + zone_to_bytes(zone)


def _make_datetime(body: Payload) -> datetime:
    fields = _DATETIME.unpack_from(body)
    if len(body) == _DATETIME.size and fields[6] < _FOLD:
        return datetime(*fields)  # noqa: DTZ001 - it had no zone
    year, month, day, hour, minute, second, micro = fields
    zone = zone_from_bytes(bytes(body[_DATETIME.size :]))
    return datetime(year, month, day, hour, minute, second, micro & ~_FOLD, zone, fold=micro >> 31)


def _take_time(value: time) -> bytes:
    micro = value.microsecond | _FOLD if value.fold else value.microsecond
    return _TIME.pack(value.hour, value.minute, value.second, micro) + zone_to_bytes(value.tzinfo)


def _make_time(body: Payload) -> time:
    hour, minute, second, micro = _TIME.unpack_from(body)
    zone = zone_from_bytes(bytes(body[_TIME.size :]))
    return time(hour, minute, second, micro & ~_FOLD, zone, fold=micro >> 31)


_leaf(datetime, DATETIME, _take_datetime, _make_datetime)
_leaf(date, DATE, lambda value: _DATE.pack(value.year, value.month, value.day), lambda body: date(*_DATE.unpack(body)))
_leaf(time, TIME, _take_time, _make_time)
_leaf(
    timedelta,
    TIMEDELTA,
    lambda value: _TIMEDELTA.pack(value.days, value.seconds, value.microseconds),
    lambda body: timedelta(*_TIMEDELTA.unpack(body)),
)

# Containers.


def _step_of_member(_value: object, _index: int) -> str:
    return "{...}"


def step_of_pair(value: dict[Any, Any], index: int) -> str:
    """Where the part at `index` of `pairs(value)` is."""
    keys = [*value]
    return f".key({keys[index]!r})" if index < len(keys) else f"[{keys[index - len(keys)]!r}]"


def pairs(value: dict[Any, Any]) -> list[Any]:
    """A mapping as a list of parts: the keys, then the values."""
    return [*value, *value.values()]


def _make_pairs(make: Callable[[Any], dict[Any, Any]]) -> Callable[[list[Any]], dict[Any, Any]]:
    def from_parts(parts: list[Any]) -> dict[Any, Any]:
        half = len(parts) // 2
        made = make(zip(parts[:half], parts[half:], strict=True))
        if len(made) != half:
            raise ValueError("a mapping has a key twice")
        return made

    return from_parts


def _make_deque(parts: list[Any]) -> deque[Any]:
    return deque(parts[1:], parts[0])


_nest(tuple, TUPLE, list, tuple)
_nest(set, SET, list, set, _step_of_member)
_nest(frozenset, FROZENSET, list, frozenset, _step_of_member)
_nest(deque, DEQUE, lambda v: [v.maxlen, *v], _make_deque, lambda _, index: f"[{index - 1}]")
_nest(OrderedDict, ORDERED, pairs, _make_pairs(OrderedDict), step_of_pair)
_nest(range, RANGE, lambda v: [v.start, v.stop, v.step], lambda parts: range(*parts))
MAKERS[MAP] = Maker(nested=True, make=_make_pairs(dict))
