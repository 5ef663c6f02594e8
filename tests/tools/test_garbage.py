"""What a test leaves open is told of that test, and of no other."""

from __future__ import annotations

import pytest

from tests.tools.pytest_runs import run

LEAVING = """
import asyncio, gc, socket
import pytest

gc.disable()  # nobody else is to find it

class Owner:
    def __init__(self, thing): self.thing, self.myself = thing, self

def test_leaves_a_socket(): Owner(socket.socket())
def test_stands_by(): assert True

async def test_leaves_a_connection():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        Owner(await asyncio.open_connection(*server.sockets[0].getsockname()))

def test_stands_by_too(): assert True

@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_says_so(): Owner(socket.socket())
def test_closes():
    with socket.socket() as sock: Owner(sock)
"""


@pytest.mark.slow
def test_what_is_left_open_fails_the_test_that_left_it(pytester: pytest.Pytester) -> None:
    """
    Also where only the garbage collector would find it; unless the test says that this is its point.
    """
    errors = ("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")
    pytester.makeini("\n  ".join(["[pytest]\nfilterwarnings =", *errors]))
    pytester.makepyfile(LEAVING)
    result = run(pytester, "garbage", "loops")
    result.assert_outcomes(passed=6, errors=2)
    result.stdout.fnmatch_lines(["ERROR *test_leaves_a_socket*", "ERROR *test_leaves_a_connection*"])
    result.stdout.fnmatch_lines(["*the test left open what *: ResourceWarning*"])
