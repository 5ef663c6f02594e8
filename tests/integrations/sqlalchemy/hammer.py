"""
Many processes read rows from a grid, and write them to PostgreSQL, at once; each read is judged by what was committed.

    python -m tests.integrations.sqlalchemy.hammer --seconds 60
    python -m tests.integrations.sqlalchemy.hammer --without marks      leave out a rule, and see what it is for

A version of a row only grows, and one transaction gives it to a row of both tables. A writer says on a board which one
it has committed; a reader looks there, or into the database, and must not find an older one afterwards. What is
rolled back has a version that nobody may see. Some writers are killed between COMMIT and what comes after it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import create_engine, insert

from cachegrid.testing.loopback import LoopbackGrid
from tests.integrations.sqlalchemy.hammering import PAIRS, Base, Orders
from tests.integrations.sqlalchemy.server import Postgres

__all__ = ["ROWS", "RULES", "Outcome", "as_command", "hammer", "ordered", "run"]

ROOT: Final = Path(__file__).resolve().parent.parent.parent.parent
ROWS: Final = 12
PATIENCE: Final = 30.0  # seconds for a process to begin, and to end
WORKER: Final = "tests.integrations.sqlalchemy.hammering"
RULES: Final = ("marks", "epochs", "uncommitted", "snapshots")


class Outcome(NamedTuple):
    """What came of it: how often what was done, and what was wrong."""

    counts: Counter[str]
    wrong: list[str]

    def table(self) -> str:
        """For people."""
        lines = [f"{count:>10,} {name}" for name, count in sorted(self.counts.items())]
        return "\n".join([*lines, f"{len(self.wrong):>10,} wrong", *self.wrong[:20]])


def hammer(
    seconds: float,
    server: Postgres,
    grid: LoopbackGrid,
    *,
    without: str = "",
    processes: int = 2,
    is_near: bool = False,
) -> Outcome:
    """
    Hammer for so long, with one process more than `processes`.

    `without` leaves out one of `RULES`, and ends when something is found.
    """
    _prepare(server)
    with tempfile.TemporaryDirectory(prefix="cg-hammer-") as folder:
        board = Path(folder) / "board"
        board.write_bytes(bytes(8 * (ROWS + 1)))  # and a word to stop
        first = Orders(
            url=server.url(),
            grid=grid.url,
            board=str(board),
            colour="sync",
            number=0,
            writers=processes,
            rows=ROWS,
            seconds=seconds,
            without=without,
            is_near=is_near,
        )
        return run(ordered(first, ("sync", "async")), WORKER)


def ordered(first: Orders, colours: Sequence[str]) -> list[Orders]:
    """Orders for all processes, by turns of these colours; the last one is killed now and then, and hired again."""
    others = [first._replace(number=number, colour=colours[number % len(colours)]) for number in range(first.writers)]
    return [*others, first._replace(number=first.writers, colour="crash")]


def _prepare(server: Postgres) -> None:
    engine = create_engine(server.url())
    with engine.begin() as connection:
        Base.metadata.drop_all(connection)
        Base.metadata.create_all(connection)
        for account, entry in PAIRS:
            connection.execute(insert(account), [{"id": row, "version": 0} for row in range(ROWS)])
            connection.execute(insert(entry), [{"account_id": row, "version": 0} for row in range(ROWS)])
    engine.dispose()


def run(orders: Sequence[Orders], worker: str) -> Outcome:
    """Let processes do what is ordered, each with the main program of the module `worker`."""
    seconds = orders[0].seconds
    ends = time.monotonic() + seconds + PATIENCE
    outcome = Outcome(Counter(), [])
    at_work = [_hire(order, worker) for order in orders]
    stops = time.time() + seconds + 1  # for who is hired again
    try:
        while at_work:
            order, process = at_work.pop(0)
            if process.poll() is None:
                assert time.monotonic() < ends, f"{order} did not end"
                at_work.append((order, process))
                time.sleep(0.01)
            elif process.returncode >= 0:
                _note(outcome, process)
            else:
                process.communicate()  # closes what it told through
                if order.colour == "crash" and time.time() < stops:
                    outcome.counts["killed"] += 1
                    at_work.append(_hire(order._replace(until=stops), worker))
    finally:
        for _, process in at_work:
            process.kill()
            process.communicate()
    return outcome


def _hire(order: Orders, worker: str) -> tuple[Orders, subprocess.Popen[str]]:
    command = [sys.executable, "-m", worker, json.dumps(order._asdict())]
    return order, subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _note(outcome: Outcome, process: subprocess.Popen[str]) -> None:
    told, _ = process.communicate(timeout=PATIENCE)
    assert 0 == process.returncode, f"a process ended with {process.returncode}: {told}"
    said: dict[str, Any] = json.loads(told)
    outcome.counts.update(said["counts"])
    outcome.wrong.extend(said["wrong"])


def as_command(hammer: Callable[..., Outcome], rules: Iterable[str], does: str) -> None:
    """Let somebody hammer by hand; the exit code is 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=does)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, default=4, help="up to 5, and one that is killed")
    parser.add_argument("--near", action="store_true", help="keep near copies; a read may be 1 s old then")
    parser.add_argument("--without", choices=rules, default="", help="a rule to leave out")
    said = parser.parse_args()
    with Postgres() as server, LoopbackGrid(owners=3, replicas=0) as grid:
        outcome = hammer(said.seconds, server, grid, without=said.without, processes=said.processes, is_near=said.near)
    sys.stdout.write(outcome.table() + "\n")
    sys.exit(bool(outcome.wrong))


if __name__ == "__main__":
    as_command(hammer, RULES, "Hammer cached queries over PostgreSQL.")
