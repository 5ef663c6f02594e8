"""
numpy arrays and scalars, for those who have numpy; it is never imported unless they did, or stored one.

An array is read without a copy where its bytes lie in the payload already, so it is read-only: copy it
before changing it.
"""

from __future__ import annotations

import re
import struct
import sys
from typing import TYPE_CHECKING, Any, Final

from cachegrid.codecs.kinds import ARRAY, KINDS, MAKERS, SCALAR, Kind, Maker
from cachegrid.codecs.protocol import Payload
from cachegrid.codecs.refusal import Refused

if TYPE_CHECKING:
    import numpy as np

__all__ = ["late_kind"]

_ALIGN: Final = 8
_BEFORE: Final = 2  # bytes of `plain` before a value that stands alone; arrays are aligned for that case
_DTYPES: Final = re.compile(r"[<>|][biufcmMSU]\d+(\[\w+\])?")  # as written by dtype.str; no objects, no records
_HEAD: Final = struct.Struct(">BBB")  # length of the dtype, order, dimensions; then the dtype, and 8 bytes for each
_C, _F = 0, 1


def late_kind(kind: type) -> Kind | None:
    """How values of a type are written that was not known when this package was imported, if they can be."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if kind is getattr(numpy, "ndarray", None):
        KINDS[kind] = Kind(ARRAY, nested=False, take=_take_array)
    elif issubclass(kind, getattr(numpy, "generic", ())):
        KINDS[kind] = Kind(SCALAR, nested=False, take=_take_scalar)
    return KINDS.get(kind)


def _dtype_text(dtype: np.dtype[Any], kind: type) -> bytes:
    text = dtype.str.encode()
    if dtype.itemsize == 0 or dtype.metadata or not _DTYPES.fullmatch(dtype.str) or _dtype(text) != dtype:
        raise Refused(kind, f"its dtype {dtype} is not one of numbers, dates or text")
    return text


def _take_array(value: np.ndarray[Any, Any]) -> bytes:
    text = _dtype_text(value.dtype, type(value))
    order = _F if value.flags.fnc else _C
    head = _HEAD.pack(len(text), order, value.ndim) + text + struct.pack(f">{value.ndim}Q", *value.shape)
    gap = -(len(head) + _BEFORE) % _ALIGN
    return b"".join((head, bytes(gap), value.tobytes("F" if order else "C")))


def _make_array(body: Payload) -> np.ndarray[Any, Any]:
    import numpy as np

    text_size, order, ndim = _HEAD.unpack_from(body)
    start = _HEAD.size + text_size
    dtype = _dtype(bytes(body[_HEAD.size : start]))
    shape = struct.unpack_from(f">{ndim}Q", body, start)
    start += 8 * ndim
    start += -(start + _BEFORE) % _ALIGN
    count = 1
    for size in shape:
        count *= size
    if len(body) - start != count * dtype.itemsize:
        raise ValueError("an array is not as large as its shape says")
    flat = np.frombuffer(body, dtype, count, start) if count else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if order else "C")


def _take_scalar(value: np.generic) -> bytes:
    text = _dtype_text(value.dtype, type(value))
    return bytes([len(text)]) + text + value.tobytes()


def _make_scalar(body: Payload) -> object:
    import numpy as np

    start = 1 + body[0]
    dtype = _dtype(bytes(body[1:start]))
    if len(body) - start != dtype.itemsize:
        raise ValueError("a scalar is not as large as its dtype says")
    return np.frombuffer(body, dtype, 1, start)[0]


def _dtype(text: bytes) -> np.dtype[Any]:
    import numpy as np

    found = text.decode("ascii")
    if not _DTYPES.fullmatch(found):
        raise ValueError(f"{found!r} is no dtype of ours")
    return np.dtype(found)


MAKERS[ARRAY] = Maker(nested=False, make=_make_array)
MAKERS[SCALAR] = Maker(nested=False, make=_make_scalar)
