"""What can be told of the bytes of a stored entry at a glance, before they are read."""

from __future__ import annotations

from typing import Final

from cachegrid._core import frame as frames
from cachegrid.errors import FrameError

__all__ = ["edition", "epochs_in", "is_plain", "is_unproven", "names_idle"]

_STRANGE: Final = b"?"  # the edition of bytes that are no frame
_FLAGS_AT: Final = 9  # the byte of a frame that holds its flags
_SIMPLE: Final = (b"\0", b"")  # what is there of most entries, and of short integers
_UNPROVEN: Final = frames.GRACE | frames.EPOCHS | frames.FAILURE | frames.COST


def is_plain(raw: bytes) -> bool:
    """Whether there is nothing more to a stored entry than its value and its end, as of nearly all."""
    return raw[_FLAGS_AT : _FLAGS_AT + 1] in _SIMPLE


def is_unproven(raw: bytes) -> bool:
    """Whether there may be more to the life of a stored entry than that its engine has it."""
    return raw[_FLAGS_AT : _FLAGS_AT + 1] not in _SIMPLE and raw[0] == frames.MAGIC and raw[_FLAGS_AT] & _UNPROVEN != 0


def epochs_in(raw: bytes) -> bytes:
    """What a stored entry says of its tags; nothing of what has none, is cut off in them, or is no frame."""
    if is_plain(raw) or raw[0] != frames.MAGIC or not raw[_FLAGS_AT] & frames.EPOCHS:
        return b""
    try:
        return frames.unpack(raw).epochs
    except FrameError:
        return b""


def names_idle(raw: bytes) -> bool:
    """Whether a stored entry names an idle time of its own."""
    if raw[_FLAGS_AT : _FLAGS_AT + 1] == b"\0":  # nearly all
        return False
    return len(raw) > _FLAGS_AT and raw[_FLAGS_AT] & frames.IDLE != 0 and raw[0] == frames.MAGIC


def edition(raw: bytes | None) -> bytes:
    """What near copies are known by that say the same; nothing for an absence."""
    try:
        return b"" if raw is None else frames.edition_of(raw)
    except FrameError:
        return _STRANGE
