"""Times and sizes as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import TypeAlias

from cachegrid._core.miss import Unsaid
from cachegrid.errors import ConfigError

__all__ = ["Duration", "Size", "Span", "bytes_of", "milliseconds", "patience_of", "seconds_of", "size_text"]

Duration: TypeAlias = float | int | timedelta | str
Size: TypeAlias = int | str
Span: TypeAlias = Duration | Unsaid | None  # as an argument: None is without end, not said leaves it to the policy

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_TOO_LONG = (2**48 - 2) // 1000  # seconds; what a frame can say is 8,900 years


def seconds_of(name: str, value: Duration) -> float:
    """
    A time in seconds. `name` is the setting, for the error.

    >>> seconds_of("ttl", "1h30m"), seconds_of("ttl", timedelta(minutes=2)), seconds_of("ttl", 0.5)
    (5400.0, 120.0, 0.5)
    >>> seconds_of("ttl", "90")
    90.0
    """
    said: object = value
    if isinstance(said, timedelta):
        seconds = said.total_seconds()
    elif isinstance(said, str):
        seconds = _parsed(name, said)
    elif isinstance(said, (int, float)) and not isinstance(said, bool):
        seconds = float(min(said, _TOO_LONG))
    else:
        raise ConfigError(name, value, 'a time: seconds, a timedelta, or text such as "5m"')
    if not seconds > 0:
        hint = " (None means no end; delete drops at once)" if _may_be_endless(name) else ""
        raise ConfigError(name, value, f"a time of more than 0{hint}")
    if seconds >= _TOO_LONG:
        hint = " (None means no end)" if _may_be_endless(name) else ""
        raise ConfigError(name, value, f"less than 8,900 years{hint}")
    return seconds


def patience_of(name: str, value: Duration) -> float:
    """
    A time to wait, in seconds; 0 is not to wait at all.

    >>> patience_of("wait", 0), patience_of("wait", "2s")
    (0.0, 2.0)
    """
    return 0.0 if value in (0, timedelta(0)) and not isinstance(value, bool) else seconds_of(name, value)


def milliseconds(name: str, value: Duration) -> int:
    """
    A time in whole milliseconds, 1 or more.

    >>> milliseconds("ttl", "1.5s")
    1500
    """
    try:
        return _milliseconds(name, value)
    except TypeError:  # it cannot be looked up among those asked for before, and so is no time
        return round(seconds_of(name, value) * 1000)


@lru_cache(maxsize=1024, typed=True)  # typed: True is no time, though it equals 1
def _milliseconds(name: str, value: Duration) -> int:
    return max(1, round(seconds_of(name, value) * 1000))


def bytes_of(name: str, value: Size) -> int:
    """
    A size in bytes. `name` is the setting, for the error.

    >>> bytes_of("max_value", "64MB"), bytes_of("max_value", "2 MiB"), bytes_of("max_value", 10)
    (64000000, 2097152, 10)
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", value)
        if match and match[2].lower() in _BYTES:
            return int(float(match[1]) * _BYTES[match[2].lower()])
    raise ConfigError(name, value, 'a size: bytes, or text such as "64MB"')


def size_text(count: int) -> str:
    """
    Bytes for people.

    >>> size_text(999), size_text(2_935_728), size_text(64 * 10**9)
    ('999 B', '2.9 MB', '64.0 GB')
    """
    if count < 1000:
        return f"{count} B"
    number = float(count)
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 999.95:
            return f"{number:.1f} {unit}"
    return f"{number / 1000:.1f} TB"


def _may_be_endless(name: str) -> bool:
    return name in ("ttl", "idle")


def _parsed(name: str, text: str) -> float:
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text):  # seconds, like a number: variables and command lines are text
        return float(text)
    parts = re.findall(r"\s*(\d+(?:\.\d+)?)\s*(ms|[smhdw])\s*", text)
    if parts and re.fullmatch(r"(\s*\d+(\.\d+)?\s*(ms|[smhdw])\s*)+", text):
        return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    raise ConfigError(name, text, 'a time such as "500ms", "30s", "5m", "1h30m", "7d" or "90" (seconds)')
