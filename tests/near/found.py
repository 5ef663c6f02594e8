"""What was found in a round, or in many: numbers, that take no more room the longer it takes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

from tests.near.history import History
from tests.near.judge import Verdict

__all__ = ["Found"]


@dataclass
class Found:
    """The numbers of all rounds so far."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)  # by promise
    lossy: int = 0  # writes that a fault may have lost
    worst_near: float = 0.0  # seconds, as in a verdict
    worst_grid: float = 0.0
    worst_late: float = 0.0

    @classmethod
    def of(cls, history: History, verdict: Verdict) -> Self:
        """What one round has shown."""
        return cls(
            Counter(history.counts),
            Counter(fault.kind for fault in history.faults),
            Counter(violation.promise for violation in verdict.violations),
            verdict.lossy,
            verdict.worst_near,
            verdict.worst_grid,
            verdict.worst_late,
        )

    def add(self, other: Self) -> None:
        """Take in what another round has shown."""
        self.counts.update(other.counts)
        self.faults.update(other.faults)
        self.violations.update(other.violations)
        self.lossy += other.lossy
        self.worst_near = max(self.worst_near, other.worst_near)
        self.worst_grid = max(self.worst_grid, other.worst_grid)
        self.worst_late = max(self.worst_late, other.worst_late)

    def facts(self) -> dict[str, Any]:
        """As values."""
        worst = {name: round(getattr(self, name), 4) for name in ("worst_near", "worst_grid", "worst_late")}
        return {
            "counts": dict(self.counts),
            "faults": dict(self.faults),
            **worst,
            "lossy": self.lossy,
            "violations": dict(self.violations),
        }

    def lines(self) -> list[str]:
        """For people."""
        return [
            *(f"  {times:>11,} {what}" for what, times in self.counts.items()),
            f"  faults: {', '.join(f'{times} {kind}' for kind, times in self.faults.items()) or 'none'}",
            f"  worst staleness: {_ms(self.worst_near)} near, {_ms(self.worst_grid)} of the grid",
            f"  latest after its end: {_ms(self.worst_late)}",
            f"  writes that a fault may have lost: {self.lossy}",
            f"  violations: {', '.join(f'{times} {what}' for what, times in self.violations.items()) or 'none'}",
        ]

    def line(self) -> str:
        """In short."""
        reads, near, broken = self.counts["reads"], self.counts["near"], self.violations.total()
        return (
            f"{reads:,} reads, {near:,} near, worst staleness {_ms(self.worst_near)} near, {broken} violations so far"
        )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
