"""The example of Flask, as two processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytestmark = [pytest.mark.grid, pytest.mark.slow]
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "flask" / "app.py"


@pytest.fixture
def shops(url: str, tmp_path: Path) -> Iterator[list[httpx.Client]]:
    """Two processes of the shop."""
    environment = {**os.environ, "SHOP_GRID": url, "SHOP_DATABASE": str(tmp_path / "shop.sqlite3")}
    with contextlib.ExitStack() as ends:
        servers = [ends.enter_context(_started(environment, tmp_path)) for _ in range(2)]
        addresses = [server.stdout.readline().strip() for server in servers if server.stdout]
        yield [ends.enter_context(httpx.Client(base_url=address)) for address in addresses]


@contextlib.contextmanager
def _started(environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(EXAMPLE), "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, cwd=folder, text=True, **pipes) as server:  # type: ignore[call-overload]
        try:
            yield server
        finally:
            server.kill()


def test_what_one_process_found_all_know(shops: list[httpx.Client]) -> None:
    """
    And what one changes none tells any more.
    """
    first, second = shops
    assert {"jam": "3.20", "tea": "5.00"} == first.get("/prices").json()["prices"]
    assert "5.00" == second.get("/prices/tea").json()["price"]
    changed_by = first.put("/prices/tea/5.00").json()["changed_by"]
    assert second.put("/prices/jam/3.20").json()["changed_by"] != changed_by
    found = first.get("/prices/tea").json()
    assert {"price": "5.00", "found_by": changed_by} == found
    assert found == second.get("/prices/tea").json()
    everything = second.get("/prices").json()
    assert {"jam": "3.20", "tea": "5.00"} == everything["prices"]
    assert everything == first.get("/prices").json()

    second.put("/prices/tea/4.50")
    assert {"price": "4.50", "found_by": changed_by} == first.get("/prices/tea").json()
    assert "4.50" == second.get("/prices/tea").json()["price"]
    assert {"jam": "3.20", "tea": "4.50"} == first.get("/prices").json()["prices"]
