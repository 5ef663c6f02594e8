"""What a run found, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from cachegrid.bench.contenders import BARE, CACHEGRID, CONTENDERS
from cachegrid.bench.load import Scenario
from cachegrid.bench.near.contenders import DICT, NEAR_CONTENDERS
from cachegrid.bench.near.hits import Near
from cachegrid.bench.near.news import News
from cachegrid.bench.race import Result
from cachegrid.bench.targets import Target, us_of

if TYPE_CHECKING:
    from rich.console import Console

    from cachegrid.bench.runs import Run

__all__ = ["as_dict", "as_json", "print_table", "progress"]

_SEVERAL_WAYS: Final = (Scenario.MANY, Near.RECORD)
_WIDTH: Final = 100  # of the tables where no terminal says how wide it is

TITLES: Final[dict[Scenario | Near, str]] = {
    Scenario.GET: "One GET after the other",
    Scenario.SET: "One SET after the other",
    Scenario.MANY: "100 keys of mixed slots, for each key",
    Scenario.CALLERS: "50 concurrent async callers, for each GET",
    Near.CONSTANT: "A near hit of 200 characters",
    Near.RECORD: "A near hit of a record of 20 fields, a fresh one each time",
    Near.FUNCTION: "A near hit through @cached, two positional arguments",
    Near.GRACE: "A near hit of 200 characters that has grace",
    Near.EARLY: "A near hit of 200 characters that is loaded early",
    Near.TAGS: "A near hit of 200 characters with two tags",
    Near.EVENTS: "A near hit of 200 characters of a cache that tells of events",
    Near.RULES: "A near hit of 200 characters with all four of these, and a spread end",
    Near.THREADS: "A near hit of 200 characters, 8 threads at once",
}


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Something that shows what is going on while it goes on, on a terminal only."""
    from rich.console import Console

    console = Console(stderr=True, quiet=quiet)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as status:
        yield status.update


def as_dict(run: Run) -> dict[str, Any]:
    """The whole run, in names and numbers that JSON has."""
    return {
        "machine": run.machine,
        "server": run.server,
        "value_bytes": run.load.size,
        "grid": {"owners": 3, "replicas": 3, "start_ms": round(run.grid_ms, 1)},
        "embedded": None
        if run.start is None
        else {
            "connect_ms": round(run.start.connect_ms, 1),
            "first_value_ms": round(run.start.first_value_ms, 1),
            "member_bytes": run.start.member_bytes,
        },
        "import": None
        if run.imported is None
        else {"ms": round(run.imported.ms, 2), "foreign_modules": run.imported.foreign},
        "codecs": run.codecs,
        "scenarios": {str(scenario): _scenario(run, scenario, results) for scenario, results in run.raced.items()},
        "near": {str(near): _near(run, near, results) for near, results in run.near.items()},
        "news": _news(run.news),
        "news_when_busy": _news(run.news_when_busy),
        "targets": [_target(target) for target in run.targets],
        "troubles": run.troubles,
    }


def as_json(run: Run) -> str:
    """The same as text."""
    return json.dumps(as_dict(run), indent=2)


def print_table(run: Run) -> None:
    """Print tables: a scenario each, then what else was measured, then the targets."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    everybody = (*CONTENDERS, *NEAR_CONTENDERS)
    packages = dict.fromkeys((contender.package, contender.version) for contender in everybody if contender.version)
    console.print(", ".join(" ".join(package) for package in packages), highlight=False)
    console.print(f"{run.server}, 3 owners and 3 replicas on loopback; values of {run.load.size} bytes; {run.machine}")
    for scenario, results in run.raced.items():
        place = ", client and owners on one CPU" if scenario.is_single and run.side_by_side else ""
        _print_results(console, scenario, results, place)
    for near, results in run.near.items():
        _print_results(console, near, results)
    for line in _facts(run):
        console.print(line, markup=False)
    table = Table("target", "limit", "here", "", title="Targets", title_justify="left", box=SIMPLE_HEAD)
    for target in run.targets:
        table.add_row(*_judged(target))
    console.print(table)


def _print_results(console: Console, what: Scenario | Near, results: Sequence[Result], place: str = "") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=TITLES[what] + place, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("cache" if isinstance(what, Near) else "client", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("us", "median", "x dict" if isinstance(what, Near) else "x bare", "x ours"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        table.add_row(*_cells(what, result, results))
    console.print(table)
    for result in results:
        if result.failed:
            console.print(f"  {result.contender.name} did not run: {result.failed}", markup=False)


def _scenario(run: Run, scenario: Scenario, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "one_cpu": scenario.is_single and run.side_by_side,
        "rounds": run.load.rounds,
        "operations_per_slice": run.load.operations(scenario),
        "rows": [_row(scenario, result, results) for result in results],
    }


def _near(run: Run, near: Near, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "rounds": near.rounds(run.load),
        "operations_per_slice": near.operations(run.load),
        "rows": [_row(near, result, results) for result in results],
    }


def _news(news: News | None) -> dict[str, float] | None:
    return None if news is None else {name: round(figure, 3) for name, figure in asdict(news).items()}


def _row(what: Scenario | Near, result: Result, results: Sequence[Result]) -> dict[str, Any]:
    contender = result.contender
    named = {"contender": contender.name, "colour": contender.colour, "version": contender.version}
    if what in _SEVERAL_WAYS:
        named["way"] = contender.way
    if result.failed:
        return {**named, "failed": result.failed}
    figures = {"us": result.us, "median_us": result.median, **_ratios(what, result, results)}
    if result.loss is not None:
        figures["times_alone"] = result.loss
    return named | {name: None if figure is None else round(figure, 3) for name, figure in figures.items()}


def _ratios(what: Scenario | Near, result: Result, results: Sequence[Result]) -> dict[str, float | None]:
    """Beside the limit, and beside cachegrid in the same colour."""
    limit = ("times_dict", DICT) if isinstance(what, Near) else ("times_bare", BARE)
    bases = {limit[0]: us_of(results, limit[1], "sync")}
    bases["times_cachegrid"] = us_of(results, CACHEGRID, result.contender.colour)
    return {name: None if base is None else result.us / base for name, base in bases.items()}


def _target(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "limit": target.limit,
        "bound": "at least" if target.at_least else "at most",
        "figure": None if target.figure is None else round(target.figure, 3),
        "unit": target.unit,
        "met": target.met,
    }


def _cells(what: Scenario | Near, result: Result, results: Sequence[Result]) -> list[str]:
    contender = result.contender
    colour = f"{contender.colour}, {contender.way}" if what in _SEVERAL_WAYS else contender.colour
    if result.failed:
        return [contender.name, colour, "[red]failed"]
    ratios = [f"{ratio:.2f}" if ratio else "" for ratio in _ratios(what, result, results).values()]
    # From what the JSON says: rounded twice it would be another figure now and then.
    return [contender.name, colour, f"{round(result.us, 3):.2f}", f"{round(result.median, 3):.2f}", *ratios]


def _facts(run: Run) -> Iterator[str]:
    yield f"3 owners and 3 replicas ready after {run.grid_ms:.0f} ms"
    if run.start is not None:
        yield (
            f"embedded grid: connected after {run.start.connect_ms:.0f} ms from nothing, first value after "
            f"{run.start.first_value_ms:.0f} ms; its member takes {run.start.member_bytes / 1e6:.1f} MB"
        )
    if run.imported is not None:
        loaded = ", ".join(run.imported.foreign) or "nothing foreign"
        yield f"import cachegrid: {run.imported.ms:.1f} ms, loads {loaded}"
    for news, when in ((run.news, ""), (run.news_when_busy, ", while a thread here reads copies without a pause")):
        if news is not None:
            yield (
                f"news of a change: {news.median_ms:.2f} ms at the median, {news.p99_ms:.2f} ms at p99, "
                f"at {news.writes_per_second:,.0f} a second{when}"
            )
    for trouble in run.troubles:
        yield f"not measured: {trouble}"


def _judged(target: Target) -> list[str]:
    figure = "not measured" if target.figure is None else f"{target.figure:.2f} {target.unit}"
    bound = "at least" if target.at_least else "at most"
    verdict = "[green]met" if target.met else "[red]missed"
    return [target.name, f"{bound} {target.limit:g} {target.unit}", figure, verdict]
