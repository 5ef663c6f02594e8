"""The demo from beginning to end: a grid, places, workers, a kill, and what came of it."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Final

from rich.console import Console
from rich.live import Live

from cachegrid.cluster import GridState, kill, members, running, start, stop
from cachegrid.config import load_settings
from cachegrid.demo.crew import Crew, WorkerLost
from cachegrid.demo.interrupts import Interrupted, Interrupts
from cachegrid.demo.places import Place, all_places, nearest_directly, save_places
from cachegrid.demo.show import Scene, address, final_table, members_table, picture, requests_of
from cachegrid.demo.tally import Tally
from cachegrid.demo.worker import Task
from cachegrid.errors import GridNotFound

__all__ = ["run"]

SLOTS: Final = 16384
WANTED: Final = 4000  # so many of the largest cities are asked for
LOOK_EVERY: Final = 0.25  # seconds between two frames
CHECKS: Final = 40  # answers that are computed again


def run(*, seconds: float, workers: int, seed: int, as_json: bool) -> int:
    """Run the demo; the exit code is 0 if every request was answered, and rightly."""
    load_settings()  # a wrong setting is told here and not by every worker
    out = Console(stderr=as_json, highlight=False)
    try:
        with Interrupts() as interrupts:
            return Demo(out, interrupts, Scene(seconds=seconds, workers=workers), seed).run(as_json=as_json)
    except Interrupted as error:
        out.print(f"{error}; the demo's grid and its workers are gone", style="yellow")
        return 128 + error.number
    except WorkerLost as error:
        out.print(f"the demo failed: {error}", style="red")
        return 1


class Demo:
    """One run. Everything it starts is ended before `run` returns, whatever happens."""

    def __init__(self, out: Console, interrupts: Interrupts, scene: Scene, seed: int) -> None:
        self.out, self.interrupts, self.scene, self.seed = out, interrupts, scene, seed
        self.tally = Tally()
        self.killed_moment = 0.0

    def run(self, *, as_json: bool) -> int:
        """All acts in order."""
        began = time.monotonic()
        with own_grid() as grid:
            self.say(f"a grid of 3 owners and 3 replicas serves after {time.monotonic() - began:.2f} s")
            self.interrupts.look()
            places = all_places()
            database = grid.folder / "places.sqlite"  # goes when the grid goes
            save_places(places, database)
            self.say(f"{len(places):,} cities are in SQLite; finding the 10 nearest to one takes a full scan")
            cities = [place.id for place in places[:WANTED]]
            tasks = [
                Task(grid=grid.name, database=str(database), cities=cities, seed=f"{self.seed}-{number}")
                for number in range(self.scene.workers)
            ]
            self.interrupts.look()
            with Crew(tasks) as crew:
                self.play(grid, crew)
            self.observe(grid)
        wrong = self.check(places)
        return self.conclude(wrong, as_json=as_json)

    def play(self, grid: GridState, crew: Crew) -> None:
        """Let the workers answer requests; half-way, kill an owner."""
        began = time.monotonic()
        with self.live() as live:
            while self.scene.elapsed < self.scene.seconds:
                self.hear(crew)
                self.scene.elapsed = time.monotonic() - began
                self.observe(grid)
                if not self.scene.killed and self.scene.elapsed >= self.scene.seconds / 2:
                    self.kill_an_owner(grid)
                if live is not None:
                    live.update(picture(self.scene, self.tally), refresh=True)
            for report in crew.finish():
                self.tally.add(report)

    def hear(self, crew: Crew) -> None:
        """Take in what the workers report until the next frame."""
        end = time.monotonic() + LOOK_EVERY
        while (left := end - time.monotonic()) > 0:
            for report in crew.reports(left):
                self.tally.add(report)
            self.interrupts.look()

    def observe(self, grid: GridState) -> None:
        """Look at the members."""
        scene = self.scene
        scene.members = members(grid)
        scene.requests |= {address(member): requests_of(member) for member in scene.members if member.up}
        owned = sum(member.slots for member in scene.members if member.up)
        if scene.killed and scene.replaced_after is None and owned == SLOTS:
            scene.replaced_after = time.monotonic() - self.killed_moment
            self.say(f"{scene.killed}'s replica has taken over, {scene.replaced_after:.1f} s after the kill")

    def kill_an_owner(self, grid: GridState) -> None:
        """The one that is asked most."""
        owners = [member for member in self.scene.members if member.role == "owner"]
        victim = address(max(owners, key=requests_of))
        index = next(member.index for member in grid.members if member.address == victim)
        self.killed_moment = self.tally.killed_at = time.monotonic()
        kill(grid, index)
        self.scene.killed = victim
        self.say(f"the owner {victim} is killed with SIGKILL")

    def check(self, places: Sequence[Place]) -> list[str]:
        """The names of cities for which the grid gave a wrong answer, among some that are computed again."""
        by_id = {place.id: place for place in places}
        answers = random.Random(self.seed).sample(self.tally.answers, min(CHECKS, len(self.tally.answers)))  # noqa: S311
        wrong = []
        for city, answer in answers:
            self.interrupts.look()
            if [tuple(row) for row in answer] != nearest_directly(places, by_id[city]):
                wrong.append(by_id[city].name)
        return wrong

    def conclude(self, wrong: Sequence[str], *, as_json: bool) -> int:
        """Print what came of it."""
        tally, scene = self.tally, self.scene
        checked = min(CHECKS, len(tally.answers))
        if as_json:
            print(json.dumps(self.result(checked, wrong)))
        else:
            self.out.print(members_table(scene))
            self.out.print(final_table(scene, tally, checked))
        for reason in self.complaints(wrong):
            self.out.print(reason, style="red")
        for reason in sorted(reason for _, reason in tally.repeated()):
            self.out.print(f"one place was scanned for twice: {reason}", style="yellow")
        return 1 if wrong or tally.failures or not tally.hits else 0

    def complaints(self, wrong: Sequence[str]) -> Iterator[str]:
        """What should not have been."""
        for failure in self.tally.failures[:3]:
            yield f"a request failed: {failure}"
        if wrong:
            yield f"wrong answers for {', '.join(wrong)}"

    def result(self, checked: int, wrong: Sequence[str]) -> dict[str, object]:
        """All numbers, for programs."""
        scene = self.scene
        return self.tally.result() | {
            "entries_per_member": {address(member): member.entries for member in scene.members if member.up},
            "requests_per_member": scene.requests,
            "killed": scene.killed,
            "replaced_after_s": scene.replaced_after and round(scene.replaced_after, 2),
            "repeated_loads": [reason for _, reason in self.tally.repeated()],
            "checked": checked,
            "wrong": list(wrong),
            "workers": scene.workers,
            "seconds": round(scene.elapsed, 2),
        }

    def say(self, text: str) -> None:
        """Tell of a step."""
        self.out.print(text)

    def live(self) -> AbstractContextManager[Live | None]:
        """The live display; none where there is no terminal."""
        if not self.out.is_terminal:
            return nullcontext()
        return Live(console=self.out, auto_refresh=False, transient=True)


def end_orphans() -> None:
    """End the grids of demos that were killed outright, before they had workers that would have done it."""
    for grid in running():
        prefix, _, pid = grid.name.partition("-")
        if prefix == "demo" and pid.isdigit() and not is_alive(int(pid)):
            with suppress(GridNotFound):  # another demo was faster
                stop(grid.name, purge=True)


def is_alive(pid: int) -> bool:
    """Whether there is a process of that id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


@contextmanager
def own_grid() -> Iterator[GridState]:
    """A grid that nobody else uses; gone at the end, whatever happens."""
    end_orphans()
    name = f"demo-{os.getpid()}"
    try:
        yield start(name, owners=3, replicas=1)
    finally:
        with suppress(GridNotFound):  # it did not get far
            stop(name, purge=True)
