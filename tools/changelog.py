"""
Gathers the fragments of `changelog.d` into a new version of `CHANGELOG.md`.

    python tools/changelog.py 0.2.0
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

__all__ = ["KINDS", "gather", "main"]

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")
NAME = re.compile(rf"[a-z0-9-]+\.({'|'.join(KINDS)})\.md")


def gather(folder: Path, version: str, day: date) -> tuple[str, list[Path]]:
    """The section of a version, and the fragments it holds; ValueError if one is named wrongly, or there are none."""
    fragments = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    kinds: dict[str, list[str]] = {}
    for path in fragments:
        match = NAME.fullmatch(path.name)
        if match is None:
            raise ValueError(f"{path.name}: a fragment is named <topic>.<kind>.md, of the kinds {', '.join(KINDS)}")
        text = path.read_text(encoding="utf-8").strip().replace("\n", "\n  ")
        kinds.setdefault(match[1], []).append(f"- {text}")
    if not kinds:
        raise ValueError(f"{folder} has no fragments: nothing has changed")
    parts = [f"### {kind.capitalize()}\n\n" + "\n".join(kinds[kind]) for kind in KINDS if kind in kinds]
    return "\n\n".join([f"## {version} ({day})", *parts]) + "\n", fragments


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; 0 if the changelog has the new version."""
    parser = argparse.ArgumentParser(description="Gather the fragments of changelog.d into CHANGELOG.md.")
    parser.add_argument("version", help="such as 0.2.0")
    version = parser.parse_args(arguments).version
    changelog = root / "CHANGELOG.md"
    try:
        section, fragments = gather(root / "changelog.d", version, datetime.now(tz=UTC).date())
    except ValueError as error:
        print(error)
        return 1
    head, mark, tail = changelog.read_text(encoding="utf-8").partition("\n## ")
    changelog.write_text(f"{head.rstrip()}\n\n{section}{mark}{tail}", encoding="utf-8")
    for fragment in fragments:
        fragment.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
