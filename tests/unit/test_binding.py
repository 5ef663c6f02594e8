"""From the arguments of a call to its key."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid._core.address import NEVER, Space
from cachegrid._core.binding import Binder
from cachegrid.errors import ConfigError, KeyRefused

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(max_size=8),
        st.binary(max_size=8),
        st.dates(),
        st.uuids(),
        st.decimals(allow_nan=False),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
    ),
    max_leaves=8,
)


def exactly(value: Any) -> str:
    """A value with all its types, so that 1, True and 1.0 are not equal."""
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({[exactly(part) for part in value]})"
    if isinstance(value, dict):
        return f"dict({sorted((exactly(key), exactly(part)) for key, part in value.items())})"
    return f"{type(value).__name__}({value!r})"


def plain(a: Any, b: Any = 2, c: Any = "three") -> None:
    """Has positional parameters only, and so takes the short way."""


def mixed(a: Any, /, b: Any = 2, *args: Any, c: Any = "three", **kwargs: Any) -> None:
    """Has parameters of every kind."""


@given(st.lists(VALUES, min_size=1, max_size=3), st.lists(VALUES, min_size=1, max_size=3))
def test_different_arguments_have_different_keys(one: list[Any], other: list[Any]) -> None:
    """
    And the same ones the same; defaults are filled in.
    """
    binder = Binder(plain)
    keys = [binder.key(tuple(args), {}) for args in (one, other)]
    filled = [args[:1] + (args[1:2] or [2]) + (args[2:3] or ["three"]) for args in (one, other)]
    is_same = exactly(filled[0]) == exactly(filled[1])
    assert is_same == (exactly(keys[0]) == exactly(keys[1]))


@given(VALUES, VALUES, VALUES)
def test_by_position_or_by_name(a: Any, b: Any, c: Any) -> None:
    """
    However the call is written, and whichever way its key is made.
    """
    binder = Binder(plain)
    key = binder.key((a, b, c), {})
    assert key == binder.key((a,), {"c": c, "b": b}) == binder.key((), {"a": a, "b": b, "c": c})
    for ignore in ((), ("a",), ("b",), ("a", "c"), ("a", "b", "c")):
        long_way = Binder(plain, ignore)
        long_way._is_plain = False
        assert long_way.key((a, b, c), {}) == Binder(plain, ignore).key((a, b, c), {})
        assert long_way.key((a,), {}) == Binder(plain, ignore).key((a,), {})


@given(VALUES, st.lists(VALUES, max_size=2), st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3))
def test_keys_of_every_kind_of_parameter(a: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    """
    `**kwargs` have no order; `*args` do.
    """
    binder = Binder(mixed)
    key = binder.key((a, 2, *args), kwargs)
    backwards = dict(reversed(kwargs.items()))
    assert key == binder.key((a, 2, *args), backwards)
    assert key != binder.key((a, 2, *args, "more"), kwargs)
    assert key != binder.key((a, 2, *args), {**kwargs, "more": None})


@given(st.lists(VALUES, max_size=3))
def test_every_key_fits_into_an_address(args: list[Any]) -> None:
    """
    However long the arguments are.
    """
    space = Space("cg", ["functions", "f-1"], [0, 0], doubt=NEVER)
    space.address(Binder(mixed).key((1, *args), {}))
    space.address(Binder(mixed).key((1, *[[arg] * 100 for arg in args], "x" * 10_000, b"y" * 10_000, 7**9999), {}))


def test_simple_arguments_can_be_read_in_the_key() -> None:
    """
    Which helps whoever looks at a grid; others become a digest.
    """
    assert (1, 2, "three") == Binder(plain).key((1,), {})
    assert ("a", b"b", 3) == Binder(plain).key(("a", b"b", 3), {})
    assert () == Binder(lambda: None).key((), {})
    for long in ((True,), (None,), ("x" * 201,), (1 << 500,), ([1],)):
        key = Binder(plain).key(long, {})
        assert isinstance(key, bytes)
        assert 16 == len(key)


def test_digests_are_as_they_were() -> None:
    """
    Another one would make a miss of every result that is stored.
    """
    args = (None, [1, {"a": {1.5, "b"}}], True)
    assert "d6eda9cc8c47d194d7e5bcf7d8895f4f" == Binder(plain).key(args, {}).hex()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, 3, 4), {}), ((1,), {"a": 1}), ((1,), {"d": 1})], ids=repr
)
def test_a_call_that_cannot_be_made_has_no_key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """
    It is the TypeError of the call.
    """
    with pytest.raises(TypeError) as caught:
        Binder(plain).key(args, kwargs)
    assert not isinstance(caught.value, KeyRefused)


def test_an_ignored_parameter_has_to_be_one() -> None:
    """
    Or one of `**kwargs`, which may be called anything.
    """
    with pytest.raises(ConfigError, match="^ignore is 'd'; it must be a parameter of plain"):
        Binder(plain, ["d"])
    assert Binder(mixed, ["d"]).key((1,), {"d": object()}) == Binder(mixed, ["d"]).key((1,), {})
    assert (2, "three") == Binder(plain, "a").key((object(),), {})


def test_the_signature_is_read_once() -> None:
    """
    Making a key is in the way of every hit.
    """
    binder = Binder(plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "signature", None)
        assert (1, 2, "three") == binder.key((1,), {})


def test_a_function_whose_parameters_nobody_knows_is_refused() -> None:
    """
    As some that are not written in Python.
    """
    with pytest.raises(ConfigError, match="^cached is <built-in function max>; it must be .*key="):
        Binder(max)
