"""`cachegrid up` that is told to stop leaves no server that nobody knows of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachegrid.cluster import stop
from cachegrid.cluster.interrupts import held_back
from cachegrid.cluster.state import names
from cachegrid.testing.loopback import LoopbackGrid
from tests.cli.command import PROGRAM, cachegrid, environment, here

# Each shows how far the start is.
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "as its files are written": lambda state: bool(names(state)),
    "as servers are started": lambda state: bool(servers_of(state)),
    "as servers answer": lambda state: any(state.glob("*/m*/pid")),
}


@pytest.fixture(autouse=True)
def _all_end(state_folder: Path) -> Iterator[None]:
    yield
    for name in names(state_folder):
        stop(name, purge=True, root=state_folder)


def servers_of(folder: Path) -> list[str]:
    """The command lines of the servers whose settings are in that folder."""
    listing = subprocess.check_output(["/bin/ps", "-ww", "-axo", "command="], text=True)
    return [line for line in listing.splitlines() if f"{folder}/" in line and line.endswith("member.conf")]


def begun(state_folder: Path, moment: str) -> subprocess.Popen[bytes]:
    """A start that has come so far."""
    # A signal may come between the opening of a file and the first line that knows of it: Python closes that itself.
    words = [PROGRAM[0], "-W", "ignore::ResourceWarning", *PROGRAM[3:], "up", "--members", "6"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    give_up = time.monotonic() + 20
    while not MOMENTS[moment](state_folder):
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.002)
    return process


@pytest.mark.grid
@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_nothing_is_left_of_a_start_that_was_stopped(
    moment: str, number: signal.Signals, code: int, state_folder: Path
) -> None:
    """
    Neither a server nor a folder, and not a word about it.
    """
    process = begun(state_folder, moment)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (code, b"", b"") == (process.returncode, out, err)
    assert ([], []) == (servers_of(state_folder), names(state_folder))


@pytest.mark.grid
@pytest.mark.slow
def test_what_a_killed_start_left_is_told_and_ended(state_folder: Path) -> None:
    """
    `status` says what ends it, and that does.
    """
    process = begun(state_folder, "as servers answer")
    process.kill()
    process.communicate()
    done = cachegrid("status")
    assert 3 == done.code
    assert f"grid 'default' in {state_folder} is not up: its start goes on, or was cut short" in done.err
    assert "cachegrid down" in done.err
    assert 0 == cachegrid("down").code
    assert ([], []) == (servers_of(state_folder), names(state_folder))


@pytest.mark.parametrize("begin", ["runpy.run_module('cachegrid', run_name='__main__')", "cachegrid.cli.main()"])
def test_ctrl_c_is_quiet_while_modules_are_loaded(begin: str) -> None:
    """
    Which is most of the time that a short command takes.
    """
    script = f"""
import runpy, sys, cachegrid.cli
class Interrupted:
    def find_spec(self, name, path, target=None):
        if name == "cachegrid.cli.options":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
{begin}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (130, b"", b"") == (done.returncode, done.stdout, done.stderr)


def test_a_signal_comes_after_what_it_must_not_cut() -> None:
    """
    And is not lost; the handlers are those of before.
    """
    before = signal.getsignal(signal.SIGINT)
    done: list[str] = []

    def begin() -> None:
        with held_back():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert ["all of it"] == done
    assert before is signal.getsignal(signal.SIGINT)


def test_a_failure_of_what_was_not_cut_is_told_too() -> None:
    """
    As what was under way when the signal was obeyed.
    """

    def begin() -> None:
        with held_back():
            os.kill(os.getpid(), signal.SIGINT)
            raise ValueError("failed")

    with pytest.raises(KeyboardInterrupt) as caught:
        begin()
    assert "failed" == str(caught.value.__context__)


@pytest.mark.grid
@pytest.mark.parametrize(
    ("command", "place", "says"),
    [
        ("remove", "cachegrid.cluster.moving.carry_out", "what has moved stays where it is; the same command goes on"),
        ("failover", "cachegrid.cluster.takeover_anywhere.failover_at", "nothing is lost; see who the owner is"),
    ],
)
def test_what_is_stopped_in_a_grid_of_others_says_what_it_leaves(
    command: str, place: str, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    And the exit code is that of Ctrl-C.
    """

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, stopped)
    with LoopbackGrid(owners=2) as there:
        monkeypatch.setenv("CACHEGRID_STATE", str(tmp_path / "of-another-host"))
        done = here(command, there.state.member(0).address, "--url", there.url)
    assert (130, True) == (done.code, f"stopped: {says}" in done.err)


STORM = """
import os, signal, subprocess, sys
from cachegrid.demo.interrupts import Interrupted, Interrupts

signal.signal(signal.SIGINT, signal.SIG_IGN)
code = "import os, sys\\nwhile os.getppid() == int(sys.argv[1]): os.kill(os.getppid(), 2)"
storm = subprocess.Popen([sys.executable, "-c", code, str(os.getpid())])
try:
    for _ in range(5000):
        try:
            with Interrupts() as interrupts:
                while True:
                    interrupts.look()
        except Interrupted:
            pass
finally:
    storm.kill()
    storm.wait()
print("through")
"""


@pytest.mark.slow
def test_no_signal_meets_a_handler_that_is_being_replaced() -> None:
    """
    Python would tell of that on stderr, with a traceback.
    """
    words = [sys.executable, "-W", "error", "-c", STORM]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=60, check=False)
    assert (0, "through\n", "") == (done.returncode, done.stdout, done.stderr)
