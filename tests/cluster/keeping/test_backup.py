"""Entries of real grids are kept in a folder, all of them or none, whatever happens meanwhile."""

from __future__ import annotations

import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

import cachegrid
from cachegrid.cluster.balance import Move
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.keeping.backup import UNFINISHED, backup
from cachegrid.cluster.keeping.files import MANIFEST
from cachegrid.cluster.keeping.restore import Mode, restore
from cachegrid.cluster.moving import carry_out
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.url import parse
from cachegrid.errors import AccessDenied, ConfigError, EngineTimeout, GridError
from cachegrid.testing.loopback import LoopbackGrid
from tests.cluster.keeping.steps import MANY, base36, brought, everywhere, kept, once, raising, servers_of, writing

pytestmark = [pytest.mark.grid, pytest.mark.slow]


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


def test_what_is_not_ours_is_told_and_not_kept(grid: Any, target: Target, tmp_path: Path) -> None:
    """Keys of other programs, other types in the place of entries, and caches that have lost their epoch."""
    prices = grid.cache("prices")
    prices["a"] = 1
    with servers_of(target) as run:
        run("SET", "user:7", "name")
        run("RPUSH", "cg:prices:" + base36(target, "prices") + ":$list", "1")
        run("SET", "cg:unknown:1:$a", "5")
    manifest = kept(target, tmp_path / "b")
    assert {"of another type": 1, "not of cachegrid": 1, "of a cache that is unknown": 1} == manifest.left_out
    assert 1 == manifest.entries


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
    page = Path(__file__).parents[3] / "docs" / "access.md"
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
