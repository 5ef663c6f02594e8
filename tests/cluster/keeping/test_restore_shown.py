"""Programs see what is restored all at once, and it stays."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cachegrid
from cachegrid.cluster.keeping import restore as restoring
from cachegrid.cluster.keeping.engine import KeepingEngine
from cachegrid.cluster.keeping.restore import CLEARING, Mode, restore
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import EngineTimeout, GridError
from cachegrid.testing.loopback import LoopbackGrid
from tests.cluster.keeping.steps import MANY, brought, kept, keys_in, once, raising, servers_of

pytestmark = [pytest.mark.grid, pytest.mark.slow]


# A restore that is killed when half of its entries are written.
KILLED = """
import os, signal, sys
from pathlib import Path
from cachegrid.cluster.keeping import restore
from cachegrid.engines.valkey.url import parse

def progress(what, done, total):
    if what == "entries":
        os.kill(os.getpid(), signal.SIGKILL)

restore.PAGE = 100
restore.restore(parse(sys.argv[1], timeout=5.0), Path(sys.argv[2]), mode=restore.Mode.REPLACE, progress=progress)
"""


def test_what_an_owner_takes_with_it_is_written_once_more(grid: Any, target: Target, tmp_path: Path) -> None:
    """Its replica did not have it, and takes over: nothing of what was restored is missing in the end."""
    still = {number: f"value {number}" for number in range(20 * MANY)}
    grid.cache("still").set_many(still)
    kept(target, tmp_path / "b")
    with LoopbackGrid() as other, cachegrid.connect(other.url, timeout=20) as after:
        seen = 0

        def progress(what: str, done: int, total: int) -> None:
            nonlocal seen
            if what == "entries" and done < total:
                seen += 1
                if seen == 1:
                    other.pause(3)  # the replica of the first owner
                if seen == 5:
                    other.kill(0)
                    other.resume(3)

        done = brought(parse(other.url, timeout=20.0), tmp_path / "b", progress=progress)
        assert seen > 5
        assert len(still) == done.restored
        assert still == after.cache("still").get_many(range(20 * MANY))


def test_what_was_replaced_takes_no_memory(grid: Any, target: Target, tmp_path: Path, members: LoopbackGrid) -> None:
    """Nor does what a restore had written that was interrupted; if it was killed, once there was another."""
    prices = grid.cache("prices")
    prices.set_many(dict.fromkeys(range(MANY), "x"))
    kept(target, tmp_path / "b")
    before = keys_in(members)
    with pytest.raises(KeyboardInterrupt):
        restore(target, tmp_path / "b", mode=Mode.REPLACE, progress=once(raising(KeyboardInterrupt)))
    assert before + 1 == keys_in(members)  # the fencing number of the restore itself is remembered for a while
    killing = subprocess.run([sys.executable, "-c", KILLED, members.url, str(tmp_path / "b")], check=False)
    assert -signal.SIGKILL == killing.returncode
    assert keys_in(members) > before + 1
    with pytest.raises(GridError, match="another restore is at work in this grid, or was until"):
        restore(target, tmp_path / "b", mode=Mode.REPLACE)
    with servers_of(target) as run:
        run("DEL", "cg!lease:{restore}")  # as when its time is over
    assert MANY == brought(target, tmp_path / "b", mode=Mode.REPLACE).restored
    assert before + 1 == keys_in(members)
    assert MANY == len(prices.get_many(range(MANY)))


def test_a_restore_that_is_interrupted_while_it_is_shown_is_seen(
    grid: Any, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All caches are, or none."""
    names = ("a", "b", "c")
    for name in names:
        grid.cache(name)["x"] = "old"
    kept(target, tmp_path / "b")
    for name in names:
        grid.cache(name)["x"] = "new"
    lifted: list[str] = []
    told: list[str] = []
    lift = KeepingEngine.lift_epoch

    def interrupted(engine: KeepingEngine, name: str, epoch: int) -> int:
        lifted.append(name)
        if len(lifted) == 2:
            signal.raise_signal(signal.SIGINT)
        return lift(engine, name, epoch)

    monkeypatch.setattr(KeepingEngine, "lift_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restore(target, tmp_path / "b", mode=Mode.REPLACE, progress=lambda what, *_: told.append(what))
    assert ["old"] * 3 == [grid.cache(name)["x"] for name in names]
    assert CLEARING == told[-1]


def test_a_restore_that_fails_while_it_is_shown_leaves_nothing_unseen(
    grid: Any, target: Target, tmp_path: Path, members: LoopbackGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What programs see stays, and what they do not takes no memory, but of the cache that it failed at."""
    names = ("a", "b", "c")
    for name in names:
        grid.cache(name)["x"] = "old"
    kept(target, tmp_path / "b")
    before = keys_in(members)
    lifted: list[str] = []
    lift = KeepingEngine.lift_epoch

    def failing(engine: KeepingEngine, name: str, epoch: int) -> int:
        lifted.append(name)
        if len(lifted) == 2:
            raise EngineTimeout("too late")
        return lift(engine, name, epoch)

    monkeypatch.setattr(KeepingEngine, "lift_epoch", failing)
    with pytest.raises(EngineTimeout):
        restore(target, tmp_path / "b", mode=Mode.REPLACE)
    assert ["old"] * 3 == [grid.cache(name)["x"] for name in names]
    assert before + 2 + 1 == keys_in(members)  # of two caches, and the fencing number of the restore


def test_replicas_that_lack_what_was_restored_are_told(
    grid: Any, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When they have had their time."""
    monkeypatch.setattr(restoring, "CATCH_UP", 0.2)
    grid.cache("prices").set_many(dict.fromkeys(range(100), "x"))
    kept(target, tmp_path / "b")
    with LoopbackGrid(owners=2, replicas=1) as other:
        lost = other.kill(3)
        done = brought(parse(other.url, timeout=5.0), tmp_path / "b")
    assert (100, (lost.address,)) == (done.restored, done.unreplicated)


def test_a_restore_is_seen_when_all_of_it_is_there(grid: Any, target: Target, tmp_path: Path) -> None:
    """Until then programs see what was there before, and go on with it."""
    prices = grid.cache("prices")
    prices.set_many(dict.fromkeys(range(MANY), "old"))
    kept(target, tmp_path / "b")
    prices.set_many(dict.fromkeys(range(MANY), "new"))
    seen: list[object] = []
    brought(target, tmp_path / "b", mode=Mode.REPLACE, progress=once(lambda: seen.append(prices[1])))
    assert ["new", "old"] == [*seen, prices[1]]


def test_near_copies_see_what_was_restored(grid: Any, target: Target, tmp_path: Path, members: LoopbackGrid) -> None:
    """In this process and in others, from the moment that the restore returns."""
    grid.cache("prices")["a"] = "old"
    kept(target, tmp_path / "b")
    with cachegrid.connect(members.url) as other:
        near = other.cache("prices", near=True)
        near["a"] = "new"
        assert ["new"] * 3 == [near["a"] for _ in range(3)]
        brought(target, tmp_path / "b", mode=Mode.REPLACE)
        assert "old" == near["a"]
