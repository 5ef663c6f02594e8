"""What programs counted that share it, for people and as JSON. Nothing here asks a grid, or prints."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from cachegrid._core.stats import Counters
from cachegrid._core.units import size_text
from cachegrid.cli import show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cachegrid._core.sharing import SharedStats
    from cachegrid._core.stats import CacheStats

__all__ = ["facts", "heading", "table", "told"]

_NOBODY: Final = "\nno program shares what it counts; those with the setting share_stats do"
# What a narrow terminal does without, the first one first.
_DISPENSABLE: Final = (
    *("drops", "evicted", "near evicted", "per wait", "stores", "trips"),
    *("written", "read", "waits", "per trip", "per load", "loads", "ratio"),
)


def told(shared: SharedStats, cache: str | None) -> dict[str, Any] | None:
    """As JSON: of one cache, or of all and their sum; None where nobody shares."""
    if not shared.processes:
        return None
    whole = {"processes": shared.processes, "alive": shared.alive, "since": shared.since and shared.since.isoformat()}
    if cache is not None:
        return {**whole, **_counters(_of(shared, cache))}
    caches = {name: _counters(its) for name, its in shared.items()}
    return {**whole, "caches": caches, "total": _counters(shared.total)}


def heading(shared: SharedStats) -> Text:
    """Who counted, and since when."""
    if shared.since is None:
        return Text(_NOBODY, style="dim")
    since = shared.since.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return Text(
        f"\ncounted by {show.counted(shared.processes, 'process')}, {shared.alive} of them running, since {since}",
        style="bold",
    )


def table(shared: SharedStats, width: int) -> RenderableType:
    """One line for each cache, and one for all; what does not fit into `width` columns is left out."""
    rows = dict(shared) if len(shared) == 1 else {**shared, "all": shared.total}
    cells = [_cells(its) for its in rows.values()]
    columns = {"cache": list(rows)} | {name: [row[name] for row in cells] for name in cells[0]}
    return show.fitting(columns, width, dispensable=_DISPENSABLE, to_the_right=cells[0])


def facts(shared: SharedStats, cache: str) -> Text:
    """All counters of one cache, a line each."""
    counted = _counters(_of(shared, cache))
    return show.facts_list({name.replace("_", " "): f"{number:,}" for name, number in counted.items()})


def _of(shared: SharedStats, cache: str) -> CacheStats:
    return shared.get(cache) or Counters().snapshot()


def _counters(stats: CacheStats) -> dict[str, float]:
    rounded = {name: round(it, 6) for name, it in dataclasses.asdict(stats).items()}
    return {**rounded, "hit_ratio": round(stats.hit_ratio, 4)}


def _cells(its: CacheStats) -> dict[str, str]:
    return {
        "hits": f"{its.hits:,}",
        "near": f"{its.near_hits:,}",
        "misses": f"{its.misses:,}",
        "ratio": f"{its.hit_ratio:.4f}",
        "stores": f"{its.stores:,}",
        "drops": f"{its.drops:,}",
        "loads": f"{its.loads:,}",
        "per load": _each(its.load_seconds, its.loads),
        "waits": f"{its.load_waits:,}",
        "per wait": _each(its.wait_seconds, its.load_waits),
        "trips": f"{its.trips:,}",
        "per trip": _each(its.trip_seconds, its.trips),
        "read": size_text(its.bytes_read),
        "written": size_text(its.bytes_written),
        "near evicted": f"{its.near_evictions:,}",
        "evicted": f"{its.bound_evictions:,}",
    }


def _each(seconds: float, times: int) -> str:
    """How long each took; nothing where there was none."""
    return f"{1000 * seconds / times:,.3g} ms" if times else ""
