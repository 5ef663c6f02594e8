"""What a full grid does, and when what is kept is on disk, as its starter wished."""

from __future__ import annotations

import random

import pytest

from cachegrid import connect
from cachegrid.cluster import find, remove, start, stop
from cachegrid.cluster.admin import connect_to
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.emptying import emptying_of
from cachegrid.cluster.plan import Shape
from cachegrid.errors import ConfigError, GridError, GridFull, GridRunning

pytestmark = pytest.mark.grid


def test_a_full_grid_refuses_more_where_that_was_wished() -> None:
    """
    What is there stays, and the error says that the grid is full.
    """
    start(owners=1, replicas=0, memory=8 << 20, when_full="refuse")
    try:
        with connect() as grid:
            cache = grid.cache("big")
            values = {
                f"key-{number}": random.randbytes(1_000_000) for number in range(20)
            }  # noise: not to be compressed
            with pytest.raises(GridFull):
                cache.set_many(values)
            assert values["key-0"] == cache.get("key-0")
    finally:
        stop(purge=True)


def test_an_owner_stays_where_the_others_would_refuse_what_it_has() -> None:
    """
    Though it was forced: nothing moves, and nobody is noted as leaving.
    """
    before = start(owners=2, replicas=0, memory=16 << 20, when_full="refuse")
    try:
        with connect() as grid:
            grid.cache("big").set_many({number: random.randbytes(100_000) for number in range(80)})
        with pytest.raises(GridError, match=r"it evicts nothing \(--when-full refuse\)"):
            remove(member=before.members[1].address, force=True)
        contacts = Contacts.of_state(before)
        with pytest.raises(GridError, match="raise its maxmemory; it evicts nothing"):
            emptying_of(contacts, contacts.of(before.members[1].id), force=True)
        assert before == find()
    finally:
        stop(purge=True)


def test_each_write_is_on_disk_where_that_was_wished() -> None:
    """
    A grid that runs is not another one by that, and one that came back is as it was.
    """
    shape = {"owners": 1, "replicas": 0, "persist": True}
    try:
        for _ in range(2):
            state = start(**shape, fsync="write")  # type: ignore[arg-type]
            with connect_to(state, state.members[0]) as admin:
                assert [b"appendfsync", b"always"] == admin.run("CONFIG", "GET", "appendfsync")
            with pytest.raises(GridRunning, match="kept on disk with each write.*--fsync write"):
                start(**shape)  # type: ignore[arg-type]
            stop()
            assert find() is None
    finally:
        stop(purge=True)


@pytest.mark.parametrize(("name", "value"), [("fsync", "always"), ("fsync", "write"), ("when_full", "drop")])
def test_other_wishes_are_refused(name: str, value: str) -> None:
    """
    Also that writes be on disk of a grid that keeps nothing there.
    """
    with pytest.raises(ConfigError, match=f"{name} is '{value}'; it must be"):
        Shape(**{name: value})  # type: ignore[arg-type]
