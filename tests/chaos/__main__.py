"""
Faults injected into real grids that are used, and judged by what their users saw.

    python -m tests.chaos                          all faults, one after the other, each with a grid of its own
    python -m tests.chaos --only kill --only pause
    python -m tests.chaos --short                  the few that are tests, too
    python -m tests.chaos --only kills --kills 50
    python -m tests.chaos --write docs/guarantees.md     put the table into the page

Exits with 1 if something was lost, or seen, that must not be: see `must_not`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.chaos.catalogue import ROWS, SHORT
from tests.chaos.run import Plan, Report
from tests.chaos.table import facts, lines, write, wrong

__all__ = ["main", "must_not"]

PAGE = Path("docs/guarantees.md")


def main(words: Sequence[str] | None = None) -> int:
    """Run as the arguments say; 1 if something was found that must not be."""
    asked = _parser().parse_args(words)
    plan = Plan(seed=asked.seed, rate=asked.rate, kills=asked.kills, entries=asked.entries, before=asked.before)
    reports: list[Report] = []
    lacking: dict[str, str] = {}
    broken: dict[str, str] = {}
    for name in asked.only or (SHORT if asked.short else list(ROWS)):
        if lack := ROWS[name].missing():
            lacking[name] = lack
            continue
        print(f"{name}: {ROWS[name].text} ...", file=sys.stderr, flush=True)  # noqa: T201
        try:
            reports += _told(ROWS[name].run(name, plan, asked.keep), as_json=asked.json)
        except Exception as error:  # noqa: BLE001 - a grid that does not come back is told of, too, beside the others
            traceback.print_exc()
            broken[name] = f"{type(error).__name__}: {error}"
    text = lines(reports, lacking, broken, plan)
    if not asked.json:
        print(*text, sep="\n")  # noqa: T201
    if asked.write:
        write(asked.write, text)
    bad = [f"{name}: {said}" for name, said in broken.items()]
    bad += [line for report in reports for line in must_not(report)]
    print(*bad, sep="\n", file=sys.stderr, end="\n" if bad else "")  # noqa: T201
    return 1 if bad else 0


def _told(reports: list[Report], *, as_json: bool) -> list[Report]:
    for report in reports:
        if as_json:
            print(json.dumps(facts(report)), flush=True)  # noqa: T201
    return reports


def must_not(report: Report) -> Iterator[str]:
    """What a run has shown that no fault excuses, in words."""
    verdict, name = report.verdict, report.name
    # Replicas that die in the same moment have nothing; and who is cut off is told by `NotDurable`.
    if verdict.lost["replicated"] and name not in {"kill all", "kill all kept"}:
        yield f"{name}: {verdict.lost['replicated']} writes lost that a replica had"
    if verdict.lost["disk"]:
        yield f"{name}: {verdict.lost['disk']} writes lost that were on disk"
    if verdict.stale_after:
        yield f"{name}: {verdict.stale_after} stale reads while every slot had its owner"
    if count := wrong(verdict):
        yield f"{name}: {count} wrong"
    for error, times in verdict.failed.items():
        if error.startswith("!"):
            yield f"{name}: {times} times an error that is none of ours: {error[1:]}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--only", action="append", choices=ROWS, help="this fault; may be said several times")
    parser.add_argument("--short", action="store_true", help="only the faults that are tests, too")
    parser.add_argument("--kills", type=int, default=50, help="how often `kills` kills; %(default)s")
    parser.add_argument("--entries", type=int, default=100_000, help="how many move, where slots do; %(default)s")
    parser.add_argument("--rate", type=float, default=2000.0, help="calls in a second; %(default)s")
    parser.add_argument("--before", type=float, default=4.0, help="seconds that are measured first; %(default)s")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--keep", type=Path, help="a folder for what each process recorded, and members' logs")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each fault")
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE, help="put the table into a page; %(const)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
