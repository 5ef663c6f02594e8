"""Which tables a cache has near, and when they go."""

from __future__ import annotations

import threading
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


def test_a_flush_or_a_move_lets_nothing_be_kept_that_was_asked_for_before() -> None:
    """
    Whatever slots it concerns; copies of the others stay.
    """
    near = nearby()
    table = near.table(at(0))
    keep(near, at(0), table)
    token = near.copies.token(at(0).address("other"))
    near.changed_if(lambda address: address != at(0).address("key"))
    copy = Copy(table, "other", "value", raw=None, guard=Guard(), ends=ENDLESS, size=10)
    assert [at(0).address("other")] == near.copies.keep([Fill(copy, at(0).address("other"), token)])
    assert {"key"} == set(table)
    near.changed_if(lambda address: True)  # noqa: ARG005 - all are lost
    assert {} == table


def test_a_finalizer_may_ask_for_a_table_while_one_is_dropped() -> None:
    """
    Of an epoch that is newer still: that one stands when all is done, and news reaches its copies.
    """
    near = nearby()
    ended: list[dict[Any, Copy]] = []

    class Loud:
        """A value whose end uses the cache."""

        def __del__(self) -> None:
            ended.append(near.table(at(2)))

    table = near.table(at(0))
    copy = Copy(table, "key", Loud(), raw=None, guard=Guard(), ends=ENDLESS, size=10)
    near.copies.keep([Fill(copy, at(0).address("key"), near.copies.token(at(0).address("key")))])
    del copy
    worker = threading.Thread(target=near.table, args=(at(1),), daemon=True)
    worker.start()
    worker.join(10)
    assert not worker.is_alive(), "it waits for itself"
    [newest] = ended
    assert newest is near.table(at(2))
    keep(near, at(2), newest)
    near.changed(at(2).address("key"))
    assert {} == newest
