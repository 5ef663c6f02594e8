"""One run: start a grid, measure everybody on it, tell what came out."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cachegrid.bench.contenders import CONTENDERS
from cachegrid.bench.cpus import can_choose
from cachegrid.bench.facts import ImportCost, Start, codec_shares, import_cost, own_grid, start_cost
from cachegrid.bench.load import FULL, QUICK, Load, Scenario
from cachegrid.bench.near.contenders import NEAR_CONTENDERS
from cachegrid.bench.near.hits import Near
from cachegrid.bench.near.news import News, news_of
from cachegrid.bench.near.race import race_near
from cachegrid.bench.race import Result, race
from cachegrid.bench.report import as_json, print_table, progress
from cachegrid.bench.targets import Target, judge, judge_near

__all__ = ["Run", "lacking", "measure", "run"]

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Run:
    """All that a run found out."""

    load: Load
    server: str = ""  # its name and version
    side_by_side: bool = field(default_factory=can_choose)  # client and owners were on one CPU where they take turns
    grid_ms: float = 0.0  # what the start of three owners and three replicas took
    start: Start | None = None
    imported: ImportCost | None = None
    codecs: dict[str, float] | None = None  # by kind of value: the share of what pickle takes, at worst
    raced: dict[Scenario, list[Result]] = field(default_factory=dict)
    near: dict[Near, list[Result]] = field(default_factory=dict)
    news: News | None = None  # of changes, while nothing else is done here
    news_when_busy: News | None = None  # while a thread of this process reads copies without a pause
    targets: list[Target] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)  # what could not be measured, besides contenders

    @property
    def machine(self) -> str:
        """Where it ran."""
        return f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"

    @property
    def is_whole(self) -> bool:
        """Whether everything that should run did."""
        results = [result for results in (*self.raced.values(), *self.near.values()) for result in results]
        return not self.troubles and not any(result.failed for result in results)


def lacking() -> list[str]:
    """
    The packages of those who are to be measured, where so many are not installed that the extra cannot be.

    One of them may lack on a platform: then it fails alone.
    """
    missing = {one.package for one in (*CONTENDERS, *NEAR_CONTENDERS) if not one.version}
    makers = {package.removesuffix("-sync") for package in missing}  # one has a package for each colour
    return sorted(missing) if len(makers) > 1 else []


def run(*, json: bool = False, quick: bool = False, strict: bool = False) -> int:
    """
    Measure and print, as a table or as one JSON object; about two minutes, or seconds with `quick`.

    The exit code is 0 when everything ran, whatever the figures: other work on the machine must not break scripts.
    It is 1 when a contender or a fact could not be measured, and with `strict` also when a target is missed.
    """
    with progress(quiet=json) as tell:
        found = measure(QUICK if quick else FULL, tell)
    if json:
        print(as_json(found))
    else:
        print_table(found)
    missed = strict and not all(target.met for target in found.targets)
    return int(missed or not found.is_whole)


def measure(load: Load, tell: Callable[[str], None]) -> Run:
    """Everything, on a grid of its own that is gone afterwards."""
    found = Run(load=load)
    tell("importing in fresh interpreters")
    found.imported = _tried(found, "import", lambda: import_cost(min(load.rounds, 10)))
    tell("starting an embedded grid")
    found.start = _tried(found, "embedded grid", lambda: start_cost(3))
    if load.codecs:
        tell("comparing the codec with pickle")
        found.codecs = _tried(found, "codecs", codec_shares)
    tell("starting a grid of 3 owners and 3 replicas")
    with own_grid() as (state, found.grid_ms):
        found.server = state.version
        found.raced = asyncio.run(race(CONTENDERS, state, load, tell))
        found.near = asyncio.run(race_near(NEAR_CONTENDERS, state, load, tell))
        tell("timing the news of changes")
        found.news = _tried(found, "news", lambda: news_of(state, load, is_busy=False))
        found.news_when_busy = _tried(found, "news when busy", lambda: news_of(state, load, is_busy=True))
    found.targets = judge(found.raced, found.start, found.imported, found.codecs)
    found.targets += judge_near(found.near, found.news)
    return found


def _tried(found: Run, what: str, act: Callable[[], T]) -> T | None:
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - one fact that cannot be had must not cost the others
        found.troubles.append(f"{what}: {type(error).__name__}: {error}")
        return None
