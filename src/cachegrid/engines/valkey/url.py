"""URLs of Valkey and Redis: `valkey://[user[:password]@]host:port,host:port[/database][?...]`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from cachegrid._core.shown import HOST, without_password
from cachegrid._core.units import seconds_of
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target, TlsFiles
from cachegrid.errors import ConfigError

__all__ = ["SCHEMES", "grid_in", "parse", "seeds_in", "times_in", "without_password"]

# Whether a scheme means TLS, and whether a unix socket.
SCHEMES: Final[Mapping[str, tuple[bool, bool]]] = {
    "valkey": (False, False),
    "redis": (False, False),
    "valkeys": (True, False),
    "rediss": (True, False),
    "valkey+unix": (False, True),
    "redis+unix": (False, True),
    "unix": (False, True),
}
_OPTIONS: Final = ("ca", "cert", "database", "grid", "key", "patience", "timeout", "verify_host")
_YES_OR_NO: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_PORT: Final = 6379


def parse(
    url: str,
    *,
    timeout: float,
    password: str | None = None,
    tls: TlsFiles | None = None,
) -> Target:
    """
    What a URL says. What it leaves out is taken from the arguments. Raises ConfigError, naming the part.

    >>> parse("valkey://app:s%40crt@10.0.0.1:7001,10.0.0.2:7001", timeout=5).seeds
    (Endpoint(host='10.0.0.1', port=7001), Endpoint(host='10.0.0.2', port=7001))
    """
    parts = _split(url)
    secure, unix = SCHEMES[parts.scheme]
    options = _options(url, parts.query)
    database = options.get("database", "0" if unix else parts.path or "0")
    seeds = _seeds(url, parts)
    username, colon, said = parts.user.partition(":")
    limit = _seconds("timeout", options, timeout)
    return Target(
        seeds=seeds,
        username=unquote(username) or None,
        password=unquote(said) if colon else password,
        database=_database(url, database, len(seeds)),
        tls=_tls(url, options, tls, secure=secure),
        timeout=limit,
        patience=min(limit, _seconds("patience", options, 1.0)),
    )


def grid_in(url: str) -> str | None:
    """
    The name of the grid of this host that a URL asks the password of, if it does: `?grid=NAME`.

    Raises ConfigError where it says besides what only the grid's own files say.
    """
    parts = _split(url)
    options = _options(url, parts.query)
    name = options.get("grid")
    if name is not None:
        _, unix = SCHEMES[parts.scheme]
        database = options.get("database", "0" if unix else parts.path or "0")
        said = ["a user or a password"] if parts.user else []
        said += ["a database"] if database != "0" else []
        said += [repr(option) for option in ("ca", "cert", "key", "verify_host") if option in options]
        if said:
            want = f"one without {said[0]}: grid={name} takes that from the grid's own files; leave out one of the two"
            raise ConfigError("url", without_password(url), want)
    return name


def seeds_in(url: str) -> tuple[bool | None, tuple[Endpoint, ...]]:
    """Whether a URL means TLS, which of a unix socket nobody says, and the addresses that it names."""
    parts = _split(url)
    secure, unix = SCHEMES[parts.scheme]
    return None if unix else secure, _seeds(url, parts)


def times_in(url: str) -> dict[str, float]:
    """The times, in seconds, that a URL names: `timeout` and `patience`."""
    options = _options(url, _split(url).query)
    return {name: _seconds(name, options, 0) for name in ("timeout", "patience") if name in options}


class _Parts(NamedTuple):
    scheme: str
    user: str
    hosts: str
    path: str
    query: str


def _split(url: str) -> _Parts:
    # The standard library's urlsplit knows one host, and refuses several of them when some are in brackets.
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.lower() not in SCHEMES:
        raise ConfigError("url", without_password(url), f"one that begins with {', '.join(sorted(SCHEMES))}")
    address, _, query = rest.partition("?")
    place, _, path = address.partition("/")
    user, _, hosts = place.rpartition("@")
    if "#" in url or "@" in path or "@" in query:
        want = "one that has, in the user and the password, %2F for '/', %3F for '?', %23 for '#' and %40 for '@'"
        raise ConfigError("url", without_password(url), want)
    return _Parts(scheme.lower(), user, hosts, path, query)


def _seeds(url: str, parts: _Parts) -> tuple[Endpoint, ...]:
    if SCHEMES[parts.scheme][1]:
        return (_socket(url, parts),)
    return tuple(_endpoint(url, host) for host in parts.hosts.split(","))


def _socket(url: str, parts: _Parts) -> Endpoint:
    if parts.hosts or not parts.path:
        raise ConfigError("url", without_password(url), f"{parts.scheme}:///path/of/the/socket")
    return Endpoint("/" + unquote(parts.path), 0)


def _tls(url: str, options: Mapping[str, str], default: TlsFiles | None, *, secure: bool) -> TlsFiles | None:
    said = [name for name in ("ca", "cert", "key", "verify_host") if name in options]
    if said and not secure:
        raise ConfigError("url", without_password(url), f"valkeys://: without TLS, {said[0]} has no meaning")
    if not secure:
        return None
    default = default or TlsFiles()
    verify_host = options.get("verify_host", "yes" if default.verify_host else "no")
    if verify_host not in _YES_OR_NO:
        raise ConfigError("the option 'verify_host' in the url", verify_host, f"one of {', '.join(_YES_OR_NO)}")
    return TlsFiles(
        ca=options.get("ca", default.ca),
        cert=options.get("cert", default.cert),
        key=options.get("key", default.key),
        verify_host=_YES_OR_NO[verify_host],
    )


def _options(url: str, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    shown = without_password(url).partition("?")[0]  # what is unknown may be a password
    for name in options:
        if name not in _OPTIONS:
            near = difflib.get_close_matches(name, _OPTIONS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"the option {name!r} in the url {shown}", "...", f"one of {', '.join(_OPTIONS)}{hint}")
    return options


def _endpoint(url: str, text: str) -> Endpoint:
    match = HOST.fullmatch(text)
    port = int(match["port"] or _PORT) if match else 0
    if match is None or not 0 < port < 65_536:
        want = f"{url.partition(':')[0]}://host:port,host:port, with an IPv6 address in brackets"
        host, colon, _ = text.rpartition(":")
        if colon and ":" not in host:
            # What stands there may be a password whose host was forgotten, and is not shown.
            want = f"{want}; what follows {host + colon!r} is no port, from 1 to 65535"
        raise ConfigError("url", without_password(url), want)
    return Endpoint(match["address"] or unquote(match["host"]), port)


def _database(url: str, text: str, seeds: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError("url", without_password(url), f"one whose path is a database number, not {text!r}")
    if int(text) and seeds > 1:
        raise ConfigError("url", without_password(url), "one without a database number: a cluster has only database 0")
    return int(text)


def _seconds(name: str, options: Mapping[str, str], default: float) -> float:
    if name not in options:
        return seconds_of(name, default)
    said: float | str = options[name]
    with suppress(ValueError):  # such as "5s"
        said = float(said)
    return seconds_of(f"the option {name!r} in the url", said)
