"""One at a time starts or stops a grid."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from cachegrid.cluster.lock import locked
from cachegrid.errors import StartFailed


def test_only_one_is_inside(tmp_path: Path) -> None:
    """
    However many come and go, no two are inside at once, and no file is left.
    """
    inside, most, rounds = 0, 0, []

    def enter() -> None:
        nonlocal inside, most
        for _ in range(20):
            with locked(tmp_path, "grid"):
                inside += 1
                most = max(most, inside)
                rounds.append(os.getpid())
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert (1, 120) == (most, len(rounds))
    assert [] == list(tmp_path.iterdir())


def test_waiting_ends(tmp_path: Path) -> None:
    """
    Who waits too long is told what for; another grid's name is no obstacle.
    """
    with locked(tmp_path, "grid"):
        with locked(tmp_path, "other"):
            pass
        with (
            pytest.raises(StartFailed, match=r"another process .* this grid: .*grid\.lock"),
            locked(tmp_path, "grid", timeout=0.05),
        ):
            pass


def test_a_lock_file_that_was_left_is_no_lock(tmp_path: Path) -> None:
    """
    The lock ends with the process that held it, whatever becomes of its file.
    """
    (tmp_path / ".grid.lock").write_text("")
    with locked(tmp_path, "grid", timeout=0.05):
        assert (tmp_path / ".grid.lock").exists()


def test_a_failure_inside_gives_it_back(tmp_path: Path) -> None:
    """
    An error inside is the caller's, and the next one gets in.
    """
    with pytest.raises(ZeroDivisionError), locked(tmp_path, "grid"):
        raise ZeroDivisionError
    with locked(tmp_path, "grid", timeout=0.05):
        assert [".grid.lock"] == [path.name for path in tmp_path.iterdir()]
