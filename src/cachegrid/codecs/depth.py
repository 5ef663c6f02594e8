"""How deep msgpack nests, found without going deep: reading runs on the C stack, which hostile bytes could exhaust."""

from __future__ import annotations

from typing import Final

from cachegrid.codecs.kinds import MAKERS
from cachegrid.codecs.refusal import MAX_DEPTH

__all__ = ["SHALLOW_SIZE", "check_depth"]

SHALLOW_SIZE: Final = 255  # every level takes a byte at least, so that so few bytes are never deep
_LIMIT: Final = 2 * MAX_DEPTH + 2  # a nested kind is two levels of msgpack: the extension, and the list in it

# By first byte. What is not here has its size, or the number of its items, in the first byte itself.
_FIXED: Final = {0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}
_SIZED: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}  # bytes that tell the size
_ITEMS: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}  # bytes that tell how many; parts of each
_EXTS: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}  # bytes that tell the size, before the code
_FIXED_EXTS: Final = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}


def check_depth(body: bytes) -> None:
    """
    Raise `ValueError` if msgpack nests deeper than any value that `plain` takes, extensions included.

    So it does for bytes that end before the objects they promise, or whose extensions do. No byte is looked at twice.
    """
    at, left, stop = 0, 1, len(body)  # where we are, how many objects are still to come at this level, and its end
    above: list[tuple[int, int, int]] = []  # of each level above: the same, with 0 for "from where we are then"
    while True:
        while left == 0:
            if not above:
                return
            resume, left, stop = above.pop()
            at = resume or at
        if at >= stop:
            # Also where the bytes go on behind an extension: they would be walked over twice, at each level.
            raise ValueError("it ends too soon")
        left -= 1
        after, parts, end = _token(body, at)
        if parts:
            if len(above) >= _LIMIT:
                raise ValueError(f"it nests deeper than {MAX_DEPTH} containers")
            above.append((end, left, stop))
            left, stop = parts, min(end or stop, stop)
        at = after


def _token(body: bytes, at: int) -> tuple[int, int, int]:
    """Of the object at a place: where its parts begin (or the next object), how many, and where it surely ends or 0."""
    first = body[at]
    if first < 0xC0 or first >= 0xE0:
        return _short_token(first, at)
    if first in _SIZED:
        width = _SIZED[first]
        return at + 1 + width + _number(body, at + 1, width), 0, 0
    if first in _ITEMS:
        width, scale = _ITEMS[first]
        return at + 1 + width, scale * _number(body, at + 1, width), 0
    if first in _EXTS:
        width = _EXTS[first]
        return _extension(body, at + 1 + width, _number(body, at + 1, width))
    if first in _FIXED_EXTS:
        return _extension(body, at + 1, _FIXED_EXTS[first])
    return at + _FIXED.get(first, 1), 0, 0


def _short_token(first: int, at: int) -> tuple[int, int, int]:
    if 0x80 <= first < 0xA0:
        return at + 1, first & 15 if first >= 0x90 else 2 * (first & 15), 0
    return at + 1 + (first & 31 if 0xA0 <= first < 0xC0 else 0), 0, 0


def _extension(body: bytes, at: int, size: int) -> tuple[int, int, int]:
    """A nested kind holds one object; bytes behind that object are not read, so neither are they here."""
    end = at + 1 + size
    maker = MAKERS.get(body[at]) if at < len(body) else None
    if maker is not None and maker.nested and size:
        return at + 1, 1, end
    return end, 0, 0


def _number(body: bytes, at: int, width: int) -> int:
    return int.from_bytes(body[at : at + width], "big")
