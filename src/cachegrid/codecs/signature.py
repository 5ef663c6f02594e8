"""Signatures of payloads: who writes them knows the grid's secret, and wrote them for this very place."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cachegrid._core.frame import TTL_END, TTL_START
from cachegrid.codecs.protocol import Payload
from cachegrid.errors import ConfigError

__all__ = ["MAC_SIZE", "SHORTEST_SECRET", "Signer"]

MAC_SIZE: Final = 32
SHORTEST_SECRET: Final = 16  # bytes
_PURPOSE: Final = b"cachegrid signed frame 1"


class Signer:
    """
    Signs with HMAC-SHA256 and the grid's secret, for one cache.

    Signed are the cache, the address, the header but for the time to live, which engines change, and the
    payload as it is stored. Each is written after its length, so that no byte can pass from one to the next.
    """

    def __init__(self, secret: bytes | None, cache: str) -> None:
        if secret is None or len(secret) < SHORTEST_SECRET:
            raise ConfigError(
                "secret",
                None if secret is None else f"{len(secret)} bytes long",
                f"at least {SHORTEST_SECRET} bytes, the same in every process: cache {cache!r} signs what it stores",
            )
        self._start = hmac.new(secret, digestmod=hashlib.sha256)
        for part in (_PURPOSE, cache.encode("utf-8", "surrogatepass")):
            _add(self._start, part)

    def sign(self, address: bytes, head: Payload, body: Payload) -> bytes:
        """The 32 bytes of the signature."""
        mac = self._start.copy()
        for part in (address, head[:TTL_START], head[TTL_END:], body):
            _add(mac, part)
        return mac.digest()

    def is_valid(self, address: bytes, head: Payload, signature: Payload, body: Payload) -> bool:
        """Whether `signature` is what `sign` gives; takes as long whether or not."""
        return hmac.compare_digest(self.sign(address, head, body), signature)


def _add(mac: hmac.HMAC, part: Payload) -> None:
    mac.update(len(part).to_bytes(8, "big"))
    mac.update(part)
