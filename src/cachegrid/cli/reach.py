"""Which grid a command means; unlike `connect`, none of this ever starts one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cachegrid import connect
from cachegrid._core.shown import without_password
from cachegrid.cluster import find, running
from cachegrid.cluster.identity import remembered
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.state import GridState, Stage, load, names, option_of, state_root
from cachegrid.config import DEFAULT_NAME, Settings, load_settings
from cachegrid.engines.valkey.url import SCHEMES, grid_in
from cachegrid.errors import ConfigError, GridNotFound

if TYPE_CHECKING:
    from cachegrid._sio.grid import SyncGrid

__all__ = ["local_state", "names_to_stop", "reached", "said", "url_of"]


def said(url: str | None, name: str | None, config: str | None) -> Settings:
    """The settings that hold, with the name of a grid on this host where neither URL nor name is said."""
    settings = load_settings(url, name, config)
    if settings.url is not None or settings.name is not None:
        return settings
    # Of grids that do not run, it can at least be said what they have.
    return dataclasses.replace(settings, name=_only_name([state.name for state in running()] or names(state_root())))


@contextmanager
def reached(url: str | None, name: str | None, config: str | None) -> Iterator[SyncGrid]:
    """The grid that is meant, connected. Raises GridNotFound, Unreachable, AccessDenied or ConfigError."""
    settings = said(url, name, config).without_sharing()
    if settings.url is None:
        local_state(settings)
    with connect(config=settings) as grid:
        yield grid


def local_state(settings: Settings) -> GridState:
    """The running grid on this host that the settings name. Raises GridNotFound."""
    name = settings.name or DEFAULT_NAME
    if state := find(name):
        return state
    others = [state.name for state in running()]
    hint = f"; running are: {', '.join(others)}" if others else ""
    kept = load(state_root(), name)
    if kept is None or not kept.ready:
        option = option_of(name)
        if kept is not None and any(pid_of(member) for member in kept.members):
            raise GridNotFound(
                f"grid {name!r} in {state_root()} is not up: its start goes on, or was cut short; "
                f"to end what it started: cachegrid down{option}"
            )
        if kept is None or kept.stage is not Stage.RESUMING:
            raise GridNotFound(
                f"there is no grid {name!r} on this host {_where()}{hint}; start it with: cachegrid up{option}"
            )
    was = "is stopped" if kept.ready else "is not up, as its last start failed or was cut short"
    what = f"{was}, and its entries are kept on disk" if kept.persist else _dead(kept)
    does = "to have it back with them" if kept.persist else "start it anew with"
    raise GridNotFound(f"grid {name!r} in {state_root()} {what}{hint}; {does}: cachegrid up {kept.options}")


def url_of(settings: Settings, *, with_password: bool) -> tuple[str, str]:
    """The name and the URL of the grid that the settings mean. Raises GridNotFound where it is to be found here."""
    if settings.url is None:
        state = local_state(settings)
        return state.name, state.full_url if with_password else state.url
    here = grid_in(settings.url) if settings.url.partition("://")[0] in SCHEMES else None
    if not with_password:
        return here or settings.name or "", without_password(settings.url)
    if here is None:
        return settings.name or "", settings.url
    return here, local_state(Settings(name=here)).full_url


def _where() -> str:
    """Which state folder was looked into: with another, other grids are there."""
    return f"(looked in {state_root()})"


def _dead(state: GridState) -> str:
    return f"does not run any more: all its members ({len(state.members)}) are dead, and its entries lost"


def names_to_stop(name: str | None, config: str | None, *, purge: bool) -> list[str]:
    """
    The name of the grid to stop: the one that was said, else the default one; none where there is no grid at all.

    Raises GridNotFound if only others are there: another one, though it were the only one, may be in somebody's use.
    With `purge` one that is only remembered is there, too.
    """
    if said := load_settings(None, name, config).name:
        return [said]
    found = names(state_root())
    if DEFAULT_NAME in found or (purge and DEFAULT_NAME in remembered(state_root())):
        return [DEFAULT_NAME]
    if not found:
        return []
    raise GridNotFound(
        f"there is no grid {DEFAULT_NAME!r} on this host {_where()}, but: {', '.join(found)}; "
        "say which one to stop with --name, or --all"
    )


def _only_name(found: list[str]) -> str:
    if DEFAULT_NAME in found:
        return DEFAULT_NAME
    if not found:
        raise GridNotFound(f"no grid of this user runs on this host {_where()}; start one with: cachegrid up")
    if len(found) > 1:
        raise ConfigError.unsaid("--name", f"there are several grids on this host {_where()}: {', '.join(found)}")
    return found[0]
