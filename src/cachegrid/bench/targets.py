"""What cachegrid has to reach on a quiet machine, and whether it did in this run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from cachegrid.bench.contenders import BARE, CACHEGRID, GLIDE, VALKEY_PY
from cachegrid.bench.facts import ImportCost, Start
from cachegrid.bench.load import Scenario
from cachegrid.bench.near.contenders import DICT
from cachegrid.bench.near.hits import Near
from cachegrid.bench.near.news import News
from cachegrid.bench.race import Result

__all__ = ["Target", "judge", "judge_near", "us_of"]

T = TypeVar("T")

_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target: the figure of this run (None: what it needs did not run) and the limit it is held to."""

    name: str
    limit: float
    figure: float | None
    unit: str
    at_least: bool = False  # else at most

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of the limit."""
        if self.figure is None:
            return False
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit


def us_of(results: Sequence[Result], name: str, colour: str) -> float | None:
    """The microseconds per operation of a contender; None if it has none."""
    for result in results:
        if (result.contender.name, result.contender.colour) == (name, colour) and not result.failed:
            return result.us
    return None


def judge(
    raced: Mapping[Scenario, Sequence[Result]],
    start: Start | None,
    imported: ImportCost | None,
    codecs: Mapping[str, float] | None = None,
) -> list[Target]:
    """Every target with its figure; those of the codec only where it was compared."""

    def ratio(scenario: Scenario, above: str, below: str, colour: str = "sync") -> float | None:
        upper, lower = (us_of(raced[scenario], name, colour) for name in (above, below))
        return None if upper is None or lower is None else upper / lower

    return [
        _at_most("one GET, times the bare socket", 1.25, ratio(Scenario.GET, CACHEGRID, BARE), "x"),
        _at_least("one GET, faster than valkey-py's cluster client", 1.7, ratio(Scenario.GET, VALKEY_PY, CACHEGRID)),
        _at_most("100 keys, for each", 2, us_of(raced[Scenario.MANY], CACHEGRID, "sync"), "us"),
        _at_least("100 keys, faster than valkey-py", 4, ratio(Scenario.MANY, VALKEY_PY, CACHEGRID)),
        _at_least("100 keys, faster than valkey-glide", 3, ratio(Scenario.MANY, GLIDE, CACHEGRID)),
        _at_most("50 callers, for each GET", 12, us_of(raced[Scenario.CALLERS], CACHEGRID, "async"), "us"),
        _at_most("50 callers, times valkey-glide", 0.6, ratio(Scenario.CALLERS, CACHEGRID, GLIDE, "async"), "x"),
        _at_most("an empty member's memory", 15, _when(start, lambda it: it.member_bytes / _MB), "MB"),
        _at_most("import cachegrid", 60, _when(imported, lambda it: it.ms), "ms"),
        _at_most("client libraries and frameworks it loads", 0, _when(imported, lambda it: len(it.foreign)), ""),
        # Of equal times one is the longer by chance.
        *[_at_most(f"codec plain, times pickle: {name}", 1.03, share, "x") for name, share in (codecs or {}).items()],
    ]


def judge_near(raced: Mapping[Near, Sequence[Result]], news: News | None) -> list[Target]:
    """Every target of near copies with its figure."""

    def us(near: Near, colour: str) -> float | None:
        return us_of(raced.get(near, ()), CACHEGRID, colour)

    return [
        _at_most("a near hit of text", 0.45, us(Near.CONSTANT, "sync"), "us"),
        _at_most("a near hit of text, async", 0.65, us(Near.CONSTANT, "async"), "us"),
        _at_most("a near hit of a record, decoded afresh", 2, us(Near.RECORD, "sync"), "us"),
        _at_most("a near hit of a record, async", 2, us(Near.RECORD, "async"), "us"),
        _at_most("a near hit through @cached", 1.2, us(Near.FUNCTION, "sync"), "us"),
        _at_most("a near hit through @cached, async", 1.2, us(Near.FUNCTION, "async"), "us"),
        _at_most("a near hit with all rules, times one without", 1.5, _over(us, "sync"), "x"),
        _at_most("a near hit with all rules, async", 1.5, _over(us, "async"), "x"),
        # Of equal losses one is the larger by chance.
        _at_most("what 8 threads lose, times what they lose with a dict", 1.1, _loss(raced), "x"),
        _at_most("news of a change at 5,000 a second, median", 1, _when(news, lambda it: it.median_ms), "ms"),
        _at_most("news of a change at 5,000 a second, p99", 5, _when(news, lambda it: it.p99_ms), "ms"),
    ]


def _loss(raced: Mapping[Near, Sequence[Result]]) -> float | None:
    """By how much more a hit takes among threads than alone, beside a plain dict."""
    losses = {result.contender.name: result.loss for result in raced.get(Near.THREADS, ()) if not result.failed}
    ours, dicts = losses.get(CACHEGRID), losses.get(DICT)
    return None if ours is None or dicts is None else ours / dicts


def _over(us: Callable[[Near, str], float | None], colour: str) -> float | None:
    """What a near hit costs with all rules, times one without."""
    ruled, plain = us(Near.RULES, colour), us(Near.CONSTANT, colour)
    return None if ruled is None or plain is None else ruled / plain


def _at_most(name: str, limit: float, figure: float | None, unit: str) -> Target:
    return Target(name=name, limit=limit, figure=figure, unit=unit)


def _at_least(name: str, limit: float, figure: float | None) -> Target:
    return Target(name=name, limit=limit, figure=figure, unit="x", at_least=True)


def _when(fact: T | None, figure: Callable[[T], float]) -> float | None:
    return None if fact is None else figure(fact)
