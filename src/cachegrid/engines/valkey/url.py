"""URLs of Valkey and Redis: `valkey://[user[:password]@]host:port,host:port[/database][?...]`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from cachegrid._core.units import seconds_of
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target, TlsFiles
from cachegrid.errors import ConfigError

__all__ = ["SCHEMES", "grid_in", "parse", "without_password"]

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
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ConfigError("url", without_password(url), f"one that begins with {', '.join(sorted(SCHEMES))}")
    secure, unix = SCHEMES[parts.scheme]
    options = _options(url, parts.query)
    user, at, hosts = parts.netloc.rpartition("@")
    username, colon, said = user.partition(":")
    if unix:
        seeds: tuple[Endpoint, ...] = (Endpoint(unquote(hosts + parts.path), 0),)
        database = options.get("database", "0")
    else:
        seeds = tuple(_endpoint(url, host) for host in hosts.split(","))
        database = options.get("database", parts.path.strip("/") or "0")
    files = TlsFiles(
        ca=options.get("ca", tls.ca if tls else None),
        cert=options.get("cert", tls.cert if tls else None),
        key=options.get("key", tls.key if tls else None),
        verify_host=options.get("verify_host", "yes") not in ("no", "0", "false"),
    )
    return Target(
        seeds=seeds,
        username=unquote(username) or None if at else None,
        password=unquote(said) if colon else password,
        database=_database(url, database, len(seeds)),
        tls=files if secure else None,
        timeout=seconds_of("timeout", _number(options.get("timeout"), timeout)),
        patience=seconds_of("patience", _number(options.get("patience"), 1.0)),
    )


def grid_in(url: str) -> str | None:
    """The name of the grid of this host that a URL asks the password of, if it does: `?grid=NAME`."""
    return _options(url, urlsplit(url).query).get("grid")


def without_password(url: str) -> str:
    """
    A URL as it may be shown.

    >>> without_password("valkey://app:secret@h:1")
    'valkey://app:***@h:1'
    """
    scheme, mark, rest = url.partition("://")
    user, at, hosts = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    return f"{scheme}{mark}{name}{':***' if colon else ''}{at}{hosts}"


def _options(url: str, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS:
            near = difflib.get_close_matches(name, _OPTIONS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"the option {name!r} in the url", without_password(url), f"one of {', '.join(_OPTIONS)}{hint}"
            )
    return options


def _endpoint(url: str, text: str) -> Endpoint:
    host, colon, port = text.rpartition(":")
    if text.endswith("]") or not colon:  # [::1] or a bare name
        host, port = text, ""
    host = host.removeprefix("[").removesuffix("]")
    if not host or (port and not port.isdigit()) or not 0 < int(port or _PORT) < 65_536:
        raise ConfigError("url", without_password(url), f"valkey://host:port,host:port; {text!r} is no host and port")
    return Endpoint(host, int(port or _PORT))


def _database(url: str, text: str, seeds: int) -> int:
    if not text.isdigit():
        raise ConfigError("url", without_password(url), f"one whose path is a database number, not {text!r}")
    if int(text) and seeds > 1:
        raise ConfigError("url", without_password(url), "one without a database number: a cluster has only database 0")
    return int(text)


def _number(text: str | None, default: float) -> float | str:
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        return text  # such as "5s"
