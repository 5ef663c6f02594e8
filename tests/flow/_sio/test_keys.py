# Generated from tests/flow/_aio/test_keys.py by tools/colour.py. Edit that file, then run `make colour`.
"""What can be a key, and what is said about the rest."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from cachegrid._sio.cache import SyncCache
from cachegrid.errors import KeyRefused


class Name(str):
    """A text of another class."""

    __slots__ = ()


class Place(enum.StrEnum):
    HOME = "home"


KEYS: list[Any] = [
    1,
    "1",
    b"1",
    (1,),
    ("1",),
    (b"1",),
    ("1", 1),
    ("1", "1"),
    ("11",),
    (),
    ("",),
    "",
    b"",
    0,
    -1,
    1 << 200,
    "{braces}",
    "{",
    "}{",
    "a:b:c",
    "ключ \U0001f511 \0\r\n",
    b"\xff\x00",
    "/inner",
    ("a", "b:c", 3),
]
NO_KEYS: list[Any] = [
    None,
    True,
    1.0,
    ...,
    ["a"],
    {"a": 1},
    frozenset("a"),
    ("a", None),
    ("a", True),
    (("a",),),
    Name("a"),
    ("a", Name("b")),
    Place.HOME,
    bytearray(b"a"),
    "\ud800",
    ("\ud800",),
]
TOO_LONG: list[Any] = [
    "x" * 1025,
    b"x" * 1025,
    ("x" * 512, "y" * 512),
    10**1025,
    10**10_000,
    (1, 10**10_000),
    "é" * 513,
]


def test_keys_of_all_kinds_are_apart(cache: SyncCache) -> None:
    """
    Each has an entry of its own.
    """
    cache.set_many({key: f"value {number}" for number, key in enumerate(KEYS)})
    for number, key in enumerate(KEYS):
        assert f"value {number}" == cache.get(key)


@pytest.mark.parametrize("key", NO_KEYS, ids=repr)
def test_what_cannot_be_a_key_is_refused(cache: SyncCache, key: Any) -> None:
    """
    By every method, with an error that tells the ways out; it is a TypeError and a ValueError, and a CacheError.
    """
    calls: list[Any] = [
        lambda: cache.get(key),
        lambda: cache.get_many([key]),
        lambda: cache.has(key),
        lambda: cache.entry(key),
        lambda: cache.set(key, 1),
        lambda: cache.add(key, 1),
        lambda: cache.replace(key, 1),
        lambda: cache.compare_and_set(key, b"", 1),
        lambda: cache.update(key, str, default=1),
        lambda: cache.incr(key),
        lambda: cache.touch(key, 1),
        lambda: cache.delete(key),
        lambda: cache.delete_many([key]),
        lambda: cache.get_or_load(key, _never),
    ]
    for call in calls:
        with pytest.raises(KeyRefused, match="must be str, bytes, int or a tuple of them|lone surrogate"):
            call()


@pytest.mark.parametrize("key", TOO_LONG, ids=lambda key: type(key).__name__)
def test_a_key_that_is_too_long_is_refused(cache: SyncCache, key: Any) -> None:
    """
    The error says how long it is, how long it may be, and what to do; the key is not printed at its length.
    """
    with pytest.raises(KeyRefused, match=r"takes [\d,]+ bytes, and a key may take 1,024; use a digest") as caught:
        cache.set(key, 1)
    assert 300 > len(str(caught.value))


def test_the_longest_keys(cache: SyncCache) -> None:
    """
    1,024 bytes, encoded, are a key.
    """
    for key in ("x" * 1024, b"x" * 1024, "é" * 512, ("x" * 1018,)):
        cache.set(key, 1)
        assert 1 == cache.get(key)


def test_a_lock_takes_a_key(cache: SyncCache) -> None:
    """
    And refuses what is none, before anybody waits.
    """
    for key in KEYS:
        with cache.lock(key) as lock:
            assert lock.fence > 0
    with pytest.raises(KeyRefused):
        cache.lock(None)  # type: ignore[arg-type]


def _never() -> Any:
    raise AssertionError("nothing had to be loaded")
