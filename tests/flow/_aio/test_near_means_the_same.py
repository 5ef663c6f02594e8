"""What holds without near copies holds with them: the tests of the flow, where every cache keeps some."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

import pytest

from tests.flow._aio import (
    test_batch_loads,
    test_changes,
    test_clear,
    test_closing,
    test_entries,
    test_function_kinds,
    test_functions,
    test_loads,
    test_loads_in_trouble,
    test_loads_raced,
    test_tags,
    test_values,
)

OTHERWISE: Final = {
    "test_a_cache_is_one_object",  # about policies, also with idle times, which go with no copies
    "test_everything_says_in_a_line_what_it_is",  # the policy, too
    "test_policies_come_from_the_settings",
    "test_a_load_takes_four_trips",  # one less: that there is nothing was known
}


@pytest.fixture(params=["memory"])
def kind(request: pytest.FixtureRequest) -> str:
    """The engine that tells at once; what may be old elsewhere is told here before it is asked for."""
    return str(request.param)


@pytest.fixture(autouse=True)
def fresh() -> None:
    """What the functions of those tests have noted is theirs."""
    for module in (test_functions, test_function_kinds):
        module.CALLS.clear()


@pytest.fixture
def near() -> dict[str, Any]:
    """All that there is to keep."""
    return {"absent": True}


def borrowed(*modules: ModuleType) -> dict[str, Any]:
    """The tests of other modules, by their names."""
    found: dict[str, Any] = {}
    for module in modules:
        tests = {name: test for name, test in vars(module).items() if name.startswith("test_") and callable(test)}
        assert not found.keys() & tests.keys(), "two tests of one name"
        found |= tests
    return {name: test for name, test in found.items() if name not in OTHERWISE}


globals().update(
    borrowed(
        test_batch_loads,
        test_changes,
        test_clear,
        test_closing,
        test_entries,
        test_function_kinds,
        test_functions,
        test_loads,
        test_loads_in_trouble,
        test_loads_raced,
        test_tags,
        test_values,
    )
)


async def test_the_tests_had_near_copies(flow: Any) -> None:
    """
    Of entries as of absences.
    """
    cache = (await flow.grid()).cache("prices")
    await cache.set("key", "value")
    for _ in range(2):
        await cache.get("key")
        await cache.get("none")
    assert (1, 1) == (cache.stats().near_hits, cache.stats().near_misses)
