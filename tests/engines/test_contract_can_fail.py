"""The engine contract finds what it is there to find: for every one of its tests there is an engine that fails it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from cachegrid.engines._aio.protocol import AsyncEngine
from cachegrid.engines.memory import AsyncMemoryEngine, Store, SyncMemoryEngine
from cachegrid.testing import AsyncEngineContract, SyncEngineContract
from cachegrid.testing._aio.basics import AsyncBasicsContract
from cachegrid.testing._aio.bench import ABILITIES
from tests.engines.faults import FAULTS, Engine, Fault


def contract_for(engine: type[AsyncMemoryEngine]) -> AsyncEngineContract:
    """The contract, for an engine on a store of its own."""
    store = Store()

    class Contract(AsyncEngineContract):
        patience = 0.1

        async def open_engine(self) -> AsyncMemoryEngine:
            return engine(store)

        async def open_cut_off(self) -> AsyncMemoryEngine:
            return engine(store)

    return Contract()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.test}-{fault.method} {fault.story}")
def test_a_broken_promise_is_found(fault: Fault) -> None:
    """
    The test of a promise fails for an engine that breaks it.
    """
    with pytest.raises(AssertionError):
        getattr(contract_for(fault.engine()), fault.test)()


def test_every_test_can_fail() -> None:
    """
    No test of the contract passes whatever the engine does.
    """
    tests = {name for name in dir(AsyncEngineContract) if name.startswith("test_")}
    assert tests == {fault.test for fault in FAULTS}


@pytest.mark.parametrize("contract", [AsyncEngineContract, SyncEngineContract])
def test_no_test_hides_another(contract: type) -> None:
    """
    The parts of the contract name their tests so that each is in the whole.
    """
    names = [name for part in contract.__mro__ for name in vars(part) if name.startswith("test_")]
    assert sorted(set(names)) == sorted(names)


def test_what_an_engine_lacks_is_not_tested() -> None:
    """
    A contract has no tests for what its engine lacks, and all others.
    """

    class Contract(AsyncEngineContract):
        lacks = frozenset({"Counts"})

    gone = {name for name in dir(AsyncEngineContract) if name.startswith("test_") and getattr(Contract, name) is None}
    assert {
        "test_a_sum_has_64_bits",
        "test_add_adds_to_what_is_there",
        "test_add_keeps_the_time_to_live",
        "test_add_starts_anew_after_the_end",
        "test_add_starts_where_nothing_is",
        "test_counting_is_told",
        "test_counts_that_last_are_made_once",
        "test_large_sums_are_exact",
        "test_listeners_are_told_of_each_sum",
        "test_nothing_is_counted_twice_or_lost",
        "test_only_integers_are_added_to",
        "test_what_depends_on_a_condition_answers_the_same",
        "test_what_falls_short_is_done",
        "test_what_has_no_end_says_so",
    } == gone


@pytest.mark.parametrize("lacks", [{"Counts"}, {"Outages"}, {"Courage"}])
def test_what_is_said_to_lack_is_really_absent(lacks: set[str]) -> None:
    """
    An engine cannot escape a test by saying that it lacks what it has, or what nobody knows.
    """
    contract = contract_for(Engine)
    type(contract).lacks = frozenset(lacks)
    with pytest.raises(AssertionError):
        contract.test_has_the_abilities_it_does_not_lack()


@pytest.mark.parametrize("ability", sorted(ABILITIES))
def test_an_ability_is_tested_by_itself(ability: str) -> None:
    """
    The tests of an ability use no other: an engine that has only that one passes them.
    """
    store = Store()
    methods = [name for of in (AsyncEngine, ABILITIES[ability]) for name in vars(of) if not name.startswith("_")]
    only = type("Only", (), {name: getattr(AsyncMemoryEngine, name) for name in {*methods, "doubt"}})

    class Contract(AsyncEngineContract):
        lacks = frozenset({*ABILITIES, "Outages", "Shortage"} - {ability})

        async def open_engine(self) -> AsyncEngine:
            engine = only()
            engine._store, engine._followed, engine._heard = store, {}, {}
            if ability == "Pushes":
                engine.trouble = 0
            return engine  # type: ignore[no-any-return]

    Contract().test_has_the_abilities_it_does_not_lack()
    tests = {name for name in dir(Contract) if name.startswith("test_") and getattr(Contract, name)}
    tests -= set(vars(AsyncBasicsContract))
    assert tests
    for name in tests:
        getattr(Contract(), name)()


def test_an_engine_must_be_opened() -> None:
    """
    A contract that opens no engine says what is missing.
    """
    with pytest.raises(NotImplementedError, match=r"AsyncEngineContract\.open_engine must open an engine"):
        AsyncEngineContract().test_nothing_is_none()
    with pytest.raises(NotImplementedError, match=r"SyncEngineContract\.open_engine must open an engine"):
        SyncEngineContract().test_nothing_is_none()


def test_engines_are_closed_after_each_test() -> None:
    """
    Every engine that a test opened is closed, also when the test fails.
    """
    opened, closed = [], []

    class Watched(Engine):
        async def aclose(self) -> None:
            closed.append(self)

        async def fetch(self, address: bytes) -> bytes | None:
            opened.append(self)
            return b"never stored"

    with pytest.raises(AssertionError):
        contract_for(Watched).test_engines_on_one_grid_see_the_same()
    assert 2 == len(closed)
    assert set(opened) <= set(closed)


async def test_a_slow_machine_is_no_broken_promise() -> None:
    """
    A check that failed after the life it looks at was over is run again; one that failed at once has failed.
    """
    contract, tries = contract_for(Engine), []

    async def is_slow(address: bytes) -> None:
        tries.append(address)
        await asyncio.sleep(0.02)
        assert len(tries) == 2

    async def is_wrong(address: bytes) -> None:
        tries.append(address)
        assert len(tries) == 2

    contract._space = b"here:"
    address, _ = await contract.promptly(10, is_slow)
    assert [b"here:promptly-0", b"here:promptly-1"] == tries
    assert address == tries[1]
    tries.clear()
    with pytest.raises(AssertionError):
        await contract.promptly(1000, is_wrong)
    assert 1 == len(tries)


class SyncContract(SyncEngineContract):
    engine_class: type[SyncMemoryEngine]
    store = Store()

    def open_engine(self) -> SyncMemoryEngine:
        """One more on the same store."""
        return self.engine_class(self.store)


def test_threads_really_race() -> None:
    """
    In the sync colour callers meet inside the engine: a condition that is decided too early is found.
    """
    everybody = threading.Barrier(8, timeout=10)

    class Broken(SyncMemoryEngine):
        def store_if_absent(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
            absent = self._store.fetch(address) is None
            everybody.wait()
            self._store.store(address, frame, ttl)
            return absent

    contract = SyncContract()
    contract.engine_class = Broken
    with pytest.raises(AssertionError, match="8"):
        contract.test_one_of_many_finds_it_absent()


def test_a_thread_left_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A thread that runs on after its engine was closed fails the test.
    """
    monkeypatch.setattr("cachegrid.testing.waits._sio.PATIENCE", 0.01)
    stop = threading.Event()

    class Broken(SyncMemoryEngine):
        def fetch(self, address: bytes) -> bytes | None:
            threading.Thread(target=stop.wait, name="left behind").start()
            return None

    contract = SyncContract()
    contract.engine_class = Broken
    with pytest.raises(AssertionError, match="left behind"):
        contract.test_nothing_is_none()
    stop.set()
