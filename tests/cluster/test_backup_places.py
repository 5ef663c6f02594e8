"""Entries come back under the same keys at other epochs, for as long as they had, and signed if they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid._core import frame as frames
from cachegrid._core.address import Space
from cachegrid.cluster.keeping.files import Record
from cachegrid.cluster.keeping.places import Home, Homes, Moved, Mover, home_of, later
from cachegrid.codecs import compose

SECRET, OTHER = b"s" * 32, b"o" * 32
EPOCHS = {"cg:prices": 7, "cg:prices/rates": 4}
NOW = 1_000_000


def space(*epochs: int) -> Space:
    """Where entries of the cache, or of the one in it, are."""
    return Space("cg", ["prices", "rates"][: len(epochs)], epochs, doubt=0)


def signed(address: bytes, secret: bytes = SECRET) -> bytes:
    """A frame as a cache with signatures writes it."""
    pipeline = compose("pickle", compress=None, cache="prices", secret=secret, max_value=1 << 20)
    return pipeline.freeze(address, "a", {1, 2}, created=NOW, version=1, ttl=None, idle=None)


@given(st.text(max_size=20), st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_an_address_tells_its_cache(key: str, outer: int, inner: int) -> None:
    """
    Whatever the key is, and whichever cache is inside another.
    """
    assert Home(("cg:prices",), (outer,)) == Homes().of(space(outer).address(key))
    both = Home(("cg:prices", "cg:prices/rates"), (outer, inner))
    assert both == Homes().of(space(outer, inner).address(key))


@pytest.mark.parametrize(
    "address",
    [b"", b"user:7:name", b"cg!epoch:{cg:prices}", b"cg:prices:07:$a", b"cg:prices:7:", b"cg:pri ces:7:$a", b"a:b:c:d"],
)
def test_what_others_keep_on_a_server_is_no_address(address: bytes) -> None:
    """Though it looks a little like one."""
    assert None is home_of(address)


def test_an_entry_has_the_same_key_at_the_new_epochs() -> None:
    """In caches inside of caches, too; an entry without an end has none again."""
    move = Mover(EPOCHS, {"cg:prices": 9, "cg:prices/rates": 5})
    assert Moved(space(9).address("a"), b"1", None) == move(Record(space(7).address("a"), b"1", 0), NOW)
    assert Moved(space(9, 5).address("a"), b"1", 10) == move(Record(space(7, 4).address("a"), b"1", NOW + 10), NOW)
    assert {"cg:prices": 2} == move.taken


@pytest.mark.parametrize("epochs", [(6,), (8,), (7, 3)])
def test_what_was_cleared_stays_so(epochs: tuple[int, ...]) -> None:
    """Only what was alive when the backup ended comes back."""
    move = Mover(EPOCHS, {"cg:prices": 9, "cg:prices/rates": 5})
    assert None is move(Record(space(*epochs).address("a"), b"1", 0), NOW)
    assert 1 == move.dead


def test_a_cache_that_is_not_asked_for_stays_where_it_is() -> None:
    """One alone can be brought back."""
    assert None is Mover(EPOCHS, {"cg:others": 1})(Record(space(7).address("a"), b"1", 0), NOW)


def test_what_would_have_ended_does_not_come_back() -> None:
    """The time between backup and restore counts, unless it is said that it shall not."""
    record = Record(space(7).address("a"), b"1", NOW + 50)
    move = Mover(EPOCHS, EPOCHS)
    assert [50, 1, None] == [entry and entry.ttl for entry in (move(record, NOW + by) for by in (0, 49, 50))]
    assert 1 == move.passed
    moved = Mover(EPOCHS, EPOCHS, shift=1_000)(record, NOW + 1_000)
    assert moved is not None
    assert 50 == moved.ttl


def test_an_entry_whose_time_goes_on_was_made_later() -> None:
    """So that its frame says the same as its owner; one that has no frame is as it was."""
    raw = frames.pack(b"payload", codec=1, created=NOW, version=3, ttl=60_000)
    moved = Mover(EPOCHS, EPOCHS, shift=500)(Record(space(7).address("a"), raw, NOW + 9), NOW)
    assert moved is not None
    assert frames.unpack(raw)._replace(created=NOW + 500) == frames.unpack(moved.frame)
    assert b"payload" == moved.frame[frames.HEADER_SIZE :]
    assert [b"12", b"\xc9", b""] == [later(raw, 5) for raw in (b"12", b"\xc9", b"")]


def test_a_signed_entry_is_signed_for_its_new_place() -> None:
    """It is read there as it was read before; by who knows the secret, and else not at all."""
    address = space(7).address("a")
    for shift in (0, 500):
        moved = Mover(EPOCHS, {"cg:prices": 9}, secret=SECRET, shift=shift)(Record(address, signed(address), 0), NOW)
        assert moved is not None
        pipeline = compose("pickle", compress=None, cache="prices", secret=SECRET, max_value=1 << 20)
        assert {1, 2} == pipeline.thaw(moved.address, moved.frame)


@pytest.mark.parametrize("secret", [None, OTHER])
def test_what_was_signed_with_another_secret_does_not_come_back(secret: bytes | None) -> None:
    """Nobody can have signed anew what he wrote into the files himself."""
    address = space(7).address("a")
    move = Mover(EPOCHS, {"cg:prices": 9}, secret=secret)
    assert None is move(Record(address, signed(address), 0), NOW)
    assert 1 == move.unsigned


def test_a_signed_entry_in_another_place_is_not_signed_anew() -> None:
    """Its signature is of the place where it was."""
    move = Mover(EPOCHS, {"cg:prices": 9}, secret=SECRET)
    assert None is move(Record(space(7).address("b"), signed(space(7).address("a")), 0), NOW)


@given(st.binary(max_size=80))
def test_any_bytes_come_back_or_not_and_nothing_breaks(raw: bytes) -> None:
    """
    Foreign bytes in the place of an entry are as foreign afterwards.
    """
    for frame in (raw, b"\xc9\x01" + raw):
        moved = Mover(EPOCHS, {"cg:prices": 9}, secret=SECRET, shift=5)(Record(space(7).address("a"), frame, 0), NOW)
        assert moved is None or len(frame) == len(moved.frame)
