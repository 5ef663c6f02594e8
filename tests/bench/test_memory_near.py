"""Near copies take the memory that their policy allows, as the system counts it."""

from __future__ import annotations

import sys

import pytest

from bench.memory_near import KINDS, MB, Kind, measured

ROOM = 6 * MB  # enough for what else a process takes not to count


@pytest.mark.grid
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process what memory it has")
@pytest.mark.parametrize(("kind", "size"), [(KINDS[0], 200), (KINDS[0], 100_000), (KINDS[1], 200), (KINDS[2], 200)])
def test_resident_memory_grows_by_what_copies_are_counted_as(kind: Kind, size: int) -> None:
    """
    Small values and large ones, by value and by reference, where copies come and go: within one and a half times.
    """
    (row,) = measured([kind], [size], ROOM)
    assert 0.9 * ROOM < row["counted"] <= ROOM
    assert ROOM / 1.5 < row["grown"] < 1.5 * ROOM
