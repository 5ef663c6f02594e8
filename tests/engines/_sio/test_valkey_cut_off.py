# Generated from tests/engines/_aio/test_valkey_cut_off.py by tools/colour.py. Edit that file, then run `make colour`.
"""An owner that is cut off from the others goes on answering; nobody who reads is led to believe that it is one yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from cachegrid.engines.valkey._sio.engine import SyncValkeyEngine
from cachegrid.engines.valkey.slots import slot_of
from cachegrid.testing._sio.bench import frame_of
from cachegrid.testing.loopback import LoopbackGrid
from cachegrid.waits._sio import aside
from tests.engines._sio.opened import opened
from tests.engines.cutting import CUTTABLE, cut_off

pytestmark = [pytest.mark.grid, pytest.mark.slow]

ADDRESS = b"cg:cut:{1}"
OLD, NEW = frame_of(b"old"), frame_of(b"new")
AGES = 1e6  # seconds

Reader = Callable[[SyncValkeyEngine], bytes | None]


@pytest.fixture
def grid() -> Iterator[LoopbackGrid]:
    """A grid that finds a new owner within a second."""
    with LoopbackGrid(settings={**CUTTABLE, "cluster-node-timeout": "300"}) as grid:
        yield grid


@pytest.fixture
def alone() -> Iterator[LoopbackGrid]:
    """Owners without replicas."""
    with LoopbackGrid(owners=3, replicas=0, settings={**CUTTABLE, "cluster-node-timeout": "300"}) as grid:
        yield grid


def url_of(grid: LoopbackGrid, index: int) -> str:
    """Names one member alone."""
    return f"valkey://:{grid.state.password}@127.0.0.1:{grid.state.members[index].port}"


def fetch(engine: SyncValkeyEngine) -> bytes | None:
    """One."""
    return engine.fetch(ADDRESS)


def fetch_many(engine: SyncValkeyEngine) -> bytes | None:
    """Many."""
    return (engine.fetch_many([ADDRESS, b"cg:cut:{2}", b"cg:cut:{3}"]))[0]


def fetch_parts(engine: SyncValkeyEngine) -> bytes | None:
    """Many, as they come."""
    found: dict[int, bytes | None] = {}
    for places, frames in engine.fetch_parts([ADDRESS, b"cg:cut:{2}", b"cg:cut:{3}"]):
        found.update(zip(places, frames, strict=True))
    return found[0]


def inspect(engine: SyncValkeyEngine) -> bytes | None:
    """By a script."""
    found = engine.inspect(ADDRESS)
    return None if found is None else found[0]


@contextmanager
def cut(grid: LoopbackGrid, *indexes: int) -> Iterator[None]:
    """Cut members off for the length of a block."""
    with ExitStack() as stack:
        aside(stack.enter_context, cut_off(grid, *indexes))
        yield
        aside(stack.close)


def restrict(grid: LoopbackGrid) -> None:
    """Let there be a user `app`, who may do everything but ask members how they are."""
    for member in grid.state.members:
        with grid.admin(member.index) as admin:
            admin.run("ACL", "SETUSER", "app", "on", ">s", "~*", "&*", "+@all", "-cluster|info")


def replace_owner(grid: LoopbackGrid, index: int) -> None:
    """Wait until an owner that is cut off has been replaced, and write there."""
    aside(grid.wait_for, lambda: grid.owner_of(ADDRESS) != index)
    with opened(url_of(grid, aside(grid.owner_of, ADDRESS))) as writer:
        writer.store(ADDRESS, NEW, None)


@pytest.mark.parametrize("read", [fetch, fetch_many, fetch_parts, inspect])
def test_who_reads_again_after_a_while_reads_from_the_next_owner(grid: LoopbackGrid, read: Reader) -> None:
    """
    Whichever way: the first read that comes more than a second after the last asks the owner whether it is one.
    """
    with opened(grid.url) as engine:
        engine.store(ADDRESS, OLD, None)
        owner = aside(grid.owner_of, ADDRESS)
        with cut(grid, owner):
            replace_owner(grid, owner)
            link = engine._owners[slot_of(ADDRESS)]
            assert grid.state.members[owner].port == link.endpoint.port
            link.trust()
            link._proved_until -= AGES
            assert NEW == read(engine)
            assert link is not engine._owners[slot_of(ADDRESS)]
            assert NEW == read(engine)


def test_who_reads_all_the_time_learns_of_the_next_owner(grid: LoopbackGrid) -> None:
    """
    Within two seconds: once a second the owner is asked.
    """
    with opened(grid.url) as engine:
        engine.store(ADDRESS, OLD, None)
        owner = aside(grid.owner_of, ADDRESS)
        with cut(grid, owner):
            replace_owner(grid, owner)
            began = time.monotonic()
            while engine.fetch(ADDRESS) != NEW:
                assert time.monotonic() < began + 2


def test_who_comes_anew_is_not_misled(grid: LoopbackGrid) -> None:
    """
    The member at which a program begins may be the one that is cut off: it tells of others, who know better.
    """
    with opened(grid.url) as engine:
        engine.store(ADDRESS, OLD, None)
    owner = aside(grid.owner_of, ADDRESS)
    with cut(grid, owner):
        replace_owner(grid, owner)
        with opened(url_of(grid, owner)) as engine:
            assert NEW == engine.fetch(ADDRESS)


def test_epochs_that_the_next_owner_raised_are_learned(grid: LoopbackGrid) -> None:
    """
    Nor is an epoch that was raised since then taken for the last one.
    """
    with opened(grid.url) as engine:
        name = b"cut"
        key = b"cg!epoch:{cut}"
        before = engine.epoch(name)
        owner = aside(grid.owner_of, key)
        with cut(grid, owner):
            aside(grid.wait_for, lambda: grid.owner_of(key) != owner)
            with opened(url_of(grid, aside(grid.owner_of, key))) as other:
                raised = other.raise_epoch(name)
            engine._owners[slot_of(key)].doubt()
            assert before < raised == engine.epoch(name)


@pytest.mark.parametrize("read", [fetch, fetch_many, fetch_parts, inspect])
def test_where_all_are_cut_off_owners_answer(alone: LoopbackGrid, read: Reader) -> None:
    """
    Nobody can have replaced them: reads are served as before, and every member is there.
    """
    with opened(alone.url) as engine:
        engine.store(ADDRESS, OLD, None)
        with cut(alone, 0, 1, 2):
            for _ in range(3):
                engine._owners[slot_of(ADDRESS)].doubt()
                assert OLD == read(engine)
            assert [True] * 3 == [member.up for member in engine.members()]


def test_a_user_who_may_not_ask_is_served(alone: LoopbackGrid) -> None:
    """
    Who lacks the right to `CLUSTER INFO` reads and writes as others do.
    """
    aside(restrict, alone)
    with opened(alone.url.replace(f":{alone.state.password}@", "app:s@")) as engine:
        for _ in range(3):
            engine.store(ADDRESS, OLD, None)
            engine._owners[slot_of(ADDRESS)].doubt()
            assert OLD == engine.fetch(ADDRESS)
