"""What has no place in the tree is found, and what resembles it is left alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import stray


@pytest.mark.parametrize(
    "line",
    [
        "see /" + "root/notes",
        "cd /" + "work/cachegrid",
        "from https://" + "pypi" + ".org/simple",
        "pip install --" + "index-url there",
        "# TO" + "DO: later",
        "as issue" + " 12 says",
        "<" * 7 + " ours",
        "a blank at the end ",
    ],
)
def test_stray_words_are_found(line: str) -> None:
    """
    Each is told with its line and a reason.
    """
    assert [2] == [number for number, _, _ in stray.stray_words(f"fine\n{line}\n")]


@pytest.mark.parametrize(
    "line",
    [
        "the root/branch of a tree",
        "network/work/here",
        "/home/ada/.local",
        "todo: in small letters",
        "==========",
        "an issue of 12",
    ],
)
def test_words_that_only_resemble_them_stay(line: str) -> None:
    """
    A rule that cries wolf is soon switched off.
    """
    assert [] == list(stray.stray_words(line))


def test_files_that_version_control_ignores_are_not_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Kept files and new ones are.
    """
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name, text in {
        ".gitignore": "made/\n",
        "made/x.txt": "end \n",
        "new.txt": "end \n",
        "fine.txt": "end\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG \n\xff")
    assert 1 == stray.main(tmp_path)
    assert "new.txt:1: ' ' is a blank at the end of a line\n" == capsys.readouterr().out


def test_this_tree_has_none() -> None:
    """
    As `make check` sees to.
    """
    assert 0 == stray.main()
