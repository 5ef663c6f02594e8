"""The files that take longest begin first where several processes share a run."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.plugins import order

AS_BY_CHANCE = ("unit/test_a.py", "flow/test_b.py", "flow/test_b.py", "cli/test_c.py", "hosts/test_d.py", "test_e.py")


def ordered(config: SimpleNamespace) -> list[str]:
    """Where the tests of a run stand, in the order in which they are run."""
    items: list[Any] = [SimpleNamespace(path=order.TESTS / name) for name in AS_BY_CHANCE]
    order.pytest_collection_modifyitems(config, items)  # type: ignore[arg-type]
    return [str(item.path.relative_to(order.TESTS)) for item in items]


def test_the_longest_begin_first() -> None:
    """
    Then those with many tests; among equals chance has decided.
    """
    hosts, cli, flow = ["hosts/test_d.py"], ["cli/test_c.py"], ["flow/test_b.py"] * 2
    assert [*hosts, *cli, *flow, "unit/test_a.py", "test_e.py"] == ordered(SimpleNamespace(workerinput={}))


def test_one_process_runs_all_by_chance() -> None:
    """
    There nobody waits for anybody at the end.
    """
    assert list(AS_BY_CHANCE) == ordered(SimpleNamespace())


def test_the_folders_that_take_long_are_there() -> None:
    """
    One that is renamed would begin last.
    """
    assert [] == [folder for folder in order.LONG if not (order.TESTS / folder).is_dir()]


@pytest.mark.parametrize(("cores", "processes"), [(None, 1), (1, 1), (2, 3), (8, 12)])
def test_there_are_more_processes_than_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, processes: int
) -> None:
    """
    But for one core, where they would take turns.
    """
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert processes == order.pytest_xdist_auto_num_workers()


def test_the_command_keeps_the_order() -> None:
    """
    xdist has an order of its own, unless it is told.
    """
    assert "--no-loadscope-reorder" in (Path(order.TESTS).parent / "Makefile").read_text(encoding="utf-8")
