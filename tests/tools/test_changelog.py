"""A release gathers the fragments, and every fragment can be gathered."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tools import changelog


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A changelog with one version, and three fragments."""
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\nNewest first.\n\n## 0.1.0 (2026-01-02)\n\n### Added\n\n- All.\n"
    )
    folder = tmp_path / "changelog.d"
    folder.mkdir()
    (folder / "README.md").write_text("How to.\n")
    (folder / "tags.fixed.md").write_text("Tags\nhold.\n")
    (folder / "near-copies.added.md").write_text("Near copies.\n")
    (folder / "locks.added.md").write_text("Locks.\n")
    return tmp_path


def test_a_version_has_its_fragments_by_kind(project: Path) -> None:
    """
    In the order of the kinds, and of the names within one.
    """
    expected = "## 0.2.0 (2026-03-04)\n\n### Added\n\n- Locks.\n- Near copies.\n\n### Fixed\n\n- Tags\n  hold.\n"
    section, fragments = changelog.gather(project / "changelog.d", "0.2.0", date(2026, 3, 4))
    assert expected == section
    assert ["locks.added.md", "near-copies.added.md", "tags.fixed.md"] == [path.name for path in fragments]


def test_a_new_version_stands_above_the_older_ones(project: Path) -> None:
    """
    The fragments are gone afterwards, and their guide is not.
    """
    assert 0 == changelog.main(["0.2.0"], project)
    text = (project / "CHANGELOG.md").read_text()
    assert text.index("Newest first.") < text.index("\n\n## 0.2.0 (") < text.index("\n\n## 0.1.0 (")
    assert ["README.md"] == [path.name for path in (project / "changelog.d").iterdir()]


def test_nothing_is_gathered_twice(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A version without changes is no version.
    """
    changelog.main(["0.2.0"], project)
    before = (project / "CHANGELOG.md").read_text()
    assert 1 == changelog.main(["0.2.1"], project)
    assert "no fragments" in capsys.readouterr().out
    assert before == (project / "CHANGELOG.md").read_text()


def test_a_fragment_that_is_named_wrongly_stops_the_release(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Nothing is lost by it.
    """
    (project / "changelog.d/oops.md").write_text("Oops.\n")
    assert 1 == changelog.main(["0.2.0"], project)
    assert capsys.readouterr().out.startswith("oops.md: a fragment is named")
    assert (project / "changelog.d/oops.md").exists()


def test_our_own_fragments_can_be_gathered() -> None:
    """
    A wrong name is found before the release.
    """
    folder = changelog.ROOT / "changelog.d"
    names = [path.name for path in folder.iterdir() if path.name != "README.md"]
    assert all(changelog.NAME.fullmatch(name) for name in names)
    assert (folder / "README.md").exists()
