# Generated from src/cachegrid/_aio/loads.py by tools/colour.py. Edit that file, then run `make colour`.
"""Reading through: what is not there is loaded, once, and kept unless something newer came in between."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter  # not the clock that entries end by, and that tests set
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from cachegrid._core.address import Key, Space
from cachegrid._core.ages import AGES
from cachegrid._core.ends import Ends, ends_in, is_over
from cachegrid._core.frame import FAILURE, unpack, version_of
from cachegrid._core.glances import is_unproven
from cachegrid._core.judges import check_judge
from cachegrid._core.miss import MISS, UNSAID
from cachegrid._core.rules import GRACE_AND_IDLE, Rules
from cachegrid._core.tags import Tags, tags_in
from cachegrid._core.units import Span
from cachegrid._sio.changes import SyncChanges
from cachegrid._sio.flights import UNLEASED, Landed, SyncLanding, is_loading, is_spoiled, reload_of
from cachegrid._sio.outage import OUTAGE
from cachegrid._sio.tagbook import NO_STAMPS, Stamped, holds
from cachegrid.config import policy_said
from cachegrid.errors import (
    ConfigError,
    EngineError,
    EngineTimeout,
    FrameError,
    GridFull,
    LoadFailed,
    NotDurable,
    OutcomeUnknown,
    Unreachable,
    WritesRefused,
)

if TYPE_CHECKING:
    from typing import Unpack

    from cachegrid.config import LoadRules

__all__ = ["Load", "SyncLoads", "Terms"]

T = TypeVar("T")
_LONGEST_STORY: Final = 500  # characters of an error that is remembered
# Why a value that was loaded is not kept, and given to its callers nevertheless: the grid's affair, and it passes.
_PASSING: Final = (EngineTimeout, GridFull, NotDurable, OutcomeUnknown, Unreachable, WritesRefused)


@dataclass(slots=True)
class Load:
    """One caller's way to a value: from the grid, if it is there by now, or from the origin."""

    key: Key
    space: Space
    address: bytes
    terms: Terms
    loader: Callable[[], Any]
    reloads: bytes | None = None  # the version of what is served meanwhile, where it is loaded anew
    ends: Ends | None = None  # of the value, once it is known
    stamped: Stamped = NO_STAMPS
    is_damaged: bool = False  # what is there
    is_stale: bool = False  # what is handed out: past its end
    replaces: bytes | None = None  # the version of what is there, and dead
    is_kept: bool = True  # what was loaded
    began: float = field(default_factory=perf_counter)  # when its caller came, in seconds
    has_begun: bool = False
    has_loaded: bool = False
    value: object = MISS  # decoded, or as the loader gave it


class Terms(NamedTuple):
    """What was said of a load: the times of what it gives, its tags, the rules, and what of it is kept."""

    ttl: Span
    idle: Span
    tags: tuple[bytes, ...]
    rules: Rules
    when: Callable[[Any], bool] | None


class SyncLoads(SyncChanges):
    """Loads are shared by all callers in the grid."""

    if TYPE_CHECKING:
        is_async: bool
        other_way: str

    def get_or_load(
        self,
        key: Key,
        loader: Callable[[], T],
        *,
        ttl: Span = UNSAID,
        idle: Span = UNSAID,
        tags: Tags = (),
        when: Callable[[T], bool] | None = None,
        **rules: Unpack[LoadRules],
    ) -> T:
        """
        The value of an entry; where there is none, `loader()` is called and its result stored.

        However many callers in however many processes miss at once, one of them loads and the others wait for it, at
        most `wait` of the cache's policy (then LoadTimeout). If it fails its caller gets the error and another
        caller's loader is tried; if its process dies, another takes over when the lease has ended. What is set while
        the loader works stays, and what is deleted meanwhile, by whichever process, is not stored. If the grid cannot
        store the result, who waited gets it all the same, and `store_failures` in `stats()` counts it. If it cannot
        even be asked, that is EngineTimeout or Unreachable; where the cache's policy says `on_outage="load"`, the
        loader runs, its result is kept nowhere, and `outage_loads` counts it.

        `tags` are those of the entry, for `invalidate`: one that is raised while the loader works leaves nothing of its
        result. `when` says of a result whether it is kept. The rules `grace`, `early`, `jitter`, `negative_ttl` and
        `failure_ttl` are those of the cache's policy, said anew for this call. With `grace` a value is served for so
        long after its end, while one caller in the grid loads it anew in the background, also when that fails.
        With `failure_ttl` others get LoadFailed for so long after a loader has failed.
        """
        try:
            value = self._read(key)
        except OUTAGE as trouble:
            return self._load_past(key, loader, trouble)
        if value is not MISS and not self._due:
            return cast("T", value)
        terms = Terms(ttl, idle, tags_in(tags) if tags else (), self._rules_said(rules), when)
        return self._load(key, loader, terms) if value is MISS else self._served(key, value, loader, terms)

    def _rules_said(self, rules: Mapping[str, Any]) -> Rules:
        return policy_said(self.name, self.policy, rules).rules if rules else self._rules

    def _served(self, key: Key, value: T, loader: Callable[[], Any], terms: Terms) -> T:
        """The value of an entry that is alive; it is loaded anew in the background if it is due."""
        version = self._due.pop(key, None)
        if version is not None:
            self._reload_soon(key, version, loader, terms)
        return value

    def _load(self, key: Key, loader: Callable[[], T], terms: Terms) -> T:
        """`get_or_load` for who has just missed."""
        if not callable(loader):
            raise ConfigError("loader", loader, "a function that gives the value, to be called where there is none")
        self._check_terms(terms)
        try:
            space = self._settle()
        except OUTAGE as trouble:
            return self._load_past(key, loader, trouble)
        address = space.address(key)
        if is_loading(address):
            return self._call(loader)  # the loader asks for its own key: it must not wait for itself
        load = Load(key, space, address, terms, loader)
        try:
            frame = self._hub.flights.land(self._landing(load, self._wait))
        except OUTAGE as trouble:
            if load.has_begun:  # it is the loader's own
                raise
            return self._load_past(key, loader, trouble)
        return cast("T", self._outcome(load, frame))

    def _check_terms(self, terms: Terms) -> None:
        """Refuse what cannot be said, before anything is done. Raises ConfigError."""
        ends = self._ends_under(terms.rules, terms.ttl, terms.idle)
        if terms.rules.grace is not None and ends.idle not in (None, AGES):
            raise ConfigError("grace", f"{terms.rules.grace} ms", GRACE_AND_IDLE)
        if terms.when is not None:
            check_judge("when", terms.when, "a function that says of a result whether it is kept")

    def _outcome(self, load: Load, frame: bytes) -> Any:
        """The value that a caller gets, of a frame that came for him."""
        if load.is_stale:
            self._counters.stale_hits += 1
            self._reload_soon(load.key, version_of(frame), load.loader, load.terms)
        elif not load.has_loaded:
            waited = perf_counter() - load.began
            self._counters.load_waits += 1
            self._counters.wait_seconds += waited
        # Else another caller has it in hand.
        return load.value if load.value is not MISS else self._thaw_quietly(load.address, frame)

    def _landing(self, load: Load, wait: float) -> SyncLanding:
        return SyncLanding(
            load.address if load.reloads is None else reload_of(load.address),
            load.address,
            partial(self._look, load),
            partial(self._ask_origin, load),
            partial(self._store_loaded, load),
            None if "leases" in self._hub.lacking else self._engine,
            self._lease,
            wait,
        )

    def _reload_soon(self, key: Key, version: bytes, loader: Callable[[], Any], terms: Terms) -> None:
        act = partial(self._reload, key, version, loader, terms)
        self._hub.reloads.begin(self._space.address(key), act, "/".join(self._names), key)

    def _reload(self, key: Key, version: bytes, loader: Callable[[], Any], terms: Terms) -> None:
        """Load anew what is still served; whoever has the lease does, and others leave it to him."""
        space = self._settle()
        load = Load(key, space, space.address(key), terms, loader, reloads=version)
        self._hub.flights.land(self._landing(load, 0))

    def _load_past(self, key: Key, loader: Callable[[], T], trouble: EngineError) -> T:
        """What the loader gives, where the policy lets loads go past a grid in trouble; else raises the trouble."""
        self._met(trouble)
        if self.policy.on_outage != "load":
            raise trouble
        self._outage.note(trouble)

        def load() -> T:
            self._counters.outage_loads += 1
            value = self._count_load(partial(self._call, loader))
            if self._voice.kinds:
                self._tell("loaded", key)
            return value

        return self._outage.load(self._hub.flights, self._space.address(key), load, self._wait)

    def _look(self, load: Load) -> bytes | None:
        """Ask the grid. What cannot be read counts as nothing."""
        raw = self._fetch(load.address, self._sure)  # whether to load is decided by it
        return self._look_at(load, raw)

    def _look_at(self, load: Load, raw: bytes | None) -> bytes | None:
        """What the grid has, if it may be handed out."""
        self._saw(load.address, raw)
        load.replaces, load.is_stale = None, False
        if raw is None:
            return None
        try:
            value = self._thaw_quietly(load.address, raw)
        except FrameError:
            load.is_damaged = True
            return None
        if not self._is_served(load, raw):
            load.replaces, load.is_stale = version_of(raw), False
            return None
        load.value = value
        return raw

    def _is_served(self, load: Load, raw: bytes) -> bool:
        """Whether an entry may be handed out: alive, or past its end but within its grace. Raises LoadFailed."""
        if not is_unproven(raw):
            return True
        frame = unpack(raw)
        if frame.flags & FAILURE:
            told = self._thaw_quietly(load.address, raw)
            raise LoadFailed(f"a load of {load.key!r} of cache {self.name!r} failed a moment ago: {told}")
        load.is_stale = is_over(frame, time.time_ns() // 1_000_000)
        if frame.version == load.reloads or (load.is_stale and load.terms.rules.grace is None):
            return False
        return not frame.epochs or self._hub.tags.confirmed(self._home, self._parent, frame.epochs) is not None

    def _ask_origin(self, load: Load) -> bytes:
        """The frame of what the loader gives. Raises what the loader raises, and for what the codec refuses."""
        self._before_load(load)
        began = time.monotonic()
        try:
            value = self._count_load(partial(self._call, load.loader))
        except Exception as error:
            self._remember(load, error)
            raise
        return self._loaded(load, value, time.monotonic() - began)

    def _before_load(self, load: Load) -> None:
        terms = load.terms
        load.ends = self._ends_under(terms.rules, terms.ttl, terms.idle)
        last = load.ends.last
        # Before the load: a tag that is raised from here on was raised for what it finds, too.
        load.stamped = self._stamped(terms.tags, None if last is None else max(last, terms.rules.negative or 0))
        load.has_begun = True

    def _loaded(self, load: Load, value: Any, seconds: float) -> bytes:
        """The frame of what was loaded. Raises for what the codec refuses."""
        terms, rules, ends = load.terms, load.terms.rules, cast("Ends", load.ends)
        load.value, load.has_loaded = value, True
        if value is None and rules.negative is not None:
            load.ends = ends = ends_in(rules.negative, ends.idle)
        load.is_kept = terms.when is None or terms.when(value)
        cost = round(seconds * 1000 * rules.early) if rules.early and ends.ttl is not None else None
        return self._freeze(load.address, load.key, value, ends, load.stamped.stamps, cost=cost)

    def _remember(self, load: Load, error: Exception) -> None:
        """Keep that a load failed, and how, if that is asked for and nothing is there. What it says is for people."""
        ttl = load.terms.rules.failure
        if ttl is None or load.replaces is not None:
            return
        with contextlib.suppress(EngineError):
            told = f"{type(error).__name__}: {error}"[:_LONGEST_STORY]
            frame = self._freeze(load.address, load.key, told, ends_in(ttl, None), load.stamped.stamps, flags=FAILURE)
            self._writer.store_if_absent(load.address, frame, ttl)

    def _call(self, loader: Callable[[], T]) -> T:
        """What a loader gives. Raises ConfigError for a loader of the other colour."""
        made = loader()
        if inspect.isawaitable(made) is not self.is_async:
            if inspect.iscoroutine(made):
                made.close()  # else it is told, much later, that nobody awaited it
            want = "an async function" if self.is_async else "a sync function"
            want = f"{want}; for this one take the cache from {self.other_way}"
            raise ConfigError(f"the loader for {self.name!r}", loader, want)
        return made

    def _store_loaded(self, load: Load, frame: bytes, token: bytes | None) -> Landed:
        """Keep what was loaded, under the lease of `token` if there is one, and tell of the load."""
        landed = self._land(load, frame, token)
        if self._voice.kinds:
            self._tell("loaded", load.key, load.terms.tags)
        return landed

    def _land(self, load: Load, frame: bytes, token: bytes | None) -> Landed:
        if is_spoiled(load.address):
            return Landed(is_for_all=True, is_released=False)  # who comes after the drop waits for another flight
        if not load.is_kept:
            return Landed(is_for_all=True, is_released=False)
        if token == UNLEASED:
            self._counters.store_failures += 1
            return Landed(is_for_all=True, is_released=False)
        is_free = not load.is_damaged and load.replaces is None
        lands = token is not None and is_free and "landings" not in self._hub.lacking
        try:
            if lands and token is not None:
                stored = self._writer.land(load.address, token, frame, _engine_ttl(load))
            else:
                stored = self._keep(load, frame)
            if self._stored(stored):
                self._drop_outdated(load, frame, lands=lands)
        except _PASSING:
            self._counters.store_failures += 1
            return Landed(is_for_all=True, is_released=False)
        # One of its tags may have been raised while it was loaded: then it was dead when it came.
        is_for_all = stored and holds(self._home, load.stamped.marks)
        return Landed(is_for_all=is_for_all, is_released=lands)

    def _keep(self, load: Load, frame: bytes) -> bool:
        """
        Store where the engine does not know what a load is; whether it was stored.

        Only where nothing is, for what was set while the loader worked is newer; or over what cannot be read.
        """
        address, ttl = load.address, _engine_ttl(load)
        if load.replaces is not None and "conditions" not in self._hub.lacking:
            # Nobody has set or dropped anything meanwhile where that is still there.
            return self._writer.store_if_version(address, load.replaces, frame, ttl)
        if load.is_damaged or "conditions" in self._hub.lacking:
            self._writer.store(address, frame, ttl)
            return True
        try:
            return self._writer.store_if_absent(address, frame, ttl)
        except OutcomeUnknown:
            # Repeated when nobody knows whether it was done: if it was, then the second finds it there.
            return self._writer.store_if_absent(address, frame, ttl)

    def _drop_outdated(self, load: Load, frame: bytes, *, lands: bool) -> None:
        """Drop what was just stored, if it was dropped while it was being stored, or nobody looks there any more."""
        if not lands and is_spoiled(load.address):  # what lands, the drop has met at the owner
            if "conditions" in self._hub.lacking:
                self._writer.drop(load.address)
            else:
                self._writer.drop_if_version(load.address, version_of(frame))
        elif load.space.doubt != self._engine.doubt and (self._settle()).prefix != load.space.prefix:
            self._writer.drop(load.address)


def _engine_ttl(load: Load) -> int | None:
    return None if load.ends is None else load.ends.engine
