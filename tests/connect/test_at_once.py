"""Starting is safe when many do it at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import cachegrid
from cachegrid import cluster

STARTER = Path(__file__).with_name("starter.py")
PROCESSES = 10


@pytest.mark.slow
@pytest.mark.grid
def test_ten_processes_at_once_have_one_grid(state_folder: Path, tmp_path: Path) -> None:
    """
    All get the same one, which outlives them; each counts on it once.
    """
    commands = [[sys.executable, str(STARTER), str(tmp_path), str(number)] for number in range(PROCESSES)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, cwd=tmp_path) for command in commands]
    try:
        _until_there(tmp_path, "ready-*")
        (tmp_path / "go").touch()
        told = [process.communicate(timeout=60)[1].decode() for process in processes]
        assert ([0] * PROCESSES, [""] * PROCESSES) == ([process.returncode for process in processes], told)
        found = [file.read_text().split() for file in tmp_path.glob("done-*")]
        assert [str(number) for number in range(1, PROCESSES + 1)] == sorted([total for total, _ in found], key=int)
        assert 1 == len({url for _, url in found})
        with cachegrid.connect() as grid:
            assert PROCESSES + 1 == grid.cache("counters").incr("key")
            assert 1 == len(grid.members())
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for state in cluster.running():
            cluster.stop(state.name, purge=True)


def _until_there(folder: Path, pattern: str) -> None:
    end = time.monotonic() + 30
    while len(list(folder.glob(pattern))) < PROCESSES:
        assert time.monotonic() < end, "the processes did not begin"
        time.sleep(0.005)
