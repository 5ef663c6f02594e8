"""Which tables a cache has near, and when they go."""

from __future__ import annotations

from typing import Any

from cachegrid._core.address import Space
from cachegrid.near.copies import ENDLESS, Copies, Copy, Fill, Guard
from cachegrid.near.nearby import Nearby


def nearby() -> Nearby:
    """With room for all."""
    return Nearby(Copies(max_bytes=1_000_000, max_entries=1000), staleness=1, shares=False, keeps_absence=False)


def at(*epochs: int) -> Space:
    """A space of a cache, or of a function in it."""
    return Space("cg", ["prices", "price_of-1"][: len(epochs)], list(epochs), doubt=0)


def keep(near: Nearby, space: Space, table: dict[Any, Copy]) -> None:
    """Keep a copy in a table."""
    copy = Copy(table, "key", "value", raw=None, guard=Guard(), ends=ENDLESS, size=10)
    assert [] == near.copies.keep([Fill(copy, space.address("key"), near.copies.token(space.address("key")))])


def test_a_table_goes_with_its_epoch() -> None:
    """
    With all copies in it; that of the cache around a function stays.
    """
    near = nearby()
    outer, inner = near.table(at(0)), near.table(at(0, 0))
    keep(near, at(0), outer)
    keep(near, at(0, 0), inner)
    assert {} == near.table(at(0, 1)) == inner
    assert near.table(at(0)) is outer
    assert 1 == near.copies.entries


def test_the_table_of_a_function_goes_with_the_epoch_around_it() -> None:
    """
    Else each clear would leave one behind.
    """
    near = nearby()
    table = near.table(at(0, 0))
    keep(near, at(0, 0), table)
    near.table(at(1, 0))
    assert {} == table
    assert 1 == len(near._places)


def test_who_is_late_with_an_older_epoch_replaces_no_newer_table() -> None:
    """
    News would no longer reach the copies in it.
    """
    near = nearby()
    table = near.table(at(2))
    keep(near, at(2), table)
    assert {} == near.table(at(1))
    assert near.table(at(2)) is table
    near.changed(at(2).address("key"))
    assert {} == table
