"""Async tests and fixtures run as they look, and fail when they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tools.pytest_runs import run


@pytest.fixture
async def loop() -> asyncio.AbstractEventLoop:
    """The loop that async fixtures run in."""
    return asyncio.get_running_loop()


@pytest.fixture
async def queue(loop: asyncio.AbstractEventLoop) -> AsyncIterator[asyncio.Queue[int]]:
    """A queue, and a task that lives as long as the test."""
    made: asyncio.Queue[int] = asyncio.Queue()
    task = loop.create_task(made.join())
    yield made
    await task


async def test_a_test_shares_the_loop_of_its_fixtures(
    loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[int]
) -> None:
    """
    What a fixture has made can be awaited in the test.
    """
    await queue.put(1)
    assert 1 == await queue.get()
    queue.task_done()
    assert asyncio.get_running_loop() is loop


def test_a_sync_test_can_use_async_fixtures(loop: asyncio.AbstractEventLoop) -> None:
    """
    The loop is there and rests.
    """
    assert not loop.is_running()
    assert not loop.is_closed()


class TestInAClass:
    """Contracts are classes: their fixtures are methods."""

    @pytest.fixture(params=[1, 2])
    async def number(self, request: pytest.FixtureRequest) -> int:
        """A number that knows the instance of its test."""
        self.seen = request.param
        return int(request.param)

    async def test_a_fixture_is_bound_to_the_instance_of_its_test(self, number: int) -> None:
        """
        `self` is the same in both.
        """
        assert number == self.seen


class TestInASecondClass(TestInAClass):
    """The same fixture, met again."""


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers())
async def test_given_values_reach_async_tests(number: int, loop: asyncio.AbstractEventLoop) -> None:
    """
    Each example runs in the test's one loop.
    """
    assert asyncio.get_running_loop() is loop
    assert number == await asyncio.sleep(0, number)


@pytest.mark.slow
def test_failures_are_failures(pytester: pytest.Pytester) -> None:
    """
    An async test that raises has failed, and one that ends has passed.
    """
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        async def broken():
            raise LookupError("no such thing")

        async def test_passes(): assert True
        async def test_fails(): assert False
        async def test_errs(broken): pass
        """
    )
    run(pytester, "loops").assert_outcomes(passed=1, failed=1, errors=1)


@pytest.mark.slow
def test_a_forgotten_task_is_an_error(pytester: pytest.Pytester) -> None:
    """
    A task that still runs when everything is torn down has no owner.
    """
    pytester.makepyfile(
        """
        import asyncio
        tasks = set()

        async def test_forgets(): tasks.add(asyncio.create_task(asyncio.sleep(60)))
        async def test_does_not(): await asyncio.create_task(asyncio.sleep(0))
        """
    )
    result = run(pytester, "loops")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*the test left tasks running: *sleep*"])


@pytest.mark.slow
def test_an_async_fixture_lives_as_long_as_one_test(pytester: pytest.Pytester) -> None:
    """
    A wider one would outlive its loop; it is refused.
    """
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="module")
        async def wide(): yield 1

        @pytest.fixture
        async def twice():
            yield 1
            yield 2

        async def test_wide(wide): pass
        async def test_twice(twice): pass
        """
    )
    result = run(pytester, "loops")
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*must live as long as one test*"])
    result.stdout.fnmatch_lines(["*yields once*"])


@pytest.mark.slow
def test_code_of_ours_that_blocks_the_loop_fails(pytester: pytest.Pytester) -> None:
    """
    What a test itself does is its own affair.
    """
    pytester.makepyfile(
        cachegrid="""
        import time
        def nap(): time.sleep(0.001)
        """,
        test_naps="""
        import time
        from cachegrid import nap

        async def test_ours(): nap()
        async def test_own(): time.sleep(0.001)
        def test_sync(): nap()
        """,
    )
    result = run(pytester, "loops")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*BlockingError*"])
