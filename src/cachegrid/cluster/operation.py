"""What is about to be done with a grid that runs, and how: said before it is begun, one at a time for each grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cachegrid._core.units import size_text
from cachegrid.cluster.launch import Progress
from cachegrid.cluster.lock import locked
from cachegrid.cluster.moving import Pace, pace_of
from cachegrid.cluster.plan import Shape
from cachegrid.cluster.presence import find
from cachegrid.cluster.state import GridState, MemberState, Phase, checked_name, option_of, state_root
from cachegrid.errors import ConfigError, GridError, GridNotFound

__all__ = ["Operation", "Way", "member_named", "memory_text", "operating", "refuse_spread", "size_told", "unfinished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What is about to be done, step by step, and how large the grid is afterwards."""

    grid: str
    steps: tuple[str, ...]  # in words; none: all is as it should be
    shape: Shape
    warnings: tuple[str, ...] = ()  # what it asks of this host that it may not have


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How an operation is carried out."""

    is_rehearsal: bool = False  # it is planned and told, and nothing is changed
    tell: Callable[[Operation], None] = lambda _: None  # called once, before anything is changed
    progress: Progress = lambda *_: None
    timeout: float = 60.0  # seconds that members get for each step; slots take the time they need
    is_fast: bool = False  # slots move without rests: sooner done, and programs wait longer

    @property
    def pace(self) -> Pace:
        """How slots move."""
        return pace_of(fast=self.is_fast)


@contextmanager
def operating(name: str, root: Path | None, way: Way) -> Iterator[GridState]:
    """The grid of that name as it is written down, for nobody else to change meanwhile. Raises GridNotFound."""
    root = (root or state_root()).absolute()
    _running(name, root)  # before a lock is made of what is none
    with locked(root, checked_name(name), timeout=way.timeout):
        yield _running(name, root)


def refuse_spread(state: GridState, instead: str) -> None:
    """Raise GridError for a grid with members on other hosts, which an operation does not see; `instead` is a hint."""
    if state.spread:
        raise GridError(f"grid {state.name!r} is on several hosts: {instead}")


def member_named(state: GridState, text: str) -> MemberState:
    """
    The member that is meant by `host:port`, by its port alone, or by the beginning of its id, at least six digits.

    Raises ConfigError if there is none.
    """
    said = text.removeprefix(":")
    for member in state.members:
        if said in {member.address, str(member.port)} or (len(said) >= 6 and member.id.startswith(said)):
            return member
    there = ", ".join(member.address for member in state.members)
    raise ConfigError("member", text, f"one of grid {state.name!r}: {there}")


def unfinished(state: GridState) -> list[str]:
    """What was begun with members and not ended, one sentence each, with the command that goes on with it."""
    lines: list[str] = []
    joining = [member for member in state.members if member.phase is Phase.JOINING]
    if joining:
        goes_on = "add" if any(member.follows is None for member in joining) and not state.spread else "heal"
        lines.append(
            f"joining: {', '.join(one.address for one in joining)}; go on with: cachegrid {goes_on}{state.option}"
        )
    leaving = [member.address for member in state.members if member.phase is Phase.LEAVING]
    if leaving:
        goes_on = "leave" if state.spread else f"remove {leaving[0]}"
        lines.append(f"leaving: {', '.join(leaving)}; go on with: cachegrid {goes_on}{state.option}")
    return lines


def size_told(state: GridState) -> str:
    """How large a grid is, in words; of one that may be on other hosts, too, the part that is here."""
    return f"on this host {state.shape}" if state.spread else str(state.shape)


def memory_text(shape: Shape) -> str:
    """How much the entries of a grid may take, in words."""
    return "as much memory as there is" if shape.memory is None else f"{size_text(shape.memory)} of memory"


def _running(name: str, root: Path) -> GridState:
    if state := find(name, root=root):
        return state
    starts = f"start it with `cachegrid up{option_of(name)}`"
    raise GridNotFound(f"no grid {name!r} runs on this host (looked in {root}); {starts}")
