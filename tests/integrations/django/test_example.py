"""The shop of `examples/django`, with several processes: what one of them caches, changes or drops, is so for all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

pytestmark = [pytest.mark.grid, pytest.mark.slow]
ROOT = Path(__file__).resolve().parent.parent.parent.parent
PROCESSES = 3


class Shop:
    """Processes that serve it."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self._processes = processes
        self._places = [process.stdout.readline().strip() for process in processes if process.stdout]
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def get(self, number: int, path: str, data: bytes | None = None) -> str:
        """What one of them answers; cookies are those of one visitor."""
        with self._opener.open(f"{self._places[number % PROCESSES]}/{path}", data, timeout=20) as answer:
            text: str = answer.read().decode()
        return text

    def kill(self, number: int) -> None:
        """SIGKILL one."""
        self._processes[number].kill()
        self._processes[number].wait()


@pytest.fixture
def shop(url: str, name: str, tmp_path: Path) -> Iterator[Shop]:
    """The shop, opened."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "SHOP_GRID": url,
        "SHOP_DATABASE": str(tmp_path / "shop.sqlite3"),
        "SHOP_SECRET_KEY": name,
    }
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "django" / "serve.py")]
    subprocess.run([*command, "prepare"], env=env, check=True, timeout=60)
    processes = [
        subprocess.Popen([*command, "0"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        yield Shop(processes)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def prices(page: str) -> list[str]:
    """The prices on the home page."""
    return re.findall(r": ([\d.]+)</li>", page)


def visit(page: str) -> str:
    """The number of the visit, which the session counts."""
    return "".join(re.findall(r"Visit (\d+)", page))


def test_processes_share_what_they_cache(shop: Shop) -> None:
    """
    Rows, fragments, sessions, and what is done once for all; also when one of them is killed.
    """
    with ThreadPoolExecutor(9) as pool:
        reports = set(pool.map(lambda number: shop.get(number, "report"), range(9)))
    assert 1 == len(reports)

    pages = [shop.get(number, "") for number in range(PROCESSES)]
    assert [["7.00", "5.00"]] * PROCESSES == [prices(page) for page in pages]
    assert ["1", "2", "3"] == [visit(page) for page in pages]
    assert 1 == len({page[page.index("<footer>") :] for page in pages})

    for number in range(PROCESSES):
        assert "1" == shop.get(number, f"price/t-1/{number + 1}.50", b"")
        assert [f"{number + 1}.50"] * PROCESSES == [prices(shop.get(other, ""))[1] for other in range(PROCESSES)]

    shop.kill(0)
    assert ["13", "14"] == [visit(shop.get(number, "")) for number in (1, 2)]
