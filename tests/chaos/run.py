"""One fault, injected into a real grid that is used, and what came of it."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cachegrid
from cachegrid.cluster import Way, heal
from cachegrid.testing.loopback import LoopbackGrid
from tests.chaos.history import Fault, History, load
from tests.chaos.judge import Verdict, judge
from tests.chaos.lanes import number_of
from tests.chaos.worker import CACHE, Orders
from tests.crew.crew import Crew
from tests.crew.health import Health

__all__ = ["GRID", "Plan", "Report", "Stage", "fill", "final", "kept_in", "observed", "orders_for", "run", "used"]

NAMESPACE: Final = "chaos"
GRID: Final = "chaos"
SWEEP: Final = 500  # keys that are asked for at once
VALUE: Final = "x" * 100


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the grid is used while something happens to it."""

    seed: int = 0
    rate: float = 2000.0  # calls in a second, of all processes together
    processes: int = 4  # every other one is async
    before: float = 4.0  # seconds that are measured first
    after: float = 2.0  # seconds after the grid is whole
    help_after: float = 3.0  # seconds from a fault until somebody helps, as with `heal`
    kills: int = 1
    entries: int = 100_000  # that are there, besides, where slots move
    pause: float = 10.0  # seconds for which a member stands still, or is cut off


@dataclass
class Stage:
    """What a fault is given: the grid, and a way to look at it."""

    grid: LoopbackGrid
    plan: Plan
    chance: random.Random
    health: Health = field(init=False)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.health = Health(self.grid)

    def owner(self) -> int:
        """One of the owners."""
        return self.chance.choice(sorted(self.health.owners()))

    def heal(self) -> float:
        """Run `heal`; when that was, in monotonic seconds."""
        now = time.monotonic()
        heal(GRID, root=self.grid.root, way=Way())
        self.grid.reread()
        return now

    def served(self, without: Sequence[int] = ()) -> float:
        """Wait until every slot is served again; when that was."""
        self.health.wait_served(without)
        return time.monotonic()

    def whole(self) -> float:
        """Wait until all is as it should be; when that was."""
        self.health.wait_well(60.0)
        return time.monotonic()


Inject = Callable[[Stage], list[Fault]]


@dataclass
class Report:
    """What a fault has shown."""

    name: str
    faults: list[Fault]
    verdict: Verdict
    notes: list[str]


def run(
    name: str,
    inject: Inject,
    plan: Plan,
    *,
    replicas: int = 1,
    persist: bool = False,
    entries: int = 0,
    keep: Path | None = None,
) -> Report:
    """Start a grid of three owners, use it, inject the fault, and judge what was seen; `replicas` is per owner."""
    with LoopbackGrid(replicas=replicas, persist=persist, name=GRID) as grid, kept_in(keep, name) as folder:
        stage = Stage(grid, plan, random.Random(f"{plan.seed} {name}"))
        if entries:
            fill(grid.url, entries)
        return observed(name, stage, inject, folder, persist=persist)


def observed(name: str, stage: Stage, inject: Inject, folder: Path, *, persist: bool = False) -> Report:
    """Use a grid that is there, inject the fault, and judge what was seen."""
    stage.health.wait_well()
    mine = f"{NAMESPACE}-{time.monotonic_ns()}"  # what is there of an earlier run is nobody's business
    orders = orders_for([stage.grid.state.url, stage.grid.url], stage.plan, folder, persist=persist, namespace=mine)
    history = used(stage, inject, {mine: orders})[mine]
    history.final = final(stage.grid.url, history, mine)
    _keep_logs(stage.grid, folder)
    return Report(name, history.faults, judge(history), stage.notes)


def used(
    stage: Stage,
    inject: Inject,
    groups: Mapping[str, Sequence[Orders]],
    before: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, History]:
    """
    Let groups of processes use the grid, each on entries of its own, while the fault is injected; what each saw.

    `before` is what comes before the commands of each group's processes.
    """
    orders = [order for group in groups.values() for order in group]
    wrapped = [(before or {}).get(order.namespace, ()) for order in orders]
    with Crew("tests.chaos.worker", orders, before=wrapped, root=stage.grid.root) as crew:
        time.sleep(stage.plan.before)
        faults = inject(stage)
        time.sleep(stage.plan.after)
        crew.finish()
    seen = {name: History(faults=faults) for name in groups}
    for order in orders:
        seen[order.namespace].add(load(Path(order.file)))
    return seen


def orders_for(
    urls: Sequence[str],
    plan: Plan,
    folder: Path,
    *,
    persist: bool = False,
    namespace: str = NAMESPACE,
    side: str = "",
    tag: str = "",
) -> list[Orders]:
    """What each process of a group is to do, two by each URL in turn; with `tag`, to entries of one slot."""
    names = tuple(f"{side}{'async' if at % 2 else 'sync'}{at}" for at in range(plan.processes))
    return [
        Orders(
            url=urls[at // 2 % len(urls)],
            namespace=namespace,
            process=name,
            others=names,
            file=str(folder / f"{name}.json"),
            seed=plan.seed * 100 + at,
            is_async=at % 2 == 1,
            rate=plan.rate / plan.processes,
            kept=("memory", "replicated", *(["disk"] if persist else [])),
            tag=tag,
        )
        for at, name in enumerate(names)
    ]


def fill(url: str, entries: int) -> None:
    """Put entries of a hundred bytes into the grid."""
    with cachegrid.connect(url, config={"namespace": NAMESPACE}) as grid:
        cache = grid.cache("filling")
        for first in range(0, entries, 5000):
            cache.set_many({f"{at}": VALUE for at in range(first, min(first + 5000, entries))})


def final(url: str, history: History, namespace: str = NAMESPACE) -> dict[str, int]:
    """What is there of all that was written."""
    keys = sorted({call.key for call in history.calls if not call.key.startswith("load:")})
    found: dict[str, int] = {}
    with cachegrid.connect(url, config={"namespace": namespace}) as grid:
        cache = grid.cache(CACHE, stale_reads="never")  # what a replica lacks that lags behind is not lost
        for first in range(0, len(keys), SWEEP):
            part = keys[first : first + SWEEP]
            values = cache.get_many(part)
            found |= {key: number_of(key, values.get(key)) for key in part}
    return found


def _keep_logs(grid: LoopbackGrid, folder: Path) -> None:
    """What the members wrote, and at which of their times the clock of the record began."""
    (folder / "clock").write_text(f"{time.time() - time.monotonic()}\n")
    for member in grid.state.members:
        (folder / f"{member.port}.log").write_bytes(member.log.read_bytes())


@contextmanager
def kept_in(keep: Path | None, name: str) -> Iterator[Path]:
    """A folder for what is recorded: inside `keep`, or one that is removed."""
    if keep is None:
        with tempfile.TemporaryDirectory() as made:
            yield Path(made)
        return
    folder = keep / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
