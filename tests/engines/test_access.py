"""The rights that docs/access.md asks for an application's user are enough for all it does, and no more."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cachegrid
from cachegrid import engines
from cachegrid.cluster.admin import connect_to
from cachegrid.errors import AccessDenied
from cachegrid.testing.loopback import LoopbackGrid

pytestmark = pytest.mark.grid

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
ENGINE = Path(engines.__file__).parent / "valkey"


def rule() -> list[str]:
    """The words of the rule that the page shows."""
    text = re.search(r"ACL SETUSER.*?(?=```)", PAGE.read_text(), re.DOTALL)
    assert text is not None, "docs/access.md shows no ACL rule"
    return text[0].split()


@pytest.fixture(scope="module")
def grid() -> Iterator[LoopbackGrid]:
    """A grid whose members know the user of the page."""
    with LoopbackGrid(owners=2, replicas=1) as grid:
        _on_all(grid, *rule())
        yield grid


def url_of(grid: LoopbackGrid, user: str, password: str) -> str:
    """How that user connects."""
    hosts = ",".join(f"{member.host}:{member.port}" for member in grid.state.members)
    return f"valkey://{user}:{password}@{hosts}"


def test_the_user_of_the_page_can_do_all_that_a_cache_does(grid: LoopbackGrid) -> None:
    """
    Every operation of the public API works for a user with the rights of docs/access.md.
    """
    with cachegrid.connect(url_of(grid, "app", "s%40crt")) as connection:
        cache = connection.cache("prices", ttl="1m")
        idle = connection.cache("idle", idle="1m")
        cache.set_many({f"sku-{number}": number * 1.5 for number in range(50)})
        idle["sku"] = "value"

        assert 50 == len(cache.get_many([f"sku-{number}" for number in range(60)]))
        assert "value" == idle["sku"]
        assert 3 == cache.incr("count", 3)
        assert cache.add("new", 1)
        assert cache.replace("new", 2)
        assert 4 == cache.update("new", lambda value: value * 2)
        assert cache.touch("new", "1h")
        assert cache.entry("sku-1") is not None
        assert "loaded" == cache.get_or_load("cold", lambda: "loaded")
        assert cache.delete("new")
        assert 53 - 1 == len(list(cache.keys()))
        assert {"owner", "replica"} == {member.role for member in connection.members()}
        with connection.lock("report") as lock:
            lock.check()
        cache.clear()
        connection.settle()
        assert 0 == len(cache)


def test_the_user_of_the_page_can_wait_for_replicas(grid: LoopbackGrid) -> None:
    """
    And is told, before anything is written, where it may not.
    """
    with cachegrid.connect(url_of(grid, "app", "s%40crt")) as connection:
        cache = connection.cache("orders", durability="replicated")
        cache["o-1"] = 1
        assert 2 == cache.incr("o-1")
        assert cache.delete("o-1")
        assert not cache.delete("o-1")
        cache.clear()


def test_who_may_not_wait_is_told_and_writes_nothing(without: Callable[[str], str]) -> None:
    """
    At each write.
    """
    with cachegrid.connect(without("+wait")) as connection:
        cache = connection.cache("waits", durability="replicated")
        for _ in range(2):
            with pytest.raises(AccessDenied, match=r"NOPERM .*'wait'.*docs/access\.md"):
                cache["o-1"] = 1
        assert cache.get("o-1") is None


def test_the_user_of_the_page_can_keep_near_copies(grid: LoopbackGrid) -> None:
    """
    It may ask every owner for what proves that no news was missed.
    """
    with cachegrid.connect(url_of(grid, "app", "s%40crt")) as connection:
        cache = connection.cache("near", near=True)
        values = {f"sku-{number}": number for number in map(str, range(20))}
        cache.set_many(values)
        deadline = time.monotonic() + 10
        near = 0
        while near < len(values):
            assert time.monotonic() < deadline
            before = cache.stats().near_hits
            assert values == cache.get_many(values)
            near = cache.stats().near_hits - before


@pytest.fixture
def without(grid: LoopbackGrid) -> Iterator[Callable[[str], str]]:
    """Gives the URL of a user who lacks one right of the page."""
    made: list[str] = []

    def make(right: str) -> str:
        user = f"without-{len(made)}"
        words = [word for word in rule() if word != right]
        words[words.index("app")] = user
        _on_all(grid, *words)
        made.append(user)
        return url_of(grid, user, "s%40crt")

    yield make
    _on_all(grid, "ACL", "DELUSER", *made)


@pytest.mark.parametrize("right", ["+client|tracking", "+cluster|slots"])
def test_who_may_not_even_connect_is_told_what_is_missing(without: Callable[[str], str], right: str) -> None:
    """
    Not that no grid is there.
    """
    match = rf"NOPERM .*{re.escape(right[1:])}.* docs/access\.md"
    with pytest.raises(AccessDenied, match=match):
        cachegrid.connect(without(right))

    async def connect() -> None:
        await cachegrid.aconnect(without(right))

    with pytest.raises(AccessDenied, match=match):
        asyncio.run(connect())


def test_without_a_proof_of_health_all_works_and_nothing_is_kept_near(without: Callable[[str], str]) -> None:
    """
    That is counted, and a program can see it.
    """
    with cachegrid.connect(without("+cluster|info")) as connection:
        cache = connection.cache("near-no-proof", near=True)
        cache["sku"] = 1.5
        deadline = time.monotonic() + 10
        while not cache.stats().near_refusals:
            assert time.monotonic() < deadline
            assert 1.5 == cache["sku"]
        assert 0 == cache.stats().near_hits


def test_who_may_not_ask_who_the_members_are_is_told_so(without: Callable[[str], str]) -> None:
    """
    And not that none answers.
    """
    with cachegrid.connect(without("+cluster|nodes")) as connection:
        connection.cache("prices").set("sku-1", 1)
        with pytest.raises(AccessDenied, match="cluster"):
            connection.members()


def test_a_right_that_only_a_script_needs_is_named_too(without: Callable[[str], str]) -> None:
    """
    As one that a command needs.
    """
    with (
        cachegrid.connect(without("+incrby")) as connection,
        pytest.raises(AccessDenied, match=r"'incrby'.*docs/access\.md"),
    ):
        connection.cache("prices").incr("not-there", 1)


def _on_all(grid: LoopbackGrid, *words: str) -> None:
    for member in grid.state.members:
        with connect_to(grid.state, member) as admin:
            admin.run(*words)


def test_the_page_says_what_each_right_is_for() -> None:
    """
    Every command that docs/access.md grants stands in its table.
    """
    granted = {word[1:] for word in rule() if word.startswith("+")}
    told = re.findall(r"`([a-z|]+)`", PAGE.read_text().partition("| right |")[2].replace("\\|", "|"))
    assert set() == granted - set(told)


def test_the_page_asks_for_nothing_that_is_not_sent() -> None:
    """
    Every command that docs/access.md grants is one that the engine sends, or that a script of its runs.
    """
    sources = "".join(path.read_text() for path in ENGINE.rglob("*.py"))
    sent = {word.lower() for word in re.findall(r"(?:b\"|call\('|\\n)([A-Z]{3,})\b", sources)}
    granted = {word[1:] for word in rule() if word.startswith("+")}
    assert set() == {command for command in granted if not set(command.split("|")) <= sent}


def test_the_user_of_the_page_can_do_nothing_else(grid: LoopbackGrid) -> None:
    """
    Keys outside of the namespace, and commands of operators, are refused to the user of docs/access.md.
    """
    with (
        cachegrid.connect(url_of(grid, "app", "s%40crt"), config={"namespace": "other"}) as connection,
        pytest.raises(AccessDenied, match=r"docs/access\.md"),
    ):
        connection.cache("prices")["sku"] = 1
