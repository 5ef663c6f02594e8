# Generated from src/cachegrid/_aio/refreshes.py by tools/colour.py. Edit that file, then run `make colour`.
"""Loading by hand: now, whatever is there, and in its place, while others are served what is there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

from cachegrid._core.address import Key
from cachegrid._core.frame import version_of
from cachegrid._sio.flights import UNLEASED, Landed, is_loading, is_spoiled, refresh_of
from cachegrid._sio.loads import Load, SyncLoads, Terms
from cachegrid.errors import FrameError, GridFull

__all__ = ["SyncRefreshes"]

T = TypeVar("T")


class SyncRefreshes(SyncLoads):
    """Loads that are asked for, whatever is there."""

    def _refresh(self, key: Key, loader: Callable[[], T], terms: Terms) -> T:
        """
        What the loader gives now, kept in place of what is there; who reads meanwhile gets that.

        Everybody gets what was loaded after he asked: who asks while somebody loads waits for the next one, which he
        shares with all in this process that wait for it, too. In the grid one loads at a time.
        """
        self._check_terms(terms)
        space = self._settle()
        address = space.address(key)
        if is_loading(address):
            return self._call(loader)  # it must not wait for itself
        load = Load(key, space, address, terms, loader)
        landing = self._landing(load, self._wait)._replace(
            flight=refresh_of(address), look=partial(self._see_old, load), store=partial(self._store_new, load)
        )
        return cast("T", self._outcome(load, self._hub.flights.land(landing)))

    def _see_old(self, load: Load) -> None:
        """Note what is there, dead or alive."""
        raw = self._fetch(load.address, self._sure)  # what is stored depends on it
        self._saw(load.address, raw)
        load.is_damaged, load.replaces = False, None
        if raw is None:
            return
        try:
            self._thaw_quietly(load.address, raw)
            load.replaces = version_of(raw)
        except FrameError:
            load.is_damaged = True

    def _store_new(self, load: Load, frame: bytes, token: bytes | None) -> Landed:
        """Put what was loaded in the place of the old one, unless that was set or dropped meanwhile."""
        lands = False
        if not is_spoiled(load.address):
            if load.is_kept:
                lands = self._put_new(load, frame, token or UNLEASED)
            elif load.replaces is not None:
                self._drop_old(load, load.replaces)
        if self._voice.kinds:
            self._tell("loaded", load.key, load.terms.tags)
        # Not for who came after the loader had begun: he wants what is loaded later.
        return Landed(is_for_all=False, is_released=lands)

    def _put_new(self, load: Load, frame: bytes, token: bytes) -> bool:
        """Store what was loaded; whether the lease of `token` has ended with it. Raises where the grid cannot."""
        ttl = None if load.ends is None else load.ends.engine
        lands = bool(token) and not load.is_damaged and "landings" not in self._hub.lacking
        try:
            stored = False
            if load.replaces is not None or not lands:
                stored = self._surely(load.address, frame, partial(self._keep, load, frame))
            lands = lands and not stored
            if lands:  # nothing was there, or it has ended by itself: if it was dropped, so was the lease
                stored = self._writer.land(load.address, token, frame, ttl)
        except GridFull:
            if self.policy.on_full != "skip":
                raise
            self._writer.drop(load.address)  # as where it is set: nothing is better than what is old
            self._counters.skips += 1
            return False
        if self._stored(stored):
            self._drop_outdated(load, frame, lands=lands)
        return lands

    def _drop_old(self, load: Load, version: bytes) -> None:
        """What takes its place is not to be kept."""
        if "conditions" in self._hub.lacking:
            self._writer.drop(load.address)
        else:
            self._writer.drop_if_version(load.address, version)
