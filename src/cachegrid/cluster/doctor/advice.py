"""What to do about findings, in commands that the grid takes: one of this host, of several hosts, or of others."""

from __future__ import annotations

from cachegrid.cluster.doctor.facts import Examined
from cachegrid.cluster.loss import CACHES_TOO
from cachegrid.cluster.state import option_of

__all__ = [
    "anew",
    "by_hand",
    "command",
    "for_dead",
    "for_hosts",
    "for_memory",
    "for_replicas",
    "for_slots",
    "for_versions",
]


def command(grid: Examined, words: str) -> str:
    """A command of ours, with the words that say which grid is meant."""
    if not grid.is_here:
        return f"cachegrid {words} --url ..."
    return f"cachegrid {words}{option_of(grid.name)}"


def anew(grid: Examined, option: str, instead: str = "") -> str:
    """How a grid comes to be otherwise in what only `up` can say: `option`, in the place of what it has now."""
    if grid.is_spread:
        return f"host by host: {command(grid, 'leave')}, then cachegrid join with {option}"
    options = grid.options.replace(instead, option) if instead else f"{grid.options} {option}"
    steps = ("backup DIR", "down --purge" if grid.on_disk else "down"), f"cachegrid up {' '.join(options.split())}"
    return (
        f"make it anew: {', '.join(command(grid, one) for one in steps[0])}, {steps[1]}, {command(grid, 'restore DIR')}"
    )


def by_hand(grid: Examined, ours: str, theirs: str) -> str:
    """The one for a grid that we start and end, or the other for one that others run."""
    return ours if grid.is_here else theirs


def for_hosts(grid: Examined) -> str:
    """How others come to be hosts of it."""
    return f"{command(grid, 'up --host ADDRESS')}, {command(grid, 'token')}"


def for_dead(grid: Examined, *, is_on_this_host: bool) -> str:
    """Of members that are dead."""
    if is_on_this_host and not any(one.is_up or one.process for one in grid.members if one.address in grid.here):
        return f"cachegrid up {grid.options} starts it again"  # with nobody here there is nothing to heal
    if is_on_this_host:
        return f"{command(grid, 'heal')} starts it again"
    if grid.is_spread:
        lost = f"if that is lost for good: {command(grid, 'leave ADDRESS')}, here"
        return f"{command(grid, 'up')} on its host starts it again; {lost}"
    return "start it again where it runs"


def for_replicas(grid: Examined, *, wanted: int) -> str:
    """Of owners that have none, or fewer than are wanted."""
    if grid.replicas is not None and wanted > grid.replicas:
        return anew(grid, f"--replicas {wanted}", f"--replicas {grid.replicas}")
    if grid.is_spread:
        again = f"{command(grid, 'up')} on hosts whose members are dead, then {command(grid, 'heal')}"
        return f"{again}; or let one more host join"
    return by_hand(grid, f"{command(grid, 'heal')} makes replicas that are missing", "give each owner a replica")


def for_slots(grid: Examined) -> str:
    """Of slots without an owner."""
    means = by_hand(grid, command(grid, "heal --assign"), "CLUSTER ADDSLOTS")
    return f"{means} gives slots without an owner to owners; what was in them is lost, and {CACHES_TOO}"


def for_memory(grid: Examined) -> str:
    """Of members that are full."""
    more = by_hand(grid, f"{command(grid, 'add')} brings another owner, and its memory", "add owners, raise maxmemory")
    return f"{more}; or let entries live shorter"


def for_versions(grid: Examined, kind: str, wanted: str) -> str:
    """Of servers that are not what they should be; `kind` is what they are, and not put in the place of another."""
    if not grid.is_here:
        return f"put in {wanted} there, replicas first"
    if kind == "Valkey" or not wanted.startswith("Valkey"):
        return f"{command(grid, 'restart --rolling --server PROGRAM')} puts in {wanted}"
    if grid.is_spread:  # members of two kinds cannot copy each other, and so none can join
        before, after = command(grid, "backup DIR"), command(grid, "restore DIR")
        return f"{before}, then a new grid with --server PROGRAM on all hosts, and {after}"
    return anew(grid, "--server PROGRAM")
