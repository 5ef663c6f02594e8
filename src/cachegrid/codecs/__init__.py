"""Between values and the bytes that are stored: codecs by name, and all that a cache does besides, composed once."""

from __future__ import annotations

import difflib
from typing import Final

from cachegrid.codecs.pipeline import Pipeline
from cachegrid.codecs.protocol import PLUG_IN_IDS, Codec, Payload
from cachegrid.codecs.registry import register
from cachegrid.codecs.squeeze import COMPRESS_FROM
from cachegrid.errors import ConfigError

__all__ = ["COMPRESS_FROM", "NAMES", "Codec", "Payload", "Pipeline", "codec_named", "compose", "register"]

NAMES: Final = ("plain", "json", "raw", "pickle")


def codec_named(name: str) -> Codec:
    """A codec of ours; `ConfigError` for an unknown name. What it needs is imported now."""
    if name == "plain":
        from cachegrid.codecs.plain import PlainCodec

        return PlainCodec()
    if name == "json":
        from cachegrid.codecs.json_text import JsonCodec

        return JsonCodec()
    if name == "raw":
        from cachegrid.codecs.raw import RawCodec

        return RawCodec()
    if name == "pickle":
        from cachegrid.codecs.signed_pickle import PickleCodec

        return PickleCodec()
    near = difflib.get_close_matches(name, NAMES, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError("codec", name, f"one of {', '.join(NAMES)}{hint}")


def compose(
    codec: str | Codec,
    *,
    compress: int | None = COMPRESS_FROM,
    cache: str,
    secret: bytes | None = None,
    max_value: int = 64 << 20,
    shown: str | None = None,
) -> Pipeline:
    """
    What a cache does to its values: made once, when the cache is.

    `codec` is a name or a codec of your own; `compress` the payload size in bytes from which on compression
    is tried, None for never; `max_value` the largest payload in bytes. A codec that signs needs `secret`.
    `shown` is what the cache is called where a value is refused: with the name of the function whose results it keeps.
    Raises `ConfigError` for an unknown name, an id that is not for plug-ins, and a secret missing or too short.
    """
    if isinstance(codec, str):
        codec = codec_named(codec)
    elif codec.id not in PLUG_IN_IDS:
        want = f"from {PLUG_IN_IDS.start} to {PLUG_IN_IDS.stop - 1}, for a codec that is not ours"
        raise ConfigError(f"id of codec {codec.name!r}", codec.id, want)
    return Pipeline(codec, compress=compress, cache=cache, secret=secret, max_value=max_value, shown=shown)
