"""What happens to members of a grid: killed, paused, restarted."""

from __future__ import annotations

import time

from cachegrid.cluster import Way, restart
from tests.chaos.history import Fault
from tests.chaos.run import GRID, Stage

__all__ = [
    "kill_all",
    "kill_any",
    "kill_owner",
    "kill_owner_and_replica",
    "kill_with_blind_replica",
    "pause_owner",
    "restart_rolling",
]

BLIND = 0.6  # seconds: less than what others take for death


def kill_owner(stage: Stage) -> list[Fault]:
    """An owner is killed; somebody heals the grid a little later."""
    return [_killed(stage, "kill", [stage.owner()])]


def kill_any(stage: Stage) -> list[Fault]:
    """Members of any role are killed, one after the other, as often as was asked for."""
    found = []
    for _ in range(stage.plan.kills):
        victim = stage.chance.choice([member.index for member in stage.grid.state.members])
        found.append(_killed(stage, "kills", [victim]))
        time.sleep(stage.chance.uniform(0.1, 0.6))
    return found


def kill_owner_and_replica(stage: Stage) -> list[Fault]:
    """An owner, and in the same moment a replica of another one."""
    victim = stage.owner()
    others = sorted(set(stage.health.owners()) - {victim})
    return [_killed(stage, "kill owner and replica", [victim, stage.health.replica_of(others[0])])]


def _killed(stage: Stage, name: str, victims: list[int]) -> Fault:
    began = time.monotonic()
    for victim in victims:
        stage.grid.kill(victim)
    served = stage.served()
    time.sleep(max(0.0, began + stage.plan.help_after - time.monotonic()))
    help_at = stage.heal()
    return Fault(name=name, began=began, served=served, whole=stage.whole(), help_at=help_at)


def kill_all(stage: Stage) -> list[Fault]:
    """All members are killed, and started again a second later, as by `up`."""
    began = time.monotonic()
    for member in stage.grid.state.members:
        stage.grid.kill(member.index)
    time.sleep(1.0)
    help_at = time.monotonic()
    stage.grid.restart()
    return [Fault(name="kill all", began=began, served=stage.served(), whole=stage.whole(), help_at=help_at)]


def kill_with_blind_replica(stage: Stage) -> list[Fault]:
    """An owner is killed whose replica has stood still for a moment, and so lacks what was written meanwhile."""
    victim = stage.owner()
    replica = stage.health.replica_of(victim)
    stage.grid.pause(replica)
    try:
        # Else it would find what it missed in its socket when it goes on, and know all that its owner did.
        with stage.grid.admin(victim) as admin:
            admin.run("CLIENT", "KILL", "TYPE", "replica")
        time.sleep(BLIND)
        began = time.monotonic()
        stage.grid.kill(victim)
    finally:
        stage.grid.resume(replica)
    served = stage.served()
    help_at = stage.heal()
    return [Fault(name="blind", began=began, served=served, whole=stage.whole(), help_at=help_at)]


def pause_owner(stage: Stage) -> list[Fault]:
    """An owner stands still, is replaced, and goes on."""
    victim = stage.owner()
    began = time.monotonic()
    stage.grid.pause(victim)
    try:
        served = stage.served(without=[victim])
        time.sleep(max(0.0, began + stage.plan.pause - time.monotonic()))
    finally:
        back_at = time.monotonic()
        stage.grid.resume(victim)
    return [Fault(name="pause", began=began, served=served, whole=stage.whole(), back_at=back_at)]


def restart_rolling(stage: Stage) -> list[Fault]:
    """All members are restarted, one after the other; every slot has an owner all the while."""
    began = time.monotonic()
    restart(GRID, root=stage.grid.root, way=Way())
    stage.grid.reread()
    return [Fault(name="restart", began=began, served=began, whole=stage.whole())]
