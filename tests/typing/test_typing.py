"""A type checker tells users what they need to hear, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER.parent.parent / "src"


@pytest.mark.slow
def test_users_code_is_checked_strictly(tmp_path: Path) -> None:
    """
    What is right passes, and what is wrong is found; with no settings of ours, as a user would run it.
    """
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}"]
    command += ["--follow-imports=silent", str(FOLDER / "api.py")]
    environment = {**os.environ, "MYPYPATH": str(SOURCE)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "Success: no issues found in 1 source file\n" == run.stdout, run.stdout + run.stderr
    assert 0 == run.returncode


def test_the_package_says_that_it_is_typed() -> None:
    """
    Without the marker no checker would look.
    """
    assert (SOURCE / "cachegrid/py.typed").is_file()
