"""Finding the grid that is meant: by URL, by name, the one that runs here, else a new one."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from cachegrid._core.shown import HOST, without_password
from cachegrid._core.units import bytes_of, seconds_of
from cachegrid.config import DEFAULT_NAME, Settings
from cachegrid.errors import AccessDenied, ConfigError, GridError, GridNotFound, ServerMissing, Unreachable

if TYPE_CHECKING:
    from cachegrid.cluster.state import GridState
    from cachegrid.engines.memory.store import Store
    from cachegrid.engines.valkey.slots import Endpoint
    from cachegrid.engines.valkey.target import Target

__all__ = ["Place", "check_fits", "denied", "locate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a grid is, ready to be opened in either colour: exactly one of the last three is set."""

    name: str
    url: str  # without a password
    secret: bytes | None = field(repr=False)
    target: Target | None = None
    store: Store | None = None
    plug_in: Callable[..., Any] | None = field(default=None, repr=False)  # has the whole URL


def locate(settings: Settings) -> Place:
    """
    The place that the settings mean.

    With neither URL nor name it is the grid that runs here, else a one-member grid that is started now and that other
    programs of this user share. Raises ConfigError, GridNotFound, GridError or StartFailed.
    """
    try:
        return _located(settings)
    except ConfigError as error:
        # What only a URL can say, such as its `max_bytes`, is wrong in the URL.
        wrong = "name" if error.name == "name" else "url"
        if (place := settings.places.get(wrong)) is None:
            raise
        raise error.renamed(place if wrong == error.name else f"{error.name} ({place})") from error


def denied(error: Unreachable) -> AccessDenied | None:
    """What to say instead, where a member answers and lets the user in, but not ask who owns what."""
    from libvalkey import ReplyError

    from cachegrid.engines.valkey.trouble import refusal

    reply = error.__cause__
    told = refusal(reply, error.where) if isinstance(reply, ReplyError) else None
    return told if isinstance(told, AccessDenied) else None


def check_fits(url: str, state: GridState) -> None:
    """Refuse a URL that names a grid, and means another one than has that name here. Raises ConfigError."""
    from cachegrid.engines.valkey import url as valkey

    is_secure, seeds = valkey.seeds_in(url)
    if is_secure is not None and is_secure is not (state.tls is not None):
        scheme = "valkeys://" if state.tls else "valkey://"
        want = f"{scheme}, since grid {state.name!r} of this host is {'' if state.tls else 'not '}secured with TLS"
        raise ConfigError("url", without_password(url), want)
    # Members come and go after a URL was printed: one that is still there is enough.
    members = valkey.seeds_in(state.url)[1]
    sockets = {str(member.socket) for member in state.members}
    if not any(seed in members or seed.host in sockets or _is_among(seed, members) for seed in seeds):
        want = (
            f"one with the address of a member of grid {state.name!r} of this host, which `cachegrid url --name "
            f"{state.name}` prints; or without grid={state.name} where another grid is meant"
        )
        raise ConfigError("url", without_password(url), want)


def _located(settings: Settings) -> Place:
    if settings.url is not None:
        return _by_url(settings, settings.url)
    # Loaded only here: with a URL, nothing that starts servers is needed.
    from cachegrid.cluster import embedded, find, running
    from cachegrid.cluster.presence import died

    if settings.name is not None:
        state = find(settings.name)
        if state is None:
            raise GridNotFound(_not_found(settings.name, [grid.name for grid in running()]))
        return _by_state(settings, state)
    state = find(DEFAULT_NAME)
    if state is not None:
        return _by_state(settings, state)
    # One that somebody started is not given up for another; one of a single member a program may have started once.
    before = died(DEFAULT_NAME)
    others = [] if before and len(before.members) > 1 else running()
    if len(others) > 1:
        names = ", ".join(grid.name for grid in others)
        raise GridError(f"several grids run here ({names}); say which one with name=, or CACHEGRID_NAME")
    try:
        return _by_state(settings, others[0] if others else embedded(DEFAULT_NAME))
    except ServerMissing as error:
        if os.environ.get("CACHEGRID_SERVER"):
            raise  # it was said which server to use, and said wrongly
        url = f"memory://{DEFAULT_NAME}"  # by name: all of this process's connections share it
        warnings.warn(f"{error}; using {url}, which this process shares with no other", stacklevel=2)
        return _in_memory(settings, url)


def _by_url(settings: Settings, url: str) -> Place:
    scheme, mark, _ = url.partition("://")
    scheme = scheme.lower()
    if not mark:
        raise _no_url(url)
    if scheme == "memory":
        return _in_memory(settings, url)
    from cachegrid.engines.valkey import url as valkey

    if scheme not in valkey.SCHEMES:
        return _by_plug_in(settings, url, scheme)
    name = valkey.grid_in(url)
    if name is not None:
        from cachegrid.cluster import find

        state = find(name)
        if state is None:
            raise GridNotFound(_not_found(name, []))
        check_fits(url, state)
        return _by_state(settings, state, valkey.times_in(url))
    target = valkey.parse(url, timeout=seconds_of("timeout", settings.timeout), tls=_tls(settings))
    return Place(name=settings.name or "", url=without_password(url), secret=_secret(settings), target=target)


def _is_among(seed: Endpoint, members: Collection[Endpoint]) -> bool:
    """Whether a host's name stands for the address of a member."""
    if all(seed.port != member.port for member in members):
        return False
    try:
        found = {str(it[4][0]) for it in socket.getaddrinfo(seed.host, seed.port, type=socket.SOCK_STREAM)}
    except OSError:
        return False
    return any(seed.port == member.port and member.host in found for member in members)


def _no_url(url: str) -> ConfigError:
    """For what may be the name of a grid, or the address of a member."""
    shown = without_password(url)
    match = HOST.fullmatch(url)
    if match and match["port"]:
        return ConfigError("url", shown, f"one with a scheme; did you mean valkey://{url}?")
    hint = f"; a grid of this host is said as name={url!r}" if match and "/" not in url else ""
    return ConfigError("url", shown, f"one with a scheme, such as valkey://host:6379{hint}")


def _by_state(settings: Settings, state: GridState, times: Mapping[str, float] | None = None) -> Place:
    """Its part of the settings; `times` are what a URL says of `timeout` and `patience`."""
    from cachegrid.engines.valkey import url as valkey
    from cachegrid.engines.valkey.slots import Endpoint

    said = {"timeout": seconds_of("timeout", settings.timeout), **(times or {})}
    target = valkey.parse(state.full_url, timeout=said["timeout"])
    patience = min(target.timeout, said.get("patience", target.patience))
    sockets = {Endpoint(member.host, member.port): str(member.socket) for member in state.members}
    target = replace(target, sockets=sockets, patience=patience)
    return Place(name=state.name, url=state.url, secret=_secret(settings) or state.secret, target=target)


def _in_memory(settings: Settings, url: str) -> Place:
    from cachegrid.engines.memory.named import store_for

    place, _, query = url.partition("://")[2].partition("?")
    options = dict(parse_qsl(query))
    limit = bytes_of("the option 'max_bytes' in the url", options.pop("max_bytes", 0))
    if options:
        raise ConfigError("the options in the url", without_password(url), "max_bytes only")
    name = place.partition("/")[0]
    return Place(name=name or "memory", url=url, secret=_secret(settings), store=store_for(name, limit))


def _by_plug_in(settings: Settings, url: str, scheme: str) -> Place:
    from cachegrid.engines.valkey.url import SCHEMES

    known = {point.name: point for point in entry_points(group="cachegrid.engines")}
    if scheme not in known:
        names = ", ".join(sorted({*SCHEMES, *known, "memory"}))
        raise ConfigError("url", without_password(url), f"one whose scheme is known: {names}")
    plug_in = partial(known[scheme].load(), url)
    return Place(name=settings.name or "", url=without_password(url), secret=_secret(settings), plug_in=plug_in)


def _tls(settings: Settings) -> Any:
    from cachegrid.engines.valkey.target import TlsFiles

    return TlsFiles(ca=settings.ca, cert=settings.cert, key=settings.key)


def _secret(settings: Settings) -> bytes | None:
    return None if settings.secret is None else settings.secret.encode()


def _not_found(name: str, running: list[str]) -> str:
    from cachegrid.cluster.state import state_root

    others = f" (running are: {', '.join(running)})" if running else ""
    where = f"runs on this host, of those kept in {state_root()}"
    return f"no grid named {name!r} {where}{others}; start it with: cachegrid up --name {name}"
