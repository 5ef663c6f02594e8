"""
Values as JSON, and back: what JSON has no word for is an object with one name that begins with `$`.

`{"$bytes": "aGk="}`, `{"$tuple": [1, 2]}`, `{"$datetime": "2026-01-31T12:00:00+00:00"}` and so on; a dict whose keys
are not all text is `{"$dict": [[key, value], ...]}`. Both ways give an equal value of the same type. What has no such
form either, an enum of the application for example, is shown as `{"$repr": "..."}` and cannot be read back.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any, Final, NamedTuple

__all__ = ["from_json", "to_json"]


class _Way(NamedTuple):
    """How values of one type become JSON, and how they come back."""

    word: str
    kind: type
    there: Callable[[Any], Any]
    back: Callable[[Any], Any]


def to_json(value: Any) -> Any:
    """
    The value in JSON's own types.

    >>> to_json({"when": dt.date(2026, 1, 31), "tags": ("a", b"b")})
    {'when': {'$date': '2026-01-31'}, 'tags': {'$tuple': ['a', {'$bytes': 'Yg=='}]}}
    """
    kind = value.__class__
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return value
    if kind is list:
        return [to_json(item) for item in value]
    if kind is dict and all(key.__class__ is str and not key.startswith("$") for key in value):
        return {key: to_json(item) for key, item in value.items()}
    way = _BY_KIND.get(kind)
    return {f"${way.word}": way.there(value)} if way else {"$repr": repr(value)}


def from_json(told: Any) -> Any:
    """
    The value that `to_json` told. ValueError for a known `$` word with something wrong in it.

    >>> from_json({"$tuple": [1, {"$set": []}]})
    (1, set())
    """
    if told.__class__ is list:
        return [from_json(item) for item in told]
    if told.__class__ is not dict:
        return told
    if len(told) == 1 and (word := next(iter(told))).startswith("$"):
        if word == "$repr":
            raise ValueError("$repr only shows a value")
        if way := _BY_WORD.get(word[1:]):
            return _back(way, told[word])
    return {key: from_json(item) for key, item in told.items()}


def _back(way: _Way, told: Any) -> Any:
    try:
        return way.back(told)
    except (TypeError, ArithmeticError, LookupError) as error:
        raise ValueError(f"${way.word} cannot be made of {told!r}") from error


def _many(value: Any) -> list[Any]:
    return [to_json(item) for item in value]


def _of_many(kind: type) -> Callable[[list[Any]], Any]:
    return lambda told: kind(from_json(item) for item in told)


def _time_there(value: dt.datetime | dt.time) -> Any:
    # The zone's name is kept beside its offset: another day of that zone may have another offset.
    if isinstance(value.tzinfo, zoneinfo.ZoneInfo) and value.tzinfo.key:
        return [value.isoformat(), value.tzinfo.key]
    return value.isoformat()


def _datetime_back(told: Any) -> dt.datetime:
    if isinstance(told, str):
        return dt.datetime.fromisoformat(told)
    text, zone = told
    return dt.datetime.fromisoformat(text).astimezone(zoneinfo.ZoneInfo(zone))


def _time_back(told: Any) -> dt.time:
    if isinstance(told, str):
        return dt.time.fromisoformat(told)
    text, zone = told
    return dt.time.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone))


def _dict_there(value: dict[Any, Any]) -> list[Any]:
    return [[to_json(key), to_json(item)] for key, item in value.items()]


def _dict_back(told: list[Any]) -> dict[Any, Any]:
    return {from_json(key): from_json(item) for key, item in told}


def _base64(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode()


_WAYS: Final = (
    _Way("float", float, repr, float),
    _Way("bytes", bytes, _base64, lambda told: base64.b64decode(told, validate=True)),
    _Way("bytearray", bytearray, _base64, lambda told: bytearray(base64.b64decode(told, validate=True))),
    _Way("tuple", tuple, _many, _of_many(tuple)),
    _Way("set", set, _many, _of_many(set)),
    _Way("frozenset", frozenset, _many, _of_many(frozenset)),
    _Way("dict", dict, _dict_there, _dict_back),
    _Way("datetime", dt.datetime, _time_there, _datetime_back),
    _Way("date", dt.date, dt.date.isoformat, dt.date.fromisoformat),
    _Way("time", dt.time, _time_there, _time_back),
    _Way(
        "timedelta",
        dt.timedelta,
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda told: dt.timedelta(*told),
    ),
    _Way("decimal", decimal.Decimal, str, decimal.Decimal),
    _Way("uuid", uuid.UUID, str, uuid.UUID),
)
_BY_KIND: Final = {way.kind: way for way in _WAYS}
_BY_WORD: Final = {way.word: way for way in _WAYS}
