"""The codec `raw`: bytes, stored as they are."""

from __future__ import annotations

from typing import Any, Final

from cachegrid.codecs.protocol import Payload
from cachegrid.codecs.refusal import Refused

__all__ = ["RawCodec"]


class RawCodec:
    """Keeps bytes and nothing else; other programs can read them behind the frame's header."""

    id: Final = 3
    name: Final = "raw"
    bytes_prefix: Final = b""

    def encode(self, value: Any) -> bytes:
        """The value itself; `ValueRefused` for anything but bytes."""
        if type(value) is not bytes:
            ways = 'give it as bytes, or the cache codec="plain"'
            raise Refused(type(value), "it keeps bytes only", ways).as_error(self.name)
        return value

    def decode(self, payload: Payload) -> bytes:
        """The payload itself; no bytes are damaged to this codec."""
        return bytes(payload)
