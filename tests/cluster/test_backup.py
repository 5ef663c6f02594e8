"""Entries of real grids are kept in a folder and come back, whatever happens meanwhile, or it is said what did not."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cachegrid
from cachegrid.cluster.balance import Move
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.keeping import restore as restoring
from cachegrid.cluster.keeping.backup import UNFINISHED, backup
from cachegrid.cluster.keeping.engine import KeepingEngine
from cachegrid.cluster.keeping.files import MANIFEST, Manifest
from cachegrid.cluster.keeping.restore import CLEARING, Mode, Restored, restore
from cachegrid.cluster.moving import carry_out
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import AccessDenied, ConfigError, EngineTimeout, GridError, GridFull
from cachegrid.testing.loopback import LoopbackGrid
from tests.engines import servers

pytestmark = [pytest.mark.grid, pytest.mark.slow]

SECRET = "s" * 32
MANY = 4_000  # entries: some pages of each owner


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


@pytest.fixture(scope="module")
def members() -> Iterator[LoopbackGrid]:
    """Two owners, which all tests share that do them no harm."""
    with LoopbackGrid(owners=2, replicas=0) as grid:
        yield grid


@pytest.fixture
def grid(members: LoopbackGrid) -> Iterator[Any]:
    """A connection to them, without entries; each test's folder is its own."""
    with cachegrid.connect(members.url, secret=SECRET) as grid:
        yield grid
    for index in range(2):
        with members.admin(index) as admin:
            admin.run("FLUSHALL")


@pytest.fixture
def target(members: LoopbackGrid) -> Target:
    """The way to them."""
    return parse(members.url, timeout=5.0)


def kept(target: Target, folder: Path, **how: Any) -> Manifest:
    """A backup."""
    manifest = backup(target, folder, **how)
    assert manifest is not None
    return manifest


def brought(target: Target, folder: Path, **how: Any) -> Restored:
    """A restore."""
    done = restore(target, folder, **how)
    assert done is not None
    return done


def once(act: Callable[[], object], what: str = "entries") -> Callable[[str, int, int], None]:
    """A progress that does something, the first time that it is told of some."""
    left = [act]

    def progress(told: str, done: int, total: int) -> None:
        if told == what and left:
            left.pop()()

    return progress


def raising(error: type[BaseException]) -> Callable[[], None]:
    """What interrupts whoever is told how far he is."""

    def act() -> None:
        raise error

    return act


def keys_in(members: LoopbackGrid) -> int:
    """How many keys the owners have, of whatever kind."""
    return sum(index_keys(members, index) for index in range(2))


def index_keys(members: LoopbackGrid, index: int) -> int:
    """How many keys a member has."""
    with members.admin(index) as admin:
        found = admin.run("DBSIZE")
    assert isinstance(found, int)
    return found


def test_entries_come_back_into_a_grid_of_another_size(grid: Any, target: Target, tmp_path: Path) -> None:
    """With their times and counts, signed and large ones, results of functions; what was cleared does not."""
    calls: list[int] = []

    def double(number: int) -> int:
        calls.append(number)
        return number * 2

    with LoopbackGrid() as source, cachegrid.connect(source.url, secret=SECRET) as before:
        prices = before.cache("prices")
        prices.set_many({f"sku-{number}": number / 4 for number in range(MANY)}, ttl=600)
        prices["ever"], prices["count"] = {"a": (1, 2)}, 41
        prices.set("idle", 1, idle=300)
        before.cache("signed", codec="pickle")["set"] = {1, 2}
        before.cache("large")["bytes"] = os.urandom(3_000_000)
        cleared = before.cache("cleared")
        cleared["dead"] = 1
        cleared.clear()
        cleared["alive"] = 1
        assert 8 == before.cache("functions").cached()(double)(4)
        large = before.cache("large")["bytes"]
        manifest = kept(parse(source.url, timeout=5.0), tmp_path / "b")
    assert manifest.is_exact
    assert {"cg:cleared": 1, "cg:functions": 1, "cg:large": 1, "cg:prices": MANY + 3, "cg:signed": 1} == {
        cache.name: cache.entries for cache in manifest.caches
    }
    after = grid.cache("prices")
    assert None is after.get("ever")  # somebody looks already
    done = brought(target, tmp_path / "b", secret=SECRET.encode())
    assert manifest.entries == done.restored
    assert (0, 0, 0, 0) == (done.kept, done.passed, done.unsigned, done.evicted)
    assert ((), ()) == (done.cleared, done.unreplicated)
    assert {f"sku-{number}": number / 4 for number in range(MANY)} == after.get_many(
        [f"sku-{number}" for number in range(MANY)]
    )
    assert ({"a": (1, 2)}, None) == (after["ever"], after.entry("ever").expires)
    assert 0 < (after.entry("sku-1").expires - after.entry("sku-1").created).total_seconds() < 601
    assert 300 == after.entry("idle").idle.total_seconds()
    assert 42 == after.incr("count")
    assert {1, 2} == grid.cache("signed", codec="pickle")["set"]
    assert large == grid.cache("large")["bytes"]
    assert (None, 1) == (grid.cache("cleared").get("dead"), grid.cache("cleared").get("alive"))
    assert 8 == grid.cache("functions").cached()(double)(4)
    assert [4] == calls


@pytest.mark.parametrize("what", ["an owner is killed", "slots move"])
def test_nothing_that_is_there_all_the_while_is_missed(what: str, grid: Any, target: Target, tmp_path: Path) -> None:
    """While programs write, and whatever becomes of the members."""
    still = {number: f"value {number}" for number in range(MANY)}
    with LoopbackGrid() as source, cachegrid.connect(source.url) as before:
        before.cache("still").set_many(still)

        def kill() -> None:
            source.kill(0)

        def move() -> None:
            last, first = source.state.members[2].id, source.state.members[0].id
            start = Contacts.of_state(source.state).of(last).slots[0].start
            carry_out(source.state, [Move(last, first, (range(start, start + 1_000),))])

        with writing(source.url):
            act = once(kill if "killed" in what else move)
            manifest = kept(parse(source.url, timeout=10.0), tmp_path / "b", progress=act)
    assert not manifest.is_exact
    brought(target, tmp_path / "b")
    assert still == grid.cache("still").get_many(range(MANY))


@contextlib.contextmanager
def writing(url: str) -> Iterator[None]:
    """Let another thread write all the while."""
    over = threading.Event()
    errors: list[Exception] = []

    def work() -> None:
        try:
            with cachegrid.connect(url) as grid:
                changing, turn = grid.cache("changing"), 0
                while not over.is_set():
                    changing.set(turn % 500, turn)
                    turn += 1
        except Exception as error:  # noqa: BLE001 - told by the test, in its own thread
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert [] == errors


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


def test_one_server_of_another_kind_can_have_them(tmp_path: Path) -> None:
    """From Valkey to Redis, and back."""
    redis = servers.redis()
    with servers.Server() as first, servers.Server(redis) as second, servers.Server() as third:
        with cachegrid.connect(first.url()) as grid:
            grid.cache("prices").set_many({number: number for number in range(2_000)}, ttl=600)
            grid.cache("prices")["text"] = "ever"
        for number, (one, other) in enumerate(((first, second), (second, third))):
            assert 2_001 == kept(parse(one.url(), timeout=5.0), tmp_path / str(number)).entries
            assert 2_001 == brought(parse(other.url(), timeout=5.0), tmp_path / str(number)).restored
        with cachegrid.connect(third.url()) as grid:
            assert {number: number for number in range(2_000)} == grid.cache("prices").get_many(range(2_000))
            assert "ever" == grid.cache("prices")["text"]


def test_caches_with_entries_are_left_alone_unless_it_is_said_what_to_do(
    grid: Any, target: Target, tmp_path: Path
) -> None:
    """Replaced, they are as they were; merged, what is there stays. Others are not touched."""
    prices, others = grid.cache("prices"), grid.cache("others")
    prices.set_many({"a": 1, "b": 2})
    kept(target, tmp_path / "b")
    del prices["a"]
    prices["b"] = prices["c"] = others["x"] = 3
    with pytest.raises(GridError, match="cache 'prices' has entries"):
        restore(target, tmp_path / "b")
    with pytest.raises(GridError, match="cache 'prices' has entries"):
        restore(target, tmp_path / "b", is_rehearsal=True)
    merged = brought(target, tmp_path / "b", mode=Mode.MERGE)
    assert (1, 1) == (merged.restored, merged.kept)
    assert {"a": 1, "b": 3, "c": 3} == prices.get_many(["a", "b", "c"])
    assert 2 == brought(target, tmp_path / "b", mode=Mode.REPLACE).restored
    assert {"a": 1, "b": 2} == prices.get_many(["a", "b", "c"])
    assert 3 == others["x"]


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


def test_one_cache_alone(grid: Any, target: Target, tmp_path: Path) -> None:
    """Kept alone, or brought back alone; one that the backup has not is refused."""
    grid.cache("a")["x"] = grid.cache("b")["x"] = 1
    assert ["cg:a"] == [cache.name for cache in kept(target, tmp_path / "one", cache="cg:a").caches]
    kept(target, tmp_path / "all")
    grid.cache("a").clear()
    grid.cache("b").clear()
    brought(target, tmp_path / "all", cache="cg:b")
    assert (None, 1) == (grid.cache("a").get("x"), grid.cache("b").get("x"))
    with pytest.raises(ConfigError, match="one that the backup has entries of: a, b"):
        restore(target, tmp_path / "all", cache="cg:c")
    with pytest.raises(ConfigError, match="--cache is 'c'; it must be one that has entries in this grid"):
        backup(target, tmp_path / "none", cache="cg:c")
    assert ["all"] == [path.name for path in tmp_path.iterdir() if path.name in {"all", "none", "none.unfinished"}]


def test_what_is_cleared_meanwhile_is_cleared(grid: Any, target: Target, tmp_path: Path) -> None:
    """During a backup it is not in it; during a restore that is said."""
    prices, others = grid.cache("prices"), grid.cache("others")
    prices.set_many(dict.fromkeys(range(MANY), "x"))
    others["x"] = 1
    manifest = kept(target, tmp_path / "cleared", progress=once(prices.clear))
    assert ["cg:others"] == [cache.name for cache in manifest.caches]
    prices.set_many(dict.fromkeys(range(MANY), "x"))
    kept(target, tmp_path / "b")
    done = brought(target, tmp_path / "b", mode=Mode.REPLACE, progress=once(prices.clear))
    assert ("cg:prices",) == done.cleared
    assert (None, 1) == (prices.get(1), others["x"])


def test_times_end_when_they_would_have_or_go_on(grid: Any, target: Target, tmp_path: Path) -> None:
    """What has ended by the time of a restore does not come back, unless times go on where they were."""
    prices = grid.cache("prices")
    prices.set_many({"short": 1, "long": 2}, ttl=600)
    prices.set("short", 1, ttl=1.5)
    prices["ever"] = 3
    kept(target, tmp_path / "b")
    waiting(lambda: "short" not in prices)
    done = brought(target, tmp_path / "b", mode=Mode.REPLACE)
    assert (2, 1) == (done.restored, done.passed)
    assert {"long": 2, "ever": 3} == prices.get_many(["short", "long", "ever"])
    assert 3 == brought(target, tmp_path / "b", mode=Mode.REPLACE, goes_on=True).restored
    assert 2 == prices["long"]


def waiting(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    for _ in range(2_000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came")


def test_what_is_not_ours_is_told_and_not_kept(grid: Any, target: Target, tmp_path: Path) -> None:
    """Keys of other programs, other types in the place of entries, and caches that have lost their epoch."""
    prices = grid.cache("prices")
    prices["a"] = 1
    with servers_of(target) as run:
        run("SET", "user:7", "name")
        run("RPUSH", "cg:prices:" + base36(target, "prices") + ":$list", "1")
        run("SET", "cg:unknown:1:$a", "5")
    manifest = kept(target, tmp_path / "b")
    assert {"of another type": 1, "not of cachegrid": 1, "of no cache": 1} == manifest.left_out
    assert 1 == manifest.entries


@contextlib.contextmanager
def servers_of(target: Target) -> Iterator[Callable[..., object]]:
    """Commands to whichever owner has the key."""
    from cachegrid.engines.valkey.slots import slot_of

    contacts = Contacts.of_target(target)

    def run(command: str, key: str, *words: str) -> object:
        slot = slot_of(key.encode())
        owner = next(owner for owner in contacts.owners if any(slot in span for span in owner.slots))
        with contacts.open(owner) as admin:
            return admin.run(command, key, *words)

    yield run


def base36(target: Target, cache: str) -> str:
    """The epoch of a cache, as it is in addresses."""
    from cachegrid._core.address import Space

    with servers_of(target) as run:
        epoch = run("GET", f"cg!epoch:{{cg:{cache}}}")
    assert isinstance(epoch, bytes)
    return Space("cg", [cache], [int(epoch)], doubt=0).prefix.decode().split(":")[2]


def test_a_backup_is_whole_or_not_there(grid: Any, target: Target, tmp_path: Path) -> None:
    """Interrupted it leaves nothing; killed it leaves what is no backup, and the next one begins anew."""
    grid.cache("prices").set_many(dict.fromkeys(range(MANY), "x"))
    with pytest.raises(KeyboardInterrupt):
        backup(target, tmp_path / "b", progress=once(raising(KeyboardInterrupt)))
    assert [] == list(tmp_path.iterdir())
    left = tmp_path / f"b{UNFINISHED}"
    left.mkdir()
    (left / "entries-00001").write_bytes(b"half")
    with pytest.raises(GridError, match="did not come to its end"):
        restore(target, left)
    assert MANY == kept(target, tmp_path / "b").entries
    assert [tmp_path / "b"] == list(tmp_path.iterdir())
    assert {0o700} == {(tmp_path / "b").stat().st_mode & 0o777}


def test_a_backup_of_which_an_owner_is_lost_is_none(tmp_path: Path) -> None:
    """Nobody takes its place: that is said in time, and nothing is left."""
    with LoopbackGrid(owners=2, replicas=0) as source, cachegrid.connect(source.url) as before:
        before.cache("prices").set_many(dict.fromkeys(range(MANY), "x"))
        with pytest.raises(EngineTimeout):
            backup(parse(source.url, timeout=1.0), tmp_path / "b", progress=once(lambda: source.kill(1)))
    assert [] == list(tmp_path.iterdir())


def test_a_grid_that_is_too_small_evicts_or_refuses(grid: Any, target: Target, tmp_path: Path) -> None:
    """How many were evicted is told; where nothing may be, it ends, and programs see nothing of it."""
    grid.cache("prices").set_many(dict.fromkeys(range(3 * MANY), "x" * 400))
    kept(target, tmp_path / "b")
    for policy in ("volatile-lru", "noeviction"):
        with servers.Server(settings={"maxmemory": "5mb", "maxmemory-policy": policy}) as small:
            there = parse(small.url(), timeout=5.0)
            if policy == "noeviction":
                with pytest.raises(GridFull):
                    restore(there, tmp_path / "b")
                with cachegrid.connect(small.url()) as after:
                    assert {} == after.cache("prices").get_many(range(3 * MANY))
            else:
                done = brought(there, tmp_path / "b")
                with cachegrid.connect(small.url()) as after:
                    left = len(after.cache("prices").get_many(range(3 * MANY)))
                assert 3 * MANY == done.restored
                assert 0 < left <= 3 * MANY - done.evicted < 3 * MANY  # to read them takes memory, too


def test_a_folder_that_is_in_use_is_refused(grid: Any, target: Target, tmp_path: Path) -> None:
    """A backup is never overwritten, nor is what else there is."""
    kept(target, tmp_path / "b")
    with pytest.raises(GridError, match="holds a backup already"):
        backup(target, tmp_path / "b")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ConfigError, match="a folder that is not there yet, or is empty"):
        backup(target, tmp_path / "other")
    with pytest.raises(ConfigError, match="in a folder that is there"):
        backup(target, tmp_path / "none" / "b")
    with pytest.raises(GridError, match="/proc/b cannot be written: "):
        backup(target, Path("/proc/b"))


def test_what_others_keep_where_a_backup_is_made_is_left_alone(grid: Any, target: Target, tmp_path: Path) -> None:
    """Beside what a killed one has left, too; and so is what a link leads to."""
    grid.cache("prices")["a"] = 1
    draft, aside = tmp_path / f"b{UNFINISHED}", tmp_path / "aside"
    draft.mkdir()
    for name in ("entries-00001", "thesis.txt"):
        (draft / name).write_text("mine")
    with pytest.raises(ConfigError, match=r"it holds 'thesis\.txt'"):
        backup(target, tmp_path / "b")
    assert ["entries-00001", "thesis.txt"] == sorted(path.name for path in draft.iterdir())
    (draft / "thesis.txt").rename(draft / MANIFEST)  # as somebody may have called a backup that is whole
    with pytest.raises(ConfigError, match="it holds 'manifest"):
        backup(target, tmp_path / "b")
    (draft / MANIFEST).rename(draft / f"{MANIFEST}.7.new")
    draft.rename(aside)
    draft.symlink_to(aside)
    with pytest.raises(ConfigError, match="that is not a folder"):
        backup(target, tmp_path / "b")
    draft.unlink()
    draft.write_text("mine")
    with pytest.raises(ConfigError, match="that is not a folder"):
        backup(target, tmp_path / "b")
    draft.unlink()
    aside.rename(draft)
    assert 1 == kept(target, tmp_path / "b").entries
    assert [tmp_path / "b"] == list(tmp_path.iterdir())


def test_two_at_a_time_are_refused(grid: Any, target: Target, tmp_path: Path) -> None:
    """Backups into one folder, and restores into one grid; afterwards there may be another."""
    grid.cache("prices").set_many(dict.fromkeys(range(MANY), "x"))
    refused: list[str] = []

    def again(act: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            with pytest.raises(GridError) as caught:
                act()
            refused.append(str(caught.value))

        return run

    kept(target, tmp_path / "b", progress=once(again(lambda: backup(target, tmp_path / "b"))))
    how = {"mode": Mode.REPLACE}
    second = again(lambda: brought(target, tmp_path / "b", **how))
    brought(target, tmp_path / "b", **how, progress=once(second))
    assert ["another backup is being", "another restore is at w"] == [text[:23] for text in refused]
    assert MANY == brought(target, tmp_path / "b", **how).restored


def test_a_damaged_backup_writes_nothing(grid: Any, target: Target, tmp_path: Path, members: LoopbackGrid) -> None:
    """Nor does one that is cut short: that is found before."""
    grid.cache("prices").set_many(dict.fromkeys(range(MANY), "x"))
    kept(target, tmp_path / "b")
    grid.cache("prices").clear()
    grid.settle()
    before = keys_in(members)
    part = next(path for path in (tmp_path / "b").iterdir() if path.name != MANIFEST)
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(GridError, match="nothing was restored"):
        restore(target, tmp_path / "b")
    assert before == keys_in(members)


def test_large_entries_are_not_all_in_memory(grid: Any, target: Target, tmp_path: Path) -> None:
    """Neither while they are kept nor while they are brought back."""
    large = grid.cache("large")
    for number in range(40):
        large[number] = os.urandom(1 << 20)
    last = large[39]
    tracemalloc.start()
    try:
        kept(target, tmp_path / "b")
        brought(target, tmp_path / "b", mode=Mode.REPLACE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 36 << 20
    assert last == large[39]


def test_who_may_do_what_programs_do_may_keep_a_grid(grid: Any, members: LoopbackGrid, tmp_path: Path) -> None:
    """And where a right is missing that is an error, and never an empty backup."""
    page = Path(__file__).parents[2] / "docs" / "access.md"
    found = re.search(r"ACL SETUSER app .*?(?=```)", page.read_text(), re.DOTALL)
    assert found
    everywhere(members, *found[0].split())
    hosts = ",".join(member.address for member in members.state.members)
    app = parse(f"valkey://app:s%40crt@{hosts}", timeout=5.0)
    try:
        grid.cache("prices").set_many(dict.fromkeys(range(500), 1))
        grid.cache("prices")["large"] = "x" * 100_000
        assert 501 == kept(app, tmp_path / "b").entries
        assert 501 == brought(app, tmp_path / "b", mode=Mode.REPLACE).restored
        assert dict.fromkeys(range(500), 1) == grid.cache("prices").get_many(range(500))
        for right in ("getrange", "pttl", "get", "evalsha"):
            everywhere(members, "ACL", "SETUSER", "app", f"-{right}")
            with pytest.raises(AccessDenied):
                backup(app, tmp_path / "other")
            everywhere(members, "ACL", "SETUSER", "app", f"+{right}")
        assert [tmp_path / "b"] == list(tmp_path.iterdir())
    finally:
        everywhere(members, "ACL", "DELUSER", "app")


def everywhere(members: LoopbackGrid, *words: str) -> None:
    """Tell all members the same."""
    for member in members.state.members:
        with members.admin(member.index) as admin:
            admin.run(*words)


def test_what_was_signed_with_another_secret_is_told(grid: Any, target: Target, tmp_path: Path) -> None:
    """It could not be read there; with its own secret it can."""
    grid.cache("signed", codec="pickle")["a"] = {1}
    kept(target, tmp_path / "b")
    for secret, unsigned in ((b"o" * 32, 1), (None, 1), (SECRET.encode(), 0)):
        assert unsigned == brought(target, tmp_path / "b", mode=Mode.REPLACE, secret=secret).unsigned
    assert {1} == grid.cache("signed", codec="pickle")["a"]
