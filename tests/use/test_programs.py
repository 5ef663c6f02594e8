"""Programs that write behind, and end without a word."""

from __future__ import annotations

import subprocess
import sys
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
rows = cachegrid.through(cachegrid.connect("memory://").cache("rows"), writer=write, behind="300ms")
rows["a"] = 1
if sys.argv[2] == "fork" and not os.fork():
    assert rows.stats().pending == 0
    rows["b"] = 2
    assert rows.flush()
    os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("how", "lines"), [("end", ["True {'a': 1}"]), ("fork", ["False {'b': 2}", "True {'a': 1}"])])
def test_a_program_that_ends_writes_what_waits(tmp_path: Path, how: str, lines: list[str]) -> None:
    """
    Though nobody closed the grid. A forked child writes what it changed itself, and nothing else.
    """
    written = tmp_path / "written"
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM, str(written), how]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (0, "") == (run.returncode, run.stderr)
    assert lines == sorted(written.read_text(encoding="utf-8").splitlines())
