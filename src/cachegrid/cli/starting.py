"""Start a grid, and tell what that came to: a new one, one that was up, or one that came back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachegrid.cluster import find
from cachegrid.cluster.loss import emptied_slots, share_text
from cachegrid.cluster.plan import MemberTls, Shape
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.state import GridState, Stage, load, state_root
from cachegrid.errors import GridError

__all__ = ["Started", "shape_for", "started", "tls_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A grid that serves, and how it came to."""

    state: GridState
    seconds: float
    was_up: bool
    revived: Sequence[str] = ()  # the members that were dead while others ran
    has_kept: bool = False  # its entries were on disk
    emptied: Sequence[range] = ()  # slots of dead members whose entries nobody has
    other_server: str = ""  # the program that its members ran before, where it is another one now
    was_lost: bool = False  # all members of a grid of that name, which kept nothing on disk, had died

    @property
    def told(self) -> dict[str, Any]:
        """For programs."""
        return {
            "started": not self.was_up,
            "resumed": self.has_kept,
            "revived": list(self.revived),
            "emptied_slots": [[span.start, span[-1]] for span in self.emptied],
            "seconds": round(self.seconds, 3),
        }

    @property
    def in_words(self) -> str:
        """For people, behind the grid's name."""
        after = f"after {self.seconds:.2f} s"
        if self.revived:
            lost = f"; the entries of {share_text(self.emptied)} are lost" if self.emptied else ""
            return f"was up; these members were dead and are up again {after}: {', '.join(self.revived)}{lost}"
        if self.was_up:
            return "was up already"
        server = f"; its members run {self.state.server}, and ran {self.other_server}" if self.other_server else ""
        if self.has_kept:
            return f"is up again {after}, with the entries that it kept on disk{server}"
        lost = "; the one before it had died, and its entries are lost" if self.was_lost else ""
        return f"is up {after}{lost}{server}"


def shape_for(
    name: str,
    members: int | None,
    replicas: int | None,
    *,
    persist: bool,
    fsync: str | None = None,
    when_full: str | None = None,
    is_spread: bool = False,
) -> dict[str, Any]:
    """
    The shape of a grid to start: what was said, else as it is of one that runs, was kept or died, else of a new one.

    One that other hosts can join has one owner on each, if nothing else is said; what is there of it is kept, too.
    """
    state = _there(name)
    is_kept = state is not None and state.stage is not Stage.STARTING
    if state is not None and state.embedded and len(state.members) == 1 and not state.persist:
        # As a program started it by the way: no shape that was asked for. It is taken while it runs.
        is_kept = is_kept and any(pid_of(member) for member in state.members)
    shape = state.shape if state is not None and is_kept else Shape(owners=1 if is_spread else 3)
    return {
        "owners": shape.owners if members is None else members,
        "replicas": shape.replicas if replicas is None else replicas,
        "persist": persist or shape.persist,
        "fsync": fsync or shape.fsync,
        "when_full": when_full or shape.when_full,
    }


def tls_for(host: str | None, folder: str | None) -> MemberTls | None:
    """The files of this host in a folder of certificates. Raises ConfigError, saying how to make them."""
    if folder is None:
        return None
    from cachegrid.cluster.hosts.certificates import files_in
    from cachegrid.cluster.ports import LOOPBACK
    from cachegrid.errors import ConfigError

    files = files_in(Path(folder), host or LOOPBACK)
    if not all(path.is_file() for path in (files.ca, files.cert, files.key)):
        want = f"a folder with {files.ca.name}, {files.cert.name} and {files.key.name}"
        raise ConfigError("--tls", folder, f"{want}, which this makes: cachegrid tls {folder} {host or LOOPBACK}")
    return files


def started(name: str, begin: Callable[[], GridState]) -> Started:
    """Start the grid of that name by `begin`, which raises as `cluster.start` does; and say what was there before."""
    begun = time.monotonic()
    kept = _kept(name)
    before = find(name) if kept else None
    dead = [member.address for member in before.members if not pid_of(member)] if before else []
    emptied = emptied_slots(before) if before and dead else []
    state = begin()
    return Started(
        state=state,
        seconds=time.monotonic() - begun,
        was_up=before is not None,
        revived=dead,
        emptied=emptied,
        has_kept=kept is not None and before is None and kept.persist,
        other_server=str(kept.server) if kept and kept.server != state.server else "",
        was_lost=kept is not None and before is None and not kept.persist,
    )


def _kept(name: str) -> GridState | None:
    """The grid of that name, running or not."""
    state = _there(name)
    return state if state and state.ready else None


def _there(name: str) -> GridState | None:
    """What is written down under that name; what cannot be read is for `start` to tell of."""
    try:
        return load(state_root(), name)
    except GridError:
        return None
