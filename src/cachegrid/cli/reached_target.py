"""The grid that a command means, as its members are reached one by one: a cluster or a single server."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachegrid.cli.reach import local_state, said
from cachegrid.engines.valkey.url import SCHEMES, grid_in
from cachegrid.errors import Unsupported
from cachegrid.opening import locate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cachegrid.cluster.state import GridState
    from cachegrid.config import CachePolicy
    from cachegrid.engines.valkey.target import Target

__all__ = ["Meant", "grid_meant"]


class Meant(NamedTuple):
    """How to reach a grid, and what it is called."""

    target: Target
    name: str  # empty for one that is only known by its URL
    url: str  # without a password
    secret: bytes | None
    namespace: str
    state: GridState | None  # of a grid of this user on this host
    caches: Mapping[str, CachePolicy]  # of the settings

    @property
    def option(self) -> str:
        """What says to a command that this grid is meant, after a space."""
        return self.state.option if self.state else " --url ..."

    def cache(self, name: str | None) -> str | None:
        """The name of a cache with its namespace. Raises ConfigError for what is no name."""
        from cachegrid._core.address import check_name

        return None if name is None else f"{self.namespace}:{check_name('--cache', name)}"


def grid_meant(url: str | None, name: str | None, config: str | None) -> Meant:
    """Raises GridNotFound, ConfigError, or Unsupported for what has no members that could be asked."""
    settings = said(url, name, config)
    here = settings.url is not None and settings.url.partition("://")[0] in SCHEMES and grid_in(settings.url)
    state = None
    if settings.url is None or here:
        state = local_state(settings if not here else said(None, here, config))
    place = locate(settings)
    if place.target is None:
        raise Unsupported(f"{place.url} has no members that could be asked")
    return Meant(place.target, place.name, place.url, place.secret, settings.namespace, state, settings.caches)
