"""What runs have shown as a table, for people and for a page."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.chaos.catalogue import TEXTS
from tests.chaos.judge import Verdict, whole_after
from tests.chaos.run import Plan, Report

__all__ = ["BEGIN", "END", "facts", "lines", "write"]

BEGIN: Final = "<!-- chaos: written by `make chaos ARGS=--write`; do not edit -->"
END: Final = "<!-- chaos: end -->"
HEAD: Final = (
    "fault",
    "calls",
    "failed",
    "not durable",
    "longest read, write",
    "p99 of reads",
    "p99 of writes",
    "lost: memory, replicated, disk",
    "stale: away, after",
    "wrong",
    "served",
    "whole",
)


def lines(reports: Sequence[Report], lacking: Mapping[str, str], broken: Mapping[str, str], plan: Plan) -> list[str]:
    """
    The table, and what is to be said beside it.

    `lacking` are faults that this machine does not allow, and why; `broken` those whose run did not come to its end.
    """
    rows = [HEAD, tuple("---:" if at else "---" for at in range(len(HEAD))), *(_row(report) for report in reports)]
    said = [f"- {TEXTS[report.name]}: {'; '.join(notes)}." for report in reports if (notes := _notes(report))]
    lack = [f"- {TEXTS[name]}: not run, for this machine does not allow it ({why})." for name, why in lacking.items()]
    ends = [f"- {TEXTS[name]}: the run did not come to its end ({why})." for name, why in broken.items()]
    load = f"{os.getloadavg()[2]:.1f} programs at a time had use for its {os.cpu_count()} processors"
    head = (
        f"{plan.rate:,.0f} calls a second of {plan.processes} processes, seed {plan.seed}, on a machine where lately"
        f" {load}."
    )
    return [head, "", *(f"| {' | '.join(row)} |" for row in rows), "", *said, *lack, *ends]


def write(page: Path, text: Sequence[str]) -> None:
    """Put the table into a page, between its marks. Raises ValueError where they are missing."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {BEGIN!r} and {END!r}")
    while text and not text[-1]:
        text = text[:-1]
    page.write_text("\n".join([before + BEGIN, "", *text, "", END + after]))


def facts(report: Report) -> dict[str, Any]:
    """The same for programs; times are seconds."""
    served, whole = whole_after(report.faults)
    told = {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(report.verdict).items()}
    return {"fault": report.name, "times": len(report.faults), "served": served, "whole": whole, **told}


def _row(report: Report) -> tuple[str, ...]:
    verdict, times = report.verdict, len(report.faults)
    served, whole = whole_after(report.faults)
    return (
        TEXTS[report.name] + (f" ({times} times)" if times > 1 else ""),
        f"{verdict.calls:,}",
        f"{verdict.failed.total():,}",
        f"{verdict.not_durable:,}",
        f"{_ms(verdict.read_stall)}, {_ms(verdict.write_stall)}",
        *(_p99(verdict, kind) for kind in ("read", "write")),
        ", ".join(_lost(verdict, kept) for kept in ("memory", "replicated", "disk")),
        f"{verdict.stale_away:,}, {verdict.stale_after:,}",
        str(wrong(verdict)),
        f"{served:.1f} s" if served else "always",
        f"{whole:.1f} s",
    )


def wrong(verdict: Verdict) -> int:
    """What must never be, whatever happens: see the columns in the page."""
    back = sum(times for kept, times in verdict.back.items() if kept != "memory" and not verdict.lost[kept])
    two = sum(times for kept, times in verdict.held_by_two.items() if kept != "memory")
    return back + two + verdict.twice + verdict.unfenced + verdict.made_up


def _notes(report: Report) -> list[str]:
    verdict = report.verdict
    failed = [f"{times:,} {name}" for name, times in verdict.failed.most_common()]
    found = [f"failed were {', '.join(failed)}"] if failed else []
    if verdict.stalest:
        found.append(f"the most stale read missed what had been acknowledged {_ms(verdict.stalest)} before")
    if two := verdict.held_by_two["memory"]:
        found.append(f"{two} times two held a lock that waits for no replica")
    return [*found, *report.notes]


def _lost(verdict: Verdict, kept: str) -> str:
    return f"{verdict.lost[kept]:,}" if verdict.acknowledged[kept] else "-"


def _p99(verdict: Verdict, kind: str) -> str:
    return f"{_ms(verdict.p99_apart.get(kind, 0.0))} → {_ms(verdict.p99_during.get(kind, 0.0))}"


def _ms(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms"
