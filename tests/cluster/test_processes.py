"""Servers are known by their command line, also in the moments when they have none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachegrid.cluster import processes
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import is_running, send_signal, wait_gone
from cachegrid.cluster.state import MemberState

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a command line is never empty")
Hide = Callable[[int], None]


@pytest.fixture
def member(tmp_path: Path) -> Iterator[MemberState]:
    """A member whose process only waits."""
    conf = tmp_path / "member.conf"
    with subprocess.Popen([sys.executable, "-c", "input()", conf], stdin=subprocess.PIPE) as process:
        yield MemberState(
            index=0, id="", host="127.0.0.1", port=1, bus_port=2, role="owner", folder=tmp_path, pid=process.pid
        )
        process.kill()


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Hide:
    """Lets the next looks at a command line find none, as while a process becomes another program."""
    left, real = 0, processes.command_of

    def command_of(pid: int) -> str:
        nonlocal left
        left -= 1
        return "" if left >= 0 else real(pid)

    def hidden(looks: int) -> None:
        nonlocal left
        left = looks

    monkeypatch.setattr(processes, "command_of", command_of)
    return hidden


def test_a_member_that_is_being_made_is_there(member: MemberState, hide: Hide) -> None:
    """
    It is not started a second time.
    """
    hide(3)
    assert member.pid == pid_of(member)
    hide(3)
    assert is_running(member.pid, member.conf)


def test_a_member_that_is_being_made_is_signalled(member: MemberState, hide: Hide) -> None:
    """
    One that is to be ended does not stay.
    """
    hide(3)
    assert send_signal(member.pid, member.conf, signal.SIGKILL)
    assert wait_gone([(member.pid, member.conf)])


def test_what_has_ended_is_not_waited_for(member: MemberState, hide: Hide) -> None:
    """
    Neither a process that is not buried yet, nor a number that is nobody's.
    """
    os.kill(member.pid, signal.SIGKILL)
    assert wait_gone([(member.pid, member.conf)])
    begun = time.monotonic()
    assert not is_running(member.pid, member.conf)
    assert not is_running(2**22 + 1, member.conf)
    assert time.monotonic() - begun < processes.BIRTH_WAIT


def test_a_process_without_any_command_line_is_nobody(member: MemberState, hide: Hide, tmp_path: Path) -> None:
    """
    It is looked at for a while and no longer.
    """
    hide(1 << 30)
    assert not is_running(member.pid, member.conf)
