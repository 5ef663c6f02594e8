"""What a member's replies mean: each is looked at before it is believed."""

from __future__ import annotations

from typing import Final

from cachegrid.errors import EngineError

__all__ = ["bytes_in", "epoch_in", "int_in", "scanned_in", "unexpected"]

_EPOCH_DIGITS: Final = 15  # scripts count in doubles, which are exact so far


def bytes_in(reply: object) -> bytes | None:
    """A value, or None where there is none."""
    if reply is None or isinstance(reply, bytes):
        return reply
    raise unexpected(reply)


def int_in(reply: object) -> int:
    """A number, or its digits."""
    if isinstance(reply, (int, bytes)):
        return int(reply)
    raise unexpected(reply)


def epoch_in(reply: object) -> int | None:
    """An epoch; None where there is none, or what no script takes for one either: a foreign hand has put it there."""
    if isinstance(reply, bytes) and reply.isdigit() and len(reply) <= _EPOCH_DIGITS:
        return int(reply)
    return None


def scanned_in(reply: object) -> tuple[bytes, list[bytes]]:
    """Where a SCAN goes on, and what it found."""
    match reply:
        case [bytes(cursor), list(page)]:
            return cursor, page
        case _:
            raise unexpected(reply)


def unexpected(reply: object) -> EngineError:
    """The error to raise for a reply of another kind than was asked for."""
    return EngineError(f"the server answered what it was not asked for: {reply!r:.80}")
