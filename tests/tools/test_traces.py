"""The suite keeps away from the developer's grids, leaves nothing behind, and skips nothing in CI."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import pytest

from tests.tools.pytest_runs import run


def test_a_test_has_a_state_folder_of_its_own(state_folder: Path) -> None:
    """
    No setting of the developer reaches a test, and the folder's path is short enough for a unix socket in it.
    """
    assert str(state_folder) == os.environ["CACHEGRID_STATE"]
    assert ["CACHEGRID_STATE"] == [name for name in os.environ if name.startswith("CACHEGRID_")]
    assert not state_folder.exists()
    assert len(str(state_folder)) < 60  # of the 104 that a Mac allows


@pytest.mark.slow
def test_the_developers_settings_are_forgotten(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Even those that were there before the tests began.
    """
    monkeypatch.setenv("CACHEGRID_URL", "valkey://elsewhere:1")
    pytester.makepyfile(
        """
        import os
        def test_forgotten(): assert "CACHEGRID_URL" not in os.environ
        """
    )
    run(pytester, "traces").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("leave", "found"),
    [
        ("subprocess.Popen(SLEEP)", "*left behind: process*"),
        ("subprocess.Popen([*DETACH, os.environ['CACHEGRID_STATE']]).wait()", "*left behind: process*"),
        ("socket.create_server(('127.0.0.1', 0))", "*left behind: a socket that listens*"),
        (
            "threading.Thread(target=EVENT.wait, name='cachegrid', daemon=True).start()",
            "*left behind: thread cachegrid*",
        ),
    ],
)
@pytest.mark.slow
@pytest.mark.slow
def test_what_is_left_behind_is_an_error(pytester: pytest.Pytester, leave: str, found: str) -> None:
    """
    A child, a detached process that knows a state folder, a listening socket, and a thread are all found.
    """
    if "socket" in leave and sys.platform != "linux":
        assert found  # only Linux tells who listens
        return
    pytester.makepyfile(
        f"""
        import os, socket, subprocess, sys, threading
        from tests.plugins import traces

        traces.PATIENCE = 0.1
        EVENT = threading.Event()
        SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
        DETACH = ["sh", "-c", "sleep 60 <&- >&- 2>&- & :"]
        left = []

        def test_leaves(): left.append({leave})
        """
    )
    result = run(pytester, "traces")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([found])


@pytest.mark.slow
def test_nothing_is_left_of_the_session(pytester: pytest.Pytester) -> None:
    """
    The session's folder goes with it.
    """
    pytester.makepyfile(
        """
        import os, pathlib
        def test_makes_a_file():
            folder = pathlib.Path(os.environ["CACHEGRID_STATE"])
            folder.mkdir(parents=True)
            pathlib.Path("where").write_text(str(folder))
        """
    )
    run(pytester, "traces").assert_outcomes(passed=1)
    assert not Path((pytester.path / "where").read_text()).parent.exists()


SKIPPING = """
import pytest
def test_runs(): pass
@pytest.mark.skip(reason="no server")
def test_marked(): pass
def test_skips(): pytest.skip("no server")
@pytest.mark.xfail(strict=True)
def test_is_known_to_fail(): assert False
"""


@pytest.mark.slow
def test_a_skip_is_a_skip_at_home(pytester: pytest.Pytester) -> None:
    """
    A developer without an optional program can still run the tests.
    """
    pytester.makepyfile(SKIPPING)
    run(pytester, "traces", "skips").assert_outcomes(passed=1, skipped=2, xfailed=1)


@pytest.mark.slow
def test_a_skip_is_a_failure_in_ci(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Tests, and whole modules.
    """
    monkeypatch.setenv("CACHEGRID_CI", "1")
    pytester.makepyfile(test_some=SKIPPING, test_whole='import pytest\npytest.importorskip("no_such_module")\n')
    result = run(pytester, "traces", "skips", options=["--continue-on-collection-errors"])
    counts = result.parseoutcomes()
    assert 1 == counts["passed"]
    assert 0 == counts.get("skipped", 0)
    assert 3 == counts.get("failed", 0) + counts.get("errors", 0)


@pytest.mark.slow
def test_fast_leaves_out_what_is_not(pytester: pytest.Pytester) -> None:
    """
    Tests that start servers, and slow ones.
    """
    pytester.makeini("[pytest]\nmarkers =\n  grid\n  slow\n")
    pytester.makepyfile(
        """
        import pytest
        def test_quick(): pass
        @pytest.mark.grid
        def test_with_servers(): pass
        @pytest.mark.slow
        def test_slow(): pass
        """
    )
    run(pytester, "traces", "skips", options=["--fast"]).assert_outcomes(passed=1, deselected=2)


def test_the_suite_fails_on_warnings() -> None:
    """
    A warning that nobody reads is a bug that nobody fixes.
    """
    with pytest.raises(UserWarning, match="old"):
        warnings.warn("old", stacklevel=1)
