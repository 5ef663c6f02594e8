"""The environment is made with the newest Python that can make one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "tools/newest-python.sh"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that alone is the PATH; `python3.12` in it works, and newer names only look as if they did."""
    _program(tmp_path / "python3.14", "echo 'no such version' >&2; exit 127")
    _program(tmp_path / "python3.13", "exit 1")
    _program(tmp_path / "python3.12", f'exec "{sys.executable}" "$@"')
    _program(tmp_path / "python3", "exit 1")
    return tmp_path


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _run(path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": str(path)}
    return subprocess.run(["/bin/sh", str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)


def test_the_newest_that_works_is_taken(folder: Path) -> None:
    """
    A stand-in that only fails is passed over.
    """
    assert f"{folder / 'python3.12'}\n" == _run(folder).stdout


def test_without_any_it_says_what_to_do(folder: Path) -> None:
    """
    The message names the version, and a way to get it.
    """
    (folder / "python3.12").unlink()
    run = _run(folder)
    assert 1 == run.returncode
    assert "" == run.stdout
    assert "Python 3.11 or newer" in run.stderr
    assert "apt install python3-venv" in run.stderr
