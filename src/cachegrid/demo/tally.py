"""What the workers measured, added up."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from cachegrid.demo.places import Neighbours
from cachegrid.demo.worker import Report

__all__ = ["Tally", "percentile"]


class Tally:
    """Sums over all requests of all workers. `killed_at` is the moment at which an owner was killed, if it was."""

    def __init__(self) -> None:
        self.hits, self.waits, self.load_times = array("I"), array("I"), array("I")
        self.failures: list[str] = []
        self.scans: dict[int, list[tuple[float, float]]] = defaultdict(list)  # by city: when each began and ended
        self.answers: list[tuple[int, Neighbours]] = []
        self.killed_at: float | None = None
        # How long the grid held up a request, in ms: before the kill, and after it, by what the request had to do.
        self.stalls = {"before": 0.0, "read": 0.0, "load": 0.0}

    def add(self, report: Report) -> None:
        """Add what a worker reports."""
        self.hits.extend(report.hits)
        self.waits.extend(report.waits)
        self.failures += report.failures
        for city, latency, began, ended in report.loads:
            self.load_times.append(latency)
            self.scans[city].append((began, ended))
        if report.answer:
            self.answers.append(report.answer)
        is_after = self.killed_at is not None and report.ended > self.killed_at
        for kind, held_up in report.held_up.items():
            when = kind if is_after else "before"
            self.stalls[when] = max(self.stalls[when], held_up)

    @property
    def requests(self) -> int:
        """All of them."""
        return len(self.hits) + len(self.waits) + len(self.load_times) + len(self.failures)

    @property
    def hit_ratio(self) -> float:
        """The part of the requests that was answered from the cache."""
        return len(self.hits) / self.requests if self.requests else 0.0

    @property
    def loads(self) -> int:
        """How many scans there were, in all workers."""
        return sum(len(scans) for scans in self.scans.values())

    def repeated(self) -> list[tuple[int, str]]:
        """The cities that were scanned for more than once, and what is known of why."""
        return [(city, self._why(scans)) for city, scans in self.scans.items() if len(scans) > 1]

    def _why(self, scans: Sequence[tuple[float, float]]) -> str:
        (_, first_ended), *_, (last_began, _) = sorted(scans)
        if self.killed_at is None or last_began < self.killed_at:
            return "nothing explains it"
        if first_ended > self.killed_at:
            return "scanned while the killed owner was being replaced: its lease was lost with it"
        ms = (self.killed_at - first_ended) * 1000
        return f"stored {ms:.0f} ms before the kill, and lost with the owner: replicas follow a moment later"

    def result(self) -> dict[str, Any]:
        """The numbers, as `--json` prints them."""
        keys = len(self.scans)
        return {
            "requests": self.requests,
            "failed": len(self.failures),
            "hit_ratio": round(self.hit_ratio, 4),
            "hit_p50_us": percentile(self.hits, 50),
            "hit_p99_us": percentile(self.hits, 99),
            "load_p50_us": percentile(self.load_times, 50),
            "load_p99_us": percentile(self.load_times, 99),
            "hits": len(self.hits),
            "waits": len(self.waits),
            "loads": self.loads,
            "distinct_keys": keys,
            "loads_per_key": round(self.loads / keys, 4) if keys else 0.0,
            "longest_stall_ms": round(max(self.stalls["read"], self.stalls["load"]), 1),
            "longest_read_stall_ms": round(self.stalls["read"], 1),
            "longest_stall_before_kill_ms": round(self.stalls["before"], 1),
        }


def percentile(values: Sequence[int], percent: int) -> int:
    """
    The value that so many percent do not exceed; 0 if there are none.

    >>> percentile([40, 10, 30, 20], 50), percentile([40, 10, 30, 20], 99)
    (20, 40)
    """
    if not values:
        return 0
    return sorted(values)[-(-len(values) * percent // 100) - 1]
