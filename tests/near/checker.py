"""
Readers and writers of a grid to which faults happen, and a proof from what they saw that near copies keep their word.

    python -m tests.near.checker --seconds 20 --seed 7 --readers 3 --writers 2
    python -m tests.near.checker --without tokens        one rule is disabled: what was promised is broken
    python -m tests.near.checker --widen tokens          the same, but for the rule, which holds: nothing is broken
    python -m tests.near.checker --widen all             each reader widens another rule's moment, and all rules hold
    python -m tests.near.checker --seconds 3600          for an hour, in rounds of a minute

Tells after each round how things stand, on stderr. Exits with 1 if a promise was broken, and leaves what happened to
its key in a file; the round can be repeated with its seed. See `judge` for what is promised.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any, Final

from cachegrid.testing.loopback import LoopbackGrid
from tests.crew.crew import Crew
from tests.near.faults import EVERYDAY, Faults
from tests.near.found import Found
from tests.near.history import Fault, History, load
from tests.near.judge import Verdict, judge
from tests.near.keys import KINDS, keys_of
from tests.near.rules import RULES
from tests.near.story import keep, story
from tests.near.worker import Orders

__all__ = ["Plan", "Report", "check", "main"]

HEARSAY: Final = 0.25  # seconds until an owner that was replaced, and runs, knows it
LONGEST: Final = 60.0  # seconds of one round, whose history is kept in memory
SHOWN: Final = 5  # violations that are told of


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do. `without` names a rule to disable; `widen` rules whose moments to widen."""

    seconds: float = 20.0
    seed: int = 0
    readers: int = 3
    writers: int = 2
    lanes: int = 2
    tags: int = 24
    kinds: tuple[str, ...] = KINDS
    staleness: float = 1.0
    faults: tuple[str, ...] = EVERYDAY
    each: bool = False  # take longer, if that is what it takes to let each fault happen
    near: dict[str, Any] = field(default_factory=dict)
    patience: float | None = None
    clears: bool = True
    without: str | None = None
    widen: tuple[str, ...] = ()
    rate: float = 10.0  # how many of its keys a process writes in a second, one to three times each

    @property
    def bound(self) -> float:
        """Seconds for which a read may not know of a write."""
        return self.staleness + HEARSAY


@dataclass
class Report:
    """What one round has shown."""

    history: History
    verdict: Verdict

    def found(self) -> Found:
        """In numbers."""
        return Found.of(self.history, self.verdict)


def check(grid: LoopbackGrid, plan: Plan) -> Report:
    """Carry out one round on a grid that serves, and judge what was seen."""
    with tempfile.TemporaryDirectory() as folder:
        orders = _orders(grid, plan, Path(folder))
        keys = [key for one in orders for key in keys_of(one.process, plan.tags, plan.kinds)]
        faults = Faults(grid, keys, plan.seed)
        faults.wait_well()
        history = History()
        with Crew("tests.near.worker", orders, root=grid.root) as crew:
            injected = _inject(faults, plan)
            for file in crew.finish():
                history.add(load(file))
    history.faults += injected
    history.count("writes", len(history.writes))
    history.count("clears", len(history.clears))
    history.count("loads", len(history.loads))
    return Report(history, judge(history, plan.bound))


def _inject(faults: Faults, plan: Plan) -> list[Fault]:
    """Faults of all kinds, in an order that the seed gives, until the time is over."""
    chance, end = random.Random(f"faults {plan.seed}"), time.monotonic() + plan.seconds
    left = chance.sample(plan.faults, len(plan.faults))
    injected: list[Fault] = []
    while (rest := end - time.monotonic()) > 0 or (plan.each and len(injected) < len(plan.faults)):
        time.sleep(min(max(rest, 0), chance.uniform(0.2, 0.7)))
        if left and (plan.each or time.monotonic() < end):
            injected.append(faults.inject(left.pop()))
            left = left or chance.sample(plan.faults, len(plan.faults))
    # So that what is stale from here on is found, too; and after a loss all have to agree, `bound` later.
    time.sleep(2 * plan.bound if any(fault.losing for fault in injected) else plan.bound)
    return injected


def _orders(grid: LoopbackGrid, plan: Plan, folder: Path) -> list[Orders]:
    names = [f"reader{at}" for at in range(plan.readers)] + [f"writer{at}" for at in range(plan.writers)]
    patience = "" if plan.patience is None else f"patience={plan.patience}"
    # Through the unix sockets that are known of a grid by its name, and by ports: both ways in both colours.
    urls = [f"{grid.state.url}&{patience}", f"{grid.url}?{patience}"]
    run = f"check{plan.seed}-{time.monotonic_ns()}"
    near = {"max_staleness": plan.staleness, **plan.near}
    found, zero = [], time.monotonic()
    for at, name in enumerate(names):
        is_reader = name.startswith("reader")
        found.append(
            Orders(
                url=urls[at // 2 % 2],
                namespace=run,
                process=name,
                others=tuple(names),
                file=str(folder / name),
                at=at,
                seed=plan.seed * 100 + at,
                zero=zero,
                is_async=at % 2 == 1,
                # Every other reader keeps absence, too.
                near={"absent": at % 2 == 0, **near} if is_reader else None,
                lanes=plan.lanes if is_reader else 1,
                tags=plan.tags,
                kinds=plan.kinds,
                burst_pause=1 / plan.rate,
                clears=plan.clears and name == "writer0",
                without=plan.without if is_reader else None,
                widen=_widened(plan, at) if is_reader else (),
            )
        )
    return found


def _widened(plan: Plan, at: int) -> tuple[str, ...]:
    """Of several rules, each reader widens the moments of another one: all at once would leave hardly a copy."""
    count = len(plan.widen)
    return plan.widen if count < 2 else (plan.widen[(plan.seed * plan.readers + at) % count],)


# The program.


def main(words: Sequence[str] | None = None) -> int:
    """Run as the arguments say; 1 if a promise was broken."""
    asked = _parser().parse_args(words)
    plan = plan_of(asked)
    found, rounds = Found(), rounds_of(plan)
    with LoopbackGrid() as grid:
        for at, now in enumerate(rounds, 1):
            found.add(_round(grid, now, asked))
            done = sum(one.seconds for one in rounds[:at])
            print(  # noqa: T201
                f"round {at} of {len(rounds)}, {done:g} of {plan.seconds:g} s: {found.line()}",
                file=sys.stderr,
                flush=True,
            )
    if not asked.json:
        last = f" to {rounds[-1].seed}" if len(rounds) > 1 else ""
        print(f"seed {plan.seed}{last}, {plan.seconds:g} s, bound {plan.bound:g} s", *found.lines(), sep="\n")  # noqa: T201
    return 1 if found.violations else 0


def rounds_of(plan: Plan) -> list[Plan]:
    """A long plan in rounds, each with a seed of its own: the history of one is all that is ever in memory."""
    count = max(1, ceil(plan.seconds / LONGEST))
    last = plan.seconds - (count - 1) * LONGEST
    return [replace(plan, seconds=LONGEST if at < count - 1 else last, seed=plan.seed + at) for at in range(count)]


def _round(grid: LoopbackGrid, plan: Plan, asked: argparse.Namespace) -> Found:
    """Carry out one round, and tell at once what was broken."""
    report = check(grid, plan)
    if asked.json:
        print(json.dumps({"seed": plan.seed, "without": plan.without, **report.found().facts()}), flush=True)  # noqa: T201
        return report.found()
    for violation in report.verdict.violations[:SHOWN]:
        print(f"seed {plan.seed}: {story(violation, report.history)}", flush=True)  # noqa: T201
    if plan.without is None:
        for path in keep(report.verdict.violations[:SHOWN], report.history, plan.seed, asked.keep):
            print(f"all that happened to its key is in {path}", flush=True)  # noqa: T201
    return report.found()


def plan_of(asked: argparse.Namespace) -> Plan:
    """What the arguments ask for; a rule that is disabled brings the faults and policy that it takes."""
    said: dict[str, Any] = {name: getattr(asked, name) for name in ("seconds", "seed", "readers", "writers")}
    if asked.faults is not None:
        said["faults"] = tuple(word for word in asked.faults.split(",") if word)
    if asked.kinds is not None:
        said["kinds"] = tuple(asked.kinds.split(","))
    if asked.staleness is not None:
        said["staleness"] = asked.staleness
    if asked.without is not None:
        return without(asked.without, **said)
    if asked.widen in RULES:
        return without(asked.widen, widen_only=True, **said)
    return Plan(**said, widen=tuple(RULES) if asked.widen else ())


def without(name: str, *, widen_only: bool = False, **said: Any) -> Plan:
    """A plan under which the lack of a rule shows; with `widen_only` the rule holds all the same."""
    rule = RULES[name]
    taken: dict[str, Any] = {
        "without": None if widen_only else name,
        "widen": (name,),
        "faults": rule.faults,
        "near": rule.near,
        "staleness": rule.staleness,
        "patience": rule.patience,
        "clears": rule.clears,
        "kinds": rule.kinds,
        **rule.load,
    }
    return Plan(**{**taken, **said})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.near.checker", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--readers", type=int, default=3, help="processes that keep near copies, and write a little")
    parser.add_argument("--writers", type=int, default=2, help="processes that keep none")
    parser.add_argument("--staleness", type=float, help="the policy's max_staleness, in seconds")
    parser.add_argument("--faults", help=f"a list, of {', '.join(EVERYDAY)}; '' for none")
    parser.add_argument("--kinds", help=f"what is done to keys: a list, of {', '.join(KINDS)}")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--without", choices=RULES, help="disable this rule in the readers")
    either.add_argument("--widen", choices=[*RULES, "all"], help="widen the moments that this rule is for, which holds")
    kept = Path(tempfile.gettempdir()) / "cachegrid-near"
    parser.add_argument("--keep", type=Path, default=kept, help="where to keep what happened to a key; %(default)s")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each round")
    return parser


if __name__ == "__main__":
    sys.exit(main())
