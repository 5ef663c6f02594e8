"""What the demo shows: a live picture on a terminal, and a table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cachegrid.demo.tally import Tally, percentile
from cachegrid.engines.facts import MemberFacts

__all__ = ["Scene", "address", "final_table", "picture", "requests_of"]

RECENT = 20_000  # requests: the live percentiles are of these


@dataclass(slots=True, kw_only=True)
class Scene:
    """Where the demo is."""

    seconds: float  # how long requests are answered
    elapsed: float = 0.0
    workers: int = 2
    members: Sequence[MemberFacts] = ()
    killed: str = ""  # the address of the killed owner
    replaced_after: float | None = None  # seconds from the kill until all slots had an owner again
    requests: dict[str, int] = field(default_factory=dict)  # of each member, also of the killed one


def picture(scene: Scene, tally: Tally) -> RenderableType:
    """One frame of the live display."""
    clock = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=scene.seconds, completed=min(scene.elapsed, scene.seconds), width=60)
    clock.add_row(bar, f"{scene.elapsed:.0f} of {scene.seconds:.0f} s")
    return Group(
        clock,
        _headline(scene, tally),
        _latencies(tally),
        members_table(scene),
        Text(_news(scene), style="red" if scene.killed and scene.replaced_after is None else ""),
    )


def final_table(scene: Scene, tally: Tally, checked: int) -> Table:
    """What came of it."""
    result = tally.result()
    rows = {
        "requests": f"{result['requests']:,} of {scene.workers} processes in {scene.elapsed:.0f} s",
        "failed requests": f"{result['failed']:,}",
        "hit ratio": f"{result['hit_ratio']:.2%}",
        "answered from the grid": f"p50 {_time(result['hit_p50_us'])}, p99 {_time(result['hit_p99_us'])}",
        "answered by a full scan": f"p50 {_time(result['load_p50_us'])}, p99 {_time(result['load_p99_us'])}",
        "faster by": _times(result["load_p50_us"], result["hit_p50_us"]),
        "scans for each place": f"{result['loads_per_key']:.4g}",
        "scans": f"{result['loads']:,} for {result['distinct_keys']:,} places",
        "waited for the other's scan": f"{result['waits']:,}",
        "answers checked": f"{checked} against a direct computation",
        "longest stall": f"{_ms(result['longest_stall_before_kill_ms'])} while all members lived",
    }
    if scene.killed:
        reads, loads = _ms(result["longest_read_stall_ms"]), _ms(tally.stalls["load"])
        rows["lost by the kill"] = f"{len(tally.repeated())} entries, {len(tally.failures)} requests"
        rows["held up by the kill"] = f"reads for {reads} at most, writes for {loads}"
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def members_table(scene: Scene) -> Table:
    """How entries and requests spread over the members."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("member", "role"):
        table.add_column(name, no_wrap=True)
    for name in ("entries", "", "requests", ""):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    most_entries = max((member.entries for member in scene.members), default=0)
    most_requests = max(scene.requests.values(), default=0)
    for member in scene.members:
        where, asked = address(member), scene.requests.get(address(member), 0)
        role = member.role if member.up else "killed" if where == scene.killed else "dead"
        cells = (f"{member.entries:,}", _bar(member.entries, most_entries), f"{asked:,}", _bar(asked, most_requests))
        table.add_row(where, role, *cells, style="" if member.up else "red")
    return table


def address(member: MemberFacts) -> str:
    """`host:port`."""
    return f"{member.host}:{member.port}"


def requests_of(member: MemberFacts) -> int:
    """How many reads a member has answered."""
    return member.hits + member.misses


def _headline(scene: Scene, tally: Tally) -> str:
    rate = tally.requests / scene.elapsed if scene.elapsed else 0.0
    failed = f"{len(tally.failures):,} failed"
    return f"{tally.requests:,} requests ({rate:,.0f}/s), {failed}, hit ratio [bold]{tally.hit_ratio:.1%}[/]"


def _latencies(tally: Tally) -> str:
    with_cache, without = percentile(tally.hits[-RECENT:], 50), percentile(tally.load_times[-RECENT:], 50)
    return f"with the cache {_time(with_cache)}, without {_time(without)}: {_times(without, with_cache)}"


def _news(scene: Scene) -> str:
    if not scene.killed:
        return f"half-way, at {scene.seconds / 2:.0f} s, an owner will be killed"
    if scene.replaced_after is None:
        return f"{scene.killed} was killed; its replica is about to take over"
    return f"{scene.killed} was killed; its replica took over after {scene.replaced_after:.1f} s"


def _bar(number: int, most: int) -> str:
    return "█" * round(12 * number / most) if most else ""


def _time(microseconds: float) -> str:
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds / 1_000_000:.2f} s"


def _ms(milliseconds: float) -> str:
    return _time(milliseconds * 1000)


def _times(slow: float, fast: float) -> str:
    return f"{slow / fast:,.0f} times" if fast else "-"
