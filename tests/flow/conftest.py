"""Tests of the flow run on a store in memory, and on a real grid that is started once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import cachegrid._aio.cache
import cachegrid._aio.cell
import cachegrid._aio.changes
import cachegrid._aio.loads
import cachegrid._aio.near
import cachegrid._sio.cache
import cachegrid._sio.cell
import cachegrid._sio.changes
import cachegrid._sio.loads
import cachegrid._sio.near
from cachegrid.engines.memory.store import Store
from cachegrid.engines.valkey.url import parse
from cachegrid.testing import FakeClock
from cachegrid.testing.loopback import LoopbackGrid
from tests.flow.backing import Backing


@pytest.fixture(scope="session")
def loopback() -> Iterator[LoopbackGrid]:
    """A grid of 3 owners and 3 replicas."""
    with LoopbackGrid() as grid:
        yield grid


@pytest.fixture(params=["memory", pytest.param("valkey", marks=pytest.mark.grid)])
def kind(request: pytest.FixtureRequest) -> str:
    """Which engine a test runs on; a test for one of them only has it as a parameter."""
    return str(request.param)


@pytest.fixture
def near() -> dict[str, Any] | None:
    """Near copies of every cache; a module that has them overrides it."""
    return None


@pytest.fixture
def backing(kind: str, request: pytest.FixtureRequest) -> Backing:
    """Where the test's grids keep their entries."""
    if kind == "memory":
        return Backing()
    if kind == "clock":
        on_a_clock: Backing = request.getfixturevalue("clocked")
        return on_a_clock
    url = request.getfixturevalue("loopback").url
    # On a busy machine an owner may be silent for a moment, and what a replica answers instead is not kept.
    return Backing(target=replace(parse(url, timeout=5), patience=4.0), url=url)


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> Backing:
    """A store whose time passes when it is told to; the flow reads the same clock."""
    clock = FakeClock()
    for flow in (cachegrid._aio, cachegrid._sio):
        for module in (flow.cache, flow.cell, flow.changes, flow.loads, flow.near):
            monkeypatch.setattr(module, "time", clock)
    return Backing(clock=clock, store=Store(clock=clock.monotonic_ns, wall=clock.time_ns))
