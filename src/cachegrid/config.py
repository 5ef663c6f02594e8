"""
Settings: frozen, checked once, from one of four places.

What an argument says wins, then the environment (`CACHEGRID_*`), then `cachegrid.toml` (or `[tool.cachegrid]` in
`pyproject.toml`) in the working folder or the nearest folder above it, then the defaults. A name that nobody knows is
an error that names the nearest known one.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cachegrid._core.address import check_name
from cachegrid._core.units import Duration, Size, bytes_of, milliseconds, seconds_of
from cachegrid.errors import ConfigError

__all__ = ["CachePolicy", "Settings", "load_settings", "policy_from", "unknown"]

DEFAULT_NAME: Final = "default"
PYPROJECT: Final = "pyproject.toml"
# Read by the parts that start and find grids, not settings of a connection.
_ELSEWHERE: Final = {"CACHEGRID_CONFIG", "CACHEGRID_SERVER", "CACHEGRID_STATE", "CACHEGRID_CI"}
_TEXTS: Final = ("url", "name", "namespace", "secret", "ca", "cert", "key")
_VARIABLES: Final = ("url", "name", "namespace", "timeout", "secret", "ca", "cert", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """What holds for every entry of a named cache, unless a call says otherwise."""

    ttl: Duration | None = None  # how long an entry lives; None: until dropped or evicted
    idle: Duration | None = None  # how long it lives without being read
    codec: str = "plain"  # plain, json, raw or pickle
    compress: Size | None = "4KiB"  # encoded values from this size on are compressed where it pays; None: never
    max_value: Size = "64MiB"  # the largest encoded value
    lease: Duration = "5s"  # a load's lease in the grid; renewed while the loader works
    wait: Duration = "30s"  # how long a caller waits for somebody else's load

    def __post_init__(self) -> None:
        for name in ("ttl", "idle"):
            if getattr(self, name) is not None:
                milliseconds(name, getattr(self, name))
        for name in ("lease", "wait"):
            seconds_of(name, getattr(self, name))
        bytes_of("max_value", self.max_value)
        if self.compress is not None:
            bytes_of("compress", self.compress)
        if self.codec not in ("plain", "json", "raw", "pickle"):
            raise ConfigError("codec", self.codec, "plain, json, raw or pickle")

    def changed(self, **changes: Any) -> CachePolicy:
        """The policy with some settings said anew; an unknown one is a ConfigError."""
        _check_names("", changes, _names(CachePolicy))
        return dataclasses.replace(self, **changes)

    def means_the_same_as(self, other: CachePolicy) -> bool:
        """Whether the settings are the same, however they were written: 60, "60s" or "1m"."""
        return self._meant() == other._meant()

    def _meant(self) -> tuple[object, ...]:
        times = [self.ttl, self.idle, self.lease, self.wait]
        sizes = [self.compress, self.max_value]
        return (
            self.codec,
            *[None if time is None else milliseconds("time", time) for time in times],
            *[None if size is None else bytes_of("size", size) for size in sizes],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to reach a grid, and the policies of its caches."""

    url: str | None = None
    name: str | None = None  # of a grid on this host
    namespace: str = "cg"  # what all addresses begin with, so that several applications can share a server
    timeout: Duration = "5s"  # the deadline of a call, all its retries included
    secret: str | None = field(default=None, repr=False)  # signs pickled values; a local grid has one of its own
    ca: str | None = None  # PEM files for valkeys://
    cert: str | None = None
    key: str | None = None
    caches: Mapping[str, CachePolicy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _TEXTS:
            said = getattr(self, name)
            if said is not None and not isinstance(said, str):
                raise ConfigError(name, "***" if name == "secret" else said, "text")
        seconds_of("timeout", self.timeout)
        check_name("namespace", self.namespace)
        if self.name is not None:
            check_name("name", self.name)
        checked = {check_name("caches", name): policy_from(f"caches.{name}", it) for name, it in self.caches.items()}
        object.__setattr__(self, "caches", checked)


def load_settings(
    url: str | None = None,
    name: str | None = None,
    config: Settings | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Settings:
    """
    The settings that hold. `config` is a file, a mapping like the file's content, or ready Settings.

    Raises ConfigError for an unknown name, a value that cannot be used, or a file that cannot be read.
    """
    said = {key: value for key, value in (("url", url), ("name", name)) if value is not None}
    if isinstance(config, Settings):
        levels = [{item: getattr(config, item) for item in _names(Settings)}, said]
    else:
        levels = [_from_config(config, environ, folder), _from_environment(environ), said]
    merged: dict[str, Any] = {}
    for level in levels:  # the farthest first
        # Both say which grid is meant: a name that was said nearer by outweighs a URL from further away, and so on.
        for nearer, farther in (("name", "url"), ("url", "name")):
            if nearer in level and farther not in level:
                merged.pop(farther, None)
        merged |= level
    return Settings(**merged)


def policy_from(where: str, table: object) -> CachePolicy:
    """The policy in a table of a settings file; `where` is its name there."""
    if isinstance(table, CachePolicy):
        return table
    if not isinstance(table, Mapping):
        raise ConfigError(where, table, "a table of settings")
    _check_names(where + ".", table, _names(CachePolicy))
    return CachePolicy(**table)


def unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name that nobody knows; it names the nearest known one."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return ConfigError(what, name, f"a name that is known; {hint}")


def _from_config(config: object, environ: Mapping[str, str], folder: Path | None) -> dict[str, Any]:
    if isinstance(config, Mapping):
        return _checked("config", config)
    if config is None:
        config = environ.get("CACHEGRID_CONFIG") or None
    if isinstance(config, (str, os.PathLike)):
        return _from_file(Path(config)) or {}
    if config is not None:
        raise ConfigError("config", config, "a path, a mapping or Settings")
    folder = folder or Path.cwd()
    for place in (folder, *folder.parents):
        for name in ("cachegrid.toml", PYPROJECT):
            if (path := place / name).is_file() and (found := _from_file(path)) is not None:
                return found
    return {}


def _from_file(path: Path) -> dict[str, Any] | None:
    """What a file says; None for a `pyproject.toml` that does not mention us."""
    table = _read(path)
    if path.name == PYPROJECT:
        table = table.get("tool", {}).get("cachegrid")
    return None if table is None else _checked(str(path), table)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError("config", str(path), f"a file that can be read ({error.strerror})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("config", str(path), f"valid TOML ({error})") from error


def _checked(where: str, table: object) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise ConfigError(where, table, "a table of settings")
    _check_names(f"{where}: ", table, _names(Settings))
    checked = dict(table)
    caches = checked.get("caches", {})
    if not isinstance(caches, Mapping):
        raise ConfigError(f"{where}: caches", caches, "a table with one table for each cache")
    checked["caches"] = {name: policy_from(f"{where}: caches.{name}", policy) for name, policy in caches.items()}
    return checked


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {f"CACHEGRID_{name.upper()}": name for name in _VARIABLES}
    found: dict[str, Any] = {}
    for variable, value in environ.items():
        if not value:  # how a shell, or a file of them, says that it is not set
            continue
        if variable in known:
            found[known[variable]] = value
        elif variable.startswith("CACHEGRID_") and variable not in _ELSEWHERE:
            raise unknown("environment variable", variable, [*known, *_ELSEWHERE - {"CACHEGRID_CI"}])
    return found


def _names(settings: type[Settings | CachePolicy]) -> list[str]:
    return [item.name for item in dataclasses.fields(settings)]


def _check_names(where: str, said: Iterable[str], known: list[str]) -> None:
    for name in said:
        if name not in known:
            raise unknown(f"{where}setting", name, known)
