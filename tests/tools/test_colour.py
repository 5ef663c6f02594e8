"""The sync flow is what the async one gives, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import colour

PARTS = [
    ("async def get(self): ...", "def get(self): ..."),
    ("return await self._engine.fetch(b'a')", "return self._engine.fetch(b'a')"),
    ("return (await one)[0] + await two", "return (one)[0] + two"),
    ("async with a as b, c: pass", "with a as b, c: pass"),
    ("x = [i async for i in walk() if await ok(i)]", "x = [i for i in walk() if ok(i)]"),
    ("async  def   odd(): await   one()", "def   odd(): one()"),
    ("class AsyncCache(_AsyncBase): pass", "class SyncCache(_SyncBase): pass"),
    ("async def __aenter__(self) -> AsyncCache: ...", "def __enter__(self) -> SyncCache: ..."),
    ("def __aiter__(self) -> AsyncIterator[int]: ...", "def __iter__(self) -> Iterator[int]: ..."),
    ("raise StopAsyncIteration", "raise StopIteration"),
    ("await aconnect().aclose()", "connect().close()"),
    ("await anext(aiter(pages))", "next(iter(pages))"),
    ("from cachegrid._aio.cache import AsyncCache as C", "from cachegrid._sio.cache import SyncCache as C"),
    ("from contextlib import asynccontextmanager, AsyncExitStack", "from contextlib import contextmanager, ExitStack"),
    ("load: Callable[[str], Awaitable[T]]", "load: Callable[[str], T]"),
    ("load: typing.Awaitable[dict[str, int]] | None", "load: dict[str, int] | None"),
    ("work: Coroutine[Any, Any, list[T]]", "work: list[T]"),
    ("work: Coroutine[Any, Any, Awaitable[T]]", "work: T"),
    ("a: 'AsyncCache', b: \"Awaitable[int]\"", "a: 'SyncCache', b: \"int\""),
    (
        "x = f'{await get(1)} in {AsyncCache.name!r:>{await width()}} {{}}'",
        "x = f'{get(1)} in {SyncCache.name!r:>{width()}} {{}}'",
    ),
    ("# an AsyncCache: `await cache.aclose()`", "# a SyncCache: `cache.close()`"),
    (
        "'''\n>>> async with aconnect() as grid:\n...     await grid.aclose()\n'''",
        "'''\n>>> with connect() as grid:\n...     grid.close()\n'''",
    ),
]
ALONE = [
    "asynchronous = Asynchronous = Async = is_async = awaited = my_aclose",
    "'an async cache is awaited by its callers'",
]


@pytest.mark.parametrize(("source", "expected"), PARTS)
def test_async_code_becomes_sync_code(source: str, expected: str) -> None:
    """
    Keywords go, names change their colour, and everything else stays where it was.
    """
    assert expected == colour.colour(source)


@pytest.mark.parametrize("source", ALONE)
def test_words_that_only_resemble_async_ones_stay(source: str) -> None:
    """
    A name is changed only as a whole, and prose only where it holds code.
    """
    assert source == colour.colour(source)


def test_a_wrapper_over_lines_keeps_its_brackets() -> None:
    """
    What stood in the square brackets of `Awaitable` still holds together without them.
    """
    source = "Load = Awaitable[\n    dict[str, int],\n]\n"
    assert "Load = (\n    dict[str, int]\n)\n" == colour.colour(source)


def test_the_result_is_formatted_and_imports_only_what_it_uses() -> None:
    """
    A twin passes the same format and lint checks as its source.
    """
    source = (
        "from __future__ import annotations\n\nfrom collections.abc import Awaitable, Callable\n\n"
        '__all__ = ["AsyncTime", "Entry"]\n\n\n'
        "def call(\n    load: Callable[[], Awaitable[int] | int]\n) -> int: return 1\n"
    )
    expected = (
        "from __future__ import annotations\n\nfrom collections.abc import Callable\n\n"
        '__all__ = ["Entry", "SyncTime"]\n\n\n'
        "def call(load: Callable[[], int]) -> int:\n    return 1\n"
    )
    assert expected == colour.tidy(colour.colour(source), colour.ROOT / "src/cachegrid/_sio/call.py")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with a package and a module in both colours, and a module written twice by hand."""
    for name, content in {
        "flow/_aio/__init__.py": "",
        "flow/_aio/cache.py": "async def get() -> None:\n    await get()\n",
        "flow/_aio/waits.py": f"{colour.HAND_WRITTEN}\nimport asyncio\n",
        "flow/_sio/waits.py": f"{colour.HAND_WRITTEN}\nimport threading\n",
        "near/_aio.py": "class AsyncNear:\n    pass\n",
    }.items():
        path = tmp_path / "src/cachegrid" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_twins_are_written_once(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    After a run the check passes, and a second run has nothing to do.
    """
    assert 0 == colour.main([], tree)
    written = capsys.readouterr().out
    assert 3 == written.count("written")
    assert "def get() -> None:\n    get()\n" in (tree / "src/cachegrid/flow/_sio/cache.py").read_text()
    assert "class SyncNear" in (tree / "src/cachegrid/near/_sio.py").read_text()
    assert f"{colour.HAND_WRITTEN}\nimport threading\n" == (tree / "src/cachegrid/flow/_sio/waits.py").read_text()
    assert 0 == colour.main(["--check"], tree)
    assert 0 == colour.main([], tree)
    assert "" == capsys.readouterr().out


def test_a_twin_says_where_it_comes_from(tree: Path) -> None:
    """
    The first line names the source and the tool.
    """
    colour.main([], tree)
    first = (tree / "src/cachegrid/near/_sio.py").read_text().splitlines()[0]
    assert (
        "# Generated from src/cachegrid/near/_aio.py by tools/colour.py. Edit that file, then run `make colour`."
        == first
    )


def test_an_edited_twin_fails_the_check(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    One byte is enough, and a run puts it right.
    """
    colour.main([], tree)
    twin = tree / "src/cachegrid/flow/_sio/cache.py"
    twin.write_text(twin.read_text() + "\n")
    assert 1 == colour.main(["--check"], tree)
    assert "src/cachegrid/flow/_sio/cache.py differs" in capsys.readouterr().out
    assert 0 == colour.main([], tree)
    assert 0 == colour.main(["--check"], tree)


def test_a_missing_twin_fails_the_check(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A source without its twin is found, too.
    """
    colour.main([], tree)
    (tree / "src/cachegrid/near/_sio.py").unlink()
    assert 1 == colour.main(["--check"], tree)
    assert "src/cachegrid/near/_sio.py is missing" in capsys.readouterr().out


def test_a_left_over_twin_fails_the_check(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A twin whose source is gone is removed by a run.
    """
    colour.main([], tree)
    (tree / "src/cachegrid/flow/_aio/cache.py").unlink()
    assert 1 == colour.main(["--check"], tree)
    assert "src/cachegrid/flow/_sio/cache.py is left over" in capsys.readouterr().out
    assert 0 == colour.main([], tree)
    assert not (tree / "src/cachegrid/flow/_sio/cache.py").exists()


@pytest.mark.parametrize("check", [["--check"], []])
def test_what_a_person_wrote_is_never_changed(tree: Path, check: list[str]) -> None:
    """
    A hand-written twin that is missing, in doubt or left over is a person's to put right.
    """
    colour.main([], tree)
    folder = tree / "src/cachegrid/flow/_sio"
    (folder / "waits.py").write_text("import threading\n")
    (folder / "lonely.py").write_text("import threading\n")
    assert 1 == colour.main(check, tree)
    assert "import threading\n" == (folder / "waits.py").read_text()
    assert "import threading\n" == (folder / "lonely.py").read_text()
    (folder / "lonely.py").unlink()
    (folder / "waits.py").unlink()
    assert 1 == colour.main(check, tree)
    assert not (folder / "waits.py").exists()


def test_a_source_that_is_no_python_is_named(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The twin stays as it is, and the rest is written.
    """
    (tree / "src/cachegrid/flow/_aio/broken.py").write_text("def (:\n")
    assert 1 == colour.main([], tree)
    assert "src/cachegrid/flow/_sio/broken.py cannot be made" in capsys.readouterr().out
    assert (tree / "src/cachegrid/flow/_sio/cache.py").exists()


def test_paths_limit_the_work(tree: Path) -> None:
    """
    Only twins of what lies under the paths that were named are written.
    """
    assert 0 == colour.main([str(tree / "src/cachegrid/near")], tree)
    assert (tree / "src/cachegrid/near/_sio.py").exists()
    assert not (tree / "src/cachegrid/flow/_sio/cache.py").exists()
