"""Functions of a program's own module: in the processes that it spawns, and for those who import it, the same ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
