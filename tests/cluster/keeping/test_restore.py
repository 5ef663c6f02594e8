"""Entries of a backup come back, into the same grid or another, or it is said what did not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cachegrid
from cachegrid.cluster.keeping.backup import backup
from cachegrid.cluster.keeping.files import MANIFEST
from cachegrid.cluster.keeping.restore import Mode, restore
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import ConfigError, GridError, GridFull
from cachegrid.testing.loopback import LoopbackGrid
from tests.cluster.keeping.steps import MANY, SECRET, brought, kept, keys_in, once, waiting
from tests.engines import servers

pytestmark = [pytest.mark.grid, pytest.mark.slow]


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


def test_what_was_signed_with_another_secret_is_told(grid: Any, target: Target, tmp_path: Path) -> None:
    """It could not be read there; with its own secret it can."""
    grid.cache("signed", codec="pickle")["a"] = {1}
    kept(target, tmp_path / "b")
    for secret, unsigned in ((b"o" * 32, 1), (None, 1), (SECRET.encode(), 0)):
        assert unsigned == brought(target, tmp_path / "b", mode=Mode.REPLACE, secret=secret).unsigned
    assert {1} == grid.cache("signed", codec="pickle")["a"]


@pytest.mark.parametrize("mode", [Mode.EMPTY, Mode.MERGE])
def test_tags_come_back_with_their_entries(grid: Any, target: Target, tmp_path: Path, mode: Mode) -> None:
    """What was dead is not kept; what has come back dies with its tags, as those who write anew see them."""
    with LoopbackGrid() as source, cachegrid.connect(source.url) as before:
        pages = before.cache("pages")
        pages.set("dead", 0, tags=["raised", "other"])
        pages.invalidate("raised")
        pages.set_many({number: [number] for number in range(2_000)}, tags=["all", "raised"])
        pages.set("ends", 1, tags=["short"], ttl=600)
        kept(parse(source.url, timeout=5.0), tmp_path / "b")
    assert 2_001 == brought(target, tmp_path / "b", mode=mode).restored
    after = grid.cache("pages")
    assert {number: [number] for number in range(2_000)} == after.get_many(range(2_000))
    assert 1 == after["ends"]
    assert "dead" not in after
    after.set("new", 2, tags=["all"])
    assert 2 == after["new"]
    assert [0] == after[0], "a tag that is written anew is the one that came back"
    after.invalidate("all")
    assert {"ends": 1} == after.get_many([*range(2_000), "new", "ends"])
