"""Keys and addresses: different keys have different addresses, and each leads back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid._core.address import LONGEST_KEY, NEVER, Key, Space, check_name, epoch_in
from cachegrid.errors import ConfigError, KeyRefused

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SIMPLE = st.one_of(TEXT, st.binary(max_size=20), st.integers())
KEYS: st.SearchStrategy[Key] = st.one_of(SIMPLE, st.lists(SIMPLE, max_size=4).map(tuple))
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
EPOCHS = st.integers(0, 1 << 60)


def space(*names: str, epoch: int = 0, namespace: str = "cg") -> Space:
    """A space, by default the simplest one."""
    names = names or ("prices",)
    return Space(namespace, names, [epoch] * len(names), doubt=NEVER)


def told_apart(key: object) -> object:
    """A key so that 1, True, "1" and b"1" are not equal."""
    return (type(key), [told_apart(part) for part in key] if isinstance(key, tuple) else key)


@given(KEYS, EPOCHS)
def test_an_address_leads_back_to_its_key(key: Key, epoch: int) -> None:
    """
    With the same types, in a cache and in an inner one, at every epoch.
    """
    for where in (space(epoch=epoch), space("prices", "module.function-1", epoch=epoch)):
        back = where.key(where.address(key))
        assert told_apart(key) == told_apart(back)


@given(KEYS, KEYS)
def test_different_keys_have_different_addresses(one: Key, other: Key) -> None:
    """
    Also such as are equal to Python.
    """
    is_same = told_apart(one) == told_apart(other)
    assert is_same == (space().address(one) == space().address(other))


@given(st.tuples(NAMES, NAMES, EPOCHS, KEYS), st.tuples(NAMES, NAMES, EPOCHS, KEYS))
def test_addresses_of_different_spaces_differ(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """
    Namespace, name and epoch are told apart, however they begin.
    """
    addresses = [
        space(name, epoch=epoch, namespace=namespace).address(key) for namespace, name, epoch, key in (one, other)
    ]
    is_same = one[:3] == other[:3] and told_apart(one[3]) == told_apart(other[3])
    assert is_same == (addresses[0] == addresses[1])


@given(NAMES, NAMES, EPOCHS, KEYS)
def test_a_space_knows_its_addresses(name: str, other: str, epoch: int, key: Key) -> None:
    """
    Those of other caches, of other epochs and of caches inside it are none of its own.
    """
    here = space(name, epoch=epoch)
    strange = [
        space(other + "x", epoch=epoch),
        space(name, epoch=epoch + 1),
        space(name, epoch=epoch, namespace="cgx"),
        space(name, other, epoch=epoch),
    ]
    for elsewhere in strange:
        if elsewhere.prefix != here.prefix:
            assert None is here.key(elsewhere.address(key)) or not elsewhere.address(key).startswith(here.prefix)
    inner = space(name, other, epoch=epoch)
    assert inner.address(key).startswith(here.prefix)
    assert None is here.key(inner.address(key))


@given(st.binary(max_size=60))
def test_any_bytes_are_an_address_or_none(raw: bytes) -> None:
    """
    What a walk finds beside our entries raises nothing.
    """
    here = space()
    for address in (raw, here.prefix + raw, here.prefix + b"(" + raw, here.prefix + b"#" + raw):
        key = here.key(address)
        assert key is None or isinstance(key, (str, bytes, int, tuple))


@pytest.mark.parametrize(
    ("key", "address"),
    [
        ("sku-1", b"cg:prices:0:$sku-1"),
        (b"\0", b"cg:prices:0:%\0"),
        (-5, b"cg:prices:0:#-5"),
        ((), b"cg:prices:0:("),
        (("a:b", -1, b""), b"cg:prices:0:($3:a:b#2:-1%0:"),
        ("a{b}c", b"cg:prices:0:$a{b}c"),
    ],
)
def test_addresses_are_as_they_were(key: Key, address: bytes) -> None:
    """
    Another form would make a miss of every entry that is stored.
    """
    assert address == space().address(key)
    assert [address] == space().addresses([key])


def test_an_epoch_is_written_in_base_36() -> None:
    """
    And is found in an address again.
    """
    here = space("a", "f-1", epoch=1_700_000_000_000)
    assert b"cg:a:loyw3v28:/:f-1:loyw3v28:$k" == here.address("k")
    assert [b"cg:a:", b"cg:a:loyw3v28:/:f-1:"] == here.parents
    assert [1_700_000_000_000] * 2 == [epoch_in(here.address("k"), parent) for parent in here.parents]


@pytest.mark.parametrize("rest", [b"", b":", b"1", b"$k", b"-5:k", b"!:k", b" 5:k", "ä:k".encode()])
def test_what_holds_no_epoch_is_left_alone(rest: bytes) -> None:
    """
    A sweep drops nothing that it does not understand.
    """
    assert None is epoch_in(b"cg:a:" + rest, b"cg:a:")


@pytest.mark.parametrize(
    "kind", ["x".__mul__, b"x".__mul__, lambda size: ("x" * (size - 6),)], ids=["str", "bytes", "tuple"]
)
def test_the_longest_key(kind: Any) -> None:
    """
    It counts as it is encoded, wherever the space is.
    """
    for where in (space(), space("prices" * 10, "f" * 200, epoch=1 << 50)):
        assert kind(LONGEST_KEY) == where.key(where.address(kind(LONGEST_KEY)))
        with pytest.raises(KeyRefused, match=r"takes 1,025 bytes, and a key may take 1,024"):
            where.address(kind(LONGEST_KEY + 1))
        with pytest.raises(KeyRefused, match=r"takes 1,025 bytes"):
            where.addresses(["short", kind(LONGEST_KEY + 1)])


@pytest.mark.parametrize(
    "key", [True, None, 1.5, [], ("a", None), (("a",),), "\ud800", 10**9999, (10**9999,)], ids=type
)
def test_what_cannot_be_a_key(key: Any) -> None:
    """
    One by one, and among many.
    """
    for ask in (lambda: space().address(key), lambda: space().addresses(["a", 1, key])):
        with pytest.raises(KeyRefused):
            ask()


@given(st.lists(KEYS, max_size=10) | st.lists(st.text("ab\0ä", max_size=3)))
def test_many_addresses_are_those_of_each(keys: list[Key]) -> None:
    """
    However mixed.
    """
    assert [space().address(key) for key in keys] == space().addresses(keys)


@pytest.mark.parametrize("name", ["a", "0", "_", "a.b-c_d", "A" * 100])
def test_names(name: str) -> None:
    """
    Letters, digits, and what stands between them.
    """
    assert name == check_name("cache name", name)


@pytest.mark.parametrize("name", ["", "-", ".a", "a b", "a:b", "a/b", "a\n", "é", "{", "A" * 101, 5, None, b"a"])
def test_what_is_no_name(name: Any) -> None:
    """
    The error names the setting.
    """
    with pytest.raises(ConfigError, match="^cache name is "):
        check_name("cache name", name)
