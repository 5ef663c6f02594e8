"""Statistics of several processes, which close, end, fork or are killed; and of an owner that is."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

import cachegrid
from cachegrid import SyncGrid
from cachegrid._core.sharing import counts_of
from cachegrid.testing.loopback import LoopbackGrid
from tests.flow.sharer import THREADS
from tests.flow.waits._sio import until

pytestmark = pytest.mark.grid
ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 30.0
TIMES = 40
_numbers = itertools.count(1)


@pytest.fixture
def namespace() -> str:
    """A test's own."""
    return f"shared{os.getpid()}.{next(_numbers)}"


@pytest.fixture
def grid(loopback: LoopbackGrid, namespace: str) -> Iterator[SyncGrid]:
    """The grid, as who only looks has it."""
    with cachegrid.connect(loopback.url, namespace=namespace) as grid:
        yield grid


def begin(url: str, namespace: str, how: str, every: str = "1h") -> subprocess.Popen[str]:
    """A process that shares; see `sharer`."""
    command = [sys.executable, "-m", "tests.flow.sharer", url, namespace, how, str(TIMES), every]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def summed(told: list[dict[str, float]]) -> dict[str, Any]:
    """What several processes counted; times as far as sums of them are exact."""
    names = {name for one in told for name in one}
    total = {name: sum(one.get(name, 0) for one in told) for name in names}
    return {name: pytest.approx(it) if isinstance(it, float) else it for name, it in total.items()}


def all_told(loopback: LoopbackGrid, namespace: str, ways: list[str]) -> list[dict[str, float]]:
    """What processes print that end in these ways."""
    processes = [begin(loopback.url, namespace, how) for how in ways]
    answers = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    assert [0] * len(ways) == [process.returncode for process in processes]
    return [json.loads(line) for answer in answers for line in answer.splitlines()]


def test_totals_are_exact_when_all_have_ended(loopback: LoopbackGrid, namespace: str, grid: SyncGrid) -> None:
    """
    Of every counter, over processes and threads; by closing the grid, or by the end of the program.
    """
    told = all_told(loopback, namespace, ["close", "exit", "close"])
    shared = grid.shared_stats()
    assert summed(told) == counts_of(shared)["prices"]
    each = 3 * THREADS * TIMES
    assert (each, 2 * each, each) == (shared.total.hits, shared.total.misses, shared.total.loads)
    assert (3, 0) == (shared.processes, shared.alive)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_tells_what_it_counts_itself(loopback: LoopbackGrid, namespace: str, grid: SyncGrid) -> None:
    """
    And nothing of what its parent has.
    """
    told = all_told(loopback, namespace, ["fork"])
    shared = grid.shared_stats()
    assert [THREADS * TIMES, THREADS * 3] == [one["loads"] for one in told]
    assert summed(told) == counts_of(shared)["prices"]
    assert 2 == shared.processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_tells_now_and_then(loopback: LoopbackGrid, namespace: str, grid: SyncGrid) -> None:
    """
    By a thread of its own: its parent's is not there.
    """
    process = begin(loopback.url, namespace, "leave", every="100ms")
    try:
        assert process.stdout is not None
        told = [json.loads(process.stdout.readline()) for _ in range(2)]
        until(lambda: grid.shared_stats().total.loads == sum(one["loads"] for one in told))
        assert (2, 2) == (grid.shared_stats().processes, grid.shared_stats().alive)
    finally:
        process.communicate(timeout=PATIENCE)
    assert summed(told) == counts_of(grid.shared_stats())["prices"]


def test_who_is_killed_has_told_what_it_told(loopback: LoopbackGrid, namespace: str, grid: SyncGrid) -> None:
    """
    What it counted since then is lost, and no more.
    """
    process = begin(loopback.url, namespace, "wait")
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert "counted more\n" == process.stdout.readline()
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)
    shared = grid.shared_stats()
    each = THREADS * TIMES
    assert (each, each) == (told["hits"], shared.total.hits)
    assert (each, 1) == (shared.total.loads, shared.processes)


def test_an_owner_that_dies_makes_nothing_count_twice() -> None:
    """
    Nor anything get lost of who runs on: what was told and is lost with the owner is told again.
    """
    with LoopbackGrid() as members, ExitStack() as stack:
        sharing = [stack.enter_context(cachegrid.connect(members.url, share_stats="100ms")) for _ in range(2)]
        looker = stack.enter_context(cachegrid.connect(members.url))
        ends = Event()
        threads = [Thread(target=_read_until, args=(grid, ends)) for grid in sharing]
        for thread in threads:
            thread.start()
        try:
            until(lambda: _told(looker, sharing) > 0)
            ledger = sharing[0]._sharing
            assert ledger is not None
            members.kill(members.owner_of(ledger._ledger._cache._space.address("book")))
            killed_at = _told(looker, sharing)
            members.wait_whole()
            until(lambda: _told(looker, sharing) > killed_at)
        finally:
            ends.set()
            for thread in threads:
                thread.join()
        for grid in sharing:
            grid.close()
        truth = summed([counts_of({"all": grid.stats().total})["all"] for grid in sharing])
        assert truth == counts_of({"all": looker.shared_stats().total})["all"]


def _read_until(grid: SyncGrid, ends: Event) -> None:
    prices = grid.cache("prices", on_outage="load")
    while not ends.is_set():
        prices.get_or_load("key", lambda: 1)


def _told(looker: SyncGrid, sharing: list[SyncGrid]) -> int:
    """How many reads all have told; never more than there were."""
    shared = looker.shared_stats().total
    truth = sum(grid.stats().total.hits + grid.stats().total.misses for grid in sharing)
    told = shared.hits + shared.misses
    assert told <= truth
    return told
