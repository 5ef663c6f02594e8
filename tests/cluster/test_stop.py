"""Ending a grid leaves nothing, or just what was to be kept."""

from __future__ import annotations

import errno
import os
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachegrid.cluster import find, start, stop
from cachegrid.cluster.processes import command_of, send_signal
from cachegrid.cluster.state import names
from cachegrid.errors import ConfigError, GridError, GridNotFound

pytestmark = pytest.mark.grid


@pytest.fixture(autouse=True)
def _ends_grids(state_folder: Path) -> Iterator[None]:
    yield
    for name in names(state_folder):
        stop(name, purge=True)


def test_nothing_is_left(state_folder: Path) -> None:
    """
    No process, no folder, no lock: only, to its owner alone, what programs know it by, until that is purged.
    """
    state = start(owners=2, replicas=1)
    stop()
    assert [""] * 4 == [command_of(member.pid) for member in state.members]
    assert [(".default.identity", 0o600)] == [
        (path.name, stat.S_IMODE(path.stat().st_mode)) for path in state_folder.iterdir()
    ]
    assert find() is None
    with pytest.raises(GridNotFound):
        stop()
    stop(purge=True)
    assert [] == list(state_folder.iterdir())
    with pytest.raises(GridNotFound):
        stop(purge=True)


def test_a_full_disk_keeps_no_grid_from_being_stopped(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What programs know it by is not kept then.
    """

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    state = start(owners=1, replicas=0)
    monkeypatch.setattr("cachegrid.cluster.identity.write_atomically", fail)
    stop()
    assert "" == command_of(state.members[0].pid)
    assert [] == list(state_folder.iterdir())


def test_what_is_kept_stays_until_it_is_purged(state_folder: Path) -> None:
    """
    The second time there is no process to end, only a folder to remove.
    """
    state = start(owners=1, replicas=0, persist=True)
    stop()
    assert "" == command_of(state.members[0].pid)
    assert (state.folder / "grid.json").exists()
    assert find() is None
    stop(purge=True)
    assert [] == list(state_folder.iterdir())


def test_a_member_that_stands_still_is_ended(state_folder: Path) -> None:
    """
    As after SIGSTOP, or in a debugger that was left.
    """
    state = start(owners=1, replicas=1)
    for member in state.members:
        os.kill(member.pid, signal.SIGSTOP)
    stop()
    assert ["", ""] == [command_of(member.pid) for member in state.members]


def test_a_member_whose_password_was_changed_is_ended() -> None:
    """
    It is then told by signal.
    """
    state = start(owners=1, replicas=0)
    (state.folder / "secrets.json").write_text('{"password": "wrong", "secret": "00"}')
    stop()
    assert "" == command_of(state.members[0].pid)


def test_what_is_not_there_cannot_be_stopped(state_folder: Path) -> None:
    """
    The error names grid and folder; a name that could leave the folder is refused before.
    """
    with pytest.raises(GridNotFound, match=r"no grid 'nothing' in .*"):
        stop("nothing")
    with pytest.raises(ConfigError, match="name"):
        stop("../elsewhere")


def test_a_damaged_state_is_cleared_with_its_members(state_folder: Path) -> None:
    """
    Members are found by the files that they wrote themselves.
    """
    state = start(owners=1, replicas=1)
    (state.folder / "grid.json").write_text("?")
    stop()
    assert ["", ""] == [command_of(member.pid) for member in state.members]
    assert [] == list(state_folder.iterdir())


def test_entries_on_disk_are_removed_only_on_demand() -> None:
    """
    A damaged state is no reason to throw entries away.
    """
    state = start(owners=1, replicas=0, persist=True)
    (state.folder / "grid.json").write_text("?")
    with pytest.raises(GridError, match="purge"):
        stop()
    assert state.folder.exists()
    stop(purge=True)
    assert "" == command_of(state.members[0].pid)


def test_two_may_stop_at_once(state_folder: Path) -> None:
    """
    One of them does it, and both return.
    """
    start(owners=1, replicas=0)
    failures: list[Exception] = []

    def end() -> None:
        try:
            stop()
        except GridNotFound as error:  # the other one had done it before this one looked
            failures.append(error)

    threads = [threading.Thread(target=end) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(failures) <= 1
    assert [] == names(state_folder)


def test_only_our_own_process_is_signalled(tmp_path: Path) -> None:
    """
    A process whose command line does not name the member's file is another's.
    """
    assert not send_signal(os.getpid(), tmp_path / "member.conf", signal.SIGKILL)
    assert not send_signal(0, tmp_path / "member.conf", signal.SIGKILL)
