"""What the commands share that change a grid while it is used: whom they reach, and how they show how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from cachegrid.cli.reach import local_state, said
from cachegrid.cluster.contacts import Contacts
from cachegrid.cluster.launch import Progress
from cachegrid.cluster.lock import locked
from cachegrid.cluster.operation import Way
from cachegrid.cluster.state import GridState
from cachegrid.engines.valkey.url import SCHEMES, grid_in
from cachegrid.errors import Unsupported
from cachegrid.opening import check_fits, locate

__all__ = ["Operated", "bar", "operated"]

PATIENCE = 10.0  # seconds until whoever else changes this grid at the moment is through


@dataclass(frozen=True, slots=True, kw_only=True)
class Operated:
    """A grid that is to be changed, and its members."""

    name: str  # empty for one that is only known by its URL
    url: str  # without a password
    contacts: Contacts
    state: GridState | None  # of a grid of this user on this host

    @contextmanager
    def alone(self) -> Iterator[tuple[Contacts, Progress]]:
        """
        The members, for no other command on a host of this grid to change meanwhile, and what to tell how far it is.

        A grid that is only known by its URL is not kept for anybody. Raises StartFailed or GridError while others are
        at it for too long.
        """
        if self.state is None:
            yield self.contacts, lambda *_: None
            return
        with ExitStack() as held:
            held.enter_context(locked(self.state.folder.parent, self.state.name, timeout=PATIENCE))
            if not self.state.spread:
                yield self.contacts.again(), lambda *_: None
                return
            from cachegrid.cluster.hosts.alone import alone  # what only grids across hosts need

            there, renewing = held.enter_context(alone(self.state, Way(timeout=PATIENCE)))
            yield there, renewing.progress


def operated(url: str | None, name: str | None, config: str | None) -> Operated:
    """The grid that is meant. Raises GridNotFound, ConfigError, Unsupported, or an EngineError if nobody answers."""
    settings = said(url, name, config)
    here = settings.url is not None and settings.url.partition("://")[0] in SCHEMES and grid_in(settings.url)
    if settings.url is None or here:
        state = local_state(settings if not here else said(None, here, config))
        if settings.url is not None:
            check_fits(settings.url, state)
        return Operated(name=state.name, url=state.url, contacts=Contacts.of_state(state), state=state)
    place = locate(settings)
    if place.target is None:
        raise Unsupported(f"{place.url} has no members that own slots")
    return Operated(name=place.name, url=place.url, contacts=Contacts.of_target(place.target), state=None)


@contextmanager
def bar(what: str, *, quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """How far it is, on a terminal; elsewhere, and if `quiet`, nothing."""
    from cachegrid.cli import show

    out = show.console(stderr=True)
    if quiet or not out.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=out, transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda what, done, total: shown.update(task, description=what, completed=done, total=total)
