"""What a cache counts."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

import cachegrid
from cachegrid._core.stats import CacheStats, Counters, GridStats


def test_a_snapshot_stays_as_it_was() -> None:
    """
    Later events change the counters and no snapshot; a snapshot cannot be changed.
    """
    counters = Counters()
    counters.hits += 3
    snapshot = counters.snapshot()
    counters.hits += 1
    assert (3, 4) == (snapshot.hits, counters.snapshot().hits)
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.hits = 5  # type: ignore[misc]


def test_every_counter_begins_at_nought_and_is_told() -> None:
    """
    A counter that a snapshot forgot would count for nobody.
    """
    names = [field.name for field in dataclasses.fields(CacheStats)]
    looked_up = {"near_entries", "near_bytes", "near_evictions"}
    assert {*names, "__weakref__"} - looked_up == set(Counters.__slots__)
    assert dict.fromkeys(names, 0) == dataclasses.asdict(Counters().snapshot())


@pytest.mark.parametrize(("hits", "misses", "ratio"), [(0, 0, 0.0), (0, 5, 0.0), (5, 0, 1.0), (3, 1, 0.75)])
def test_the_hit_ratio_is_of_all_reads(hits: int, misses: int, ratio: float) -> None:
    """
    And 0 before the first.
    """
    counters = Counters()
    counters.hits, counters.misses = hits, misses
    assert ratio == counters.snapshot().hit_ratio


def test_the_total_of_a_grid_is_the_sum_of_its_caches() -> None:
    """
    Of every number; and all are 0 where no cache was opened.
    """
    one, other = Counters(), Counters()
    one.hits, other.hits, other.near_hits, other.load_seconds = 1, 2, 4, 0.5
    stats = GridStats({"one": one.snapshot(), "other": other.snapshot({"near_bytes": 7})})
    total = stats.total
    assert (7, 4, 0.5, 7) == (total.hits, total.near_hits, total.load_seconds, total.near_bytes)
    assert Counters().snapshot() == GridStats().total


def test_what_is_added_to_a_counter_is_at_hand() -> None:
    """
    A call or a wait between the reading and the writing of a counter loses what others count meanwhile.
    """
    paths = [path for path in Path(cachegrid.__file__).parent.rglob("*.py") if "counters" in path.read_text()]
    assert {"cell.py", "cache.py", "loads.py", "near.py", "nearby.py"} <= {path.name for path in paths}
    wrong = [f"{path.name}:{line}" for path in paths for line in _lossy(ast.parse(path.read_text()))]
    assert [] == wrong


def _lossy(tree: ast.AST) -> Iterator[int]:
    """Lines that add to a counter what has to be computed first."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
            owner = ast.unparse(node.target.value)
            is_counted = owner.rpartition(".")[2].lstrip("_") == "counters"
            if is_counted and any(isinstance(part, (ast.Call, ast.Await)) for part in ast.walk(node.value)):
                yield node.lineno
