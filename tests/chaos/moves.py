"""What happens to a grid that grows, shrinks, and shares out its slots anew; also half-way."""

from __future__ import annotations

import time
from dataclasses import replace

from cachegrid.cluster import Way, add, remove
from cachegrid.cluster.balance import Move, moves
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.migration import jobs
from cachegrid.cluster.moving import FAST, carry_out, owned, settled
from tests.chaos.history import Fault
from tests.chaos.run import GRID, Stage

__all__ = ["add_two", "move_cancelled", "rebalanced", "remove_two", "unbalance"]

ANSWER = 10.0  # seconds for a migration that was cancelled to be over


def add_two(stage: Stage) -> list[Fault]:
    """Two owners with a replica each come, and get their share."""
    began = time.monotonic()
    add(GRID, 2, root=stage.grid.root, way=Way())
    return [_moved(stage, "add", began)]


def remove_two(stage: Stage) -> list[Fault]:
    """Two owners leave, and their replicas with them."""
    began = time.monotonic()
    for index in sorted(stage.health.owners())[-2:]:
        remove(GRID, str(stage.grid.state.member(index).port), root=stage.grid.root, way=Way())
        stage.grid.reread()
    return [_moved(stage, "remove", began)]


def rebalanced(stage: Stage) -> list[Fault]:
    """An owner that has hardly any gets its share of the slots."""
    began = time.monotonic()
    grid = Contacts.of_state(stage.grid.state)
    slots = owned(grid)
    carry_out(grid, moves(slots, list(slots)))
    return [_moved(stage, "rebalance", began)]


def unbalance(stage: Stage) -> None:
    """Let one owner have hardly any slots, as fast as it goes; one that has none would follow another."""
    grid = Contacts.of_state(stage.grid.state)
    slots = owned(grid)
    away = moves(slots, sorted(slots)[1:])
    carry_out(grid, [replace(move, slots=(*move.slots[:-1], move.slots[-1][:-1])) for move in away], pace=FAST)


def move_cancelled(stage: Stage) -> list[Fault]:
    """Servers are made to give up a move half-way, and a slot is left half-moved as by a program that died."""
    began = time.monotonic()
    grid = Contacts.of_state(stage.grid.state)
    source, target, *_ = (owner for owner in grid.owners if owner.slots)
    first = source.slots[0].start
    step = Move(source.id, target.id, (range(first, first + 2000),))
    stage.notes.append(f"the server said: {_cancelled(grid, step)}")
    _left_half_moved(grid, source.id, target.id, first + 2100)
    time.sleep(1.0)
    help_at = time.monotonic()
    grid = settled(grid)
    slots = owned(grid)
    carry_out(grid, moves(slots, list(slots)))
    return [replace(_moved(stage, "cancelled", began), help_at=help_at)]


def _cancelled(grid: Contacts, step: Move) -> str:
    """Begin to move slots, and cancel it at once; what became of it."""
    (span,) = step.slots
    with grid.open(step.source, timeout=ANSWER) as admin:
        admin.run("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", span.start, span[-1], "NODE", step.target)
        while next(iter(jobs(admin))).state in {"connecting", "initializing"}:  # as long as nothing has moved
            time.sleep(0.001)
        admin.run("CLUSTER", "CANCELSLOTMIGRATIONS")
        give_up = time.monotonic() + ANSWER
        while not (job := next(iter(jobs(admin)))).is_over and time.monotonic() < give_up:
            time.sleep(0.005)
    return job.state


def _left_half_moved(grid: Contacts, source: str, target: str, slot: int) -> None:
    """Bring some of the entries of a slot over, and leave it so."""
    with grid.open(source) as giving, grid.open(target) as taking:
        taking.run("CLUSTER", "SETSLOT", slot, "IMPORTING", source)
        giving.run("CLUSTER", "SETSLOT", slot, "MIGRATING", target)
        keys = giving.run("CLUSTER", "GETKEYSINSLOT", slot, 3)
        assert isinstance(keys, list)
        place = grid.of(target).endpoint
        auth = ["AUTH", grid.target.password or ""]
        if keys:
            giving.run("MIGRATE", *place, "", 0, 1000, *auth, "KEYS", *keys)


def _moved(stage: Stage, name: str, began: float) -> Fault:
    stage.grid.reread()
    whole = stage.whole()
    return Fault(name=name, began=began, served=began, whole=whole)
