"""What a long run tells, and what it leaves of a broken promise."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.near.found import Found
from tests.near.history import Clear, Fault, History, Load, Read, Write
from tests.near.judge import judge
from tests.near.story import keep, story

KEY = "{7}w.short"
BROKEN = History(
    writes=[Write("w", KEY, 1, 0, 0.1, ttl=0.5), Write("w", "{8}w.plain", 1, 0, 0.1)],
    loads=[Load("r", KEY, -1, 2, 2.1, 2.2, ttl=0.5)],
    reads=[Read("r", KEY, 1, 1.1, 1, near=True), Read("r", "{8}w.plain", 1, 1.1, 1)],
    clears=[Clear("w", 5, 5.1)],
    faults=[Fault("ears", 3, 3.5), Fault("move", 3, 3.5, frozenset({"{8}w.plain"}))],
    counts={"reads": 2, "near": 1},
)


def test_rounds_add_up() -> None:
    """
    Numbers are summed, and of the worst the worst is told; it takes no more room with each round.
    """
    found = Found.of(BROKEN, judge(BROKEN, 1.0))
    found.add(Found(Counter(reads=5), Counter(kill=2), Counter(stale=1), lossy=3, worst_near=0.7, worst_late=0.1))
    assert {"reads": 7, "near": 1} == found.facts()["counts"]
    assert {"ears": 1, "move": 1, "kill": 2} == found.facts()["faults"]
    assert {"late": 1, "stale": 1} == found.facts()["violations"]
    assert (0.7, 0.0, 0.4, 3) == tuple(
        found.facts()[name] for name in ("worst_near", "worst_grid", "worst_late", "lossy")
    )
    assert "7 reads, 1 near, worst staleness 700.0 ms near, 2 violations so far" == found.line()


def test_what_happened_to_the_key_of_a_broken_promise_is_kept(tmp_path: Path) -> None:
    """
    With the seed of the round, by which it can be repeated; other keys are left out, and without a reason no file is.
    """
    violations = judge(BROKEN, 1.0).violations
    [path] = keep(violations, BROKEN, 42, tmp_path / "kept")
    told = json.loads(path.read_text())
    assert "seed-42-7-w.short.json" == path.name
    assert (42, "late") == (told["seed"], told["violations"][0][0])
    assert ["Write", "Read", "Load", "Fault", "Clear"] == [kind for kind, *_ in told["events"]]
    assert [] == keep([], BROKEN, 43, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_story_begins_with_the_promise_and_what_broke_it() -> None:
    """
    Times count from the read that broke it.
    """
    [violation] = judge(BROKEN, 1.0).violations
    assert [
        "late: [+0.0000 +0.1000] r reads {7}w.short = 1 near, against:",
        "    [-1.0000 -0.9000] w writes {7}w.short = 1 for 0.500 s",
    ] == story(violation, BROKEN).splitlines()[:2]
