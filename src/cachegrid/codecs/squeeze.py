"""Compression with zstd, where it pays."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final

from cachegrid.codecs.protocol import Payload
from cachegrid.errors import FrameError

if TYPE_CHECKING:
    from types import ModuleType

    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

__all__ = ["COMPRESS_FROM", "expand", "squeeze"]

# Bytes from which on compressing pays by default. To read a compressed value takes 10 us more, however small
# it is, on top of the 25 us of a GET; half of 4 KiB saved is what a network of 1 Gbit/s carries in that time.
COMPRESS_FROM: Final = 4096

# Within 2 % of the sizes of level 3 on records and text, in three quarters of its time.
_LEVEL: Final = 1
_WORTH: Final = 0.9  # of its size is what a payload may keep at most


class _Compressors(threading.local):
    """One compressor for each thread: making one takes three times as long as compressing 4 KiB with it."""

    zstd: zstd.ZstdCompressor | None = None


_compressors: Final = _Compressors()


def _load() -> ModuleType:
    """The library, when it is first needed: many programs never store anything large."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def squeeze(payload: bytes) -> bytes | None:
    """The payload compressed, or None if that saves less than a tenth."""
    compressor = _compressors.zstd
    if compressor is None:
        zstd = _load()
        compressor = _compressors.zstd = zstd.ZstdCompressor(_LEVEL)
    squeezed = compressor.compress(payload, compressor.FLUSH_FRAME)
    return squeezed if len(squeezed) < len(payload) * _WORTH else None


def expand(body: Payload, limit: int) -> bytes:
    """What was compressed. `FrameError` for damaged bytes, and for such as would grow beyond `limit` bytes."""
    zstd = _load()
    try:
        size = zstd.get_frame_info(body).decompressed_size
        if size is None or size > limit:
            raise FrameError(f"a compressed payload says it has {size} bytes, and at most {limit} are read")
        reader = zstd.ZstdDecompressor()
        payload: bytes = reader.decompress(body, size + 1)  # it may lie about its size
        if not reader.eof or len(payload) != size or reader.unused_data:
            raise FrameError(f"a compressed payload says it has {size} bytes, and has not")
        return payload
    except zstd.ZstdError as error:
        raise FrameError(f"a compressed payload is damaged: {error}") from None
