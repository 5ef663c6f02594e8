"""Bytes that nobody of ours wrote: whatever they are, `plain` gives a value or a FrameError, and the process lives."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ormsgpack import Ext, packb

from cachegrid.codecs import kinds
from cachegrid.codecs.depth import check_depth
from cachegrid.codecs.plain import PlainCodec
from cachegrid.errors import FrameError
from tests.unit.codec_values import plain_values

PLAIN = PlainCodec()
CODES = sorted(kinds.MAKERS)


def read_or_refuse(payload: bytes) -> None:
    with contextlib.suppress(FrameError):
        PLAIN.decode(payload)


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    """
    Random bytes, alone and as the body of each kind, never surface as anything but FrameError.
    """
    read_or_refuse(payload)
    for code in CODES:
        read_or_refuse(bytes([0xC1, code]) + payload)
        read_or_refuse(packb(Ext(code, payload)))


@settings(max_examples=300)
@given(plain_values(), st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=3)), min_size=1, max_size=4))
def test_damaged_values_are_read_or_refused(value: Any, damage: list[tuple[int, bytes]]) -> None:
    """
    A stored value with some bytes changed, or cut short, is another value or a FrameError.
    """
    payload = PLAIN.encode(value)
    for at, change in damage:
        place = at % (len(payload) + 1)
        payload = payload[:place] + change + payload[place + len(change) :]
        read_or_refuse(payload)
        read_or_refuse(payload[:place])


PARTS = st.recursive(
    st.none() | st.integers(-5, 300) | st.text(max_size=3) | st.binary(max_size=3) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.sampled_from(CODES), PARTS)
def test_any_parts_make_a_kind_or_are_refused(code: int, parts: Any) -> None:
    """
    Parts that do not fit a kind, as no honest writer sends, are a FrameError.
    """
    body = packb(parts)
    read_or_refuse(bytes([0xC1, code]) + body)
    read_or_refuse(packb([Ext(code, body)]))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\xc1\xff",
        b"\xc1\x00",
        packb(Ext(kinds.TUPLE, b"")),
        packb(Ext(99, b"x")),
        packb(Ext(kinds.REGISTERED, packb(["nobody", 0]))),
        packb(Ext(kinds.REGISTERED, packb([["Place"], 0]))),
        packb(Ext(kinds.REGISTERED, packb(["Place", 1, "x", [1, 2], 0]))),
        packb(Ext(kinds.MAP, packb([1, 1, 2, 2]))),
        packb(Ext(kinds.MAP, packb([[], 2]))),
        packb(Ext(kinds.SET, packb([[]]))),
        packb(Ext(kinds.DECIMAL, b"ten")),
        packb(Ext(kinds.DATETIME, bytes(11))),
        packb(Ext(kinds.DATETIME, b"\x07\xe8\x01\x01\x00\x00\x00\x00\x00\x00\x00k../../etc/passwd")),
        packb(Ext(kinds.DATETIME, b"\x07\xe8\x01\x01\x00\x00\x00\x00\x00\x00\x00kEurope")),
        packb(Ext(kinds.DATETIME, b"\x07\xe8\x01\x01\x00\x00\x00\x00\x00\x00\x00?")),
        packb(Ext(kinds.RANGE, packb([0, 1, 0]))),
        packb(Ext(kinds.RECORDS, packb([["a", "a"], b"", [[1], [2]], []]))),
        packb(Ext(kinds.RECORDS, packb([["a", "b"], b"", [[1], [2, 3]], []]))),
        packb(Ext(kinds.RECORDS, packb([["a"], b"", [[1], [2]], []]))),
        packb(Ext(kinds.RECORDS, packb([[1], b"", [[1]], []]))),
        packb(Ext(kinds.RECORDS, packb([[], b"", [], []]))),
        packb(Ext(kinds.RECORDS, packb([["a", "b"], b"\x00\x01\x01", [[1]], [[2]]]))),
        packb(Ext(kinds.TABLE, packb([b"", [[1], [2, 3]], []]))),
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\x01",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 5000,
    ],
    ids=bytes.hex,
)
def test_what_no_writer_writes_is_refused(payload: bytes) -> None:
    """
    Each of these is a FrameError that says why.
    """
    with pytest.raises(FrameError, match="no value of the codec 'plain': ."):
        PLAIN.decode(payload)


def test_the_reason_is_told() -> None:
    """
    An entry of a class that this process has not registered says so, and not only that something failed.
    """
    with pytest.raises(FrameError, match="no class is registered here as 'nobody'"):
        PLAIN.decode(packb([Ext(kinds.TUPLE, packb([Ext(kinds.REGISTERED, packb(["nobody", 0]))]))]))
    with pytest.raises(FrameError, match="'Place' had other fields"):
        PLAIN.decode(packb([Ext(kinds.REGISTERED, packb(["Place", 1, "x", [1, 2], 0]))]))


def nested(levels: int, lists: int) -> bytes:
    """Lists in a tuple, in lists in a tuple, and so on: each level costs the reader a C stack of its own."""
    body = b"\xc0"
    for _ in range(levels):
        body = b"\x91" * lists + packb(Ext(kinds.TUPLE, b"\x91" + body))
    return body


@pytest.mark.parametrize(("levels", "lists"), [(6, 1000), (100, 1000), (300, 3), (5000, 0), (2000, 100)])
def test_the_stack_is_not_exhausted(levels: int, lists: int) -> None:
    """
    Bytes made to nest deep are refused before they are read, by a process that lives on a stack of 8 MB.
    """
    payload = nested(levels, lists)
    with pytest.raises(FrameError):
        PLAIN.decode(payload)
    alone = b"\xc1" + bytes([kinds.TUPLE]) + b"\x91" + payload
    with pytest.raises(FrameError):
        PLAIN.decode(alone)


def test_hostile_depth_fits_the_stack_of_a_thread() -> None:
    """
    The deepest bytes that are read without measuring them take less than 6 MB of stack, in a process of its own.
    """
    program = """if True:
        import sys, threading
        from cachegrid.codecs.plain import PlainCodec
        from cachegrid.errors import FrameError
        def read():
            try:
                PlainCodec().decode(sys.stdin.buffer.read())
            except FrameError:
                print("refused")
            else:
                print("read")
        threading.stack_size(6 << 20)
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    """
    for levels, lists in ((4, 1000), (5, 1000), (6, 1000), (1000, 1000)):
        done = subprocess.run(
            [sys.executable, "-c", program], input=nested(levels, lists), capture_output=True, check=True
        )
        assert done.stdout in {b"read\n", b"refused\n"}


@given(plain_values())
def test_depth_is_measured_right(value: Any) -> None:
    """
    What measures the depth walks over every payload that there is without losing its way.
    """
    payload = PLAIN.encode([value])
    check_depth(payload)
    deep = b"\x91" * 400 + b"\x92" + payload + b"\xc0"
    with pytest.raises(ValueError, match="deeper"):
        check_depth(deep)


@settings(max_examples=200)
@given(st.binary(max_size=80))
@example(b"\x81\xd50\x00\x00")
def test_measuring_depth_ends(body: bytes) -> None:
    """
    Any bytes are measured or refused, in time that grows with their number only.
    """
    with contextlib.suppress(ValueError):
        check_depth(body)


def test_measuring_depth_looks_at_each_byte_once() -> None:
    """
    Objects that would go on behind the end of their extension are refused, not walked over again at each level.
    """
    cut_short = bytes([0xD4, kinds.TUPLE]) + b"\x92"  # one byte, which promises two objects
    for levels in (1, 20, 100):
        with pytest.raises(ValueError, match="too soon"):
            check_depth(cut_short * levels + b"\xc0" * 300)
        with pytest.raises(FrameError):
            PLAIN.decode(cut_short * levels + b"\xc0" * 300)
