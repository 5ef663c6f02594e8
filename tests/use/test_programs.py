"""Programs that write behind, and end without a word."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from pathlib import Path

import cachegrid

def write(changes):
    with Path(sys.argv[1]).open("a") as file:
        file.write(f"{os.getpid() == home} {changes}\\n")

home = os.getpid()
rows = cachegrid.through(cachegrid.connect("memory://").cache("rows"), writer=write, behind="1h")
rows["a"] = 1
if sys.argv[2] == "fork" and not os.fork():
    assert rows.stats().pending == 0
    rows["b"] = 2
    assert rows.flush()
    os._exit(0)
"""

FAILING = """
import cachegrid
from cachegrid.waits import _sio

def write(changes):
    raise OSError("the source is away")

_sio._PARTING = 0.05
rows = cachegrid.through(cachegrid.connect("memory://").cache("rows"), writer=write, behind="1h")
rows["a"] = 1
"""

ENDING = """
import asyncio
import cachegrid

async def write(changes):
    raise AssertionError

async def main():
    rows = cachegrid.through(cachegrid.aconnect("memory://").cache("rows"), writer=write, behind="1h")
    await rows.set_many({"a": 1, "b": 2})
    await asyncio.sleep(0)  # so that the work in the background has begun

asyncio.run(main())
"""


def run(program: str, *arguments: str) -> str:
    """What a program that ends well says on its way."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert 0 == ended.returncode, ended.stderr
    return ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("how", "lines"), [("end", ["True {'a': 1}"]), ("fork", ["False {'b': 2}", "True {'a': 1}"])])
def test_a_program_that_ends_writes_what_waits(tmp_path: Path, how: str, lines: list[str]) -> None:
    """
    Though nobody closed the grid, and at once. A forked child writes what it changed itself, and nothing else.
    """
    written, began = tmp_path / "written", time.monotonic()
    assert "" == run(PROGRAM, str(written), how)
    assert lines == sorted(written.read_text(encoding="utf-8").splitlines())
    assert time.monotonic() - began < 4  # and not the 5 s that it is given to try again


@pytest.mark.slow
def test_a_program_that_ends_tells_what_it_could_not_write() -> None:
    """
    The source is given some time; what is left then is told.
    """
    told = run(FAILING)
    assert "1 change could not be written: trying again (OSError: the source is away)" in told
    assert "cache 'rows': what it was used in has ended with 1 change that its source has not" in told


@pytest.mark.slow
def test_a_loop_that_ends_tells_what_was_not_written() -> None:
    """
    It cancels what is under way, and the changes are lost unless the grid is closed before.
    """
    assert "cache 'rows': what it was used in has ended with 2 changes that its source has not" in run(ENDING)
