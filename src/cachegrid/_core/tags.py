"""
Tags: names on entries, by which many are dropped together.

Every tag of a cache has an epoch in the grid, a number that only grows. An entry carries its tags with the epochs that
they had when it was written, or when its load began: it is dead once one of them was raised. A tag that the grid does
not know any more has no epoch, and what carries it is dead as well.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from cachegrid.errors import FrameError, ValueRefused

__all__ = [
    "BUCKETS",
    "LONGEST_TAG",
    "MOST_TAGS",
    "Stamp",
    "Tags",
    "bucket_of",
    "pack_stamps",
    "tags_in",
    "unpack_stamps",
]

Tags: TypeAlias = str | Iterable[str]

BUCKETS: Final = 4096  # doubts are told apart by groups of names; a power of 2
LONGEST_TAG: Final = 255  # bytes, encoded
MOST_TAGS: Final = 64  # of one entry: each is compared when it is read
_EPOCH: Final = 6  # bytes of an epoch


class Stamp(NamedTuple):
    """A tag, encoded, and the epoch that it has in an entry."""

    tag: bytes
    epoch: int


def bucket_of(name: bytes) -> int:
    """The group of names that a name belongs to, in every process: an index below `BUCKETS`."""
    return zlib.crc32(name) & (BUCKETS - 1)


def tags_in(said: object) -> tuple[bytes, ...]:
    """
    The tags that a caller names, encoded, each once: a str, or several. Raises ValueRefused for anything else.

    >>> tags_in("menu"), tags_in(["b", "a", "b"])
    ((b'menu',), (b'b', b'a'))
    """
    if said.__class__ is str:
        said = (said,)
    try:
        tags = list(said)  # type: ignore[call-overload] # as the error says
    except TypeError as error:
        raise ValueRefused(f"tags={said!r:.80}: tags are a str, or several str", kind=type(said)) from error
    found = tuple(dict.fromkeys([_encoded(tag) for tag in tags]))
    if len(found) > MOST_TAGS:
        raise ValueRefused(f"{len(found)} tags are too many: an entry may have {MOST_TAGS}", kind=tuple)
    return found


def _encoded(tag: Any) -> bytes:
    if not isinstance(tag, str):
        raise ValueRefused(f"a tag is a str, and {tag!r:.80} is none; use str(...) of it", kind=type(tag))
    try:
        raw = tag.encode()
    except UnicodeEncodeError as error:
        raise ValueRefused(f"the tag {tag!r:.80} holds a lone surrogate, which has no UTF-8 form", kind=str) from error
    if not 0 < len(raw) <= LONGEST_TAG:
        raise ValueRefused(f"the tag {tag!r:.80} takes {len(raw)} bytes, and a tag takes 1 to {LONGEST_TAG}", kind=str)
    return raw


def pack_stamps(stamps: Iterable[Stamp]) -> bytes:
    """What a frame keeps of an entry's tags: of each its length in a byte, itself, and its epoch in six."""
    return b"".join([b"%c%b%b" % (len(tag), tag, epoch.to_bytes(_EPOCH, "big")) for tag, epoch in stamps])


def unpack_stamps(raw: bytes) -> list[Stamp]:
    """The tags of an entry and their epochs; `FrameError` for bytes that `pack_stamps` did not write."""
    stamps: list[Stamp] = []
    at, end = 0, len(raw)
    while at < end:
        middle = at + 1 + raw[at]
        if middle + _EPOCH > end:
            raise FrameError(f"{raw[:40]!r} are no tags")
        stamps.append(Stamp(raw[at + 1 : middle], int.from_bytes(raw[middle : middle + _EPOCH], "big")))
        at = middle + _EPOCH
    return stamps
