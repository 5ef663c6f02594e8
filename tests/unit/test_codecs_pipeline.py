"""From a value to a frame and back: sizes, compression, signatures, and frames of others."""

from __future__ import annotations

import hashlib
import hmac
import os
import pickle
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid._core import frame as frames
from cachegrid.codecs import COMPRESS_FROM, NAMES, codec_named, compose
from cachegrid.codecs.pipeline import Pipeline
from cachegrid.codecs.squeeze import expand, squeeze
from cachegrid.errors import ConfigError, FrameError, ValueRefused, ValueTooLarge
from cachegrid.testing.codec_contract import difference

SECRET = b"sixteen bytes at least"
TIMES: dict[str, Any] = {"created": 1_700_000_000_000, "version": 2**63, "ttl": 60_000}
TEXT = "all work and no play " * 500


def composed(codec: str = "plain", **changes: Any) -> Pipeline:
    return compose(codec, **{"cache": "tests", "secret": SECRET} | changes)


def frozen(pipeline: Pipeline, value: Any, address: bytes = b"cg:tests:0:skey", **changes: Any) -> bytes:
    return pipeline.freeze(address, "key", value, **TIMES | changes)


@pytest.mark.parametrize("codec", NAMES)
@pytest.mark.parametrize("times", [{}, {"ttl": None}, {"idle": 5}, {"grace": 7}, {"idle": 5, "grace": 7}])
def test_a_frame_tells_what_it_was_given(codec: str, times: dict[str, Any]) -> None:
    """
    Value and times come back, small or large, compressed or not, signed or not.
    """
    for content in (b"small", b"large" * 2000, os.urandom(9000), b""):
        value = content.hex() if codec == "json" else content
        for compress in (None, 10):
            pipeline = composed(codec, compress=compress)
            raw = frozen(pipeline, value, **times)
            got, frame = pipeline.thaw_entry(b"cg:tests:0:skey", raw)
            assert difference(value, got) is None
            assert value == pipeline.thaw(b"cg:tests:0:skey", raw)
            wanted = {"idle": None, "grace": None} | TIMES | times | {"version": bytes([128, 0, 0, 0, 0, 0, 0, 0])}
            assert wanted == {name: getattr(frame, name) for name in wanted}


@pytest.mark.parametrize("codec", ["plain", "json"])
@pytest.mark.parametrize("value", [0, 7, -1, 2**63 - 1, -(2**63)])
def test_integers_are_digits_that_engines_count(codec: str, value: int) -> None:
    """
    An integer of 64 bits has no header, so that an engine can add to it.
    """
    pipeline = composed(codec)
    raw = frozen(pipeline, value)
    assert str(value).encode() == raw
    assert value == pipeline.thaw(b"", raw)
    assert (value, frames.frame_of_int(raw)) == pipeline.thaw_entry(b"", raw)


@pytest.mark.parametrize(
    ("codec", "value", "times"),
    [
        ("plain", True, {}),
        ("plain", 2**63, {}),
        ("plain", 1, {"idle": 5}),
        ("plain", 1, {"grace": 5}),
        ("pickle", 1, {}),
    ],
)
def test_other_numbers_have_a_header(codec: str, value: int, times: dict[str, Any]) -> None:
    """
    What digits cannot tell, such as an idle time, needs a frame.
    """
    pipeline = composed(codec)
    raw = frozen(pipeline, value, **times)
    assert frames.MAGIC == raw[0]
    assert difference(value, pipeline.thaw(b"cg:tests:0:skey", raw)) is None


@pytest.mark.parametrize("codec", NAMES)
def test_many_frames_say_what_each_says(codec: str) -> None:
    """
    Text and bytes are read without the codec where that can be; what is absent or damaged is left out.
    """
    pipeline = composed(codec)
    values: list[Any] = [b"", b"some", b"\xc1\x01", os.urandom(9000)]
    if codec != "raw":
        values = ["", "some", "Käse", TEXT, 7, None, True, [], {"a": 1}, "\xc1\x02"]
        values += [] if codec == "json" else ["\ud800", 2**70, b"", b"some", os.urandom(9000), (1, "two")]
    keys = [f"key {number}" for number in range(len(values))]
    addresses = [f"cg:tests:0:${key}".encode() for key in keys]
    raws: list[bytes | None] = [
        frozen(pipeline, value, address, idle=5 if place == 1 else None)
        for place, (value, address) in enumerate(zip(values, addresses, strict=True))
    ]
    found: dict[str, Any] = {}
    special, damaged = pipeline.thaw_many(found, keys, addresses, range(len(keys)), raws)
    assert 0 == damaged
    assert (keys[1], addresses[1], raws[1]) in special
    for key, address, value, raw in zip(keys, addresses, values, raws, strict=True):
        assert raw is not None
        assert difference(value, found[key]) is None
        assert difference(value, pipeline.thaw(address, raw)) is None
        assert difference(value, pipeline.thaw_entry(address, raw)[0]) is None


def test_damaged_frames_are_counted_among_many() -> None:
    """
    Of many some may be absent, some damaged; the others are read, each for its own key.
    """
    pipeline = composed(secret=None)
    text = frozen(pipeline, "some")
    raws = [frozen(pipeline, "last"), None, text[:-1] + b"\xff\xfe", frozen(pipeline, b"first"), text[:24], b""]
    found: dict[str, Any] = {}
    keys = list("abcdef")
    _, damaged = pipeline.thaw_many(found, keys, [b"cg:tests:0:$"] * 6, [5, 4, 3, 0, 2, 1], raws)
    assert {"f": "last", "a": b"first"} == found
    assert 3 == damaged


def test_digits_are_damaged_where_nothing_counts() -> None:
    """
    Digits in a cache of bytes or pickles are no entry of it.
    """
    for codec in ("raw", "pickle"):
        with pytest.raises(FrameError):
            composed(codec).thaw(b"", b"42")


@given(st.binary(max_size=60), st.sampled_from(NAMES))
def test_any_bytes_are_thawed_or_refused(raw: bytes, codec: str) -> None:
    """
    Foreign bytes in the grid are a FrameError, with and without a header like ours.
    """
    pipeline = composed(codec)
    own = codec_named(codec).id.to_bytes(1, "big")
    for body in (raw, b"\xc9\x01" + raw, b"\xc9\x01" + bytes(6) + own + raw):
        try:
            value, frame = pipeline.thaw_entry(b"", body)
        except FrameError:
            with pytest.raises(FrameError):
                pipeline.thaw(b"", body)
        else:
            assert difference(value, pipeline.thaw(b"", body)) is None
            assert frame.version


def test_a_frame_cut_short_is_refused() -> None:
    """
    A frame that ends within its header is no frame, even to a codec that takes any payload.
    """
    pipeline = composed("raw")
    raw = frozen(pipeline, b"")
    for size in range(len(raw)):
        with pytest.raises(FrameError):
            pipeline.thaw(b"", raw[:size])
    assert b"" == pipeline.thaw(b"", raw)


@pytest.mark.parametrize("writer", NAMES)
@pytest.mark.parametrize("reader", NAMES)
def test_a_frame_of_another_codec_is_refused(writer: str, reader: str) -> None:
    """
    A cache whose codec was changed misses what it stored before.
    """
    value = "text" if writer != "raw" else b"text"
    raw = frozen(composed(writer), value)
    if writer == reader:
        assert value == composed(reader).thaw(b"cg:tests:0:skey", raw)
    else:
        with pytest.raises(FrameError, match="codec"):
            composed(reader).thaw(b"cg:tests:0:skey", raw)


# Sizes.


@pytest.mark.parametrize(
    ("codec", "value", "size"), [("plain", b"x" * 10_000, 10_002), ("raw", b"x" * 5, 5), ("json", "x", 3)]
)
def test_a_value_over_the_limit_is_refused(codec: str, value: Any, size: int) -> None:
    """
    The limit holds for the payload as it is before compression; the error names what and how much.
    """
    assert frozen(composed(codec, max_value=size, compress=None), value)
    assert frozen(composed(codec, max_value=size, compress=1), value)
    for compress in (None, 1):
        with pytest.raises(ValueTooLarge) as caught:
            frozen(composed(codec, max_value=size - 1, compress=compress), value)
        assert ("tests", "key", size, size - 1) == (
            caught.value.cache, caught.value.key, caught.value.size, caught.value.limit
        )  # fmt: skip


@pytest.mark.parametrize("compress", [None, 1])
@pytest.mark.parametrize("size", [3, 100, 10_000])
def test_a_payload_over_the_limit_is_not_read(compress: int | None, size: int) -> None:
    """
    A frame that is larger than the cache takes, or would grow larger, is refused before it is decoded.
    """
    raw = frozen(composed("raw", compress=compress), b"x" * size)
    assert b"x" * size == composed("raw", max_value=size).thaw(b"", raw)
    with pytest.raises(FrameError):
        composed("raw", max_value=size - 1).thaw(b"", raw)


def test_refusals_name_cache_and_key() -> None:
    """
    What the codec says of a value is told together with where it was to be put.
    """
    with pytest.raises(
        ValueRefused, match=r"for 'key' in cache 'tests': codec 'plain' cannot keep value\['a'\]"
    ) as caught:
        frozen(composed(), {"a": object()})
    assert ("value['a']", object) == (caught.value.path, caught.value.kind)


# Compression.


def test_compression_is_kept_where_it_pays() -> None:
    """
    From the threshold on payloads are compressed, unless that saves less than a tenth.
    """
    pipeline = composed()
    large, small, noise = TEXT[:COMPRESS_FROM], TEXT[: COMPRESS_FROM - 3], os.urandom(9000)
    assert len(frozen(pipeline, large)) < 500
    assert len(frozen(pipeline, small)) == COMPRESS_FROM - 3 + 2 + 24
    assert len(frozen(pipeline, noise)) == 9000 + 2 + 24
    assert len(frozen(composed(compress=None), large)) == COMPRESS_FROM + 2 + 24
    for value in (large, small, noise):
        assert value == pipeline.thaw(b"", frozen(pipeline, value))


@given(st.binary(max_size=200), st.integers(1, 50))
def test_squeezed_bytes_expand(part: bytes, times: int) -> None:
    """
    Compression loses nothing.
    """
    squeezed = squeeze(part * times)
    if squeezed is not None:
        assert len(squeezed) < len(part * times)
        assert part * times == expand(squeezed, len(part) * times)


def test_a_bomb_is_refused_before_it_grows() -> None:
    """
    What says that it would be too large, lies about its size, or tells none, is a FrameError.
    """
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    bomb = zstd.compress(bytes(100_000_000))
    assert len(bomb) < 20_000
    with pytest.raises(FrameError, match="100000000"):
        expand(bomb, 64 << 20)
    liar = bytearray(zstd.compress(bytes(60_000)))
    at = bytes(liar).index((60_000 - 256).to_bytes(2, "little"))
    liar[at : at + 2] = (1000).to_bytes(2, "little")
    with pytest.raises(FrameError):
        expand(bytes(liar), 64 << 20)
    streamed = zstd.ZstdCompressor()
    secretive = streamed.compress(bytes(1000)) + streamed.flush()
    with pytest.raises(FrameError):
        expand(secretive, 500)
    whole = zstd.compress(b"x" * 1000)
    for damaged in (b"", b"x", whole[:-1], whole + b"x", whole + whole, whole[:8] + b"\xff" + whole[9:]):
        with pytest.raises(FrameError):
            expand(damaged, 64 << 20)


def test_zstd_is_not_loaded_for_small_values() -> None:
    """
    A program that stores nothing large does not load the library.
    """
    program = (
        "import sys; from cachegrid.codecs import compose; pipeline = compose('plain', cache='small')\n"
        "raw = pipeline.freeze(b'', 'k', 'value', created=1, version=1, ttl=1); pipeline.thaw(b'', raw)\n"
        "print([name for name in sys.modules if 'zstd' in name])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


# Signatures.


class Bomb:
    """Tells when it was unpickled."""

    went_off = False

    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> None:
    Bomb.went_off = True


def test_a_forged_pickle_is_never_read() -> None:
    """
    Without the secret no bytes lead to an unpickling: not unsigned, not signed with another secret.
    """
    pipeline = composed("pickle")
    payload = pickle.dumps(Bomb())
    id_ = codec_named("pickle").id
    header = frames.header(codec=id_, flags=frames.SIGNED, created=1, version=1, ttl=None)
    forgeries = [
        frames.pack(payload, codec=id_, created=1, version=1, ttl=None),
        frames.pack(bytes(32) + payload, codec=id_, created=1, version=1, ttl=None),
        header + payload,
        header + payload[:20],
        header + hmac.digest(b"", header + payload, hashlib.sha256) + payload,
        frozen(composed("pickle", secret=b"another secret of 16"), Bomb()),
    ]
    for raw in forgeries:
        with pytest.raises(FrameError):
            pipeline.thaw(b"cg:tests:0:skey", raw)
    assert not Bomb.went_off
    assert pipeline.thaw(b"cg:tests:0:skey", frozen(pipeline, Bomb())) is None
    assert Bomb.went_off
    Bomb.went_off = False


@pytest.mark.parametrize("value", ["small", TEXT], ids=["small", "compressed"])
def test_a_signature_is_good_for_one_place(value: str) -> None:
    """
    A signed frame that was moved to another address or cache, or changed by one bit, is refused.
    """
    pipeline = composed("pickle")
    raw = frozen(pipeline, value, idle=5, grace=6)
    assert value == pipeline.thaw(b"cg:tests:0:skey", raw)
    with pytest.raises(FrameError, match="signature"):
        pipeline.thaw(b"cg:tests:0:skey2", raw)
    with pytest.raises(FrameError, match="signature"):
        composed("pickle", cache="test").thaw(b"cg:tests:0:skey", raw)
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        if frames.TTL_START <= at < frames.TTL_END:
            assert value == pipeline.thaw(b"cg:tests:0:skey", changed)  # an engine may change it
        else:
            with pytest.raises(FrameError):
                pipeline.thaw(b"cg:tests:0:skey", changed)
        with pytest.raises(FrameError):
            pipeline.thaw(b"cg:tests:0:skey", raw[:at])


def test_the_parts_of_a_signature_do_not_slide() -> None:
    """
    Cache and address that are the same bytes in another division are another place.
    """
    raw = frozen(composed("pickle", cache="ab"), "value", address=b"c")
    assert "value" == composed("pickle", cache="ab").thaw(b"c", raw)
    with pytest.raises(FrameError):
        composed("pickle", cache="a").thaw(b"bc", raw)


def test_a_signed_frame_is_nothing_to_a_cache_that_signs_nothing() -> None:
    """
    A flag that promises a signature is not overlooked.
    """
    raw = frames.pack(bytes(32) + b"x", codec=codec_named("raw").id, flags=frames.SIGNED, created=1, version=1, ttl=1)
    with pytest.raises(FrameError, match="signs nothing"):
        composed("raw").thaw(b"", raw)


# Settings.


def test_settings_are_checked_when_a_cache_is_composed() -> None:
    """
    An unknown codec, a missing or a short secret, and an id of ours are refused, and the error helps.
    """
    with pytest.raises(ConfigError, match="did you mean 'pickle'"):
        composed("pickel")
    with pytest.raises(ConfigError, match="secret"):
        composed("pickle", secret=None)
    with pytest.raises(ConfigError, match="at least 16 bytes"):
        composed("pickle", secret=b"short")
    with pytest.raises(ConfigError, match="128 to 255"):
        compose(codec_named("json"), cache="tests")


def test_the_secret_is_in_no_message() -> None:
    """
    Neither a refused secret nor a composed cache shows it.
    """
    with pytest.raises(ConfigError) as caught:
        composed("pickle", secret=b"hush")
    assert "hush" not in str(caught.value) + repr(composed("pickle", secret=b"hush" * 8))
