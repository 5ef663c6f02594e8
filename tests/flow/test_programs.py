"""Functions of a program's own module: in the processes that it spawns, and for those who import it, the same ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import cachegrid
from cachegrid.testing.loopback import LoopbackGrid

PROGRAM = """
import json, multiprocessing, sys
import cachegrid

grid = cachegrid.connect("memory://")

@grid.cache("prices").cached
def price(sku):
    return len(sku)

def label():
    return price.cache._names[1]

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(json.dumps([label(), pool.apply(label)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", [["nightly report.py"], ["-m", "jobs.nightly"]], ids=" ".join)
def test_a_function_has_one_name_in_all_processes(way: list[str], tmp_path: Path) -> None:
    """
    However the program was begun; programs of other names do not share it.
    """
    (tmp_path / "jobs").mkdir()
    for name in ("nightly report.py", "jobs/nightly.py"):
        (tmp_path / name).write_text(PROGRAM)
    run = subprocess.run([sys.executable, *way], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=30)
    expected = {"nightly report.py": "nightly_report", "jobs.nightly": "jobs.nightly"}[way[-1]]
    assert [f"{expected}.price-1"] * 2 == json.loads(run.stdout)


def test_a_program_without_a_file(tmp_path: Path) -> None:
    """
    As what is typed at a prompt has none.
    """
    code = PROGRAM.partition("if __name__")[0] + "print(label())"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "__main__.price-1\n" == run.stdout


@pytest.mark.grid
def test_a_program_that_clears_and_ends_leaves_nothing(loopback: LoopbackGrid, tmp_path: Path) -> None:
    """
    It has not closed its grid, and nobody else will clear this cache.
    """
    code = """
import sys, cachegrid
cache = cachegrid.connect(sys.argv[1]).cache("left")
cache.set_many(dict.fromkeys(range(20_000), "x"))
cache.clear()
"""
    subprocess.run([sys.executable, "-c", code, loopback.url], cwd=tmp_path, check=True, timeout=60)
    with cachegrid.connect(loopback.url) as grid:
        engine = grid._hub.open()
        assert [] == [address for page in engine.walk(b"cg:left:") for address in page]
