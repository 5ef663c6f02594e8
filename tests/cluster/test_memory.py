"""How much memory a grid takes when nobody says it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cachegrid.cluster.memory import default_memory, memory_there
from cachegrid.cluster.plan import Shape

GIB = 1 << 30
HOST = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("owners", "replicas", "there", "expected"),
    [(1, 0, 8 * GIB, 2 * GIB), (3, 0, 8 * GIB, 2 * GIB), (3, 1, 8 * GIB, GIB), (3, 0, 16 << 20, 24_000_000)],
)
def test_the_share_counts_the_replicas_too(owners: int, replicas: int, there: int, expected: int) -> None:
    """
    A quarter for all members together, and never less than an owner needs.
    """
    assert expected == default_memory(Shape(owners=owners, replicas=replicas), there)


@pytest.mark.parametrize(
    ("own", "file"),
    [
        ("0::/\n", "memory.max"),
        ("0::/app/web\n", "memory.max"),
        ("0::/app/web\n", "app/memory.max"),
        ("0::/app/web\n", "app/web/memory.max"),
        ("5:cpu,memory:/app\n0::/\n", "memory/app/memory.limit_in_bytes"),
        ("5:memory:/docker/c0ffee\n", "memory/memory.limit_in_bytes"),
    ],
)
def test_a_limit_of_the_container_counts(tmp_path: Path, own: str, file: str) -> None:
    """
    Its own, or that of a group around it.
    """
    (tmp_path / "own").write_text(own)
    place = tmp_path / "control" / file
    place.parent.mkdir(parents=True)
    place.write_text("104857600\n")
    assert 100 << 20 == memory_there(tmp_path / "control", tmp_path / "own")


def test_without_a_limit_it_is_what_the_host_has(tmp_path: Path) -> None:
    """
    Also where there are no control groups, or one says "max".
    """
    assert HOST == memory_there(tmp_path, tmp_path / "missing")
    (tmp_path / "own").write_text("0::/app\nnonsense\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert HOST == memory_there(tmp_path, tmp_path / "own")
