"""The pins are plain, and the environment is what they say."""

from __future__ import annotations

import pytest
from packaging.version import Version

from tools import constraints


def test_pins_for_other_pythons_do_not_count_here() -> None:
    """
    A package may be pinned once for each Python.
    """
    text = "# made\nnumpy==2.4 ; python_full_version < '3'\nnumpy==2.5 ; python_full_version >= '3'\n"
    assert ["numpy==2.5"] == [f"{pin.name}{pin.specifier}" for pin in constraints.pins(text)]


@pytest.mark.parametrize(
    "line",
    ["--" + "index-url https://there/simple", "rich==15.0 --" + "hash=sha256:0", "rich @ https://there/rich.whl"],
)
def test_hashes_and_addresses_are_refused(line: str) -> None:
    """
    The pins install from whatever index a machine uses.
    """
    assert [f"{line!r} is no plain pin"] == list(constraints.differences(f"{line}\n"))


def test_what_is_not_pinned_is_named() -> None:
    """
    With the version that is installed, or the place that asks for it.
    """
    problems = list(constraints.differences("pytest==0.1\n"))
    assert any(problem.startswith("pytest ") and problem.endswith("the pin is pytest==0.1") for problem in problems)
    assert any(problem.startswith("ruff ") and problem.endswith("is installed, and not pinned") for problem in problems)
    assert "rich is asked for in pyproject.toml, and not pinned" in problems


def test_every_pin_is_one_version() -> None:
    """
    A range would be another environment tomorrow.
    """
    lines = constraints.TARGET.read_text(encoding="utf-8").splitlines()
    pins = [line.partition(" ;")[0].partition("==") for line in lines if not line.startswith("#")]
    assert pins
    assert all(separator == "==" and Version(version) for _, separator, version in pins)
