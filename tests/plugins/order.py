"""
Says how many processes share a run, and lets those files begin first that take longest.

xdist gives out whole files, in the order in which they were collected if it is told to keep that. By itself it begins
with the files of many tests; ours are the short ones, and at the end all would wait for the worker that got the last
of the long ones. Within a folder, and within a file, the order stays one of chance.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

__all__: list[str] = []

TESTS = Path(__file__).resolve().parent.parent
# Folders whose tests start processes and wait for them: seconds each, where others take milliseconds.
LONG = ("hosts", "chaos", "cluster", "cli", "near", "bench", "docs")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many processes again as there are cores: many tests wait for members, and others may work meanwhile."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.hookimpl(trylast=True)  # once chance has had its turn
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the folders that take longest, and then with the files that have the most tests."""
    if not hasattr(config, "workerinput"):  # nobody shares the run
        return
    counts = Counter(item.path for item in items)
    items.sort(key=lambda item: _turn(item.path, counts[item.path]))


def _turn(path: Path, count: int) -> tuple[int, int]:
    folder = path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else ""
    return (LONG.index(folder), 0) if folder in LONG else (len(LONG), -count)
