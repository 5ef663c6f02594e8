"""Commands that need packages which not everybody has say so, and how to get them."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from cachegrid.errors import GridError
from tests.cli.command import here


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (
            ["coredis", "valkey"],
            "this needs the packages coredis, valkey; install with: pip install 'cachegrid[bench]'",
        ),
        (["valkey-glide", "valkey-glide-sync"], "measured"),
        (["cachebox"], "measured"),
    ],
)
def test_without_its_extra_the_benchmark_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, missing: list[str], told: str
) -> None:
    """
    Before it measures anything; a single client may lack on a platform.
    """

    def version(package: str) -> str:
        if package in missing:
            raise PackageNotFoundError(package)
        return "1"

    def measure(*_: object) -> Any:
        raise GridError("measured")

    monkeypatch.setattr("cachegrid.bench.contenders.version", version)
    monkeypatch.setattr("cachegrid.bench.runs.measure", measure)
    done = here("bench", "--quick")
    assert (4 if told == "measured" else 5, f"cachegrid: {told}\n") == (done.code, done.err)


def test_without_its_package_no_certificates_are_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    That is a missing package, and no refusal of a grid.
    """
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    done = here("tls", str(tmp_path / "pem"), "127.0.0.1")
    assert (5, "") == (done.code, done.out)
    assert "pip install 'cachegrid[tls-tools]'" in done.err
