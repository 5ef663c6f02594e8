"""
From a value to a whole frame and back: codec, compression, signature and header, composed once for a cache.

Small values of an unsigned cache, which are nearly all, take the shortest way through `freeze` and `thaw`;
whatever needs more care leaves it at one comparison.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final, TypeVar

from cachegrid._core import frame as frames
from cachegrid._core.frame import COMPRESSED, HEADER_SIZE, INT_MAX, INT_MIN, SIGNED, Frame
from cachegrid.codecs.protocol import Codec, Payload
from cachegrid.codecs.signature import MAC_SIZE, Signer
from cachegrid.codecs.squeeze import expand, squeeze
from cachegrid.errors import FrameError, ValueRefused, ValueTooLarge

__all__ = ["Pipeline"]

K = TypeVar("K", bound=Hashable)

_SMALL: Final = 4096  # bytes that are copied without a thought; of more, views are taken
_SIGNATURE: Final = frames.MAGIC << 8 | frames.FORMAT
# What tells how to read most frames: signature, codec and flags, and the first two bytes of the payload.
_LEAD: Final = struct.Struct(">H6xH14xH")
_LEAD_END: Final = _LEAD.size
_read_lead: Final = _LEAD.unpack_from


class Pipeline:
    """
    What a cache does to its values. Serves all threads.

    `compress` is the size in bytes from which on payloads are compressed, or None; `max_value` the largest
    payload, before compression, that is written or read.
    """

    __slots__ = (
        "_bare",
        "_bytes_lead",
        "_bytes_prefix",
        "_cache",
        "_careful",
        "_codec",
        "_compress",
        "_counts",
        "_encode",
        "_id",
        "_max_value",
        "_shown",
        "_signer",
        "_simple",
        "_text_lead",
        "decode",
    )

    def __init__(
        self,
        codec: Codec,
        *,
        compress: int | None,
        cache: str,
        secret: bytes | None,
        max_value: int,
        shown: str | None = None,
    ) -> None:
        self._codec, self._id = codec, codec.id
        self._encode = codec.encode
        self.decode = codec.decode  # the value in a payload; a fresh one each time
        self._cache, self._max_value, self._shown = cache, max_value, shown or cache
        self._counts: bool = getattr(codec, "counts", False)
        self._bytes_prefix: bytes | None = getattr(codec, "bytes_prefix", None)
        self._signer = Signer(secret, cache) if getattr(codec, "signed", False) else None
        self._compress = max_value + 1 if compress is None else compress
        # Payloads below this size are written without a further look, and frames up to that size are read so.
        self._careful = 0 if self._signer else min(self._compress, max_value + 1)
        self._simple = 0 if self._signer else HEADER_SIZE + min(_SMALL, max_value)
        self._bare = codec.id << 8  # what a frame says of its codec and its flags, then
        self._bytes_lead, self._text_lead = _lead(codec, "bytes_prefix"), _lead(codec, "text_prefix")

    @property
    def counts(self) -> bool:
        """Whether integers without an idle time are stored as digits, to which an engine can add."""
        return self._counts

    def freeze(  # noqa: PLR0913 - each is a field of the frame
        self,
        address: bytes,
        key: object,
        value: Any,
        *,
        created: int,
        version: int,
        ttl: int | None,
        idle: int | None = None,
        grace: int | None = None,
        epochs: bytes = b"",
        cost: int | None = None,
        flags: int = 0,
    ) -> bytes:
        """
        The frame of a value; times are ms. An integer that carries nothing else is its digits, if the codec counts.

        Raises `ValueRefused` for what the codec cannot keep, and `ValueTooLarge`; both name cache and key.
        """
        kind = type(value)
        is_bare = idle is None and grace is None and not epochs and cost is None and not flags
        if kind is int and self._counts and is_bare and INT_MIN <= value <= INT_MAX:
            return b"%d" % value
        if kind is bytes and self._bytes_prefix is not None and len(value) > _SMALL:
            parts = (self._bytes_prefix, value)  # encoding would only copy it
        else:
            try:
                payload = self._encode(value)
            except ValueRefused as error:
                raise self._refused(key, error) from error.__cause__
            if is_bare and len(payload) < self._careful:
                return frames.pack_bare(payload, self._bare, created, version, ttl)
            parts = (b"", payload)
        body, form = self._stored_form(key, parts)
        head = frames.header(
            codec=self._id,
            flags=form | flags,
            created=created,
            version=version,
            ttl=ttl,
            idle=idle,
            grace=grace,
            epochs=epochs,
            cost=cost,
        )
        if self._signer is None:
            return b"".join((head, *body))
        whole = b"".join(body)
        return b"".join((head, self._signer.sign(address, head, whole), whole))

    def _stored_form(self, key: object, parts: tuple[bytes, bytes]) -> tuple[tuple[bytes, ...], int]:
        """A payload, given in two parts, as it is stored, and the flags that say how."""
        size = len(parts[0]) + len(parts[1])
        if size > self._max_value:
            raise ValueTooLarge(self._cache, key, size, self._max_value)
        flags = 0 if self._signer is None else SIGNED
        if size >= self._compress:
            squeezed = squeeze(b"".join(parts))
            if squeezed is not None:
                return (squeezed,), flags | COMPRESSED
        return parts, flags

    def _refused(self, key: object, error: ValueRefused) -> ValueRefused:
        message = f"nothing was stored for {key!r} in cache {self._shown!r}: {error}"
        return ValueRefused(message, path=error.path, kind=error.kind)

    def thaw(self, address: bytes, raw: bytes) -> Any:
        """The value in a frame, or in the digits of an integer; `FrameError` for all other bytes."""
        if _LEAD_END <= len(raw) <= self._simple:
            signature, mark, lead = _read_lead(raw)
            if mark == self._bare and signature == _SIGNATURE:
                if lead == self._bytes_lead:  # decoding would only copy it once more
                    return raw[_LEAD_END:]
                if lead == self._text_lead:
                    try:
                        return raw[_LEAD_END:].decode()
                    except UnicodeDecodeError:
                        pass  # it has lone surrogates, or is damaged: the codec knows
                return self.decode(raw[HEADER_SIZE:])
        if self._counts and frames.is_int(raw):
            return frames.unpack_int(raw)
        return self.thaw_entry(address, raw)[0]

    def thaw_many(
        self,
        found: dict[K, Any],
        keys: Sequence[K],
        addresses: Sequence[bytes],
        places: Iterable[int],
        raws: Iterable[bytes | None],
    ) -> tuple[list[tuple[K, bytes, bytes]], int]:
        """
        Put the values of those frames that can be read into `found`; `places` says whose they are.

        Key, address and frame of those that are more than a payload behind a header, and how many could not be read.
        """
        others: list[tuple[int, bytes]] = []
        bare, simple, decode = self._bare, self._simple, self.decode
        as_bytes, as_text = self._bytes_lead, self._text_lead
        for place, raw in zip(places, raws, strict=True):
            if raw is None:
                continue
            if _LEAD_END <= len(raw) <= simple:  # `thaw`, written out
                signature, mark, lead = _read_lead(raw)
                if mark == bare and signature == _SIGNATURE:
                    try:
                        if lead == as_bytes:
                            found[keys[place]] = raw[_LEAD_END:]
                        elif lead == as_text:
                            found[keys[place]] = raw[_LEAD_END:].decode()
                        else:
                            found[keys[place]] = decode(raw[HEADER_SIZE:])
                        continue
                    except (FrameError, UnicodeDecodeError):
                        pass
            others.append((place, raw))
        damaged = 0
        for place, raw in others:
            try:
                found[keys[place]] = self.thaw(addresses[place], raw)
            except FrameError:
                damaged += 1
        return [(keys[place], addresses[place], raw) for place, raw in others], damaged

    def is_count(self, raw: bytes) -> bool:
        """Whether these are the digits of an integer, which stand for themselves."""
        return self._counts and frames.is_int(raw)

    def thaw_entry(self, address: bytes, raw: bytes) -> tuple[Any, Frame]:
        """The value and what its frame says; `FrameError` as for `thaw`."""
        if self.is_count(raw):
            return frames.unpack_int(raw), frames.frame_of_int(raw)
        payload, frame = self.payload(address, raw)
        return self.decode(payload), frame

    def _known(self, frame: Frame) -> Frame:
        if frame.codec != self._id:
            raise FrameError(f"a frame of codec {frame.codec}, and cache {self._cache!r} has {self._codec.name!r}")
        return frame

    def head(self, raw: bytes) -> Frame:
        """What a frame says, by its beginning; `FrameError` for bytes that are none of this cache."""
        if self.is_count(raw):
            frames.unpack_int(raw)
            return frames.frame_of_int(raw)
        return self._known(frames.unpack(raw))

    def payload(self, address: bytes, raw: bytes) -> tuple[Payload, Frame]:
        """What a frame carries, verified and expanded, and what it says; `FrameError` as for `thaw`."""
        frame = self._known(frames.unpack(raw))
        body: Payload = raw[frame.start :] if len(raw) <= _SMALL else memoryview(raw)[frame.start :]
        if frame.flags & SIGNED or self._signer is not None:
            body = self._verified(address, raw, frame, body)
        if frame.flags & COMPRESSED:
            body = expand(body, self._max_value)
        elif len(body) > self._max_value:
            raise FrameError(f"a payload of {len(body):,} bytes, and at most {self._max_value:,} are read")
        return body, frame

    def _verified(self, address: bytes, raw: bytes, frame: Frame, body: Payload) -> Payload:
        """The body without its signature, if that is ours."""
        if self._signer is None:
            raise FrameError(f"a signed frame, and cache {self._cache!r} signs nothing")
        if not frame.flags & SIGNED:
            raise FrameError("a frame without a signature")
        signature, body = body[:MAC_SIZE], body[MAC_SIZE:]
        if not self._signer.is_valid(address, raw[: frame.start], signature, body):
            raise FrameError("a signature that is not of this grid, cache, address and payload")
        return body


def _lead(codec: Codec, name: str) -> int:
    """The two bytes that a codec has before certain values, as a number; none begins with -1."""
    prefix: bytes = getattr(codec, name, b"")
    return int.from_bytes(prefix, "big") if len(prefix) == _LEAD_END - HEADER_SIZE else -1
