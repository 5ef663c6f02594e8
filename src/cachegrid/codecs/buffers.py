"""
Finding what msgpack would silently pack as bytes: bytearrays and memoryviews.

ormsgpack has no option to pass these on, so the packed bytes are searched for the marks of bytes objects
first, and only a value that may hold one is looked at itself: mostly by functions that run in C and fail at
a buffer, since looking at the type of every part would take longer than packing it.
"""

from __future__ import annotations

from math import hypot
from typing import Any, Final

__all__ = ["holds_buffer", "may_hold_bytes"]

_BUFFERS: Final = frozenset({bytearray, memoryview})
_NUMBERS: Final = frozenset({int, float})
_WORTH_A_LOOK: Final = 1024  # bytes; in more, a mark turns up by chance so often that looking closer is a waste


def may_hold_bytes(packed: bytes) -> bool:
    """Whether msgpack may have a bytes object in it. Only a no is certain."""
    # Searched for as integers: `b"\xc4" in packed` takes six times as long.
    if not (0xC4 in packed or 0xC5 in packed or 0xC6 in packed):
        return False
    size = len(packed)
    if size > _WORTH_A_LOOK:
        return True
    # Here a length must follow the mark, and as many bytes after it.
    at = packed.find(b"\xc4")
    while at >= 0:
        if at + 1 < size and at + 2 + packed[at + 1] <= size:
            return True
        at = packed.find(b"\xc4", at + 1)
    at = packed.find(b"\xc5")
    while at >= 0:
        if at + 2 < size and at + 3 + (packed[at + 1] << 8 | packed[at + 2]) <= size and packed[at + 1]:
            return True
        at = packed.find(b"\xc5", at + 1)
    return False


def holds_buffer(value: Any) -> bool:
    """
    Whether a buffer is in a value, in its lists or in its dictionaries.

    The value was packed before, so that it ends; what else it holds was packed, and looked at, by itself.
    """
    kind = type(value)
    if kind is list and value and _is_uniform(value):
        return False
    if kind is not list and kind is not dict:
        return kind in _BUFFERS
    parts = value if kind is list else value.values()
    kinds = {*map(type, parts)}
    if not _BUFFERS.isdisjoint(kinds):
        return True
    if list in kinds or dict in kinds:
        return any(holds_buffer(part) for part in parts if type(part) is list or type(part) is dict)
    return False


def _is_uniform(parts: list[Any]) -> bool:
    """Whether a list holds nothing but text, or nothing but numbers: found in C, which fails at a buffer."""
    first = type(parts[0])
    try:
        if first is str:
            "".join(parts)
            return True
        if first in _NUMBERS:
            hypot(*parts)  # takes whatever is a float or can be made one, which no buffer can
            return True
    except Exception:  # noqa: BLE001, S110 - number-like objects may run code of their own; then we look ourselves
        pass
    return False
