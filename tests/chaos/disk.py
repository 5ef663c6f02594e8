"""A disk that has no room left: members keep their files on a small one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.history import Fault
from tests.chaos.run import Stage

__all__ = ["disk_full", "missing", "small_disk"]

SIZE = "48m"


def missing() -> str:
    """What this machine lacks for a small disk, in words; empty if it has all that is needed."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a small disk is mounted by root, on Linux"
    with tempfile.TemporaryDirectory() as folder:
        tried = _mount(folder, "1m")
        if tried.returncode == 0:
            subprocess.run(["umount", folder], check=True)
    return f"a small disk cannot be mounted: {tried.stderr.strip()}" if tried.returncode else ""


@contextmanager
def small_disk() -> Iterator[Path]:
    """A folder on a disk of its own, in which grids are kept meanwhile."""
    before = os.environ.get("CACHEGRID_STATE")
    with tempfile.TemporaryDirectory() as folder:
        _mount(folder, SIZE).check_returncode()
        os.environ["CACHEGRID_STATE"] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ["CACHEGRID_STATE"]
            else:
                os.environ["CACHEGRID_STATE"] = before
            subprocess.run(["umount", "--lazy", folder], check=True)


def disk_full(stage: Stage) -> list[Fault]:
    """The disk of all members has no room for some seconds."""
    filler = stage.grid.root / "filler"
    began = time.monotonic()
    try:
        _fill(filler)
        time.sleep(stage.plan.pause / 2)
    finally:
        filler.unlink()
    help_at = time.monotonic()
    return [Fault(name="disk full", began=began, served=began, whole=stage.whole(), help_at=help_at)]


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def _mount(folder: str, size: str) -> subprocess.CompletedProcess[str]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    return subprocess.run(command, capture_output=True, text=True, check=False)
