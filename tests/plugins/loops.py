"""
Runs `async def` tests and fixtures, each test with an event loop of its own.

Async fixtures live as long as one test and share its loop; Hypothesis' `@given` works on async tests, too. While the
loop runs, blockbuster fails what cachegrid's code would block it with: a file, a socket or a sleep that everyone else
would have to wait for.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, TypeVar

import pytest
from blockbuster import blockbuster_ctx

__all__: list[str] = []

T = TypeVar("T")


class Loop:
    """The loop of the running test, made when something first needs it."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until `work` is done."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        with blockbuster_ctx("cachegrid"):
            return self._runner.run(work)

    def close(self) -> list[str]:
        """End the loop; the names of the tasks that still ran in it."""
        if self._runner is None:
            return []
        with self._runner as runner:
            self._runner = None
            return runner.run(_tasks_left())


LOOP = Loop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """Close the loop after the last fixture; a task that nobody waited for fails the test."""
    try:
        result = yield
    finally:
        left = LOOP.close()
    if left:
        pytest.fail(f"the test left tasks running: {', '.join(left)}", pytrace=False)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test in its loop."""
    given = getattr(pyfuncitem.obj, "hypothesis", None)
    if given is not None and inspect.iscoroutinefunction(given.inner_test):
        given.inner_test = _plain_function(given.inner_test)
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    LOOP.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}))
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> None:
    """Turn an async fixture, the first time it is met, into one that pytest knows how to run."""
    func = fixturedef.func
    if not (inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func)):
        return
    if fixturedef.scope != "function":
        pytest.fail(f"async fixture {fixturedef.argname!r} must live as long as one test: its loop does", pytrace=False)
    inner: Callable[..., Any] = getattr(func, "__func__", func)
    plain = _plain_generator(inner) if inspect.isasyncgenfunction(inner) else _plain_function(inner)
    bound_to = getattr(func, "__self__", None)  # pytest binds anew what is bound, to the instance of the test
    fixturedef.func = plain if bound_to is None else types.MethodType(plain, bound_to)  # type: ignore[misc]


def _plain_function(func: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., T]:
    @functools.wraps(func)
    def plain(*bound: object, **arguments: object) -> T:
        return LOOP.run(func(*bound, **arguments))

    return plain


def _plain_generator(func: Callable[..., AsyncGenerator[T]]) -> Callable[..., Generator[T]]:
    @functools.wraps(func)
    def plain(*bound: object, **arguments: object) -> Generator[T]:
        values = func(*bound, **arguments)
        yield LOOP.run(_next(values))
        try:
            LOOP.run(_next(values))
        except StopAsyncIteration:
            return
        pytest.fail("an async fixture yields once", pytrace=False)

    return plain


async def _next(values: AsyncGenerator[T]) -> T:
    return await anext(values)


async def _tasks_left() -> list[str]:
    await asyncio.sleep(0)  # tasks that were told to end do so now
    here = asyncio.current_task()
    return sorted(repr(task.get_coro()) for task in asyncio.all_tasks() if task is not here)
