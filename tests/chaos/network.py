"""What happens to the network between the hosts of a grid: cut, parted, slow and lossy."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cachegrid.engines.valkey.slots import slot_of
from tests.chaos.history import DONE, Fault, History
from tests.chaos.judge import judge
from tests.chaos.run import Plan, Report, Stage, final, kept_in, orders_for, used
from tests.chaos.spread import SpreadGrid, observing
from tests.hosts import namespaces
from tests.hosts.namespaces import Host, Network, network

__all__ = ["CUTS", "missing_netem", "run_cut"]

MEMBERS: Final = 6  # hosts 1 to 6 have a member each: owners, and then their replicas in the same order
OUTSIDE, INSIDE, OBSERVER = 6, 7, 8  # by index: hosts of clients, and of this program
CUT_OFF: Final = "inside"  # the namespace of those who are cut off: what they write is told apart
SLOW: Final = ("delay", "20ms", "5ms", "loss", "1%")


@dataclass(frozen=True)
class Cut:
    """Which members, and whether clients with them, are cut off from all others."""

    members: tuple[int, ...]
    clients: bool
    how: Callable[[Network, Sequence[Host]], None]


def _pull(net: Network, hosts: Sequence[Host]) -> None:
    net.cut(*hosts)


def _part(net: Network, hosts: Sequence[Host]) -> None:
    net.split(hosts, [host for host in net.hosts if host not in hosts])


def _slow_down(net: Network, hosts: Sequence[Host]) -> None:
    for host in hosts:
        words = ["ip", "netns", "exec", host.namespace, "tc", "qdisc", "add", "dev", "eth0", "root", "netem", *SLOW]
        subprocess.run(words, check=True, capture_output=True)


CUTS: Final = {
    "cut alone": Cut((0,), clients=False, how=_pull),
    "cut with clients": Cut((0,), clients=True, how=_part),
    "cut minority": Cut((0, 4), clients=True, how=_part),
    "slow network": Cut((0, 1, 2, 3, 4, 5), clients=False, how=_slow_down),
}


def missing_netem() -> str:
    """What this machine lacks for packets that are late or lost, in words; empty if it has all that is needed."""
    if lack := namespaces.missing():
        return lack
    words = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", *SLOW]
    try:
        tried = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "the program `tc` is not installed (Debian: iproute2)"
    return f"its kernel has no netem: {tried.stderr.strip().rstrip('.')}" if tried.returncode else ""


def run_cut(name: str, plan: Plan, keep: Path | None = None) -> list[Report]:
    """Cut a grid of six hosts, heal it, and judge what both sides saw: outside first."""
    cut = CUTS[name]
    with network(9) as net, observing(net.hosts[OBSERVER]), SpreadGrid(net) as grid, kept_in(keep, name) as folder:
        stage = Stage(grid, plan, random.Random(f"{plan.seed} {name}"))
        stage.health.wait_well()
        groups = {"chaos": orders_for([grid.url], plan, folder)}
        if cut.clients:
            few = replace(plan, processes=2, rate=plan.rate / 2)
            theirs = stage.health.owners()[0]
            tag = next(tag for at in range(1000) if slot_of((tag := f"{{{at}}}").encode()) in theirs)
            groups[CUT_OFF] = orders_for([grid.url], few, folder, namespace=CUT_OFF, side="inside-", tag=tag)
        hosts = {"chaos": net.hosts[OUTSIDE], CUT_OFF: net.hosts[INSIDE]}
        before = {name: hosts[name].command() for name in groups}
        seen = used(stage, lambda stage: _cut(stage, net, cut), groups, before)
        found = []
        for group, history in seen.items():
            history.final = final(grid.url, history, group)
            notes = [*stage.notes, *(_last_write(history) if group == CUT_OFF else [])]
            found.append(Report(name if group != CUT_OFF else f"{name}: inside", history.faults, judge(history), notes))
    return found


def _cut(stage: Stage, net: Network, cut: Cut) -> list[Fault]:
    hosts = [net.hosts[index] for index in cut.members]
    began = time.monotonic()
    cut.how(net, [*hosts, net.hosts[INSIDE]] if cut.clients else hosts)
    served = stage.served(without=cut.members if cut.how is not _slow_down else ())
    time.sleep(max(0.0, began + stage.plan.pause - time.monotonic()))
    help_at = time.monotonic()
    if cut.how is _slow_down:
        for host in hosts:
            subprocess.run(host.command("tc", "qdisc", "del", "dev", "eth0", "root"), check=True, capture_output=True)
    else:
        net.heal()
    return [Fault(name="cut", began=began, served=served, whole=stage.whole(), help_at=help_at, back_at=help_at)]


def _last_write(history: History) -> list[str]:
    """When the last write was acknowledged on the side that is cut off, before the network was healed."""
    (fault,) = history.faults
    writes = [
        call.ended - fault.began
        for call in history.calls
        if call.op in {"set", "add", "set_many", "incr", "change"}
        and call.outcome == DONE
        and call.began > fault.began
        and call.ended < (fault.help_at or fault.whole)
    ]
    last = max(writes, default=0.0)
    return [f"the last write inside was acknowledged {last:.1f} s after the cut"]
