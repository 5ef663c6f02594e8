"""What runs have shown, on a page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.__main__ import must_not
from tests.chaos.catalogue import ROWS, SHORT
from tests.chaos.history import Fault
from tests.chaos.judge import Verdict
from tests.chaos.run import Plan, Report
from tests.chaos.table import BEGIN, END, facts, lines, write

FAULT = Fault(name="kill", began=10, served=11.5, whole=13)


def report(**found: object) -> Report:
    return Report("kill", [FAULT], Verdict(**found), [])  # type: ignore[arg-type]


def test_the_table_has_a_row_for_each_fault_and_says_what_was_not_run() -> None:
    """
    With what failed, by its error.
    """
    found = report(calls=17410, acknowledged=Counter(memory=5), read_stall=0.0775, failed=Counter(EngineTimeout=2))
    said = lines([found], {"slow network": "no netem"}, {"pause": "TimeoutError: x"}, Plan(seed=7))
    row = next(line for line in said if line.startswith("| SIGKILL"))
    assert ["17,410", "2", "0", "78 ms, 0.0 ms"] == [cell.strip() for cell in row.split("|")[2:6]]
    assert ["0, -, -", "0, 0", "0", "1.5 s", "3.0 s"] == [cell.strip() for cell in row.split("|")[8:13]]
    assert "- SIGKILL of an owner: failed were 2 EngineTimeout." in said
    assert any("not run" in line and "no netem" in line for line in said)
    assert any("did not come to its end (TimeoutError: x)" in line for line in said)


def test_a_page_gets_the_table_between_its_marks(tmp_path: Path) -> None:
    """
    The rest of it stays, and so does what is written twice.
    """
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write(page, ["new", ""])
    assert f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n" == page.read_text()


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    """
    And it is said which marks are missing.
    """
    page = tmp_path / "page.md"
    page.write_text("text")
    with pytest.raises(ValueError, match="has no lines"):
        write(page, ["new"])
    assert "text" == page.read_text()


def test_what_no_fault_excuses_is_told() -> None:
    """
    What users are promised whatever happens, and errors that are none of ours.
    """
    assert [] == list(must_not(report(lost=Counter(memory=3), failed=Counter(EngineTimeout=1))))
    assert 1 == len(list(must_not(report(lost=Counter(replicated=1)))))
    assert 1 == len(list(must_not(report(lost=Counter(disk=1)))))
    assert 1 == len(list(must_not(report(stale_after=1))))
    assert 1 == len(list(must_not(report(twice=1))))
    assert ["kill: 1 times an error that is none of ours: ValueError (x)"] == list(
        must_not(report(failed=Counter({"!ValueError (x)": 1})))
    )


def test_programs_are_told_the_same() -> None:
    """
    As plain values.
    """
    told = facts(report(lost=Counter(memory=3)))
    assert ("kill", 1.5, 3.0, {"memory": 3}) == (told["fault"], told["served"], told["whole"], told["lost"])


def test_the_short_form_is_of_faults_that_there_are() -> None:
    """
    All of them known by name.
    """
    assert set(SHORT) <= set(ROWS)
