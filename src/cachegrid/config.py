"""
Settings: frozen, checked once, from one of four places.

What an argument says wins, then the environment (`CACHEGRID_*`), then `cachegrid.toml` (or `[tool.cachegrid]` in
`pyproject.toml`) in the working folder or the nearest folder above it, then the defaults. A name that nobody knows is
an error that names the nearest known one.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypedDict, cast

from cachegrid._core.address import check_name
from cachegrid._core.bounds import Bound
from cachegrid._core.durability import Durability
from cachegrid._core.rules import GRACE_AND_IDLE, Rules
from cachegrid._core.shown import without_password
from cachegrid._core.units import Duration, Size, bytes_of, milliseconds, seconds_of
from cachegrid.errors import ConfigError

__all__ = [
    "CachePolicy",
    "NearPolicy",
    "PolicySaid",
    "Settings",
    "SettingsSaid",
    "load_settings",
    "policy_from",
    "policy_said",
    "unknown",
]

DEFAULT_NAME: Final = "default"
PYPROJECT: Final = "pyproject.toml"
# Read by the parts that start, find and join grids, not settings of a connection.
_ELSEWHERE: Final = {"CACHEGRID_CONFIG", "CACHEGRID_SERVER", "CACHEGRID_STATE", "CACHEGRID_TOKEN", "CACHEGRID_CI"}
_TEXTS: Final = ("url", "name", "namespace", "secret", "ca", "cert", "key")
_FILES: Final = ("ca", "cert", "key")
_SHORTEST_SECRET: Final = 16
_SMALLEST_BOUND: Final = 64 << 10  # bytes of a whole cache in the grid
_SMALLEST_ROOM: Final = 16 << 10  # bytes of all near copies
_SHORTEST_STALENESS: Final = 0.01  # seconds; owners are asked for a proof four times in it
_DURABILITIES: Final = ("memory", "replicated", "disk")
_CHOICES: Final = {"stale_reads": ("failover", "never"), "on_outage": ("raise", "load"), "on_full": ("raise", "skip")}
_SPANS: Final = ("grace", "negative_ttl", "failure_ttl")  # of loads: times that are off unless they are said
_SHARES: Final = {"early": 100.0, "jitter": 1.0}  # numbers from 0, and the most that they may be
_SHORTEST_SHARE: Final = 0.1  # seconds between two times that a process tells what it counted
_VARIABLES: Final = ("url", "name", "namespace", "timeout", "secret", "ca", "cert", "key", "share_stats")


@dataclass(frozen=True, slots=True, kw_only=True)
class NearPolicy:
    """What a cache keeps of its entries in this process."""

    max_bytes: Size = "64MiB"  # of all copies, with what it takes to keep them
    max_entries: int = 100_000
    max_staleness: Duration = "1s"  # how long a copy is handed out without proof that its entry is unchanged
    share: bool = False  # hand out the same object to all, also where they could change it
    absent: bool = False  # keep also that there is no entry

    def __post_init__(self) -> None:
        if bytes_of("near.max_bytes", self.max_bytes) < _SMALLEST_ROOM:
            want = '"16KiB" or more, since a single copy may take a tenth of it, and one of 1 kB takes 1.5 kB'
            raise ConfigError("near.max_bytes", self.max_bytes, want)
        if seconds_of("near.max_staleness", self.max_staleness) < _SHORTEST_STALENESS:
            want = '"10ms" or more, since each owner is asked for a proof four times in it, also while nobody reads'
            raise ConfigError("near.max_staleness", self.max_staleness, want)
        if not isinstance(self.max_entries, int) or isinstance(self.max_entries, bool) or self.max_entries < 1:
            raise ConfigError("near.max_entries", self.max_entries, "a whole number from 1 on, and no text")
        for name in ("share", "absent"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"near.{name}", getattr(self, name), "true or false")

    def __repr__(self) -> str:
        """What differs from the defaults."""
        return _shown(self)

    def meant(self) -> tuple[object, ...]:
        """What is said, however it was written."""
        size, time = bytes_of("size", self.max_bytes), seconds_of("time", self.max_staleness)
        return size, self.max_entries, time, self.share, self.absent


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
    durability: str = "memory"  # what a write waits for: memory, replicated or disk
    replicas: int | None = None  # how many replicas shall have applied it; "replicated" is 1
    near: NearPolicy | Mapping[str, Any] | bool | None = None  # whether copies are kept in this process, and how
    stale_reads: str = "failover"  # a replica answers while the owner is away; or never
    on_outage: str = "raise"  # while the grid cannot answer; or load: loaders and cached functions run, nothing is kept
    on_full: str = "raise"  # where a member has no room for a value; or skip: it is not stored
    grace: Duration | None = None  # for how long loads serve a value after its end, while one of them loads it anew
    early: float = 0.0  # how eagerly loads begin anew before a value's end; 1 is a good measure, 0 is not at all
    jitter: float = 0.0  # the share of its ttl by which an entry may end sooner, so that not all end at once
    negative_ttl: Duration | None = None  # how long a None that was loaded lives, in place of ttl
    failure_ttl: Duration | None = None  # how long the failure of a load is remembered, and raised to others
    max_entries: int | None = None  # how many entries the grid keeps of this cache, about; None: as it has room for
    max_bytes: Size | None = None  # how much memory they take there, about

    def __post_init__(self) -> None:
        for name in ("ttl", "idle", *_SPANS):
            if getattr(self, name) is not None:
                milliseconds(name, getattr(self, name))
        for name, most in _SHARES.items():
            said: object = getattr(self, name)
            if not isinstance(said, (int, float)) or isinstance(said, bool) or not 0 <= said <= most:
                raise ConfigError(name, said, f"a number from 0, which is off, to {most}")
        for name in ("lease", "wait"):
            seconds_of(name, getattr(self, name))
        bytes_of("max_value", self.max_value)
        if self.compress is not None:
            bytes_of("compress", self.compress)
        if self.max_bytes is not None and bytes_of("max_bytes", self.max_bytes) < _SMALLEST_BOUND:
            raise ConfigError("max_bytes", self.max_bytes, '"64KiB" or more; it bounds a whole cache in the grid')
        entries: object = self.max_entries
        if entries is not None and (not isinstance(entries, int) or isinstance(entries, bool) or entries < 1):
            raise ConfigError("max_entries", entries, "a whole number from 1 on, and no text")
        if self.codec not in ("plain", "json", "raw", "pickle"):
            raise ConfigError("codec", self.codec, "plain, json, raw or pickle")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(name, getattr(self, name), " or ".join(known))
        self._check_durability()
        object.__setattr__(self, "near", _near_from(self.near))

    def _check_durability(self) -> None:
        if self.durability not in _DURABILITIES:
            raise ConfigError("durability", self.durability, "memory, replicated or disk")
        replicas = self.replicas
        if replicas is not None and (not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0):
            raise ConfigError("replicas", replicas, "a whole number from 0 on: how many replicas a write waits for")
        if self.durability == "replicated" and replicas is None:
            object.__setattr__(self, "replicas", 1)
        elif self.durability == "replicated" and not replicas:
            raise ConfigError("replicas", replicas, '1 or more where durability is "replicated"')
        elif self.durability == "memory" and replicas:
            object.__setattr__(self, "durability", "replicated")

    @property
    def rules(self) -> Rules:
        """What holds for loads besides the times of an entry; in ms."""
        spans = {name: None if (span := getattr(self, name)) is None else milliseconds(name, span) for name in _SPANS}
        return Rules(spans["grace"], self.early, self.jitter, spans["negative_ttl"], spans["failure_ttl"])

    @property
    def bound(self) -> Bound:
        """The most that the grid keeps of the cache."""
        return Bound(self.max_entries, None if self.max_bytes is None else bytes_of("max_bytes", self.max_bytes))

    @property
    def waits_for(self) -> Durability:
        """What a write waits for before it returns."""
        return Durability(self.replicas or 0, self.durability == "disk")

    def __repr__(self) -> str:
        """What differs from the defaults."""
        return _shown(self)

    def changed(self, **changes: Any) -> CachePolicy:
        """
        The policy with some settings said anew; an unknown one is a ConfigError.

        With `near`, True takes what the policy has, if it has any, and a table changes only what it names. A new
        `durability` takes the place of `replicas`, too; new `replicas` leave "disk" as it is.
        """
        _check_names("", changes, _names(CachePolicy))
        if "durability" in changes:
            changes.setdefault("replicas", None)
        elif "replicas" in changes and self.durability == "replicated":
            changes["durability"] = "memory"  # becomes replicated where they are some
        if "near" in changes:
            changes["near"] = _near_from(changes["near"], cast("NearPolicy | None", self.near))
        return dataclasses.replace(self, **changes)

    def of_a_cache(self) -> Self:
        """The policy itself. Raises ConfigError where no entry of a cache that has it could be kept near."""
        if self.near is not None and self.idle is not None:
            # A function's results may have an idle time of their own: the cache keeps others near.
            want = (
                "off where the cache has an idle time: every read begins that anew at the owner, so no copy could be "
                "handed out; leave out near or idle, or take one cache for each"
            )
            raise ConfigError("near", True, want)
        return self.of_loads()

    def of_loads(self) -> Self:
        """The policy itself. Raises ConfigError where what it says of loads would be without effect."""
        if self.grace is not None and self.idle is not None:
            raise ConfigError("grace", self.grace, GRACE_AND_IDLE)
        return self

    def means_the_same_as(self, other: CachePolicy) -> bool:
        """Whether the settings are the same, however they were written: 60, "60s" or "1m"."""
        return self._meant() == other._meant()

    def _meant(self) -> tuple[object, ...]:
        times = [self.ttl, self.idle, self.lease, self.wait]
        sizes = [self.compress, self.max_value]
        return (
            self.codec,
            self.waits_for,
            self.rules,
            self.bound,
            *[getattr(self, name) for name in _CHOICES],
            self.near and self.near.meant(),  # type: ignore[union-attr] # it was made one when it was set
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
    secret: str | None = None  # signs pickled values; a local grid has one of its own
    ca: str | None = None  # PEM files for valkeys://
    cert: str | None = None
    key: str | None = None
    share_stats: Duration | None = None  # how often what is counted here is put into the grid; None: not at all
    caches: Mapping[str, CachePolicy] = field(default_factory=dict)
    # Where `url` and `name` were said, if not in an argument: whoever finds out that they are wrong can tell.
    places: Mapping[str, str] = field(default_factory=dict, init=False, compare=False)

    def __post_init__(self) -> None:
        for name in _FILES:
            if isinstance(said := getattr(self, name), os.PathLike):
                object.__setattr__(self, name, os.fspath(said))
        for name in _TEXTS:
            said = getattr(self, name)
            if said is not None and not isinstance(said, str):
                raise ConfigError(name, "***" if name == "secret" else said, "text")
        if self.secret is not None and len(self.secret) < _SHORTEST_SECRET:
            want = f"{_SHORTEST_SECRET} characters or more, such as secrets.token_hex(32) gives"
            raise ConfigError("secret", "***", want)
        seconds_of("timeout", self.timeout)
        if self.share_stats is not None and seconds_of("share_stats", self.share_stats) < _SHORTEST_SHARE:
            want = '"100ms" or more, such as "10s": each time takes three trips to the grid'
            raise ConfigError("share_stats", self.share_stats, want)
        check_name("namespace", self.namespace)
        if self.name is not None:
            check_name("name", self.name)
        if not isinstance(self.caches, Mapping):
            raise ConfigError("caches", self.caches, "a table with one table for each cache")
        checked = {check_name("caches", name): policy_from(f"caches.{name}", it) for name, it in self.caches.items()}
        object.__setattr__(self, "caches", checked)

    def without_sharing(self) -> Settings:
        """The same for who only looks: what that counts is of no concern to others."""
        quiet = dataclasses.replace(self, share_stats=None)
        object.__setattr__(quiet, "places", self.places)
        return quiet

    def __repr__(self) -> str:
        """What differs from the defaults, without passwords."""
        hidden = {"secret": "***", "url": without_password(self.url or "")}
        said = {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if item.init and getattr(self, item.name) != getattr(_DEFAULTS, item.name)
        }
        return f"Settings({', '.join(f'{name}={hidden.get(name, value)!r}' for name, value in said.items())})"


_DEFAULTS: Final = Settings()


class PolicySaid(TypedDict, total=False):
    """Settings of a cache as arguments of `grid.cache`; see `CachePolicy`."""

    ttl: Duration | None
    idle: Duration | None
    codec: str
    compress: Size | None
    max_value: Size
    lease: Duration
    wait: Duration
    durability: str
    replicas: int | None
    near: NearPolicy | Mapping[str, Any] | bool | None
    stale_reads: str
    on_outage: str
    on_full: str
    grace: Duration | None
    early: float
    jitter: float
    negative_ttl: Duration | None
    failure_ttl: Duration | None
    max_entries: int | None
    max_bytes: Size | None


class LoadRules(TypedDict, total=False):
    """Rules of a single load as arguments of `get_or_load`; see `CachePolicy`."""

    grace: Duration | None
    early: float
    jitter: float
    negative_ttl: Duration | None
    failure_ttl: Duration | None


class SettingsSaid(TypedDict, total=False):
    """Settings as arguments of `connect`; None leaves one to the environment, the file and the defaults."""

    namespace: str | None
    timeout: Duration | None
    secret: str | None
    ca: str | os.PathLike[str] | None
    cert: str | os.PathLike[str] | None
    key: str | os.PathLike[str] | None
    share_stats: Duration | None
    caches: Mapping[str, CachePolicy | Mapping[str, Any]] | None


def load_settings(
    url: str | None = None,
    name: str | None = None,
    config: Settings | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    said: Mapping[str, Any] | None = None,
) -> Settings:
    """
    The settings that hold. `config` is a file, a mapping like the file's content, or ready Settings.

    `said` are further settings by name. Raises ConfigError for an unknown name, a value that cannot be used, or a file
    that cannot be read; it says where that was found. So it does for both a URL and a name, which say the same thing.
    """
    arguments = {name: it for name, it in {"url": url, "name": name, **(said or {})}.items() if it is not None}
    if url is not None and name is not None:
        raise ConfigError("name", name, "left out where a url is said: each of the two says which grid is meant")
    if isinstance(config, Settings):
        levels = [_Level({item: getattr(config, item) for item in _names(Settings)}, config.places)]
    else:
        levels = [_from_config(config, environ, folder), _from_environment(environ)]
    return _merged([*levels, _level(arguments, str)])


class _Level(NamedTuple):
    """What one place says, and what URL and name are called there."""

    said: Mapping[str, Any]
    places: Mapping[str, str]


def _level(said: object, called: Callable[[str], str]) -> _Level:
    """What a place says, checked; `called` tells what a setting is called there, as errors shall name it."""
    if not isinstance(said, Mapping):
        raise ConfigError(called("settings"), said, "a table of settings")
    for name in said:
        if name not in _names(Settings):
            raise unknown(called("").rstrip(":. "), "setting", name, _names(Settings))
    try:
        Settings(**said)
    except ConfigError as error:
        raise error.renamed(called(error.name)) from error
    return _Level(said, {name: called(name) for name in ("url", "name") if name in said and called is not str})


def _merged(levels: Iterable[_Level]) -> Settings:
    """The settings of several places, the farthest first."""
    merged: dict[str, Any] = {}
    places: dict[str, str] = {}
    for said, own_places in levels:
        # Both say which grid is meant: a name that was said nearer by outweighs a URL from further away, and so on.
        for nearer, farther in (("name", "url"), ("url", "name")):
            if nearer in said and farther not in said:
                merged.pop(farther, None)
        caches = {**merged.get("caches", {}), **said.get("caches", {})}
        merged |= {**said, "caches": caches}
        places = {name: place for name, place in places.items() if name not in said} | dict(own_places)
    settings = Settings(**merged)
    object.__setattr__(settings, "places", places)
    return settings


def _near_from(said: object, declared: NearPolicy | None = None) -> NearPolicy | None:
    if isinstance(said, NearPolicy):
        return said
    declared = declared or NearPolicy()
    if isinstance(said, Mapping):
        _check_names("near", said, _names(NearPolicy))
        return dataclasses.replace(declared, **said)
    if said is None or isinstance(said, bool):
        return declared if said else None
    raise ConfigError("near", said, 'true, false, a table such as {"max_bytes": "16MB"}, or a NearPolicy')


def policy_from(where: str, table: object) -> CachePolicy:
    """The policy in a table of a settings file; `where` is its name there."""
    if not isinstance(table, (CachePolicy, Mapping)):
        raise ConfigError(where, table, "a table of settings")
    if isinstance(table, Mapping):
        _check_names(where, table, _names(CachePolicy))
    try:
        return (table if isinstance(table, CachePolicy) else CachePolicy(**table)).of_a_cache()
    except ConfigError as error:
        raise error.renamed(f"{where}.{error.name}") from error


def policy_said(cache: str, policy: CachePolicy, said: Mapping[str, Any]) -> CachePolicy:
    """The policy of a cache, with what a program says of it besides; a ConfigError names the cache."""
    try:
        return policy.changed(**said).of_a_cache()
    except ConfigError as error:
        raise error.renamed(f"cache {cache!r}: {error.name}") from error


def unknown(where: str, what: str, name: str, known: Collection[str]) -> ConfigError:
    """The error for a name that nobody knows, at some place; it names the nearest known one."""
    return ConfigError.unknown(f"{where}: unknown {what}" if where else f"unknown {what}", name, known)


def _from_config(config: object, environ: Mapping[str, str], folder: Path | None) -> _Level:
    if isinstance(config, Mapping):
        return _level(config, "config: {}".format)
    if config is None:
        config = environ.get("CACHEGRID_CONFIG") or None
    if isinstance(config, (str, os.PathLike)):
        return _from_file(Path(config)) or _Level({}, {})
    if config is not None:
        raise ConfigError("config", config, "a path, a mapping or Settings")
    folder = folder or Path.cwd()
    for place in (folder, *folder.parents):
        for name in ("cachegrid.toml", PYPROJECT):
            if (path := place / name).is_file() and (found := _from_file(path)) is not None:
                return found
    return _Level({}, {})


def _from_file(path: Path) -> _Level | None:
    """What a file says; None for a `pyproject.toml` that does not mention us."""
    table, prefix = _read(path), ""
    if path.name == PYPROJECT:
        tools = table.get("tool", {})
        table, prefix = tools.get("cachegrid") if isinstance(tools, Mapping) else None, "tool.cachegrid."
    return None if table is None else _level(table, lambda name: f"{path}: {prefix}{name}")


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError("config", str(path), f"a file that can be read ({error.strerror})") from error
    except tomllib.TOMLDecodeError as error:
        is_twice = any(words in str(error) for words in ("overwrite a value", "twice"))
        hint = ": this was said before; of `near = true` and a table `[caches.NAME.near]`, too, use one of the two"
        raise ConfigError("config", str(path), f"valid TOML ({error}{hint if is_twice else ''})") from error


def _from_environment(environ: Mapping[str, str]) -> _Level:
    known = {f"CACHEGRID_{name.upper()}": name for name in _VARIABLES}
    found: dict[str, Any] = {}
    for variable, value in environ.items():
        if not value:  # how a shell, or a file of them, says that it is not set
            continue
        if variable in known:
            found[known[variable]] = value
        elif variable.startswith("CACHEGRID_") and variable not in _ELSEWHERE:
            raise unknown("", "environment variable", variable, [*known, *_ELSEWHERE - {"CACHEGRID_CI"}])
    return _level(found, lambda name: f"CACHEGRID_{name.upper()}")


def _shown(policy: CachePolicy | NearPolicy) -> str:
    said = [
        f"{item.name}={value!r}"
        for item in dataclasses.fields(policy)
        if (value := getattr(policy, item.name)) != item.default
    ]
    return f"{type(policy).__name__}({', '.join(said)})"


def _names(settings: type[Settings | CachePolicy | NearPolicy]) -> list[str]:
    return [item.name for item in dataclasses.fields(settings) if item.init]


def _check_names(where: str, said: Iterable[str], known: list[str]) -> None:
    for name in said:
        if name not in known:
            raise unknown(where, "setting", name, known)
