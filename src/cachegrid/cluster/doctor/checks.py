"""What is wrong with a grid, and what to do: each check is a function of what was found, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from cachegrid.cluster.doctor import members, plain, settings
from cachegrid.cluster.doctor.facts import Badness, Examined, Finding

__all__ = ["CHECKS", "findings", "is_well"]

CHECKS: Final[tuple[Callable[[Examined], Iterator[Finding]], ...]] = (
    *members.CHECKS,
    *settings.CHECKS,
    *plain.CHECKS,
)
_ORDER: Final = tuple(Badness)


def findings(grid: Examined) -> list[Finding]:
    """All that is not as it should be, the worst first."""
    found = chain.from_iterable(check(grid) for check in CHECKS)
    return sorted(found, key=lambda each: _ORDER.index(each.badness))


def is_well(found: list[Finding]) -> bool:
    """Whether there are only notes."""
    return all(each.badness is Badness.NOTE for each in found)
