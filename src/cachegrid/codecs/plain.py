"""
The codec `plain`: msgpack with extensions, and what you get is what you put, with the same types.

Three ways lead to a payload. Most values are packed as they are, by ormsgpack, and types that msgpack lacks
are handed to a hook. A value that stands alone, such as a datetime or a megabyte of bytes, is written after
a byte that msgpack never uses, without msgpack. What neither can do exactly goes through `exact`, slowly.

Reading trusts nothing: whatever the bytes are, a value or a `FrameError` comes out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from ormsgpack import OPT_NON_STR_KEYS, Ext, packb, unpackb

from cachegrid.codecs import registry as _registry  # noqa: F401 - tells `kinds` of registered classes
from cachegrid.codecs.arrays import late_kind
from cachegrid.codecs.buffers import holds_buffer, may_hold_bytes
from cachegrid.codecs.depth import SHALLOW_SIZE, check_depth
from cachegrid.codecs.exact import STRICT, pack_exactly
from cachegrid.codecs.kinds import BYTES, KINDS, MAKERS, STR
from cachegrid.codecs.protocol import Payload
from cachegrid.codecs.records import FEWEST, columns_of
from cachegrid.codecs.refusal import Refused
from cachegrid.errors import FrameError

__all__ = ["PlainCodec"]

_ALONE: Final = 0xC1  # never begins msgpack; a code follows, and the body of that kind
_HEADS: Final = [bytes([_ALONE, code]) for code in range(256)]

# Extensions within extensions that are packed and read by hooks calling each other. Deeper ones are packed by
# `exact`, and read only after their depth was measured: each level may take 700 kB of the C stack when the
# bytes were made to, and a thread has 8 MB, or less.
_LEVELS: Final = 4

_NATURAL_KEYS: Final = frozenset({str, int, float, bool, bytes, type(None)})  # that msgpack has too
_NATIVE: Final = frozenset({dict, list, float, bool, type(None)})
_DEEPEST: Final = 254  # that ormsgpack packs
_ENVELOPE: Final = 8  # keys of a dictionary whose values are looked at for lists of records

Pack = Callable[[Any], bytes]
Unpack = Callable[[Any], Any]


class _Hidden(threading.local):
    """What went wrong in a hook of this thread: ormsgpack says only that something did."""

    error: BaseException | None = None

    def keep(self, error: BaseException) -> None:
        """Keep an error, unless it comes of one that a hook within this one kept."""
        if self.error is None:
            self.error = error

    def take(self) -> BaseException | None:
        """The error, once. One that is no mistake of ours, such as KeyboardInterrupt, is raised."""
        error, self.error = self.error, None
        if error is not None and not isinstance(error, Exception):
            raise error
        return error


_hidden: Final = _Hidden()


def _packer(level: int) -> Pack:
    """What packs a value whose extensions may be nested `level` times."""
    deeper = _packer(level - 1) if level else None

    def hook(value: Any) -> Ext:
        try:
            kind = KINDS.get(type(value)) or late_kind(type(value))
            if kind is None:
                raise TypeError(type(value))
            if not kind.nested:
                return Ext(kind.code, kind.take(value))
            if deeper is None:
                raise TypeError("too deep for the fast way")
            return Ext(kind.code, deeper(kind.take(value)))
        except BaseException as error:
            _hidden.keep(error)
            raise

    def pack(value: Any) -> bytes:
        try:
            packed = packb(value, hook, STRICT)
        except TypeError:
            if not _has_natural_keys(value, _DEEPEST):
                raise
            _hidden.take()
            packed = packb(value, hook, STRICT | OPT_NON_STR_KEYS)
        if may_hold_bytes(packed) and holds_buffer(value):
            raise TypeError("a buffer would come back as bytes")
        return packed

    return pack


def _has_natural_keys(value: Any, room: int) -> bool:
    """
    Whether some dictionary has keys that are not text, and all such keys are of types that msgpack has.

    Asked first, since told to take any key ormsgpack would make text of a date and a number of an enum.
    """
    found = _find_keys(value, room)
    return found is not None and found <= _NATURAL_KEYS and not found <= {str}


def _find_keys(value: Any, room: int) -> set[type] | None:
    """The types of all keys in a value, its lists and its dictionaries; None if that has no end."""
    if type(value) is dict:
        found, parts = {*map(type, value)}, [*value.values()]
    elif type(value) is list:
        found, parts = set(), value
    else:
        return set()
    if room == 0:
        return None
    if not {list, dict}.isdisjoint(map(type, parts)):
        for part in parts:
            below = _find_keys(part, room - 1)
            if below is None:
                return None
            found |= below
    return found


def _unpacker(level: int) -> Unpack:
    """What reads a value whose extensions may be nested `level` times, or any number of times if measured first."""
    deeper = _unpacker(level - 1) if level else _unpack_measured

    def hook(code: int, body: bytes) -> object:
        try:
            nested, make = MAKERS[code]
            return make(deeper(body)) if nested else make(body)
        except BaseException as error:
            _hidden.keep(error)
            raise

    def unpack(body: Payload) -> object:
        try:
            return unpackb(body, ext_hook=hook)
        except ValueError:
            if _hidden.error is not None:
                raise
        # Only now with a word that any key will do: it would cost each value a twelfth.
        return unpackb(body, ext_hook=hook, option=OPT_NON_STR_KEYS)

    return unpack


def _unpack_measured(body: bytes) -> object:
    if len(body) > SHALLOW_SIZE:
        check_depth(body)
    return _unpack_trusted(body)


def _trusted_hook(code: int, body: bytes) -> object:
    try:
        nested, make = MAKERS[code]
        return make(_unpack_trusted(body)) if nested else make(body)
    except BaseException as error:
        _hidden.keep(error)
        raise


def _unpack_trusted(body: bytes) -> object:
    return unpackb(body, ext_hook=_trusted_hook, option=OPT_NON_STR_KEYS)


_pack: Final = _packer(_LEVELS)
_pack_part: Final = _packer(_LEVELS - 1)
_unpack: Final = _unpacker(_LEVELS)
_unpack_part: Final = _unpacker(_LEVELS - 1)


def _pack_list(value: list[Any]) -> bytes:
    columns = columns_of(value, _pack_part)
    return _pack(value) if columns is None else _HEADS[columns[0]] + columns[1]


def _pack_envelope(value: dict[Any, Any]) -> bytes:
    """A small dictionary, in which there are often records: `{"total": 812, "places": [...]}`."""
    for key, part in value.items():
        if type(part) is list and len(part) >= FEWEST:
            columns = columns_of(part, _pack_part)
            if columns is not None:
                value = value | {key: Ext(*columns)}
    return _pack(value)


class PlainCodec:
    """
    Keeps values exactly, within each other at any depth up to 128, or refuses them.

    That is: None, bool, int, float, complex, Decimal, str, bytes, bytearray; list, tuple, dict, OrderedDict, set,
    frozenset, deque, range; datetime, date, time, timedelta, UUID; arrays and scalars of numpy; and instances of
    registered classes. Keys and members may be of any of these that can be hashed.
    """

    id: Final = 1
    name: Final = "plain"
    counts: Final = True
    bytes_prefix: Final = _HEADS[BYTES]
    text_prefix: Final = _HEADS[STR]

    def encode(self, value: Any) -> bytes:
        """The payload of a value, `ValueRefused` if some part of it would not come back as it is."""
        kind = type(value)
        try:
            how = KINDS.get(kind)
            if how is None and kind not in _NATIVE:
                how = late_kind(kind)
            if how is not None:
                code, nested, take, _ = how
                return _HEADS[code] + (_pack_part(take(value)) if nested else take(value))
            if kind is list and len(value) >= FEWEST:
                return _pack_list(value)
            if kind is dict and len(value) <= _ENVELOPE and list in map(type, value.values()):
                return _pack_envelope(value)
            return _pack(value)
        except (TypeError, Refused, RecursionError):
            _hidden.take()
        try:
            return pack_exactly(value)
        except Refused as refused:
            raise refused.as_error(self.name) from refused.__cause__

    def decode(self, payload: Payload) -> object:
        """The value of a payload, or `FrameError`. Arrays of numpy are views of the payload, and read-only."""
        try:
            if payload[0] != _ALONE:
                return _unpack(payload)
            nested, make = MAKERS[payload[1]]
            return make(_unpack_part(payload[2:]) if nested else payload[2:])
        except Exception as error:  # noqa: BLE001 - damaged bytes can fail anywhere, and in the code of registered classes
            why = _hidden.take() or error
            raise FrameError(f"no value of the codec 'plain': {why}") from why
