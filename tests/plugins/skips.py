"""In CI (`CACHEGRID_CI=1`) every test runs: a skip fails, for nobody would notice it there."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

__all__: list[str] = []

# Test names that may be skipped in CI, each with its reason. Nothing is, today.
MAY_BE_SKIPPED: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--fast`."""
    parser.addoption("--fast", action="store_true", help="leave out tests that start servers or take over a second")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `--fast` leaves out."""
    if not config.getoption("--fast"):
        return
    slow = [item for item in items if item.get_closest_marker("grid") or item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in set(slow)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure, in CI."""
    report = yield
    is_refused = report.skipped and not hasattr(report, "wasxfail") and item.nodeid not in MAY_BE_SKIPPED
    if is_refused and item.config.stash.get(IN_CI, False):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and in CI every test runs: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into a failure, in CI."""
    report = yield
    if report.skipped and collector.config.stash.get(IN_CI, False):
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, and in CI every test runs: {report.longrepr}"
    return report


IN_CI = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Read the choice before the environment is cleared for the tests."""
    config.stash[IN_CI] = os.environ.get("CACHEGRID_CI") == "1"
