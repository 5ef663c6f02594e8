"""
The slow way through `plain`, for what the fast way cannot be trusted with; and all its refusals.

A value is rewritten, level by level, into one that msgpack itself packs exactly: what it lacks becomes an
extension. Every level on the way up of a refusal adds its step, so that the caller is told where it is.
"""

from __future__ import annotations

from typing import Any, Final

from ormsgpack import (
    OPT_PASSTHROUGH_BIG_INT,
    OPT_PASSTHROUGH_DATACLASS,
    OPT_PASSTHROUGH_DATETIME,
    OPT_PASSTHROUGH_ENUM,
    OPT_PASSTHROUGH_SUBCLASS,
    OPT_PASSTHROUGH_TUPLE,
    OPT_PASSTHROUGH_UUID,
    Ext,
    packb,
)

from cachegrid.codecs.arrays import late_kind
from cachegrid.codecs.kinds import KINDS, MAP, Kind, pairs, step_of_pair
from cachegrid.codecs.refusal import MAX_DEPTH, Refused, too_deep

__all__ = ["STRICT", "pack_exactly"]

# Nothing that msgpack has only a likeness of is packed as that: it comes to us.
STRICT: Final = (
    OPT_PASSTHROUGH_BIG_INT
    | OPT_PASSTHROUGH_DATACLASS
    | OPT_PASSTHROUGH_DATETIME
    | OPT_PASSTHROUGH_ENUM
    | OPT_PASSTHROUGH_SUBCLASS
    | OPT_PASSTHROUGH_TUPLE
    | OPT_PASSTHROUGH_UUID
)
_AS_THEY_ARE: Final = frozenset({type(None), bool, float, bytes})
_INTS: Final = range(-(1 << 63), 1 << 64)  # that msgpack has


def pack_exactly(value: object) -> bytes:
    """A value as msgpack; `Refused`, with the steps to it, at the first part that cannot be kept."""
    try:
        return packb(_rewrite(value, MAX_DEPTH), None, STRICT)
    except RecursionError:  # the caller's own stack was deep already
        raise too_deep(type(value)) from None


def _rewrite(value: Any, room: int) -> Any:
    kind = type(value)
    if kind in _AS_THEY_ARE or (kind is int and value in _INTS) or (kind is str and _is_text(value)):
        return value
    if kind is list or kind is dict:
        if room == 0:
            raise too_deep(kind)
        return _rewrite_list(value, room - 1) if kind is list else _rewrite_dict(value, room - 1)
    how = KINDS.get(kind) or late_kind(kind)
    if how is None:
        raise Refused(kind, "what comes back would not be of this type")
    if not how.nested:
        return Ext(how.code, how.take(value))
    if room == 0:
        raise too_deep(kind)
    return _rewrite_parts(value, how.code, how.take(value), how, room - 1)


def _rewrite_list(value: list[Any], room: int) -> list[Any]:
    done: list[Any] = []
    try:
        for part in value:
            done.append(_rewrite(part, room))  # noqa: PERF401 - how far it came tells where it failed
    except Refused as refused:
        raise refused.at(f"[{len(done)}]") from refused.__cause__
    return done


def _rewrite_dict(value: dict[Any, Any], room: int) -> Any:
    if not all(type(key) is str and _is_text(key) for key in value):
        return _rewrite_parts(value, MAP, pairs(value), _MAP, room)
    done: dict[str, Any] = {}
    for key, part in value.items():
        try:
            done[key] = _rewrite(part, room)
        except Refused as refused:
            raise refused.at(f"[{key!r}]") from refused.__cause__
    return done


def _rewrite_parts(value: Any, code: int, parts: list[Any], how: Kind, room: int) -> Ext:
    done: list[Any] = []
    try:
        for part in parts:
            done.append(_rewrite(part, room))  # noqa: PERF401 - as above
    except Refused as refused:
        raise refused.at(how.step(value, len(done))) from refused.__cause__
    return Ext(code, packb(done, None, STRICT))


def _is_text(value: str) -> bool:
    """Whether UTF-8 has it: no lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_MAP: Final = Kind(MAP, nested=True, take=pairs, step=step_of_pair)
