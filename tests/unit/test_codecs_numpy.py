"""numpy arrays in `plain`: exact, aligned, and read without a copy."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid.codecs import compose
from cachegrid.codecs.plain import PlainCodec
from cachegrid.errors import FrameError, ValueRefused

PLAIN = PlainCodec()
DTYPES = [
    "?",
    "i1",
    "<i2",
    ">i4",
    "u8",
    "f2",
    "<f4",
    ">f8",
    "c8",
    "c16",
    "S3",
    "<U2",
    ">U1",
    "M8[ns]",
    "m8[s]",
    "M8[D]",
]


def round_trip(value: Any) -> Any:
    return PLAIN.decode(PLAIN.encode(value))


@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=4), st.booleans(), st.randoms())
def test_arrays_keep_dtype_shape_order_and_bits(dtype: str, shape: list[int], fortran: bool, chance: Any) -> None:  # noqa: FBT001
    """
    Every array of numbers, dates or text comes back with the same bits, alone and inside of other values.
    """
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=int)) * kind.itemsize
    bits = bytes(chance.randrange(2 if dtype == "?" else 128) for _ in range(size))
    if kind.kind == "U":
        bits = np.full(int(np.prod(shape, dtype=int)), "ab", kind).tobytes()
    array = np.ndarray(shape, kind, bits, order="F" if fortran else "C")
    for got in (round_trip(array), round_trip([array])[0], round_trip({"a": (array,)})["a"][0]):
        assert type(array) is type(got)
        assert (array.dtype, array.shape) == (got.dtype, got.shape)
        assert array.tobytes() == got.tobytes()
        assert array.flags.fnc == got.flags.fnc


def test_a_view_is_stored_as_what_it_shows() -> None:
    """
    An array that is neither in C nor in Fortran order comes back in C order with the same elements.
    """
    array = np.arange(24).reshape(4, 6)[::2, ::3]
    assert (array == round_trip(array)).all()


def test_a_large_array_is_read_without_a_copy() -> None:
    """
    An array that stands alone is a view of the frame, aligned for its numbers, and read-only.
    """
    pipeline = compose("plain", compress=None, cache="arrays")
    array = np.arange(10_000, dtype="f8")
    raw = pipeline.freeze(b"address", "key", array, created=1, version=1, ttl=None)
    got = pipeline.thaw(b"address", raw)
    assert np.shares_memory(got, np.frombuffer(raw, "u1"))
    assert got.flags.aligned
    assert not got.flags.writeable
    assert (array == got).all()


@pytest.mark.parametrize(
    "value",
    [np.float64(1.5), np.float32("nan"), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True), np.complex64(1j),
     np.datetime64("2024-01-01T00:00:00.5", "ms"), np.timedelta64(3, "D"), np.str_("text"), np.bytes_(b"x")],
    ids=repr,
)  # fmt: skip
def test_scalars_stay_scalars(value: Any) -> None:
    """
    A number of numpy does not become one of Python, alone, in containers, or as a key.
    """
    for got in (round_trip(value), round_trip([value])[0], next(iter(round_trip({value: 1})))):
        assert type(value) is type(got)
        assert (value.dtype, value.tobytes()) == (got.dtype, got.tobytes())


@pytest.mark.parametrize(
    "value",
    [
        np.array([object()]),
        np.zeros(2, "i4,f8"),
        np.zeros(2, "V3"),
        np.ma.array([1]),
        np.recarray(2, "i4,f8"),
    ],
    ids=lambda value: f"{type(value).__name__} {value.dtype}",
)
def test_arrays_without_plain_elements_are_refused(value: Any) -> None:
    """
    Objects, records and subclasses are refused by name.
    """
    with pytest.raises(ValueRefused) as caught:
        PLAIN.encode({"array": value})
    assert "value['array']" == caught.value.path


@given(st.binary(max_size=60))
def test_damaged_arrays_are_refused(damage: bytes) -> None:
    """
    An array whose bytes do not fit its shape and dtype is a FrameError, or another array.
    """
    payload = PLAIN.encode(np.arange(5, dtype="i4"))
    for at in range(0, len(payload), 3):
        try:
            PLAIN.decode(payload[:at] + damage + payload[at + len(damage) :])
        except FrameError as error:
            assert error.__cause__ is not None  # noqa: PT017 - most damage is only another array


def test_numpy_is_not_imported_for_others() -> None:
    """
    A program that has no arrays does not load numpy with the codec.
    """
    program = "import sys; from cachegrid.codecs.plain import PlainCodec as P; P().decode(P().encode([1, (2,)])); "
    program += "print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "False" == done.stdout.strip()
