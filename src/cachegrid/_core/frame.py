"""
The stored bytes of an entry: a header of 24 bytes that tells times, version and codec, then the payload.

An exact integer that carries nothing but its time to live has no header at all: it is stored as its decimal digits, so
that an engine can count. `MAGIC` is no ASCII character, so that the first byte tells the two apart.

Whatever else the bytes are, reading them raises `FrameError` and nothing else. Nothing here decides whether
an entry is still fresh.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from cachegrid.errors import FrameError

__all__ = [
    "COMPRESSED",
    "COST",
    "EPOCHS",
    "FAILURE",
    "FORMAT",
    "GRACE",
    "HEADER_SIZE",
    "IDLE",
    "INT_MAX",
    "INT_MIN",
    "MAGIC",
    "NO_END",
    "SIGNED",
    "TTL_END",
    "TTL_START",
    "VERSION_END",
    "VERSION_START",
    "Frame",
    "created_of",
    "frame_of_int",
    "header",
    "is_int",
    "pack",
    "pack_bare",
    "pack_int",
    "unpack",
    "unpack_int",
    "version_of",
]

MAGIC: Final = 0xC9
FORMAT: Final = 1

# Flags. An unknown one makes a frame unreadable: a newer writer meant something by it.
COMPRESSED: Final = 1  # the payload is a zstd frame
IDLE: Final = 2  # 6 bytes of idle time follow the header
GRACE: Final = 4  # 6 bytes of grace follow
EPOCHS: Final = 8  # a length of 2 bytes and that many bytes of tag epochs follow
SIGNED: Final = 16  # the payload begins with a MAC of 32 bytes
COST: Final = 32  # 4 bytes follow: how many ms it took to load it
FAILURE: Final = 64  # the payload tells how a load failed
_BARE: Final = COMPRESSED | SIGNED  # nothing follows the header but the payload
_KNOWN: Final = _BARE | IDLE | GRACE | EPOCHS | COST | FAILURE

# Offsets that scripts running inside an engine rely on. They never change within one `FORMAT`.
VERSION_START: Final = 10
VERSION_END: Final = 18
TTL_START: Final = 18
TTL_END: Final = 24
HEADER_SIZE: Final = 24

NO_END: Final = (1 << 48) - 1  # as a ttl: without end
INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 63) - 1

# magic, format, created << 16 | codec << 8 | flags, version, ttl in two parts (struct has no 48-bit integer)
_HEADER: Final = struct.Struct(">BBQQHI")
_pack_header: Final = _HEADER.pack
_READ: Final = struct.Struct(">HQ8sHI")
_SIGNATURE: Final = MAGIC << 8 | FORMAT
_SPAN: Final = 6  # bytes of an idle time or a grace
_COST: Final = 4  # bytes of what it took to load an entry
_COSTLIEST: Final = (1 << 8 * _COST) - 1
_INT_STARTS: Final = frozenset(b"-0123456789")
_INT_LENGTH: Final = 20  # of the longest 64-bit integer
_new: Final = tuple.__new__  # half the price of the generated constructor


class Frame(NamedTuple):
    """
    What a frame says of its entry. Times are whole milliseconds; `created` counts from 1970.

    Of an entry stored as digits only the version is known: `start` is 0, `created` 0 and `ttl` None.
    """

    codec: int
    flags: int
    created: int
    version: bytes
    ttl: int | None  # from `created`; None: without end
    idle: int | None
    grace: int | None
    epochs: bytes  # of its tags: see `cachegrid._core.tags`
    cost: int | None  # ms that it took to load it
    start: int  # where the payload begins


def header(
    *,
    codec: int,
    flags: int = 0,
    created: int,
    version: int,
    ttl: int | None,
    idle: int | None = None,
    grace: int | None = None,
    epochs: bytes = b"",
    cost: int | None = None,
) -> bytes:
    """
    Everything of a frame but its payload. Times are milliseconds; None is without.

    The flags for idle time, grace, epochs and cost are set as these are given. Raises `ValueError` for a number
    that does not fit: 48 bits for times, 64 for the version; a cost that is greater is cut. `codec` and `flags`,
    constants of the caller's below 256, are not checked: this runs at every write.
    """
    if idle is not None or grace is not None or epochs or cost is not None:
        trail, more = _trail(idle, grace, epochs, cost)
        flags |= more
    else:
        trail = b""
    if ttl is None:
        ttl = NO_END
    try:
        stamp = created << 16 | codec << 8 | flags
        return _pack_header(MAGIC, FORMAT, stamp, version, ttl >> 32, ttl & 0xFFFFFFFF) + trail
    except struct.error:
        fields = f"codec={codec}, flags={flags}, created={created}, version={version}, ttl={ttl}"
        msg = f"a frame's header cannot hold {fields}"
        raise ValueError(msg) from None


def pack(
    payload: bytes,
    *,
    codec: int,
    flags: int = 0,
    created: int,
    version: int,
    ttl: int | None,
    idle: int | None = None,
    grace: int | None = None,
    epochs: bytes = b"",
    cost: int | None = None,
) -> bytes:
    """A whole frame; see `header`, whose fields and failures these are."""
    head = header(
        codec=codec,
        flags=flags,
        created=created,
        version=version,
        ttl=ttl,
        idle=idle,
        grace=grace,
        epochs=epochs,
        cost=cost,
    )
    return head + payload


def pack_bare(payload: bytes, mark: int, created: int, version: int, ttl: int | None) -> bytes:
    """A frame that carries nothing but its time to live, as nearly all do; `mark` is `codec << 8 | flags`."""
    if ttl is None:
        ttl = NO_END
    try:
        return _pack_header(MAGIC, FORMAT, created << 16 | mark, version, ttl >> 32, ttl & 0xFFFFFFFF) + payload
    except struct.error:  # raised once more, by what can tell the reason
        return header(codec=mark >> 8, created=created, version=version, ttl=ttl) + payload


def unpack(raw: bytes) -> Frame:
    """What the header of a frame says; the payload is `raw[frame.start:]` and is not looked at."""
    try:
        signature, stamp, version, high, low = _READ.unpack_from(raw)
    except struct.error:
        raise FrameError(f"{len(raw)} bytes are too few for a frame") from None
    if signature != _SIGNATURE:
        raise _foreign(raw)
    ttl: int | None = high << 32 | low
    if ttl == NO_END:
        ttl = None
    flags = stamp & 0xFF
    if flags & ~_BARE:
        return _unpack_trail(raw, stamp, version, ttl)
    return _new(Frame, (stamp >> 8 & 0xFF, flags, stamp >> 16, version, ttl, None, None, b"", None, HEADER_SIZE))


def pack_int(value: int) -> bytes:
    """An integer as an engine counts it: decimal digits. Raises `ValueError` outside of 64 bits."""
    if INT_MIN <= value <= INT_MAX:
        return b"%d" % value
    raise ValueError(f"{value} does not fit 64 bits")


def is_int(raw: bytes) -> bool:
    """Whether these bytes begin as an integer does, and as no frame can."""
    return raw != b"" and raw[0] in _INT_STARTS


def unpack_int(raw: bytes) -> int:
    """The integer in these bytes; `FrameError` unless they are what `pack_int` writes."""
    try:
        value = int(raw) if len(raw) <= _INT_LENGTH else INT_MAX + 1
    except ValueError:
        value = INT_MAX + 1
    # Compared with what we would write: int() also takes blanks, underscores, signs and leading zeros.
    if INT_MIN <= value <= INT_MAX and b"%d" % value == raw:
        return value
    raise FrameError(f"{raw[:24]!r} is no 64-bit integer in plain digits")


def version_of(raw: bytes) -> bytes:
    """What `store_if_version` compares: the 8 bytes in the header, or the digits of an integer."""
    if is_int(raw):
        unpack_int(raw)
        return raw
    if len(raw) < HEADER_SIZE or raw[0] != MAGIC or raw[1] != FORMAT:
        raise _foreign(raw)
    return raw[VERSION_START:VERSION_END]


def created_of(raw: bytes) -> int:
    """When an entry was made, in ms since 1970, by the beginning of its frame; 0 for an integer, which does not say."""
    return 0 if version_of(raw) is raw else int.from_bytes(raw[2:8], "big")


def edition_of(raw: bytes) -> bytes:
    """What two frames of one entry have in common that say the same: version and time to live, or the digits."""
    return raw if version_of(raw) is raw else raw[VERSION_START:TTL_END]


def frame_of_int(raw: bytes) -> Frame:
    """What can be said of an entry that is stored as digits: its version."""
    return Frame(0, 0, 0, raw, None, None, None, b"", None, 0)


def _trail(idle: int | None, grace: int | None, epochs: bytes, cost: int | None) -> tuple[bytes, int]:
    """What follows the 24 bytes, in this order, and the flags that say so."""
    parts, flags = [], 0
    try:
        for flag, span in ((IDLE, idle), (GRACE, grace)):
            if span is not None:
                parts.append(span.to_bytes(_SPAN, "big"))
                flags |= flag
        if epochs:
            parts += [len(epochs).to_bytes(2, "big"), epochs]
            flags |= EPOCHS
        if cost is not None:
            parts.append(min(cost, _COSTLIEST).to_bytes(_COST, "big"))
            flags |= COST
    except OverflowError:
        raise ValueError(f"a frame cannot hold idle={idle}, grace={grace}, {len(epochs)} bytes of epochs") from None
    return b"".join(parts), flags


def _unpack_trail(raw: bytes, stamp: int, version: bytes, ttl: int | None) -> Frame:
    flags = stamp & 0xFF
    if flags & ~_KNOWN:
        raise FrameError(f"flags {flags:#04x} mean nothing to format {FORMAT}")
    at = HEADER_SIZE
    spans: list[int | None] = [None, None]
    for index, flag in enumerate((IDLE, GRACE)):
        if flags & flag:
            spans[index] = int.from_bytes(_take(raw, at, _SPAN), "big")
            at += _SPAN
    epochs = b""
    if flags & EPOCHS:
        size = int.from_bytes(_take(raw, at, 2), "big")
        epochs = _take(raw, at + 2, size)
        at += 2 + size
    cost = None
    if flags & COST:
        cost = int.from_bytes(_take(raw, at, _COST), "big")
        at += _COST
    return Frame(stamp >> 8 & 0xFF, flags, stamp >> 16, version, ttl, spans[0], spans[1], epochs, cost, at)


def _take(raw: bytes, at: int, size: int) -> bytes:
    part = raw[at : at + size]
    if len(part) != size:
        raise FrameError(f"a frame ends after {len(raw)} bytes, inside its header")
    return part


def _foreign(raw: bytes) -> FrameError:
    if len(raw) < HEADER_SIZE:
        return FrameError(f"{len(raw)} bytes are too few for a frame")
    if raw[0] != MAGIC:
        return FrameError(f"no frame begins with {raw[:8]!r}")
    return FrameError(f"frame format {raw[1]} is not one this version of cachegrid reads")
