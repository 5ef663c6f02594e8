# Generated from src/cachegrid/_aio/batchloads.py by tools/colour.py. Edit that file, then run `make colour`.
"""Reading many through: what is missing is loaded by one call, and kept as each of them would be alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, overload

from cachegrid._core.address import Key, unique
from cachegrid._core.miss import MISS, UNSAID
from cachegrid._core.tags import Tags, tags_in
from cachegrid._core.units import Span
from cachegrid._sio.fleets import SyncFleet
from cachegrid._sio.flights import Landed, is_loading
from cachegrid._sio.loads import Load, SyncLoads, Terms
from cachegrid._sio.outage import OUTAGE
from cachegrid.errors import ConfigError, EngineError
from cachegrid.waits._sio import together

if TYPE_CHECKING:
    from typing import Unpack

    from cachegrid.config import LoadRules

__all__ = ["SyncBatchLoads"]

K = TypeVar("K", bound=Key)
T = TypeVar("T")

_LoadMany: TypeAlias = Callable[[list[Any]], Mapping[Any, Any]]


class _Asked(NamedTuple):
    """What was said of a load of many."""

    load_many: _LoadMany
    terms: Terms
    tags: Tags | Callable[[Any], Tags]
    absent_as_none: bool


class SyncBatchLoads(SyncLoads):
    """Loads of many keys share their loads with others key by key."""

    if TYPE_CHECKING:

        def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]: ...

    @overload
    def get_or_load_many(
        self,
        keys: Iterable[K],
        load_many: Callable[[list[K]], Mapping[K, T]],
        *,
        ttl: Span = UNSAID,
        idle: Span = UNSAID,
        tags: Tags | Callable[[K], Tags] = (),
        when: Callable[[T], bool] | None = None,
        absent_as_none: bool = False,
        **rules: Unpack[LoadRules],
    ) -> dict[K, T]: ...
    @overload
    def get_or_load_many(
        self,
        keys: Iterable[Key],
        load_many: Callable[[list[Any]], Mapping[Any, T]],
        *,
        ttl: Span = UNSAID,
        idle: Span = UNSAID,
        tags: Tags | Callable[[Any], Tags] = (),
        when: Callable[[T], bool] | None = None,
        absent_as_none: bool = False,
        **rules: Unpack[LoadRules],
    ) -> dict[Key, T]: ...
    def get_or_load_many(
        self,
        keys: Iterable[Any],
        load_many: _LoadMany,
        *,
        ttl: Span = UNSAID,
        idle: Span = UNSAID,
        tags: Tags | Callable[[Any], Tags] = (),
        when: Callable[[Any], bool] | None = None,
        absent_as_none: bool = False,
        **rules: Unpack[LoadRules],
    ) -> dict[Any, Any]:
        """
        The values of entries, in the order asked for; those that are missing come from `load_many(missing)`.

        That is called once, with a list of those that nobody else in the grid is loading, and returns a mapping of what
        it found. The others are waited for, at most `wait` of the cache's policy (then LoadTimeout); where who loads
        them fails, they are loaded here. Each is kept, or not, as `get_or_load` would; if one cannot be encoded, none
        is. A key that the mapping lacks has no value here and is not kept, or, with `absent_as_none`, has the value
        None, for which `negative_ttl` holds. `tags` are those of all, or a function of the key that gives its tags.
        """
        keys = unique(keys)
        try:
            values = self.get_many(keys)
        except OUTAGE as trouble:
            return self._load_many_past(keys, load_many, trouble)
        terms = Terms(ttl, idle, () if callable(tags) else tags_in(tags), self._rules_said(rules), when)
        asked = _Asked(load_many, terms, tags, absent_as_none)
        if self._due:
            for key, value in values.items():
                if key in self._due:
                    self._served(key, value, *self._alone(key, asked))
        missing = [key for key in keys if key not in values]
        if not missing:
            return values
        values |= self._load_missing(missing, asked)
        return {key: values[key] for key in keys if key in values}

    def _load_missing(self, keys: list[Key], asked: _Asked) -> dict[Key, Any]:
        if not callable(asked.load_many):
            raise ConfigError("load_many", asked.load_many, "a function that takes keys, and gives a mapping of values")
        self._check_terms(asked.terms)
        try:
            space = self._settle()
        except OUTAGE as trouble:
            return self._load_many_past(keys, asked.load_many, trouble)
        addressed = dict(zip(space.addresses(keys), keys, strict=True))
        own = [key for address, key in addressed.items() if is_loading(address)]
        # The loader asks for its own keys: it must not wait for itself.
        values = {} if not own else self._asked_of(own, asked.load_many)
        loads: dict[bytes, Load] = {}
        for address, key in addressed.items():
            if not own or not is_loading(address):
                loader, terms = self._alone(key, asked)
                loads[address] = Load(key, space, address, terms, loader)
        try:
            frames = self._hub.flights.land_many(self._fleet(loads, asked))
        except OUTAGE as trouble:
            if any(load.has_begun for load in loads.values()):  # it is the loader's own
                raise
            return values | self._load_many_past([load.key for load in loads.values()], asked.load_many, trouble)
        return values | {loads[address].key: self._outcome(loads[address], frame) for address, frame in frames.items()}

    def _alone(self, key: Key, asked: _Asked) -> tuple[Callable[[], Any], Terms]:
        """How one of them is loaded by itself, and on what terms."""

        def load() -> Any:
            found = self._told(asked.load_many, [key])
            if key not in found and not asked.absent_as_none:
                raise LookupError(f"load_many has no value for {key!r} any more")
            return found.get(key)

        terms = asked.terms
        return load, terms._replace(tags=tags_in(asked.tags(key))) if callable(asked.tags) else terms

    def _fleet(self, loads: dict[bytes, Load], asked: _Asked) -> SyncFleet:
        def store(address: bytes, frame: bytes, token: bytes | None) -> Landed:
            return self._store_loaded(loads[address], frame, token)

        return SyncFleet(
            addresses=list(loads),
            look=partial(self._look_many, loads),
            load=partial(self._ask_origin_many, loads, asked),
            store=store,
            leases=None if "leases" in self._hub.lacking else self._engine,
            lease=self._lease,
            wait=self._wait,
        )

    def _look_many(self, loads: dict[bytes, Load], addresses: list[bytes]) -> dict[bytes, bytes]:
        if self._idle is None:
            raws = self._sure.fetch_many(addresses)
        else:
            raws = self._sure.fetch_idle_many(addresses, self._idle)
        self._learn_tags(raws)
        seen = [self._look_at(loads[address], raw) for address, raw in zip(addresses, raws, strict=True)]
        return {address: raw for address, raw in zip(addresses, seen, strict=True) if raw is not None}

    def _ask_origin_many(self, loads: dict[bytes, Load], asked: _Asked, addresses: list[bytes]) -> dict[bytes, bytes]:
        """The frames of what the loader gives."""
        wanted = [loads[address] for address in addresses]
        together([partial(self._before_load, load) for load in wanted])
        began = time.monotonic()
        try:
            found = self._told(asked.load_many, [load.key for load in wanted])
        except Exception as error:
            together([partial(self._remember, load, error) for load in wanted])
            raise
        seconds = time.monotonic() - began
        frames: dict[bytes, bytes] = {}
        for load in wanted:
            value = found.get(load.key, None if asked.absent_as_none else MISS)
            if value is not MISS:
                frames[load.address] = self._loaded(load, value, seconds)
        return frames

    def _told(self, load_many: _LoadMany, keys: list[Any]) -> Mapping[Any, Any]:
        """What the loader of many gives for some keys. Raises ConfigError for what is no mapping."""
        found = self._count_load(partial(self._call, partial(load_many, keys)))
        if not isinstance(found, Mapping):
            raise ConfigError(f"what load_many for {self.name!r} gave", found, "a mapping of each key to its value")
        return found

    def _asked_of(self, keys: list[Key], load_many: _LoadMany) -> dict[Key, Any]:
        found = self._told(load_many, keys)
        return {key: found[key] for key in keys if key in found}

    def _load_many_past(self, keys: list[Key], load_many: _LoadMany, trouble: EngineError) -> dict[Key, Any]:
        """What the loader gives, where the policy lets loads go past a grid in trouble; else raises the trouble."""
        self._met(trouble)
        if self.policy.on_outage != "load":
            raise trouble
        self._outage.note(trouble)
        self._counters.outage_loads += 1
        found = self._asked_of(keys, load_many)
        for key in found if self._voice.kinds else ():
            self._tell("loaded", key)
        return found
