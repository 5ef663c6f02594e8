"""What is done to a grid while it is read and written, and when each of it began and was over."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from cachegrid.cluster.admin import Admin
from cachegrid.engines.valkey.slots import slot_of
from cachegrid.errors import EngineError, ServerRefused
from cachegrid.testing.loopback import LoopbackGrid
from tests.crew.health import Health
from tests.near.history import Fault

__all__ = ["EVERYDAY", "Faults"]

# Those that the promises hold for; `lag` and `deaf move` are for the rules that chance hardly needs.
EVERYDAY: Final = ("kill", "pause", "failover", "move", "ears", "links", "blip")
_PAUSES: Final = (0.3, 0.8, 1.5, 2.5)  # seconds: below and above what others take for death
_SPAN: Final = 1500  # slots that move
_WIDE_SPAN: Final = 4000


class Faults:
    """Injects faults into a grid, one after the other; `keys` are those that are read and written."""

    def __init__(self, grid: LoopbackGrid, keys: Iterable[str], seed: int) -> None:
        self._grid, self._health, self._chance = grid, Health(grid), random.Random(seed)
        self._loud = True
        self._slots = {key: slot_of(key.encode()) for key in keys}

    def inject(self, kind: str) -> Fault:
        """Do it, and return when the grid is whole again, with all replicas up to date; every other time with noise."""
        self.wait_well()
        work: Callable[[], Fault] = getattr(self, "_" + kind.replace(" ", "_"))
        self._loud = not self._loud
        if not self._loud or kind not in EVERYDAY:
            return work()
        over = threading.Event()
        noise = threading.Thread(target=self._make_noise, args=(over, self._chance.random()))
        noise.start()
        try:
            return work()
        finally:
            over.set()
            noise.join()

    def _make_noise(self, over: threading.Event, seed: float) -> None:
        """Break connections for news and for requests, here and there, for as long as something worse goes on."""
        chance = random.Random(seed)
        while not over.wait(chance.uniform(0.05, 0.4)):
            with contextlib.suppress(EngineError):
                self._break(chance.randrange(len(self._grid.state.members)), ears=chance.random() < 0.7)

    def wait_well(self) -> None:
        """Wait until every slot has one owner, that a replica follows closely, and all know it."""
        self._health.wait_well()

    # Faults.

    def _kill(self) -> Fault:
        victim, keys, since = self._victim()
        began = time.monotonic()
        self._grid.kill(victim)
        dead = time.monotonic()
        self._grid.wait_whole(30)
        time.sleep(self._chance.uniform(0, 0.3))
        self._grid.restart()
        return self._over("kill", began, keys, [(since, dead)])

    def _pause(self) -> Fault:
        victim, keys, since = self._victim()
        began = time.monotonic()
        self._grid.pause(victim)
        paused = time.monotonic()
        time.sleep(self._chance.choice(_PAUSES))
        resumed = time.monotonic()
        self._grid.resume(victim)
        self.wait_well()
        # For a moment it may not have known that it was replaced.
        return self._over("pause", began, keys, [(since, paused), (resumed, time.monotonic())])

    def _failover(self) -> Fault:
        owner, keys, _ = self._victim()
        replica = self._health.replica_of(owner)
        began = time.monotonic()
        with self._grid.admin(replica) as admin:
            admin.run("CLUSTER", "FAILOVER")
        self._grid.wait_for(lambda: replica in self._health.owners())
        return self._over("failover", began, keys)

    def _move(self) -> Fault:
        began = time.monotonic()
        source, target, span, keys = self._span(_SPAN)
        self._migrate(span, source, target)
        time.sleep(self._chance.uniform(0.1, 0.5))
        self.wait_well()
        self._migrate(span, target, source)
        return self._over("move", began, keys)

    def _ears(self) -> Fault:
        began = time.monotonic()
        for owner in self._health.owners():
            self._break(owner, ears=True)
        return self._over("ears", began, frozenset())

    def _links(self) -> Fault:
        owner, keys, _ = self._victim()
        began = time.monotonic()
        self._break(owner, ears=False)
        return self._over("links", began, keys)

    def _lag(self) -> Fault:
        """A replica falls behind its owner, which then stands still for a while; nobody takes over."""
        victim, keys, since = self._victim()
        replica = self._health.replica_of(victim)
        began = time.monotonic()
        self._grid.pause(replica)
        with self._grid.admin(victim) as admin:
            admin.run("CLIENT", "KILL", "TYPE", "replica")  # else it would find all that it missed waiting for it
        time.sleep(0.8)
        self._grid.pause(victim)
        paused = time.monotonic()
        self._grid.resume(replica)
        time.sleep(0.7)
        self._grid.resume(victim)
        return self._over("lag", began, keys, [(since, paused)])

    def _blip(self) -> Fault:
        """A replica has fallen behind, and in this moment the connections to its owner break, which is well."""
        owner, keys, _ = self._victim()
        replica = self._health.replica_of(owner)
        began = time.monotonic()
        self._grid.pause(replica)
        with self._grid.admin(owner) as admin:
            admin.run("CLIENT", "KILL", "TYPE", "replica")
        time.sleep(0.5)
        self._break(owner, ears=False)
        time.sleep(0.05)
        self._grid.resume(replica)
        return self._over("blip", began, keys)

    def _deaf_move(self) -> Fault:
        """Slots move, and then the connections for news of their new owner break."""
        began = time.monotonic()
        source, target, span, keys = self._span(_WIDE_SPAN)
        self._migrate(span, source, target)
        self.wait_well()
        time.sleep(0.3)
        self._break(target, ears=True)
        time.sleep(2.0)
        self._migrate(span, target, source)
        return self._over("deaf move", began, keys)

    # The grid.

    def _over(self, kind: str, began: float, keys: frozenset[str], losing: Iterable[tuple[float, float]] = ()) -> Fault:
        self.wait_well()
        return Fault(kind, began, time.monotonic(), keys, tuple(losing))

    def _victim(self) -> tuple[int, frozenset[str], float]:
        """An owner, its keys, and since when its replica may lack what it acknowledged."""
        victim = self._chance.choice(sorted(self._health.owners()))
        slots = self._health.owners()[victim]
        keys = frozenset(key for key, slot in self._slots.items() if slot in slots)
        return victim, keys, self._health.in_step(victim)

    def _span(self, size: int) -> tuple[int, int, range, frozenset[str]]:
        """A range of slots of one owner: from whom, to whom, which, and the keys there."""
        owners = self._health.owners()
        source, target = self._chance.sample(sorted(owners), 2)
        firsts = [slot for slot in sorted(owners[source]) if owners[source].issuperset((slot, slot + size - 1))]
        self._chance.shuffle(firsts)
        first = next(slot for slot in firsts if owners[source].issuperset(range(slot, slot + size)))
        moved = range(first, first + size)
        return source, target, moved, frozenset(key for key, slot in self._slots.items() if slot in moved)

    def _migrate(self, span: range, source: int, target: int) -> None:
        with self._grid.admin(source) as admin:
            where = ("SLOTSRANGE", span[0], span[-1], "NODE", self._grid.state.members[target].id)
            admin.run("CLUSTER", "MIGRATESLOTS", *where)
        self._grid.wait_for(lambda: self._health.owners().get(target, set()).issuperset(span))

    def _break(self, owner: int, *, ears: bool) -> None:
        """Break the connections for news, or those for requests."""
        with self._grid.admin(owner) as admin:
            for row in admin.text("CLIENT", "LIST", "TYPE", "normal").splitlines():
                facts = dict(word.partition("=")[::2] for word in row.split())
                # The grid's own tools, and ours, speak an older protocol.
                if facts["resp"] == "3" and ears == facts["cmd"].startswith("cluster|"):
                    _kill(admin, facts["id"])


def _kill(admin: Admin, number: str) -> None:
    try:
        admin.run("CLIENT", "KILL", "ID", number)
    except ServerRefused as error:
        if "No such client" not in str(error):
            raise
