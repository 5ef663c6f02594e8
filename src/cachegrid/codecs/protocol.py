"""What a codec is: an id and a name, and two functions between values and payloads."""

from __future__ import annotations

from typing import Final, Protocol

__all__ = ["PLUG_IN_IDS", "Codec", "Payload"]

Payload = bytes | memoryview

# Ids below are ours. The id stands in every frame, and a frame of another codec is a miss.
PLUG_IN_IDS: Final = range(128, 256)


class Codec(Protocol):
    """
    Turns values into payloads and back. One object serves all threads.

    Besides, a codec may say (see `cachegrid.codecs.pipeline`) that it `counts`: its integers may be stored
    as digits; that it is `signed`: its payloads are only decoded under a valid signature; what `bytes_prefix` its
    payload of a bytes value has before the value itself; and what `text_prefix` that of text before its UTF-8 form.
    """

    @property
    def id(self) -> int:
        """What frames name the codec by; from `PLUG_IN_IDS` for a codec that is not ours."""

    @property
    def name(self) -> str:
        """What configurations and messages name the codec by."""

    def encode(self, value: object) -> bytes:
        """The payload of a value; `ValueRefused` if the value cannot be had back exactly."""

    def decode(self, payload: Payload) -> object:
        """The value of a payload, equal and of the same types; `FrameError`, and nothing else, if it has none."""
