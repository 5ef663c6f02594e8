"""What was there is started again: dead members of a grid that runs, and grids that were kept on disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import cachegrid
from cachegrid.cluster import embedded, find, kill, members, start, stop
from cachegrid.cluster.admin import Admin, connect_to
from cachegrid.cluster.launch import Launch
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.server import find_server
from cachegrid.cluster.state import GridState, names
from cachegrid.cluster.view import node_rows
from cachegrid.engines.valkey.facts import NodeRow
from cachegrid.engines.valkey.slots import slot_of
from cachegrid.errors import EngineError, StartFailed
from cachegrid.testing.loopback import LoopbackGrid

pytestmark = [pytest.mark.grid, pytest.mark.slow]

KEYS = [b"key:%d" % number for number in range(300)]


@pytest.fixture(autouse=True)
def _ends_grids(state_folder: Path) -> Iterator[None]:
    yield
    for name in names(state_folder):
        stop(name, purge=True)


def run_at_owners(state: GridState, command: str, *more: bytes) -> list[object]:
    """Run a command for every key at the key's owner, as the owners themselves see it."""
    admins = {member.id: connect_to(state, member) for member in state.members if pid_of(member)}
    try:
        rows = {member_id: node_rows(admin)[member_id] for member_id, admin in admins.items()}
        return [admins[_owner(rows, key)].run(command, key, *more) for key in KEYS]
    finally:
        for admin in admins.values():
            admin.close()


def _owner(rows: dict[str, NodeRow], key: bytes) -> str:
    return next(i for i, row in rows.items() if any(slot_of(key) in span for span in row.slots))


def written_to_disk(admin: Admin) -> bool:
    """Whether all that was acknowledged has been written and flushed."""
    return admin.facts("persistence")["aof_pending_bio_fsync"] == "0"


def crash(state: GridState) -> None:
    """SIGKILL every member that lives."""
    for member in state.members:
        kill(state, member.index)


def test_what_is_on_disk_survives_a_crash_of_all(state_folder: Path) -> None:
    """
    The grid comes back with its entries, ports and secrets, and says at once that it serves.
    """
    before = start(owners=2, replicas=1, persist=True, settings={"appendfsync": "always"})
    run_at_owners(before, "SET", b"kept")
    crash(before)
    assert find() is None
    after = start(owners=2, replicas=1, persist=True)
    assert [b"kept"] * len(KEYS) == run_at_owners(after, "GET")
    assert before == replace(after, members=before.members)
    assert [member.port for member in before.members] == [member.port for member in after.members]
    assert [b"OK"] * len(KEYS) == run_at_owners(after, "SET", b"new")


def test_a_stopped_grid_is_resumed_by_whoever_needs_one() -> None:
    """
    `embedded` takes what is there, whatever its shape.
    """
    start(owners=2, replicas=0, persist=True)
    run_at_owners(embedded(), "SET", b"kept")
    stop()
    state = embedded()
    assert [b"kept"] * len(KEYS) == run_at_owners(state, "GET")
    assert 2 == len(state.members)


def test_a_grid_on_disk_is_not_started_in_another_shape() -> None:
    """
    The error says what is there, and the ways out; the entries stay.
    """
    start(owners=1, replicas=0, persist=True)
    stop()
    with pytest.raises(
        StartFailed, match=r"was otherwise \(1 owner, .*kept on disk\): `cachegrid up .*` resumes.*--purge"
    ):
        start(owners=3)
    assert 1 == len(embedded().members)


@pytest.mark.parametrize("persist", [True, False])
def test_the_server_that_a_grid_had_runs_it_again(
    persist: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    Unless another is said, or it is gone, which is logged.
    """
    monkeypatch.delenv("CACHEGRID_SERVER", raising=False)
    usual, other = find_server().path, tmp_path / "other-server"
    other.symlink_to(usual)
    crash(start(owners=1, replicas=0, persist=persist, server=other))
    again = start(owners=1, replicas=0, persist=persist)
    assert (other, []) == (again.server, caplog.records)
    crash(again)
    other.unlink()
    assert usual == start(owners=1, replicas=0, persist=persist).server
    assert f"{other} is gone" in caplog.text


@pytest.mark.parametrize("has_files", [True, False])
def test_a_grid_that_died_whole_comes_back_in_its_shape(has_files: bool, caplog: pytest.LogCaptureFixture) -> None:  # noqa: FBT001
    """
    Without its entries, which is logged, and rather than that another grid is taken for it, or one member for it all.
    """
    before = start(owners=2, replicas=1, memory=64 << 20)
    start("other", owners=1, replicas=0)
    crash(before)
    if not has_files:
        shutil.rmtree(before.member(1).folder)
    with cachegrid.connect() as grid:
        assert "default" == grid.name
        assert [("owner", 8192)] * 2 + [("replica", 0)] * 2 == [(each.role, each.slots) for each in grid.members()]
    after = embedded()
    assert (before.shape, before.full_url) == (after.shape, after.full_url)
    assert has_files == (before.member(0).id == after.member(0).id)
    assert ["all members of grid 'default' had died"] == [
        record.getMessage().partition(",")[0] for record in caplog.records
    ]


def test_a_grid_on_disk_needs_its_ports() -> None:
    """
    Clients know them. The error says which one is taken, and the entries stay.
    """
    state = start(owners=1, replicas=0, persist=True)
    stop()
    port = state.members[0].port
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StartFailed, match=f"port {port} .* in use"):
        embedded()
    assert port == embedded().members[0].port


def test_a_failed_resume_keeps_everything(state_folder: Path) -> None:
    """
    A member whose log is damaged stops the others again, and nothing is removed.
    """
    state = start(owners=2, replicas=0, persist=True)
    run_at_owners(state, "SET", b"kept")
    stop()
    manifest = next((state.folder / "m2").rglob("*.manifest"))
    good = manifest.read_text()
    manifest.write_text("rubbish\n")
    with pytest.raises(StartFailed, match=rf"{state.members[1].address} .*(?i:aof)"):
        embedded()
    assert [0, 0] == [pid_of(member) for member in state.members]
    manifest.write_text(good)
    assert [b"kept"] * len(KEYS) == run_at_owners(embedded(), "GET")


def test_a_full_disk_is_named_beside_what_the_log_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The last lines of the log may be older than the disk is full.
    """
    state = start(owners=1, replicas=0, persist=True)
    stop()
    next(state.folder.rglob("*.manifest")).write_text("rubbish\n")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(StartFailed, match=r"the disk of \S+ is full; its log ends: .*(?i:aof)"):
        embedded()


def test_what_a_server_always_says_is_no_reason() -> None:
    """
    Only that it does not answer, and nothing of its log, is told of a member that stands still.
    """
    with LoopbackGrid(owners=1, replicas=0) as grid:
        still = grid.pause(0)
        still.log.write_text("7:M 22 Nov 2026 10:00:00.000 # Missing implement of connection type tls\n")
        with pytest.raises(StartFailed) as raised, Launch(grid.state, deadline=0.0) as launch:
            launch.wait_whole()
        assert str(raised.value).endswith(f"was not ready in time (member {still.address} does not answer)")


def test_who_owned_last_owns_again() -> None:
    """
    After a failover the replica that took over has the entries; the old owner's are out of date.
    """
    with LoopbackGrid(persist=True, settings={"appendfsync": "always"}) as grid:
        run_at_owners(grid.state, "SET", b"old")
        grid.kill(0)
        grid.wait_whole()
        run_at_owners(grid.state, "SET", b"new")
        crash(grid.state)
        grid.restart()
        assert [b"new"] * len(KEYS) == run_at_owners(grid.state, "GET")
        assert "replica" == grid.state.members[0].role
        assert [True] * 6 == [facts.up and facts.link_up for facts in grid.members()]


def test_what_one_member_has_lost_the_others_tell() -> None:
    """
    Members write down what they know of each other; where nobody knows, nothing is made up, and nothing is lost.
    """
    state = start(owners=3, replicas=0, persist=True)
    run_at_owners(state, "SET", b"kept")
    stop()
    (state.members[0].folder / "nodes.conf").unlink()
    assert [b"kept"] * len(KEYS) == run_at_owners(embedded(), "GET")
    stop()
    files = {member.folder / "nodes.conf": (member.folder / "nodes.conf").read_text() for member in state.members}
    for path in files:
        path.write_text("\0" * 100)
    with pytest.raises(StartFailed, match=r"16,384 of the 16,384 slots of grid 'default' have no owner"):
        embedded()
    for path, text in files.items():
        path.write_text(text)
    assert [b"kept"] * len(KEYS) == run_at_owners(embedded(), "GET")


def test_dead_members_are_started_again() -> None:
    """
    They rejoin with a new process, and the others go on with theirs.
    """
    with LoopbackGrid() as grid:
        before = grid.state
        dead = [grid.kill(1).index, grid.kill(5).index]
        assert dead == [index for index in range(6) if not pid_of(before.members[index])]
        after = grid.restart()
        changed = [m.index for m in after.members if m.pid != before.members[m.index].pid]
        assert dead == changed
        assert [True] * 6 == [facts.up and facts.link_up for facts in grid.members()]


@pytest.mark.parametrize("owners", [1, 3])
def test_an_owner_that_comes_back_empty_empties_nobody(owners: int) -> None:
    """
    Its replica has the entries and takes over first, even where no majority could elect it.
    """
    with LoopbackGrid(owners=owners) as grid:
        run_at_owners(grid.state, "SET", b"kept")
        for index in range(owners):
            with grid.admin(index) as admin:
                admin.run("WAIT", 1, 5000)
        grid.kill(0)
        grid.restart()
        assert [b"kept"] * len(KEYS) == run_at_owners(grid.state, "GET")
        assert 0 != grid.owner_of(next(key for key in KEYS if slot_of(key) < 5000))


def test_dead_members_are_described() -> None:
    """
    They are down, with the role that the others give them; nobody is asked for longer than said.
    """
    with LoopbackGrid(owners=2, replicas=1) as grid:
        grid.kill(3)
        grid.pause(2)
        facts = {each.port: each for each in members(grid.state, timeout=0.2)}
        told = [facts[member.port] for member in grid.state.members]
        assert [True, True, False, False] == [each.up for each in told]
        assert ["owner", "owner", "replica", "replica"] == [each.role for each in told]
        assert [told[0].id, told[1].id] == [each.owner_id for each in told[2:]]
        grid.resume(2)
        grid.wait_for(lambda: next(each.up for each in grid.members() if each.port == told[2].port))


def test_a_grid_without_a_living_member_is_described_by_its_plan() -> None:
    """
    Nobody is left to ask.
    """
    with LoopbackGrid(owners=1, replicas=1) as grid:
        crash(grid.state)
        assert [("owner", False), ("replica", False)] == [(each.role, each.up) for each in grid.members()]
        with pytest.raises(EngineError):
            grid.admin(0)


def test_a_resume_that_was_cut_short_loses_nothing() -> None:
    """
    Whether it failed or its process was killed half-way, when members do not yet know what they own.
    """
    state = start(owners=2, replicas=1, persist=True)
    run_at_owners(state, "SET", b"kept")
    stop()

    def interrupted(what: str, *_: int) -> None:
        if what == "replicas":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(owners=2, replicas=1, persist=True, progress=interrupted)
    assert [0] * 4 == [pid_of(member) for member in state.members]
    code = (
        "import os; from cachegrid.cluster import start\n"
        "def progress(what, *_):\n    if what == 'owners': os.kill(os.getpid(), 9)\n"
        "start(owners=2, replicas=1, persist=True, progress=progress)"
    )
    assert -9 == subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode
    assert find() is None
    assert [True, True] == [pid_of(member) > 0 for member in state.members[:2]]
    after = embedded()
    assert [b"kept"] * len(KEYS) == run_at_owners(after, "GET")
    assert [True] * 4 == [facts.up and facts.link_up for facts in members(after)]


def test_loading_may_take_longer_than_starting() -> None:
    """
    The deadline is for members that do nothing; one that reads its entries gets the time it needs.
    """
    slow = {"key-load-delay": "300", "loading-process-events-interval-bytes": "1024"}  # microseconds per entry
    state = start(owners=1, replicas=0, persist=True, settings=slow)
    with connect_to(state, state.members[0]) as admin:
        admin.run("EVAL", "for i = 1, 6000 do redis.call('SET', KEYS[1] .. i, i, 'EX', 9999) end", 1, "{k}")
    stop()
    begun = time.monotonic()
    state = start(owners=1, replicas=0, persist=True, timeout=1.0)
    assert time.monotonic() - begun > 1.5
    assert [6000] == [facts.entries for facts in members(state)]
