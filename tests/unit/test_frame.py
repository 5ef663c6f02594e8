"""Frames: what is written is read again, and anything else is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid._core import frame
from cachegrid.errors import FrameError

SPANS = st.none() | st.integers(0, frame.NO_END - 1)
FIELDS = st.fixed_dictionaries(
    {
        "codec": st.integers(0, 255),
        "flags": st.sampled_from([0, frame.COMPRESSED, frame.SIGNED, frame.COMPRESSED | frame.SIGNED]),
        "created": st.integers(0, frame.NO_END),
        "version": st.integers(0, 2**64 - 1),
        "ttl": SPANS,
        "idle": SPANS,
        "grace": SPANS,
        "epochs": st.binary(max_size=40),
    }
)
INTS = st.integers(frame.INT_MIN, frame.INT_MAX)


@given(FIELDS, st.binary(max_size=100))
def test_what_is_packed_unpacks(fields: dict[str, Any], payload: bytes) -> None:
    """
    Every field and the payload come back as they went in.
    """
    raw = frame.pack(payload, **fields)
    got = frame.unpack(raw)

    assert payload == raw[got.start :]
    assert frame.header(**fields) + payload == raw
    expected = dict(fields, version=int(fields["version"]).to_bytes(8, "big"))
    flags = expected.pop("flags")
    assert expected == {name: getattr(got, name) for name in expected}
    assert flags == got.flags & (frame.COMPRESSED | frame.SIGNED)


def test_a_plain_entry_has_a_header_of_24_bytes() -> None:
    """
    Without idle time, grace and epochs nothing stands between header and payload.
    """
    raw = frame.pack(b"value", codec=7, created=1_700_000_000_000, version=1, ttl=60_000)
    assert b"value" == raw[frame.HEADER_SIZE :]
    assert frame.HEADER_SIZE == frame.unpack(raw).start


def test_scripts_find_version_and_ttl_at_fixed_places() -> None:
    """
    Scripts inside an engine read bytes 10 to 18 as the version and 18 to 24 as the time to live.
    """
    raw = frame.pack(b"", codec=1, created=5, version=0x0102030405060708, ttl=0x112233445566, idle=9)
    assert (10, 18, 18, 24) == (frame.VERSION_START, frame.VERSION_END, frame.TTL_START, frame.TTL_END)
    assert bytes([1, 2, 3, 4, 5, 6, 7, 8]) == raw[frame.VERSION_START : frame.VERSION_END]
    assert bytes([0x11, 0x22, 0x33, 0x44, 0x55, 0x66]) == raw[frame.TTL_START : frame.TTL_END]


def test_no_end_is_all_ones() -> None:
    """
    A time to live of all ones means without end.
    """
    raw = frame.pack(b"", codec=1, created=5, version=1, ttl=None)
    assert b"\xff" * 6 == raw[frame.TTL_START : frame.TTL_END]
    assert frame.unpack(raw).ttl is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"created": 1 << 48},
        {"created": -1},
        {"version": 1 << 64},
        {"version": -1},
        {"ttl": 1 << 48},
        {"ttl": -1},
        {"idle": 1 << 48},
        {"idle": -1},
        {"grace": 1 << 48},
        {"epochs": b"x" * 65536},
    ],
)
def test_a_number_that_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    """
    A field is never cut off to fit.
    """
    fields = {"codec": 1, "created": 5, "version": 1, "ttl": 1} | wrong
    with pytest.raises(ValueError, match="cannot hold"):
        frame.pack(b"", **fields)


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"\xc9\x01" + tail))
def test_any_bytes_unpack_or_are_refused(raw: bytes) -> None:
    """
    Foreign bytes never surface as anything but FrameError.
    """
    for read in (frame.unpack, frame.unpack_int, frame.version_of):
        with contextlib.suppress(FrameError):
            assert read(raw) is not None


@given(FIELDS, st.data())
def test_a_frame_cut_short_is_refused(fields: dict[str, Any], data: st.DataObject) -> None:
    """
    A header that ends early is a FrameError, wherever it ends.
    """
    head = frame.header(**fields)
    size = data.draw(st.integers(0, len(head) - 1))
    with pytest.raises(FrameError):
        frame.unpack(head[:size])


def test_unknown_formats_and_flags_are_refused() -> None:
    """
    What a newer version wrote is not half understood.
    """
    raw = bytearray(frame.pack(b"v", codec=1, created=5, version=1, ttl=1))
    newer = bytes([raw[0], 2, *raw[2:]])
    with pytest.raises(FrameError, match="format 2"):
        frame.unpack(newer)
    with pytest.raises(FrameError, match="format 2"):
        frame.version_of(newer)
    for flag in (128,):
        with pytest.raises(FrameError, match="flags"):
            frame.unpack(frame.pack(b"v", codec=1, flags=flag, created=5, version=1, ttl=1))


@given(INTS)
def test_integers_are_stored_as_digits(value: int) -> None:
    """
    An integer is its decimal digits, which no frame begins with, and its version is these digits.
    """
    raw = frame.pack_int(value)
    assert str(value).encode() == raw
    assert value == frame.unpack_int(raw)
    assert frame.is_int(raw)
    assert raw == frame.version_of(raw)
    assert raw == frame.frame_of_int(raw).version


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_integers_outside_of_64_bits_are_refused(value: int) -> None:
    """
    An engine counts in 64 bits.
    """
    with pytest.raises(ValueError, match="64 bits"):
        frame.pack_int(value)
    with pytest.raises(FrameError):
        frame.unpack_int(str(value).encode())


@pytest.mark.parametrize(
    "raw",
    [b"", b"-", b"-0", b"01", b"1_0", b" 1", b"1 ", b"1\n", b"+1", b"1.0", b"0x1", b"9" * 5000],
)
def test_only_plain_digits_are_an_integer(raw: bytes) -> None:
    """
    What Python would also read as a number is not one of ours.
    """
    with pytest.raises(FrameError):
        frame.unpack_int(raw)


@given(FIELDS, st.binary(max_size=20))
def test_a_frame_is_never_taken_for_an_integer(fields: dict[str, Any], payload: bytes) -> None:
    """
    The first byte tells an integer from a frame.
    """
    raw = frame.pack(payload, **fields)
    assert not frame.is_int(raw)
    assert frame.unpack(raw).version == frame.version_of(raw)
